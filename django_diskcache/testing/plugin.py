"""Fresh caches for pytest: ``pytest_plugins = ["django_diskcache.testing.plugin"]``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from django.core.cache import CacheHandler, caches

from ..backend import DjangoCache
from ..entries import is_ours
from .clocks import CacheClock
from .fresh import fresh_caches as fresh

# What an assertion of theirs compared is told only if pytest rewrites them.
pytest.register_assert_rewrite("django_diskcache.testing.conformance")


@pytest.fixture
def cache_aliases() -> Iterable[str] | None:
    """Names in CACHES that are to be fresh; None is all whose backend is `DjangoCache`."""
    return None


@pytest.fixture
def cache_options() -> Mapping[str, Any]:
    """Options for them, as in OPTIONS."""
    return {}


@pytest.fixture
def cache_clock(
    cache_aliases: Iterable[str] | None, cache_options: Mapping[str, Any]
) -> Iterator[CacheClock]:
    """The clock that fresh caches go by; it makes them as well."""
    with fresh(cache_aliases, **cache_options) as clock:
        yield clock


@pytest.fixture
def fresh_caches(cache_clock: CacheClock) -> CacheHandler:
    """Django's `caches`, with empty ones that are gone after the test."""
    return caches


@pytest.fixture
def fresh_cache(fresh_caches: CacheHandler) -> DjangoCache:
    """The default cache, or the first of ours, empty and gone after the test."""
    ours = [alias for alias in fresh_caches if is_ours(fresh_caches.settings[alias])]
    cache = fresh_caches["default" if "default" in ours else ours[0]]
    assert isinstance(cache, DjangoCache)
    return cache
