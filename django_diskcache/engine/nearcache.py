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
leave behind that was killed between commit and stamp.

Values that a caller could change stay as the pickled bytes and are loaded at every read.
Strings, bytes and numbers are served as they are.

The memory is bounded in bytes. When it is full the oldest entry goes, unless it was read since
it came to the front of the queue: then it gets a second chance at the back.
"""

from __future__ import annotations

import os
import pickle
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import getsizeof
from threading import get_ident
from typing import Any

from .clock import Clock
from .errors import ENOVAL, UNKNOWN
from .segment import Segment

MAX_AGE = 5.0  # seconds
LARGEST = 64  # an entry takes at most this fraction of the budget
OVERHEAD = 400  # bytes of an entry beside its key and value: list, dictionary slot, numbers

# What is remembered of a key. A list, because `READ` is set at each hit.
SLOT, STAMP, UNTIL, COUNTER, VALUE, PICKLED, SIZE, READ = range(8)


class NearCache:
    """What this process remembers of the cache that `segment` belongs to.

    :param budget: bytes; 0 remembers nothing
    """

    def __init__(self, segment: Segment, budget: int, clock: Clock) -> None:
        self._entries: OrderedDict[Any, list[Any]] = OrderedDict()
        self._bytes = 0
        self._budget = budget
        self._clock = clock
        self._lock = threading.Lock()  # for the queue and its bytes; hits do without
        self.counting = True
        self.note: Callable[[Any, int, float], None] | None = None
        self.transacting: dict[int, int] = {}  # threads inside a transaction of this engine
        self.attach(segment)
        _caches.add(self)

    def attach(self, segment: Segment) -> None:
        """Forget everything and go by this segment from now on."""
        self._segment = segment
        self._stamps = segment.stamps
        self._counters = segment.counters
        self.clear()

    def get(self, key: Any) -> Any:
        """The value, ENOVAL for a key known to be missing, or UNKNOWN: look in the store."""
        entry = self._entries.get(key)
        if entry is None:
            return UNKNOWN
        slot = entry[SLOT]
        now = self._clock()
        if self._stamps[slot] != entry[STAMP] or now >= entry[UNTIL]:
            return UNKNOWN
        if self.transacting and get_ident() in self.transacting:
            return UNKNOWN
        entry[READ] = True
        if self.counting:
            self._counters[entry[COUNTER] + self._segment.stripe] += 1
        if self.note is not None:
            self.note(self._segment.access, slot, now)
        if entry[PICKLED]:
            return pickle.loads(entry[VALUE])
        return entry[VALUE]

    def knows(self, key: Any) -> bool | None:
        """Whether the key has a live entry, or None: look in the store. Nothing is counted."""
        entry = self._entries.get(key)
        if (
            entry is None
            or self._stamps[entry[SLOT]] != entry[STAMP]
            or self._clock() >= entry[UNTIL]
            or (self.transacting and get_ident() in self.transacting)
        ):
            return None
        return entry[VALUE] is not ENOVAL

    def put(
        self,
        key: Any,
        slot: int,
        stamp: int,
        due: float | None,
        counter: int,
        value: Any,
        pickled: bool,
    ) -> None:
        """Remember what was read after `stamp` was noted; ENOVAL for a key that is missing.

        :param due: when it expires, seconds since the epoch
        :param counter: where the segment counts reads that this entry answers
        """
        size = getsizeof(value) + getsizeof(key) + OVERHEAD
        if size * LARGEST > self._budget:
            return
        until = self._clock() + MAX_AGE
        if due is not None and due < until:
            until = due
        entries = self._entries
        with self._lock:
            known = entries.get(key)
            self._bytes += size if known is None else size - known[SIZE]
            entries[key] = [slot, stamp, until, counter, value, pickled, size, False]
            while self._bytes > self._budget:
                oldest, entry = entries.popitem(last=False)
                if entry[READ]:
                    entry[READ] = False
                    entries[oldest] = entry
                else:
                    self._bytes -= entry[SIZE]

    @contextmanager
    def bypassed(self) -> Iterator[None]:
        """This thread reads from the store meanwhile."""
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
    # thread that it does not have, and the bytes half counted: both begin anew.
    for cache in list(_caches):
        cache._lock = threading.Lock()
        cache.transacting.clear()
        cache._bytes = sum(entry[SIZE] for entry in cache._entries.values())


os.register_at_fork(after_in_child=_after_fork)
