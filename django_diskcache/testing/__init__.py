"""For the tests of a site: fresh caches, a clock that a test moves, and what classes must do.

Nothing of the package imports it. pytest has `django_diskcache.testing.plugin`; unittest has
`CacheTestMixin`; both stand on `fresh_caches`. `conformance` needs no Django.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .clocks import CacheClock

if TYPE_CHECKING:
    from .cases import CacheTestMixin as CacheTestMixin
    from .fresh import fresh_caches as fresh_caches

__all__ = ["CacheClock", "CacheTestMixin", "fresh_caches"]


def __getattr__(name: str) -> Any:
    if name == "CacheTestMixin":
        from .cases import CacheTestMixin

        return CacheTestMixin
    if name == "fresh_caches":
        from .fresh import fresh_caches

        return fresh_caches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
