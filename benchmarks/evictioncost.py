"""What eviction adds to a set: CPU time of sets of new keys in caches that are full.

    python -m benchmarks.evictioncost --directory /dev/shm/cost

A full cache stands beside one with the same entries that does not evict: what it holds too many
is removed between its turns, which is not timed. All take turns in one process, so that what
disturbs the machine disturbs all of them, and counted is the thread's own CPU time, of which
the median over the turns is printed. Keys come as hashes do, spread over the key index, which
is the worst for the pages that a removal writes; with `--ordered` they come in its order.

With `--parts`, some more turns say what of it is spent where. A clock at each part makes them
slower, by a microsecond for those that every set has.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings

from django_diskcache.engine import eviction, limits
from django_diskcache.engine.budget import Budget
from django_diskcache.engine.connection import Transaction

from . import contenders
from .latency import Latencies
from .report import NOTHING
from .trials import written

NONE = {"eviction_policy": "none"}
SIZE: dict[str, Any] = {"size_limit": 64_000_000}
ENTRIES: dict[str, Any] = {"max_entries": 20_000, "cull_frequency": 100}
# By what is compared: the full one, and those that have the same entries and do not evict.
GROUPS: dict[str, dict[str, dict[str, Any]]] = {
    "size_limit 64 MB": {"evicts": SIZE, "does not": SIZE | NONE},
    "max_entries 20,000": {
        "evicts": ENTRIES,
        "does not": NONE,
        "does not, but counts": ENTRIES | NONE,
    },
}
# What is timed by itself, without the others in it.
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "reading the entries that may go": ((eviction.Queue, "after"), (eviction.Queue, "bounds")),
    "choosing among them": ((eviction, "_chosen"), (eviction, "evict"), (eviction, "counted")),
    "removing them": ((eviction, "_remove"),),
    "the commit of that": ((Transaction, "commit"),),
    "looking at the limits": (
        (Budget, "look"),
        (limits.Limits, "_keep_size"),
        (limits.Limits, "_keep_entries"),
    ),
}
STEP = 5000  # sets between two looks whether it is full
FEWEST_ROUNDS = 0.4  # of what it holds: so much is evicted before anything is measured


def keys(ordered: bool) -> Iterator[str]:
    """New ones, for ever."""
    for number in count():
        key = f"{number:016d}"
        yield key if ordered else blake2b(key.encode(), digest_size=8).hexdigest()


@dataclass
class Subject:
    """A cache, and what its turns took."""

    name: str
    cache: Any
    keys: Iterator[str]
    value: bytes
    evicts: bool
    turns: list[float] = field(default_factory=list)  # microseconds of CPU for each set
    latencies: Latencies = field(default_factory=Latencies)
    written: int = 0  # bytes
    stored: deque[str] = field(default_factory=deque)  # where nothing evicts them
    parts: dict[str, float] = field(default_factory=dict)  # nanoseconds of CPU for each set

    def turn(self, number: int) -> None:
        """Time so many sets."""
        some = [next(self.keys) for _ in range(number)]
        store, value = self.cache.set, self.value
        clock, record = time.perf_counter_ns, self.latencies.record
        before = written() or 0
        began = time.thread_time_ns()
        for key in some:
            start = clock()
            store(key, value)
            record(clock() - start)
        self.turns.append((time.thread_time_ns() - began) / number / 1000)
        self.written += (written() or 0) - before
        if not self.evicts:
            self.stored += some
            self.cache.delete_many([self.stored.popleft() for _ in some])

    def fill(self, entries: int | None) -> int:
        """With so many, or until it has evicted for a while; how many it has."""
        if entries is None:
            for stored in count(STEP, STEP):
                for _ in range(STEP):
                    self.cache.set(next(self.keys), self.value)
                gone = self.cache.evictions()
                if (gone["size"] + gone["entries"]) > FEWEST_ROUNDS * stored:
                    break
            return len(self.cache._cache)
        for _ in range(entries):
            self.stored.append(key := next(self.keys))
            self.cache.set(key, self.value)
        return entries


@contextmanager
def timed() -> Iterator[Counter[str]]:
    """Nanoseconds of CPU of each of the PARTS, while it is open."""
    spent: Counter[str] = Counter()
    inner = [0]  # of those within each that is running

    def wrapped(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            inner.append(0)
            began = time.thread_time_ns()
            try:
                return function(*args, **named)
            finally:
                taken = time.thread_time_ns() - began
                spent[part] += taken - inner.pop()
                inner[-1] += taken

        return call

    before = [(part, *each, getattr(*each)) for part, some in PARTS.items() for each in some]
    try:
        for part, owner, name, function in before:
            setattr(owner, name, wrapped(part, function))
        yield spent
    finally:
        for _, owner, name, function in before:
            setattr(owner, name, function)


def run(wanted: argparse.Namespace) -> dict[str, list[Subject]]:
    """Measure, group by group."""
    found: dict[str, list[Subject]] = {}
    for title, kinds in GROUPS.items():
        if wanted.only and wanted.only not in title:
            continue
        with ExitStack() as stack:
            directory = tempfile.TemporaryDirectory(prefix="cost-", dir=wanted.directory)
            root = Path(stack.enter_context(directory))
            subjects = found[title] = []
            entries = None
            for name, options in kinds.items():
                running = contenders.running(
                    contenders.OURS, root / str(len(subjects)), keys=0, options=options
                )
                cache = stack.enter_context(running).cache
                value = bytes(wanted.value_size)
                evicts = "eviction_policy" not in options
                subject = Subject(name, cache, keys(wanted.ordered), value, evicts)
                entries = subject.fill(entries)
                subjects.append(subject)
            gc.collect()
            for _ in range(wanted.turns):
                for subject in subjects:
                    subject.turn(wanted.sets)
            if wanted.parts:
                full = subjects[0]
                kept, bytes_, latencies = len(full.turns), full.written, full.latencies
                full.latencies = Latencies()
                with timed() as spent:
                    for _ in range(wanted.turns):
                        full.turn(wanted.sets)
                full.parts = {name: spent[name] / wanted.turns / wanted.sets for name in PARTS}
                del full.turns[kept:]
                full.written, full.latencies = bytes_, latencies
    return found


def text(found: dict[str, list[Subject]], sets: int) -> str:
    """A table, in Markdown."""
    lines = [
        "| a set of a new key in a cache that | µs CPU | least | more than without | µs p99.9 |"
        " bytes written |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for title, subjects in found.items():
        without = next((each for each in subjects if not each.evicts), None)
        for subject in subjects:
            middle = statistics.median(subject.turns)
            more = NOTHING
            if without is not None and subject is not without:
                more = f"{middle / statistics.median(without.turns) - 1:.0%}"
            slowest = (subject.latencies.percentile(99.9) or 0) / 1000
            each = subject.written / len(subject.turns) / sets
            lines.append(
                f"| {subject.name}; {title} | {middle:.1f} | {min(subject.turns):.1f}"
                f" | {more} | {slowest:,.0f} | {each:,.0f} |"
            )
    for title, subjects in found.items():
        parts = subjects[0].parts.items()
        lines += ["", f"Of a set; {title}:"] * bool(parts)
        lines += [f"- {name}: {taken / 1000:.1f} µs" for name, taken in parts]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.evictioncost",
        description="Set new keys in caches that are full and in others as large.",
    )
    add = arguments.add_argument
    add("--turns", type=int, default=25)
    add("--sets", type=int, default=2000, help="of a turn (default: 2000)")
    add("--value-size", type=int, default=200, metavar="BYTES")
    add("--ordered", action="store_true", help="keys in the order of the key index")
    add("--parts", action="store_true", help="also what of it is spent where")
    add("--only", metavar="TEXT", help="what has it in its title")
    add("--directory", type=Path, metavar="PATH", help="where caches are made, and removed")
    return arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    wanted = parser().parse_args(arguments)
    if not settings.configured:
        settings.configure(SECRET_KEY="eviction")
    print(text(run(wanted), wanted.sets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
