"""How a value comes into a row and out of it, and what is done about what is wrong in one.

A value is stored by its `Disk`, signed, and admitted by the limit; it is verified before it is
loaded. A row that does not pass is foreign: it is told of and removed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from . import schema, tagging
from .budget import on_disk
from .connection import Wait, all_rows
from .disk import (
    GARBAGE,
    MODE_BINARY,
    PINNED,
    Pinned,
    Place,
    Stored,
    portable_hash,
)
from .errors import Foreign, Unreadable
from .expiry import Expiry
from .faults import FAULTS, fault
from .segment import FILES, WRITTEN
from .shard import PAGE
from .trust import Broken

LARGE = 8 * PAGE  # bytes from which on a value in a row asks for room before it is written


class Row(NamedTuple):
    """An entry as it lies in the table."""

    id: int
    expire: float | None
    tag: Any
    mode: int
    filename: str | None
    value: Any
    size: Any

    def is_sound(self) -> bool:
        """Whether the small columns hold what we put there."""
        due, tag = type(self.expire), type(self.tag)
        if tag is Broken or (tag is bytes and not tagging.is_sound(self.tag)):
            return False
        return due is float or self.expire is None

    def is_pinned(self) -> bool:
        """Whether it is one that is not evicted."""
        return type(self.mode) is int and bool(self.mode & PINNED)


class Rows(Expiry):
    """Those of a shard."""

    def encode(self, value: Any, read: bool, key: Any, place: Place) -> Stored:
        """The stored form of a value; its file goes if the transaction is rolled back.

        :raises TooLarge: when it cannot fit into the cache
        """
        pinned = type(value) is Pinned
        if pinned:
            (value,) = value
        admitting = self._admitting
        admitting.key, admitting.size, admitting.taken = key, 0, 0
        try:
            stored = self.disk.store(value, read, key=key)
            if isinstance(stored[3], (bytearray, memoryview)):  # by a Disk of one's own
                stored = (*stored[:3], bytes(stored[3]))
            stored = self.trust.sign(place, stored)
        except BaseException:
            if admitting.taken:
                self.segment.add(FILES, self.number, -admitting.taken)
            raise
        if pinned:
            stored = stored[0], stored[1] | PINNED, *stored[2:]
        size, _, filename, data = stored
        if filename is None:
            if (type(data) is bytes or type(data) is str) and len(data) >= LARGE:
                self.limits.admit(self, key, len(data))
            return stored
        # In parts, or by a Disk of one's own, it may be another number.
        more = on_disk(size) - admitting.taken
        self.segment.add(WRITTEN, self.number, max(0, more))
        self.segment.add(FILES, self.number, more)
        if (transaction := self.database.current()) is not None:
            transaction.on_rollback.append(lambda: self._remove_file(filename))
        return stored

    def decode(self, place: Place, row: Row, read: bool) -> Any:
        """The value in a row.

        :raises Foreign: when it would have to be unpickled and is not signed, or is damaged
        :raises FileNotFoundError: when its file is gone
        :raises Fault: when its file cannot be read
        """
        try:
            form = self.trust.verified(place, row.mode, row.filename, row.value)
            value = self.disk.fetch(*form, read)
            if read and self._native and form[1] is not None and form[0] == MODE_BINARY:
                _check_size(value, row.size)
            return value
        except FileNotFoundError:
            raise
        except GARBAGE as error:
            raise Unreadable from error
        except OSError as error:
            raise fault(error, self.path) from error

    def _refuse(self, place: Place, row: Row, wait: Wait, why: Foreign) -> None:
        """Say that a row is foreign, and remove it unless another has taken its place."""
        self.trust.warn(self.clock(), why)
        seen = (*place[:2], row.mode, row.filename, row.value)
        with suppress(*FAULTS):  # a read must not fail for it
            self._remove_foreign(schema.DELETE_VALUE, seen, place[2], wait)

    def refuse_key(self, key: Any, raw: int, signature: Any, wait: Wait, why: Foreign) -> None:
        """Say that the key of a row is foreign, and remove the row.

        :raises Timeout: when the write lock is not free in time
        """
        self.trust.warn(self.clock(), why)
        number = portable_hash(key)
        if type(key) is Broken:
            self._remove_foreign(schema.DELETE_BROKEN_KEY, (key,), number, wait)
        else:
            self._remove_foreign(schema.DELETE_KEY, (key, raw, signature), number, wait)

    def _remove_foreign(self, sql: str, seen: Sequence[Any], number: int, wait: Wait) -> None:
        rows = self._change(sql, seen, number, wait, all_rows)
        if rows:
            self.count(-1)
            self.discard(filename for (filename,) in rows)

    def row(self, place: Place, stored: Stored, due: float | None, tag: Any) -> list[Any]:
        """The parameters of a statement that stores an entry.

        :param tag: as `tagging.stored` gives it
        """
        size, mode, filename, value = stored
        if filename is None and (type(value) is bytes or type(value) is str):
            size = len(value)
        signature = self.trust.sign_key(place[0], place[1])
        now = self.clock()
        return [place[0], place[1], due, now, tag, mode, size, filename, signature, value]


def _check_size(file: IO[bytes], size: Any) -> None:
    """:raises Unreadable: when there is not as much in an open file as was stored"""
    if os.fstat(file.fileno()).st_size != size:
        file.close()
        raise Unreadable
