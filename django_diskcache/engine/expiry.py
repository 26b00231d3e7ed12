"""When the entries of a shard expire: to ask for it, to change it, to renew it at reads.

A *sliding* expiry is renewed by reads, and a read writes nothing as long as that can be helped.
So it is renewed only once a tenth of its time has passed: what is read all the time is written
ten times in that time, by all processes together. It therefore ends between 0.9 and 1 times its
time after the last read.
"""

from __future__ import annotations

from typing import Any

from . import schema
from .connection import Wait, changed_rows
from .disk import Place
from .errors import ENOVAL
from .shard import Shard

RENEWED_AFTER = 0.1  # of its time


class Expiry(Shard):
    """The part of `Store` that knows when entries expire."""

    def due(self, expire: float | None) -> float | None:
        """When something expires that does so in `expire` seconds: seconds since the epoch."""
        return None if expire is None else self.clock() + expire

    def expiry(self, place: Place, wait: Wait) -> Any:
        """When a live entry expires, None if never, ENOVAL if there is none; not an access."""
        rows = self.database.run(schema.SELECT_EXPIRE, place[:2], wait)
        if not rows:
            return ENOVAL
        due = rows[0][0]
        if due is None:
            return None
        # Else it is no time: whoever reads the entry refuses it.
        return due if type(due) is float and due > self.clock() else ENOVAL

    def touch(self, place: Place, expire: float | None, wait: Wait) -> bool:
        """Let a live entry expire in so many seconds; whether there was one."""
        return self.expire_at(place, self.due(expire), wait)

    def expire_at(self, place: Place, due: float | None, wait: Wait) -> bool:
        """Let a live entry expire then; whether there was one."""
        values = (due, *place[:2], self.clock())
        return bool(self._change(schema.TOUCH, values, place[2], wait, changed_rows))

    def persist(self, place: Place, wait: Wait) -> bool:
        """Let a live entry that would expire never do so; whether there was one."""
        values = (*place[:2], self.clock())
        return bool(self._change(schema.PERSIST, values, place[2], wait, changed_rows))

    def renew(self, place: Place, due: float | None, expire: float | None, wait: Wait) -> None:
        """Let an entry live so many seconds from now, unless it nearly does.

        What has been stored meanwhile is left alone.

        :param due: when it expires as things are
        """
        new = self.due(expire)
        if not is_fresh(due, new, expire):
            values = (new, *place[:2], self.clock(), due)
            self._change(schema.RENEW, values, place[2], wait, changed_rows)


def is_fresh(due: float | None, new: float | None, expire: float | None) -> bool:
    """Whether what ends at `due` need not be renewed to end at `new`, in `expire` seconds."""
    if new is None or expire is None:
        return due is None
    return due is not None and new - RENEWED_AFTER * expire < due <= new
