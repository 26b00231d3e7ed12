"""Evictions by tag where the server evicts as well: hints go before their entries."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.server import ServerCache, doubts
from django_diskcache.server.envelope import tag_name
from django_diskcache.server.scripts import LISTED, Script

from .clusters import Cluster
from .conftest import doubting
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
    doubting(monkeypatch)
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
    doubting(monkeypatch)
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
        monkeypatch.undo()
        monkeypatch.setattr(cache, "_run_listed", None)
        assert cache.evict("other") == 100  # by their hints, which they have again


def test_what_a_server_tells_that_is_no_number(cache: ServerCache) -> None:
    """A proxy, say, that has an INFO of its own."""

    class Odd:
        name = "odd"

        def ask(self, *command: bytes) -> bytes:
            return b"maxmemory_policy:allkeys-lru\r\nmaxmemory:1gb\r\nevicted_keys:-\r\nx"

    node: Any = Odd()
    told = doubts.ask(node)
    assert (told.evicted, told.commands, told.evicts, told.nearly_full) == (0, 0, False, False)
    assert not doubts.doubted(cache.engine, [told], {}, True)


def doubted(cache: ServerCache) -> bool:
    """Whether the next eviction would look at all entries of some server."""
    told = [doubts.ask(node) for node in cache.engine.link.nodes()]
    return bool(doubts.doubted(cache.engine, told, cache.engine.noted(), True))


def without_hints(own_server: Start, make_cache: Make) -> tuple[Server, ServerCache]:
    """A server that has evicted the hint of an entry, and a cache that has not seen it."""
    server = own_server("--maxmemory-policy", "allkeys-random")
    cache = make_cache(server, timeout=5.0, near_cache_size=0)
    cache.set("key", 1, tag="tag")
    with server.client() as client:
        before = client.info("memory")["used_memory"]
        client.config_set("maxmemory", before + 100_000)
        for number in range(1000):
            cache.set(f"{number}", b"x" * 1000)
            if client.info("stats")["evicted_keys"]:
                break
        client.config_set("maxmemory", before * 4)
        cache.set("key", 1, tag="tag")  # or chance has taken it
        for bucket in range(256):
            client.delete(cache.engine.hints(bucket, tag_name("tag")))
    return server, cache


def test_another_policy_brings_no_hints_back(own_server: Start, make_cache: Make) -> None:
    server, cache = without_hints(own_server, make_cache)
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")

    assert cache.keys_by_tag("tag") == ["key"]
    assert cache.evict("tag") == 1


def test_what_was_evicted_is_known_though_its_count_begins_anew(
    own_server: Start, make_cache: Make
) -> None:
    server, cache = without_hints(own_server, make_cache)
    assert cache.evict("none") == 0  # somebody has noticed
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_resetstat()

    assert make_cache(server, timeout=5.0).evict("tag") == 1


def test_what_is_cleared_has_all_its_hints_from_then_on(
    own_server: Start, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, cache = without_hints(own_server, make_cache)
    assert cache.evict("none") == 0
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        assert client.info("stats")["evicted_keys"] > 0

    cache.clear()

    monkeypatch.setattr(cache, "_run_listed", None)
    cache.set("key", 1, tag="tag")
    assert cache.evict("tag") == 1
    with server.client() as client:
        client.config_resetstat()
    assert not doubted(make_cache(server))


def forget_hints(cache: ServerCache, server: Server) -> None:
    """Remove all hints, as a server does that evicts."""
    with server.client() as client:
        for name in client.scan_iter("django_diskcache{??}+*"):
            client.delete(name)


def noted(cache: ServerCache) -> dict[bytes, int]:
    return {n: number for n, number in cache.engine.noted().items() if n != doubts.LOST}


EVICTS = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")


def test_counts_that_began_anew_before_anybody_noticed(
    own_server: Start, make_cache: Make
) -> None:
    server, _ = without_hints(own_server, make_cache)
    with server.client() as client:
        client.config_resetstat()

    assert make_cache(server, timeout=5.0).evict("tag") == 1


def test_a_restart_before_anybody_noticed(own_server: Start, make_cache: Make) -> None:
    server, cache = without_hints(own_server, make_cache)
    with server.client() as client:
        client.save()
    server.kill()
    server.options = EVICTS
    server.start()

    assert cache.evict("tag") == 1


def test_counts_that_began_anew_after_all_was_well(own_server: Start, make_cache: Make) -> None:
    server = own_server(*EVICTS)
    cache = make_cache(server)
    cache.set_many({f"{number}": 1 for number in range(500)})  # which are commands
    assert cache.evict("none") == 0
    assert not doubted(cache)
    cache.set("key", 1, tag="tag")
    forget_hints(cache, server)

    with server.client() as client:
        client.config_resetstat()

    assert cache.evict("tag") == 1
    assert not doubted(cache)


def test_what_is_noted_grows_with_what_the_server_counts(
    own_server: Start, make_cache: Make
) -> None:
    """Else counts that began anew would soon be as high as what was noted long ago."""
    server = own_server(*EVICTS)
    cache = make_cache(server, near_cache_size=0)
    assert cache.evict("none") == 0
    before = max(noted(cache).values())
    for _ in range(2 * before):
        cache.get("key")
    assert max(noted(cache).values()) == before

    assert cache.evict("none") == 0

    assert max(noted(cache).values()) > 2 * before


def test_a_note_that_is_evicted_is_no_proof(own_server: Start, make_cache: Make) -> None:
    server = own_server(*EVICTS)
    cache = make_cache(server)
    assert cache.evict("none") == 0
    cache.set("key", 1, tag="tag")
    forget_hints(cache, server)
    with server.client() as client:
        assert client.delete("django_diskcache{00}*hints") == 1

    assert cache.evict("tag") == 1


def test_a_doubt_ends_when_all_was_looked_at(
    own_server: Start,
    make_cache: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = own_server(*EVICTS)
    cache = make_cache(server)
    cache.set("gone", 1, tag="a")
    for number in range(200):  # more than a set of hints in which others are looked at
        cache.set(f"short:{number}", 1, tag=("b", "c"), expire=1000)
    cache.set("long", 1, tag=("c", "b"), expire=5000)
    cache.set("ever", 1, tag="c")
    forget_hints(cache, server)
    assert doubted(cache)

    assert cache.evict("a") == 1

    assert "looks at every entry" in caplog.text
    assert not doubted(cache)
    monkeypatch.setattr(cache, "_run_listed", None)
    with server.client() as client:
        ends = {
            (key, tag): client.ttl(
                cache.engine.hints(cache.engine.place(key)[1] & 255, tag_name(tag))
            )
            for key, tag in [("long", "b"), ("long", "c"), ("ever", "c")]
        }
    assert 4900 < ends["long", "b"] <= 5000
    assert 4900 < ends["long", "c"] <= 5000
    assert ends["ever", "c"] == -1
    assert len(cache.keys_by_tag("b")) == 201
    assert cache.evict("b") == 201
    assert cache.evict("c") == 1
    assert make_cache(server).evict("none") == 0


def test_a_sweep_ends_it_as_well(
    own_server: Start, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server(*EVICTS)
    cache = make_cache(server)
    cache.set("key", 1, tag="tag")
    forget_hints(cache, server)

    assert cache.expire() == 0

    monkeypatch.setattr(cache, "_run_listed", None)
    assert cache.evict("tag") == 1


def test_a_server_that_is_nearly_full_stays_in_doubt(
    own_server: Start, make_cache: Make
) -> None:
    """What would be mended would go again."""
    server = own_server("--maxmemory-policy", "allkeys-lru")
    cache = make_cache(server, near_cache_size=0)
    cache.set("one", 1, tag="one")
    cache.set("two", 1, tag="two")
    with server.client() as client:
        cache.set("large", b"x" * client.info("memory")["used_memory"] * 20)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.05))
    forget_hints(cache, server)

    assert cache.evict("one") == 1

    assert doubted(cache)
    assert cache.keys_by_tag("two") == ["two"]
    assert cache.expire() == 0
    assert doubted(cache)
    cache.clear()
    assert not doubted(cache)


def test_a_server_that_evicts_nothing_is_not_doubted_for_a_restart(
    own_server: Start, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server("--maxmemory", "100mb")
    cache = make_cache(server)
    cache.set("key", 1, tag="tag")
    with server.client() as client:
        client.save()
    server.kill()
    server.start()

    monkeypatch.setattr(cache, "_run_listed", None)
    assert cache.evict("tag") == 1


def away() -> Any:
    raise Fault("lost", "somewhere", "away")


@pytest.mark.parametrize("evicts", [True, False])
@pytest.mark.parametrize("evicted", [0, 7])
def test_where_the_note_is_not_known_nothing_is_noted(
    evicts: bool, evicted: int, cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.engine, "note", None)
    (node,) = cache.engine.link.nodes()
    told = [doubts.Told(node, b"run", evicted, 1000, evicts, False)]

    found = doubts.doubted(cache.engine, told, None, True)

    assert found == (told if evicts or evicted else [])
    assert not doubts.keeping(cache.engine)


def test_a_note_that_cannot_be_read_marks_nobody(
    own_server: Start, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, cache = without_hints(own_server, make_cache)
    assert cache.evict("none") == 0  # it is noted that all are there again
    before = cache.engine.noted()
    with monkeypatch.context() as patch:
        patch.setattr(cache.engine, "noted", away)
        patch.setattr(cache.engine, "note", None)
        cache.set("key", 1, tag="tag")
        forget_hints(cache, server)

        assert cache.evict("tag") == 1

    assert cache.engine.noted() == before
    assert cache.faults()["lost"] == 1


def test_where_the_first_node_is_away_no_note_is_asked_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(node: Any) -> doubts.Told:
        if node is first:
            away()
        return doubts.Told(node, node.name.encode(), 7, 1000, True, False)

    with ServerCache(cluster.urls, timeout=10, secret="secret") as cache:
        cache.set_many({f"key:{n}": n for n in range(100)}, tag="tag")
        first, *_ = cache.engine.link.nodes()
        there = sum(
            cache.engine.link.at(cache.engine.place(f"key:{n}")[1] & 255) is not first
            for n in range(100)
        )
        monkeypatch.setattr(doubts, "ask", ask)
        monkeypatch.setattr(cache.engine, "noted", None)
        monkeypatch.setattr(cache.engine, "note", None)
        monkeypatch.setattr(cache, "_evict_hinted", lambda *_: ([], set()))

        assert cache.evict("tag") == there

        monkeypatch.setattr(cache, "_evict_hinted", lambda *_: ([], {first}))
        assert cache.set_many({f"key:{n}": n for n in range(100)}, tag="tag") == []
        assert cache.evict("tag") == there
        assert cache.faults()["lost"] == 1  # it was not asked again


def test_a_topology_that_cannot_be_asked_for_is_a_fault_as_any(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_evict_hinted", lambda *_: ([], set()))
    monkeypatch.setattr(cache.engine.link, "at", lambda bucket: away())
    assert cache.evict("tag") == 0

    monkeypatch.setattr(cache.engine.link, "nodes", away)
    monkeypatch.setitem(doubts._keeping, cache.engine, 0.0)
    assert cache.evict("tag") == 0
    assert not doubts.keeping(cache.engine)  # nobody has told that


def test_the_hint_of_what_ends_just_now_is_not_for_ever(
    cache: ServerCache, server: Server
) -> None:
    cache.set("key", 1, tag="tag", expire=1000)
    name, number, _ = cache.engine.place("key")
    hints = cache.engine.hints(number & 255, tag_name("tag"))
    (node,) = cache.engine.link.nodes()
    no_time_left = """
local real = redis
local redis = setmetatable({call = function(command, key, ...)
  if command == 'PTTL' and key == KEYS[1] then return 0 end
  return real.call(command, key, ...)
end}, {__index = real})
"""
    script = Script(no_time_left + LISTED.text.decode())
    with server.client() as client:
        client.delete(hints)

        node.run(script, [name], b"mend", b"1")

        assert client.pttl(hints) in (-2, 0, 1)
