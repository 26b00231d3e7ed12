"""System checks of the settings: every mistake in an entry of CACHES, and risky places.

They look at each alias whose backend is `DjangoCache` or a subclass, and open none: a check
creates and changes nothing on the disk. What only matters where a site runs is in `deployment`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning

from .configuration import Mistake
from .engine.engine import shards_in as listed_shards
from .engine.eviction import policy_type
from .engine.files import DATABASE, has_predecessor
from .engine.relief import FEWEST as RESERVE_BYTES
from .engine.segment import MIN_SLOTS
from .engine.segment import _size as segment_bytes
from .engine.sqlite import OLDEST, origin, sqlite3
from .entries import Entry, entries
from .serverchecks import check_entries

SHARD_BYTES = 2**16  # of a shard with little in it: its empty tables, and the shortest log
CONTAINS = "contains"
OF_AN_APP = "the static files of"  # a project may well be around them
# The ids of what `examine` finds, by its kinds.
MISTAKES = {
    "unknown": "E001",
    "value": "E002",
    "eviction_policy": "E003",
    "shards": "E004",
    "options": "E005",
    "twice": "E006",
    "location": "E007",
    "signing": "E009",
    "address": "E011",
    "extra": "E012",
}


def register() -> None:
    """Let `manage.py check` run these."""
    checks.register(check_settings, checks.Tags.caches)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """What is wrong with our entries in CACHES."""
    ours = entries()
    found: list[CheckMessage] = []
    on_files = [entry for entry in ours if entry.in_files]
    if on_files and sqlite3.sqlite_version_info < OLDEST:
        found.append(sqlite_too_old())
    for entry in ours:
        found += [mistaken(entry, mistake) for mistake in entry.mistakes]
        if entry.in_files and entry.settings["size_limit"] < least_size(entry):
            found.append(size_limit_too_small(entry))
        if entry.path:
            found += check_location(entry)
    for one, other in combinations([entry for entry in ours if entry.path], 2):
        if one.path == other.path:
            if names := differing(one, other):
                found.append(shared_differently(one, other, names))
        elif inner_and_outer := nested(one, other):
            found.append(nested_locations(*inner_and_outer))
    return found + list(check_entries(ours))


def check_location(entry: Entry) -> Iterator[CheckMessage]:
    """What is wrong with where a cache is to be."""
    if not os.path.isabs(entry.expanded):
        yield relative_location(entry)
    for setting, path in served():
        relation = related(Path(entry.path), path)
        if relation and not (relation == CONTAINS and setting.startswith(OF_AN_APP)):
            yield served_location(entry, relation, setting)
    if has_predecessor(entry.path):
        yield location_has_a_predecessor(entry)
    made = shards_in(entry.path)
    if made and made != entry.configuration.shards and not entry.mistakes:
        yield shards_are_fixed(entry, made)
    existing = nearest(entry.path)
    if not os.path.isdir(existing):
        yield location_is_no_directory(entry, existing)
    elif refused := refusing(existing, made):
        yield location_is_not_writable(entry, refused)


# Messages


def mistaken(entry: Entry, mistake: Mistake) -> Error:
    return Error(
        f"Your {entry.alias!r} cache {mistake.fault}.",
        hint=mistake.remedy,
        id=f"django_diskcache.{MISTAKES[mistake.kind]}",
    )


def location_is_no_directory(entry: Entry, existing: str) -> Error:
    return Error(
        f"The LOCATION of your {entry.alias!r} cache cannot be a directory, because "
        f"{existing!r} is a file.",
        hint="Choose another LOCATION, or move the file away.",
        id="django_diskcache.E008",
    )


def sqlite_too_old() -> Error:
    return Error(
        f"{origin()} has SQLite {sqlite3.sqlite_version}, which is too old for your caches.",
        hint=(
            f"SQLite {'.'.join(map(str, OLDEST))} or newer is needed: "
            'pip install "django-diskcache[sqlite]"'
        ),
        id="django_diskcache.E010",
    )


def size_limit_too_small(entry: Entry) -> Warning:
    limit, shards = entry.settings["size_limit"], entry.configuration.shards
    return Warning(
        f"The size_limit of your {entry.alias!r} cache, {limit:,} bytes, is too small for its "
        f"{shards} shards: they would hold next to nothing.",
        hint=f"Set size_limit to {least_size(entry):,} bytes at the least, or SHARDS to less.",
        id="django_diskcache.W001",
    )


def relative_location(entry: Entry) -> Warning:
    return Warning(
        f"The LOCATION of your {entry.alias!r} cache, {entry.configuration.directory!r}, is "
        "relative: processes that start elsewhere have another cache.",
        hint=f"Use an absolute path, such as {entry.path!r}.",
        id="django_diskcache.W002",
    )


def served_location(entry: Entry, relation: str, setting: str) -> Warning:
    danger = "what it holds might be served to anybody"
    if relation == CONTAINS:
        danger = "whoever removes the cache removes that as well"
    return Warning(
        f"The LOCATION of your {entry.alias!r} cache {relation} {setting}: {danger}.",
        hint="Move it to a directory that nothing serves, such as one under /var/cache.",
        id="django_diskcache.W003",
    )


def location_is_not_writable(entry: Entry, refused: str) -> Warning:
    return Warning(
        f"The LOCATION of your {entry.alias!r} cache cannot be used, because this user may not "
        f"write {refused!r}.",
        hint=(
            "Give the directory and all in it to the user that the site runs as, with chown "
            "-R, and run the site and its commands as that user."
        ),
        id="django_diskcache.W004",
    )


def shared_differently(one: Entry, other: Entry, names: Iterable[str]) -> Warning:
    return Warning(
        f"Your caches {one.alias!r} and {other.alias!r} share a LOCATION and differ in "
        f"{', '.join(names)}.",
        hint="Give both the same options, or each a LOCATION of its own.",
        id="django_diskcache.W005",
    )


def nested_locations(inner: Entry, outer: Entry) -> Warning:
    return Warning(
        f"The LOCATION of your {inner.alias!r} cache is inside that of {outer.alias!r}.",
        hint="Put them beside each other.",
        id="django_diskcache.W006",
    )


def shards_are_fixed(entry: Entry, made: int) -> Warning:
    return Warning(
        f"The directory of your {entry.alias!r} cache was made with {made} shards and keeps "
        f"them: SHARDS of {entry.configuration.shards} makes no difference.",
        hint=f"Set SHARDS to {made}, or stop the site and remove {entry.path!r}.",
        id="django_diskcache.W007",
    )


def location_has_a_predecessor(entry: Entry) -> Warning:
    return Warning(
        f"python-diskcache has left its entries in the LOCATION of your {entry.alias!r} cache. "
        "They are not read, and take space beside its size_limit.",
        hint=(
            f"Take them over: manage.py cacheimport {entry.path} --alias {entry.alias}. Then "
            "remove its files, each cache.db, and let cachecheck --fix remove the rest."
        ),
        id="django_diskcache.W008",
    )


# What they go by


def shards_in(path: str) -> int:
    """How many shards there are in a directory; 0 if it is not that of a cache."""
    try:
        return listed_shards(path)
    except OSError:
        return 0


def least_size(entry: Entry) -> int:
    """Bytes that a cache takes with a few entries in it."""
    shards = entry.configuration.shards
    empty = segment_bytes(shards, MIN_SLOTS) + RESERVE_BYTES + shards * SHARD_BYTES
    return empty * 3 // 2  # a part of the limit is for what nobody has looked at yet


def evicts(entry: Entry) -> bool:
    """Whether the cache's policy removes entries that have not expired."""
    return policy_type(entry.settings["eviction_policy"]).evicts


