"""What the operations about times to live ask the server, beside those of `steps`.

An end stands in two places: in the header, for whoever asks, and as the server's own expiry,
which removes the entry. A script changes both, and the hints of its tags.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from ..engine.errors import ENOVAL, Fault, Foreign
from ..engine.expiry import RENEWED_AFTER
from .board import MASK
from .envelope import END, HEAD_SIZE, end_of
from .grouped import GroupedOperations
from .remote import MOST_SECONDS, milliseconds
from .scripts import TOUCH, TOUCH_UNLESS
from .steps import FOR_EVER, Steps

HEADER = b"%d" % (HEAD_SIZE - 1)  # where it ends
LAST: Final = 2.0**1023  # seconds: no end that is one comes after this
NEVER: Final = (END.pack(LAST), END.pack(inf))  # to TOUCH_UNLESS: what has no end


class TimedOperations(GroupedOperations):
    """Those of one engine."""

    def due(self, key: Any) -> Steps:
        """When an entry ends, None for never, or ENOVAL if there is none."""
        name, number, _ = self.engine.place(key)
        data = yield number, "ask", (b"GETRANGE", name, b"0", HEADER)
        due = end_of(data)
        return ENOVAL if due is None else None if due == inf else due

    def touch(self, key: Any, expire: float | None) -> Steps:
        """Let an entry end in so many seconds, or never; whether there is one."""
        return (yield from self._end(key, *self._lasting(expire)))

    def expire_at(self, key: Any, due: float) -> Steps:
        """Let an entry end then; whether there is one."""
        left = due - self.engine.clock()
        px = milliseconds(left) if left <= MOST_SECONDS else FOR_EVER
        return (yield from self._end(key, due, px))

    def persist(self, key: Any) -> Steps:
        """Let an entry never end; whether there was one that would have."""
        return (yield from self._end(key, inf, FOR_EVER, *NEVER))

    def slide(
        self, key: Any, default: Any, read: bool, touch: float | None, plain: bool
    ) -> Steps:
        """`get`, after the end was renewed as `engine.expiry` says: one round trip.

        :param touch: seconds that it lives from now on, more than 0, or None for ever
        :param plain: only the value is wanted, and remembered
        :return: (value, expire time, tag), of which only the value counts where it is `plain`
        """
        engine = self.engine
        place = name, number, _ = engine.place(key)
        due, px = self._lasting(touch)
        fresh = NEVER
        if touch is not None and due < inf:
            fresh = END.pack(due - RENEWED_AFTER * touch), END.pack(due)
        rest = (END.pack(due), px, engine.hints(number & 255, b""), *fresh)
        stamp, now = engine.board.stamps[number & MASK], engine.clock()  # before, see nearcache
        changed = True  # or it is not known
        try:
            commands = (TOUCH_UNLESS.known((name,), rest), (b"GET", name))
            (renewed, data), tracked = yield number, "look_many", (commands,)
            if isinstance(renewed, Exception) or isinstance(data, Exception):
                # It is full, say; or the script is not known there, or the key has moved.
                try:
                    if isinstance(renewed, Fault):
                        raise renewed
                    renewed = yield number, "rerun", (TOUCH_UNLESS, (name,), *rest)
                except Fault as error:  # the value is to be had all the same
                    engine.triage.met(error)
                    renewed = None
                if renewed is not None or isinstance(data, Exception):
                    data, tracked = yield number, "look", (b"GET", name)
            changed = bool(renewed)
        finally:
            if changed:  # what is remembered of it here ends too soon
                self._changed(number)
        if not plain:
            return (yield from self.got(key, default, read, data))
        try:
            value, _ = self.seen(key, place, data, tracked, stamp, now)
        except Foreign as why:
            yield from self.refuse(name, number, data, why)
            value = ENOVAL
        return (default if value is ENOVAL else value), None, None

    def _end(self, key: Any, due: float, px: bytes, *unless: bytes) -> Steps:
        engine = self.engine
        name, number, _ = engine.place(key)
        head = engine.hints(number & 255, b"")
        script = TOUCH_UNLESS if unless else TOUCH
        try:
            found = yield number, "rerun", (script, (name,), END.pack(due), px, head, *unless)
        finally:
            self._changed(number)
        return bool(found)
