"""What goes by order instead of by key: iteration, queues, the items at the ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache
from django_diskcache.engine.queues import ORIGIN
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound


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


@pytest.fixture(params=["Cache", "FanoutCache"])
def queue(
    request: pytest.FixtureRequest,
    make_cache: Callable[..., Cache],
    make_fanout: Callable[..., FanoutCache],
) -> Any:
    make: Any = make_cache if request.param == "Cache" else make_fanout
    return make(disk_min_file_size=100)


def test_push_and_pull(queue: Any) -> None:
    assert queue.push("a") == ORIGIN
    assert queue.push("b") == ORIGIN + 1
    assert queue.push("z", side="front") == ORIGIN - 1
    assert queue.peek() == (ORIGIN - 1, "z")
    assert queue.peek(side="back") == (ORIGIN + 1, "b")
    assert queue.pull() == (ORIGIN - 1, "z")
    assert queue.pull(side="back") == (ORIGIN + 1, "b")
    assert queue.pull() == (ORIGIN, "a")
    assert queue.pull() == queue.peek() == (None, None)
    assert queue.pull(default="default") == queue.peek(default="default") == "default"
    assert queue.push("again") == ORIGIN


def test_queues_have_names(queue: Any) -> None:
    assert queue.push("a", prefix="one") == f"one-{ORIGIN}"
    assert queue.push("b", prefix="one", side="front") == f"one-{ORIGIN - 1}"
    assert queue.push("c", prefix="on") == f"on-{ORIGIN}"
    assert queue.push("d") == ORIGIN
    queue["one"] = queue["one-x"] = queue["other"] = "no entry of a queue"

    assert queue.pull(prefix="one", side="back") == (f"one-{ORIGIN}", "a")
    assert queue.pull(prefix="one") == (f"one-{ORIGIN - 1}", "b")
    assert queue.pull(prefix="one") == (None, None)
    assert queue.pull() == (ORIGIN, "d")
    assert queue.pull(prefix="on") == (f"on-{ORIGIN}", "c")


def test_queues_hold_files_tags_and_expiry(queue: Any, clock: FakeClock) -> None:
    due = clock() + 60
    queue.push(b"x" * 200, expire=60, tag="tag")
    pair = (ORIGIN, b"x" * 200)

    for take in (queue.peek, queue.pull):
        assert take(expire_time=True, tag=True) == (pair, due, "tag")
        if take == queue.peek:
            assert take(tag=True) == (pair, "tag")
            assert take(expire_time=True) == (pair, due)
    assert len(queue) == 0
    assert_sound(queue)


def test_the_expired_are_skipped_and_removed(queue: Any, clock: FakeClock) -> None:
    queue.push("short", expire=1)
    queue.push("long")
    queue.push("short file" * 20, expire=1)
    clock.advance(1)

    assert queue.peek(side="back")[1] == "long"
    assert queue.pull()[1] == "long"
    assert queue.pull() == (None, None)
    assert len(queue) == 0
    assert_sound(queue)


def test_an_unknown_side(queue: Any) -> None:
    with pytest.raises(ValueError, match="'front' or 'back'"):
        queue.push(1, side="left")
    with pytest.raises(ValueError, match="'front' or 'back'"):
        queue.pull(side="left")
    assert len(queue) == 0


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
