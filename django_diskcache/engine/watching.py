"""What a cache removes by itself, told to whoever wants to know: evictions and expiry.

A handler is told of each batch after its commit, in the thread that removed it, and of nothing
that other processes have removed; `evictions` has the sums of all.
"""

from __future__ import annotations

from .keyed import KeyedCache
from .shard import RemovalHandler


class WatchMethods(KeyedCache):
    """The methods of a cache that tell of what it does by itself."""

    def on_removal(self, handler: RemovalHandler) -> None:
        """Call `handler(reason, entries, size)` after each batch of entries that goes.

        The reason is that of `evictions`: 'size' or 'entries', which are the limits, or
        'expired'; the size is in bytes, about. Removals by all caches of this process on the
        directory are told, for as long as one of them lives. A handler that is equal to a known
        one is told once. What it raises is logged and goes no further.
        """
        handlers = self._engine.stores[0].removal_handlers
        if handler not in handlers:
            for store in self._engine.stores:
                store.removal_handlers = (*handlers, handler)
