"""What goes by order instead of by key: iteration, the items at the ends."""

from __future__ import annotations

import pytest

from django_diskcache.engine import Cache, FanoutCache
from tests.conftest import FakeClock


def test_iteration_is_in_order_of_insertion(cache: Cache) -> None:
    keys = ["b", 3, b"x", (2,), "a", None, 1.5]
    for key in keys:
        cache[key] = 1
    cache["b"] = 2  # an overwrite keeps its place
    del cache[3]
    cache[3] = 1

    expected = ["b", b"x", (2,), "a", None, 1.5, 3]
    assert list(cache) == expected
    assert list(reversed(cache)) == expected[::-1]


def test_iterkeys_is_in_order_of_keys(cache: Cache) -> None:
    for key in ["b", b"y", 10, "a", 9.5, b"x", -1, "ä"]:
        cache[key] = 1

    expected = [-1, 9.5, 10, "a", "b", "ä", b"x", b"y"]
    assert list(cache.iterkeys()) == expected
    assert list(cache.iterkeys(reverse=True)) == expected[::-1]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_iteration_over_pages(cache: Cache, count: int) -> None:
    cache.set_many(dict.fromkeys(range(count), 1))

    assert list(cache) == list(cache.iterkeys()) == list(range(count))
    assert list(reversed(cache)) == list(cache.iterkeys(reverse=True))
    assert list(reversed(cache)) == list(range(count))[::-1]


def test_iteration_while_keys_come_and_go(cache: Cache) -> None:
    cache.set_many(dict.fromkeys(range(300), 1))
    seen = []
    for key in cache.iterkeys():
        seen.append(key)
        cache.delete(key)
        cache.delete(key + 1)
        cache[-1 - key] = 1  # behind it

    assert set(range(0, 300, 101)) <= set(seen) <= set(range(300))
    assert seen == sorted(seen)


def test_fanout_iteration(fanout: FanoutCache) -> None:
    fanout.set_many(dict.fromkeys(range(300), 1))

    assert sorted(fanout) == list(range(300))
    assert list(reversed(fanout)) == list(fanout)[::-1]
    assert sorted(fanout.iterkeys()) == list(range(300))
    assert list(fanout.iterkeys(reverse=True)) == list(fanout.iterkeys())[::-1]


def test_peekitem(cache: Cache, clock: FakeClock) -> None:
    with pytest.raises(KeyError):
        cache.peekitem()
    cache.set("a", 1, expire=1)
    cache.set("b", 2, expire=60, tag="tag")
    cache.set(("c",), "x" * 100_000)
    cache.set("d", 4, expire=1)
    assert cache.peekitem() == ("d", 4)
    assert cache.peekitem(last=False) == ("a", 1)
    due = clock() + 60
    clock.advance(1)

    assert cache.peekitem() == (("c",), "x" * 100_000)
    assert cache.peekitem(False, expire_time=True, tag=True) == (("b", 2), due, "tag")
    assert cache.peekitem(False, tag=True) == (("b", 2), "tag")
    assert len(cache) == 2  # it removed what had expired
    cache.clear()
    with pytest.raises(KeyError):
        cache.peekitem(last=False)


def test_peekitem_of_shards(fanout: FanoutCache) -> None:
    with pytest.raises(KeyError):
        fanout.peekitem()
    for number in range(20):
        fanout[number] = -number
    for last in (True, False):
        key, value = fanout.peekitem(last)
        assert value == -key
        assert key == next(reversed(fanout) if last else iter(fanout))
