"""What eviction adds to a set: CPU time of sets of new keys, with room and without.

    python -m benchmarks.evictioncost --directory /dev/shm/cost

Every cache takes turns of the same number of sets with new keys, in one process, so that what
disturbs the machine disturbs all of them. Counted is the CPU time of the thread, of which the
median and the least of all turns are printed: what other processes use is not in it. Limited
caches are filled until they evict before anything is measured. Keys are spread over the key
index as hashes are, which is the worst case for the pages that a removal changes.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings

from . import contenders
from .latency import Latencies
from .trials import written

KINDS: dict[str, dict[str, Any]] = {
    "room for all": {"size_limit": 10**10},
    "room for all, counted": {"size_limit": 10**10, "max_entries": 10**9},
    "size_limit 64 MB": {"size_limit": 64_000_000},
    "max_entries 20,000": {"max_entries": 20_000, "cull_frequency": 100},
}
SPREAD = 0x9E3779B1  # odd: what it makes of 32 bits are other 32 bits, each once


@dataclass
class Subject:
    """A cache, and what its turns took."""

    name: str
    cache: Any
    keys: Iterator[str]
    value: bytes
    turns: list[float]  # microseconds of CPU for each set
    slow: Latencies
    bytes: int = 0

    def sets(self, number: int) -> None:
        store, keys, value = self.cache.set, self.keys, self.value
        clock, record = time.perf_counter_ns, self.slow.record
        before = written() or 0
        began = time.thread_time_ns()
        for _ in range(number):
            start = clock()
            store(next(keys), value)
            record(clock() - start)
        taken = time.thread_time_ns() - began
        self.bytes += (written() or 0) - before
        self.turns.append(taken / number / 1000)

    def fill(self, least: int, most: int = 2_000_000) -> None:
        """Until it has evicted as much as two thirds of what it holds, or stored `least`."""
        for stored in count(1):
            self.cache.set(next(self.keys), self.value)
            if stored >= least and stored % 5000 == 0:
                gone = self.cache.evictions()
                gone = gone["size"] + gone["entries"]
                if "room" in self.name or gone * 3 > stored or stored > most:
                    return


def keys(ordered: bool) -> Iterator[str]:
    """New ones, for ever."""
    for number in count():
        yield f"{number if ordered else number * SPREAD & 0xFFFFFFFF:010d}"


def run(wanted: argparse.Namespace) -> list[Subject]:
    """Measure."""
    found = []
    with ExitStack() as stack:
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="cost-", dir=wanted.directory))
        )
        for name, options in KINDS.items():
            if wanted.only and not any(only in name for only in wanted.only):
                continue
            running = stack.enter_context(
                contenders.running(contenders.OURS, root / name.replace(" ", "-"), keys=0, options=options)
            )
            subject = Subject(
                name, running.cache, keys(wanted.ordered), bytes(wanted.value_size), [], Latencies()
            )
            subject.fill(wanted.entries)
            subject.slow = Latencies()
            found.append(subject)
        gc.collect()
        gc.freeze()
        for _ in range(wanted.turns):
            for subject in found:
                subject.sets(wanted.sets)
    return found


def text(found: Sequence[Subject], sets: int) -> str:
    """A table."""
    first = found[0]
    lines = ["µs CPU per set      median    least   over the first   p99.9 µs   bytes written"]
    for subject in found:
        middle, least = statistics.median(subject.turns), min(subject.turns)
        over = middle / statistics.median(first.turns) - 1
        lines.append(
            f"{subject.name:24} {middle:6.2f} {least:8.2f} {over:10.1%}"
            f" {(subject.slow.percentile(99.9) or 0) / 1000:12.0f}"
            f" {subject.bytes / len(subject.turns) / sets:12.0f}"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.evictioncost",
        description="Set new keys in caches that are full and in one that is not.",
    )
    add = arguments.add_argument
    add("--turns", type=int, default=15)
    add("--sets", type=int, default=4000, help="of a turn (default: 4000)")
    add("--entries", type=int, default=100_000, help="stored before (default: 100000)")
    add("--value-size", type=int, default=200, metavar="BYTES")
    add("--ordered", action="store_true", help="keys in the order of the key index")
    add("--only", action="append", help="part of a name; may be repeated")
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
