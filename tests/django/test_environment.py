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
from django_diskcache.environment import cache_url, from_environment, register

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
        assert len(cache._cache.engine.stores) == 2
        assert cache._cache.engine.settings["size_limit"] == 4 * 2**20


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
