"""Eviction: the policies by their names, a shard as they see it, and the removal of victims.

What a policy chooses is removed under the shard's write lock, in one statement of at most
`MOST` rows, so that no write pays more than a millisecond or two for it. That statement leaves
alone what was overwritten since it was chosen, and what is pinned.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from . import schema
from .connection import Wait, changed_rows
from .disk import Disk, portable_hash
from .errors import Timeout
from .fifo import S3FIFO
from .policies import (
    Entry,
    LeastFrequentlyUsed,
    LeastRecentlyStored,
    LeastRecentlyUsed,
    Policy,
)
from .policies import Queue as AnyQueue
from .segment import (
    COUNTED,
    EVICTED_ENTRIES,
    EVICTED_SIZE,
    EXPIRED,
    FREED,
    GHOST_HITS,
    REFUSED,
    UNCOUNTED,
)

if TYPE_CHECKING:
    from .store import Store

MOST = 128  # rows removed by one statement, so under one lock
ROW_BYTES = 64  # of a row and its index entry beside key and value, about
PART = 32  # of a shard, about one part at most goes at a time
FEW = 512  # entries of which all shards take part
RECOUNT = 16  # entries are counted anew when one in so many may have come or gone

_turns = count(os.getpid())  # of the shards
new_tuple = tuple.__new__  # of an Entry it takes half the time that Entry() does

EVICTION_POLICY: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (S3FIFO, LeastRecentlyStored, LeastRecentlyUsed, LeastFrequentlyUsed, Policy)
}

# Names of the counters: entries that are gone by the size limit, by the limit on entries, and
# because they had expired; values that were refused; bytes of all that is gone; and entries
# that were stored again soon after they were evicted.
REASONS = {
    "size": EVICTED_SIZE,
    "entries": EVICTED_ENTRIES,
    "expired": EXPIRED,
    "refused": REFUSED,
    "freed": FREED,
    "ghost_hits": GHOST_HITS,
}


def policy_type(setting: str | type[Policy]) -> type[Policy]:
    """The class that the setting `eviction_policy` stands for."""
    return EVICTION_POLICY[setting] if isinstance(setting, str) else setting


class Removed(NamedTuple):
    """How many entries went, and the shards that they were in."""

    entries: int
    stores: list[Store]


class Queue:
    """A shard as policies see it: what has expired or is spared is not there for them.

    :param spared: slots of keys just written, which are no victims
    """

    def __init__(self, store: Store, spared: Collection[int], now: float) -> None:
        self.store = store
        self.number = store.number
        self.expired: list[Entry] = []
        self.filed: set[int] = set()  # ids of entries whose values are in files
        self._spared = spared
        self._now = now
        self._entries: int | None = None
        # The default way to hash a key needs the key alone.
        plain = type(store.disk).hash is Disk.hash
        self._window = schema.WINDOW if plain else schema.WINDOW_OF_KEYS

    @property
    def entries(self) -> int:
        if self._entries is None:
            self._entries = counted(self.store)
        return self._entries

    def bounds(self) -> tuple[int, int]:
        ((first, last),) = self.store.database.run(schema.ID_BOUNDS)
        return (0, -1) if first is None else (first, last)

    def after(self, position: int, count: int) -> Sequence[Entry]:
        """As of every queue; each victim comes by here, so it is written for speed."""
        segment, spared = self.store.segment, self._spared
        first, mask = self.number * segment.slots, segment.slots - 1  # see `Segment.slot`
        shards = segment.shards
        while rows := self.store.database.run(
            self._window, (ROW_BYTES, self._now, position, count)
        ):
            found = []
            for place, store_time, size, key, flags, *more in rows:
                if more:
                    number = self.store.number_of(key, *more)
                elif type(key) is str:
                    number = crc32(key.encode())  # as `portable_hash` does, a call less
                else:
                    number = portable_hash(key)
                slot = first + (number // shards & mask)
                if slot in spared:
                    continue
                entry = new_tuple(Entry, (place, store_time, size, slot, number))
                if flags:
                    if flags & schema.HAS_FILE_FLAG:
                        self.filed.add(place)
                    if flags & schema.EXPIRED_FLAG:
                        self.expired.append(entry)
                        continue
                found.append(entry)
            if found:
                return found
            position = rows[-1][0]
        return ()


def counted(store: Store) -> int:
    """How many entries the shard has, about; it counts only now and then."""
    segment = store.segment
    cells = segment.cells
    place, changed = (segment.cell(kind, store.number) for kind in (COUNTED, UNCOUNTED))
    if cells[changed] * RECOUNT >= cells[place]:
        ((cells[place],),) = store.database.run(schema.COUNT)
        cells[changed] = 1
    return cells[place]


def evict(
    stores: Sequence[Store],
    policy: Policy,
    *,
    entries: int = 0,
    size: int = 0,
    most: int = MOST,
    spare: tuple[Store, Collection[int]] | None = None,
    wait: Wait = None,
) -> Removed:
    """Remove so many entries, or so many bytes of them, but no more than `most` entries.

    A shard whose lock is not free within `wait` seconds is left to the next writer.
    """
    now = stores[0].clock()
    weigh = not entries
    # How many entries so many bytes are, nobody knows beforehand: it ends when they are found.
    wanted = min(entries or most, most)
    queues = [
        Queue(store, spare[1] if spare and spare[0] is store else (), now)
        for store in _in_turn(stores, wanted)
    ]
    chosen = _chosen(policy.victims(queues, wanted, weigh, now), entries or most, most, size)
    removed = 0
    touched = []
    reason = EVICTED_SIZE if weigh else EVICTED_ENTRIES
    for queue in queues:
        group = chosen.get(queue.number, {}).values()
        if not group and not queue.expired:
            continue
        touched.append(queue.store)
        try:
            removed += _remove(queue, queue.expired, EXPIRED, wait)
            removed += _remove(queue, [*group], reason, wait)
        except Timeout:
            continue
    return Removed(removed, touched)


def _chosen(
    victims: Iterable[tuple[AnyQueue, Entry]], entries: int, most: int, size: int
) -> dict[int, dict[int, Entry]]:
    """By shard and id, the first so many of them, or as many as have so many bytes."""
    chosen: dict[int, dict[int, Entry]] = {}
    freed = 0
    last: AnyQueue | None = None
    group: dict[int, Entry] = {}
    for found, (queue, entry) in enumerate(victims, start=1):
        if queue is not last:
            last, group = queue, chosen.setdefault(queue.number, {})
        place, _, bytes_, _, _ = entry
        group[place] = entry
        freed += bytes_
        if found >= most or (freed >= size if size else found >= entries):
            break
    return chosen


def _in_turn(stores: Sequence[Store], number: int) -> Sequence[Store]:
    """As few of the shards as can give so many entries without losing much of what they have.

    Each costs a transaction. Keys are spread by their hash, so one is as good as another.
    """
    entries = sum(map(counted, stores))
    wanted = -(-number * PART * len(stores) // max(1, entries))
    if entries <= FEW or wanted >= len(stores):
        return stores
    first = next(_turns)
    return [stores[(first + step) % len(stores)] for step in range(wanted)]


def _remove(queue: Queue, group: list[Entry], reason: int, wait: Wait) -> int:
    """Remove these, unless they were overwritten since they were looked at; how many."""
    store = queue.store
    removed = 0
    for start in range(0, len(group), MOST):
        some = group[start : start + MOST]
        places, stored, sizes, slots, _ = zip(*some, strict=True)
        latest, ids = max(stored), [*places]
        plain = queue.filed.isdisjoint(ids)
        if len(ids) > 1:  # a power of two, so that few statements are ever compiled
            ids += ids[-1:] * ((1 << (len(ids) - 1).bit_length()) - len(ids))
        with store.transact(wait) as transaction:
            transaction.changes.slots.update(slots)
            run = store.database.run
            if plain:
                gone = run(schema.evict_plain(len(ids)), (*ids, latest), None, changed_rows)
                size = sum(sizes) - ROW_BYTES * len(some)
                store.gone(gone, size * gone // len(some), reason)
            else:
                rows = run(schema.evict(len(ids)), (*ids, latest))
                store.removed(rows, reason)
                gone = len(rows)
        removed += gone
    return removed
