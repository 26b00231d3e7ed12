"""A server in trouble: what callers see, how long it takes, and that it ends by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.guard import raising
from django_diskcache.server import ServerCache
from django_diskcache.server.breaker import LONGEST, Breaker
from tests.conftest import FakeClock

from .conftest import listening
from .servers import Server, until

Make = Callable[..., ServerCache]
Start = Callable[..., Server]


def refused(cache: ServerCache) -> None:
    """Nothing is found or stored, and what must not be lost raises."""
    assert cache.get("key", "default") == "default"
    assert cache.get("key", 7, expire_time=True, tag=True) == (7, None, None)
    assert cache.set("key", 1) is False
    assert cache.set("key", 1, tag="tag") is False
    assert cache.add("new", 1) is False
    assert cache.touch("key") is False
    assert cache.delete("key") is False
    assert cache.pop("key", "default") == "default"
    assert cache.has("key") is False
    assert cache.get_many(["key", "other"]) == {}
    assert cache.set_many({"key": 1, "other": 2}) == ["key", "other"]
    assert cache.delete_many(["key", "other"]) == 0
    assert cache.evict("tag") == 0
    assert cache.clear() == 0
    assert list(cache) == []
    assert len(cache) == 0
    assert cache.stats() == (0, 0)
    for call in (
        lambda: cache.incr("key"),
        lambda: cache.decr("key"),
        lambda: cache["key"],
        lambda: cache.__setitem__("key", 1),
        lambda: cache.__delitem__("key"),
        lambda: "key" in cache,
        lambda: raising(cache).add("lock", 1),
        lambda: raising(cache).set_many({"key": 1}),
        lambda: raising(cache).evict("tag"),
    ):
        with pytest.raises(Fault):
            call()


def test_a_server_that_is_not_there(own_server: Start, make_cache: Make) -> None:
    server = own_server()
    server.kill()
    cache = make_cache(server)

    refused(cache)

    assert cache.faults()["lost"] > 10
    assert sum(cache.faults().values()) == cache.faults()["lost"]


def test_a_server_that_is_killed_and_comes_back(own_server: Start, make_cache: Make) -> None:
    server = own_server()
    cache = listening(make_cache(server))
    cache.set("key", "value")
    assert cache.get("key") == cache.get("key") == "value"

    server.kill()
    until(lambda: not cache.engine.listening, "the loss of the listener")
    assert cache.get("key") is None
    refused(cache)

    server.start()
    until(lambda: cache.set("key", "new"), "a set")
    assert cache.get("key") == "new"
    until(lambda: cache.engine.listening, "a listener")
    assert cache.incr("count") == 1


def test_a_restart_that_nobody_noticed_costs_nothing(
    own_server: Start, make_cache: Make
) -> None:
    """Idle connections are broken, and the next call is answered all the same."""
    server = own_server()
    cache = make_cache(server, near_cache_size=0)
    calls: list[Callable[[], Any]] = [
        lambda: cache.set("key", 1),
        lambda: cache.get("key", 0) == 0,
        lambda: cache.incr("count") == 1,
        lambda: cache.add("new", 1),
        lambda: cache.pop("key", 0) == 0,
        lambda: cache.set_many({"key": 1}) == [],
        lambda: cache.set("key", 1, tag="tag"),
        lambda: cache.evict("tag") == 0,
    ]
    for call in calls:
        assert cache.set("warm", 1)
        server.kill()
        server.start()
        assert call()
    assert sum(cache.faults().values()) == 0


def test_a_server_that_stands_still(
    own_server: Start, make_cache: Make, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many calls few wait: the first, and those that try again."""
    server = own_server()
    make_cache(server).set("key", "value")
    cache = make_cache(server, timeout=0.1, near_cache_size=0)
    until(lambda: cache.get("key") == "value", "a connection")
    (node,) = cache.engine.link.nodes()
    node.breaker = Breaker(clock)
    make = Mock(wraps=node.make)
    monkeypatch.setattr(node, "make", make)
    met = cache.faults()["slow"]

    server.freeze()
    try:
        for tried in (1, 2, 3):
            for _ in range(100):
                assert cache.get("other") is None
            assert make.call_count == tried  # and the first call of all had a connection
            clock.advance(2 * LONGEST)
    finally:
        server.thaw()
    assert cache.faults()["slow"] == met + 300

    def recovered() -> bool:
        clock.advance(2 * LONGEST)
        return bool(cache.get("key") == "value")

    until(recovered, "recovery")


