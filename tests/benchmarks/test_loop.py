from __future__ import annotations

from array import array

from benchmarks import loop
from benchmarks.traces import Trace


class Remembering(dict[str, bytes]):
    """A cache that is a dict; `spoil` makes it mistaken."""

    def set(self, key: str, value: bytes) -> bool:
        self[key] = value
        return True


class Mistaken(Remembering):
    def get(self, key: str, default: object = None) -> bytes | None:  # type: ignore[override]
        return next(iter(self.values()), None)


class Refusing(Remembering):
    def set(self, key: str, value: bytes) -> bool:
        return False


def trace_of(keys: list[int], sizes: list[int] | None = None) -> Trace:
    return Trace("made", array("q", keys), None if sizes is None else array("q", sizes))


def test_a_miss_is_set_and_then_hit() -> None:
    cache = Remembering()
    tally = loop.replay(trace_of([1, 2, 1, 1, 3]), cache, 20, "dict")
    assert (tally.hits, tally.misses, tally.refused, tally.wrong) == (2, 3, 0, 0)
    assert (len(tally.get), len(tally.set)) == (5, 3)
    assert tally.seconds > 0
    assert {key: len(value) for key, value in cache.items()} == {"1": 20, "2": 20, "3": 20}


def test_values_have_the_sizes_of_the_trace_and_may_change_them() -> None:
    cache = Remembering()
    tally = loop.replay(trace_of([1, 2, 1, 3], [0, 70000, 5, 3]), cache, 20, "dict")
    assert (tally.hits, tally.wrong) == (1, 0)
    assert {key: len(value) for key, value in cache.items()} == {"1": 0, "2": 70000, "3": 3}


def test_a_trace_longer_than_a_step_is_sent_whole() -> None:
    keys = list(range(loop.STEP * 2 + 1))
    tally = loop.replay(trace_of(keys, keys), Remembering(), 20, "dict")
    assert tally.misses == len(keys)


def test_wrong_values_are_seen() -> None:
    tally = loop.replay(trace_of([1, 1, 2, 3]), Mistaken(), 20, "mistaken")
    assert (tally.hits, tally.wrong) == (3, 2)


def test_refused_sets_are_counted() -> None:
    tally = loop.replay(trace_of([1, 1]), Refusing(), 20, "refusing")
    assert (tally.hits, tally.misses, tally.refused) == (0, 2, 2)


def test_the_cost_of_the_loop_is_measured() -> None:
    cost = loop.cost(trace_of([1, 2, 3]), 20)
    assert cost.request > 0
    assert cost.latency >= 0
