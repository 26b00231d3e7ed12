"""Evictions by tag where the server evicts as well: hints go before their entries."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from django_diskcache.server import ServerCache, gauges
from django_diskcache.server.envelope import tag_name

from .clusters import Cluster
from .servers import Server

Make = Callable[..., ServerCache]
Start = Callable[..., Server]
TAGS = [f"tag:{n}" for n in range(100)]


def tagged(cache: ServerCache) -> list[str]:
    return [key for key in cache if cache.get(key, tag=True)[1] is not None]


@pytest.mark.parametrize(
    "policy",
    [
        "allkeys-random",
        pytest.param("allkeys-lru", marks=pytest.mark.long),
        pytest.param("volatile-ttl", marks=pytest.mark.long),
    ],
)
def test_under_memory_pressure_nothing_with_the_tag_is_left(
    policy: str, own_server: Start, make_cache: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server = own_server("--maxmemory", "6mb", "--maxmemory-policy", policy)
    cache = make_cache(server, near_cache_size=0)
    with server.client() as client:
        for number in range(1000):
            some = {f"other:{number}:{n}": b"v" * 500 for n in range(100)}
            cache.set_many(some, expire=600 + number)
            if int(client.info("stats")["evicted_keys"]) > 1000:
                break
        for number, tag in enumerate(TAGS):
            some = {f"{tag}:{n}": b"v" * 500 for n in range(40)}
            cache.set_many(some, expire=600 + number, tag=tag)
        lost = sum(
            not client.exists(
                cache.engine.hints(cache.engine.place(key)[1] & 255, tag_name(tag))
            )
            for key in tagged(cache)
            for tag in [key.rpartition(":")[0]]
        )
        assert int(client.info("stats")["evicted_keys"]) > 1000
    assert tagged(cache)
    if policy == "allkeys-random":
        assert lost > 0  # of others it is a matter of chance

    with caplog.at_level(logging.WARNING, "django_diskcache"):
        assert cache.evict(TAGS) > 0

    assert tagged(cache) == []
    assert len(cache) > 0
    assert "looks at every entry" in caplog.text


def test_where_nothing_is_evicted_the_hints_are_enough(
    own_server: Start, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server("--maxmemory", "100mb")
    cache = make_cache(server)
    monkeypatch.setattr(cache, "_run_listed", None)
    asked = []
    for _ in range(3):
        cache.set("key", 1, tag="tag")
        assert cache.evict("tag") == 1
        with server.client() as client:
            asked.append(client.info("commandstats")["cmdstat_info"]["calls"])
    # The client of this test asks as well, once before each look.
    assert asked == list(range(asked[0], asked[0] + 3))


def test_which_entries_are_found(
    cache: ServerCache, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tuple(f"tag number {n}" for n in range(60))  # they fill more than the first look
    cache.set("one", 1, tag="a")
    cache.set("two", 2, tag=("b", "a"))
    cache.set("many", 3, tag=many)
    cache.set("none", 4)
    cache.set("text", "long enough to have a header of its own, and a with it")
    cache.incr("number")
    monkeypatch.setattr(gauges, "hints_may_be_gone", lambda node: True)
    with server.client() as client:
        for bucket in range(256):
            for tag in ("a", "b", *many[-1:]):
                client.delete(cache.engine.hints(bucket, tag_name(tag)))

    assert (
        sorted(cache.keys_by_tag(("a", "b"))) == sorted(cache.keys(tag="a")) == ["one", "two"]
    )
    assert cache.keys_by_tag(("a", "b"), match="all") == ["two"]
    assert cache.keys_by_tag("c") == []
    assert cache.evict("c") == 0
    assert cache.evict(("a", "b"), match="all") == 1
    cache.set("two", 2, tag="a")
    assert cache.evict("a") == 2
    assert cache.evict((many[-1], many[0])) == 1
    assert sorted(cache) == ["none", "number", "text"]


def test_in_a_cluster(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "hints_may_be_gone", lambda node: True)
    with ServerCache(cluster.urls, timeout=10, secret="secret") as cache:
        cache.set_many({f"key:{n}": n for n in range(500)}, tag="tag")
        cache.set_many({f"other:{n}": n for n in range(100)}, tag="other")
        for node in cluster.nodes:
            with node.client() as client:
                for name in client.scan_iter("django_diskcache{??}+*"):
                    client.delete(name)
        assert len(cache.keys_by_tag("tag")) == 500
        assert cache.evict("tag") == 500
        assert len(cache) == 100
