"""Tags on a server: what the hints promise, and sets that race with an eviction."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from django_diskcache.engine.errors import ENOVAL
from django_diskcache.engine.patterns import beginning
from django_diskcache.server import ServerCache, browsing
from django_diskcache.server.awaitedlink import NATIVE_FROM
from django_diskcache.server.envelope import tag_name
from tests.conftest import FakeClock

from .conftest import doubting
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
    assert hints(cache, server, "old") == 1  # of the other, which was stored without tags

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


HEAD_OF_A_TEXT = b"\x01\x01\x00" + struct.pack("<d", inf)


@pytest.mark.parametrize(
    "foreign",
    [None, HEAD_OF_A_TEXT + b"\xff\xffx", HEAD_OF_A_TEXT + b"\x05\x00\x60\xeaxyzv"],
    ids=["another type", "shorter than it says", "a tag longer than all"],
)
def test_what_is_no_entry_spoils_no_eviction(
    foreign: bytes | None, server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(server)

    def fill() -> None:
        cache.set_many({f"{n}": n for n in range(300)}, tag=("tag", "other"))
        with server.client() as client:
            name = cache.engine.place("5")[0]
            if foreign is None:
                client.delete(name)
                client.rpush(name, "x")
            else:
                client.set(name, foreign)

    others = [f"{n}" for n in range(300) if n != 5]
    evictions: list[Callable[[], int]] = [
        lambda: cache.evict("tag"),
        lambda: cache.evict(("tag", "other"), match="all"),
        lambda: cache.evict([f"no {n}" for n in range(20)] + ["tag"]),
    ]
    for evict in evictions:
        fill()
        assert sorted(cache.keys_by_tag("tag")) == sorted(others)
        assert evict() == 299
    fill()
    doubting(monkeypatch)
    monkeypatch.setattr(cache, "_evict_hinted", lambda *_: ([], set()))
    assert cache.evict("tag") == 299
    assert cache.get_many(others) == {}
    cache.expire()
    assert sum(cache.faults().values()) == 0


def test_hints_of_tags_that_an_entry_has_no_more_go(server: Server, cache: ServerCache) -> None:
    many = [f"many {n}" for n in range(60)]  # more than is read at first
    for number in range(100):
        cache.set("key", number, tag=("all", f"{number}"))
    with server.client() as client:
        assert client.dbsize() == 3
        cache.set("key", 1, tag=many)
        assert client.dbsize() == 61
        cache.set("key", 1, tag="one")
        assert client.dbsize() == 2
        client.delete(cache.engine.place("key")[0])
        client.rpush(cache.engine.place("key")[0], "of another kind")
    assert cache.set("key", 1, tag="one")
    assert cache.evict("one") == 1


def test_what_expire_sweeps(server: Server, cache: ServerCache) -> None:
    cache.set_many({f"{n}": n for n in range(50)}, tag=("all", "tag"))
    for number in range(50):
        cache.set(f"user {number}", number, tag=("all", f"user {number}"))
    cache.delete_many(f"user {number}" for number in range(1, 50))
    cache.set("0", 1)  # without its tag
    cache.update("user 0", lambda old: (None, ENOVAL, None), tag="another")

    assert cache.expire() == 0

    assert hints(cache, server, "all") == hints(cache, server, "tag") == 49
    with server.client() as client:
        sets = set(client.scan_iter("django_diskcache{??}+*"))
        assert {name.partition(b"+")[2] for name in sets} == {
            tag_name("all"),
            tag_name("tag"),
        }
    assert cache.evict("tag") == 49


def test_what_an_update_removes_gets_no_hint(server: Server, cache: ServerCache) -> None:
    cache.set("key", 1)
    cache.update("key", lambda old: (None, ENOVAL, None), tag="tag")
    with server.client() as client:
        assert client.dbsize() == 0


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


def test_evictions_and_lists_take_no_place_in_the_table_of_what_is_told(
    server: Server, make_cache: Make
) -> None:
    """It is the server's, has a limit, and all near caches need it for their keys."""
    from .conftest import listening

    cache = listening(make_cache(server))
    for number in range(20):
        cache.set(f"k{number}", number, tag=("all", f"t{number}"))
        cache.get(f"{number}")  # so that its connection is one that tracks
    with server.client() as client:

        def table() -> int:
            return int(client.info("stats")["tracking_total_keys"])

        def grown(action: Callable[[], Any]) -> int:
            before = table()
            assert action()
            return table() - before

        assert grown(lambda: cache.get("missing", 1)) == 1
        everything = beginning("")
        assert grown(lambda: list(cache.keys_by_tag("all"))) == 0
        assert grown(lambda: list(cache.keys_by_tag("none")) == []) == 0
        assert grown(lambda: browsing.by_pattern(cache.engine, everything, None, 9)) == 0
        assert grown(lambda: browsing.by_tag(cache.engine, "t3", everything, None, 9)) == 0
        assert grown(lambda: browsing.tagged(cache.engine, "t4")) == 0
        assert grown(lambda: list(cache.pages())) == 0
        assert grown(lambda: list(cache.keys("k*"))) == 0
        assert grown(lambda: cache.evict("none") == 0) == 0
        assert grown(lambda: cache.evict([f"no{n}" for n in range(20)]) == 0) == 0
        assert grown(lambda: cache.evict(("all", "t1"), match="all")) <= 0
        assert grown(lambda: cache.evict("t2")) <= 0
        assert grown(lambda: cache.evict([f"t{n}" for n in range(3, 13)])) <= 0
        assert grown(cache.clear) <= 0
        assert grown(lambda: cache.get("another", 1)) == 1
    assert sum(cache.faults().values()) == 0


def test_what_is_stored_with_many_tags_takes_no_place_in_that_table(
    server: Server, make_cache: Make
) -> None:
    """Each read in a script would note all of its keys: that took seconds for 5,000 tags."""
    from .conftest import listening

    cache = listening(make_cache(server))
    cache.get("so that the connection tracks")
    tags = [f"tag {n}" for n in range(300)]

    async def awaited() -> None:
        for _ in range(NATIVE_FROM + 1):  # the last on a connection of the loop
            await cache.aget("so that it tracks as well")
            cache.engine.near.clear()
        await cache.aset("e", 1, tag=tags)
        await cache.aset_many({"f": 1, "g": 2}, tag=tags)

    with server.client() as client:

        def table() -> int:
            return int(client.info("stats")["tracking_total_keys"])

        before = table()
        assert cache.set("a", 1, tag=tags)
        assert cache.add("b", 1, tag=tags)
        assert cache.set_many({"c": 1, "d": 2}, tag=tags) == []
        assert cache.touch("a", 60)
        assert table() <= before
        asyncio.run(awaited())
        assert table() <= before + 1


def test_what_is_stored_with_a_tag_leaves_little_in_that_table(
    server: Server, make_cache: Make
) -> None:
    """Names of what is gone would stay there for ever."""
    from .conftest import listening

    cache = listening(make_cache(server))
    cache.get("one", 1)
    with server.client() as client:
        before = client.info("stats")["tracking_total_keys"]
        for number in range(50_000):
            if cache.engine.place(f"{number}")[1] % 256 == 5:
                cache.set(f"{number}", number, tag="tag", expire=100)
                cache.delete(f"{number}")
        assert hints(cache, server, "tag") < 100
        for number in range(50):
            cache.set(f"kept {number}", number, tag=f"tag {number}", expire=100)
        assert client.info("stats")["tracking_total_keys"] - before == 0
