"""What a cache tells of the entries that it removes by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from django_diskcache.engine import Cache, FanoutCache
from tests.conftest import FakeClock


def test_each_batch_is_told_with_its_reason(
    make_fanout: Callable[..., FanoutCache], clock: FakeClock
) -> None:
    cache = make_fanout(max_entries=20, cull_frequency=10)
    told: list[tuple[str, int, int]] = []

    def handler(*removed: object) -> None:
        told.append(removed)  # type: ignore[arg-type]

    cache.on_removal(handler)
    cache.on_removal(handler)
    make_fanout(max_entries=20, cull_frequency=10)  # another object of the same engine
    for number in range(30):
        cache.set(number, b"x" * 50, expire=60)
    assert {reason for reason, _, _ in told} == {"entries"}
    assert sum(count for _, count, _ in told) == cache.evictions()["entries"] > 0
    assert sum(size for _, _, size in told) == cache.evictions()["freed"]
    told.clear()
    left = len(cache)
    clock.advance(100)
    assert cache.expire() == left
    assert sum(count for reason, count, _ in told if reason == "expired") == left


def test_nothing_is_told_of_what_was_rolled_back_or_asked_for(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache()
    told: list[object] = []
    cache.on_removal(lambda *removed: told.append(removed))
    cache.set("tagged", 1, tag="tag")
    cache.set("soon", 1, expire=5)
    cache.evict("tag")
    clock.advance(10)
    with pytest.raises(RuntimeError), cache.transact():
        assert cache.expire() == 1
        raise RuntimeError
    assert told == []
    with cache.transact():
        assert cache.expire() == 1
        assert told == []
    assert told == [("expired", 1, 0)]


def test_what_a_handler_raises_is_logged(
    make_cache: Callable[..., Cache], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*removed: object) -> None:
        raise RuntimeError("broken")

    cache = make_cache()
    cache.on_removal(fail)
    cache.set("soon", 1, expire=5)
    clock.advance(10)
    with caplog.at_level(logging.ERROR):
        assert cache.expire() == 1
    assert "broken" in caplog.text
