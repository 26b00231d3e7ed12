"""System checks of the place where a site runs: `manage.py check --deploy`.

They look at each directory as it is, and change nothing: a mode that is too loose is for the
owner of the site to tighten. What is asked of a server is in `serverchecks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Warning

from . import filesystems
from .checks import evicts, nearest, shards_in
from .engine import footprint
from .engine.sqlite import has_wal_reset_bug, origin, sqlite3
from .entries import SESSIONS, Entry, entries, has_sessions
from .filesystems import Loose
from .serverchecks import check_servers

# What Django's own check of SECRET_KEY asks for (security.W009).
KEY_LENGTH = 50
KEY_CHARACTERS = 5
KEY_PREFIX = "django-insecure-"


def register() -> None:
    """Let `manage.py check --deploy` run these."""
    checks.register(check_deployment, checks.Tags.caches, deploy=True)


def check_deployment(**kwargs: Any) -> list[CheckMessage]:
    """What is risky about our caches on this machine, as this user."""
    ours = entries()
    on_files = [entry for entry in ours if entry.in_files]
    found: list[CheckMessage] = []
    for entry in ours:
        if entry.path:
            found += check_directory(entry)
        if not entry.configuration.secrets and not entry.mistakes:
            found.append(signing_off(entry))
    if any(entry.configuration.secrets for entry in ours) and is_insecure(settings.SECRET_KEY):
        found.append(insecure_secret())
    if any(e.settings["sqlite_journal_mode"] == "wal" for e in on_files) and (
        has_wal_reset_bug()
    ):
        found.append(wal_reset_bug())
    found += [
        sessions_evicted(entry) for entry in on_files if has_sessions(entry) and evicts(entry)
    ]
    return found + list(check_servers(ours))


def check_directory(entry: Entry) -> Iterator[CheckMessage]:
    """What is risky about a cache's directory, or where it will be made."""
    existing = nearest(entry.path)
    if existing == entry.path and os.path.isdir(existing):
        if found := filesystems.loose(existing):
            yield open_to_others(entry, found)
        owner = os.stat(existing).st_uid
        if owner != os.geteuid():
            yield owned_by_another(entry, owner)
    kind = filesystems.filesystem(existing)
    if filesystems.NETWORK.fullmatch(kind):
        yield on_a_network(entry, kind)
    elif filesystems.MEMORY.fullmatch(kind):
        yield in_memory(entry, kind)
    limit = entry.settings["size_limit"]
    free = filesystems.free(existing)
    if free < limit and evicts(entry):
        lacking = limit - free - footprint.of_cache(entry.path, shards_in(entry.path))
        if lacking > 0:
            yield too_little_space(entry, lacking)


# Messages


def open_to_others(entry: Entry, found: list[Loose]) -> Warning:
    first, others = found[0], len(found) - 1
    more = f", and {others} more in it" if others else ""
    return Warning(
        f"Other users may look into your {entry.alias!r} cache: {first.path!r} has mode "
        f"{first.mode:04o}{more}.",
        hint=f"Run: chmod -R go= {entry.path!r}",
        id="django_diskcache.W101",
    )


def owned_by_another(entry: Entry, owner: int) -> Warning:
    return Warning(
        f"The directory of your {entry.alias!r} cache, {entry.path!r}, belongs to user "
        f"{filesystems.user_name(owner)}, and this process runs as "
        f"{filesystems.user_name(os.geteuid())}.",
        hint=(
            "Run the site and its commands as one user, and give the directory to it with "
            "chown -R."
        ),
        id="django_diskcache.W102",
    )


def on_a_network(entry: Entry, kind: str) -> Warning:
    return Warning(
        f"Your {entry.alias!r} cache is on a network filesystem ({kind}), where SQLite's locks "
        "and shared memory do not work.",
        hint="Move LOCATION to a local disk; each machine has a cache of its own.",
        id="django_diskcache.W103",
    )


def in_memory(entry: Entry, kind: str) -> Warning:
    return Warning(
        f"Your {entry.alias!r} cache is on a filesystem in memory ({kind}): it takes memory "
        "from the site and is empty after a reboot.",
        hint="Move LOCATION to a disk; what is read often is kept in memory anyway.",
        id="django_diskcache.W104",
    )


def too_little_space(entry: Entry, lacking: int) -> Warning:
    limit = entry.settings["size_limit"]
    return Warning(
        f"The disk will be full before your {entry.alias!r} cache has reached its size_limit "
        f"of {limit:,} bytes: {lacking:,} are missing.",
        hint="Lower size_limit, or make room on the disk.",
        id="django_diskcache.W105",
    )


def signing_off(entry: Entry) -> Warning:
    place = "in its directory" if entry.in_files else "to its server"
    return Warning(
        f"Your {entry.alias!r} cache does not sign what it pickles: whoever can write {place} "
        "can run code in your site.",
        hint="Remove the option signing, which is on by default.",
        id="django_diskcache.W106",
    )


def insecure_secret() -> Warning:
    return Warning(
        "Your caches sign what they pickle with SECRET_KEY, which is easy to guess.",
        hint=(
            f"Set SECRET_KEY to {KEY_LENGTH} or more random characters, without a fallback; "
            "what is cached becomes a miss."
        ),
        id="django_diskcache.W107",
    )


def wal_reset_bug() -> Warning:
    return Warning(
        f"SQLite {sqlite3.sqlite_version}, which comes from {origin()}, has the WAL-reset bug: "
        "writers that meet a checkpoint can damage a shard.",
        hint='Install a newer one for your caches: pip install "django-diskcache[sqlite]"',
        id="django_diskcache.W108",
    )


def sessions_evicted(entry: Entry) -> Warning:
    return Warning(
        f"Sessions are kept in your {entry.alias!r} cache alone, which evicts: when it is "
        "full, visitors are logged out.",
        hint=(
            f"Set SESSION_ENGINE to '{SESSIONS}.cached_db', or keep sessions in a cache of "
            "their own with the eviction_policy 'none'."
        ),
        id="django_diskcache.W109",
    )


# What they go by


def is_insecure(key: str | bytes) -> bool:
    """Whether a secret is short, monotonous, or one that startproject made."""
    text = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
    few = len(text) < KEY_LENGTH or len(set(text)) < KEY_CHARACTERS
    return few or text.startswith(KEY_PREFIX)
