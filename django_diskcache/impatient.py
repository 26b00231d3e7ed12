"""A face of the engine that never waits: what the event loop may call.

It shares the engine of another cache and raises Timeout at once where that would wait, so
that the caller can go on in a thread.
"""

from __future__ import annotations

from typing import ClassVar

from .engine import FanoutCache
from .engine.connection import Wait


class ImpatientCache(FanoutCache):
    """A `FanoutCache` whose calls wait for nothing, `retry` or not."""

    absorbs: ClassVar[tuple[type[Exception], ...]] = ()

    @classmethod
    def of(cls, cache: FanoutCache) -> ImpatientCache:
        """The impatient twin of `cache`."""
        self = cls.__new__(cls)
        self._timeout = 0
        self._engine = cache.engine
        self._collections = {}
        return self

    def _wait(self, retry: bool) -> Wait:
        return 0
