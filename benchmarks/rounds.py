"""How contenders take turns: in rounds of a fraction of a second, in another order each time.

What disturbs the machine for a while then disturbs them all, and none is always the one after
the slowest. Each call is timed by itself; nothing is subtracted for the clock.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from .latency import Latencies

T = TypeVar("T")
ENOUGH = 100  # calls of which a p99 is more than the slowest of them
Call = Callable[..., Any]
Arguments = Iterable[tuple[Any, ...]]
# Makes ready what is timed in the round with this number.
Turn = Callable[[int], "tuple[Call, Arguments]"]


def timed(
    call: Call, arguments: Arguments, seconds: float, before: Call | None = None
) -> list[int]:
    """Nanoseconds of each call.

    :param seconds: after this long no further call is made
    :param before: called before each call, and not timed
    """
    clock = time.perf_counter_ns
    samples = []
    end = clock() + int(seconds * 1e9)
    for each in arguments:
        if before is not None:
            before()
        start = clock()
        call(*each)
        now = clock()
        samples.append(now - start)
        if now > end:
            break
    return samples


def clock_cost() -> float:
    """Nanoseconds that the clock adds to each call, the median."""
    samples = timed(lambda: None, [()] * 10_000, 1)
    return sorted(samples)[len(samples) // 2]


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items, beginning at another place for each `by`."""
    by %= len(items) or 1
    return [*items[by:], *items[:by]]


def has_turn(number: int, share: float) -> bool:
    """Whether who gets a share of the time takes part in the round with this number, where
    turns must all be of one length because rates are compared.
    """
    return number % round(1 / share) == 0


def interleaved(
    turns: Mapping[str, Turn],
    rounds: int,
    seconds: float,
    before: Mapping[str, Call] | None = None,
    shares: Mapping[str, float] | None = None,
) -> dict[str, dict[str, float]]:
    """The latencies of each contender, after `rounds` rounds of about `seconds` each.

    Who spends several turns on one call waits until the others have had theirs.

    :param shares: of `seconds`, for contenders that get less
    """
    latencies = {name: Latencies() for name in turns}
    spent = dict.fromkeys(turns, 0.0)
    for number in range(rounds):
        for name in rotated(list(turns), number):
            turn = seconds * (shares or {}).get(name, 1)
            if spent[name] > 2 * (number + 1) * turn:
                continue
            began = time.perf_counter()
            call, arguments = turns[name](number)
            with quiet():
                samples = timed(call, arguments, turn, (before or {}).get(name))
            spent[name] += time.perf_counter() - began
            record = latencies[name].record
            for sample in samples:
                record(sample)
    return {name: summary(latency) for name, latency in latencies.items() if len(latency)}


def summary(latencies: Latencies) -> dict[str, float]:
    """What the tables show of latencies; the p99 if there are enough for one."""
    calls = len(latencies)
    found = {
        "median": latencies.percentile(50),
        "mean": latencies.mean(),
        "p99": latencies.percentile(99) if calls >= ENOUGH else None,
        "calls": float(calls),
    }
    return {name: value for name, value in found.items() if value is not None}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the garbage collector, which would fall on whose turn it happens to be."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
