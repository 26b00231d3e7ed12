"""Copies from a directory into a server and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import FanoutCache
from django_diskcache.engine.errors import Fault
from django_diskcache.moving.copying import Copied, Part, collections, copy, same_place
from django_diskcache.server import ServerCache, bulk
from tests.conftest import FakeClock

from .clusters import Cluster
from .conftest import patience
from .servers import Server

Make = Callable[..., ServerCache]


def copied(source: Any, target: Any, **arguments: Any) -> Copied:
    *_, last = copy(source, target, **arguments)
    return last


def fill(cache: Any) -> None:
    for number in range(250):
        cache.set(f"{number}", {"number": number}, tag="tag" if number % 2 else None)
    cache.set("text", "ä", expire=60)
    cache.set("large", b"large" * 100_000, expire=60, tag=7)
    cache.set(("a", 1), None)
    cache.set(5, 0.5)
    cache.set("over", 1, expire=1)


def test_there_and_back(
    server: Server,
    make_cache: Make,
    make_fanout: Callable[..., FanoutCache],
    clock: FakeClock,
) -> None:
    source = make_fanout("source", secret="one")
    remote = make_cache(server, secret="another", clock=clock)
    fill(source)
    clock.advance(1)

    progress = [each.done for each in copy(source, remote)]

    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert len(progress) == 4  # shards
    assert len(remote) == 254
    assert remote.get("large", expire_time=True, tag=True) == (
        b"large" * 100_000,
        clock() + 59,
        7,
    )
    assert remote.get("text", expire_time=True) == ("ä", clock() + 59)
    assert remote.get(("a", 1), 1) is None
    assert remote.get("7") == {"number": 7}

    target = make_fanout("target", secret="a third")
    assert copied(remote, target).entries == 254
    assert set(target) == set(source) - {"over"}
    for key in target:
        assert target.get(key, expire_time=True, tag=True) == source.get(
            key, expire_time=True, tag=True
        )
    assert remote.evict("tag") == target.evict("tag") == 125


def test_what_the_target_has_may_stay(
    server: Server, make_cache: Make, fanout: FanoutCache
) -> None:
    remote = make_cache(server)
    fanout.set("key", "new")
    fanout.set("other", 1)
    remote.set("key", "old")

    found = copied(fanout, remote, overwrite=False)
    assert (found.entries, found.left) == (1, {"there already": 1})
    assert remote.get("key") == "old"
    assert copied(fanout, remote).entries == 2
    assert remote.get("key") == "new"


def test_what_the_target_does_not_take(
    server: Server, make_cache: Make, fanout: FanoutCache
) -> None:
    remote = make_cache(server, serializer="json")
    fanout.set("set", {1, 2})
    fanout.set("list", [1, 2])

    found = copied(fanout, remote)
    assert (found.entries, found.refused, found.left) == (1, 1, {"refused": 1})
    assert list(found.refusals) == ["'set'"]
    assert list(remote) == ["list"]


def test_trouble_is_told(fanout: FanoutCache) -> None:
    fanout.set("key", 1)
    with ServerCache("valkey://127.0.0.1:1") as remote:
        with pytest.raises(Fault):
            copied(fanout, remote)
        with pytest.raises(Fault):
            copied(remote, fanout)
    assert copied(fanout, fanout, overwrite=False).left == {"there already": 1}


def test_pages_are_bounded(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAGE", 7)
    monkeypatch.setattr(bulk, "PAGE_BYTES", 3000)
    cache = make_cache(server)
    for number in range(100):
        cache.set(number, "x" * 250 if number % 2 else number, tag="tag")
    cache.set("large", "x" * 9000)
    make_cache(server, name="another").set("not", "ours")
    found = list(cache.pages())
    keys = [entry.key for page in found for entry in page.entries]
    assert sorted(keys, key=str) == sorted(cache, key=str)
    for page in found:
        assert len(page.entries) <= 7
        assert page.bytes <= 3000 or len(page.entries) == 1
    done = [page.done for page in found]
    assert done == sorted(done)
    assert done[-1] == 1


def test_what_may_not_be_loaded_is_told_and_stays(server: Server, make_cache: Make) -> None:
    one, another = make_cache(server), make_cache(server, secret="another")
    one.set("pickle", [1])
    one.set(("a", 1), 1)
    one.set("text", "t")
    with server.client() as client:
        client.set(one.engine.place("damaged")[0], b"what others write")
    (page, _) = another.pages()
    assert [entry.key for entry in page.entries] == ["text"]
    assert page.left == {"not signed by this site": 2, "not readable": 1}
    assert one.get("pickle") == [1]
    assert len(one) == 4


def test_caches_beside_a_cache(server: Server, make_cache: Make, fanout: FanoutCache) -> None:
    cache = make_cache(server)
    cache.cache("one").set("a", 1, tag="tag")
    cache.cache("one/two").set("a", 1)
    make_cache(server, name="another").cache("three").set("a", 1)
    with server.client() as client:  # as collections lie there
        client.rpush("django_diskcache/deque/a%7Bb{3f}=values", 1)
        client.rpush("django_diskcache/cache/one/deque/inner{3f}=values", 1)
    assert cache.collections() == [
        ("cache", "one"),
        ("cache", "one/two"),
        ("deque", "a{b"),
    ]
    assert [part[:2] for part in collections(cache) if not part.cache] == cache.collections()
    assert Part("deque", "inner", "one") in collections(cache)
    fanout.cache("a").set("a", 1)
    fanout.cache("b/c").set("a", 1)
    fanout.deque("d")
    fanout.index("e/f")
    assert collections(fanout) == [
        Part("cache", "a"),
        Part("cache", "b/c"),
        Part("deque", "d"),
        Part("index", "e/f"),
    ]


def test_collections_have_the_same_names_in_both(
    server: Server, make_cache: Make, fanout: FanoutCache
) -> None:
    remote = make_cache(server)
    for cache in (remote, fanout):
        cache.deque("a/b").append(1)
        cache.deque("{%}ä").append(1)
        cache.index("a\nb")["key"] = 1
        cache.cache("one/deque/two").set("key", 1)
    assert collections(remote) == collections(fanout)
    assert len(collections(remote)) == 4
    remote.deque("a/b").pop()  # there is nothing left of it but how far it has moved
    remote.deque("{%}ä").popleft()
    assert [kind for kind, _, _ in collections(remote)] == ["cache", "index"]


def test_clusters_are_copied_both_ways(
    cluster: Cluster, make_fanout: Callable[..., FanoutCache], clock: FakeClock
) -> None:
    source, target = make_fanout("source", secret="one"), make_fanout("target", secret="two")
    with ServerCache(cluster.urls, patience(), secret="s", clock=clock) as remote:
        fill(source)
        assert copied(source, remote).entries == 255
        assert copied(source, remote, overwrite=False).left == {"there already": 255}
        found = copied(remote, target)
        assert found.entries == 255
        assert found.done == 1
        assert set(target) == set(source)
        assert remote.evict("tag") == target.evict("tag") == 125
        assert not same_place(remote, source)
        with ServerCache(cluster.urls[1:], patience(), secret="s") as twin:
            assert same_place(remote, twin)
        with ServerCache(cluster.urls, patience(), name="another") as another:
            assert not same_place(remote, another)
