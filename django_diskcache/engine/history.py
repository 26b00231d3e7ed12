"""Traffic over time: a snapshot of the segment's counters in each minute and in each hour.

A row holds what had been counted since the cache was made, when its minute or hour began. What
happened in between is the difference of two rows. So it does not matter which process writes a
row, and several can count nothing twice: the first one in a minute writes, the others find it
written. Minutes are kept for a day and hours for a month, in a table of the first shard.

Nothing is written by a read. The process that ends a request looks once a minute whether there
is a row; a lock that is not free, or any other trouble, leaves it to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from . import faults, schema
from .clock import Clock
from .connection import Rows
from .disk import INT64_MAX
from .segment import (
    EVICTED_ENTRIES,
    EVICTED_SIZE,
    EXPIRED,
    FAULT_COUNTS,
    HITS,
    MISSES,
    STRIPES,
    Segment,
)

if TYPE_CHECKING:
    from .store import Store

MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
KEPT = {MINUTE: DAY, HOUR: 31 * DAY}  # seconds between two rows: seconds that a row is kept
PATIENCE = 0.002  # seconds that it waits for a lock
READING = 1.0  # seconds that somebody who wants to see it waits
AGAIN = 1.0  # seconds until this process tries again
# The counters of a row, each as the first of its kinds and the one after the last.
COUNTED = (
    ((HITS, HITS + 1),),
    ((MISSES, MISSES + 1),),
    ((EVICTED_SIZE, EVICTED_SIZE + 1), (EVICTED_ENTRIES, EVICTED_ENTRIES + 1)),
    ((EXPIRED, EXPIRED + 1),),
    ((FAULT_COUNTS, FAULT_COUNTS + len(faults.KINDS)),),
)


class Traffic(NamedTuple):
    """What happened in `seconds` seconds from `start` on, seconds since the epoch."""

    start: int
    seconds: int
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0
    errors: int = 0

    @property
    def reads(self) -> int:
        """Hits and misses."""
        return self.hits + self.misses

    @property
    def ratio(self) -> float | None:
        """The part of the reads that hit, from 0 to 1; None if there was none."""
        return self.hits / self.reads if self.reads else None


class History:
    """The history of the cache that `stores` are the shards of."""

    def __init__(self, stores: Sequence[Store], clock: Clock) -> None:
        self._stores = stores
        self._clock = clock
        self._due = 0.0  # when this process is to look at the table again

    def note(self) -> None:
        """Write the row of this minute, and of this hour, unless somebody has."""
        now = self._clock()
        if (
            self._due - MINUTE - 1 < now < self._due
        ):  # else it is due, or the clock was set back
            return
        self._due = now + AGAIN
        if not any(store.database.opened for store in self._stores):
            return  # the connections were closed: not to be opened again for this
        with suppress(*faults.FAULTS):
            if self._write(int(now)):
                self._due = now - now % MINUTE + MINUTE

    def _write(self, now: int) -> bool:
        """Whether the rows are there."""
        database = self._stores[0].database
        if database.current() is not None:
            return False
        if self._noted(now):
            return True
        counts = _counted(self._stores[0].segment)
        with database.transact(PATIENCE):
            database.run(schema.CREATE_HISTORY)
            for step, kept in KEPT.items():
                database.run(schema.ADD_HISTORY, (step, now - now % step, *counts))
                database.run(schema.FORGET_HISTORY, (step, now - kept))
        return True

    def _noted(self, now: int) -> bool:
        row = (MINUTE, now - now % MINUTE)
        return self._begun() and bool(self._look(schema.HAS_HISTORY, row))

    def _begun(self, wait: float = PATIENCE) -> bool:
        """Whether there is a table, which the first row makes."""
        return bool(self._look(schema.HAS_HISTORY_TABLE, (), wait))

    def _look(self, sql: str, parameters: Sequence[int], wait: float = PATIENCE) -> Rows:
        return self._stores[0].database.run(sql, parameters, wait)

    def traffic(self, span: int, step: int) -> list[Traffic]:
        """What happened in the last `span` seconds, in parts of `step` seconds, oldest first.

        :param step: a multiple of an hour looks at the rows of hours, any other of a minute at
            those of minutes; the last part is the one that has begun
        :raises Timeout: when the shard stays locked
        """
        now = int(self._clock())
        start = now - now % step - span + step
        unit = MINUTE if step % HOUR else HOUR
        rows = []
        if self._begun(READING):
            rows = self._look(schema.HISTORY, (unit, start, now), READING)
        parts = [[0] * len(COUNTED) for _ in range(start, now + 1, step)]
        if rows:
            times, *counted = zip(*rows, strict=True)
            places = [(at - start) // step for at in times]
            # One counter after the other: most stand still, and a day has 1440 rows.
            for index, latest in enumerate(_counted(self._stores[0].segment)):
                values = counted[index]
                for place, first, last in zip(
                    places, values, (*values[1:], latest), strict=True
                ):
                    if last > first:
                        parts[place][index] += last - first
                    elif last < first:  # the segment was made anew in between
                        parts[place][index] += last
        return [Traffic(start + step * n, step, *part) for n, part in enumerate(parts)]


def _counted(segment: Segment) -> tuple[int, ...]:
    """What was counted since the segment was made, whatever was reset since."""
    size = segment.shards * STRIPES
    counters = segment.counters
    totals = (
        sum(sum(counters[first * size : end * size]) for first, end in kinds)
        for kinds in COUNTED
    )
    return tuple(min(max(total, 0), INT64_MAX) for total in totals)  # it may be damaged
