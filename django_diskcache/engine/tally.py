"""What value files take, counted from the rows, to mend what the segment says of them.

The segment's count is what limits go by, and it drifts: a process that is killed between a file
and its row leaves what it had counted. The rows know better, but there may be a million of
them, and no set is to pay for that. So a pass goes over them a window at a time, by the index
of rows with files, while others write. What was written and removed meanwhile may or may not
have been seen; how much that is, the segment tells, and only what is more than that is mended.

A file counts from before its row is there until after its row is gone. So the segment is never
to say less than the rows; and what it says too much, at each of some looks for a minute, is
more than what is on its way. No look counts while a transaction is open on the shard: that
may have files on their way for longer than a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import schema
from .budget import BLOCK, NAME_BYTES
from .disk import INT64_MAX
from .errors import Timeout
from .segment import FILES, WRITTEN

if TYPE_CHECKING:
    from .store import Store

WINDOW = 2048  # rows: half a millisecond
ON_ITS_WAY = 60.0  # seconds for which a value file may count before its row is there
LOOKS = 8  # in that time, to say that the count is too high


class Surplus:
    """Bytes of value files that the segment has too many, at each of some looks in a row."""

    def __init__(self) -> None:
        self.least = 0
        self.looks = 0
        self.since = 0.0

    def note(self, surplus: int, now: float) -> int:
        """What is surely too much: it was at each look for a minute, and is noted anew."""
        if not self.looks:
            self.least, self.since = surplus, now
        self.least = min(self.least, surplus)
        self.looks += 1
        if self.looks < LOOKS or abs(now - self.since) < ON_ITS_WAY:
            return 0
        self.looks = 0
        return self.least


class Tally:
    """How far a pass over the files of a shard is, in this process."""

    def __init__(self) -> None:
        self.surplus = Surplus()
        self.last: Any = None  # the name of the last file that was counted; None: no pass
        self._size = 0  # bytes of those that were
        self._before = self._written = 0  # what the segment said when it began

    def begin(self, store: Store) -> None:
        """Begin a pass, unless one is on its way."""
        if self.last is None:
            self.last, self._size = "", 0
            self._before, self._written = _said(store)

    def go_on(self, store: Store) -> None:
        """Count some more; after the last ones, mend the segment."""
        if self.last is None:
            return
        ((count, size, last),) = store.database.run(
            schema.FILE_WINDOW, (*_form(store), self.last, WINDOW)
        )
        self._size += int(size)
        self.last = last
        if count < WINDOW or type(last) is not str:  # a name of another kind is none of ours
            self.last = None
            self._end(store)

    def _end(self, store: Store) -> None:
        if store.database.current() is not None:
            return
        try:
            with store.database.transact(0):
                said, written = _said(store)
        except Timeout:
            return  # a transaction: its files may be on their way for long
        added = written - self._written
        if added < 0:
            return  # the segment was made anew meanwhile
        removed = max(0, self._before + added - said)
        missing = max(0, self._size - removed - max(self._before, said))
        surplus = max(0, min(self._before, said) - self._size - added)
        surplus = self.surplus.note(surplus, store.clock())
        if missing or surplus:
            store.segment.add(FILES, store.number, missing - surplus)


def _said(store: Store) -> tuple[int, int]:
    """What the segment says of value files: how many bytes there are, and were ever written."""
    total, number = store.segment.total, store.number
    return total(FILES, number), total(WRITTEN, number)


def _form(store: Store) -> tuple[int, ...]:
    """How bytes of a file become those that it takes; and how many are not believed.

    A row that says of its file what no cache of this size takes is damaged.
    """
    bound = store.settings["eviction_policy"] != "none"
    most = store.settings["size_limit"] if bound else INT64_MAX
    return most, BLOCK, BLOCK, BLOCK, NAME_BYTES


def file_bytes(store: Store) -> int:
    """What the value files of all rows take, in one look."""
    ((size,),) = store.database.run(schema.FILE_BYTES, _form(store))
    return int(size)
