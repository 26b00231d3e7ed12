"""What an entry of CACHES may say, and what it gets for a mistake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_diskcache import Disk, DjangoCache, JSONDisk
from django_diskcache.engine.options import OPTIONS
from django_diskcache.faceoptions import DEFAULTS, FACE_OPTIONS
from django_diskcache.signals import cache_set
from tests.engines import engine_of
from tests.server.servers import Server

from .conftest import FakeClock, MakeCache

BACKEND = "django_diskcache.DjangoCache"


class PlainDisk(JSONDisk):
    """A disk of one's own, with an argument of its own."""

    def __init__(self, directory: str, dialect: str = "strict", **kwargs: Any) -> None:
        self.dialect = dialect
        super().__init__(directory, **kwargs)


def setting(cache: DjangoCache, name: str) -> Any:
    return cache._cache.engine.settings[name]


def shards(cache: DjangoCache) -> int:
    return len(engine_of(cache).stores)


# Options


def test_defaults(cache: DjangoCache) -> None:
    assert shards(cache) == 8
    assert cache._cache.timeout == 0.010
    assert type(engine_of(cache).stores[0].disk) is Disk
    for name, option in OPTIONS.items():
        assert setting(cache, name) == DEFAULTS.get(name, option.default)


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_names_of_options_are_in_any_case(
    make_cache: MakeCache, case: Callable[[str], str]
) -> None:
    given = {
        "size_limit": 2**22,
        "eviction_policy": "none",
        "max_entries": 50,
        "cull_frequency": 4,
        "tag_index": 1,
        "shards": 3,
        "database_timeout": 0.5,
        "disk_min_file_size": 1000,
    }
    cache = make_cache(OPTIONS={case(name): value for name, value in given.items()})
    assert shards(cache) == given.pop("shards")
    assert cache._cache.timeout == given.pop("database_timeout")
    assert {name: setting(cache, name) for name in given} == given


@pytest.mark.parametrize("name", ["SHARDS", "shards", "Shards"])
def test_shards_beside_options_and_inside(tmp_path: Path, name: str) -> None:
    assert shards(DjangoCache(tmp_path / "beside", {name: 3})) == 3
    assert shards(DjangoCache(tmp_path / "inside", {"OPTIONS": {name: 3}})) == 3


@pytest.mark.parametrize("name", ["DATABASE_TIMEOUT", "database_timeout"])
def test_database_timeout_beside_options_and_inside(make_cache: MakeCache, name: str) -> None:
    assert make_cache(**{name: 0.25})._cache.timeout == 0.25
    assert make_cache(OPTIONS={name: 0.25})._cache.timeout == 0.25


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SIZE_LIMIT", "4GB", 4 * 10**9),
        ("SIZE_LIMIT", "512MiB", 2**29),
        ("SIZE_LIMIT", "1.5 kb", 1500),
        ("SIZE_LIMIT", "1048576", 2**20),
        ("DISK_MIN_FILE_SIZE", "64KiB", 2**16),
        ("STATISTICS", "true", 1),
        ("STATISTICS", "False", 0),
        ("TAG_INDEX", "on", 1),
        ("TAG_INDEX", " no ", 0),
        ("CULL_LIMIT", "7", 7),
        ("EVICTION_POLICY", "Least-Recently-Used", "least-recently-used"),
        ("MAX_ENTRIES", "500", 500),
        ("MAX_ENTRIES", "none", None),
        ("CULL_FREQUENCY", "0", 0),
        ("SQLITE_SYNCHRONOUS", "0", 0),
        ("SQLITE_CACHE_SIZE", "-2000", -2000),
        ("SQLITE_JOURNAL_MODE", "WAL", "wal"),
    ],
)
def test_values_may_be_texts_of_the_environment(
    make_cache: MakeCache, name: str, text: str, value: Any
) -> None:
    cache = make_cache(OPTIONS={name: text})
    found = setting(cache, name.lower())
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"), [("10ms", 0.01), ("1.5s", 1.5), ("2", 2.0), ("1m", 60.0), ("0", 0.0)]
)
def test_database_timeout_as_a_text(make_cache: MakeCache, text: str, value: float) -> None:
    assert make_cache(DATABASE_TIMEOUT=text)._cache.timeout == pytest.approx(value)


def test_shards_as_a_text(make_cache: MakeCache) -> None:
    assert shards(make_cache(SHARDS="4")) == 4