def test_a_count_is_not_added_to_twice(own_server: Start, make_cache: Make) -> None:
    """A call whose answer is lost is not known to be done, and is not done again."""
    server = own_server()
    patient, cache = make_cache(server), make_cache(server, timeout=0.2, near_cache_size=0)
    patient.set("count", 1)
    until(lambda: cache.get("count") == 1, "a connection")

    server.freeze()
    try:
        with pytest.raises(Fault, match="slow"):
            cache.incr("count")
    finally:
        server.thaw()

    assert patient.get("count") in (1, 2)


def test_a_server_that_is_full(own_server: Start, make_cache: Make) -> None:
    server = own_server("--maxmemory-policy", "noeviction")
    cache = make_cache(server)
    assert cache.set("key", "value")
    with server.client() as client:
        client.config_set("maxmemory", "1")

    assert cache.set("key", "new") is False
    assert cache.set("key", "new", tag="tag") is False
    assert cache.add("other", "new") is False
    assert cache.set_many({"key": "new"}) == ["key"]
    assert cache.faults()["full"] == sum(cache.faults().values()) == 4
    with pytest.raises(Fault, match="full"):
        cache.incr("count")

    assert cache.get("key") == "value"
    assert cache.delete("key") is True
    with server.client() as client:
        client.config_set("maxmemory", "0")
    assert cache.set("key", "new")
    assert cache.incr("count") == 1


def test_what_a_full_server_still_does(own_server: Start, make_cache: Make) -> None:
    """What takes no more memory: ends, and giving back."""
    server = own_server("--maxmemory-policy", "noeviction")
    cache = make_cache(server, near_cache_size=0)
    cache.set("key", "value", expire=100)
    cache.set("tagged", "value", expire=100, tag="tag")
    lock = cache.lock("lock", timeout=600)
    lock.acquire()
    places = [cache.semaphore("places", 2) for _ in range(2)]
    for place in places:
        place.acquire()
    with server.client() as client:
        client.config_set("maxmemory", "1")

    assert cache.touch("key", 500)
    assert cache.touch("tagged", 500)
    assert 400 < (cache.ttl("tagged") or 0) <= 500
    assert cache.get("key", touch=900) == "value"
    assert 800 < (cache.ttl("key") or 0) <= 900
    assert cache.expire_in("key", 700)
    assert cache.persist("key")
    assert cache.ttl("key") is None
    assert lock.extend(600)
    lock.release()
    for place in places:
        place.release()
    assert not lock.locked()
    assert not places[0].locked()
    assert cache.set("tagged", "new", tag="another") is False
    assert cache.pop("tagged") == "value"
    assert cache.set("key", "new") is False
    with server.client() as client:
        client.config_set("maxmemory", "0")
    assert cache.get("key") == "value"
    assert cache.faults()["full"] == 2


def test_a_sliding_read_of_a_replica(own_server: Start, make_cache: Make) -> None:
    primary = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(primary.port))
    make_cache(primary).set("key", "value", expire=100)
    cache = make_cache(replica, near_cache_size=0)
    until(lambda: cache.get("key") == "value", "replication")

    assert cache.get("key", touch=900) == "value"
    assert cache.get("key", touch=900, expire_time=True)[0] == "value"
    assert cache.faults()["readonly"] == 2


def test_a_server_that_is_reading_its_data(own_server: Start, make_cache: Make) -> None:
    server = own_server()
    cache = make_cache(server)
    cache.set_many({f"{number}": os.urandom(2000) for number in range(600)})
    with server.client() as client:
        client.save()
    server.kill()

    delay = ("--key-load-delay", "100000")  # microseconds: a minute for all, if it is let
    server.options = (*delay, "--loading-process-events-interval-bytes", "1024")
    server.launch()
    until(lambda: cache.get("7") is not None or cache.faults()["loading"], "an answer")
    assert cache.set("key", 1) is False
    with pytest.raises(Fault, match="loading"):
        cache.incr("count")

    with server.client() as client:
        client.config_set("key-load-delay", 0)
    until(lambda: cache.get("7") is not None, "the end of it")
    assert cache.set("key", 1)
    assert cache.faults()["loading"] >= 2
    assert {kind for kind, number in cache.faults().items() if number} <= {"loading", "lost"}


