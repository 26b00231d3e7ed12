"""The methods by one key of a cache on a server; they mean what those of `KeyedCache` do."""

from __future__ import annotations

from math import inf
from typing import Any, ClassVar

from ..engine.errors import ENOVAL, UNKNOWN, Fault, Foreign, Timeout
from ..engine.guard import RAISE, Guarded
from ..engine.keyed import shaped
from .envelope import (
    HEAD,
    integer_head,
    is_counted,
    opened,
    several,
    tag_bytes,
    tag_name,
    tags_of,
)
from .remote import MOST_SECONDS, Remote, milliseconds
from .scripts import INCR, MOST_ADDED, REPLACE, SET, TOUCH
from .trouble import UNKNOWN_OUTCOME

MOST_TRIES = 1000  # of a sum that is made here, while others change the entry


class SingleKey(Guarded):
    """Mixed into the face.

    ``retry`` is taken everywhere and means nothing here: there are no locks to wait for. Every
    call has the same deadline.
    """

    _engine: Remote  # type: ignore[assignment]
    cares: ClassVar[tuple[type[Exception], ...]] = (Fault,)

    def _wait(self, retry: bool) -> float | None:
        """Seconds that a call may wait; 0 on the face for event loops (`impatient`)."""
        return None

    def _remotely(self, otherwise: Any, operation: Any, *args: Any) -> Any:
        """`_safely` for what goes to the server.

        :raises Timeout: on an event loop, which must not wait for an answer
        """
        if self._wait(False) == 0:
            raise Timeout
        return self._safely(otherwise, operation, *args)

    def _ask(self, bucket: int, method: str, *arguments: Any) -> Any:
        table = self._engine.link.table
        if self._engine.address.kind != "cluster":
            return getattr(table[0], method)(*arguments)
        return self._engine.link.moving(bucket, method, *arguments)

    def _write(self, number: int, method: str, *arguments: Any) -> Any:
        """The answer to a call that changes the entry of a hash; what is remembered goes."""
        board = self._engine.board
        try:
            reply = self._ask(number & 255, method, *arguments)
        except Fault as error:
            if error.kind in UNKNOWN_OUTCOME:
                board.stamp(board.slot(number))
            raise
        board.stamp(board.slot(number))
        return reply

    # Reading

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The value of `key`, or `default`; see `KeyedCache.get`."""
        if not (read or expire_time or tag):
            value = self._engine.near.get(key) if type(key) is str else UNKNOWN
            if value is UNKNOWN:
                return self.look(key, default, retry)
            return default if value is ENOVAL else value
        missing = (default, None, None)
        return shaped(self._remotely(missing, self._get, key, default, read), expire_time, tag)

    def look(self, key: Any, default: Any = None, retry: bool = False) -> Any:
        """`get` for a key, if it is a text, that the near cache has just been asked for."""
        value = self._remotely(ENOVAL, self._look, key)
        return default if value is ENOVAL else value

    def _look(self, key: Any) -> Any:
        """The value, or ENOVAL, which the near cache remembers from now on."""
        engine = self._engine
        name, number, form = engine.place(key)
        if type(key) is not str:
            value = engine.near.get(name)
            if value is not UNKNOWN:
                return value
        board = engine.board
        slot = number & 0xFFFF  # that of Board.slot, without a call
        stamp, now = board.stamps[slot], engine.clock()  # before the read, see nearcache
        data, tracked = self._ask(number & 255, "look", b"GET", name)
        near = engine.near
        if data is None:
            value, due, kept, loads = ENOVAL, None, ENOVAL, None
            near.counts[1] += 1
        else:
            try:
                value, due, kept, loads = engine.codec.decode(data, form)
            except Foreign as why:
                self._refuse(name, number, data, why)
                near.counts[1] += 1
                return ENOVAL
            near.counts[0] += 1
        if tracked:
            known = key if type(key) is str else name
            near.put_many(((known, slot, stamp, now, due, kept, loads),))
        elif not near.bypassing():
            engine.listen()
        return value

    def _refuse(self, name: bytes, number: int, data: bytes, why: Foreign) -> None:
        """Say that an entry is foreign, and remove it unless another has taken its place."""
        self._engine.triage.foreign(why)
        try:
            self._write(number, "run", REPLACE, (name,), data, b"")
        except Fault:  # a read must not fail for it
            return

    def _get(self, key: Any, default: Any, read: bool) -> tuple[Any, float | None, Any]:
        found = self._found(key)
        counts = self._engine.near.counts
        if found is None:
            counts[1] += 1
            return default, None, None
        counts[0] += 1
        value, due, tags = found
        return opened(value) if read else value, due, tags

    def _found(self, key: Any) -> tuple[Any, float | None, Any] | None:
        name, number, _ = self._engine.place(key)
        data = self._ask(number & 255, "ask", b"GET", name)
        return self._decoded(key, data)

    def _decoded(self, key: Any, data: bytes | None) -> tuple[Any, float | None, Any] | None:
        """(value, expire time, tag) of what is kept, or None if that is nothing or foreign."""
        if data is None:
            return None
        name, number, form = self._engine.place(key)
        try:
            value, due, _, _ = self._engine.codec.decode(data, form)
            tags = tags_of(data)
        except Foreign as why:
            self._refuse(name, number, data, why)
            return None
        tag = tuple(tags) if len(tags) > 1 else (tags or (None,))[0]
        return value, None if due == inf else due, tag

    def __getitem__(self, key: Any) -> Any:
        value = self._engine.near.get(key) if type(key) is str else UNKNOWN
        if value is UNKNOWN:
            value = self._remotely(RAISE, self._look, key)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def read(self, key: Any, retry: bool = False) -> Any:
        """An open binary file of the value of `key`, which is in memory.

        :raises KeyError: when there is none
        """
        value = self.get(key, default=ENOVAL, read=True)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def has(self, key: Any, retry: bool = False) -> bool:
        """Whether `key` is there; nothing is counted as a hit or a miss."""
        known = self._engine.near.knows(key) if type(key) is str else None
        return bool(self._remotely(False, self._has, key)) if known is None else known

    def __contains__(self, key: Any) -> bool:
        known = self._engine.near.knows(key) if type(key) is str else None
        return bool(self._remotely(RAISE, self._has, key)) if known is None else known

    def _has(self, key: Any) -> bool:
        name, number, _ = self._engine.place(key)
        return bool(self._ask(number & 255, "ask", b"EXISTS", name))

    # Writing

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store `value` under `key`; whether it was stored. See `KeyedCache.set`.

        :param tag: one, or several in a tuple, a list or a set
        """
        stored: bool = self._remotely(False, self._set, key, value, expire, read, tag)
        return stored

    def __setitem__(self, key: Any, value: Any) -> None:
        self._remotely(RAISE, self._set, key, value, None, False, None)

    def _set(self, key: Any, value: Any, expire: float | None, read: bool, tag: Any) -> bool:
        method, number, arguments = self._setting(key, value, expire, read, tag)
        self._write(number, method, *arguments)
        return True

    def _setting(
        self, key: Any, value: Any, expire: float | None, read: bool, tag: Any
    ) -> tuple[str, int, tuple[Any, ...]]:
        """How to store a value: method of a node, hash of the key, arguments."""
        engine = self._engine
        name, number, form = engine.place(key)
        if tag is None:
            data = engine.codec.encode(value, read, form, engine.due(expire), b"")
            if expire is None or expire > MOST_SECONDS:
                return "ask", number, (b"SET", name, data)
            if expire <= 0:
                return "ask", number, (b"UNLINK", name)
            return "ask", number, (b"SET", name, data, b"PX", milliseconds(expire))
        tags = [tag_name(each) for each in several(tag)]
        data = engine.codec.encode(value, read, form, engine.due(expire), tag_bytes(tags))
        if expire is not None and expire <= 0:
            return "ask", number, (b"UNLINK", name)
        lasting = expire is None or expire > MOST_SECONDS
        px = 0 if lasting else milliseconds(expire)  # type: ignore[arg-type]
        keys = (name, *(engine.hints(number & 255, each) for each in tags))
        return "rerun", number, (SET, keys, data, px, b"")

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store `value` unless `key` is there; of several at once, one succeeds.

        :return: whether it was stored
        """
        if type(key) is str and self._engine.near.knows(key):
            return False
        stored: bool = self._remotely(False, self._add, key, value, expire, read, tag)
        return stored

    def _add(self, key: Any, value: Any, expire: float | None, read: bool, tag: Any) -> bool:
        method, number, arguments = self._setting(key, value, expire, read, tag)
        if arguments[0] == b"UNLINK":  # it ends at once
            return not self._has(key)
        if method == "rerun":
            script, keys, data, px, _ = arguments
            return bool(self._write(number, "run", script, keys, data, px, b"NX"))
        return self._write(number, "once", *arguments, b"NX") is not None

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Let `key` expire `expire` seconds from now, or never; whether it is there."""
        found: bool = self._remotely(False, self._touch, key, expire)
        return found

    def _touch(self, key: Any, expire: float | None) -> bool:
        engine = self._engine
        name, number, _ = engine.place(key)
        due = HEAD.pack(0, 0, 0, engine.due(expire), 0)[3:11]
        if expire is None or expire > MOST_SECONDS:
            px = 0
        else:
            px = milliseconds(expire) if expire > 0 else -1
        head = engine.hints(number & 255, b"")
        return bool(self._write(number, "rerun", TOUCH, (name,), due, px, head))

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Add `delta` to the number under `key`, as one step; expiry and tag stay.

        :param default: what a missing key counts as; None makes it an error
        :raises KeyError: when the key is missing and `default` is None
        :raises TypeError: when the value takes no `delta`
        :raises Fault: when the server cannot do it, or did not say whether it has
        """
        return self._remotely(RAISE, self._incr, key, delta, default)

    def decr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Subtract `delta` from the number under `key`; otherwise like `incr`."""
        return self.incr(key, -delta, default, retry)

    def _incr(self, key: Any, delta: Any, default: Any) -> Any:
        name, number, _ = self._engine.place(key)
        if _is_small(delta) and (default is None or _is_small(default)):
            first = b"" if default is None else default
            found = self._write(number, "run", INCR, (name,), delta, first, integer_head())
            if found is None:
                raise KeyError(key)
            if found:
                return int(found)
        for _ in range(MOST_TRIES):
            value, new, old = self._sum(key, delta, default)
            if self._write(number, "run", REPLACE, (name,), old, new):
                return value
        raise Fault(
            "slow", self._engine.address.text, f"{key!r} is changed by others all the time"
        )

    def _sum(self, key: Any, delta: Any, default: Any) -> tuple[Any, bytes, bytes]:
        """The sum, and what is kept of it instead of what."""
        engine = self._engine
        name, number, form = engine.place(key)
        old = self._ask(number & 255, "ask", b"GET", name)
        found = self._decoded(key, old)
        if found is None:
            if default is None:
                raise KeyError(key)
            value = default + delta
            return value, engine.codec.encode(value, False, form, inf, b""), b""
        value = found[0] + delta
        head = HEAD.unpack_from(old)
        tags = old[HEAD.size : HEAD.size + head[4]]
        return value, engine.codec.encode(value, False, form, head[3], tags), old

    def pop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove `key` and return its value, or `default`; otherwise like `get`."""
        missing = (default, None, None)
        return shaped(self._remotely(missing, self._pop, key, default), expire_time, tag)

    def _pop(self, key: Any, default: Any) -> tuple[Any, float | None, Any]:
        name, number, _ = self._engine.place(key)
        data = self._write(number, "once", b"GETDEL", name)
        found = self._decoded(key, data)
        counts = self._engine.near.counts
        counts[found is None] += 1
        return (default, None, None) if found is None else found

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove `key`; whether it was there."""
        return bool(self._remotely(False, self._delete, key))

    def __delitem__(self, key: Any) -> None:
        if not self._remotely(RAISE, self._delete, key):
            raise KeyError(key)

    def _delete(self, key: Any) -> int:
        name, number, _ = self._engine.place(key)
        removed: int = self._write(number, "ask", b"UNLINK", name)
        return removed


def _is_small(number: Any) -> bool:
    """Whether Lua's numbers hold it, and what it is added to, exactly."""
    return type(number) is int and is_counted(number) and -MOST_ADDED <= number <= MOST_ADDED
