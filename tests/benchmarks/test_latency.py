from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.latency import Latencies


def recorded(*values: int) -> Latencies:
    latencies = Latencies()
    for value in values:
        latencies.record(value)
    return latencies


def test_of_nothing_there_is_nothing_to_tell() -> None:
    assert len(Latencies()) == 0
    assert Latencies().mean() is None
    assert Latencies().percentile(50) is None


def test_short_latencies_are_exact() -> None:
    latencies = recorded(*range(101))
    assert len(latencies) == 101
    assert latencies.percentile(0) == 0
    assert latencies.percentile(50) == 50
    assert latencies.percentile(100) == 100


def test_a_rare_long_one_shows_in_the_mean_and_the_last_percentile() -> None:
    latencies = recorded(*[100] * 999, 1_000_000)
    assert latencies.mean() == (999 * 100 + 1_000_000) / 1000
    assert latencies.percentile(99) == 100
    assert latencies.percentile(100) == pytest.approx(1_000_000, rel=1 / 256)


@given(st.lists(st.integers(0, 2**62), min_size=1), st.floats(0, 100))
def test_percentiles_are_near_those_of_the_sorted_list(
    values: list[int], percent: float
) -> None:
    latencies = recorded(*values)
    place = max(1, math.ceil(len(values) * percent / 100))
    exact = sorted(values)[place - 1]
    assert latencies.percentile(percent) == pytest.approx(exact, rel=1 / 256)
    assert latencies.mean() == pytest.approx(sum(values) / len(values))
