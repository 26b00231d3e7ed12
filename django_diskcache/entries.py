"""The entries of CACHES that are ours, looked at without opening any of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.module_loading import import_string

from .configuration import (
    Configuration,
    Mistake,
    examine,
    is_address,
    site_secrets,
)
from .engine import DEFAULT_SETTINGS
from .faceoptions import FACE_OPTIONS

SESSIONS = "django.contrib.sessions.backends"


class Entry(NamedTuple):
    """One of ours: what it says, what that means, and what is wrong with it."""

    alias: str
    location: Any
    params: Mapping[str, Any]
    configuration: Configuration
    mistakes: list[Mistake]

    @property
    def in_files(self) -> bool:
        """Whether LOCATION is meant to be a directory, well written or not."""
        return not is_address(self.location)

    @property
    def settings(self) -> dict[str, Any]:
        """The engine's settings, defaults included."""
        return {**DEFAULT_SETTINGS, **self.configuration.settings}

    @property
    def path(self) -> str:
        """Where the cache really is, links followed; '' without a LOCATION."""
        return os.path.realpath(self.expanded) if self.expanded else ""

    @property
    def expanded(self) -> str:
        """LOCATION with ``~`` and ``$VARIABLES`` replaced."""
        return expanded(self.configuration.directory)


def has_sessions(entry: Entry) -> bool:
    """Whether a cache is the only place of the site's sessions."""
    engine = getattr(settings, "SESSION_ENGINE", None)
    return engine == f"{SESSIONS}.cache" and entry.alias == settings.SESSION_CACHE_ALIAS


def expanded(location: str) -> str:
    """A LOCATION with ``~`` and ``$VARIABLES`` replaced, as the engine does."""
    return os.path.expanduser(os.path.expandvars(location))


def is_ours(entry: Any) -> bool:
    """Whether the BACKEND of an entry is `DjangoCache` or a subclass of it."""
    from .backend import DjangoCache  # it is large, and no app needs it at start-up

    try:
        backend = import_string(str(entry["BACKEND"]))
    except (ImportError, KeyError, TypeError):
        return False  # Django says so itself
    return isinstance(backend, type) and issubclass(backend, DjangoCache)


def aliases() -> list[str]:
    """The aliases whose backend is ours, in the order of CACHES."""
    return [alias for alias, entry in settings.CACHES.items() if is_ours(entry)]


def entries() -> list[Entry]:
    """Ours, in the order of CACHES."""
    secrets = site_secrets()
    found = []
    for alias in aliases():
        params = {n: value for n, value in settings.CACHES[alias].items() if n != "BACKEND"}
        location = params.pop("LOCATION", "")
        found.append(Entry(alias, location, params, *examine(location, params, secrets)))
    return found


def named_apart() -> dict[str, str]:
    """The `server_name` of those caches on servers that their address does not tell apart.

    It is not the default, or another alias has the same address.
    """
    found = {e.alias: e.configuration for e in entries() if e.configuration.address is not None}
    places = Counter(each.place for each in found.values())
    default = FACE_OPTIONS["server_name"].default
    return {
        alias: each.server_name
        for alias, each in found.items()
        if each.server_name != default or places[each.place] > 1
    }
