"""TLS, passwords and users: what gets in, what does not, and what is said of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.guard import raising
from django_diskcache.server import ServerCache
from django_diskcache.server.doorkeeper import LONG

from .clusters import clustered
from .conftest import listening
from .secured import (
    IN_ADDRESS,
    PASSWORD,
    RULES,
    USER,
    Certificates,
    SecureServer,
    certified,
    tls_required,
)
from .servers import HOST, Server, required, until
from .test_sentinel import Sentinel

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    tls_required()
    return certified(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def secure(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureServer]:
    server = SecureServer(tmp_path_factory.mktemp("tls-server"), certificates)
    yield server
    server.stop()


def coherent(location: object, timeout: float = 10.0) -> None:
    """Two caches at an address serve what they share, and hear of each other's changes."""
    with (
        ServerCache(location, timeout, secret="secret", statistics=1) as cache,
        ServerCache(location, timeout + 1, secret="secret") as other,
    ):
        listening(cache)
        assert cache.set("key", {"a": 1}, tag="tag")
        assert cache.get("key") == {"a": 1}
        assert cache.engine.near.knows("key")
        assert other.set("key", {"a": 2}, tag="tag")
        until(lambda: cache.get("key") == {"a": 2}, "a message")
        assert cache.incr("number") == 1
        assert cache.get_many(["key", "number"]) == {"key": {"a": 2}, "number": 1}
        assert cache.get_many([f"many:{n}" for n in range(2 * LONG)]) == {}
        assert cache.touch("key", 60)
        claim = cache.claim("computed")
        assert claim is not None
        claim.release()
        assert other.evict("tag") == 1
        until(lambda: cache.get("key") is None, "a message")
        assert len(cache) == 1
        assert cache.figures().nodes
        assert cache.stats()[0] > 0
        assert cache.clear() == 1
        assert sum(cache.faults().values()) == 0


# TLS


@pytest.mark.parametrize("scheme", ["valkeys", "rediss"])
def test_tls(scheme: str, secure: SecureServer, certificates: Certificates) -> None:
    coherent(secure.address(scheme, certificates.authority))


def test_tls_on_an_event_loop(secure: SecureServer, certificates: Certificates) -> None:
    async def calls() -> None:
        for number in range(5):  # the first ones go to a thread
            assert await cache.aset("key", number)
            assert await cache.aget("key") == number
        await cache.aclose()

    location = secure.address("valkeys", certificates.authority)
    with ServerCache(location, 10.0, secret="secret", near_cache_size=0) as cache:
        asyncio.run(calls())
        assert sum(cache.faults().values()) == 0


def denied(location: object, *words: str) -> None:
    """Nothing is found at an address, and the log says why, without a password."""
    with ServerCache(location, 10.0, secret="secret") as cache:
        assert cache.set("key", 1) is False
        assert cache.get("key") is None
        assert {kind for kind, count in cache.faults().items() if count} == {"denied"}
        with pytest.raises(Fault) as raised:
            raising(cache).set("key", 1)
        for word in words:
            assert word in str(raised.value)
        assert PASSWORD not in str(raised.value)
        assert IN_ADDRESS not in repr(cache)


def test_another_authority(secure: SecureServer, tmp_path: Path) -> None:
    another = certified(tmp_path / "another")
    denied(secure.address("valkeys", another.authority), "CERTIFICATE_VERIFY_FAILED")


def test_another_host(secure: SecureServer, certificates: Certificates) -> None:
    location = secure.address("valkeys", certificates.authority).replace(HOST, "localhost")
    denied(location, "CERTIFICATE_VERIFY_FAILED", "localhost")


def test_no_authority(secure: SecureServer) -> None:
    denied(f"valkeys://{HOST}:{secure.port}/0", "CERTIFICATE_VERIFY_FAILED")


