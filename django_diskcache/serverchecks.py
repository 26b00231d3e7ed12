"""System checks of caches on a server: what can be told of an entry, and what of the server.

The former are made with all others of settings. The latter ask the server, with --deploy only:
a site must start while its cache is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Warning

from .engine.clock import wall_clock
from .entries import SESSIONS, Entry, has_sessions

if TYPE_CHECKING:
    from .server.survey import Survey

PATIENCE = 1.0  # seconds for a connection, and for each of three answers
MOST_APART = 1.0  # seconds between two clocks
FORGETFUL = "allkeys-"  # policies that may evict what must stay
KEEPS_ALL = "noeviction"
# What two entries must have in common that read each other's values; the rest may differ.
COMMON = ("serializer", "disk", "signing")
KEYS = {"KEY_PREFIX": "", "VERSION": 1, "KEY_FUNCTION": None}  # what keys are made of


def check_entries(entries: Iterable[Entry]) -> Iterator[CheckMessage]:
    """What is wrong with entries whose LOCATION is a server; nobody is asked."""
    ours = [entry for entry in entries if entry.configuration.address is not None]
    for entry in ours:
        if entry.configuration.ignored:
            yield options_ignored(entry)
    for one, other in combinations(ours, 2):
        if names_of(one) == names_of(other) and (names := differing(one, other)):
            yield shared_differently(one, other, names)


def check_servers(entries: Iterable[Entry]) -> Iterator[CheckMessage]:
    """What is risky about the servers of entries, each asked once."""
    asked: dict[str, Survey] = {}
    for entry in entries:
        address = entry.configuration.address
        if address is None:
            continue
        from .server.survey import survey, told_in_clear  # an extra

        if host := told_in_clear(address):
            yield password_in_clear(entry, host)
        key = repr(address)
        if key not in asked:
            asked[key] = survey(address, PATIENCE, wall_clock)
        yield from of_survey(entry, asked[key])


def of_survey(entry: Entry, found: Survey) -> Iterator[CheckMessage]:
    """What is risky about a server that said this."""
    figures = found.figures
    if figures is None:
        yield not_reached(entry, found.trouble)
        return
    if found.too_old:
        yield too_old(entry, figures.program, found.too_old)
    if not figures.primary:
        yield is_replica(entry)
    if has_sessions(entry) and figures.memory_limit and figures.policy != KEEPS_ALL:
        yield sessions_evicted(entry, figures.policy)
    if figures.policy.startswith(FORGETFUL):
        yield evicts_anything(entry, figures.policy)
    if not figures.memory_limit:
        yield no_limit(entry)
    elif figures.policy == KEEPS_ALL:
        yield refuses_when_full(entry, figures.memory_limit)
    if abs(found.ahead) > MOST_APART:
        yield clocks_apart(entry, found.ahead)


# Messages


def options_ignored(entry: Entry) -> Warning:
    names = ", ".join(sorted(entry.configuration.ignored))
    return Warning(
        f"Your {entry.alias!r} cache is on a server, where these options do nothing: {names}.",
        hint=(
            "They are there for the way back to a directory. Remove them, or silence this; "
            "how much is kept, and what goes first, is maxmemory and maxmemory-policy of the "
            "server."
        ),
        id="django_diskcache.W009",
    )


def shared_differently(one: Entry, other: Entry, names: Iterable[str]) -> Warning:
    return Warning(
        f"Your caches {one.alias!r} and {other.alias!r} have the same entries on one server, "
        f"and differ in {', '.join(names)}.",
        hint="Give both the same options, or each a server_name or KEY_PREFIX of its own.",
        id="django_diskcache.W010",
    )


def sessions_evicted(entry: Entry, policy: str) -> Warning:
    return Warning(
        f"Sessions are kept in your {entry.alias!r} cache alone, whose server has "
        f"maxmemory-policy {policy}: when it is full, visitors are logged out.",
        hint=(
            f"Set SESSION_ENGINE to '{SESSIONS}.cached_db', or keep sessions on a server of "
            "their own with the policy noeviction."
        ),
        id="django_diskcache.W109",
    )


def not_reached(entry: Entry, trouble: str) -> Warning:
    return Warning(
        f"The server of your {entry.alias!r} cache cannot be used from here: {trouble}.",
        hint=(
            "See whether it runs, and whether this machine and this user may reach it. The "
            "site works without it, and computes everything anew."
        ),
        id="django_diskcache.W110",
    )


def too_old(entry: Entry, program: str, oldest: str) -> Warning:
    return Warning(
        f"The server of your {entry.alias!r} cache is {program}, which lacks commands that are "
        "needed.",
        hint=f"Install {oldest} or a newer one.",
        id="django_diskcache.W111",
    )


def password_in_clear(entry: Entry, host: str) -> Warning:
    return Warning(
        f"The password of your {entry.alias!r} cache goes to {host} in clear, and so does all "
        "that is cached.",
        hint="Use TLS: valkeys:// or rediss:// in LOCATION.",
        id="django_diskcache.W112",
    )


def evicts_anything(entry: Entry, policy: str) -> Warning:
    return Warning(
        f"The server of your {entry.alias!r} cache has maxmemory-policy {policy}: when it is "
        "full, it may evict locks that are held, and what entries with a tag are found by.",
        hint=(
            "Set maxmemory-policy to volatile-ttl, which leaves alone what lives for ever, or "
            "to noeviction with room enough."
        ),
        id="django_diskcache.W113",
    )


def refuses_when_full(entry: Entry, limit: int) -> Warning:
    return Warning(
        f"The server of your {entry.alias!r} cache has maxmemory-policy noeviction: when its "
        f"{limit:,} bytes are in use, nothing more is stored.",
        hint="Set maxmemory-policy to volatile-ttl, or watch its memory.",
        id="django_diskcache.W114",
    )


def no_limit(entry: Entry) -> Warning:
    return Warning(
        f"The server of your {entry.alias!r} cache has no maxmemory: it takes what it can "
        "get, until the system ends it.",
        hint=(
            "Set maxmemory to less than the machine has, and maxmemory-policy to volatile-ttl."
        ),
        id="django_diskcache.W115",
    )


def clocks_apart(entry: Entry, ahead: float) -> Warning:
    way = "ahead of" if ahead > 0 else "behind"
    return Warning(
        f"The clock of the server of your {entry.alias!r} cache is {abs(ahead):,.1f} seconds "
        f"{way} that of this machine: what this process remembers may end so much too late or "
        "too early.",
        hint="Let both go by NTP.",
        id="django_diskcache.W116",
    )


def is_replica(entry: Entry) -> Warning:
    return Warning(
        f"The server of your {entry.alias!r} cache is a replica: nothing can be stored there.",
        hint="Let LOCATION lead to the primary, or to sentinels that know it: sentinel://.",
        id="django_diskcache.W117",
    )


# What they go by


def names_of(entry: Entry) -> tuple[object, ...]:
    """What the names of an entry's keys on its server are made of, and which server that is."""
    address = entry.configuration.address
    assert address is not None
    where = address.kind, frozenset(address.places), address.service
    arguments = address.arguments
    database = arguments.get("path"), arguments.get("db") or 0
    made = [entry.params.get(name, default) for name, default in KEYS.items()]
    return *where, *database, entry.configuration.server_name, *map(repr, made)


def differing(one: Entry, other: Entry) -> list[str]:
    """Names of those options in which two entries differ that decide how values are kept."""

    def kept(entry: Entry, name: str) -> object:
        if name == "disk":
            return entry.configuration.disk
        if name == "signing":
            return bool(entry.configuration.secrets)
        return entry.settings.get(name)

    names = {n for e in (one, other) for n in e.settings if n.startswith("disk_")}
    return [n for n in (*COMMON, *sorted(names)) if kept(one, n) != kept(other, n)]
