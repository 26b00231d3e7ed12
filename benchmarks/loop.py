"""The loop that sends a trace through a cache and times each call.

A value is bytes without structure, so that nothing compresses, and few keys share theirs, so
that a wrong one is seen. Making and checking values is outside the latencies, and inside the
duration. What the loop costs is measured with a cache that does nothing; nobody subtracts it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Protocol

from .latency import Latencies
from .report import Progress
from .traces import Trace

STEP = 256  # requests between two looks at the progress
LOOP_REQUESTS = 100_000  # the most that the cost of the loop is measured with


class Target(Protocol):
    """What is asked of a Django cache."""

    def get(self, key: str) -> Any:
        """The value, or None."""

    def set(self, key: str, value: bytes) -> Any:
        """False if it was not stored; Django's own backends return None."""


class Nothing:
    """A cache that misses and stores nothing: what it takes is the loop."""

    def get(self, key: str) -> Any:
        return None

    def set(self, key: str, value: bytes) -> Any:
        return None


class Values:
    """Random bytes for keys, always the same for a key, cut from one block of memory."""

    HEAD = 16  # bytes that a value is known by, as its size may change within a trace

    def __init__(self, largest: int) -> None:
        self._block = random.Random(1).randbytes(2**16 + largest)

    def of(self, key: int, size: int) -> bytes:
        """`size` bytes for `key`."""
        start = self._start(key)
        return self._block[start : start + size]

    def is_of(self, key: int, value: Any) -> bool:
        """Whether `value` was made for `key`."""
        return type(value) is bytes and self._block.startswith(
            value[: self.HEAD], self._start(key)
        )

    def _start(self, key: int) -> int:
        return key * 40503 & 0xFFFF


@dataclass
class Tally:
    """What happened."""

    hits: int = 0
    misses: int = 0
    refused: int = 0  # sets that stored nothing and said so
    wrong: int = 0  # hits with a value of another key
    seconds: float = 0.0
    get: Latencies = field(default_factory=Latencies)
    set: Latencies = field(default_factory=Latencies)


def replay(trace: Trace, cache: Target, default_size: int, name: str) -> Tally:
    """Get the key of each request and set it on a miss, with progress called `name`.

    :param default_size: bytes of the values, where the trace has no sizes
    """
    tally = Tally()
    values = Values(trace.largest(default_size))
    with Progress(name, len(trace)) as progress:
        began = time.perf_counter()
        for first in range(0, len(trace), STEP):
            part = slice(first, first + STEP)
            sizes = repeat(default_size) if trace.sizes is None else trace.sizes[part]
            _send(zip(trace.keys[part], sizes), cache, values, tally)  # noqa: B905
            progress.update(first)
        tally.seconds = time.perf_counter() - began
    return tally


def _send(
    requests: Iterable[tuple[int, int]], cache: Target, values: Values, tally: Tally
) -> None:
    clock = time.perf_counter_ns
    got, stored = tally.get.record, tally.set.record
    for number, size in requests:
        key = str(number)
        start = clock()
        value = cache.get(key)
        got(clock() - start)
        if value is not None:
            tally.hits += 1
            tally.wrong += not values.is_of(number, value)
            continue
        tally.misses += 1
        value = values.of(number, size)
        start = clock()
        answer = cache.set(key, value)
        stored(clock() - start)
        tally.refused += answer is False


@dataclass(frozen=True)
class Cost:
    """Nanoseconds that are the loop's and not the cache's."""

    request: float  # for a request that misses
    latency: float  # of it, the part that stands within each latency


def cost(trace: Trace, default_size: int) -> Cost:
    """What the loop takes by itself, on the first requests of `trace`."""
    some = trace.first(LOOP_REQUESTS)
    tally = replay(some, Nothing(), default_size, "loop")
    return Cost(tally.seconds / len(some) * 1e9, tally.get.percentile(50) or 0.0)