def test_tls_to_a_server_without(server: Server, certificates: Certificates) -> None:
    location = f"valkeys://{HOST}:{server.port}/0?ssl_ca_certs={certificates.authority}"
    with ServerCache(location, 0.3) as cache:  # it is not answered
        assert cache.set("key", 1) is False
        assert sum(cache.faults().values()) == 1


def test_a_server_that_wants_a_certificate(certificates: Certificates, tmp_path: Path) -> None:
    server = SecureServer(tmp_path / "mutual", certificates, mutual=True)
    try:
        own = f"&ssl_certfile={certificates.client}"
        own += f"&ssl_keyfile={certificates.key(certificates.client)}"
        coherent(server.address("valkeys", certificates.authority, more=own))
        with ServerCache(server.address("valkeys", certificates.authority), 10.0) as cache:
            assert cache.set("key", 1) is False  # it hangs up; why may be heard before that
            faults = cache.faults()
            assert faults["lost"] + faults["denied"] == sum(faults.values()) == 1
    finally:
        server.stop()


def test_a_lost_connection_over_tls(certificates: Certificates, tmp_path: Path) -> None:
    server = SecureServer(tmp_path / "killed", certificates)
    try:
        location = server.address("valkeys", certificates.authority)
        with ServerCache(location, 10.0, secret="secret") as cache:
            listening(cache)
            cache.set("key", 1)
            assert cache.get("key") == 1
            server.kill()
            until(lambda: not cache.engine.listening, "the loss of the listener")
            assert cache.get("key") is None
            assert cache.faults()["lost"] > 0
            assert cache.faults()["denied"] == 0
            server.start()
            until(lambda: cache.set("key", 2), "a set")
            until(lambda: cache.engine.listening, "a listener")
    finally:
        server.stop()


# Passwords and users


def with_user(server: Server, *more: str) -> None:
    """Let it know a user who may do what a cache does, and nobody else."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", USER, *RULES, *more)
        client.execute_command("ACL", "SETUSER", "default", "off")


def test_a_user(own_server: Start) -> None:
    server = own_server()
    with_user(server)
    coherent(f"valkey://{IN_ADDRESS}@{HOST}:{server.port}/0")
    denied(f"valkey://web:wrong@{HOST}:{server.port}/0", "invalid username-password pair")
    denied(f"valkey://{HOST}:{server.port}/0", "Authentication required")


def test_a_user_who_may_not_ask_for_figures(own_server: Start) -> None:
    server = own_server("--maxmemory-policy", "allkeys-lru")
    with_user(server, "-info")
    with ServerCache(f"valkey://{IN_ADDRESS}@{HOST}:{server.port}/0", 10.0) as cache:
        cache.set("key", 1, tag="tag")
        assert cache.evict("tag") == 1
        assert sum(cache.faults().values()) == 0


def test_a_user_who_may_not_be_told_of_changes(
    own_server: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is remembered, which is said; what is done once a second is done."""
    server = own_server()
    monkeypatch.setattr("django_diskcache.server.listener.REFUSED", 0.01)
    location = f"valkey://{IN_ADDRESS}@{HOST}:{server.port}/0"
    with server.client() as client, ServerCache(location, 5.0, statistics=1) as cache:
        # Redis makes users that may do all with all keys, and have no channels.
        client.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "+@all")
        claim = cache.claim("key")
        assert claim is not None
        with claim:
            (name,) = [each for each in client.scan_iter() if b"~" in each]
            client.pexpire(name, 2500)
            until(lambda: client.pttl(name) > 3000, "a renewal")
        cache.get("key")
        until(lambda: client.hexists("django_diskcache{00}*counts", "misses"), "a report")
        until(lambda: cache.faults()["denied"] > 1, "another try")
        assert not cache.engine.listening
        client.execute_command("ACL", "SETUSER", USER, "allchannels")
        until(lambda: cache.engine.listening, "a listener")
    (line,) = [record.message for record in caplog.records]
    assert "nothing is remembered" in line
    assert "what that user may do" in line


