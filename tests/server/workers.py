"""Processes that use a cache while a test does harm to its servers.

Every value carries its key and a number. Each key has one thread that writes it, and that notes
each number before it is written. So a reader knows a wrong value, whatever was lost meanwhile:
one of another key, or one that nobody has begun to write.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.nearcache import MAX_AGE
from django_diskcache.server import ServerCache

PROCESSES, THREADS, KEYS = 3, 2, 8  # keys of each thread
WRITERS = PROCESSES * THREADS
DEADLINE = 0.5  # seconds that a call may wait for a connection, and for an answer
LONGEST = 20.0  # seconds in which any call must be back, however slow the machine is
PATIENCE = 60.0  # seconds for all of them to do something
SPARE = 8  # descriptors and threads: more than that is a leak
RUN, SETTLE, CHECK = range(3)

_context = multiprocessing.get_context("spawn")


@dataclass
class Report:
    """What a process has seen."""

    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    hits: int = 0
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    faults: dict[str, int] = field(default_factory=dict)


class Crowd:
    """Processes at work; `settled` ends it."""

    def __init__(self, location: Any) -> None:
        self.begun = _context.Array("q", WRITERS * KEYS, lock=False)
        self.calls = _context.Array("q", WRITERS, lock=False)
        self.added = _context.Value("q", 0)
        self.stage = _context.Value("i", RUN)
        self.reached = _context.Value("i", 0)
        self.reports: Any = _context.Queue()
        self.processes = [
            _context.Process(target=_process, args=(location, number, self._shared()))
            for number in range(PROCESSES)
        ]
        for process in self.processes:
            process.start()

    def _shared(self) -> tuple[Any, ...]:
        return self.begun, self.calls, self.added, self.stage, self.reached, self.reports

    def works(self, calls: int = 100) -> None:
        """Wait until every thread has made so many calls more."""
        before = list(self.calls)
        deadline = time.monotonic() + PATIENCE
        while any(now < then + calls for now, then in zip(self.calls, before, strict=True)):
            assert time.monotonic() < deadline, "a thread is stuck"
            assert all(process.is_alive() for process in self.processes)
            time.sleep(0.01)

    def settled(self) -> list[Report]:
        """What they have seen, after all could write and read again."""
        self.stage.value = SETTLE
        deadline = time.monotonic() + PATIENCE
        while self.reached.value < PROCESSES:
            assert time.monotonic() < deadline, "the cache did not recover"
            time.sleep(0.01)
        self.stage.value = CHECK
        found = [self.reports.get(timeout=PATIENCE) for _ in self.processes]
        for process in self.processes:
            process.join(PATIENCE)
        return found

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


@contextmanager
def crowd(location: Any) -> Iterator[Crowd]:
    found = Crowd(location)
    try:
        yield found
    finally:
        found.end()


def key_of(writer: int, number: int) -> str:
    return f"key:{writer}:{number}"


def resources() -> tuple[int, int]:
    """(open descriptors, threads) of this process."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def _until(condition: Callable[[], Any], what: str, report: Report, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            report.wrong.append(f"never: {what}")
            return
        time.sleep(0.01)


def _process(location: Any, number: int, shared: tuple[Any, ...]) -> None:
    begun, _, _, stage, reached, reports = shared
    report = Report()
    cache = ServerCache(location, DEADLINE, secret="secret")
    _until(lambda: cache.set("warm", 1) and cache.get("warm"), "a start", report, PATIENCE)
    _until(lambda: cache.get("no") or cache.engine.listening, "listening", report, PATIENCE)
    report.before = resources()
    writers = [number * THREADS + n for n in range(THREADS)]
    threads = [
        threading.Thread(target=_work, args=(cache, writer, shared, report))
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # All is well again: everybody can write, and nobody is left with an old value.
    for writer in writers:
        for n in range(KEYS):
            begun[writer * KEYS + n] += 1
            key, value = key_of(writer, n), begun[writer * KEYS + n]
            storing = partial(cache.set, key, (key, value))
            _until(storing, "a set", report, PATIENCE)
    with reached.get_lock():
        reached.value += 1
    while stage.value != CHECK:
        time.sleep(0.01)
    last = {key_of(w, n): begun[w * KEYS + n] for w in range(WRITERS) for n in range(KEYS)}
    for key, value in last.items():
        if report.wrong:
            break
        serves = partial(_serves, cache, key, value)
        _until(serves, f"{key} is {value}", report, MAX_AGE + LONGEST)
    _until(lambda: cache.get("no") or cache.engine.listening, "listening", report, PATIENCE)
    _until(lambda: cache.incr("alive") and cache.evict("no") == 0, "incr", report, PATIENCE)
    report.after = resources()
    report.faults = cache.faults()
    cache.close()
    reports.put(report)


def _serves(cache: ServerCache, key: str, value: int) -> bool:
    return bool(cache.get(key) == (key, value))


def _work(cache: ServerCache, writer: int, shared: tuple[Any, ...], report: Report) -> None:
    begun, calls, added, stage, _, _ = shared
    chance = random.Random(writer)
    while stage.value == RUN:
        began = time.monotonic()
        try:
            _call(cache, writer, chance, begun, added, report)
        except Fault:
            pass
        except Exception as error:  # in the report, or the test would only see it hang
            report.wrong.append(repr(error))
            return
        report.longest = max(report.longest, time.monotonic() - began)
        calls[writer] += 1


def _call(
    cache: ServerCache,
    writer: int,
    chance: random.Random,
    begun: Any,
    added: Any,
    report: Report,
) -> None:
    """One call, and a look at what it returns."""
    drawn = chance.random()
    number = chance.randrange(KEYS)
    if drawn < 0.2:
        begun[writer * KEYS + number] += 1
        key, value = key_of(writer, number), begun[writer * KEYS + number]
        tag = f"tag:{number}" if chance.random() < 0.5 else None
        cache.set(key, (key, value), expire=chance.choice((None, 60)), tag=tag)
    elif drawn < 0.8:
        other = chance.randrange(WRITERS)
        _look(key_of(other, number), cache.get(key_of(other, number)), begun, report)
    elif drawn < 0.93:
        keys = [key_of(w, n) for w in range(WRITERS) for n in range(0, KEYS, 2)]
        for key, value in cache.get_many(keys).items():
            _look(key, value, begun, report)
    elif drawn < 0.97:
        with added.get_lock():
            added.value += 1
        found = cache.incr("count")
        if not 0 < found <= added.value:
            report.wrong.append(f"count is {found}, after {added.value} calls")
    elif drawn < 0.98 and writer == 0:  # it forgets all, and hides what was not forgotten
        cache.evict(f"tag:{number}")
    else:
        cache.delete(key_of(writer, number))


def _look(key: str, value: Any, begun: Any, report: Report) -> None:
    if value is None:
        return
    report.hits += 1
    _, writer, number = key.split(":")
    most = begun[int(writer) * KEYS + int(number)]
    if value[0] != key or not 0 < value[1] <= most:
        report.wrong.append(f"{key} is {value}, and the last begun is {most}")
