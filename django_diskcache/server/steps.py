"""What each operation by key asks the server and makes of its answers, once for all faces.

An operation is a generator. It yields calls, each a hash of a key, the name of a method of a
node and its arguments, is sent the answer or thrown the fault, and returns its result. Who
drives it waits for answers in his own way (`single`, `awaiting`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from math import inf
from typing import Any, TypeAlias

from ..engine.batches import shortened
from ..engine.disk import Pinned
from ..engine.errors import ENOVAL, UNKNOWN, Fault, Foreign, Unavailable
from ..engine.updating import Change
from .board import MASK
from .envelope import (
    HEAD,
    MOST_TAG_BYTES,
    integer_head,
    is_counted,
    opened,
    tag_bytes,
    tag_names,
    tag_of,
    tags_of,
)
from .remote import MOST_SECONDS, Remote, milliseconds
from .scripts import INCR, MOST_ADDED, REPLACE, SET

# Instead of milliseconds, in scripts.
FOR_EVER = b"0"
NOW = b"-1"  # of TOUCH: the entry ends at once
KEEP = b"-1"  # of REPLACE: the entry ends when it would have
MOST_HEAD = b"%d" % (HEAD.size + MOST_TAG_BYTES)  # bytes of a header and its tags
MOST_TRIES = 1000  # of a sum that is made here, while others change the entry

Call: TypeAlias = "tuple[int, str, tuple[Any, ...]]"
Steps: TypeAlias = "Generator[Call, Any, Any]"


class Operations:
    """Those of one engine."""

    def __init__(self, engine: Remote) -> None:
        self.engine = engine

    # Reading

    def look(self, key: Any) -> Steps:
        """The value, or ENOVAL, which the near cache remembers from now on."""
        value, _ = yield from self.until(key)
        return value

    def until(self, key: Any) -> Steps:
        """The same, and when it expires: (value, seconds since the epoch or None)."""
        engine = self.engine
        name, number, form = engine.place(key)
        if type(key) is not str:
            known = engine.near.until(name)
            if known is not UNKNOWN:
                return known
        stamp, now = engine.board.stamps[number & MASK], engine.clock()  # before, see nearcache
        data, tracked = yield number, "look", (b"GET", name)
        try:
            return self.seen(key, (name, number, form), data, tracked, stamp, now)
        except Foreign as why:
            yield from self.refuse(name, number, data, why)
            return ENOVAL, None

    def seen(
        self,
        key: Any,
        place: tuple[bytes, int, Any],
        data: bytes | None,
        tracked: bool,
        stamp: int,
        now: float,
    ) -> tuple[Any, float | None]:
        """`until` of what was read, which is remembered.

        :param tracked: whether it will be told when that changes
        :param stamp: that of the slot before the read, at the time `now`
        :raises Foreign: when it may not be loaded
        """
        engine = self.engine
        near = engine.near
        name, number, form = place
        if data is None:
            value, due, kept, loads = ENOVAL, None, ENOVAL, None
            near.counts[1] += 1
        else:
            try:
                value, due, kept, loads = engine.codec.decode(data, form)
            except Foreign:
                near.counts[1] += 1
                raise
            near.counts[0] += 1
            if due == inf:
                due = None
        if tracked:
            known = key if type(key) is str else name
            near.put_many(((known, number & MASK, stamp, now, due, kept, loads),))
        elif not near.bypassing():
            engine.listen()
        return value, due

    def refuse(
        self, name: bytes, number: int, data: bytes, why: Foreign | Unavailable
    ) -> Steps:
        """Say that an entry is foreign, and remove it unless another has taken its place.

        :raises Unavailable: nothing is wrong with that entry, so it stays
        """
        if isinstance(why, Unavailable):
            raise why
        self.engine.triage.foreign(why)
        try:
            yield number, "run", (REPLACE, (name,), data, b"", KEEP)
        except Fault:  # a read must not fail for it
            return
        finally:
            self._changed(number)

    def get(self, key: Any, default: Any, read: bool) -> Steps:
        """(value, expire time, tag), or (default, None, None)."""
        name, number, _ = self.engine.place(key)
        data = yield number, "ask", (b"GET", name)
        return (yield from self.got(key, default, read, data))

    def got(self, key: Any, default: Any, read: bool, data: bytes | None) -> Steps:
        """`get` of what was read."""
        found = yield from self._decoded(key, data)
        self.engine.near.counts[found is None] += 1
        if found is None:
            return default, None, None
        return (opened(found[0]), *found[1:]) if read else found

    def tags(self, key: Any) -> Steps:
        """The tags of an entry, in a tuple."""
        name, number, _ = self.engine.place(key)
        data = yield number, "ask", (b"GETRANGE", name, b"0", MOST_HEAD)
        if not data:
            return ()
        try:
            return tuple(tags_of(data))
        except Foreign:  # it is none of ours, and goes
            data = yield number, "ask", (b"GET", name)
            yield from self._decoded(key, data)
            return ()

    def _decoded(self, key: Any, data: bytes | None) -> Steps:
        """(value, expire time, tag) of what is kept, or None if that is nothing or foreign."""
        if data is None:
            return None
        name, number, form = self.engine.place(key)
        try:
            value, due, _, _ = self.engine.codec.decode(data, form)
            tag = tag_of(data)
        except Foreign as why:
            yield from self.refuse(name, number, data, why)
            return None
        return value, None if due == inf else due, tag

    def has(self, key: Any) -> Steps:
        """Whether the key has an entry."""
        name, number, _ = self.engine.place(key)
        found = yield number, "ask", (b"EXISTS", name)
        return bool(found)

    # Writing: what is remembered goes, whether it is known or not that it was done

    def _changed(self, number: int) -> None:
        self.engine.board.stamp(number)

    def set(self, key: Any, value: Any, expire: float | None, read: bool, tag: Any) -> Steps:
        """Store a value, whatever is there."""
        number, method, arguments = self.setting(key, value, expire, read, tag)
        try:
            yield number, method, arguments
        finally:
            self._changed(number)
        return True

    def setting(self, key: Any, value: Any, expire: float | None, read: bool, tag: Any) -> Call:
        """The call that stores a value."""
        return self._setting(key, value, read, *_tagged(tag), *self._lasting(expire))

    def settings(
        self, items: Mapping[Any, Any], expire: float | None, tag: Any, spread: float
    ) -> list[Call]:
        """Those that store several; see `ServerCache.set_many`."""
        tagged, lasting = _tagged(tag), self._lasting(expire)
        calls = []
        for key, value in items.items():
            if spread:
                lasting = self._lasting(shortened(expire, spread))
            calls.append(self._setting(key, value, False, *tagged, *lasting))
        return calls

    def _setting(
        self,
        key: Any,
        value: Any,
        read: bool,
        names: Sequence[bytes],
        tags: bytes,
        due: float,
        px: bytes,
    ) -> Call:
        engine = self.engine
        name, number, form = engine.place(key)
        data = engine.codec.encode(value, read, form, due, tags)
        if px is NOW:
            return number, "ask", (b"UNLINK", name)
        if names:
            keys = (name, *(engine.hints(number & 255, each) for each in names))
            return number, "rerun", (SET, keys, data, px, b"")
        if px is FOR_EVER:
            return number, "ask", (b"SET", name, data)
        return number, "ask", (b"SET", name, data, b"PX", px)

    def _lasting(self, expire: float | None) -> tuple[float, bytes]:
        """When what lives so many seconds ends, and what scripts are told for that."""
        if expire is None or expire > MOST_SECONDS:
            return inf, FOR_EVER
        return self.engine.due(expire), NOW if expire <= 0 else milliseconds(expire)

    def add(self, key: Any, value: Any, expire: float | None, read: bool, tag: Any) -> Steps:
        """Store a value unless the key has one; whether it was stored."""
        number, method, arguments = self.setting(key, value, expire, read, tag)
        if arguments[0] == b"UNLINK":  # it ends at once
            there = yield from self.has(key)
            return not there
        try:
            if method == "rerun":
                stored = yield number, "run", (*arguments[:-1], b"NX")
                return bool(stored)
            stored = yield number, "once", (*arguments, b"NX")
            return stored is not None
        finally:
            self._changed(number)

    def incr(self, key: Any, delta: Any, default: Any) -> Steps:
        """Add to a number; the new one."""
        engine = self.engine
        name, number, _ = engine.place(key)
        try:
            if _is_small(delta) and (default is None or _is_small(default)):
                first = b"" if default is None else b"%d" % default
                arguments = (INCR, (name,), b"%d" % delta, first, integer_head())
                found = yield number, "run", arguments
                if found is None:
                    raise KeyError(key)
                if found:
                    return int(found)
            for _ in range(MOST_TRIES):
                value, new, old = yield from self._sum(key, delta, default)
                if (yield number, "run", (REPLACE, (name,), old, new, KEEP)):
                    return value
        finally:
            self._changed(number)
        raise Fault("slow", engine.address.text, f"others change {key!r} all the time")

    def _sum(self, key: Any, delta: Any, default: Any) -> Steps:
        """The sum, and what is kept of it instead of what."""
        engine = self.engine
        name, number, form = engine.place(key)
        old = yield number, "ask", (b"GET", name)
        found = yield from self._decoded(key, old)
        if found is None:
            if default is None:
                raise KeyError(key)
            value = default + delta
            return value, engine.codec.encode(value, False, form, inf, b""), b""
        value = found[0] + delta
        head = HEAD.unpack_from(old)
        tags = old[HEAD.size : HEAD.size + head[4]]
        return value, engine.codec.encode(value, False, form, head[3], tags), old

    def update(self, key: Any, change: Change, tag: Any) -> Steps:
        """Change what is under a key, as one step; see `SingleKey.update`."""
        engine = self.engine
        name, number, form = engine.place(key)
        names = tag_names(tag)
        keys = (name, *(engine.hints(number & 255, each) for each in names))
        tags = tag_bytes(names)
        changed = False
        try:
            for _ in range(MOST_TRIES):
                old = yield number, "ask", (b"GET", name)
                found = yield from self._decoded(key, old)
                result, value, expire = change(ENOVAL if found is None else found[0])
                if value is UNKNOWN or (value is ENOVAL and found is None):
                    return result
                px, new = FOR_EVER, b""
                if value is not ENOVAL:
                    if type(value) is Pinned:  # which nothing can be here
                        (value,) = value
                    new = engine.codec.encode(value, False, form, engine.due(expire), tags)
                    if expire is not None and expire <= MOST_SECONDS:
                        px = milliseconds(expire)
                before = old if found is not None else b""
                changed = True
                if (yield number, "run", (REPLACE, keys, before, new, px)):
                    return result
        finally:
            if changed:
                self._changed(number)
        raise Fault("slow", engine.address.text, f"others change {key!r} all the time")

    def pop(self, key: Any, default: Any) -> Steps:
        """Remove an entry: (value, expire time, tag), or (default, None, None)."""
        name, number, _ = self.engine.place(key)
        try:
            data = yield number, "once", (b"GETDEL", name)
        finally:
            self._changed(number)
        found = yield from self._decoded(key, data)
        self.engine.near.counts[found is None] += 1
        return (default, None, None) if found is None else found

    def delete(self, key: Any) -> Steps:
        """Remove an entry; how many there were."""
        name, number, _ = self.engine.place(key)
        try:
            return (yield number, "ask", (b"UNLINK", name))
        finally:
            self._changed(number)


def _tagged(tag: Any) -> tuple[Sequence[bytes], bytes]:
    """Names of tags, and what the header has of them."""
    names = () if tag is None else tag_names(tag)
    return names, tag_bytes(names) if names else b""


def _is_small(number: Any) -> bool:
    """Whether Lua's numbers hold it, and what it is added to, exactly."""
    return type(number) is int and is_counted(number) and -MOST_ADDED <= number <= MOST_ADDED
