"""Four processes on one cache, of whose calls a tenth or a half are sets.

The processes are started once; they open every contender and are then told whose turn it is.
Keys are drawn evenly from a thousand, so that most sets overwrite what the others have read.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from . import Refused, rounds, subjects, values
from .latency import Latencies
from .plan import Bench
from .tables import Column, Measure, Table

NAME = "processes"
TITLE = "Four processes"

PROCESSES = 4
KEYS = 1_000
MIXES = (0.1, 0.5)
CALLS = 4_096  # after which a process begins with the same keys again
SECONDS = 0.2  # of a turn
ROUNDS = 6

Place = tuple[subjects.Subject, Path]
COLUMNS = (
    Column("operations per second", "rate"),
    Column("median of get"),
    Column("mean of get"),
    Column("p99 of get"),
    Column("median of set"),
    Column("mean of set"),
    Column("p99 of set"),
)


def work(
    orders: Connection, together: Barrier, database: Path, places: Sequence[Place], seed: int
) -> None:
    """What a process does: turns, until it is told None."""
    subjects.configure(database)
    drawn = random.Random(seed)
    with ExitStack() as stack:
        caches = {
            subject.name: stack.enter_context(subject.opened(directory, KEYS))
            for subject, directory in places
        }
        orders.send(True)  # ready
        while (order := orders.recv()) is not None:
            name, share, seconds = order
            calls = [(drawn.random() < share, drawn.randrange(KEYS)) for _ in range(CALLS)]
            together.wait()
            orders.send(_turn(caches[name], calls, seconds))


def _turn(
    cache: object, calls: Sequence[tuple[bool, int]], seconds: float
) -> tuple[float, Latencies, Latencies]:
    get, store = cache.get, cache.set  # type: ignore[attr-defined]
    prepared = [(write, values.key(n), values.small(n)) for write, n in calls]
    reads: list[int] = []
    writes: list[int] = []
    clock = time.perf_counter_ns
    with rounds.quiet():
        start = now = clock()
        end = start + int(seconds * 1e9)
        for write, key, value in cycle(prepared):
            began = clock()
            if write:
                store(key, value)
                now = clock()
                writes.append(now - began)
            else:
                get(key)
                now = clock()
                reads.append(now - began)
            if now > end:
                break
    return (now - start) / 1e9, _counted(reads), _counted(writes)


def _counted(samples: list[int]) -> Latencies:
    found = Latencies()
    for sample in samples:
        found.record(sample)
    return found


class Sum:
    """What all processes did in all turns of a contender."""

    def __init__(self) -> None:
        self.rate = 0.0
        self.turns = 0
        self.get = Latencies()
        self.set = Latencies()

    def row(self) -> dict[str, float]:
        found = {
            "operations per second": self.rate / self.turns,
            "median of get": self.get.percentile(50),
            "mean of get": self.get.mean(),
            "p99 of get": self.get.percentile(99),
            "median of set": self.set.percentile(50),
            "mean of set": self.set.mean(),
            "p99 of set": self.set.percentile(99),
        }
        return {name: value for name, value in found.items() if value is not None}


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    table = Table(NAME, "processes", f"{PROCESSES} processes on one cache of {KEYS:,} entries")
    wanted = [subject for subject in subjects.SUBJECTS if subject.shared]
    wanted.remove(subjects.FLOOR)  # its statements have no answer to a lock
    turns = ROUNDS + 5 * plan.full
    with bench.opened(*wanted, keys=KEYS) as caches, ExitStack() as stack:
        for opened in caches.values():
            opened.fill(values.entries(0, KEYS))
        places = [(opened.subject, opened.directory) for opened in caches.values()]
        pipes = stack.enter_context(started(bench, places))
        progress = stack.enter_context(bench.progress(table.title, turns * len(MIXES)))
        for mix, share in enumerate(MIXES):
            sums = {name: Sum() for name in caches}
            for number in range(turns):
                for name in rounds.rotated(list(caches), number):
                    if rounds.has_turn(number, caches[name].share):
                        _turns(pipes, sums[name], name, share, plan.turn(SECONDS))
                progress.update(mix * turns + number)
            rows = {name: each.row() for name, each in sums.items()}
            table.measures.append(Measure(f"{share:.0%} writes", COLUMNS, rows))
    table.notes.append("locmem is left out: its processes share nothing.")
    return [table]


@contextmanager
def started(bench: Bench, places: Sequence[Place]) -> Iterator[list[Connection]]:
    """Pipes to processes that have opened the caches in `places`.

    :raises Refused: when one of them ends before it is told to; it has printed why
    """
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    pipes = []
    with ExitStack() as stack:
        for number in range(PROCESSES):
            ours, its = context.Pipe()
            arguments = (its, together, bench.database, places, number)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            its.close()
            stack.callback(_stop, process, ours)
            pipes.append(ours)
        try:
            for pipe in pipes:
                pipe.recv()
            yield pipes
        except EOFError as error:
            raise Refused("a process of the suite ended before its time") from error


def _stop(process: multiprocessing.process.BaseProcess, pipe: Connection) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself, with a traceback of its own
        pipe.send(None)
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()
    pipe.close()


def _turns(
    pipes: Sequence[Connection], total: Sum, name: str, share: float, seconds: float
) -> None:
    for pipe in pipes:
        pipe.send((name, share, seconds))
    for pipe in pipes:
        took, reads, writes = pipe.recv()
        total.rate += (len(reads) + len(writes)) / took
        total.get.add(reads)
        total.set.add(writes)
    total.turns += 1
