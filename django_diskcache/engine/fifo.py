"""S3-FIFO, the default policy, with a main queue that is walked as SIEVE does.

The algorithm is that of Yang et al., "FIFO queues are all you need for cache eviction" (SOSP
2023), its main queue that of Zhang et al., "SIEVE is simpler than LRU" (NSDI 2024). Most
entries are never read again; a new one gets a short time to be read, and goes if it is not.

The table in order of insertion is both queues, and nothing is ever moved:

- The *small hand* goes up the ids. What is above it is the small queue, what it has passed is
  the main queue. While the small queue holds more than a tenth of the entries, the hand goes
  on: an entry that was read since it was stored stays where it is, and is in the main queue by
  that; one that was not is evicted. Where bytes are needed it is a twentieth.
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
# And where many are weighed: what stays is small, so that its entries have more of the bytes.
WEIGHED_SHARE = 20
FEW = 512  # entries that go in their order over all shards
TURN = 8  # of more of them, so many go in the order of a shard until another has its turn
CHUNK = 32  # entries read at a time
MOST_AHEAD = 128  # and the first time as many as will go, if none of them stays
PATIENCE = 256  # entries passed in the main queue for one that goes, however often read

# Hands. All but two are those of the first shard, for all. `SHARE` is the part of the ids
# above the small hand that are entries of the small queue: others are marked, or gone. `MEAN`
# is the mean size of what is stored. Both are in parts of WHOLE.
# `LIFETIME` is that of a fingerprint, by the ghost's clock.
SMALL, MAIN, GHOST_CLOCK, LIFETIME, SHARE, MEAN = range(6)
WHOLE = 2**16
WINDOW = 64  # ids, or entries, that they are the means of, about

SPREAD = 0x9E3779B1  # of a hash over 32 bits, for its fingerprint
GHOST_TICKS = 2**14  # of the ghost's clock, while as many entries go as it has room for
NEVER = float("inf")


Victim: TypeAlias = "tuple[Queue, Entry]"
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
        self.unit = max(1, board.shards * board.slots // GHOST_TICKS)

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
        # Most sets come no farther, so this is `_fingerprint`, a call less.
        if not known or known >> 16 != ((number * SPREAD & 0xFFFFFFFF) >> 16 or 1):
            return False
        self._ghost[slot] = 0
        if (self._clock() - known) & 0xFFFF > self._shared[LIFETIME]:
            return False
        self._access[slot] = MARKED
        return True

    def _clock(self) -> int:
        return self._shared[GHOST_CLOCK] // self.unit & 0xFFFF

    def set_back(self, slot: int) -> None:
        """Forget the hits in the slot, and be told of the next one."""
        self._access[slot] = 0
        self.board.stamp(slot)

    def victims(
        self, queues: Sequence[Queue], count: int, weigh: bool, now: float
    ) -> Iterable[tuple[Queue, Entry]]:
        entries = sum(queue.entries for queue in queues)
        # The clock is that of all shards, of which some take part.
        whole = entries * self.board.shards // len(queues)
        self._shared[LIFETIME] = min(max(1, whole // self.unit), 0xFFFF)
        ahead = min(max(-(-count // len(queues)), 1), MOST_AHEAD)
        pairs = [_Hands(queue, self._hands[queue.number], ahead) for queue in queues]
        # Of few entries, each one out of order counts. Of many, the shards take turns, the one
        # with the longest small queue first.
        following = _oldest if entries <= FEW else _most_above
        walk = _Walk(self, pairs, weigh, following)
        share = WEIGHED_SHARE if weigh and entries > FEW else SMALL_SHARE
        access, small = self._access, walk.small()
        try:
            while entries > 0:
                found = None
                if walk.above * walk.share * share > entries * WHOLE:
                    found = next(small, None)
                found = found or walk.main() or next(small, None)
                if found is None:
                    return
                entries -= 1
                access[found[1].slot] = 0
                yield found
        finally:
            walk.end()


class _Walk:
    """Both hands on their way, for one batch of victims.

    What is noted on the segment for all is kept here meanwhile, where it costs less.
    """

    def __init__(
        self, policy: S3FIFO, pairs: Sequence[_Hands], weigh: bool, following: Following
    ) -> None:
        self._set_back = policy.set_back
        self._access = policy.board.access
        self._ghost = policy.board.ghost
        self._shared = policy.board.hands(0)
        self._unit = policy.unit
        self._pairs = pairs
        self._weigh = weigh
        self._following = following
        self.above = sum(map(_above, pairs))  # about: how many the small queues have
        self.share = self._shared[SHARE]
        self._mean = self._shared[MEAN]
        self._clock = self._began = self._shared[GHOST_CLOCK]

    def end(self) -> None:
        """Note how far it has come."""
        shared = self._shared
        shared[SHARE], shared[MEAN] = self.share, self._mean
        shared[GHOST_CLOCK] += self._clock - self._began  # others may have evicted meanwhile
        for pair in self._pairs:
            pair.end()

    def small(self) -> Iterator[Victim]:
        """What the small hand evicts, one after the other.

        Each victim comes by here, so it is written for speed.
        """
        access, ghost, unit = self._access, self._ghost, self._unit
        following, pairs = self._following, self._pairs
        most = 1 if following is _oldest else TURN
        pair, turn = pairs[0], 0
        while True:
            if not turn:
                if (found := following(pairs)) is None:
                    return
                pair, turn = found, most
            turn -= 1
            entry = pair.ahead or next(pair.small, None) or pair.head()
            if entry is None:  # what was above it has gone otherwise
                self.above = sum(map(_above, pairs))
                turn = 0
                continue
            place, _, size, slot, number = entry
            before = pair.above
            gap = pair.move(place)
            self.above -= before - pair.above
            if not pair.above:
                turn = 0  # what is above its last id now was stored meanwhile
            field, mean, size = access[slot], self._mean, size * WHOLE
            self._mean = mean + (size - mean) // WINDOW if mean else size
            marked = field & MARKED
            if gap > 1 or marked or self.share != WHOLE:
                part = 0 if marked else WHOLE // gap
                self.share += (part - self.share) * min(gap, WINDOW) // WINDOW
            if marked:
                access[slot] = field & MOST_HITS
            elif field and self._stays(field, entry):
                self._set_back(slot)
            else:
                # The `_fingerprint`, a call less, and when it was made.
                mark = (number * SPREAD & 0xFFFFFFFF) >> 16 or 1
                ghost[slot] = mark << 16 | self._clock // unit & 0xFFFF
                self._clock += 1
                yield pair.queue, entry

    def main(self) -> Victim | None:
        """The next that the main hand evicts, if there is one."""
        access = self._access
        pair = max(self._pairs, key=_below)
        patience = PATIENCE
        while (entry := pair.next_main()) is not None:
            patience -= 1
            field = access[entry.slot]
            if not patience or not field or not self._stays(field, entry):
                pair.below -= 1
                return pair.queue, entry
            self._set_back(entry.slot)
        return None

    def _stays(self, field: int, entry: Entry) -> bool:
        hits = field & MOST_HITS
        if not self._weigh or not hits:
            return hits > 0
        return hits * self._mean >= entry.size * WHOLE


def _fingerprint(number: int) -> int:
    """16 bits of a hash that are not those that chose the slot; never 0."""
    return (number * SPREAD & 0xFFFFFFFF) >> 16 or 1


class _Hands:
    """A shard's queue with its two hands, and the entries read ahead of each."""

    def __init__(self, queue: Queue, hands: Hands, ahead: int) -> None:
        self.queue = queue
        self._hands = hands
        self._ahead = ahead
        first, self._last = queue.bounds()
        # Ids begin anew when a table was emptied.
        self._small_hand = min(hands[SMALL], self._last)
        self._main_hand = hands[MAIN]
        self._from = hands[SMALL], hands[MAIN]
        self.above = self._last - max(self._small_hand, first - 1)
        self.below = max(0, queue.entries - self.above)
        # What the small hand comes to next: an entry, if `head` has looked; then the others.
        self.ahead: Entry | None = None
        self.small: Iterator[Entry] = iter(())
        self._main: Iterator[Entry] = iter(())

    def head(self) -> Entry | None:
        """The entry that the small hand comes to next, if there is one."""
        if self.ahead is None:
            self.ahead = next(self.small, None)
            if self.ahead is None and self.above:
                self.small = iter(self.queue.after(self._small_hand, self._ahead))
                self._ahead = CHUNK
                self.ahead = next(self.small, None)
                if self.ahead is None:
                    self.above = 0
        return self.ahead

    def move(self, place: int) -> int:
        """The small hand is at this id now; how far it has come."""
        self.ahead = None
        gap = place - self._small_hand
        self._small_hand = place
        above = self._last - place
        self.above = above if above > 0 else 0
        self.below += 1
        return gap if gap > 1 else 1

    def next_main(self) -> Entry | None:
        """The entry that the main hand comes to, round and round."""
        for _ in range(2):
            entry = next(self._main, None)
            if entry is None:
                ahead = self.queue.after(self._main_hand, CHUNK)
                self._main = iter([each for each in ahead if each.id <= self._small_hand])
                entry = next(self._main, None)
            if entry is not None:
                self._main_hand = entry.id
                return entry
            self._main_hand = self.queue.bounds()[0] - 1
        return None

    def end(self) -> None:
        """Note where they are."""
        if self._hands[SMALL] == self._from[0] or self._small_hand > self._hands[SMALL]:
            self._hands[SMALL] = self._small_hand  # else another walk has come farther
        if self._main_hand != self._from[1]:
            self._hands[MAIN] = self._main_hand


def _most_above(pairs: Sequence[_Hands]) -> _Hands | None:
    pair = pairs[0] if len(pairs) == 1 else max(pairs, key=_above)
    return pair if pair.above else None


def _oldest(pairs: Sequence[_Hands]) -> _Hands | None:
    heads = [(pair, head) for pair in pairs if (head := pair.head()) is not None]
    return min(heads, key=_stored)[0] if heads else None


def _stored(found: tuple[_Hands, Entry]) -> float:
    return found[1].store_time


def _above(pair: _Hands) -> int:
    return pair.above


def _below(pair: _Hands) -> int:
    return pair.below