def test_the_parameters_are_left_alone(tmp_path: Path) -> None:
    params: dict[str, Any] = {"SHARDS": "2", "OPTIONS": {"SIZE_LIMIT": "1MB"}}
    DjangoCache(tmp_path / "a", params)
    assert params == {"SHARDS": "2", "OPTIONS": {"SIZE_LIMIT": "1MB"}}


@pytest.mark.parametrize("options", [None, {}])
def test_empty_options(make_cache: MakeCache, options: Any) -> None:
    assert shards(make_cache(OPTIONS=options)) == 8


# Disk


@pytest.mark.parametrize("disk", [JSONDisk, "django_diskcache.JSONDisk"])
def test_disk_is_a_class_or_its_path(make_cache: MakeCache, disk: Any) -> None:
    cache = make_cache(OPTIONS={"DISK": disk, "DISK_COMPRESS_LEVEL": 6})
    made: Any = engine_of(cache).stores[0].disk
    assert type(made) is JSONDisk
    assert made.compress_level == 6
    cache.set("key", {"a": (1, 2)})
    assert cache.get("key") == {"a": [1, 2]}


def test_a_disk_of_ones_own_gets_its_arguments(make_cache: MakeCache) -> None:
    cache = make_cache(OPTIONS={"disk": f"{__name__}.PlainDisk", "disk_dialect": "loose"})
    disk = engine_of(cache).stores[0].disk
    assert isinstance(disk, PlainDisk)
    assert disk.dialect == "loose"
    cache.set_many({"a": 1, "b": "x" * 100_000})
    assert cache.get_many("ab") == {"a": 1, "b": "x" * 100_000}


# Location


