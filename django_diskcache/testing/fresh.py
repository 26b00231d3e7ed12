"""Fresh caches: CACHES as it is, but with new directories, made for speed and for a test.

Each is made when it is first used, in a directory that no other process and no other test has,
in memory where the system has such a place. A test that uses none pays for an empty directory.
So it is for a cache on a server: its tests need no server, and can do no harm to one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.core.cache import InvalidCacheBackendError
from django.test.signals import setting_changed

from .. import opened
from ..configuration import is_address
from ..engine.options import OPTIONS, did_you_mean
from ..entries import aliases as our_aliases
from ..entries import is_ours
from ..faceoptions import FACE_OPTIONS
from ..filesystems import MEMORY, filesystem
from ..methods.base import Methods, lasting
from .clocks import CacheClock

BACKEND = "django_diskcache.DjangoCache"
OF_DJANGO = ("TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION")
IN_MEMORY = "/dev/shm"
ENOUGH = 2**23  # bytes of a cache under test, unless its entry says less: it reserves a part
# One shard is made sooner than many, and no test loses power.
FAST = {"shards": 1, "sqlite_synchronous": 0}
# Of a backend object: what it stands on.
IN_USE = ("_entry", "_cache", "_impatient", "_near", "_natives")

# Lasting cache objects that were made in a test for an alias that is not ours otherwise.
_of_tests: WeakKeyDictionary[Methods, str] = WeakKeyDictionary()


@contextmanager
def fresh_caches(aliases: Iterable[str] | None = None, **options: Any) -> Iterator[CacheClock]:
    """A context in which caches are empty, and gone afterwards; the clock that they go by.

    Cache objects of functions that were memoized or throttled when their modules were imported
    are fresh as well; those of modules that are imported meanwhile go on as if they had been
    imported before. Faults raise, unless the entry says otherwise: a test is to show them.

    :param aliases: names in CACHES that are to be fresh caches of ours, whatever their backend
        is; by default all whose backend is `DjangoCache`
    :param options: as in OPTIONS, for all of them, instead of what their entries say
    :raises InvalidCacheBackendError: for a name that is not in CACHES
    :raises ValueError: when there is no cache to make
    """
    names = our_aliases() if aliases is None else list(aliases)
    for alias in names:
        if alias not in settings.CACHES:
            hint = did_you_mean(alias, settings.CACHES)
            raise InvalidCacheBackendError(f"{alias!r} is not a cache in CACHES{hint}")
    if not names:
        raise ValueError(
            "no cache in CACHES has the backend DjangoCache; name those that are to be fresh "
            "caches of it, such as aliases=['default']"
        )
    site = settings.CACHES
    entries = dict(site)
    moved: dict[str, str] = {}  # aliases may share a place
    directory = tempfile.mkdtemp(prefix="django-diskcache-", dir=_place())
    for alias in names:
        entry = entries[alias]
        old = _home(entry.get("LOCATION", ""), entry) if is_ours(entry) else _not_ours(alias)
        moved.setdefault(old, os.path.join(directory, str(len(moved))))
        entries[alias] = {"BACKEND": BACKEND, **fresh_entry(entry, moved[old], options)}
    fresh = {alias: entries[alias] for alias in names}
    clock = CacheClock()
    try:
        with _going_by(clock), _lasting(moved, options, site, fresh), _instead(entries):
            yield clock
    finally:
        for engine in opened.engines():
            if engine.directory.startswith(directory + os.sep):
                opened.forget(engine)
        shutil.rmtree(directory, ignore_errors=True)


def fresh_entry(
    entry: Mapping[str, Any], location: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The entry of CACHES of a fresh cache, in place of this one."""
    if not is_ours(entry):
        kept = {name: value for name, value in entry.items() if name in OF_DJANGO}
        return {**kept, "LOCATION": location, "OPTIONS": {**_options({}), **options}}
    known = {*FACE_OPTIONS, *OPTIONS, "options"}
    kept = {name: value for name, value in entry.items() if str(name).lower() not in known}
    given = {name: value for name, value in entry.items() if str(name).lower() in known}
    given |= given.pop("OPTIONS", None) or {}
    return {**kept, "LOCATION": location, "OPTIONS": {**_options(given), **options}}


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    options = {"strict": True, **{str(name).lower(): each for name, each in given.items()}}
    limit = options.get("size_limit", ENOUGH)
    with suppress(ValueError):  # else whoever opens it says what is wrong
        limit = min(ENOUGH, OPTIONS["size_limit"].read(limit))
    return {**options, **FAST, "size_limit": limit}


