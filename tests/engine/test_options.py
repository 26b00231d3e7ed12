"""Every setting: what it takes, and an error for the rest that says what to write instead."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import Cache, Disk, JSONDisk
from django_diskcache.engine.options import (
    DEFAULT_SETTINGS,
    OPTIONS,
    did_you_mean,
    read_settings,
)

TAKEN = [
    ("statistics", True, 1),
    ("statistics", 0, 0),
    ("statistics", " Yes ", 1),
    ("statistics", "off", 0),
    ("tag_index", "1", 1),
    ("tag_index", "FALSE", 0),
    ("eviction_policy", " None", "none"),
    ("eviction_policy", "Least-Recently-Used", "least-recently-used"),
    ("size_limit", 0, 0),
    ("size_limit", 1.5e6, 1_500_000),
    ("size_limit", "512", 512),
    ("size_limit", "64MB", 64_000_000),
    ("size_limit", "64 mb", 64_000_000),
    ("size_limit", "1.5GiB", 3 * 2**29),
    ("size_limit", "2k", 2000),
    ("size_limit", "2KiB", 2048),
    ("size_limit", "1T", 10**12),
    ("cull_limit", "0", 0),
    ("cull_limit", 7.0, 7),
    ("max_entries", None, None),
    ("max_entries", "none", None),
    ("max_entries", "", None),
    ("max_entries", 1, 1),
    ("cull_frequency", 0, 0),
    ("sqlite_auto_vacuum", 2, 2),
    ("sqlite_cache_size", -2000, -2000),
    ("sqlite_journal_mode", "WAL", "wal"),
    ("sqlite_mmap_size", "1MiB", 2**20),
    ("sqlite_synchronous", "3", 3),
    ("disk_min_file_size", "32KiB", 2**15),
    ("disk_pickle_protocol", pickle.HIGHEST_PROTOCOL, pickle.HIGHEST_PROTOCOL),
]
REFUSED = [
    ("statistics", 2, "true or false"),
    ("statistics", "maybe", "true or false"),
    ("statistics", None, "true or false"),
    ("tag_index", [], "true or false"),
    ("eviction_policy", "lru", "one of s3-fifo, least-recently-stored"),
    ("eviction_policy", None, "one of"),
    ("size_limit", -1, "at least 0"),
    ("size_limit", "-1", "at least 0"),
    ("size_limit", "many", "512MiB"),
    ("size_limit", "4 XB", "512MiB"),
    ("size_limit", math.nan, "size in bytes"),
    ("size_limit", math.inf, "size in bytes"),
    ("size_limit", True, "size in bytes"),
    ("size_limit", None, "size in bytes"),
    ("size_limit", 2**63, "size in bytes"),
    ("size_limit", "10000000TB", "size in bytes"),
    ("cull_limit", -1, "whole number of at least 0"),
    ("cull_limit", 1.5, "whole number"),
    ("cull_limit", "ten", "whole number"),
    ("cull_limit", True, "whole number"),
    ("cull_limit", 2**63, "whole number"),
    ("max_entries", 0, "at least 1"),
    ("sqlite_auto_vacuum", 3, "from 0 to 2"),
    ("sqlite_journal_mode", "wall", "did you mean 'wal'"),
    ("sqlite_synchronous", "full", "from 0 to 3"),
    ("disk_pickle_protocol", pickle.HIGHEST_PROTOCOL + 1, "whole number from 0"),
]


@pytest.mark.parametrize(("name", "value", "expected"), TAKEN)
def test_taken(name: str, value: Any, expected: Any) -> None:
    found = read_settings({name: value})

    assert found == {name: expected}
    assert type(found[name]) is type(expected)


@pytest.mark.parametrize(("name", "value", "remedy"), REFUSED)
def test_refused(
    name: str, value: Any, remedy: str, cache: Cache, make_cache: Callable[..., Cache]
) -> None:
    with pytest.raises(ValueError, match=remedy) as error:
        make_cache("other", **{name: value})
    assert str(error.value).startswith(f"{name}={value!r}: expected ")

    before = getattr(cache, name)
    with pytest.raises(ValueError, match=remedy):
        cache.reset(name, value)
    assert getattr(cache, name) == before
    cache["key"] = 1


def test_a_refused_setting_makes_no_directory(tmp_path: Any) -> None:
    with pytest.raises(ValueError):
        Cache(str(tmp_path / "new"), size_limit=-1)

    assert not (tmp_path / "new").exists()


def test_unknown_names(cache: Cache, make_cache: Callable[..., Cache]) -> None:
    with pytest.raises(TypeError, match=r"'size_limt' .*did you mean 'size_limit'"):
        make_cache("other", size_limt=1)
    with pytest.raises(TypeError, match="disk_colour"):
        make_cache("other", disk_colour=1)
    with pytest.raises(TypeError, match="disk_colour"):
        make_cache(disk_colour=1)  # of an engine that is open already
    with pytest.raises(KeyError, match="did you mean 'size_limit'"):
        cache.reset("size_limt", 1)
    with pytest.raises(AttributeError, match="size_limt"):
        _ = cache.size_limt


def test_the_arguments_of_a_disk_are_attributes_of_its_caches(
    make_cache: Callable[..., Cache],
) -> None:
    packed = make_cache("packed", disk=JSONDisk, disk_compress_level=3)
    assert packed.disk_compress_level == 3
    with pytest.raises(AttributeError, match="'Cache' object has no attribute 'disk_compress"):
        _ = make_cache("plain").disk_compress_level
    assert "__getattr__" not in {name for cls in Cache.__mro__ for name in vars(cls)}


def test_did_you_mean_nothing_like_it() -> None:
    assert did_you_mean("zzz", OPTIONS) == ""
    assert did_you_mean(17, OPTIONS) == ""


def test_defaults_are_values_that_are_taken() -> None:
    assert read_settings(DEFAULT_SETTINGS) == DEFAULT_SETTINGS
    for option in OPTIONS.values():
        assert option.help.endswith(".")


def test_a_wrong_disk(tmp_path: Any) -> None:
    for wrong in (dict, "Disk", Disk("x")):
        with pytest.raises(ValueError, match="Disk or a subclass"):
            Cache(str(tmp_path), disk=wrong)  # type: ignore[arg-type]


def test_reset_sets_and_loads(cache: Cache, make_cache: Callable[..., Cache]) -> None:
    assert cache.reset("size_limit", "2MB") == 2_000_000
    assert cache.size_limit == 2_000_000
    assert cache.reset("cull_limit", 3, update=False) == 3
    assert cache.cull_limit == 3

    other = make_cache(clock=lambda: 0.0)  # an engine of its own
    assert other.size_limit == 2_000_000
    assert other.cull_limit == 10
    other.reset("cull_limit", 5)
    assert cache.cull_limit == 3
    assert cache.reset("cull_limit") == 5
    assert cache.cull_limit == 5


def test_settings_survive_reopening(make_cache: Callable[..., Cache]) -> None:
    given = {
        "statistics": 1,
        "tag_index": 1,
        "eviction_policy": "least-recently-used",
        "size_limit": 5_000_000,
        "cull_limit": 3,
        "max_entries": 50,
        "sqlite_synchronous": 2,
        "sqlite_cache_size": 500,
        "disk_min_file_size": 100,
        "disk_pickle_protocol": 2,
    }
    make_cache(**given).close()

    cache = make_cache(clock=lambda: 0.0)  # an engine of its own

    assert {name: getattr(cache, name) for name in given} == given
    assert cache.disk.min_file_size == 100
    assert cache.disk.pickle_protocol == 2
    run = cache.engine.stores[0].database.run
    for name in ("synchronous", "cache_size"):
        assert run(f"PRAGMA {name}") == [(given[f"sqlite_{name}"],)]


def test_pragmas_change_with_reset(cache: Cache) -> None:
    cache["key"] = 1
    cache.reset("sqlite_synchronous", 0)

    assert cache.engine.stores[0].database.run("PRAGMA synchronous") == [(0,)]
    assert cache["key"] == 1


def test_a_damaged_setting_is_the_default(make_cache: Callable[..., Cache]) -> None:
    first = make_cache()
    run = first.engine.stores[0].database.run
    run("UPDATE settings SET value = 'enormous' WHERE key = 'size_limit'")
    run("INSERT INTO settings VALUES ('from_the_future', 1)")

    assert make_cache(clock=lambda: 0.0).size_limit == 2**30
