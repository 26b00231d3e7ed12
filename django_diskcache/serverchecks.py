"""System checks of caches on a server: what can be told of an entry, and what of the server.

The former are made with all others of settings. The latter ask the server, with --deploy only:
a site must start while its cache is away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from django.core.checks import CheckMessage, Warning

from .engine.clock import wall_clock
from .entries import SESSIONS, Entry, has_sessions

if TYPE_CHECKING:
    from .server.address import Address
    from .server.condition import Condition, Finding

PATIENCE = 1.0  # seconds for a connection, and for each answer
KEEPS_ALL = "noeviction"
CLUSTER = "cluster"  # the kind of address that is a list of nodes
# What two entries must have in common that read each other's values; the rest may differ.
COMMON = ("serializer", "disk", "signing")
KEYS = {"KEY_PREFIX": "", "VERSION": 1, "KEY_FUNCTION": None}  # what keys are made of
# The ids of what a server says, by its kinds; of other kinds are faults, and what is no risk.
FINDINGS = {
    "version": "W111",
    "forgets": "W113",
    "keeps": "W114",
    "full": "W114",
    "limit": "W115",
    "clock": "W116",
    "readonly": "W117",
    "cluster": "W118",
    "unheard": "W119",
}
UNUSABLE = "W110"
CHOSEN = ("forgets", "keeps")  # what is right for some sites


def check_entries(entries: Iterable[Entry]) -> Iterator[CheckMessage]:
    """What is wrong with entries whose LOCATION is a server; nobody is asked."""
    ours = [entry for entry in entries if entry.configuration.address is not None]
    for entry in ours:
        if entry.configuration.ignored:
            yield options_ignored(entry)
    together: list[list[Entry]] = []
    for entry in ours:
        for known in together:
            if are_one(known[0], entry):
                known.append(entry)
                break
        else:
            together.append([entry])
    for group in together:
        if len(group) > 1:
            yield from check_shared(group)


def check_shared(group: Sequence[Entry]) -> Iterator[CheckMessage]:
    """What is wrong with entries that are one cache on their server."""
    mixed = [
        shared_differently(one, other, names)
        for one, other in combinations(group, 2)
        if keys_of(one) == keys_of(other) and (names := differing(one, other))
    ]
    yield from mixed or [shared(group)]  # what helps against the first does against the other


def check_servers(entries: Iterable[Entry]) -> Iterator[CheckMessage]:
    """What is risky about the servers of entries, each asked once."""
    asked: dict[str, list[Condition]] = {}
    for entry in entries:
        address = entry.configuration.address
        if address is None:
            continue
        from .server.condition import conditions_at  # an extra

        if host := told_in_clear(address):
            yield password_in_clear(entry, host)
        key = repr(address)
        if key not in asked:
            asked[key] = conditions_at(address, PATIENCE, wall_clock)
        yield from of_conditions(entry, address, asked[key])


def of_conditions(
    entry: Entry, address: Address, found: Sequence[Condition]
) -> Iterator[CheckMessage]:
    """What is risky about servers that said this; what several say is told once."""
    policies = {each.figures.policy for each in found if each.figures is not None}
    limited = any(each.figures and each.figures.memory_limit for each in found)
    if has_sessions(entry) and limited and (evicting := sorted(policies - {KEEPS_ALL})):
        yield sessions_evicted(entry, ", ".join(evicting))
    remembers = bool(entry.settings["near_cache_size"])
    said: dict[Finding, list[str]] = {}
    for each in found:
        for finding in each.findings(address.kind == CLUSTER, remembers):
            said.setdefault(finding, []).append(each.name)
    for finding, names in said.items():
        if finding.wrong or finding.kind in FINDINGS:
            yield of_server(entry, finding, names if len(found) > len(names) else [])


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
        hint="Give each a server_name of its own, or both the same options.",
        id="django_diskcache.W010",
    )


def shared(group: Sequence[Entry]) -> Warning:
    names = [repr(entry.alias) for entry in group]
    return Warning(
        f"Your caches {', '.join(names[:-1])} and {names[-1]} are one cache on their server: "
        "clear() of one empties all of them, and so do cacheclear and the dashboard.",
        hint=(
            "Give each a server_name of its own in OPTIONS; KEY_PREFIX keeps their keys apart "
            "and nothing else. If they are to be one, silence this."
        ),
        id="django_diskcache.W011",
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


def password_in_clear(entry: Entry, host: str) -> Warning:
    return Warning(
        f"The password of your {entry.alias!r} cache goes to {host} in clear, and so does all "
        "that is cached.",
        hint="Use TLS: valkeys:// or rediss:// in LOCATION.",
        id="django_diskcache.W112",
    )


def of_server(entry: Entry, finding: Finding, names: Sequence[str]) -> Warning:
    """:param names: which of its servers, if not all of them"""
    which = f", {', '.join(names)}," if names else ""
    silence = " Where it is as it should be, silence this." if finding.kind in CHOSEN else ""
    return Warning(
        f"The server of your {entry.alias!r} cache{which} {finding.text}.",
        hint=finding.remedy + silence,
        id=f"django_diskcache.{FINDINGS.get(finding.kind, UNUSABLE)}",
    )


# What they go by


def are_one(one: Entry, other: Entry) -> bool:
    """Whether two entries have the same names on the same server, but for those of keys."""
    here, there = one.configuration, other.configuration
    assert here.address is not None
    assert there.address is not None
    if here.server_name != there.server_name or place_of(here.address) != place_of(
        there.address
    ):
        return False
    # Of a cluster, and of sentinels, some are named, and others elsewhere.
    places = [{_host(*place) for place in at.places} for at in (here.address, there.address)]
    return bool(places[0] & places[1]) or places[0] == places[1]


def place_of(address: Address) -> tuple[object, ...]:
    """Which cache of a server it is, but for the hosts."""
    arguments = address.arguments
    return address.kind, address.service, arguments.get("path"), arguments.get("db") or 0


def _host(host: str, port: int) -> tuple[str, int]:
    return ("localhost" if is_loopback(host) else host.lower()), port


def keys_of(entry: Entry) -> list[str]:
    """What an entry's keys are made of."""
    return [repr(entry.params.get(name, default)) for name, default in KEYS.items()]


def told_in_clear(address: Address) -> str:
    """The host to which a password goes as clear text over a network, or ''."""
    arguments = address.arguments
    if not arguments.get("password") or "connection_class" in arguments:
        return ""  # TLS, or a socket of this machine
    return next((host for host, _ in address.places if not is_loopback(host)), "")


def is_loopback(host: str) -> bool:
    """Whether it is this machine, by how it is called."""
    return host in ("localhost", "::1") or host.startswith("127.")


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