@contextmanager
def _instead(entries: Mapping[str, Any]) -> Iterator[None]:
    """Have these for CACHES; Django hears of it, and lets go of the objects that it has.

    Not by `override_settings`: if another one begins within and ends later, as that of
    pytest-django's `settings` may, it would bring these back for good.
    """
    lazy: Any = settings
    holder = lazy._wrapped.__dict__
    before = holder.get("CACHES")
    holder["CACHES"] = entries
    _changed(enter=True)
    try:
        yield
    finally:
        if before is None:  # it had another one's
            del holder["CACHES"]
        else:
            holder["CACHES"] = before
        _changed(enter=False)


def _changed(enter: bool) -> None:
    settings.__dict__.pop("CACHES", None)  # where it is remembered
    setting_changed.send(sender=None, setting="CACHES", value=settings.CACHES, enter=enter)


@contextmanager
def _going_by(clock: CacheClock) -> Iterator[None]:
    before, opened.clock = opened.clock, clock
    try:
        yield
    finally:
        opened.clock = before


@contextmanager
def _lasting(
    moved: Mapping[str, str],
    options: Mapping[str, Any],
    site: Mapping[str, Any],
    fresh: Mapping[str, Any],
) -> Iterator[None]:
    """Let cache objects that last longer than a test stand on fresh caches meanwhile.

    :param site: entries as they were
    :param fresh: those of the fresh caches
    """
    before = []
    for backend in list(lasting):
        state = backend.__dict__
        location, params = state["_entry"]
        old = _home(location, params)
        if not old and backend in _of_tests:
            old = _not_ours(_of_tests[backend])
        if old in moved:
            before.append((state, {name: state.pop(name) for name in IN_USE if name in state}))
            entry = fresh_entry({"BACKEND": BACKEND, **params}, moved[old], options)
            entry.pop("BACKEND")
            state["_entry"] = entry.pop("LOCATION"), entry
    try:
        yield
    finally:
        for state, old_state in before:
            for name in IN_USE:
                state.pop(name, None)
            state.update(old_state)
        for backend in list(lasting):
            _settle(backend, site, fresh)


def _settle(backend: Methods, site: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Let a cache object that was made in a test stand on what its alias is without it."""
    state = backend.__dict__
    location, params = state["_entry"]
    made_of = [alias for alias, entry in fresh.items() if entry["LOCATION"] == location]
    if not made_of:
        return
    for name in IN_USE:
        state.pop(name, None)
    # Of aliases that share a place: Django hands on the dict of the one that was asked for.
    made_of.sort(key=lambda alias: fresh[alias]["OPTIONS"] is not params.get("OPTIONS"))
    alias = made_of[0]
    if is_ours(site[alias]):
        rest = {name: value for name, value in site[alias].items() if name != "BACKEND"}
        state["_entry"] = rest.pop("LOCATION", ""), rest
    else:
        _of_tests[backend] = alias
        state["_entry"] = "", params  # it says so, should anybody use it


def _home(location: Any, params: Mapping[str, Any]) -> str:
    """What caches have in common that share their entries."""
    if not is_address(location):
        return str(location)
    given = {**params, **(params.get("OPTIONS") or {})}
    names = [value for name, value in given.items() if str(name).lower() == "server_name"]
    return f"{location} {names[-1] if names else ''}"


def _not_ours(alias: str) -> str:
    """What stands for the place of an alias that has another backend."""
    return f"alias {alias}"


@lru_cache(1)
def _place() -> str:
    """Where directories are made."""
    usable = os.access(IN_MEMORY, os.R_OK | os.W_OK | os.X_OK)
    if usable and MEMORY.fullmatch(filesystem(IN_MEMORY)):
        return IN_MEMORY
    return os.path.realpath(tempfile.gettempdir())
