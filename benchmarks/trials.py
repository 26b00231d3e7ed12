"""One trace through one cache under one limit: what `benchmarks.eviction` is made of."""

from __future__ import annotations

import gc
import multiprocessing
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import contenders, loop
from .traces import Trace

VALUE = 200  # bytes, where a trace has no sizes
BLOCK = 64  # requests of a turn, where processes take turns
SAMPLES = 0.1  # seconds between two looks at what a directory takes, at least
LEISURE = 20  # and so many times what a look took


@dataclass(frozen=True)
class Trial:
    """What was measured; `name` is the contender's, with its policy."""

    trace: str
    requests: int
    limit: str  # entries or bytes
    capacity: int
    share: float  # of the keys, or of their bytes
    name: str
    hit_ratio: float
    request: float  # microseconds, values and all
    set_mean: float | None = None  # microseconds
    set_slowest: float | None = None  # at p99.9
    written: float | None = None  # bytes per request, given to the system
    peak: float | None = None  # of the limit on bytes, the most that was on disk
    over: int | None = None  # samples over it


class Watch(threading.Thread):
    """Looks at what a directory takes, again and again.

    A walk over a directory takes a while: a file may be seen, go, and its successor be seen
    too. What is over the limit is looked at once more.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        super().__init__(daemon=True)
        self.directory, self.limit = directory, limit
        self.peak = self.over = 0
        self._stop_it = threading.Event()

    def run(self) -> None:
        pause = SAMPLES
        while not self._stop_it.wait(pause):
            began = time.perf_counter()
            found = contenders.disk_usage(self.directory)
            if found > self.limit:
                found = min(found, contenders.disk_usage(self.directory))
            self.peak = max(self.peak, found)
            self.over += found > self.limit
            # Where there are many files it takes long, and what is measured waits for it.
            pause = max(SAMPLES, LEISURE * (time.perf_counter() - began))

    def stop(self) -> None:
        self._stop_it.set()
        self.join()


def written() -> int | None:
    """Bytes that this process has given to the system to write; None where nobody knows."""
    try:
        for line in Path("/proc/self/io").read_text().splitlines():
            if line.startswith("wchar"):
                return int(line.split()[1])
    except OSError:
        pass
    return None


def single(
    contender: contenders.Contender,
    name: str,
    trace: Trace,
    directory: Path,
    *,
    share: float,
    entries: int | None = None,
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    watch: bool = False,
    value: int = VALUE,
) -> Trial:
    """Replay `trace` in this process."""
    gc.collect()
    keys = trace.unique()
    with contenders.running(
        contender, directory, keys=keys, capacity=entries, options=options
    ) as running:
        watcher = Watch(directory, size) if watch and size is not None else None
        if watcher is not None:
            watcher.start()
        before = written()
        tally = loop.replay(trace, running.cache, value, name)
        after = written()
        if watcher is not None:
            watcher.stop()
    shutil.rmtree(directory, ignore_errors=True)
    count = len(trace)
    return Trial(
        trace=trace.name,
        requests=count,
        limit="entries" if size is None else "bytes",
        capacity=(entries or 0) if size is None else size,
        share=share,
        name=name,
        hit_ratio=tally.hits / count,
        request=tally.seconds / count * 1e6,
        set_mean=_micro(tally.set.mean()),
        set_slowest=_micro(tally.set.percentile(99.9)),
        written=None if before is None or after is None else (after - before) / count,
        peak=watcher.peak / watcher.limit if watcher is not None else None,
        over=watcher.over if watcher is not None else None,
    )


def _micro(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1000


def _serve(
    pipe: Any, contender: Any, directory: Path, trace: Trace, entries: int, options: Any
) -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(SECRET_KEY="eviction")
    values = loop.Values(trace.largest(VALUE))
    with contenders.running(
        contender, directory, keys=trace.unique(), capacity=entries, options=options
    ) as running:
        cache = running.cache
        pipe.send(0)
        while (start := pipe.recv()) is not None:
            hits = 0
            for number in trace.keys[start : start + BLOCK]:
                key = str(number)
                if cache.get(key) is not None:
                    hits += 1
                else:
                    cache.set(key, values.of(number, VALUE))
            pipe.send(hits)


@contextmanager
def _helpers(count: int, *args: Any) -> Iterator[list[Any]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, *args))
        process.start()
        ours.recv()
        pipes.append(ours)
        processes.append(process)
    try:
        yield pipes
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join()


def in_turns(
    contender: contenders.Contender,
    name: str,
    trace: Trace,
    directory: Path,
    *,
    share: float,
    entries: int,
    processes: int,
    options: Mapping[str, Any],
) -> Trial:
    """Replay `trace` in several processes that take turns, so that the order stays."""
    arguments = (contender, directory, trace, entries, options)
    hits = 0
    with _helpers(processes, *arguments) as pipes:
        began = time.perf_counter()
        for turn, start in enumerate(range(0, len(trace), BLOCK)):
            pipe = pipes[turn % processes]
            pipe.send(start)
            hits += pipe.recv()
        seconds = time.perf_counter() - began
    shutil.rmtree(directory, ignore_errors=True)
    count = len(trace)
    return Trial(
        trace.name, count, "entries", entries, share, name, hits / count, seconds / count * 1e6
    )
