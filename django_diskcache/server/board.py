"""Stamps of slots, in this process: what the near cache goes by where there is no segment.

The near cache serves what it remembers only while the slot of the key has the stamp that was
noted before the value was read (see `engine.nearcache`). There, writers in other processes
change stamps in shared memory. Here, the server tells this process which keys have changed, and
the listener stamps their slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from ..engine.segment import HITS

SLOTS = 2**16


class Board:
    """What `NearCache` needs of a segment: stamps, and where hits are counted."""

    shards = 1
    slots = SLOTS

    def __init__(self) -> None:
        self.stamps = [0] * SLOTS
        self._fresh = count(1)
        self.hits = self.misses = 0  # not yet told the server

    def slot(self, number: int) -> int:
        """The slot of a portable hash."""
        return number & SLOTS - 1

    def stamp(self, slot: int) -> None:
        """Let nobody trust what is remembered of the slot's keys."""
        self.stamps[slot] = next(self._fresh)

    def stamp_each(self, slots: Iterable[int]) -> None:
        """`stamp` these slots."""
        stamps = self.stamps
        stamp = next(self._fresh)  # one serves for all: each slot is compared with itself
        for slot in slots:
            stamps[slot] = stamp

    def stamp_all(self) -> None:
        """`stamp` every slot."""
        self.stamps[:] = [next(self._fresh)] * SLOTS

    def add(self, kind: int, shard: int, number: int) -> None:
        """Count `number` more hits or misses."""
        if kind == HITS:
            self.hits += number
        else:
            self.misses += number
