"""Stamps of slots, in this process: what the near cache goes by where there is no segment.

The near cache serves what it remembers only while the slot of the key has the stamp that was
noted before the value was read (see `engine.nearcache`). There, writers in other processes
change stamps in shared memory. Here, the server tells this process which keys have changed, and
the listener stamps their slots.

All caches of this process on one server share a board: one listener is told of changes for all
of them, and of those that they make themselves as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final, TypeVar
from weakref import WeakSet

from ..engine.segment import HITS

T = TypeVar("T")

BUCKETS: Final = 256  # of keys, by the last byte of their hash (`link`)
SLOTS: Final = 2**16
MASK: Final = SLOTS - 1  # of a hash: its slot


class Board:
    """Stamps, by slot."""

    def __init__(self) -> None:
        self.stamps = [0] * SLOTS
        self._fresh = count(1)

    def stamp(self, number: int) -> None:
        """Let nobody trust what is remembered of the keys on the slot of a hash."""
        self.stamps[number & MASK] = next(self._fresh)

    def stamp_each(self, numbers: Iterable[int]) -> None:
        """`stamp` the slots of these hashes."""
        stamps = self.stamps
        stamp = next(self._fresh)  # one serves for all: each slot is compared with itself
        for number in numbers:
            stamps[number & MASK] = stamp

    def stamp_buckets(self, buckets: Iterable[int]) -> None:
        """`stamp` the slots of all keys in these buckets."""
        stamp = next(self._fresh)
        for bucket in buckets:
            self.stamps[bucket::BUCKETS] = [stamp] * (SLOTS // BUCKETS)

    def stamp_all(self) -> None:
        """`stamp` every slot."""
        self.stamps[:] = [next(self._fresh)] * SLOTS


class Tally:
    """What a near cache needs of a segment: stamps, and where hits are counted."""

    shards = 1
    slots = SLOTS

    def __init__(self, board: Board) -> None:
        self.stamps = board.stamps
        self.hits = self.misses = 0  # not yet told the server

    def add(self, kind: int, shard: int, number: int) -> None:
        """Count `number` more hits or misses."""
        if kind == HITS:
            self.hits += number
        else:
            self.misses += number


def present(members: WeakSet[T]) -> list[T]:
    """What is in a set, to which other threads may just be adding."""
    while True:
        try:
            return list(members)
        except RuntimeError:  # it has changed meanwhile
            continue
