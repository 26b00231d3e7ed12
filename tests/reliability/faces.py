"""The caches under test, opened as a site opens them, and all calls that a site makes.

`exercise` is what most faults are followed by: every kind of call on every key, with what came
of it. It knows nothing of the inside.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from django_diskcache import DjangoCache, Timeout
from django_diskcache.engine.errors import Fault

from .values import FILE_FROM, kind_of, make, version_of

SHARDS = 3
KEYS = [f"key-{number}" for number in range(84)]


def open_django(directory: Path, **options: Any) -> DjangoCache:
    """A backend object for an entry of CACHES, small but otherwise as it comes."""
    options = {
        "shards": SHARDS,
        "size_limit": 2**26,
        "disk_min_file_size": FILE_FROM,
        "database_timeout": 5.0,  # a slow machine is no fault
        **options,
    }
    return DjangoCache(str(directory), {"TIMEOUT": None, "OPTIONS": options})


def kind(key: str) -> str:
    return kind_of(KEYS.index(key))


def fill_in(cache: Any, version: int = 1) -> None:
    """Let every key have its value of this version."""
    for key in KEYS:
        assert cache.set(key, make(key, version, kind(key)), tag="some")


class Outcome(NamedTuple):
    """What calls came to."""

    hits: int
    wrong: list[tuple[str, Any]]  # a key, and a value that was never stored under it
    raised: list[str]  # tracebacks


class Watch:
    """Collects what calls come to."""

    def __init__(self) -> None:
        self.hits = 0
        self.wrong: list[tuple[str, Any]] = []
        self.raised: list[str] = []

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What it returns, or None where it raises."""
        try:
            return function(*args, **kwargs)
        except Exception:
            name = getattr(function, "__name__", str(function))
            self.raised.append(f"{name}{args!r:.80}: {traceback.format_exc()}")
            return None

    def saw(self, key: str, value: Any) -> None:
        """A value was served for the key; None is a miss."""
        if value is None:
            return
        self.hits += 1
        if version_of(key, value) is None:
            self.wrong.append((key, value))

    def outcome(self) -> Outcome:
        return Outcome(self.hits, self.wrong, self.raised)


def read_all(cache: Any, watch: Watch) -> None:
    """Every key by each way of reading."""
    for key in KEYS:
        watch.saw(key, watch.call(cache.get, key))
        watch.call(cache.has_key, key)
    found = watch.call(cache.get_many, KEYS) or {}
    for key, value in found.items():
        watch.saw(key, value)


def write_all(cache: Any, watch: Watch, version: int) -> None:
    """Every key by each way of writing; the values are right whether stored or not."""
    for number, key in enumerate(KEYS):
        value = make(key, version, kind(key))
        match number % 5:
            case 0:
                watch.call(cache.set, key, value, tag="some")
            case 1:
                watch.call(cache.add, key, value)
            case 2:
                watch.call(cache.touch, key, 1000)
            case 3:
                watch.call(cache.delete, key)
            case 4:
                watch.saw(key, watch.call(cache.pop, key))
    many = {key: make(key, version, kind(key)) for key in KEYS[::7]}
    watch.call(cache.set_many, many)
    watch.call(cache.delete_many, KEYS[3::11])
    try:
        cache.incr("a-counter", 1, default=0)
    except (ValueError, TypeError, Fault, Timeout):  # documented: it does not count in vain
        pass
    except Exception:
        watch.raised.append(f"incr: {traceback.format_exc()}")


def exercise(cache: Any, version: int = 2) -> Outcome:
    """Read, write and read everything."""
    watch = Watch()
    read_all(cache, watch)
    write_all(cache, watch, version)
    watch.call(cache.close)  # the end of a request
    read_all(cache, watch)
    return watch.outcome()


def logged() -> list[str]:
    """What the cache writes to its log from now on, in this process."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logging.getLogger("django_diskcache").addHandler(Handler())
    return lines


def works(cache: Any, version: int = 9) -> list[str]:
    """The keys for which a set and a get do not work now."""
    bad = []
    for key in KEYS:
        value = make(key, version, kind(key))
        if not cache.set(key, value) or cache.get(key) != value:
            bad.append(key)
    return bad
