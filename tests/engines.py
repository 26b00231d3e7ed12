"""The engine behind a cache, where a test looks at what only one of the two has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_diskcache.engine.engine import Engine

if TYPE_CHECKING:
    from django_diskcache.server.remote import Remote


def engine_of(cache: Any) -> Engine:
    """That of a backend whose cache is in a directory."""
    engine = cache._cache.engine
    assert isinstance(engine, Engine)
    return engine


def remote_of(cache: Any) -> Remote:
    """That of a backend whose cache is on a server."""
    from django_diskcache.server.remote import Remote  # an extra

    engine = cache._cache.engine
    assert isinstance(engine, Remote)
    return engine
