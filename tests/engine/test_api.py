"""The public names, and their arguments as python-diskcache 5.6.3 documents them.

The tables are written from its documentation. An argument of ours beyond those must have a
default, and stand behind them.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import django_diskcache
from django_diskcache import engine

NAMES = [
    "Averager",
    "BoundedSemaphore",
    "Cache",
    "DEFAULT_SETTINGS",
    "Deque",
    "Disk",
    "ENOVAL",
    "EVICTION_POLICY",
    "EmptyDirWarning",
    "FanoutCache",
    "Fault",
    "Index",
    "JSONDisk",
    "Lock",
    "LockError",
    "LockLost",
    "RLock",
    "Timeout",
    "UNKNOWN",
    "UnknownFileWarning",
    "barrier",
    "memoize_stampede",
    "throttle",
]

KEYED = {
    "set": "key, value, expire=None, read=False, tag=None, retry=False",
    "get": "key, default=None, read=False, expire_time=False, tag=False, retry=False",
    "add": "key, value, expire=None, read=False, tag=None, retry=False",
    "touch": "key, expire=None, retry=False",
    "incr": "key, delta=1, default=0, retry=False",
    "decr": "key, delta=1, default=0, retry=False",
    "pop": "key, default=None, expire_time=False, tag=False, retry=False",
    "delete": "key, retry=False",
    "check": "fix=False, retry=False",
    "create_tag_index": "",
    "drop_tag_index": "",
    "evict": "tag, retry=False",
    "cull": "retry=False",
    "clear": "retry=False",
    "stats": "enable=True, reset=False",
    "volume": "",
    "close": "",
    "memoize": "name=None, typed=False, expire=None, tag=None, ignore=()",
}
QUEUE_END = (
    "prefix=None, default=(None, None), side={}, expire_time=False, tag=False, retry=False"
)
SIGNATURES = {
    "Cache": {
        **KEYED,
        "__init__": "directory=None, timeout=60, disk=Disk",
        "read": "key, retry=False",
        "push": "value, prefix=None, side='back', expire=None, read=False, tag=None, "
        "retry=False",
        "pull": QUEUE_END.format("'front'"),
        "peek": QUEUE_END.format("'front'"),
        "peekitem": "last=True, expire_time=False, tag=False, retry=False",
        "transact": "retry=False",
        "expire": "now=None, retry=False",
        "iterkeys": "reverse=False",
        "reset": "key, value=ENOVAL, update=True",
    },
    "FanoutCache": {
        **KEYED,
        "__init__": "directory=None, shards=8, timeout=0.010, disk=Disk",
        "read": "key",
        "transact": "retry=True",
        "expire": "retry=False",
        "reset": "key, value=ENOVAL",
        "cache": "name, timeout=60, disk=None",
        "deque": "name, maxlen=None",
        "index": "name",
    },
    "Deque": {
        "__init__": "iterable=(), directory=None, maxlen=None",
        "fromcache": "cache, iterable=(), maxlen=None",
        "append": "value",
        "appendleft": "value",
        "clear": "",
        "copy": "",
        "count": "value",
        "extend": "iterable",
        "extendleft": "iterable",
        "peek": "",
        "peekleft": "",
        "pop": "",
        "popleft": "",
        "remove": "value",
        "reverse": "",
        "rotate": "steps=1",
        "transact": "",
    },
    "Index": {
        "clear": "",
        "fromcache": "cache",
        "items": "",
        "keys": "",
        "memoize": "name=None, typed=False, ignore=()",
        "peekitem": "last=True",
        "pop": "key, default=ENOVAL",
        "popitem": "last=True",
        "pull": "prefix=None, default=(None, None), side='front'",
        "push": "value, prefix=None, side='back'",
        "setdefault": "key, default=None",
        "transact": "",
        "values": "",
    },
    "Disk": {
        "__init__": "directory, min_file_size=0, pickle_protocol=0",
        "hash": "key",
        "put": "key",
        "get": "key, raw",
        "store": "value, read, key=UNKNOWN",
        "fetch": "mode, filename, value, read",
        "filename": "key=UNKNOWN, value=UNKNOWN",
        "remove": "file_path",
    },
    "JSONDisk": {"__init__": "directory, compress_level=1"},
    "Averager": {
        "__init__": "cache, key, expire=None, tag=None",
        "add": "value",
        "get": "",
        "pop": "",
    },
    "Lock": {
        "__init__": "cache, key, expire=None, tag=None",
        "acquire": "",
        "release": "",
        "locked": "",
    },
    "RLock": {"__init__": "cache, key, expire=None, tag=None", "acquire": "", "release": ""},
    "BoundedSemaphore": {
        "__init__": "cache, key, value=1, expire=None, tag=None",
        "acquire": "",
        "release": "",
    },
}
FUNCTIONS = {
    "throttle": "cache, count, seconds, name=None, expire=None, tag=None, "
    "time_func=time.time, sleep_func=time.sleep",
    "barrier": "cache, lock_factory, name=None, expire=None, tag=None",
    "memoize_stampede": "cache, expire, name=None, typed=False, tag=None, beta=1, ignore=()",
}
PROPERTIES = {
    "Cache": {"directory", "timeout", "disk"},
    "FanoutCache": {"directory"},
    "Deque": {"cache", "directory", "maxlen"},
    "Index": {"cache", "directory"},
}


def expected(text: str) -> inspect.Signature:
    scope = {**vars(engine), "time": time}
    function = eval(f"lambda {text}: None", scope)
    return inspect.signature(function)


def assert_compatible(function: Any, text: str) -> None:
    ours = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    theirs = list(expected(text).parameters.values())
    assert [p.name for p in ours[: len(theirs)]] == [p.name for p in theirs]
    for mine, wanted in zip(ours, theirs, strict=False):
        assert mine.default == wanted.default, mine.name
        assert mine.kind in (mine.POSITIONAL_OR_KEYWORD, mine.VAR_POSITIONAL)
    for extra in ours[len(theirs) :]:
        assert extra.default is not extra.empty or extra.kind in (
            extra.VAR_KEYWORD,
            extra.VAR_POSITIONAL,
        ), extra.name


def test_public_names() -> None:
    assert sorted(engine.__all__) == sorted(NAMES)
    assert {*NAMES, "DjangoCache"} <= set(django_diskcache.__all__)
    for name in django_diskcache.__all__:
        assert getattr(django_diskcache, name) is not None


METHODS = [(cls, method) for cls, methods in SIGNATURES.items() for method in methods]


@pytest.mark.parametrize(("cls", "method"), METHODS)
def test_methods_take_the_same_arguments(cls: str, method: str) -> None:
    assert_compatible(getattr(getattr(engine, cls), method), SIGNATURES[cls][method])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_the_same_arguments(name: str) -> None:
    assert_compatible(getattr(engine, name), FUNCTIONS[name])


@pytest.mark.parametrize("cls", PROPERTIES)
def test_properties(cls: str) -> None:
    for name in PROPERTIES[cls]:
        assert isinstance(inspect.getattr_static(getattr(engine, cls), name), property)


def test_settings_are_those_of_the_ancestor() -> None:
    settings = """
        statistics tag_index eviction_policy size_limit cull_limit sqlite_auto_vacuum
        sqlite_cache_size sqlite_journal_mode sqlite_mmap_size sqlite_synchronous
        disk_min_file_size disk_pickle_protocol
    """
    assert set(settings.split()) <= set(engine.DEFAULT_SETTINGS)
    assert engine.DEFAULT_SETTINGS["size_limit"] == 2**30
    assert engine.DEFAULT_SETTINGS["cull_limit"] == 10
    assert engine.DEFAULT_SETTINGS["eviction_policy"] == "s3-fifo"  # ours
    assert set(engine.EVICTION_POLICY) - {"s3-fifo"} == {
        "none",
        "least-recently-stored",
        "least-recently-used",
        "least-frequently-used",
    }


def test_exceptions_and_warnings() -> None:
    assert issubclass(engine.Timeout, Exception)
    assert issubclass(engine.UnknownFileWarning, UserWarning)
    assert issubclass(engine.EmptyDirWarning, UserWarning)
    assert repr(engine.ENOVAL) == "ENOVAL"
    assert repr(engine.UNKNOWN) == "UNKNOWN"


def test_the_engine_does_not_import_django() -> None:
    root = Path(__file__).parents[2]
    program = (
        "import sys, django_diskcache.engine, django_diskcache\n"
        "django_diskcache.Cache\n"
        "sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
