"""Times to live on a server: what is asked of it, and what others are told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from django_diskcache.server import ServerCache
from django_diskcache.server.envelope import tag_name
from tests.conftest import FakeClock

from .conftest import listening
from .servers import Server, until

Make = Callable[..., ServerCache]


@pytest.fixture
def cache(
    server: Server, make_cache: Make, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> ServerCache:
    cache = make_cache(server, clock=clock)
    # What its listener asks once a second is none of the commands that are counted here.
    monkeypatch.setattr(cache.engine, "tick", lambda: None)
    return cache


def calls(server: Server) -> dict[str, int]:
    """How often clients have given each command, those of scripts included."""
    with server.client() as client:
        told = client.info("commandstats")
    return {name.partition("_")[2]: each["calls"] for name, each in told.items()}


def asked(server: Server, operation: Callable[[], Any]) -> dict[str, int]:
    """The commands that an operation takes."""
    before = calls(server)
    operation()
    after = calls(server)
    ours = ("get", "getrange", "evalsha", "setrange", "pexpire", "client|caching")
    return {
        name: after[name] - before.get(name, 0)
        for name in ours
        if after.get(name) != before.get(name)
    }


def test_what_is_known_here_asks_nobody(server: Server, cache: ServerCache) -> None:
    listening(cache)
    cache.set("key", 1, expire=60)
    cache.get("key")
    cache.get("missing")

    for operation in (
        lambda: cache.ttl("key"),
        lambda: cache.pttl("missing"),
        lambda: cache.get("key", touch=60),
        lambda: cache.get("missing", touch=60),
    ):
        assert asked(server, operation) == {}


def test_a_sliding_read_is_one_round_trip(
    server: Server, make_cache: Make, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(server, clock=clock, near_cache_size=0)
    cache.set("key", 1, expire=60)
    cache.get("key", touch=60)  # now the script is known there
    node = cache.engine.link.table[0]
    trips: list[int] = []
    look_many = node.look_many

    def noted(commands: Any) -> Any:
        trips.append(1)
        return look_many(commands)

    monkeypatch.setattr(node, "look_many", noted)

    assert asked(server, lambda: cache.get("key", touch=60)) == {
        "get": 1,
        "evalsha": 1,
        "getrange": 1,
    }
    renewed = {"get": 1, "evalsha": 1, "getrange": 1, "setrange": 1, "pexpire": 1}
    assert asked(server, lambda: cache.get("key", touch=600)) == renewed
    assert asked(server, lambda: cache.get("key", expire_time=True, touch=60)) == renewed
    assert trips == [1, 1, 1]


def test_a_sliding_read_of_a_server_that_knows_no_script(
    server: Server, cache: ServerCache
) -> None:
    for touch in (60, 600):
        cache.set("key", 1)
        with server.client() as client:
            client.script_flush()
        assert cache.get("key", touch=touch) == 1
        assert cache.ttl("key") == touch


def test_a_process_sees_at_once_what_it_renews(cache: ServerCache) -> None:
    """The server does not tell a connection of what was changed on it."""
    listening(cache).set("key", 1, expire=60)
    for more in ({}, {"expire_time": True}):
        assert cache.get("key") == 1
        cache.get("key", touch=600, **more)
        assert cache.ttl("key") == 600
        assert cache.get("key") == 1
        cache.expire_in("key", 60)
        assert cache.ttl("key") == 60


def test_others_are_told_of_another_end(
    server: Server, make_cache: Make, clock: FakeClock
) -> None:
    one, two = (listening(make_cache(server, clock=clock)) for _ in range(2))
    one.set("key", 1, expire=60)
    assert (two.get("key"), two.ttl("key")) == (1, 60)

    assert one.get("key", touch=600) == 1
    until(lambda: two.ttl("key") == 600, "a message")
    assert two.get("key") == 1
    assert one.persist("key")
    until(lambda: two.ttl("key") is None, "a message")


def test_hints_live_as_long(server: Server, cache: ServerCache) -> None:
    cache.set("key", 1, expire=10, tag="tag")
    hints = cache.engine.hints(cache.engine.place("key")[1] & 255, tag_name("tag"))
    with server.client() as client:
        cache.get("key", touch=100)
        assert client.pttl(hints) > 50_000
        cache.expire_in("key", 1000)
        assert client.pttl(hints) > 500_000
        cache.persist("key")
        assert client.pttl(hints) == -1


def test_the_server_removes_at_the_new_end(server: Server, cache: ServerCache) -> None:
    """Its own expiry goes with what the header says."""
    with server.client() as client:
        name = cache.engine.place("key")[0]
        cache.set("key", 1)
        cache.expire_in("key", 50)
        assert 20_000 < client.pttl(name) <= 50_000
        cache.get("key", touch=500)
        assert 200_000 < client.pttl(name) <= 500_000
        cache.get("key", touch=None)
        assert client.pttl(name) == -1
        cache.expire_at("key", cache.engine.clock() + 1e11)  # longer than it can say
        assert client.pttl(name) == -1
        assert cache.ttl("key") == 10**11
        cache.pexpire("key", 5)
        until(lambda: not client.exists(name), "the end of an entry")
    assert cache.ttl("key") == 0


def test_what_is_none_of_ours_has_no_end(server: Server, cache: ServerCache) -> None:
    with server.client() as client:
        client.set(cache.engine.place("key")[0], "foreign")
    assert cache.ttl("key") == 0
    assert cache.touch("key", 5) is False
    assert cache.persist("key") is False
    with server.client() as client:
        assert client.get(cache.engine.place("key")[0]) == b"foreign"
        client.rpush(cache.engine.place("list")[0], "foreign")
    assert cache.touch("list", 5) is False
    assert cache.tags("key") == ()


def test_a_touch_lets_the_server_note_nothing(server: Server, cache: ServerCache) -> None:
    """It is one command, on a connection that tracks as well, and nothing has to be told."""
    listening(cache)
    cache.get("so that the connection tracks")
    cache.set("key", 1, expire=60)
    cache.set("tagged", 1, expire=60, tag=("a", "b"))
    with server.client() as client:

        def table() -> int:
            return int(client.info("stats")["tracking_total_keys"])

        cache.touch("key", 60)  # now the script is known there
        before = table()
        for seconds in (100, None, 50):
            assert asked(server, partial(cache.touch, "key", seconds)) == {
                "evalsha": 1,
                "pexpire": 1,
                "setrange": 1,
            }
            assert cache.touch("tagged", seconds)
        assert not cache.touch("missing", 60)
        assert not cache.touch("missing", 0)
        assert cache.touch("key", 0)
        assert table() == before


def test_a_touch_brings_lost_hints_back(server: Server, cache: ServerCache) -> None:
    cache.set("key", 1, expire=60, tag="tag")
    hints = cache.engine.hints(cache.engine.place("key")[1] & 255, tag_name("tag"))
    with server.client() as client:
        for seconds, least, most in (100, 50_000, 100_000), (None, -1, -1):
            client.delete(hints)
            assert cache.touch("key", seconds)
            assert least <= client.pttl(hints) <= most
        assert cache.touch("key", 100)
        assert client.pttl(hints) == -1  # it may have others, which end later
    assert cache.evict("tag") == 1
