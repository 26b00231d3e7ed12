"""What a cache on a server does, beside what the conformance suite holds it to."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakSet

import pytest

from django_diskcache.engine import compression
from django_diskcache.engine.compression import Missing
from django_diskcache.engine.disk import JSONDisk
from django_diskcache.engine.errors import ENOVAL, Timeout, Unavailable
from django_diskcache.engine.impatient import impatient, on_loop
from django_diskcache.server import ServerCache
from django_diskcache.server.board import present
from tests.conftest import FakeClock

from .conftest import listening
from .servers import PATIENCE, Server, until

Make = Callable[..., ServerCache]


class Trap:
    """Something that says so when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.putenv, ("DJANGO_DISKCACHE_TRAP", "sprung")


def test_many_keys_take_one_round_trip(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    items = {f"key-{number}": number for number in range(500)}
    cache.get("warm")
    with server.client() as client:
        client.config_resetstat()
        assert cache.set_many(items) == []
        assert cache.get_many(items) == items
        assert cache.delete_many([*items, "missing"]) == 500
        calls = client.info("commandstats")
    assert calls["cmdstat_set"]["calls"] == 500
    assert calls["cmdstat_mget"]["calls"] == 1
    assert calls["cmdstat_unlink"]["calls"] == 1


def test_get_many_remembers_what_it_reads(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set_many({"a": 1, "b": [2]})
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}

    assert all(cache.engine.near.knows(key) is not None for key in "abc")
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}
    cache.get_many(["b"])["b"].append(3)
    assert cache.get("b") == [2]


def test_what_expires_at_once(cache: ServerCache) -> None:
    cache.set("key", 1)
    assert cache.set("key", 2, expire=0) is True
    assert "key" not in cache
    cache.set("key", 1)
    assert cache.set_many({"key": 2, "other": 3}, expire=-1) == []
    assert len(cache) == 0
    assert cache.add("key", 1, expire=0) is True
    assert cache.set("key", 1)
    assert cache.add("key", 1, expire=0) is False


def test_a_life_that_is_longer_than_the_server_can_say(cache: ServerCache) -> None:
    assert cache.set("key", 1, expire=1e300)
    assert cache.get("key", expire_time=True) == (1, None)
    assert cache.touch("key", 1e300)
    assert cache.set("key", 1, expire=1e300, tag="tag")
    assert cache.get("key", expire_time=True) == (1, None)


