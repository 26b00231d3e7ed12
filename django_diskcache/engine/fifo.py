"""S3-FIFO, the default policy, with a main queue that is walked as SIEVE does.

The algorithm is that of Yang et al., "FIFO queues are all you need for cache eviction" (SOSP
2023), its main queue that of Zhang et al., "SIEVE is simpler than LRU" (NSDI 2024). Most
entries are never read again; a new one gets a short time to be read, and goes if it is not.

The table in order of insertion is both queues, and nothing is ever moved:

- The *small hand* goes up the ids. What is above it is the small queue, what it has passed is
  the main queue. While the small queue holds more than a tenth of the entries, the hand goes
  on: an entry that was read since it was stored stays where it is, and is in the main queue by
  that; one that was not is evicted.
- The *main hand* goes round below the small hand. What was read since it came by last stays,
  the next one goes.
- The *ghost* is a table of fingerprints of what the small hand has evicted, as many as there
  are entries. A key that is stored again while it is in there belongs into the main queue: it
  is marked, and the small hand passes it by.

A hit is a count from 0 to 3 in the slot's access field. It needs no further notes once it is 3;
a hand that sets it back to 0 puts a new stamp into the slot, so that near caches tell again.

Where bytes are needed, an entry is kept for hits in proportion to its size: small ones for one,
one of twice the mean size for two. One hit of a giant does not outweigh those of all the small
entries that would have to go for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from .policies import Board, Entry, Hands, Policy, Queue

MOST_HITS = 3  # that are counted
MARKED = 4  # the bit of an entry that the ghost knew
SMALL_SHARE = 10  # the small queue has one in so many entries
FEW = 512  # entries that go in their order over all shards
CHUNK = 32  # entries read at a time
PATIENCE = 256  # entries passed in the main queue for one that goes, however often read

# Hands. All but two are those of the first shard, for all. `SHARE` is the part of the ids
# above the small hand that are entries of the small queue: others are marked, or gone. `MEAN`
# is the mean size of what is stored. Both are in parts of WHOLE.
# `LIFETIME` is that of a fingerprint, by the ghost's clock.
SMALL, MAIN, GHOST_CLOCK, LIFETIME, SHARE, MEAN = range(6)
WHOLE = 2**16
WINDOW = 64  # ids, or entries, that they are the means of, about

GHOST_TICKS = 2**14  # of the ghost's clock, while as many entries go as it has room for
NEVER = float("inf")


Victim: TypeAlias = "tuple[_Hands, Entry]"
Following: TypeAlias = "Callable[[Sequence[_Hands]], _Hands | None]"


class S3FIFO(Policy):
    """What was not read soon after it was stored, then what was not read lately."""

    name = "s3-fifo"
    evicts = True
    tracks = True

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._access = board.access
        self._ghost = board.ghost
        self._hands = [board.hands(shard) for shard in range(board.shards)]
        self._shared = self._hands[0]
        self._unit = max(1, board.shards * board.slots // GHOST_TICKS)

    def begin(self, queues: Sequence[Queue]) -> None:
        for queue in queues:
            first, last = queue.bounds()
            hands = self._hands[queue.number]
            hands[SMALL] = last - (last - first + 1) // SMALL_SHARE
            hands[MAIN] = first - 1
        self._shared[SHARE] = WHOLE

    def hit(self, slot: int, now: float) -> float:
        field = self._access[slot]
        if field & MOST_HITS < MOST_HITS:
            self._access[slot] = field + 1
            return now
        return NEVER

    def stored(self, slot: int, number: int, now: float) -> bool:
        known = self._ghost[slot]
        if not known or known >> 16 != _fingerprint(number):
            return False
        self._ghost[slot] = 0
        if (self._clock() - known) & 0xFFFF > self._shared[LIFETIME]:
            return False
        self._access[slot] = MARKED
        return True

    def _clock(self) -> int:
        return self._shared[GHOST_CLOCK] // self._unit & 0xFFFF

    def victims(
        self, queues: Sequence[Queue], count: int, weigh: bool, now: float
    ) -> Iterable[tuple[Queue, Entry]]:
        entries = sum(queue.entries for queue in queues)
        # The clock is that of all shards, of which some take part.
        whole = entries * self.board.shards // len(queues)
        self._shared[LIFETIME] = min(max(1, whole // self._unit), 0xFFFF)
        pairs = [_Hands(queue, self._hands[queue.number]) for queue in queues]
        # Of few entries, each one out of order counts. Of many, the shards take turns.
        following = _oldest if entries <= FEW else _most_above
        while True:
            ids = sum(pair.above for pair in pairs)
            found = None
            if ids * self._shared[SHARE] * SMALL_SHARE > entries * WHOLE:
                found = self._small_victim(pairs, weigh, following)
            if found is None:
                found = self._main_victim(pairs, weigh)
            if found is None:
                found = self._small_victim(pairs, weigh, following)
            if found is None:
                return
            pair, entry = found
            entries -= 1
            self._access[entry.slot] = 0
            yield pair.queue, entry
            if entries <= 0:
                return

    def _small_victim(
        self, pairs: Sequence[_Hands], weigh: bool, following: Following
    ) -> Victim | None:
        access, shared = self._access, self._shared
        while True:
            pair = following(pairs)
            if pair is None:
                return None
            entry = pair.next_small()
            if entry is None:
                continue
            field = access[entry.slot]
            marked = field & MARKED
            gap = pair.gap
            part = 0 if marked else WHOLE // gap
            shared[SHARE] += (part - shared[SHARE]) * min(gap, WINDOW) // WINDOW
            size = entry.size * WHOLE
            shared[MEAN] += (size - shared[MEAN]) // WINDOW if shared[MEAN] else size
            if marked:
                access[entry.slot] = field & MOST_HITS
                continue
            if self._stays(field, entry, weigh):
                self._set_back(entry.slot)
                continue
            self._ghost[entry.slot] = _fingerprint(entry.number) << 16 | self._clock()
            shared[GHOST_CLOCK] += 1
            return pair, entry

    def _main_victim(self, pairs: Sequence[_Hands], weigh: bool) -> Victim | None:
        pair = max(pairs, key=_below)
        patience = PATIENCE
        while True:
            entry = pair.next_main()
            if entry is None:
                return None
            patience -= 1
            if not patience or not self._stays(self._access[entry.slot], entry, weigh):
                pair.below -= 1
                return pair, entry
            self._set_back(entry.slot)

    def _stays(self, field: int, entry: Entry, weigh: bool) -> bool:
        hits = field & MOST_HITS
        if not weigh or not hits:
            return hits > 0
        return hits * self._shared[MEAN] >= entry.size * WHOLE

    def _set_back(self, slot: int) -> None:
        self._access[slot] = 0
        self.board.stamp(slot)


def _fingerprint(number: int) -> int:
    """16 bits of a hash that are not those that chose the slot; never 0."""
    return (number * 0x9E3779B1 & 0xFFFFFFFF) >> 16 or 1


class _Hands:
    """A shard's queue with its two hands, and the entries read ahead of each."""

    def __init__(self, queue: Queue, hands: Hands) -> None:
        self.queue = queue
        self.gap = 1  # between the entry that the small hand came to last and that before
        self._hands = hands
        first, self._last = queue.bounds()
        # Ids begin anew when a table was emptied.
        hands[SMALL] = min(hands[SMALL], self._last)
        self.above = self._last - max(hands[SMALL], first - 1)
        self.below = max(0, queue.entries - self.above)
        self._head: Entry | None = None
        self._small: Iterator[Entry] = iter(())
        self._main: Iterator[Entry] = iter(())

    def head(self) -> Entry | None:
        """The entry that the small hand comes to next, if there is one."""
        if self._head is None:
            self._head = next(self._small, None)
            if self._head is None and self.above:
                self._small = iter(self.queue.after(self._hands[SMALL], CHUNK))
                self._head = next(self._small, None)
                if self._head is None:
                    self.above = 0
        return self._head

    def next_small(self) -> Entry | None:
        """The same; and the hand is there now."""
        entry = self.head()
        if entry is not None:
            hands = self._hands
            self._head = None
            self.gap = max(1, entry.id - hands[SMALL])
            hands[SMALL] = entry.id
            self.above = max(0, self._last - entry.id)
            self.below += 1
        return entry

    def next_main(self) -> Entry | None:
        """The entry that the main hand comes to, round and round."""
        hands = self._hands
        for _ in range(2):
            entry = next(self._main, None)
            if entry is None:
                ahead = self.queue.after(hands[MAIN], CHUNK)
                self._main = iter([each for each in ahead if each.id <= hands[SMALL]])
                entry = next(self._main, None)
            if entry is not None:
                hands[MAIN] = entry.id
                return entry
            hands[MAIN] = self.queue.bounds()[0] - 1
        return None


def _most_above(pairs: Sequence[_Hands]) -> _Hands | None:
    pair = max(pairs, key=_above)
    return pair if pair.above else None


def _oldest(pairs: Sequence[_Hands]) -> _Hands | None:
    heads = [(pair, head) for pair in pairs if (head := pair.head()) is not None]
    return min(heads, key=_stored)[0] if heads else None


def _stored(found: Victim) -> float:
    return found[1].store_time


def _above(pair: _Hands) -> int:
    return pair.above


def _below(pair: _Hands) -> int:
    return pair.below