@pytest.mark.parametrize("kind", [str, Path])
def test_location_is_a_text_or_a_path(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    cache = DjangoCache(kind(tmp_path / "cache"), {})
    cache.set("key", 1)
    assert cache.directory == str(tmp_path / "cache")
    assert type(cache.directory) is str


def test_location_is_made_with_what_is_missing_above_it(tmp_path: Path) -> None:
    location = tmp_path / "var" / "cache" / "site" / "pages"
    cache = DjangoCache(location, {})
    cache.set("key", 1)
    assert location.is_dir()
    assert DjangoCache(str(location), {}).get("key") == 1


def test_location_may_exist_and_have_other_things_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    cache = DjangoCache(tmp_path, {})
    cache.set("key", 1)
    cache.clear()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_location_is_for_this_user_only(tmp_path: Path) -> None:
    cache = DjangoCache(tmp_path / "new" / "cache", {})
    cache.set("key", b"x" * 100_000)
    for path in (tmp_path / "new").rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == expected, path


def test_a_relative_location_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    cache = DjangoCache("relative", {})
    monkeypatch.chdir(tmp_path / "elsewhere")
    cache.set("key", b"x" * 100_000)
    cache.shutdown()
    assert cache.get("key") == b"x" * 100_000
    assert cache.directory == str(tmp_path / "relative")
    assert os.listdir() == []


@pytest.mark.parametrize("location", ["", None, 5, {"a"}])
def test_location_missing(location: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="LOCATION") as caught:
        DjangoCache(location, {})
    assert repr(location) in str(caught.value)
    assert "directory" in str(caught.value)


def test_location_missing_in_the_settings() -> None:
    with (
        override_settings(CACHES={"default": {"BACKEND": BACKEND}}),
        pytest.raises(ImproperlyConfigured, match="LOCATION"),
    ):
        caches["default"].get("key")


@pytest.mark.parametrize("below", ["", "cache", "deep/down/cache"])
def test_location_that_cannot_be_made(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    location = tmp_path / "file" / below
    with pytest.raises(ImproperlyConfigured) as caught:
        DjangoCache(location, {})
    assert str(location) in str(caught.value)
    assert "LOCATION takes a directory that this process may make" in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


# Several aliases on one directory


def test_two_aliases_with_the_same_options_share_an_engine(tmp_path: Path) -> None:
    alias = {
        "BACKEND": BACKEND,
        "LOCATION": str(tmp_path / "cache"),
        "OPTIONS": {"size_limit": "64MB"},
    }
    with override_settings(CACHES={"default": alias, "other": {**alias, "VERSION": 2}}):
        first, second = caches["default"], caches["other"]
        assert isinstance(first, DjangoCache)
        assert isinstance(second, DjangoCache)
        assert first is not second
        assert first._cache.engine is second._cache.engine
        first.set("key", 1)
        assert second.get("key") is None
        assert second.get("key", version=1) == 1


def test_one_directory_by_two_names_is_one_engine(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "cache")
    first = DjangoCache(tmp_path / "cache", {})
    second = DjangoCache(tmp_path / "link", {})
    third = DjangoCache(f"{tmp_path}/cache/../cache/", {})
    assert first._cache.engine is second._cache.engine is third._cache.engine


def test_two_aliases_with_different_options(make_cache: MakeCache, clock: FakeClock) -> None:
    first = make_cache(SHARDS=4, TIMEOUT=60, OPTIONS={"statistics": 0, "cull_limit": 5})
    second = make_cache(SHARDS=2, TIMEOUT=30, OPTIONS={"disk_min_file_size": 100})
    assert (setting(first, "cull_limit"), setting(second, "cull_limit")) == (5, 10)
    assert (setting(first, "statistics"), setting(second, "statistics")) == (0, 1)
    # A directory keeps its number of shards: with another, entries would not be found.
    assert shards(first) == shards(second) == 4
    first.set_many({f"key-{number}": b"x" * 1000 for number in range(20)})
    assert len(second.get_many(f"key-{number}" for number in range(20))) == 20
    second.set("key-3", "new")
    assert first.get("key-3") == "new"
    clock.advance(30)
    assert "key-3" not in first
    assert first.delete("key-4") is True
    assert second.get("key-4") is None
    second.clear()
    assert len(first) == 0


def test_options_of_an_alias_do_not_outlive_it(make_cache: MakeCache) -> None:
    cache = make_cache(OPTIONS={"size_limit": 2**22, "eviction_policy": "none"})
    cache.set("key", 1)
    cache.shutdown()
    cache = make_cache()
    assert setting(cache, "size_limit") == OPTIONS["size_limit"].default
    assert setting(cache, "eviction_policy") == OPTIONS["eviction_policy"].default
    assert cache.get("key") == 1


# Mistakes: the message names what is wrong, and what is taken instead

POLICIES = "least-recently-stored, least-recently-used, least-frequently-used, none"
MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    ({"OPTIONS": {"size_limt": 1}}, ["'size_limt'", "did you mean 'size_limit'?"]),
    ({"OPTIONS": {"SHARD": 1}}, ["'shard'", "did you mean 'shards'?"]),
    ({"OPTIONS": {"evicton-policy": 1}}, ["did you mean 'eviction_policy'?"]),
    ({"OPTIONS": {"xyzzy": 1}}, ["'xyzzy' is not an option of DjangoCache"]),
    ({"OPTIONS": {5: 1}}, ["'5' is not an option"]),
    ({"OPTIONS": {"eviction_policy": "lru"}}, ["eviction_policy='lru'", POLICIES]),
    ({"OPTIONS": {"eviction_policy": "least-recently-use"}}, ["'least-recently-used'?"]),
    ({"OPTIONS": {"eviction_policy": 5}}, ["eviction_policy=5", POLICIES]),
    ({"SHARDS": 0}, ["shards=0", "a whole number from 1 to 999"]),
    ({"SHARDS": -1}, ["shards=-1", "a whole number from 1 to 999"]),
    ({"SHARDS": 1000}, ["shards=1000", "a whole number from 1 to 999"]),
    ({"SHARDS": "x"}, ["shards='x'", "a whole number from 1 to 999"]),
    ({"SHARDS": 2.5}, ["shards=2.5", "a whole number"]),
    ({"SHARDS": None}, ["shards=None", "a whole number"]),
    ({"SHARDS": True}, ["shards=True", "a whole number"]),
    ({"OPTIONS": {"shards": 0}}, ["shards=0", "a whole number from 1 to 999"]),
    ({"OPTIONS": {"size_limit": -1}}, ["size_limit=-1", "at least 0", "'512MiB'"]),
    ({"OPTIONS": {"size_limit": "-1GB"}}, ["size_limit='-1GB'", "'512MiB'"]),
    ({"OPTIONS": {"size_limit": "large"}}, ["size_limit='large'", "'512MiB'"]),
    ({"OPTIONS": {"size_limit": None}}, ["size_limit=None", "bytes"]),
    ({"OPTIONS": {"size_limit": float("nan")}}, ["size_limit=nan", "bytes"]),
    ({"OPTIONS": {"disk_min_file_size": -1}}, ["disk_min_file_size=-1", "bytes"]),
    ({"OPTIONS": {"MAX_ENTRIES": 0}}, ["max_entries=0", "at least 1"]),
    ({"OPTIONS": {"MAX_ENTRIES": "many"}}, ["max_entries='many'", "at least 1"]),
    ({"OPTIONS": {"MAX_ENTRIES": float("inf")}}, ["max_entries=inf", "at least 1"]),
    ({"OPTIONS": {"CULL_FREQUENCY": -1}}, ["cull_frequency=-1", "at least 0"]),
    ({"OPTIONS": {"cull_limit": -1}}, ["cull_limit=-1", "at least 0"]),
    ({"OPTIONS": {"statistics": "maybe"}}, ["statistics='maybe'", "true or false"]),
    ({"OPTIONS": {"tag_index": 2}}, ["tag_index=2", "true or false"]),
    ({"OPTIONS": {"sqlite_journal_mode": "fast"}}, ["sqlite_journal_mode='fast'", "wal"]),
    ({"OPTIONS": {"sqlite_synchronous": 9}}, ["sqlite_synchronous=9", "from 0 to 3"]),
    ({"OPTIONS": {"disk_pickle_protocol": 99}}, ["disk_pickle_protocol=99", "from 0 to"]),
    ({"DATABASE_TIMEOUT": -1}, ["database_timeout=-1", "seconds", "'10ms'"]),
    ({"DATABASE_TIMEOUT": "soon"}, ["database_timeout='soon'", "'10ms'"]),
    ({"DATABASE_TIMEOUT": None}, ["database_timeout=None", "'10ms'"]),
    ({"TIMEOUT": "5 minutes"}, ["TIMEOUT='5 minutes'", "seconds", "None for ever"]),
    ({"timeout": []}, ["TIMEOUT=[]", "None for ever"]),
    ({"OPTIONS": {"disk": dict}}, ["disk=<class 'dict'>", "Disk or a subclass"]),
    ({"OPTIONS": {"disk": Disk("/")}}, ["disk=<", "Disk or a subclass"]),
    ({"OPTIONS": {"disk": "json.dumps"}}, ["disk='json.dumps'", "Disk or a subclass"]),
    ({"OPTIONS": {"disk": "no.such"}}, ["disk='no.such'", "dotted path of a Disk"]),
    ({"OPTIONS": {"disk": "json"}}, ["disk='json'", "dotted path of a Disk"]),
    ({"OPTIONS": {"disk": "..json"}}, ["disk='..json'", "dotted path of a Disk"]),
    ({"OPTIONS": {"disk_colour": "red"}}, ["disk_colour", "Disk takes no setting"]),
    ({"OPTIONS": ["size_limit"]}, ["OPTIONS=['size_limit']", "a dictionary"]),
    ({"OPTIONS": "size_limit=5"}, ["OPTIONS='size_limit=5'", "a dictionary"]),
    ({"SHARDS": 3, "OPTIONS": {"SHARDS": 3}}, ["SHARDS is given twice", "leave one"]),
    ({"SHARDS": 3, "shards": 3}, ["shards is given twice", "leave one"]),
    ({"OPTIONS": {"size_limit": 3, "Size_Limit": 3}}, ["Size_Limit is given twice"]),
    ({"MAX_ENTRIES": 5, "OPTIONS": {"max_entries": 6}}, ["max_entries is given twice"]),
]


@pytest.mark.parametrize(
    ("params", "parts"),
    MISTAKES,
    ids=[re.sub(r" at 0x\w+", "", str(each[0])) for each in MISTAKES],
)
def test_a_mistake_is_named_with_its_remedy(
    tmp_path: Path, params: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        DjangoCache(tmp_path / "cache", params)
    for part in parts:
        assert part in str(caught.value)
    assert str(tmp_path / "cache") in str(caught.value)


def test_a_mistake_leaves_the_store_unharmed(make_cache: MakeCache) -> None:
    make_cache().set("key", 1)
    for params, _ in MISTAKES:
        with pytest.raises(ImproperlyConfigured):
            make_cache(**params)
    assert make_cache().get("key") == 1
    assert setting(make_cache(), "size_limit") == OPTIONS["size_limit"].default


def test_a_mistake_is_found_at_the_first_use_of_the_alias(tmp_path: Path) -> None:
    alias = {"BACKEND": BACKEND, "LOCATION": tmp_path / "cache"}
    wrong = {**alias, "OPTIONS": {"size_limt": 1}}
    with override_settings(CACHES={"default": alias, "wrong": wrong}):
        caches["default"].set("key", 1)
        with pytest.raises(ImproperlyConfigured, match="did you mean 'size_limit'"):
            caches["wrong"].get("key")


def test_every_option_says_what_it_is_for() -> None:
    for name, option in {**FACE_OPTIONS, **OPTIONS}.items():
        assert option.name == name
        assert option.help
        assert option.read(option.default) == option.default


def test_all_options_of_python_diskcache_are_taken(make_cache: MakeCache) -> None:
    diskcache = pytest.importorskip("diskcache")
    given = {**diskcache.DEFAULT_SETTINGS, "disk": JSONDisk, "disk_compress_level": 1}
    policies = set(diskcache.core.EVICTION_POLICY)
    given = {name: value for name, value in given.items() if value is not None}
    cache = make_cache(SHARDS=2, DATABASE_TIMEOUT=0.01, OPTIONS=given)
    for name in diskcache.DEFAULT_SETTINGS:
        assert setting(cache, name) == given[name]
    for policy in policies:
        options = {"eviction_policy": policy}
        assert setting(make_cache(OPTIONS=options), "eviction_policy") == policy


# On a server

# A value other than the default for each option of a directory; what has none here is the same.
OF_A_DIRECTORY: dict[str, Any] = {
    "size_limit": "2GB",
    "eviction_policy": "least-recently-used",
    "cull_limit": 20,
    "max_entries": 1000,
    "cull_frequency": 4,
    "tag_index": True,
    "statistics": False,
    "near_cache_size": "8MB",
    "sqlite_auto_vacuum": 1,
    "sqlite_cache_size": 4096,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": "32MB",
    "sqlite_synchronous": 2,
    "disk_min_file_size": 1000,
    "disk_pickle_protocol": 4,
    "serializer": "pickle",
    "compression": "zlib",
    "compression_level": 3,
    "compression_min_size": 2000,
    "shards": 4,
    "database_timeout": 30,
    "disk": "django_diskcache.Disk",
    "signing": True,
    "error_handler": None,
    "strict": False,
    "timeout_jitter": 0.1,
    "signals": False,
    "server_name": "site",
}


def test_location_alone_changes(server: Server, tmp_path: Path) -> None:
    assert OF_A_DIRECTORY.keys() == {*OPTIONS, *FACE_OPTIONS}
    entry = {
        "BACKEND": BACKEND,
        "LOCATION": str(tmp_path / "cache"),
        "TIMEOUT": 100,
        "KEY_PREFIX": "site",
        "VERSION": 2,
        "SHARDS": 4,
        "OPTIONS": {n: value for n, value in OF_A_DIRECTORY.items() if n != "shards"},
    }
    for location in (entry["LOCATION"], server.url, tmp_path / "cache"):
        with override_settings(CACHES={"default": {**entry, "LOCATION": location}}):
            cache = caches["default"]
            assert isinstance(cache, DjangoCache)
            assert cache.add("key", [1], tag="t") is True
            assert cache.get("key", tag=True) == ([1], "t")
            assert (cache.default_timeout, cache.key_prefix, cache.version) == (100, "site", 2)
            assert not setting(cache, "statistics")
            assert setting(cache, "near_cache_size") == 8_000_000
            assert cache.delete("key")


def test_defaults_on_a_server(server: Server) -> None:
    cache = DjangoCache(server.url, {})
    face: Any = cache._cache
    assert face.timeout == 0.25
    assert face.engine.name == "django_diskcache"
    assert setting(cache, "statistics") == 1
    for value in (0, "0", 0.0):  # a directory takes it; there each call waits for an answer
        assert DjangoCache(server.url, {"DATABASE_TIMEOUT": value})._cache.timeout == 0.25
    assert DjangoCache(server.url, {"DATABASE_TIMEOUT": "1s"})._cache.timeout == 1


def test_names_on_a_server_keep_caches_apart(server: Server) -> None:
    one = DjangoCache(server.url, {"OPTIONS": {"database_timeout": 30}})
    other = DjangoCache(server.url, {"OPTIONS": {"database_timeout": 30, "server_name": "b"}})
    one.set("key", 1)
    assert other.get("key") is None
    other.set("key", 2)
    one.clear()
    assert (one.get("key"), other.get("key")) == (None, 2)
    with pytest.raises(
        ImproperlyConfigured, match=r"server_name='a\{b'.*a text without braces"
    ):
        DjangoCache(server.url, {"OPTIONS": {"server_name": "a{b"}})


def test_limits_of_django_are_left_to_the_server(server: Server) -> None:
    params = {"OPTIONS": {"MAX_ENTRIES": 5, "CULL_FREQUENCY": 2, "database_timeout": 30}}
    cache = DjangoCache(server.url, params)
    cache.set_many({f"{n}": n for n in range(20)})
    assert len(cache.get_many(map(str, range(20)))) == 20
    with pytest.raises(ImproperlyConfigured, match="max_entries='few'"):
        DjangoCache(server.url, {"OPTIONS": {"MAX_ENTRIES": "few"}})


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (
            ["a"],
            "LOCATION[0]='a': expected the address of a node of a cluster, such as "
            "valkey://host:6379",
        ),
        (
            ["valkey://a", {"host": "b", "password": "xyzzy"}],
            "LOCATION[1] of type dict: expected the address of a node of a cluster, such as "
            "valkey://host:6379",
        ),
        ([], "LOCATION=[]: expected the addresses of nodes of a cluster"),
        (
            "vlakey://:xyzzy@host",
            "LOCATION='vlakey://:***@host': expected valkey://host:6379/0, valkeys://, "
            "redis://, rediss://, unix:///path, sentinel://",
        ),
        (
            "valkey://:xyzzy@host/0?size_limit=4GB",
            "LOCATION='valkey://:***@host/0?size_limit=4GB': 'size_limit' is no argument of a "
            "connection that may stand here: options of the cache stand in OPTIONS",
        ),
        (
            {"host": "a", "password": "xyzzy"},
            "LOCATION of type dict of a DjangoCache: expected the path of a directory, or the "
            "address of a server",
        ),
    ],
)
def test_a_wrong_address(location: Any, message: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        DjangoCache(location, {})
    assert str(caught.value) == message


def test_an_option_names_the_server_without_its_password() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        DjangoCache("valkey://:xyzzy@host/0?password=xyzzy", {"OPTIONS": {"size_limt": 1}})
    assert str(caught.value) == (
        "The cache at 'valkey://host:6379': 'size_limt' is not an option of DjangoCache"
        "; did you mean 'size_limit'?"
    )


def test_a_list_of_nodes_is_a_cluster(shared_cluster: Any) -> None:
    location = [node.url.removesuffix("/0") for node in shared_cluster.nodes]
    options = {"database_timeout": 30, "signals": True}
    entry = {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}
    told: list[Any] = []

    def hear(alias: str, directory: str, **more: Any) -> None:
        told.append((alias, directory))

    cache_set.connect(hear)
    with override_settings(CACHES={"default": entry}):
        cache = caches["default"]
        assert isinstance(cache, DjangoCache)
        cache.set_many({f"{n}": n for n in range(20)}, tag="t")
        assert len(cache.get_many(map(str, range(20)))) == 20
        assert DjangoCache(location, {"OPTIONS": options})._cache is cache._cache
        assert told == [("default", cache.directory)]
        cache_set.disconnect(hear)
        cache.clear()


WITHOUT_REDIS = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "redis":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing())
from django.conf import settings
entry = {"BACKEND": "django_diskcache.DjangoCache", "LOCATION": sys.argv[1]}
settings.configure(
    SECRET_KEY="x" * 60, INSTALLED_APPS=["django_diskcache"], CACHES={"default": entry}
)
import django
django.setup()
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
for each in run_checks(include_deployment_checks=True):
    if str(each.id).startswith("django_diskcache.E"):
        print(each)
try:
    print(cache.set("key", 1))
except ImproperlyConfigured as error:
    print(error)
"""


def without_redis(location: str) -> list[str]:
    """What a process prints that has no package redis, with a cache there."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_REDIS, location],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_without_the_extra(tmp_path: Path) -> None:
    assert without_redis(str(tmp_path / "cache")) == ["True"]
    assert without_redis("valkey://:xyzzy@host") == [
        "?: (django_diskcache.E012) Your 'default' cache is on a server, for which a package "
        "is missing: No module named 'redis'.",
        "\tHINT: Install the extra: pip install 'django-diskcache[valkey]'.",
        "LOCATION is the address of a server, which takes the extra valkey (No module named "
        "'redis'): pip install 'django-diskcache[valkey]'",
    ]
