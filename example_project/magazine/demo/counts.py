"""What a cache did, in numbers of all processes that share it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, cast

from django.core.cache import caches

if TYPE_CHECKING:
    from django_diskcache import DjangoCache


def cache_of(alias: str) -> DjangoCache:
    """The cache with this name in CACHES."""
    return cast("DjangoCache", caches[alias])


class Count(NamedTuple):
    """Hits and misses."""

    hits: int
    misses: int

    @classmethod
    def of(cls, alias: str) -> Count:
        """Those of a cache by now."""
        return cls(*cache_of(alias).stats())

    @classmethod
    def sum(cls, counts: Iterable[Count]) -> Count:
        """All of them together."""
        pairs = list(counts)
        return cls(sum(count.hits for count in pairs), sum(count.misses for count in pairs))

    def since(self, before: Count) -> Count:
        """What came after `before`."""
        return Count(self.hits - before.hits, self.misses - before.misses)

    @property
    def ratio(self) -> str:
        """The part of the looks that were hits, to print."""
        looks = self.hits + self.misses
        return f"{self.hits / looks:.1%}" if looks else "-"
