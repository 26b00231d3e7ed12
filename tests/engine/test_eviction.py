"""Who goes when the cache is full: by policy, by number of entries, by size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import EVICTION_POLICY, Cache, FanoutCache
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound

Make = Callable[..., Any]
MILLION = 1_000_000


@pytest.fixture(params=["Cache", "FanoutCache"])
def make(
    request: pytest.FixtureRequest,
    make_cache: Callable[..., Cache],
    make_fanout: Callable[..., FanoutCache],
) -> Make:
    return make_cache if request.param == "Cache" else make_fanout


def filled(make: Make, clock: FakeClock, policy: str) -> Any:
    """Ten entries of a tenth of a million bytes, stored a minute after one another."""
    cache = make(eviction_policy=policy, size_limit=10 * MILLION, cull_limit=0)
    for number in range(10):
        cache[number] = b"x" * 1_100_000
        clock.advance(60)
    return cache


def keep(cache: Any, entries: int) -> list[int]:
    """Who is left when so many may stay, evicted one at a time by writes."""
    cache.reset("max_entries", entries)
    cache.reset("cull_frequency", 1000)
    cache["trigger"] = 1
    return sorted(set(cache) - {"trigger"})


def test_least_recently_stored(make: Make, clock: FakeClock) -> None:
    cache = filled(make, clock, "least-recently-stored")
    cache[0] = b"x"  # stored again
    for number in range(1, 5):
        cache.get(number)

    assert keep(cache, 5) == [0, 7, 8, 9]


def test_least_recently_used(make: Make, clock: FakeClock) -> None:
    cache = filled(make, clock, "least-recently-used")
    for number in (3, 1, 4):
        cache.get(number, tag=True)
        clock.advance(60)
    cache.get(5)  # served by the near cache the second time
    clock.advance(60)
    cache.get(5)

    assert keep(cache, 5) == [1, 3, 4, 5]


def test_least_frequently_used(make: Make, clock: FakeClock) -> None:
    cache = filled(make, clock, "least-frequently-used")
    for number in (2, 2, 2, 5, 5, 8, 8, 9):
        cache.get(number)
    clock.advance(60)

    # The key just written is never the victim, although nobody has read it.
    assert keep(cache, 4) == [2, 5, 8]
    assert "trigger" in cache


def test_none_evicts_nothing(make: Make, clock: FakeClock) -> None:
    cache = make(eviction_policy="none", size_limit=1000, max_entries=3)
    for number in range(50):
        cache[number] = b"x" * 1000

    assert len(cache) == 50
    assert cache.cull() == 0
    cache.set("short", 1, expire=1)
    clock.advance(1)
    assert cache.cull() == 1  # what has expired goes all the same


def test_a_change_of_policy_begins_anew(make: Make, clock: FakeClock) -> None:
    cache = filled(make, clock, "least-frequently-used")
    for _ in range(5):
        cache.get(0)
    cache.reset("eviction_policy", "least-recently-used")

    assert keep(cache, 4) == [7, 8, 9]


def test_policies_have_their_names() -> None:
    assert all(policy.name == name for name, policy in EVICTION_POLICY.items())


@pytest.mark.parametrize("frequency", [0, 1, 2, 3, 1000])
def test_max_entries(make: Make, clock: FakeClock, frequency: int) -> None:
    cache = make(
        max_entries=30, cull_frequency=frequency, eviction_policy="least-recently-stored"
    )
    for number in range(30):
        cache[number] = number
        clock.advance(1)
    assert len(cache) == 30
    cache[0] = 0  # no new entry
    assert len(cache) == 30

    cache["new"] = 1

    # One over the limit, or the given share of all of them; everything else when it is 0.
    gone = {0: 30, 1: 30, 2: 15, 3: 10, 1000: 1}[frequency]
    assert len(cache) == 31 - gone
    assert "new" in cache
    if gone < 30:
        assert set(cache) >= {*range(2 + gone, 30), "new"}


def test_max_entries_removes_the_expired_first(make: Make, clock: FakeClock) -> None:
    cache = make(max_entries=30, cull_frequency=3)
    for number in range(20):
        cache[number] = number
        clock.advance(1)
    for number in range(20, 30):
        cache.set(number, number, expire=1)
    clock.advance(1)

    cache["new"] = 1

    assert sorted(set(cache) - {"new"}) == list(range(20))


def test_size_limit_holds_after_every_write(make: Make, clock: FakeClock) -> None:
    limit = 5 * MILLION
    cache = make(
        size_limit=limit, disk_min_file_size=50_000, eviction_policy="least-recently-stored"
    )
    worst = 0
    for number in range(400):
        cache[number] = b"x" * (1000 if number % 2 else 60_000)
        clock.advance(1)
        worst = max(worst, cache.volume())

    assert worst <= limit
    assert 399 in cache
    kept = sorted(cache)
    assert kept == list(range(400 - len(kept), 400))
    assert len(kept) > 50
    assert_sound(cache)


def test_cull_goes_no_further_than_it_must(make: Make, clock: FakeClock) -> None:
    limit = 10 * MILLION
    cache = make(size_limit=limit, cull_limit=0, eviction_policy="least-recently-stored")
    for number in range(60):
        cache[number] = b"x" * 300_000
        clock.advance(1)
    assert cache.volume() > limit

    assert cache.cull() == 60 - len(cache)

    kept = sorted(cache)
    assert kept == list(range(60 - len(kept), 60))
    # It evicts ten at a time.
    assert limit - 10 * 310_000 <= cache.volume() <= limit
    assert cache.cull() == 0
    assert_sound(cache)
