"""Tags on a server: what the hints promise, and sets that race with an eviction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.server import ServerCache
from django_diskcache.server.envelope import tag_name
from tests.conftest import FakeClock

from .servers import Server

Make = Callable[..., ServerCache]


def hints(cache: ServerCache, server: Server, tag: Any) -> int:
    """How many names the sets of hints of a tag have, in all."""
    engine = cache.engine
    with server.client() as client:
        return sum(
            client.scard(engine.hints(bucket, tag_name(tag)))
            for bucket in range(len(engine.heads))
        )


def test_evict(cache: ServerCache) -> None:
    for number in range(30):
        cache.set(f"{number}", b"v" * (number * 100), tag=("even", "odd")[number % 2])
    cache.set("untagged", 1)

    assert cache.evict("even") == 15
    assert cache.evict("even") == 0
    assert cache.evict("unknown") == 0
    assert {key for key in cache if key != "untagged"} == {str(n) for n in range(1, 30, 2)}
    assert cache.get("1", tag=True)[1] == "odd"


def test_several_tags(cache: ServerCache) -> None:
    cache.set("both", 1, tag=("a", 7))
    cache.set("one", 2, tag=["a"])
    cache.set("none", 3, tag=())
    cache.add("added", 4, tag={"b"})
    cache.set_many({"m1": 5, "m2": 6}, tag=("b", "a"))

    assert cache.get("both", tag=True) == (1, ("a", 7))
    assert cache.get("one", tag=True) == (2, "a")
    assert cache.get("none", tag=True) == (3, None)
    assert cache.get("m1", tag=True) == (5, ("b", "a"))
    assert cache.evict(7.0) == 1
    assert cache.evict("a") == 3
    assert cache.evict("b") == 1
    assert list(cache) == ["none"]


def test_evict_of_any_of_several(cache: ServerCache) -> None:
    cache.set("1", 1, tag="a")
    cache.set("2", 2, tag=("a", "b"))
    cache.set("3", 3, tag="c")

    assert cache.evict(("a", "b", "d")) == 2
    assert list(cache) == ["3"]


def test_the_entry_says_which_tags_it_has(cache: ServerCache, server: Server) -> None:
    """A hint of an earlier entry under the same key does no harm."""
    cache.set("key", 1, tag="old")
    cache.set("key", 2, tag="new")
    cache.set("other", 3, tag="old")
    cache.set("other", 4)
    assert hints(cache, server, "old") == 2

    assert cache.evict("old") == 0

    assert cache.get("key") == 2
    assert cache.get("other") == 4
    assert hints(cache, server, "old") == 0
    assert cache.evict("new") == 1


def test_a_tag_that_is_the_beginning_of_another(cache: ServerCache) -> None:
    cache.set("1", "tag", tag="t" * 300)
    cache.set("2", "tag", tag="t" * 299)
    cache.set("3", "t" * 300)

    assert cache.evict("t" * 298) == 0
    assert cache.evict("t" * 300) == 1
    assert sorted(cache) == ["2", "3"]


def test_hints_live_as_long_as_what_they_are_for(server: Server, cache: ServerCache) -> None:
    """In one bucket, whose set of hints all entries share."""
    keys: list[str] = []
    number = 0
    while len(keys) < 4:
        if cache.engine.place(f"{number}")[1] & 255 == 3:
            keys.append(f"{number}")
        number += 1
    name = cache.engine.hints(3, tag_name("tag"))
    with server.client() as client:
        cache.set(keys[0], 1, expire=100, tag="tag")
        assert 50_000 < client.pttl(name) <= 100_000
        cache.set(keys[1], 1, expire=50, tag="tag")
        assert 50_000 < client.pttl(name) <= 100_000
        cache.set(keys[1], 1, expire=500, tag="tag")
        assert 200_000 < client.pttl(name) <= 500_000
        cache.touch(keys[0], 900)
        assert 600_000 < client.pttl(name) <= 900_000
        cache.touch(keys[0])
        assert client.pttl(name) == -1
        cache.set(keys[2], 1, expire=50, tag="tag")
        assert client.pttl(name) == -1
    assert cache.evict("tag") == 3


def test_touch_brings_back_a_hint(server: Server, cache: ServerCache) -> None:
    cache.set("key", 1, expire=100, tag="tag")
    with server.client() as client:
        client.delete(cache.engine.hints(cache.engine.place("key")[1] & 255, b"ttag"))

    assert cache.touch("key", 500)

    assert cache.evict("tag") == 1


def test_hints_of_what_is_gone_do_not_pile_up(server: Server, cache: ServerCache) -> None:
    """Thousands of entries come and go under one tag, in one bucket."""
    keys = [
        key
        for key in (f"{number}" for number in range(300_000))
        if cache.engine.place(key)[1] & 255 == 3
    ]
    assert len(keys) > 1000

    for start in range(0, 1000, 100):
        some = keys[start : start + 100]
        cache.set_many(dict.fromkeys(some, 1), tag="tag")
        cache.delete_many(some)

    assert hints(cache, server, "tag") < 400


@pytest.mark.parametrize("several", [False, True], ids=["one", "many"])
def test_a_set_that_races_with_an_eviction_is_evicted_or_stays_whole(
    server: Server, make_cache: Make, several: bool
) -> None:
    """What stays is found by its tag, and evicted the next time."""
    caches = [make_cache(server, timeout=10) for _ in range(3)]
    done = threading.Event()
    stored = 0

    def store(cache: ServerCache, first: int) -> None:
        nonlocal stored
        for number in range(first, first + 300):
            if several:
                assert cache.set_many({f"{number}": number}, tag=("tag", number)) == []
            else:
                assert cache.set(f"{number}", number, tag=("tag", number))
            stored += 1

    evicted = 0

    def evict() -> None:
        nonlocal evicted
        while not done.is_set():
            evicted += caches[2].evict("tag")

    threads = [
        threading.Thread(target=store, args=(cache, n * 300))
        for n, cache in enumerate(caches[:2])
    ]
    evicting = threading.Thread(target=evict)
    evicting.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    evicting.join()

    left = list(caches[0])
    assert all(caches[0].get(key, tag=True) == (int(key), ("tag", int(key))) for key in left)
    assert caches[0].evict("tag") == len(left)
    assert evicted + len(left) == 600
    assert len(caches[0]) == 0


def test_clear_leaves_the_hints_of_what_is_stored_meanwhile(
    server: Server, cache: ServerCache, make_cache: Make, monkeypatch: Any
) -> None:
    other = make_cache(server)
    for number in range(300):
        cache.set(f"{number}", number, tag="tag")
    (node,) = cache.engine.link.nodes()
    ask_many = node.ask_many

    def slowly(commands: Any) -> Any:
        monkeypatch.undo()
        replies = ask_many(commands)
        for number in range(1000, 1300):
            other.set(f"{number}", number, tag="tag")
        return replies

    monkeypatch.setattr(node, "ask_many", slowly)
    assert cache.clear() >= 300

    left = len(cache)
    assert left > 0
    assert cache.evict("tag") == left
    cache.set("key", 1, tag="tag")
    assert cache.clear() == 1
    assert hints(cache, server, "tag") == 0


def test_evicted_entries_are_forgotten(server: Server, make_cache: Make) -> None:
    from .conftest import listening

    cache = listening(make_cache(server))
    cache.set("key", 1, tag="tag")
    assert cache.get("key") == 1

    assert cache.evict("tag") == 1

    assert cache.get("key") is None


def test_expiry_of_a_tagged_entry(server: Server, make_cache: Make, clock: FakeClock) -> None:
    cache = make_cache(server, clock=clock)
    cache.set("key", 1, expire=60, tag="tag")
    cache.set("gone", 1, expire=0, tag="tag")
    cache.add("gone", 1, expire=-1, tag="tag")

    assert cache.get("key", expire_time=True, tag=True) == (1, clock() + 60, "tag")
    assert "gone" not in cache
    with server.client() as client:
        assert 30_000 < client.pttl(cache.engine.place("key")[0]) <= 60_000