def test_many_keys_of_which_some_cannot_be_read_here(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package that they are compressed with is missing: it is said once, and they stay."""
    cache = make_cache(server, compression="zlib", compression_min_size=100)
    names = [f"{number}" for number in range(10)]
    cache.set_many({**dict.fromkeys(names[:3], "text" * 50), **dict.fromkeys(names[3:], 1)})
    here = make_cache(server)
    strict = make_cache(server, strict=True)

    def missing(codec: object) -> None:
        raise Missing("the package x")

    with monkeypatch.context() as patched:
        patched.setattr(compression, "loaded", missing)
        assert here.get_many(names) == dict.fromkeys(names[3:], 1)
        assert asyncio.run(here.aget_many(names)) == dict.fromkeys(names[3:], 1)
        assert here.faults()["other"] == sum(here.faults().values()) == 2
        with pytest.raises(Unavailable, match="the package x"):
            strict.get_many(names)

    assert len(here.get_many(names)) == 10


def test_sums_of_many_threads_are_exact(server: Server, make_cache: Make) -> None:
    def add(cache: ServerCache, delta: Any) -> None:
        for _ in range(50):
            cache.incr("sum", delta)

    for start, delta in ((0, 1), (2**62, 1), (0.0, 0.5), (2**70, 3)):
        caches = [make_cache(server, timeout=10) for _ in range(4)]
        caches[0].set("sum", start, expire=1000, tag="tag")
        threads = [threading.Thread(target=add, args=(cache, delta)) for cache in caches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        value, due, tag = caches[0].get("sum", expire_time=True, tag=True)
        assert value == start + 200 * delta
        assert type(value) is type(start + delta)
        assert due is not None
        assert tag == "tag"


def test_update_is_one_step(server: Server, make_cache: Make) -> None:
    """Threads that look and then change lose nothing, with and without an entry."""
    cache = make_cache(server, timeout=10)

    def add(cache: ServerCache, name: int) -> None:
        for number in range(30):
            cache.update("list", partial(_added, (name, number)))

    caches = [make_cache(server, timeout=10) for _ in range(3)]
    threads = [threading.Thread(target=add, args=(each, n)) for n, each in enumerate(caches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    value, due = cache.get("list", expire_time=True)
    assert sorted(value) == [(n, number) for n in range(3) for number in range(30)]
    assert due is not None


def _added(item: Any, value: Any) -> tuple[None, list[Any], int]:
    return None, [*(() if value is ENOVAL else value), item], 1000


def test_a_claim_is_had_by_one(server: Server, make_cache: Make) -> None:
    one, two = make_cache(server), make_cache(server)
    claim = one.claim("key")
    assert claim is not None
    assert one.claim("key") is None
    assert two.claim("key") is None
    assert two.claim(("key", 1)) is not None
    assert len(one) == 0

    claim.release()
    claim.release()
    other = two.claim("key")
    assert other is not None
    with other:
        claim.release()
        assert one.claim("key") is None
    assert one.claim("key") is not None


def test_a_claim_is_renewed_while_it_is_held(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    claim = cache.claim("key")
    assert claim is not None
    with server.client() as client:
        (name,) = [n for n in client.scan_iter() if b"~" in n]
        client.pexpire(name, 600_000)
        until(lambda: 0 < client.pttl(name) <= 5000, "a renewal")
        del claim
        gc.collect()
        client.pexpire(name, 1100)
        until(lambda: not client.exists(name), "the end of what nobody holds")


def test_a_forked_child_has_no_claim_of_its_parent(server: Server, make_cache: Make) -> None:
    """It may live for longer, and would keep everybody else away."""
    cache = listening(make_cache(server))
    claim = cache.claim("key")
    assert claim is not None

    child = os.fork()
    if child == 0:
        status = 1
        try:
            own = cache.claim("own")
            assert own is not None
            assert not claim.renew()
            assert own.renew()
            claim.release()
            own.release()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert cache.claim("key") is None
    assert cache.claim("own") is not None
    claim.release()
    assert cache.claim("key") is not None


def test_a_mistake_once_a_second_ends_nothing_else(
    server: Server, make_cache: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cache = listening(make_cache(server))
    done: list[object] = []

    def mistaken(engine: object) -> None:
        done.append(engine)
        raise ZeroDivisionError

    cache.engine.chores += [mistaken, done.append]
    until(lambda: len(done) > 3, "another round")
    assert set(done) == {cache.engine}
    assert cache.engine.listening
    (line,) = [record.message for record in caplog.records]
    assert line.endswith("what is done once a second has failed: ZeroDivisionError()")


def test_who_is_present_while_others_come() -> None:
    failing = [RuntimeError("Set changed size during iteration")]

    class Crowd(WeakSet[FakeClock]):
        def __iter__(self) -> Iterator[FakeClock]:
            yield from super().__iter__()
            if failing:
                raise failing.pop()

    members = [FakeClock(number) for number in range(3)]
    assert set(present(Crowd(members))) == set(members)
    assert not failing


def test_a_claim_of_a_server_in_trouble_keeps_nobody_away(server: Server) -> None:
    cache = ServerCache("valkey://127.0.0.1:1", timeout=10)
    one, two = cache.claim("key"), cache.claim("key")
    assert one is not None
    assert two is not None
    one.release()
    two.release()
    assert cache.faults()["lost"] == 2
    cache.close()


def test_what_nobody_signed_is_a_miss_and_goes(
    server: Server, cache: ServerCache, make_cache: Make, caplog: Any
) -> None:
    unsigned = make_cache(server, secret=None)
    unsigned.set("key", Trap())
    unsigned.set("other", Trap())
    unsigned.set("text", "no pickle")

    assert cache.get("key", "default") == "default"
    assert cache.get_many(["other"]) == {}
    assert cache.get("text") == "no pickle"

    assert "DJANGO_DISKCACHE_TRAP" not in os.environ
    assert list(cache) == ["text"]
    assert "was not signed" in caplog.text
    unsigned.set("key", Trap())
    assert cache.pop("key") is None
    assert len(cache) == 1


def test_keys_that_nobody_signed_are_not_loaded(
    server: Server, cache: ServerCache, make_cache: Make
) -> None:
    make_cache(server, secret=None).set((1, "evil"), 1)
    cache.set((1, "mine"), 2)
    cache.set("text", 3)

    assert set(cache) == {(1, "mine"), "text"}
    assert list(cache.iterkeys()) == ["text", (1, "mine")]
    assert list(cache.iterkeys(reverse=True)) == [(1, "mine"), "text"]


def test_names_of_numbers_that_are_none(server: Server, cache: ServerCache) -> None:
    cache.set(7, 1)
    cache.set("text", 1)
    with server.client() as client:
        client.set("django_diskcache{00}#x", "somebody else's")

    assert list(cache.iterkeys()) == [7, "text"]
    assert list(cache.iterkeys(reverse=True)) == ["text", 7]


@pytest.mark.parametrize("digits", [b"0x10", b"1e3", b"1.5", b"", b"nan", b"abc"])
def test_digits_that_are_none_are_added_to_by_nobody(
    digits: bytes, server: Server, cache: ServerCache
) -> None:
    cache.set("count", 16)
    name = cache.engine.place("count")[0]
    with server.client() as client:
        client.set(name, client.get(name)[:-2] + digits)

    assert cache.incr("count") == 1  # it was none of ours


def test_caches_of_two_names_are_apart(server: Server, make_cache: Make) -> None:
    one, two = make_cache(server, name="one"), make_cache(server, name="two")
    star = make_cache(server, name="*")
    for cache in (one, two, star):
        cache.set("key", repr(cache.engine.name), tag="tag")
        cache.set("{0}", 1)

    assert one.get("key") == "'one'"
    assert star.clear() == 2
    assert one.evict("tag") == 1
    assert list(one) == ["{0}"]
    assert len(two) == 2
    with server.client() as client:
        client.set("of somebody else", 1)
        one.clear()
        assert client.get("of somebody else") == b"1"


def test_a_cache_beside_the_cache(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, serializer="json")
    part = cache.cache("parts/one")
    assert part is cache.cache("parts/one")
    assert part.engine.link is cache.engine.link
    cache.set("key", [1], tag="tag")
    part.set("key", [2], tag="tag")
    cache.cache("parts/two").set("key", [3])

    assert (cache.get("key"), part.get("key")) == ([1], [2])
    assert make_cache(server, serializer="json").cache("parts/one").get("key") == [2]
    assert part.evict("tag") == 1
    assert list(cache) == ["key"]
    assert cache.clear() == 1
    assert cache.cache("parts/two").get("key") == [3]
    with pytest.raises(TypeError, match="cannot hold"):
        part.set("key", {1, 2})


@pytest.mark.parametrize("name", ["", "a//b", "/a", "..", "a\0", 7, None])
def test_what_is_no_name_of_a_cache(cache: ServerCache, name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        cache.cache(name)


def test_patterns_in_keys_are_only_text(cache: ServerCache) -> None:
    for key in ("a*b", "a1b", "[x]", "x", "q?", "qq", "back\\slash"):
        cache.set(key, 1)

    assert list(cache.iter_keys(prefix="a*")) == ["a*b"]
    assert list(cache.iter_keys(prefix="[")) == ["[x]"]
    assert list(cache.iter_keys(prefix="q?")) == ["q?"]
    assert list(cache.iter_keys(prefix="back\\")) == ["back\\slash"]
    assert sorted(cache.iter_keys(prefix="")) == sorted(cache)


def test_another_disk(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server, disk=JSONDisk, disk_compress_level=6))
    for value in ("text", 1, [1, {"a": None}]):
        cache.set("key", value)
        assert cache.get("key") == cache.get("key") == value
    cache.get("key").append(2)
    assert cache.get("key") == [1, {"a": None}]
    cache.set(("tuple", 1), 1)
    assert cache.get(("tuple", 1)) == 1


def test_another_serializer(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, serializer="json")
    cache.set("key", {"a": [1]})
    assert make_cache(server, secret="another").get("key") == {"a": [1]}
    with pytest.raises(TypeError, match="cannot hold"):
        cache.set("key", {1, 2})


def test_counts_are_those_of_all_processes(server: Server, make_cache: Make) -> None:
    one, two = listening(make_cache(server)), make_cache(server)
    one.stats(reset=True)
    one.set("key", 1)
    for _ in range(5):
        one.get("key")
    two.get("key")
    two.get("missing")
    two.get_many(["key", "missing"])
    two.pop("key")
    two.engine.near.flush()
    two.engine.report()

    assert one.stats() == (8, 2)
    assert one.stats(enable=False) == (8, 2)
    one.get("missing")
    assert one.stats(enable=True, reset=True) == (8, 2)
    assert one.stats() == (0, 0)


def test_hits_move_to_the_server_by_themselves(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.get("missing")
    with server.client() as client:
        until(lambda: client.hgetall("django_diskcache{00}*counts"), "a report")


def test_figures(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.stats(reset=True)
    cache.set("key", b"v" * 100_000)
    for _ in range(3):
        cache.get("key")
    cache.get("missing")
    assert cache.stats() == (3, 1)

    found = cache.figures()

    assert (found.hits, found.misses, found.hit_ratio) == (3, 1, 0.75)
    assert found.counting
    assert found.listening
    assert found.near.entries == 2
    assert set(found.errors.values()) == {0}
    (node,) = found.nodes
    assert node.name == server.url.rpartition("/")[0]
    assert node.primary
    assert node.program.split()[0] in ("redis", "valkey")
    assert node.keys == 4  # and the counts, and those of this hour and day
    assert 0 < node.round_trip < PATIENCE
    assert (node.replicas, node.slots, node.filled) == (0, (), None)
    assert found.told
    assert not found.away
    assert node.memory > 100_000
    assert node.tracked >= 2
    assert node.clients >= 2
    assert (node.memory_limit, node.policy, node.evicted) == (0, "noeviction", 0)
    assert found.memory == node.memory
    assert cache.volume() > 100_000
    assert cache.figures(reset=True).hits == 3
    assert cache.figures().hit_ratio is None


def test_figures_of_a_server_that_is_away() -> None:
    with ServerCache("valkey://127.0.0.1:1", timeout=10) as cache:
        found = cache.figures()
        assert found.nodes == []
        assert found.hits == found.memory == 0
        assert not found.listening
        assert found.errors["lost"] >= 1
        assert not found.told
        (away,) = found.away
        assert (away.name, away.fault.kind) == ("valkey://127.0.0.1:1", "lost")


def test_an_event_loop_does_not_wait(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    hasty = impatient(cache)
    cache.set("key", 1)
    assert cache.get("key") == 1
    assert hasty.get("key") == 1  # from memory
    for call in (
        lambda: hasty.get("other"),
        lambda: hasty.set("key", 1),
        lambda: hasty.get_many(["other"]),
        lambda: hasty.incr("key"),
        lambda: hasty.evict("tag"),
        lambda: hasty.evict(("a", "b"), match="all"),
        lambda: hasty.keys_by_tag("tag"),
        lambda: hasty.tags("key"),
        hasty.keys,
        lambda: hasty.delete_prefix("k"),
        lambda: hasty.ttl("other"),
        lambda: hasty.persist("key"),
        lambda: hasty.get("other", touch=5),
        lambda: hasty.lock("name").acquire(),
        hasty.evictions,
        hasty.clear,
        lambda: list(hasty),
        hasty.stats,
    ):
        with pytest.raises(Timeout):
            call()

    async def main() -> Any:
        return await on_loop(cache, lambda c: c.incr("count"))

    assert asyncio.run(main()) == 1


def test_what_a_server_removes_is_counted_there(server: Server, make_cache: Make) -> None:
    """What it evicts, whoever it belongs to; nobody is told of it."""
    told: list[Any] = []
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)
        try:
            cache = make_cache(server)
            cache.on_removal(lambda *event: told.append(event))
            before = cache.evictions()
            assert set(before) == {
                "size", "entries", "expired", "refused", "freed", "ghost_hits"
            }  # fmt: skip
            cache.set("short", 1, expire=0.001)
            until(lambda: not client.exists(cache.engine.place("short")[0]), "expiry")
            for number in range(100):
                cache.set(f"{number}", b"v" * 10_000)
            after = cache.evictions()
        finally:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")
    assert after["size"] > before["size"]
    assert after["expired"] > before["expired"]
    assert not any(after[name] for name in ("entries", "refused", "freed", "ghost_hits"))
    assert told == []


def test_values_are_compressed_if_that_is_asked_for(server: Server, make_cache: Make) -> None:
    cache, plain = make_cache(server, compression="zlib"), make_cache(server)
    assert (cache.compression, cache.cache("sub").compression) == ("zlib", "zlib")
    assert plain.compression is None
    text = "a line\n" * 1000
    for value in (text, text.encode(), [text]):
        cache.set("key", value)
        with server.client() as client:
            assert client.strlen(cache.engine.place("key")[0]) < 200
        assert cache.get("key") == value
        until(lambda value=value: plain.get("key") == value, "a message")
    assert cache.incr("count", 2**70) == 2**70
    assert cache.incr("count") == 2**70 + 1


def test_what_nothing_here_can_expand_stays(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cache(server, compression="zlib").set("key", "text" * 1000)

    def missing(codec: object) -> None:
        raise Missing("the package x")

    with monkeypatch.context() as patch:
        patch.setattr(compression, "loaded", missing)
        cache = make_cache(server)
        assert cache.get("key", "default") == "default"
        assert cache.faults()["other"] == 1
    assert make_cache(server).get("key") == "text" * 1000


def test_what_has_no_meaning_here(cache: ServerCache) -> None:
    assert cache.expire() == cache.cull() == 0
    assert cache.check() == []
    for has in (cache, cache.deque("d"), cache.index("i")):
        with pytest.raises(NotImplementedError, match="has no"):
            has.transact()


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"disk": dict}, ValueError, "disk"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"name": ""}, ValueError, "name"),
        ({"name": "a{b}"}, ValueError, "braces"),
        ({"size": 1}, TypeError, "size"),
        ({"near_cache_size": "much"}, ValueError, "near_cache_size"),
        ({"compression": "zip"}, ValueError, "compression='zip'"),
        ({"compression": "zlib", "compression_level": 99}, ValueError, "compression_level=99"),
        ({"compression": "zlib", "disk": JSONDisk}, ValueError, "JSONDisk compresses by"),
        ({"secret": ""}, ValueError, "secret"),
    ],
)
def test_a_mistake_is_named(arguments: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        ServerCache("valkey://127.0.0.1:1", **arguments)


def test_nothing_is_done_before_the_first_call() -> None:
    cache = ServerCache("valkey://user:secret@127.0.0.1:1/0")
    assert repr(cache) == "ServerCache('valkey://127.0.0.1:1')"
    assert cache.directory == "valkey://127.0.0.1:1"
    cache.close()


def test_memoize(cache: ServerCache, clock: FakeClock) -> None:
    calls = []

    @cache.memoize(expire=60, tag="memoized")
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(1), double(1), double(2)] == [2, 2, 4]
    assert calls == [1, 2]
    assert cache.evict("memoized") == 2
    assert double(1) == 2
    assert calls == [1, 2, 1]
