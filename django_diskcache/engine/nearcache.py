"""The near cache: each process's own memory in front of the shared store, never stale.

The shared segment has one *stamp* per slot, and a key maps to a slot. The protocol:

- A reader that goes to SQLite notes the slot's stamp first, then reads, then remembers the
  value with that stamp. A later read is served from memory only while the slot still has it.
- A writer commits, then puts a fresh stamp, never used before, into the key's slot; its call
  returns after that. It stamps once more just before the commit, so that being killed between
  the two leaves only what was read in that moment. It remembers nothing itself: two writers'
  stamps may land in the other order than their commits.

Why that is safe: suppose a call of a writer has returned, and after that a read is served from
memory. Then the slot's stamp is still the one noted before the remembered SELECT began. The
writer's stamp was stored after its commit; had the SELECT begun before the commit, the stamp it
noted would have been replaced by then. So it began after the commit, and saw it. Stamps never
repeat: each process counts up from a random number of 62 bits, drawn anew after a fork.

Keys that share a slot are forgotten together, which costs a look and nothing else. A miss is
remembered like a value. Reads inside a transaction go to SQLite: they must see what it has
written. An entry is read again when it is older than `MAX_AGE`, which bounds what a writer can
leave behind that was killed between commit and stamp. Its age counts from before the SELECT.

Strings, bytes and numbers are served as they are. Values that a caller could change stay as
the bytes that are stored and are loaded at every read; after some hits those that can be
copied at less cost are loaded for good (see `copies`).

The memory is bounded in bytes. When it is full the oldest entry goes, unless it was read since
it came to the front of the queue: then it gets a second chance at the back.

A hit counts in this process's memory, and the counts move to the segment at the end of a
request, with the next look into the store a second later, when somebody here asks for the
statistics, and at exit. What the eviction policy wants to know of a hit it is told at once,
but only of those that make a difference to it: it says until when the next ones make none.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from sys import getsizeof
from threading import get_ident
from typing import Any

from .clock import Clock, wall_clock
from .copies import copier
from .errors import ENOVAL, UNKNOWN
from .segment import HITS, MISSES, Segment

MAX_AGE = 5.0  # seconds
CHORES_EVERY = 1.0  # seconds that hits are counted here before they move to the segment
WARM = 8  # hits after which a value is kept loaded: to prepare that costs about as many loads
LARGEST = 64  # an entry takes at most this fraction of the budget
OVERHEAD = 400  # bytes of an entry beside its key and value: list, dictionary slot, numbers

# What is remembered of a key; a list, because some of it changes at hits. `UNTIL` is the time
# from which a hit must look closer: then the entry ends, or the policy is to be told. Its end
# itself is `END`, and `NOTED` the time before it was read: its age counts from then. `READ` is
# for the second chance, `WARMTH` the number of closer looks. `COPY` makes what a caller gets of
# the value; None if that is the value itself. `DUE` is when the entry in the store expires,
# however far that is, or None.
SLOT, STAMP, UNTIL, COUNTER, VALUE, COPY, SIZE, READ, END, WARMTH, NOTED, DUE = range(12)


class NearCache:
    """What this process remembers of the cache that `segment` belongs to.

    :param budget: bytes; 0 remembers nothing
    """

    def __init__(self, segment: Segment, budget: int, clock: Clock) -> None:
        self._entries: OrderedDict[Any, list[Any]] = OrderedDict()
        self._bytes = 0
        self._budget = budget
        self._clock = clock
        # For the queue and its bytes; hits do without. A finalizer or a signal handler that
        # uses the cache may come while its own thread has it.
        self._lock = threading.RLock()
        self.flushed = 0.0  # when the counts moved to the segment
        # Done about once a second by whoever uses the cache; the engine adds to it.
        self.chores: Callable[[], object] = self.flush
        self.counting = True
        # The policy's: told of a hit, it returns until when others make no difference to it.
        self.note: Callable[[int, float], float] | None = None
        self.transacting: dict[int, int] = {}  # threads inside a transaction of this engine
        self.attach(segment)
        _caches.add(self)

    def attach(self, segment: Segment) -> None:
        """Forget everything and go by this segment from now on."""
        with self._lock:
            self.clear()
            self._segment = segment
            self._stamps = segment.stamps
            # Hits of each shard, then misses. The interpreter's lock makes `+=` on one whole.
            self.counts = [0] * (2 * segment.shards)

    def get(self, key: Any) -> Any:
        """The value, ENOVAL for a key known to be missing, or UNKNOWN: look in the store."""
        entry = self._entries.get(key)
        if entry is None or self._stamps[entry[SLOT]] != entry[STAMP]:
            return UNKNOWN
        now = time.time() if self._clock is wall_clock else self._clock()  # a call less
        if not entry[NOTED] <= now < entry[UNTIL] and not self._goes_on(key, entry, now):
            return UNKNOWN
        if self.transacting and get_ident() in self.transacting:
            return UNKNOWN
        entry[READ] = True
        self.counts[entry[COUNTER]] += 1
        copy = entry[COPY]
        return entry[VALUE] if copy is None else copy(entry[VALUE])

    def get_many(self, keys: Iterable[Any]) -> tuple[dict[Any, Any], list[Any]]:
        """`get` of several keys: those found, and those to be looked for in the store."""
        found: dict[Any, Any] = {}
        unknown: list[Any] = []
        if self.transacting and get_ident() in self.transacting:
            return found, list(keys)
        entries, stamps, counts = self._entries, self._stamps, self.counts
        now = self._clock()
        for key in keys:
            entry = entries.get(key)
            if (
                entry is None
                or stamps[entry[SLOT]] != entry[STAMP]
                or (
                    not entry[NOTED] <= now < entry[UNTIL]
                    and not self._goes_on(key, entry, now)
                )
            ):
                unknown.append(key)
                continue
            entry[READ] = True
            counts[entry[COUNTER]] += 1
            value, copy = entry[VALUE], entry[COPY]
            if copy is not None:
                found[key] = copy(value)
            elif value is not ENOVAL:
                found[key] = value
        return found, unknown

    def knows(self, key: Any) -> bool | None:
        """Whether the key has a live entry, or None: look in the store. Nothing is counted."""
        entry = self._entries.get(key)
        if (
            entry is None
            or self._stamps[entry[SLOT]] != entry[STAMP]
            or not entry[NOTED] <= self._clock() < entry[END]
            or self.bypassing()
        ):
            return None
        return entry[VALUE] is not ENOVAL

    def held(self, keys: Iterable[Any]) -> set[Any]:
        """Those of these keys that were remembered; what is known may be out of date."""
        entries = self._entries
        return {key for key in keys if key in entries}

    def until(self, key: Any) -> Any:
        """`get`, but of what is known a tuple: the value, and when the same entry expires."""
        entry = self._entries.get(key)
        if entry is None or self._stamps[entry[SLOT]] != entry[STAMP] or self.bypassing():
            return UNKNOWN
        now = self._clock()
        if not entry[NOTED] <= now < entry[UNTIL] and not self._goes_on(key, entry, now):
            return UNKNOWN
        entry[READ] = True
        self.counts[entry[COUNTER]] += 1
        value, copy = entry[VALUE], entry[COPY]
        return value if copy is None else copy(value), entry[DUE]

    def due(self, key: Any) -> Any:
        """When the key's entry expires: seconds since the epoch, or None for never.

        ENOVAL for a key known to be missing, UNKNOWN: look in the store. Nothing is counted.
        """
        known = self.knows(key)
        if known is None:
            return UNKNOWN
        entry = self._entries.get(key) if known else None
        if entry is None:  # of one that was known it has gone since
            return UNKNOWN if known else ENOVAL
        return entry[DUE]

    def _goes_on(self, key: Any, entry: list[Any], now: float) -> bool:
        """Whether the entry is still good; the policy is told of the hit."""
        end: float = entry[END]
        if not entry[NOTED] <= now < end:  # before: the clock was set back
            return False
        if now - self.flushed > CHORES_EVERY:
            self.chores()
            if self._entries.get(key) is not entry:  # all is forgotten
                return False
        until = min(end, now + CHORES_EVERY)
        if self.note is not None and entry[VALUE] is not ENOVAL:
            until = min(until, self.note(entry[SLOT], now))
        if entry[WARMTH] < WARM:
            entry[WARMTH] += 1
            if entry[WARMTH] < WARM:
                until = now  # the next hit counts as well
            else:
                self._load(key, entry)
        entry[UNTIL] = until
        return True

    def _load(self, key: Any, entry: list[Any]) -> None:
        """Keep the value itself instead of its bytes, if it can be copied."""
        value = entry[COPY](entry[VALUE])
        found = copier(value)
        if found is None:
            return
        copy, size = found
        size += getsizeof(key) + OVERHEAD
        if size * LARGEST > self._budget:
            return
        new = [*entry]  # others are reading the old one
        new[VALUE], new[COPY], new[SIZE] = value, copy, size
        if self.note is None:
            new[UNTIL] = min(new[END], self.flushed + CHORES_EVERY)
        with self._lock:
            if self._entries.get(key) is entry:
                self._entries[key] = new
                self._bytes += size - entry[SIZE]
                self._shrink()

    def put(self, *item: Any) -> None:
        """Remember one item of `put_many`."""
        self.put_many((item,))

    def put_many(self, items: Sequence[Any]) -> None:
        """Remember what was read of several keys.

        :param items: of each the key, its slot, the stamp and the time noted before it was
            read, when it expires (seconds since the epoch, or None), the value or ENOVAL, and
            what loads it, if these are bytes to be loaded for each caller, or None
        """
        if self.transacting and get_ident() in self.transacting:
            return
        entries, segment, budget = self._entries, self._segment, self._budget
        now = 0.0
        with self._lock:
            for key, slot, stamp, now, due, value, loads in items:
                size = getsizeof(value) + getsizeof(key) + OVERHEAD
                if size * LARGEST > budget or slot >= len(self._stamps):
                    continue  # or it was read by another segment, with more slots
                latest = now + MAX_AGE
                end = latest if due is None or due > latest else due
                # The first hits of bytes to load, or of anything under such a policy, look
                # closer.
                closely = loads is not None or self.note is not None
                until = now if closely else min(end, now + CHORES_EVERY)
                counter = slot // segment.slots
                if value is ENOVAL:
                    counter += segment.shards
                known = entries.get(key)
                self._bytes += size if known is None else size - known[SIZE]
                warmth = WARM if loads is None else 0
                entries[key] = [
                    slot, stamp, until, counter, value, loads, size, False, end, warmth, now,
                    due,
                ]  # fmt: skip
            self._shrink()
        if abs(now - self.flushed) > CHORES_EVERY:
            self.chores()

    def _shrink(self) -> None:
        entries = self._entries
        while self._bytes > self._budget:
            oldest, entry = entries.popitem(last=False)
            if entry[READ]:
                entry[READ] = False
                entries[oldest] = entry
            else:
                self._bytes -= entry[SIZE]

    def flush(self) -> None:
        """Move the counts to the segment, or drop them when statistics are off."""
        now = self._clock()
        if now < self.flushed - CHORES_EVERY:
            self.clear()  # the clock was set back, and ages can no longer be told
        self.flushed = now
        counts, shards = self.counts, self._segment.shards
        for index, count in enumerate(counts):
            if count:
                counts[index] -= count  # others may have counted on since
                if self.counting:
                    kind = HITS if index < shards else MISSES
                    self._segment.add(kind, index % shards, count)

    @contextmanager
    def bypassed(self) -> Iterator[None]:
        """This thread reads from the store meanwhile, and remembers nothing of it."""
        thread = get_ident()
        self.transacting[thread] = self.transacting.get(thread, 0) + 1
        try:
            yield
        finally:
            left = self.transacting.get(thread, 0) - 1
            if left > 0:
                self.transacting[thread] = left
            else:
                self.transacting.pop(thread, None)  # a forked child began without

    def bypass_no_more(self) -> None:
        """This thread is in no transaction, whatever an interrupt has left here."""
        self.transacting.pop(get_ident(), None)

    def bypassing(self) -> bool:
        """Whether this thread is inside `bypassed`."""
        return bool(self.transacting) and get_ident() in self.transacting

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def resize(self, budget: int) -> None:
        """Keep to another budget."""
        self._budget = budget
        self.clear()

    @property
    def size(self) -> int:
        """Bytes that are in use, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)


_caches: weakref.WeakSet[NearCache] = weakref.WeakSet()


def _after_fork() -> None:
    # The child keeps the entries, which are as good as the parent's. Its lock may be held by a
    # thread that it does not have, and the bytes half counted: both begin anew. What the parent
    # has counted is the parent's to report.
    for cache in list(_caches):
        cache._lock = threading.RLock()
        cache.transacting.clear()
        cache.counts = [0] * len(cache.counts)
        cache._bytes = sum(entry[SIZE] for entry in cache._entries.values())


os.register_at_fork(after_in_child=_after_fork)
