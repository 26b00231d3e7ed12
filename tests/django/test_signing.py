"""Signed with SECRET_KEY: by default, until an option says otherwise."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.configuration import site_secrets
from django_diskcache.engine.sqlite import sqlite3
from tests.engines import engine_of

from .conftest import MakeCache

ROOT = Path(__file__).parents[2]
BACKEND = "django_diskcache.DjangoCache"
VALUES = {"list": [1], "file": ["x" * 100 + str(number) for number in range(1000)], "text": "t"}


class Exploit:
    """Loading its pickle makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (self.path, 0o700, True)


def poison(cache: DjangoCache, evil: object) -> None:
    """What somebody does who can write to the directory and knows python-diskcache."""
    for store in engine_of(cache).stores:
        with closing(sqlite3.connect(store.path)) as connection, connection:
            sql = "UPDATE cache SET mode = 4, filename = NULL, value = ?"
            connection.execute(sql, (pickle.dumps(evil),))
    cache._near.clear()


READS: list[Callable[[Any], Any]] = [
    lambda cache: cache.get("list"),
    lambda cache: cache.get_many(VALUES) or None,
    lambda cache: cache.pop("list"),
    lambda cache: cache.read("file"),
    lambda cache: cache.get("a warned key"),
    lambda cache: cache.get("list", expire_time=True, tag=True)[0],
    lambda cache: asyncio.run(cache.aget("list")),
    lambda cache: asyncio.run(cache.aget_many(VALUES)) or None,
    lambda cache: asyncio.run(cache.apop("list")),
    lambda cache: cache.get_or_set("list", lambda: None),
    lambda cache: asyncio.run(cache.aget_or_set("list", None)),
    lambda cache: cache.memoize(name="f")(lambda: None)(),
]


@pytest.mark.filterwarnings("ignore:Cache key contains characters")
@pytest.mark.parametrize("number", range(len(READS)))
def test_by_default_nothing_of_an_attacker_is_loaded(
    number: int, cache: DjangoCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set_many({**VALUES, "a warned key": [1]})
    cache.memoize(name="f")(lambda: [1])()
    assert cache.get_many(VALUES) == VALUES
    poison(cache, Exploit(tmp_path / "executed"))

    assert READS[number](cache) is None
    assert not (tmp_path / "executed").exists()
    assert {each.levelno for each in caplog.records} == {logging.WARNING}
    assert all(cache.directory in each.getMessage() for each in caplog.records)


def test_collections_are_signed_too(make_cache: MakeCache, tmp_path: Path) -> None:
    index = make_cache().index("i")
    index["key"] = [1]
    evil = Exploit(tmp_path / "executed")
    if index.cache.engine.in_files:
        (store,) = index.cache.engine.stores
        with closing(sqlite3.connect(store.path)) as connection, connection:
            sql = "UPDATE cache SET mode = 4, value = ?"
            connection.execute(sql, (pickle.dumps(evil),))
        index.cache.engine.near.clear()
    else:  # who can write to the server has a cache of ours as well
        make_cache(OPTIONS={"signing": False}).index("i")["key"] = evil
    assert list(index.items()) == []
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("off", [False, "false", "off", 0])
def test_it_can_be_turned_off_and_on(make_cache: MakeCache, off: Any) -> None:
    signed = make_cache()
    signed.set_many(VALUES)

    unsigned = make_cache(OPTIONS={"signing": off})
    assert unsigned.get_many(VALUES) == VALUES
    unsigned.set_many(VALUES)

    assert make_cache(OPTIONS={"SIGNING": "true"}).get_many(VALUES) == {"text": "t"}
    assert signed._cache.engine is make_cache()._cache.engine


@pytest.mark.parametrize("value", ["maybe", None, 2])
def test_a_wrong_value(make_cache: MakeCache, value: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"signing=.*true or false"):
        make_cache(OPTIONS={"signing": value})


def test_a_secret_key_is_rotated(tmp_path: Path) -> None:
    alias = {"BACKEND": BACKEND, "LOCATION": str(tmp_path / "cache")}
    with override_settings(CACHES={"default": alias}, SECRET_KEY="old"):
        caches["default"].set_many(VALUES)
    with override_settings(
        CACHES={"default": alias}, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", b"old"]
    ):
        assert caches["default"].get_many(VALUES) == VALUES
        caches["default"].set("later", [1])
    with override_settings(CACHES={"default": alias}, SECRET_KEY="new"):
        assert caches["default"].get_many([*VALUES, "later"]) == {"text": "t", "later": [1]}


def test_an_open_cache_is_not_taken_for_one_with_another_key(make_cache: MakeCache) -> None:
    cache = make_cache()
    cache.set("key", [1])
    with override_settings(SECRET_KEY="another"):
        other = make_cache()
        assert other._cache.engine is not cache._cache.engine
        assert other.get("key") is None
    assert make_cache()._cache.engine is cache._cache.engine


def test_texts_and_bytes_are_the_same_key(make_cache: MakeCache) -> None:
    with override_settings(SECRET_KEY=b"bytes"):
        cache = make_cache()
    with override_settings(SECRET_KEY="bytes"):
        assert make_cache()._cache.engine is cache._cache.engine


def test_an_empty_secret_key(make_cache: MakeCache) -> None:
    with override_settings(SECRET_KEY=""):
        with pytest.raises(ImproperlyConfigured) as caught:
            make_cache()
        assert "SECRET_KEY" in str(caught.value)
        assert "OPTIONS={'signing': False}" in str(caught.value)
        cache = make_cache(OPTIONS={"signing": False})
        cache.set("key", [1])
        assert cache.get("key") == [1]


def test_an_empty_fallback(make_cache: MakeCache) -> None:
    with override_settings(SECRET_KEY_FALLBACKS=["fine", ""]):
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FALLBACKS"):
            make_cache()
        make_cache(OPTIONS={"signing": False})


def test_the_key_is_in_no_repr(make_cache: MakeCache) -> None:
    with override_settings(SECRET_KEY="xyzzy"):
        cache = make_cache()
        assert "xyzzy" not in repr(site_secrets())
        assert "xyzzy" not in repr(vars(cache))
        assert "xyzzy" not in repr(vars(cache._cache.engine))


@pytest.mark.parametrize("key", ["only for tests", "another"])
def test_other_processes_of_the_site(cache: DjangoCache, key: str) -> None:
    cache.set_many(VALUES)
    code = (
        "import sys; from django.conf import settings;"
        "settings.configure(SECRET_KEY=sys.argv[2]);"
        "from django_diskcache import DjangoCache;"
        "print(sorted(DjangoCache(sys.argv[1], {}).get_many(['list', 'file', 'text'])))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code, cache.directory, key],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    expected = sorted(VALUES) if key == "only for tests" else ["text"]
    assert seen.stdout.strip() == str(expected)
