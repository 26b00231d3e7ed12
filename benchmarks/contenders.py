"""The cache backends that are compared: how each is configured, what limits it, what it takes.

Django's own backends hold 300 entries unless they are told otherwise, and then do another work
than a cache that holds everything. So they are given room for all keys, and every result says
which limits were in force.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.cache import CacheHandler
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from . import Refused
from .report import size

COUNTING = (LocMemCache, FileBasedCache, BaseDatabaseCache)  # they have MAX_ENTRIES, 300


@dataclass(frozen=True)
class Contender:
    """A backend by the name that the command line has for it."""

    name: str
    path: str
    extra: str = ""  # of this project's package, which brings the backend
    in_memory: bool = False
    takes_capacity: bool = True

    def backend(self) -> type[BaseCache]:
        """Its class.

        :raises Refused: when it is not installed, or is no cache backend
        """
        try:
            found = import_string(self.path)
        except ImportError as error:
            message = f"cannot import the backend {self.path}: {error}"
            if self.extra:
                message += f"; pip install 'django-diskcache[{self.extra}]' brings it"
            raise Refused(message) from error
        if not (isinstance(found, type) and issubclass(found, BaseCache)):
            raise Refused(f"{self.path} is no cache backend")
        return found


OURS = Contender("django_diskcache", "django_diskcache.DjangoCache")
DISKCACHE = Contender(
    "diskcache", "diskcache.DjangoCache", extra="benchmark", takes_capacity=False
)
LOCMEM = Contender("locmem", "django.core.cache.backends.locmem.LocMemCache", in_memory=True)
FILEBASED = Contender("filebased", "django.core.cache.backends.filebased.FileBasedCache")
KNOWN = {contender.name: contender for contender in (OURS, DISKCACHE, LOCMEM, FILEBASED)}


def find(name: str) -> Contender:
    """The contender with this name or dotted path.

    :raises Refused: when there is none
    """
    if name in KNOWN:
        return KNOWN[name]
    if "." in name:
        same = [contender for contender in KNOWN.values() if contender.path == name]
        return same[0] if same else Contender(name, name)
    raise Refused(
        f"there is no backend {name!r}; it is one of {', '.join(KNOWN)}, or a dotted path"
    )


@dataclass(frozen=True)
class Running:
    """A cache that is configured and open."""

    contender: Contender
    cache: BaseCache
    directory: Path
    limits: str
    warm: bool  # it began with what its directory held

    @property
    def version(self) -> str:
        """Version of the package that the backend comes from, or '' if it tells none."""
        package = sys.modules[type(self.cache).__module__.partition(".")[0]]
        return str(getattr(package, "__version__", ""))

    def volume(self) -> int | None:
        """Bytes that the directory takes on disk, as `du` counts; None in memory."""
        return None if self.contender.in_memory else disk_usage(self.directory)


@contextmanager
def running(
    contender: Contender,
    directory: Path,
    *,
    keys: int,
    capacity: int | None = None,
    timeout: float | None = None,
    options: Mapping[str, Any] | None = None,
    location: str = "",
) -> Iterator[Running]:
    """The contender's cache in `directory`, under a Django cache alias; closed afterwards.

    :param keys: how many different keys will be stored, for backends that want to know
    :param capacity: the most entries that it shall hold; None is no limit
    :param timeout: TIMEOUT, in seconds; None is for ever
    :param options: OPTIONS
    :param location: LOCATION of a backend that is not in a directory
    :raises Refused: when the backend is not there or does not take its configuration
    """
    given = dict(options or {})
    backend = contender.backend()
    raised = False
    if contender.takes_capacity and capacity is not None:
        given["MAX_ENTRIES"] = capacity
    elif issubclass(backend, COUNTING) and "MAX_ENTRIES" not in given:
        given["MAX_ENTRIES"] = keys + 1  # file and locmem cull when the limit is reached
        raised = True
    warm = directory.is_dir() and any(directory.iterdir())
    entry = {
        "BACKEND": contender.path,
        "LOCATION": location or str(directory),
        "TIMEOUT": timeout,
        "OPTIONS": given,
    }
    try:
        cache = CacheHandler({contender.name: entry})[contender.name]
    except (ImproperlyConfigured, TypeError, ValueError, OSError) as error:
        raise Refused(f"the backend {contender.name} cannot be opened: {error}") from error
    limits = _limits(contender, cache, given, raised)
    try:
        yield Running(contender, cache, directory, limits, warm)
    finally:
        if contender.in_memory:
            cache.clear()  # the memory stays with the process, and burdens who comes next
        # Ours keeps its connections at close(), which is the end of a request.
        getattr(cache, "shutdown", cache.close)()


def _limits(contender: Contender, cache: Any, options: Mapping[str, Any], raised: bool) -> str:
    if isinstance(cache, COUNTING):
        most = f"MAX_ENTRIES {cache._max_entries:,}"
        return most + (" (room for all keys; Django's default is 300)" if raised else "")
    if contender is OURS:
        settings = cache._cache.engine.settings
        entries = settings["max_entries"]
        most = "no limit on entries" if entries is None else f"MAX_ENTRIES {entries:,}"
        return f"{most}, size_limit {size(settings['size_limit'])}"
    if contender is DISKCACHE:
        shards = cache._cache._shards
        each = f"size_limit {size(shards[0].size_limit)} in each of {len(shards)} shards"
        return f"no limit on entries (it has none), {each}"
    entries = options.get("MAX_ENTRIES")
    return "its own defaults" if entries is None else f"MAX_ENTRIES {entries:,}, if it has that"


def disk_usage(directory: Path) -> int:
    """Bytes of the blocks that `directory` and all in it take."""
    total = 0
    for parent, _, files in os.walk(directory):
        for path in (parent, *(os.path.join(parent, file) for file in files)):
            try:
                total += os.lstat(path).st_blocks * 512
            except FileNotFoundError:
                continue  # a log or a temporary file that is gone by now
    return total
