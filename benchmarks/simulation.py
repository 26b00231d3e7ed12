"""The cache's own policy objects on a board and queues in memory: what they decide, without a
database. It runs tens of times faster than the cache itself, and stands beside it in the tables
of `benchmarks.eviction`, never instead.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from zlib import crc32

from django_diskcache.engine.policies import Entry, Policy

from .traces import Trace

SLOTS = 2**15  # of each shard, as in a cache of 1 GB in eight
HANDS = 8
RATE = 20_000  # requests in a second


class Board:
    """What policies write on, as on the segment."""

    def __init__(self, shards: int, slots: int = SLOTS) -> None:
        self.shards, self.slots = shards, slots
        self.access = array("I", bytes(4 * shards * slots))
        self.ghost = array("I", bytes(4 * shards * slots))
        self._hands = [array("q", bytes(8 * HANDS)) for _ in range(shards)]

    def hands(self, shard: int) -> array[int]:
        return self._hands[shard]

    def stamp(self, slot: int) -> None:
        pass

    def slot(self, number: int) -> int:
        return number % self.shards * self.slots + (number // self.shards & self.slots - 1)


class Queue:
    """Entries of one shard by their ids."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: dict[int, Entry] = {}
        self._ids: list[int] = []  # ascending; of those that are gone as well
        self._keys: dict[int, int] = {}
        self.spared = -1
        self.next = 1

    @property
    def entries(self) -> int:
        return len(self.rows)

    def bounds(self) -> tuple[int, int]:
        if not self.rows:
            return 0, -1
        return next(iter(self.rows)), self._ids[-1]

    def after(self, position: int, count: int) -> Sequence[Entry]:
        found = []
        for place in range(bisect_right(self._ids, position), len(self._ids)):
            entry = self.rows.get(self._ids[place])
            if entry is not None and entry.slot != self.spared:
                found.append(entry)
                if len(found) == count:
                    break
        return found

    def add(self, entry: Entry, key: int) -> None:
        self.rows[entry.id] = entry
        self._keys[entry.id] = key
        self._ids.append(entry.id)
        self.next += 1
        if len(self._ids) > 2 * len(self.rows) + 1000:
            self._ids = list(self.rows)

    def remove(self, entry: Entry) -> int:
        """The key of an entry, which is gone then."""
        del self.rows[entry.id]
        return self._keys.pop(entry.id)


def hit_ratio(
    kind: type[Policy],
    trace: Trace,
    *,
    entries: int | None = None,
    size: int | None = None,
    shards: int = 8,
    batch: int = 100,
) -> float:
    """Of `trace` under a limit on entries or on bytes.

    :param batch: so many parts make the whole, of which one goes at a time
    """
    board = Board(shards)
    queues = [Queue(number) for number in range(shards)]
    policy = kind(board)
    policy.begin(queues)
    places: dict[int, Entry] = {}  # by key
    held = hits = 0
    limit = entries if size is None else size
    assert limit is not None
    for step, key in enumerate(trace.keys):
        now = step / RATE
        known = places.get(key)
        if known is not None:
            hits += 1
            if policy.tracks:
                policy.hit(known.slot, now)
            continue
        bytes_ = trace.sizes[step] if trace.sizes else 1
        cost = 1 if size is None else bytes_
        if cost > limit:
            continue
        number = crc32(b"%d" % key)
        queue = queues[number % shards]
        entry = Entry(queue.next, now, bytes_, board.slot(number), number)
        if policy.tracks:
            policy.stored(entry.slot, number, now)
        queue.add(entry, key)
        places[key] = entry
        held += cost
        if held <= limit or not policy.evicts:
            continue
        wanted = max(held - limit, held - limit + limit // batch - 1)
        queue.spared = entry.slot
        while wanted > 0:
            before = wanted
            count = max(1, wanted * len(places) // held)
            for owner, gone in policy.victims(queues, count, size is not None, now):
                del places[queues[owner.number].remove(gone)]
                share = 1 if size is None else gone.size
                held -= share
                wanted -= share
                if wanted <= 0:
                    break
            if wanted == before:
                break
        queue.spared = -1
    return hits / len(trace)
