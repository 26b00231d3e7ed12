"""The limits of a cache, over all its shards: bytes on disk and number of entries.

Each write is told to `wrote`, which spreads its cost: the volume is looked at once while a
256th of the limit is written, and the expiry sweep takes a step every 64 writes. Expired
entries go first, then what the policy ranks lowest; never the key just written.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from . import eviction, maintenance, schema
from .clock import Clock
from .connection import Wait
from .errors import Timeout
from .segment import ENTRIES
from .store import Store

SWEEP_EVERY = 64  # writes of this process between two steps of the expiry sweep
CHECKS_PER_LIMIT = 256  # looks at the volume while the size limit's bytes are written
LOG_PART = 8  # logs that take more than this fraction of the limit are emptied first
BRIEFLY = 0.01  # seconds that a writer waits for a shard that is not its own
ROW_OVERHEAD = 64  # bytes of a row and its index entry beside key and value, about


class Limits:
    """Keeps `stores` within `size_limit` and `max_entries` of the settings."""

    def __init__(self, stores: Sequence[Store], settings: dict[str, Any], clock: Clock) -> None:
        self._stores = stores
        self._settings = settings
        self._clock = clock
        self._unswept = 0  # writes of this process since the last step of the sweep
        self._uncounted = 0  # entries added by it since it counted: others may not count theirs
        self._unchecked = 0  # bytes written by this process since it looked at the volume
        for store in stores:
            store.limits = weakref.proxy(self)  # not a cycle: an engine goes with its last user

    def wrote(self, store: Store, slots: Sequence[int], size: int, new: int) -> None:
        """After every write of entries of `size` bytes whose keys map to `slots`."""
        self._unswept += len(slots)
        if self._unswept >= SWEEP_EVERY and self._settings["cull_limit"]:
            self._unswept = 0
            maintenance.sweep(store)
        if new and self._settings["max_entries"] is not None:
            self._keep_entries(store, slots)
        self._unchecked += size + ROW_OVERHEAD * len(slots)
        if self._unchecked * CHECKS_PER_LIMIT > self._settings["size_limit"]:
            self._unchecked = 0
            if self._settings["cull_limit"] and self._too_large():
                self._make_room(store, slots)

    def begin(self) -> None:
        """Count the entries, where a limit on them is in force."""
        if self._settings["max_entries"] is not None:
            self.recount()

    def _keep_entries(self, store: Store, slots: Sequence[int]) -> None:
        most = self._settings["max_entries"]
        self._uncounted += len(slots)
        if (self.entries() <= most and self._uncounted <= most) or not store.policy.evicts:
            return
        self._uncounted = 0
        count = self.recount(BRIEFLY)
        if count > most:
            frequency = self._settings["cull_frequency"]
            # At least what is over the limit, which a high frequency would round to nothing.
            surplus = max(count - most, count // frequency) if frequency else count - 1
            surplus -= self._remove_expired()
            if surplus > 0:
                self._evict(surplus, (store, slots))

    def _make_room(self, store: Store, slots: Sequence[int]) -> None:
        self._remove_expired()
        self._shorten_logs()
        while store.policy.evicts and self._too_large():
            if not self._evict(self._settings["cull_limit"], (store, slots)):
                return

    def _shorten_logs(self) -> None:
        """Else entries would be evicted to make room for a log that a checkpoint empties."""
        logs = sum(map(maintenance.log_bytes, self._stores))
        if logs * LOG_PART > self._settings["size_limit"]:
            for store in self._stores:
                maintenance.checkpoint(store)

    def _remove_expired(self) -> int:
        now = self._clock()
        removed = 0
        for store in self._stores:
            try:
                removed += maintenance.remove(store, schema.REMOVE_EXPIRED, now, 0)
            except Timeout as error:
                removed += error.removed
        return removed

    def _evict(self, count: int, spare: tuple[Store, Sequence[int]] | None) -> int:
        removed = 0
        for store, ids in eviction.victims(self._stores, count, spare):
            try:
                removed += maintenance.remove_ids(store, ids, BRIEFLY)
            except Timeout:
                continue  # a busy shard is left to the next writer
        return removed

    def cull(self, wait: Wait, target: int | None = None) -> int:
        """Remove the expired, then evict until the volume is within the limit; how many.

        :param target: bytes to get to instead of `size_limit`
        :raises Timeout: with the number removed so far
        """
        removed = maintenance.remove_everywhere(
            self._stores, schema.REMOVE_EXPIRED, self._clock(), wait
        )
        self._shorten_logs()
        while self._stores[0].policy.evicts and self._too_large(target):
            gone = self._evict(max(10, self._settings["cull_limit"]), None)
            if not gone:
                break
            removed += gone
        return removed

    def _too_large(self, target: int | None = None) -> bool:
        return self.volume() > int(self._settings["size_limit"] if target is None else target)

    def volume(self) -> int:
        """Bytes on disk: the shards' pages in use, value files, logs, and the segment."""
        return self._stores[0].segment.bytes + sum(map(maintenance.volume, self._stores))

    def entries(self) -> int:
        """About how many entries there are, without a look at the tables."""
        return sum(store.segment.total(ENTRIES, store.number) for store in self._stores)

    def recount(self, wait: Wait = None) -> int:
        """How many entries there are, counted; `entries` goes on from there.

        A shard whose write lock is not free in time stays with what its segment says.
        """
        count = 0
        for store in self._stores:
            try:
                count += maintenance.recount(store, wait)
            except Timeout:
                count += store.segment.total(ENTRIES, store.number)
        return count
