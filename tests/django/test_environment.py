"""A cache from a URL, with django-environ and without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.checks import check_settings
from django_diskcache.engine.options import OPTIONS
from django_diskcache.environment import cache_url, from_environment, register
from django_diskcache.faceoptions import FACE_OPTIONS
from django_diskcache.server.address import read_address
from tests.engines import engine_of
from tests.server.servers import Server

BACKEND = "django_diskcache.DjangoCache"


def test_the_path_alone() -> None:
    expected = {"BACKEND": BACKEND, "LOCATION": "/var/cache/site"}
    assert cache_url("diskcache:///var/cache/site") == expected


def test_options_are_read_by_the_table() -> None:
    entry = cache_url(
        "diskcache:///var/cache/site?size_limit=4GB&SHARDS=8&Statistics=true"
        "&database_timeout=10ms&eviction_policy=none&max_entries=none"
    )
    assert entry == {
        "BACKEND": BACKEND,
        "LOCATION": "/var/cache/site",
        "OPTIONS": {
            "size_limit": 4 * 10**9,
            "shards": 8,
            "statistics": 1,
            "database_timeout": 0.01,
            "eviction_policy": "none",
            "max_entries": None,
        },
    }


def test_what_is_djangos_stands_beside() -> None:
    entry = cache_url(
        "diskcache:///c?timeout=60&key_prefix=a%26b&Version=2&key_function=my.keys.make"
    )
    assert entry == {
        "BACKEND": BACKEND,
        "LOCATION": "/c",
        "TIMEOUT": 60,
        "KEY_PREFIX": "a&b",
        "VERSION": 2,
        "KEY_FUNCTION": "my.keys.make",
    }
    assert cache_url("diskcache:///c?timeout=none")["TIMEOUT"] is None


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("diskcache:///var/My%20caches/%C3%A4", "/var/My caches/ä"),
        ("diskcache://relative/path", "relative/path"),
        ("diskcache:/one/slash", "/one/slash"),
        ("diskcache:///$HOME/cache", "/$HOME/cache"),
    ],
)
def test_locations(url: str, location: str) -> None:
    assert cache_url(url)["LOCATION"] == location


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/cache",
        "filecache:///var/cache",
        "diskcache:",
        "diskcache:///",
        "diskcache:///var/cache#size_limit=1",
        "diskcache:///c?shards=2&SHARDS=2",
        "diskcache:///c?timeout=2&TIMEOUT=2",
        "diskcache:///c?version=two",
    ],
)
def test_what_is_no_url_of_a_cache(url: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        cache_url(url)


def test_a_wrong_value_is_left_to_the_check(tmp_path: Path) -> None:
    url = f"diskcache://{tmp_path}/cache?size_limt=1&shards=many&timeout=soon&signing="
    with override_settings(CACHES={"default": cache_url(url)}):
        assert [str(each.id)[-4:] for each in check_settings()] == [
            "E001",
            "E004",
            "E002",
            "E002",
        ]


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_URL", raising=False)
    with pytest.raises(ImproperlyConfigured, match="Set CACHE_URL to the URL of a cache"):
        from_environment()
    assert from_environment(default="diskcache:///default")["LOCATION"] == "/default"
    monkeypatch.setenv("CACHE_URL", "")
    assert from_environment(default="diskcache:///default")["LOCATION"] == "/default"
    monkeypatch.setenv("CACHE_URL", "diskcache:///set")
    assert from_environment(default="diskcache:///default")["LOCATION"] == "/set"
    monkeypatch.setenv("OTHER", "diskcache:///other")
    entry = from_environment("OTHER", backend="my.Backend")
    assert entry == {"BACKEND": "my.Backend", "LOCATION": "/other"}


def test_the_entry_is_a_cache(tmp_path: Path) -> None:
    entry = cache_url(f"diskcache://{tmp_path}/cache?size_limit=4MiB&shards=2&key_prefix=p")
    with override_settings(CACHES={"default": entry}):
        cache = caches["default"]
        assert isinstance(cache, DjangoCache)
        cache.set("key", 1)
        assert cache.directory == str(tmp_path / "cache")
        assert len(engine_of(cache).stores) == 2
        assert cache._cache.engine.settings["size_limit"] == 4 * 2**20


# On a server


@pytest.mark.parametrize(
    "location",
    [
        "valkey://cache.internal:6379/0",
        "redis://",
        "rediss://user:p%40ss@host:6380/2?client_name=a%20b&socket_keepalive=yes",
        "valkeys://host?client_name=a+b",
        "unix:///run/valkey.sock?db=2",
        "sentinel://:secret@a:26379,b/main/1?health_check_interval=10",
    ],
)
def test_an_address_is_location_as_it_stands(location: str) -> None:
    expected = {"BACKEND": BACKEND, "LOCATION": location}
    assert cache_url(location) == cache_url(f"diskcache+{location}") == expected
    assert read_address(cache_url(location)["LOCATION"]) == read_address(location)


@pytest.mark.parametrize("front", ["", "diskcache+"])
def test_options_are_taken_out_of_an_address(front: str) -> None:
    entry = cache_url(
        f"{front}valkey://:p%26w@host:6380/3?near_cache_size=64MB&ssl_ca_certs=/a%26b"
        "&Timeout=60&KEY_PREFIX=a%26b&version=2&key_function=my.keys.make&Size_Limit=4GB"
        "&database_timeout=100ms&socket_keepalive=1&server_name=site&disk_dialect=loose"
    )
    assert entry == {
        "BACKEND": BACKEND,
        "LOCATION": "valkey://:p%26w@host:6380/3?ssl_ca_certs=/a%26b&socket_keepalive=1",
        "TIMEOUT": 60,
        "KEY_PREFIX": "a&b",
        "VERSION": 2,
        "KEY_FUNCTION": "my.keys.make",
        "OPTIONS": {
            "near_cache_size": 64 * 10**6,
            "size_limit": 4 * 10**9,
            "database_timeout": 0.1,
            "server_name": "site",
            "disk_dialect": "loose",
        },
    }


def test_every_option_of_the_tables_is_taken_out() -> None:
    for name in (*OPTIONS, *FACE_OPTIONS, "TIMEOUT", "KEY_PREFIX", "KEY_FUNCTION"):
        assert cache_url(f"valkey://host?{name}=x")["LOCATION"] == "valkey://host", name


def test_several_hosts_are_nodes_of_a_cluster() -> None:
    url = "valkeys://:p%2Cw@a:7000,b:7001/?shards=4&ssl_ca_certs=/a"
    assert cache_url(url)["LOCATION"] == [
        "valkeys://:p%2Cw@a:7000/?ssl_ca_certs=/a",
        "valkeys://:p%2Cw@b:7001/?ssl_ca_certs=/a",
    ]
    assert cache_url("valkey://:a,b@host")["LOCATION"] == "valkey://:a,b@host"
    assert cache_url("unix:///run/a,b")["LOCATION"] == "unix:///run/a,b"


@pytest.mark.parametrize(
    "url",
    [
        "redsi://:xyzzy@host",
        "valkey://:xyzzy@host?shards=1&SHARDS=2",
        "valkey://host?password=xyzzy&timeout=1&TIMEOUT=2",
        "diskcache+http://:xyzzy@host",
    ],
)
def test_a_password_is_not_told(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"\*\*\*") as caught:
        cache_url(url)
    assert "xyzzy" not in str(caught.value)


def test_an_argument_that_is_none_is_left_to_the_check() -> None:
    url = "valkey://host?near_cache_sise=1"
    with override_settings(CACHES={"default": cache_url(url)}):
        (message,) = check_settings()
    assert message.id == "django_diskcache.E011"
    assert "'near_cache_sise'" in str(message.hint)


def test_the_entry_is_a_cache_on_a_server(server: Server) -> None:
    url = f"{server.url}?near_cache_size=1MB&database_timeout=30&client_name=by-url&timeout=50"
    with override_settings(CACHES={"default": cache_url(url)}), server.client() as client:
        cache = caches["default"]
        assert isinstance(cache, DjangoCache)
        assert cache.set("key", 1)
        assert cache.default_timeout == 50
        assert cache._cache.engine.settings["near_cache_size"] == 10**6
        assert "by-url" in [each["name"] for each in client.client_list()]


# django-environ


@pytest.fixture
def env_class() -> Any:
    environ = pytest.importorskip("environ")

    class Env(environ.Env):  # type: ignore[misc, name-defined]
        pass

    return Env


def test_django_environ(env_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    register(env_class)
    monkeypatch.setenv("CACHE_URL", "diskcache:///var/cache/site?size_limit=4GB&shards=8")
    monkeypatch.setenv("OTHER_URL", "filecache:///tmp/files?timeout=5")
    expected = cache_url("diskcache:///var/cache/site?size_limit=4GB&shards=8")
    assert env_class().cache() == env_class().cache_url("CACHE_URL") == expected
    assert env_class().cache("MISSING", default="diskcache:///a/b")["LOCATION"] == "/a/b"
    assert env_class().cache(backend="my.Backend")["BACKEND"] == "my.Backend"
    monkeypatch.setenv("SERVER_URL", "diskcache+redis://host:6379/1?shards=8")
    assert env_class().cache("SERVER_URL") == cache_url("redis://host:6379/1?shards=8")
    for scheme in ("redis", "rediss", "valkey", "valkeys"):  # as they were, if they were
        before = env_class.__base__.CACHE_SCHEMES.get(scheme)
        assert env_class.CACHE_SCHEMES.get(scheme) == before
    other = env_class().cache("OTHER_URL")
    assert (other["LOCATION"], other["TIMEOUT"]) == ("/tmp/files", 5)


def test_registering_twice_and_by_an_object(env_class: Any) -> None:
    register(env_class())
    before = env_class.cache_url_config.__func__
    register(env_class)
    assert env_class.cache_url_config.__func__ is before


def test_another_class_is_left_alone(env_class: Any) -> None:
    class Other(env_class):  # type: ignore[misc]
        pass

    register(Other)
    assert "diskcache" in Other.CACHE_SCHEMES
    if "diskcache" not in env_class.__base__.CACHE_SCHEMES:  # an example's settings may do so
        assert "diskcache" not in env_class.CACHE_SCHEMES


def test_without_django_environ() -> None:
    code = (
        "import sys; sys.modules['environ'] = None\n"
        "from django_diskcache.environment import cache_url\n"
        "print(cache_url('diskcache:///a?shards=2'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    expected = {"BACKEND": BACKEND, "LOCATION": "/a", "OPTIONS": {"shards": 2}}
    assert (done.stdout, done.stderr) == (f"{expected!r}\n", "")
