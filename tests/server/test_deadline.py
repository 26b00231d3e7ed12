"""The deadline of a call holds for all of it, whatever the server does."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.guard import raising
from django_diskcache.server import ServerCache
from django_diskcache.server.deadline import NEVER, Deadline, Timed
from django_diskcache.server.punctual import punctual

from .secured import Certificates, certified, tls_required
from .servers import HOST, PATIENCE, Server, until
from .slow import FOR_EVER, OK, SLOWLY, Talker, slow_server

Make = Callable[..., ServerCache]
TIMEOUT = 0.3  # seconds
SOON = (
    10.0  # seconds that no call takes, on a busy machine; a server takes longer for an answer
)
assert SOON < FOR_EVER * SLOWLY


@contextmanager
def cache_at(location: str, timeout: float = TIMEOUT) -> Iterator[ServerCache]:
    with ServerCache(location, timeout, near_cache_size=0, statistics=0) as cache:
        yield cache


def cache_on(port: int) -> AbstractContextManager[ServerCache]:
    return cache_at(f"valkey://{HOST}:{port}")


def slow_in(cache: ServerCache, call: Callable[[], Any], result: Any) -> None:
    """A call is over when its time is, and its result is what it is while nobody answers."""
    before = cache.faults()["slow"]
    began = time.monotonic()
    assert call() == result
    assert time.monotonic() - began < SOON
    assert cache.faults()["slow"] == before + 1


def after(command: bytes, header: bytes = b"$1000000\r\n") -> Callable[[Talker], None]:
    """Answer that command without end."""

    def talk(talker: Talker) -> None:
        talker.answer_until(command)
        talker.connection.sendall(header)
        talker.dribble()

    return talk


def test_an_answer_that_does_not_end() -> None:
    with (
        slow_server(after(b"\r\nGET\r\n")) as port,
        cache_on(port) as cache,
    ):
        slow_in(cache, lambda: cache.get("key", "default"), "default")
        with pytest.raises(Fault, match="slow"):
            raising(cache).get("key")


def test_an_answer_that_does_not_end_for_the_parser_in_python() -> None:
    from redis._parsers import _RESP2Parser

    with (
        slow_server(after(b"\r\nGET\r\n")) as port,
        cache_on(port) as cache,
    ):
        (node,) = cache.engine.link.nodes()
        make = node.make

        def slowly_parsed() -> Any:
            made = make()
            made.set_parser(_RESP2Parser)
            return made

        node.make = slowly_parsed
        slow_in(cache, lambda: cache.get("key"), None)


def test_many_answers_of_which_the_last_does_not_end() -> None:
    with (
        slow_server(after(b"\r\nSET\r\n", b"+OK\r\n+OK\r\n+")) as port,
        cache_on(port) as cache,
    ):
        keys = {"a": 1, "b": 2, "c": 3}
        slow_in(cache, lambda: cache.set_many(keys), ["a", "b", "c"])


def test_a_greeting_that_does_not_end() -> None:
    with (
        slow_server(after(b"\r\nAUTH\r\n", b"+")) as port,
        cache_at(f"valkey://:xyzzy@{HOST}:{port}") as cache,
    ):
        slow_in(cache, lambda: cache.set("key", 1), False)


def test_a_server_that_sips() -> None:
    """What is sent takes as long as the server takes to read it."""

    def talk(talker: Talker) -> None:
        talker.answer_until(b"\r\nSET\r\n")
        talker.sip()

    values = {f"{number}": b"x" * 30_000 for number in range(1000)}
    with slow_server(talk) as port, cache_on(port) as cache:
        slow_in(cache, lambda: len(cache.set_many(values)), len(values))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    tls_required()
    return certified(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(certificates.server, certificates.key(certificates.server))
    return found


def test_an_answer_over_tls(certificates: Certificates, context: ssl.SSLContext) -> None:
    with slow_server(after(b"\r\nGET\r\n"), context) as port:
        more = f"?ssl_ca_certs={certificates.authority}"
        with cache_at(f"valkeys://{HOST}:{port}{more}") as cache:
            slow_in(cache, lambda: cache.get("key"), None)


def test_a_value_over_tls(certificates: Certificates, context: ssl.SSLContext) -> None:
    def talk(talker: Talker) -> None:
        talker.answer_until(b"\r\nSET\r\n")
        talker.sip()

    with slow_server(talk, context) as port:
        more = f"?ssl_ca_certs={certificates.authority}"
        with cache_at(f"valkeys://{HOST}:{port}{more}") as cache:
            slow_in(cache, lambda: cache.set("key", b"x" * 40_000_000), False)


def test_a_greeting_of_tls_that_does_not_end(certificates: Certificates) -> None:
    def talk(talker: Talker) -> None:  # a record of TLS that is never whole
        talker.connection.sendall(b"\x16\x03\x03\x40\x00")
        talker.dribble(b"\x02")

    with slow_server(talk) as port:
        more = f"?ssl_ca_certs={certificates.authority}"
        with cache_at(f"valkeys://{HOST}:{port}{more}") as cache:
            slow_in(cache, lambda: cache.get("key"), None)


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_call_that_must_connect_has_one_deadline(on_loop: bool) -> None:
    """The greeting takes most of it, and each of the two takes less."""

    timeout = 1.0  # a client that does not run for most of this would find its answer there

    def talk(talker: Talker) -> None:
        talker.answer_until(b"\r\nSELECT\r\n")
        talker.stop.wait(timeout * 0.9)
        talker.connection.sendall(OK)
        talker.answer_until(b"\r\nSET\r\n")
        talker.stop.wait(timeout * 0.9)
        talker.connection.sendall(OK)

    async def main(cache: ServerCache) -> bool:
        for _ in range(2):  # those go to a thread
            await cache.aset("key", 1)
        cache.engine.link.table[0].begin()  # and their connections are not for the others
        return bool(await cache.aset("key", 1))

    with slow_server(talk) as port, cache_at(f"valkey://{HOST}:{port}/1", timeout) as cache:
        stored = asyncio.run(main(cache)) if on_loop else cache.set("key", 1)
        assert stored is False
        assert cache.faults()["slow"] > 0


def test_a_deadline_begins_with_each_round_trip_of_many(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[float] = []
    begin = Deadline.begin

    def noted(deadline: Deadline) -> None:
        begin(deadline)
        begun.append(deadline.begun)

    cache = make_cache(server, near_cache_size=0, statistics=0)
    cache.set("key", 1)
    monkeypatch.setattr(Timed, "begin", noted)
    assert cache.set_many({f"{number}": number for number in range(2500)}) == []
    assert len(begun) == 2  # and the first, when the connection was borrowed


def test_a_long_answer_in_time_is_no_trouble(server: Server, make_cache: Make) -> None:
    """The timeout of the socket is shortened on the way, and what it was for the next call."""
    cache = make_cache(server, timeout=5 * PATIENCE, near_cache_size=0)
    value = b"x" * 30_000_000
    assert cache.set("key", value)
    (node,) = cache.engine.link.nodes()
    (line,) = node._idle
    timed = line.deadline
    assert isinstance(timed, Timed)
    timed._enough = 0.0  # as if most of the deadline were gone
    assert cache.get("key") == value
    timed._enough = 0.0
    assert cache.get("other") is None
    assert timed.gettimeout() == timed.seconds
    assert cache.get("key") == value
    assert node._idle == [line]
    assert sum(cache.faults().values()) == 0


@pytest.mark.parametrize("length", [5, 500_000])
def test_a_thread_that_gets_its_turn_late_is_answered(
    length: int, server: Server, make_cache: Make
) -> None:
    """On a machine that is busy: before it has sent, and while its answer comes."""
    cache = make_cache(server, timeout=5 * PATIENCE, near_cache_size=0)
    value = "x" * length
    cache.set("key", value)
    (node,) = cache.engine.link.nodes()
    (line,) = node._idle
    send = line.send

    def late(*command: Any) -> None:
        line.deadline.begun -= 2 * line.deadline.seconds
        send(*command)
        until(lambda: line.connection.can_read(0), "the answer")

    line.send = late
    assert cache.get("key") == value
    line.send = send
    assert cache.get("key") == value
    assert node._idle == [line]


@pytest.mark.parametrize("cls", [Connection, SSLConnection, UnixDomainSocketConnection])
def test_the_client_still_makes_its_sockets_where_ours_are_put(cls: Any) -> None:
    """If this fails with a newer client, no deadline holds: see `punctual`."""
    assert callable(cls._connect)
    made = punctual(cls)(socket_timeout=PATIENCE)
    assert isinstance(made, cls)
    assert made.timed.begun == NEVER
    assert punctual(cls) is punctual(cls)


def test_who_begins_no_deadline_has_one_while_it_connects(server: Server) -> None:
    made = punctual(Connection)(host=HOST, port=server.port, socket_timeout=PATIENCE)
    made.connect()
    assert made.timed.begun == NEVER
    made.send_command("PING")
    assert made.read_response() == b"PONG"
    made.disconnect()


def test_a_thread_that_gets_its_turn_late_connects(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of hundreds that begin: its time is over before it has done anything."""

    def late(timed: Timed) -> None:
        timed.begun = time.monotonic() - 2 * timed.seconds

    cache = make_cache(server, timeout=5 * PATIENCE, near_cache_size=0)
    monkeypatch.setattr(Timed, "begin", late)
    assert cache.set("key", "value")
    assert cache.get("key") == "value"
    assert sum(cache.faults().values()) == 0