def test_a_replica(own_server: Start, make_cache: Make) -> None:
    primary = own_server()
    with primary.client() as client:
        client.config_set("repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(primary.port))
    make_cache(primary).set("key", "value", tag="tag")
    cache = make_cache(replica)
    until(lambda: cache.get("key") == "value", "replication")

    assert cache.set("key", "new") is False
    assert cache.set("key", "new", tag="tag") is False
    assert cache.set_many({"key": "new"}) == ["key"]
    assert cache.delete("key") is False
    assert cache.evict("tag") == 0
    assert cache.get("key") == "value"
    assert cache.faults()["readonly"] > 4
    with pytest.raises(Fault, match="readonly"):
        cache.incr("count")


def test_a_wrong_password(own_server: Start, make_cache: Make) -> None:
    server = own_server("--requirepass", "right")
    for url in (server.url, server.url.replace("://", "://:wrong@")):
        cache = ServerCache(url, timeout=10)
        refused(cache)
        assert cache.faults()["denied"] >= 1
        cache.close()

    cache = ServerCache(server.url.replace("://", "://:right@"), timeout=10)
    assert cache.set("key", 1)
    assert cache.get("key") == 1
    cache.close()


def test_a_user_who_may_not_track_remembers_nothing(
    own_server: Start, make_cache: Make
) -> None:
    server = own_server()
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-client|tracking")
    cache = make_cache(server)
    cache.set("key", "value")
    cache.get("key")
    until(lambda: cache.engine.listening, "a listener")

    assert cache.get("key") == cache.get("key") == "value"
    assert len(cache.engine.near) == 0
    assert sum(cache.faults().values()) == 0


def test_faults_are_told(own_server: Start, make_cache: Make, caplog: Any) -> None:
    server = own_server()
    told: list[Exception] = []
    cache = make_cache(server, error_handler=told.append)
    strict = make_cache(server, strict=True)
    server.kill()

    for _ in range(3):
        cache.get("key")

    assert len(told) == 3
    assert all(isinstance(each, Fault) and each.kind == "lost" for each in told)
    lines = [record.message for record in caplog.records]
    assert len(lines) == 1  # once a minute
    assert server.url.rpartition("/")[0] in lines[0]
    assert "tried again by itself" in lines[0]
    with pytest.raises(Fault, match="lost"):
        strict.get("key")


class Interrupt(Exception):
    """Raised by a signal handler, wherever the program is."""


# It may fall into a destructor, of which Python only says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_at_any_moment_mixes_no_answers_up(
    server: Server, make_cache: Make
) -> None:
    """An answer that nobody has read would be taken for that to the next call."""
    cache = listening(make_cache(server, timeout=10))
    cache.set_many({f"{number}": number for number in range(10)})
    calls: list[Callable[[int], Any]] = [
        lambda n: cache.get(f"{n % 10}", expire_time=True),
        lambda n: cache.set(f"other-{n}", n),
        lambda n: cache.get_many([f"{each}" for each in range(10)]),
        lambda n: cache.incr("count"),
        lambda n: cache.set(f"tagged-{n}", n, tag="tag"),
        lambda n: cache.get(f"{n % 10}"),
    ]
    interrupted = counted = 0

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(900):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-5 + number % 150 * 2e-6)
                    calls[number % len(calls)](number)
                    counted += number % len(calls) == 3
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                interrupted += 1
            cache.engine.near.clear()
            assert cache.get(f"{number % 10}") == number % 10
            assert cache.get_many(["3", "4"]) == {"3": 3, "4": 4}
    finally:
        signal.signal(signal.SIGALRM, before)

    assert interrupted > 0
    assert counted <= cache.incr("count", 0) <= 150
    cache.evict("tag")
    assert not [key for key in cache if key.startswith("tagged-")]