def test_what_the_user_may_not_do(own_server: Start) -> None:
    server = own_server()
    with_user(server)
    location = f"valkey://{IN_ADDRESS}@{HOST}:{server.port}/0"
    with ServerCache(location, 10.0, name="another", secret="secret") as cache:
        assert cache.set("key", 1) is False
        assert cache.get("key") is None
        assert cache.faults()["denied"] == sum(cache.faults().values()) == 2


def test_what_is_refused_in_two_parts_leaves_no_answer_behind(own_server: Start) -> None:
    """One call asks for what is to be remembered, and for what is not, before it hears."""
    server = own_server()
    with_user(server)
    location = f"valkey://{IN_ADDRESS}@{HOST}:{server.port}/0"
    keys = [f"key:{n}" for n in range(2 * LONG)]

    async def refused_and_then() -> None:
        for _ in range(3):  # the first ones go to a thread
            await cache.aget("key")
        assert await other.aget_many(keys[LONG:]) == {}
        assert await other.aget_many(keys) == {}
        cache.engine.near.clear()
        assert await cache.aget("key") == 1
        await cache.aclose()

    with (
        ServerCache(location, 10.0, secret="secret") as cache,
        ServerCache(location, 10.0, name="another", secret="secret") as other,
    ):
        listening(cache)
        cache.set("key", 1)
        assert cache.get("key") == 1
        assert other.get_many(keys[:LONG]) == {}
        assert other.get_many(keys) == {}
        cache.engine.near.clear()
        assert cache.get("key") == 1
        asyncio.run(refused_and_then())
        assert other.faults()["denied"] == 4


def test_a_user_over_tls(certificates: Certificates, tmp_path: Path) -> None:
    server = SecureServer(tmp_path / "user", certificates)
    try:
        with_user(server)
        coherent(server.address("valkeys", certificates.authority, IN_ADDRESS))
    finally:
        server.stop()


def test_a_password_alone(own_server: Start, caplog: pytest.LogCaptureFixture) -> None:
    server = own_server("--requirepass", PASSWORD)
    password = IN_ADDRESS.partition(":")[2]
    coherent(f"redis://:{password}@{HOST}:{server.port}/0")
    with caplog.at_level(logging.DEBUG):
        denied(
            f"redis://:{password}no@{HOST}:{server.port}/0", "invalid username-password pair"
        )
    assert PASSWORD not in caplog.text
    assert password not in caplog.text


def test_a_socket_with_a_password(own_server: Start, tmp_path: Path) -> None:
    socket = tmp_path / "s"
    own_server("--unixsocket", str(socket), "--requirepass", PASSWORD)
    password = IN_ADDRESS.partition(":")[2]
    coherent(f"unix://:{password}@{socket}?db=0")
    denied(f"unix://{socket}?db=0", "Authentication required")


@pytest.mark.long
def test_a_cluster_with_a_user(tmp_path: Path) -> None:
    required()
    with clustered(tmp_path) as cluster:
        for node in cluster.nodes:
            with_user(node)
        urls = [f"valkey://{IN_ADDRESS}@{HOST}:{node.port}" for node in cluster.nodes]
        coherent(urls)
        denied([f"valkey://web:wrong@{HOST}:{node.port}" for node in cluster.nodes])


@pytest.mark.long
def test_sentinels_of_a_primary_with_a_password(own_server: Start, tmp_path: Path) -> None:
    primary = own_server("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    sentinel = Sentinel(tmp_path / "sentinel", primary, f"sentinel auth-pass main {PASSWORD}\n")
    try:
        password = IN_ADDRESS.partition(":")[2]
        coherent(f"sentinel://:{password}@{HOST}:{sentinel.port}/main/0")
        denied(
            f"sentinel://:wrong@{HOST}:{sentinel.port}/main/0", "invalid username-password pair"
        )
    finally:
        sentinel.stop()
