"""LOCATION of a server: what is taken, and what a mistake is told."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from redis import connection
from redis.asyncio import connection as asynchronous
from redis.connection import SSLConnection, UnixDomainSocketConnection

from django_diskcache.configuration import is_address
from django_diskcache.server.address import DECIDED, OF_THREADS, read_address
from django_diskcache.server.link import open_link


@pytest.mark.parametrize("scheme", ["valkey", "redis", "VALKEY"])
def test_one_server(scheme: str) -> None:
    address = read_address(f"{scheme}://user:p%40ss@cache.internal:6380/3")

    assert address.kind == "single"
    assert address.places == (("cache.internal", 6380),)
    assert address.arguments == {
        "username": "user",
        "password": "p@ss",
        "host": "cache.internal",
        "port": 6380,
        "db": 3,
    }
    assert address.text == f"{scheme.lower()}://cache.internal:6380"


def test_what_is_left_out() -> None:
    assert read_address("valkey://").places == (("localhost", 6379),)
    assert read_address("valkey://host").places == (("host", 6379),)


@pytest.mark.parametrize("scheme", ["valkeys", "rediss"])
def test_one_server_by_tls(scheme: str, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    address = read_address(f"{scheme}://host/0?ssl_ca_certs={authority}")

    assert address.arguments["connection_class"] is SSLConnection
    assert address.arguments["ssl_ca_certs"] == str(authority)
    assert address.text == f"{scheme}://host:6379"  # a mistake about TLS shows


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_not_there(name: str) -> None:
    for location in (f"valkeys://a?{name}=/no/such", [f"valkeys://a?{name}=/no/such"]):
        with pytest.raises(ValueError, match=f"{name}='/no/such' is no file"):
            read_address(location)


@pytest.mark.parametrize("kind", ["Connection", "SSLConnection", "UnixDomainSocketConnection"])
def test_what_connections_of_event_loops_do_not_take(kind: str) -> None:
    def arguments(cls: type) -> set[str]:
        made = [vars(each)["__init__"] for each in cls.__mro__ if "__init__" in vars(each)]
        return {name for each in made for name in signature(each).parameters}

    of_threads = arguments(getattr(connection, kind))
    missing = of_threads - arguments(getattr(asynchronous, kind))

    assert missing <= OF_THREADS | DECIDED
    for name in missing:
        with pytest.raises(ValueError, match=name):
            read_address(f"valkeys://a?{name}=true")


def test_a_socket() -> None:
    address = read_address("unix:///run/valkey.sock?db=2")

    assert address.arguments["connection_class"] is UnixDomainSocketConnection
    assert address.arguments["path"] == "/run/valkey.sock"
    assert address.arguments["db"] == 2
    assert address.text == "unix:///run/valkey.sock"


def test_sentinels() -> None:
    address = read_address("sentinel://user:secret@a,b:26380/main/2?socket_keepalive=yes")

    assert address.kind == "sentinel"
    assert address.places == (("a", 26379), ("b", 26380))
    assert address.service == "main"
    assert address.arguments == {
        "username": "user",
        "password": "secret",
        "db": 2,
        "socket_keepalive": True,
    }
    assert address.text == "sentinel://a:26379,b:26380/main"


@pytest.mark.parametrize("container", [list, tuple])
def test_a_cluster(container: Any) -> None:
    address = read_address(container(["valkey://:pw@a:7000", "valkey://:pw@b:7001/0"]))

    assert address.kind == "cluster"
    assert address.places == (("a", 7000), ("b", 7001))
    assert address.arguments == {"password": "pw"}
    assert address.text == "valkey://a:7000,b:7001"


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("http://host", "http://host"),
        ("/var/cache/site", "/var/cache/site"),
        ("", "expected valkey://"),
        (None, "None"),
        ("valkey://host?socket_timeout=soon", "socket_timeout"),
        ("unix://", "unix:///path"),
        ("sentinel://host", "service"),
        ("sentinel://host/main/first", "database"),
        ("sentinel://host:port/main", "'host:port'"),
        ([], "addresses of nodes"),
        (["valkey://a", 7], "LOCATION[1] of type int: expected the address of a node"),
        (["a"], "LOCATION[0]='a': expected the address of a node"),
        (["valkey://a", "unix:///b"], "LOCATION[1]='unix:///b'"),
        (["valkey://a", "valkey://b?x=1"], "LOCATION[1]='valkey://b?x=1': 'x' is no argument"),
        ("valkey://a/first", "number of a database"),
        ("valkey://a?near_cache_size=1", "'near_cache_size' is no argument"),
        ("valkey://a?decode_responses=1", "'decode_responses' is no argument"),
        ("sentinel://a/main?x=1", "LOCATION='sentinel://a/main?x=1': 'x' is no argument"),
        (["valkey://a", "sentinel://b/main"], "sentinel://b/main"),
        (["valkey://a/1"], "no databases"),
        (["redis://a", "rediss://:pw@b"], "LOCATION[1]='rediss://:***@b': expected the same"),
        (["redis://a", "rediss://:pw@b"], "these differ: TLS, password"),
        (["redis://u:p@a", "redis://v:p@b"], "these differ: user"),
        (["redis://a", "redis://b", "redis://c?socket_keepalive=1"], "socket_keepalive"),
        ("unix://run/valkey.sock", "three slashes, as in unix:///run/valkey.sock"),
        ("unix://user:pw@run/valkey.sock", "three slashes, as in unix:///run/valkey.sock"),
        ("valkey://:sec/ret@host/1", "in a password, @ is %40, / is %2F"),
    ],
)
def test_a_mistake_is_named(location: Any, named: str) -> None:
    with pytest.raises(ValueError, match="LOCATION") as raised:
        read_address(location)

    assert named in str(raised.value)
    assert not str(raised.value).endswith(".")  # who shows it may add one


@pytest.mark.parametrize(
    "location",
    [
        "http://user:secret@host",
        "http://secret@host",
        "valkey://user:p@ss/secret@host/x",
        "valkey://user:secret?@host",
        "valkey://user:secret#p@host",
        "valkey://user:secret/p@host",
        "valkey://a?password=secret&x=1",
        "valkeys://a?ssl_password=secret&x=1",
        "sentinel://:secret@a/main?x=1",
        "sentinel://:secret@a",
        ["valkey://user:secret@a/1"],
        ["valkey://a", ":secret@a://"],
        ["valkey://a", "valkey://:secret@b"],
        ["valkey://:secret@a", "valkey://:***@b"],
        "unix://user:secret@run/sock",
    ],
)
def test_a_password_is_not_told(location: Any) -> None:
    with pytest.raises(ValueError, match=r"\*\*\*") as raised:
        read_address(location)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("location", [b"valkey://:secret@a", {"a": "valkey://:secret@a"}])
def test_what_is_no_text_is_not_shown(location: Any) -> None:
    with pytest.raises(ValueError, match=r"LOCATION is of type (bytes|dict)") as raised:
        read_address(location)

    assert "secret" not in str(raised.value)


def test_an_address_shows_no_password() -> None:
    for location in ("valkey://u:secret@a", ["valkey://u:secret@a"], "unix://u:secret@/s"):
        address = read_address(location)
        assert repr(address) == f"Address({address.text!r})"
        assert "secret" not in repr(address)
    one, other = (read_address(f"valkey://:{password}@a") for password in ("one", "other"))
    link = open_link(one, 1.0)
    assert open_link(one, 1.0) is link is not open_link(other, 1.0)


def test_what_is_meant_to_be_a_server() -> None:
    for location in ("valkey://a", "vlakey://a", "sentinel://a/b", ["valkey://a"], ()):
        assert is_address(location)
    for other in ("/var/cache", "cache", "", None, "C:\\cache"):
        assert not is_address(other)
