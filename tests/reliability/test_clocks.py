"""Clocks that jump: by hand, by NTP, after a suspend.

What is remembered near is served for a bounded time whatever the clock does, and expiry goes by
the clock as it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache import FanoutCache
from django_diskcache.engine import nearcache
from tests.conftest import FakeClock

from .processes import in_child

JUMPS = (-10 * 365 * 86400.0, -86400.0, -3600.0, -3.0, 3600.0, 86400.0, 10 * 365 * 86400.0)
jumps = pytest.mark.parametrize("jump", JUMPS)


def set_and_die(cache: Any, key: str, value: str) -> None:
    """What a writer leaves that was killed between its commit and its stamp."""
    segment = Path(cache.directory) / "segment"
    before = segment.read_bytes()
    in_child(_set, cache.directory, key, value)
    with segment.open("r+b") as file:
        file.write(before)


def _set(directory: str, key: str, value: str) -> None:
    FanoutCache(directory)[key] = value


@jumps
def test_what_is_remembered_is_read_again_in_time(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock, jump: float
) -> None:
    cache = make_fanout()
    cache.set("key", "old")
    assert cache.get("key") == "old"
    set_and_die(cache, "key", "new")
    assert cache.get("key") == "old"  # it is remembered, which is what this test is about
    clock.advance(jump)
    # The bound holds for the time that has passed since, by the clock that now is.
    for _ in range(int(nearcache.MAX_AGE) + 1):
        cache.get("key")
        clock.advance(1)
    assert cache.get("key") == "new"


@jumps
def test_a_miss_is_forgotten_in_time(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock, jump: float
) -> None:
    cache = make_fanout()
    cache.set("key", "old")
    assert cache.get("other") is None
    clock.advance(jump)
    cache.set("other", "new")
    assert cache.get("other") == "new"


@jumps
def test_expiry_goes_by_the_clock_as_it_is(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock, jump: float
) -> None:
    cache = make_fanout()
    cache.set("before", "value", expire=10)
    assert cache.get("before") == "value"
    clock.advance(jump)
    assert cache.get("before") == (None if jump >= 10 else "value")
    assert cache.add("before", "value") is (jump >= 10)
    cache.set("after", "value", expire=10)
    assert cache.get("after") == "value"
    clock.advance(9)
    assert cache.get("after") == "value"
    clock.advance(2)
    assert cache.get("after") is None
    assert cache.expire() >= 1
    cache.set("again", [1], expire=10)
    assert cache.get("again") == [1]


@jumps
def test_a_lost_directory_is_noticed(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock, jump: float, tmp_path: Path
) -> None:
    cache = make_fanout()
    cache.set("key", "value")
    clock.advance(jump)
    (tmp_path / "fanout").rename(tmp_path / "away")
    clock.advance(1)
    cache.engine.tidy()
    assert cache.set("key", "again")
    assert (tmp_path / "fanout" / "segment").exists()
    assert cache.get("key") == "again"


@pytest.mark.parametrize(
    "policy", ["least-recently-stored", "least-recently-used", "least-frequently-used"]
)
@jumps
def test_eviction_goes_on(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock, jump: float, policy: str
) -> None:
    cache = make_fanout(eviction_policy=policy, max_entries=50)
    for number in range(100):
        cache.set(number, number)
        cache.get(number // 2)
        if number == 50:
            clock.advance(jump)
        clock.advance(0.1)
        assert cache.get(number) == number  # what was just stored is never the victim
    assert len(cache) <= 50