def refusing(directory: str, shards: int) -> str:
    """What this user may not write, in a directory with so many shards; '' if nothing."""
    paths = {directory: os.R_OK | os.W_OK | os.X_OK}
    for number in range(shards):
        shard = os.path.join(directory, f"{number:03d}")
        paths[shard] = paths[directory]
        paths[os.path.join(shard, DATABASE)] = os.R_OK | os.W_OK
    return next((p for p, mode in paths.items() if not os.access(p, mode)), "")


def nearest(path: str) -> str:
    """The path, or what of it exists."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def served() -> Iterator[tuple[str, Path]]:
    """Directories whose files are handed out, and by what."""
    for setting in ("MEDIA_ROOT", "STATIC_ROOT"):
        if value := getattr(settings, setting, None):
            yield setting, Path(value).resolve()
    for each in getattr(settings, "STATICFILES_DIRS", ()):
        directory = each[1] if isinstance(each, (list, tuple)) else each
        yield "STATICFILES_DIRS", Path(directory).resolve()
    for app in apps.get_app_configs():
        yield f"{OF_AN_APP} {app.name}", Path(app.path, "static").resolve()


def related(location: Path, directory: Path) -> str:
    """How a location lies to a directory; '' if they have nothing to do with each other."""
    if location == directory:
        return "matches"
    if directory in location.parents:
        return "is inside"
    if location in directory.parents:
        return CONTAINS
    return ""


def differing(one: Entry, other: Entry) -> list[str]:
    """Names of the options in which two entries differ."""
    here, there = one.configuration, other.configuration
    names = {**one.settings, **other.settings}
    found = [name for name in names if one.settings.get(name) != other.settings.get(name)]
    found += [n for n in ("shards", "disk") if getattr(here, n) != getattr(there, n)]
    return found + (["signing"] if bool(here.secrets) != bool(there.secrets) else [])


def nested(one: Entry, other: Entry) -> tuple[Entry, Entry] | None:
    """The inner and the outer one, if one is in the other's directory."""
    for inner, outer in ((one, other), (other, one)):
        if Path(outer.path) in Path(inner.path).parents:
            return inner, outer
    return None
