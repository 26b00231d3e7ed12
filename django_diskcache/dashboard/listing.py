"""What stands behind an entry of CACHES that the dashboard shows."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from ..backend import DjangoCache
from ..engine.faults import FAULTS
from ..engine.guard import telling

# What a cache that is in trouble may raise. A page shows it as a text.
TROUBLE = (ImproperlyConfigured, OSError, *FAULTS)


class Listed(NamedTuple):
    """A cache of ours, by its alias in CACHES."""

    alias: str
    cache: DjangoCache

    @property
    def face(self) -> Any:
        """The cache of the engine, which takes keys as they are stored."""
        return self.cache._cache

    @property
    def acting(self) -> Any:
        """The face for what somebody has asked for.

        A server that is away raises there: else it would seem that there was nothing to do.
        """
        return self.face if self.engine.in_files else telling(self.face)

    @property
    def engine(self) -> Any:
        """The engine behind it."""
        return self.face.engine


def listed(alias: str) -> Listed:
    """The cache with this alias, opened if it is not yet.

    :param alias: one of ours
    :raises ImproperlyConfigured: when it cannot be opened
    """
    cache = caches[alias]
    assert isinstance(cache, DjangoCache)
    return Listed(alias, cache)
