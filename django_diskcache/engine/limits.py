"""The limits of a cache, over all its shards: bytes on disk and number of entries.

Each write is told to `wrote`, which spreads its cost: a look at the bytes after a step of the
`budget`, and a step of the expiry sweep every 64 writes. What is large says so before it is
written, to `reserve`. Expired entries go first, then what the policy chooses; never the key
just written. Removal is in batches, so that no write pays for many.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from . import eviction, footprint, maintenance, schema
from .budget import BLOCK, Budget, on_disk
from .clock import Clock
from .connection import Wait
from .errors import Timeout, TooLarge
from .policies import Policy
from .segment import ENTRIES, FILES, FREE, LOG, REFUSED, WRITTEN
from .shard import Shard
from .store import Store

SWEEP_EVERY = 64  # writes of this process between two steps of the expiry sweep
SWEEP_SOON = 16  # writes after a step that found more than one in DIRTY to be expired
DIRTY = 8
SWEEP_AGAIN = 1.0  # seconds until a full cache looks for expired entries again
BRIEFLY = 0.01  # seconds that a writer waits for a shard that is not its own
ROW_OVERHEAD = 128  # bytes of a row and its index entry beside its value, about
BATCH = 128  # of the limit, one part is freed at a time, or less if that are many entries
VACUUM = 64  # pages given back at a time
CROWDED = "what this transaction has stored and removed takes it until it ends"
UNSEEN = 1000  # of the most entries, one part may come until somebody looks how many there are
ATTEMPTS = 100  # to make room, of each at most BRIEFLY for a shard


class Limits:
    """Keeps `stores` within `size_limit` and `max_entries` of the settings."""

    policy: Policy  # set by the engine
    failed: Callable[[Exception], object]  # as well: told of what went wrong after a write

    def __init__(self, stores: Sequence[Store], settings: dict[str, Any], clock: Clock) -> None:
        self._stores = stores
        self._settings = settings
        self._clock = clock
        self.budget = Budget(stores, settings)
        self._unswept = 0  # writes of this process since the last step of the sweep
        self._swept_at = 0.0  # when a full cache looked for what has expired
        self._uncounted = 0  # entries added by it since it counted: others may not count theirs
        self._unseen = 0  # and since it looked at the sum of all shards
        self._unlooked = [0] * len(stores)  # bytes written by it since it looked at a shard
        self._writes = 0  # entries written by it since it evicted any for their size
        self._again = sys.maxsize  # so many of them, and the next batch is due
        self._least: int | None = None  # entries that are to be left, once too many were there
        for store in stores:
            store.limits = weakref.proxy(self)  # not a cycle: an engine goes with its last user

    def begin(self) -> None:
        """After a change of the settings or of the segment."""
        self.budget.plan()
        self._least = None
        if self._settings["max_entries"] is not None:
            self.recount()
        if self.budget.segment.created:
            maintenance.recount_files(self._stores)
            self.budget.segment.created = False
        self.budget.look_at_all()

    # Before a write

    def reserve(self, store: Shard, key: Any, size: int, so_far: int) -> int:
        """Make room for `size` bytes of a value file, and count them.

        :param so_far: bytes of the file that were reserved before
        :return: what was counted, in whole blocks
        :raises TooLarge: when the file cannot fit into this cache
        :raises Timeout: when there is no room for it, because others hold the locks, or the
            transaction takes it all
        """
        taken = size if so_far else on_disk(size)
        store.segment.add(WRITTEN, store.number, taken)
        if not self._bound():
            store.segment.add(FILES, store.number, taken)
            return taken
        self.fit(store, key, so_far + size)
        store.segment.add(FILES, store.number, taken)
        try:
            self._room(store)
        except BaseException:
            store.segment.add(FILES, store.number, -taken)
            raise
        return taken

    def fit(self, store: Shard, key: Any, size: int) -> None:
        """Nothing, if a value of `size` bytes fits into the cache when it is empty.

        :raises TooLarge: when it does not
        """
        if size <= self.largest or not self._bound():
            return
        limit = self.budget.limit
        store.segment.add(REFUSED, store.number, 1)
        text = "%s: the value of %r takes %d bytes and cannot fit, size_limit is %d; refused"
        store.says.warn("refused", text, store.directory, key, size, limit)
        raise TooLarge(f"the value of {key!r} takes {size} bytes; size_limit is {limit}")

    @property
    def largest(self) -> int:
        """Bytes of the largest value that is not refused."""
        budget = self.budget
        return budget.full - budget.fixed - len(self._stores) * maintenance.EMPTY

    def _bound(self) -> bool:
        return self.policy.evicts

    def admit(self, store: Shard, key: Any, size: int) -> None:
        """Make room for `size` bytes that are to be written into a shard's database.

        :raises TooLarge: when they cannot fit
        """
        if not self._bound():
            return
        self.fit(store, key, 2 * size)  # the log has them as well
        if self._settings["cull_limit"]:
            budget = self.budget
            budget.look(store)
            if budget.used() + size > budget.full or budget.taken() + 2 * size > budget.most:
                self._room(store, size)

    def _believe(self) -> None:
        """Count anew what the segment says of value files, if that cannot be.

        Each process counts what it writes before it does, so what is there is no more than the
        limit and what a few are at.
        """
        budget = self.budget
        if not 0 <= budget.segment.whole(FILES) <= 2 * budget.limit:
            maintenance.recount_files(self._stores)

    def _room(self, store: Shard, more: int = 0) -> None:
        budget = self.budget
        self._believe()
        if not self._settings["cull_limit"]:
            return
        if budget.used() + more <= budget.full and budget.taken() + more <= budget.most:
            return
        budget.look_at_all()
        for _ in range(ATTEMPTS):
            excess = budget.used() + more - budget.full
            if excess <= 0:
                break
            self._evict(size=excess, spare=None)
        self._shrink(more)
        if budget.used() + more > budget.full + budget.limit // eviction.MOST:
            inside = store.database.current() is not None
            raise Timeout(f"there is no room: {CROWDED if inside else 'others hold the locks'}")

    # After a write

    def wrote(self, store: Store, slots: Sequence[int], size: int, new: int) -> None:
        """After every write of entries of `size` bytes whose keys map to `slots`."""
        settings = self._settings
        self._unswept += len(slots)
        if self._unswept >= SWEEP_EVERY and settings["cull_limit"]:
            self._unswept = 0
            found = maintenance.sweep(store)
            if found * DIRTY > maintenance.WINDOW:  # the next step follows soon
                self._unswept = SWEEP_EVERY - SWEEP_SOON
            self._give_back(store)
        if new and settings["max_entries"] is not None:
            self._keep_entries(store, slots)
        self._writes += len(slots)
        unlooked = self._unlooked
        unlooked[store.number] += size + ROW_OVERHEAD * len(slots)
        if unlooked[store.number] >= self.budget.step or self._writes >= self._again:
            unlooked[store.number] = 0
            self.budget.look(store)
            if settings["cull_limit"] and self.policy.evicts:
                self._keep_size(store, slots)

    def doubt(self) -> None:
        """The count of entries may be wrong: the next look at it counts anew."""
        self._uncounted = self._settings["max_entries"] or 0

    def _keep_entries(self, store: Store, slots: Sequence[int]) -> None:
        most = self._settings["max_entries"]
        self._uncounted += len(slots)
        self._unseen += len(slots)
        if self._unseen * UNSEEN < most and self._least is None:
            return
        self._unseen = 0
        count = self.entries()
        if count <= most and self._least is not None and count > self._least:
            self._evict(entries=count - self._least, spare=(store, slots))
            if self.entries() <= self._least:
                self._least = None
            return
        self._least = None
        if (count <= most and self._uncounted <= most) or not self.policy.evicts:
            return
        if self._uncounted * eviction.RECOUNT > most:
            self._uncounted = 0
            count = self.recount(BRIEFLY)
        if count > most:
            frequency = self._settings["cull_frequency"]
            # At least what is over the limit, which a high frequency would round to nothing.
            surplus = max(count - most, count // frequency) if frequency else count - 1
            surplus -= self._expire_some()
            if surplus > eviction.MOST:
                self._least = count - surplus  # the next writes go on
            while surplus > 0:
                gone = self._evict(entries=surplus, spare=(store, slots))
                surplus -= gone
                if not gone or self.entries() <= most:
                    return

    def _keep_size(self, store: Store, slots: Sequence[int]) -> None:
        budget = self.budget
        excess = budget.used() - budget.full
        if excess > 0:
            self._believe()
            excess = budget.used() - budget.full
        self._again = sys.maxsize
        if excess > 0:
            self._make_room(excess, store, slots)
        if budget.taken() > budget.most:
            self._shrink()

    def _make_room(self, excess: int, store: Store, slots: Sequence[int]) -> None:
        """Remove a batch, or more if it must be, of what is too much by so many bytes.

        A few entries at a time would cost a commit each. So, while there is room for them, they
        wait until as many may go as are a batch.
        """
        budget = self.budget
        room = budget.limit // BATCH
        cull_limit = self._settings["cull_limit"]
        again = -(-eviction.MOST // cull_limit)
        most = cull_limit * self._writes
        if most < eviction.MOST and excess <= room:
            self._again = again
            return
        self._expire_some()
        self._writes = 0
        most = max(1, most)
        while gone := self._evict(size=excess + room, spare=(store, slots), most=most):
            excess = budget.used() - budget.full
            if excess <= room:
                break
        if gone and excess > 0:
            self._again = again

    def _expire_some(self) -> int:
        """Remove some of what has expired; how many."""
        now = self._clock()
        if abs(now - self._swept_at) < SWEEP_AGAIN:
            return 0
        removed = sum(map(maintenance.sweep, self._stores))
        if not removed:
            self._swept_at = now
        return removed

    def _evict(
        self,
        *,
        entries: int = 0,
        size: int = 0,
        spare: tuple[Store, Sequence[int]] | None,
        most: int = eviction.MOST,
    ) -> int:
        removed = eviction.evict(
            self._stores,
            self.policy,
            entries=entries,
            size=size,
            most=min(most, eviction.MOST),
            spare=spare,
            wait=BRIEFLY,
        )
        if size:
            for each in removed.stores:
                self.budget.look(each)
        return removed.entries

    # Space that is given back

    def _shrink(self, more: int = 0) -> None:
        """Shorten the logs, then give free pages back, until the limit holds."""
        budget = self.budget
        for store in self._stores:
            if budget.of(LOG, store) > store.log_share:
                maintenance.checkpoint(store)
                budget.look(store)
        while budget.taken() + more > budget.most:
            store = max(self._stores, key=lambda each: budget.of(FREE, each))
            free = budget.of(FREE, store)
            if not free or not maintenance.vacuum(store, VACUUM):
                break
            maintenance.checkpoint(store)
            budget.look(store)
            if budget.of(FREE, store) >= free or budget.of(LOG, store) > store.log_share:
                break  # it does not help, or a reader keeps the log from getting shorter
        if budget.taken() + more > budget.most:
            for store in self._stores:
                maintenance.checkpoint(store)
                budget.look(store)

    def _give_back(self, store: Store) -> None:
        """A few pages, when many are free: the cache has shrunk."""
        budget = self.budget
        free = budget.of(FREE, store)
        if free > budget.step and free * 4 > budget.used() // len(self._stores):
            maintenance.vacuum(store, VACUUM // 4)

    def give_back(self, keep: int | None = None) -> None:
        """All free pages but a few, after a call that has removed much.

        :param keep: bytes of them that may stay in each shard; by default what a few writes use
        """
        keep = self.budget.step if keep is None else keep
        for store in self._stores:
            self.budget.look(store)
            if store.database.current() is not None:
                continue
            while self.budget.of(FREE, store) > keep:
                free = self.budget.of(FREE, store)
                if not maintenance.vacuum(store, 16 * VACUUM):
                    break
                self.budget.look(store)
                if self.budget.of(FREE, store) >= free:
                    break
            maintenance.checkpoint(store)
            self.budget.look(store)

    def cull(self, wait: Wait, target: int | None = None) -> int:
        """Remove the expired, then evict until the volume is within the limit; how many.

        :param target: bytes that are to be `in_use` instead of `size_limit`
        :raises Timeout: with the number removed so far
        """
        removed = maintenance.remove_everywhere(
            self._stores, schema.REMOVE_EXPIRED, self._clock(), wait
        )
        budget = self.budget
        budget.look_at_all()
        least: int | None = None  # bytes in use, once as much has gone as was too much at first
        while self.policy.evicts and (excess := self._excess(target)) > 0:
            used = budget.used()
            least = used - excess if least is None else least
            if target is not None and self.logged():
                excess = used - least  # what goes only makes the logs longer
            if excess <= 0 or not (gone := self._evict(size=excess, spare=None)):
                break
            removed += gone
        self._shrink()
        return removed

    def freed(self, enough: int) -> bool:
        """Whether at most `enough` bytes are stored, and only logs keep it from showing."""
        return self.logged() > 0 and self.budget.used() <= enough

    def logged(self) -> int:
        """Bytes of the logs, as of the last look. After a checkpoint it is 0, unless somebody
        reads what was there before, or writes."""
        return sum(self.budget.of(LOG, store) for store in self._stores)

    def _excess(self, target: int | None) -> int:
        """Bytes that are to go, until the limit holds or `target` is reached."""
        if target is None:
            return self.budget.used() - self.budget.full
        for store in self._stores:
            maintenance.checkpoint(store)  # an eviction makes the log longer, which counts
        return self.in_use() - target

    # What there is

    def volume(self) -> int:
        """Bytes on disk, as ``du`` shows them."""
        return footprint.beside_stores(self._stores) + sum(
            map(footprint.of_store, self._stores)
        )

    def in_use(self) -> int:
        """`volume` without free pages, which are for the next writes, or for `give_back`."""
        self.budget.look_at_all()
        free = (self.budget.of(FREE, store) for store in self._stores)
        return self.volume() - sum(each // BLOCK * BLOCK for each in free)

    def entries(self) -> int:
        """About how many entries there are, without a look at the tables."""
        return self.budget.segment.whole(ENTRIES)

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
