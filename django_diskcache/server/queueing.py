"""The methods of a cache on a server that go by order: queues among its entries, and its ends.

A queue's entries are entries of the cache like any others, each in the bucket of its key. Their
places are in one sorted set, in the first bucket; in a cluster that may be another node, so no
script can change both. The order of steps keeps them together:

- Who adds stores the entry under the key beyond the last place, unless somebody else has just
  done so, and then enters the place. Until then the entry is in no queue; whoever finds the key
  taken enters the place for him, and tries the next. So what was acknowledged has its place.
- Who takes removes the entry, which one of several gets, and then the place. A place without
  an entry, which has expired, was evicted or taken, is removed and passed over.
- Who clears removes all places, and then the entries that are there.

Each entering of a place has a mark of its own, and only what was seen is removed: a place that
was entered anew meanwhile has another.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from secrets import token_bytes
from typing import Any

from ..engine.ends import Found, QueueEnds, ended
from ..engine.errors import ENOVAL, Fault
from ..engine.queues import following, is_back
from .awaiting import AwaitingCache
from .node import Node
from .remote import Remote
from .steps import Steps

PLACES = b"=places"
BUCKET = 0  # that the set is in
SIZE = 8  # bytes of a number, in a place; its mark is as long
AT_ONCE = b"16"  # places that are read at a time: mostly the first will do
MOST_TRIES = 1000  # of one addition, while others take the keys


def _head(prefix: str | None) -> bytes:
    """What the places of a queue begin with, and those of no other."""
    if prefix is None:
        return b"#"
    name = str(prefix).encode("utf-8", "surrogatepass")
    return struct.pack("!cI", b":", len(name)) + name


def _asking(engine: Remote, prefix: str | None, back: bool, most: bytes) -> tuple[bytes, ...]:
    """The command that asks for the places at one end of a queue."""
    head = _head(prefix)
    first, last = b"[" + head, b"[" + head + b"\xff" * 2 * SIZE
    which, name = (b"ZREVRANGEBYLEX" if back else b"ZRANGEBYLEX"), engine.heads[BUCKET] + PLACES
    ends = (last, first) if back else (first, last)
    return (which, name, *ends, b"LIMIT", b"0", most)


def _place(key: Any, prefix: str | None) -> bytes:
    number = int(key if prefix is None else key[-15:])
    return _head(prefix) + number.to_bytes(SIZE, "big") + token_bytes(SIZE)


def _key_at(place: bytes, prefix: str | None) -> Any:
    number = int.from_bytes(place[-2 * SIZE : -SIZE], "big")
    return number if prefix is None else f"{prefix}-{number:015d}"


class QueueingCache(QueueEnds, AwaitingCache):
    """Mixed into the face."""

    def _pushed(self, entry: tuple[Any, ...], retry: bool) -> Any:
        value, prefix, side, expire, read, tag = entry
        back = is_back(side)
        if read and hasattr(value, "read"):
            value = value.read()  # once: an attempt may lose the race
        return self._remotely(None, self._push(value, prefix, back, expire, read, tag))

    def _push(
        self,
        value: Any,
        prefix: str | None,
        back: bool,
        expire: float | None,
        read: bool,
        tag: Any,
    ) -> Steps:
        found = yield BUCKET, "ask", _asking(self._engine, prefix, back, b"1")
        last = _key_at(found[0], prefix) if found else None
        for _ in range(MOST_TRIES):
            key = last = following(last, prefix, back)
            stored = yield from self._operations.add(key, value, expire, read, tag)
            yield BUCKET, "ask", (b"ZADD", self._places, b"0", _place(key, prefix))
            if stored:
                return key
        raise Fault("slow", self._engine.directory, "others add to the queue all the time")

    def _at_end(self, prefix: str | None, side: str, take: bool, retry: bool) -> Found | None:
        steps = self._outermost(prefix, is_back(side), take)
        found: Found | None = self._remotely(None, steps)
        return found

    def _outermost(self, prefix: str | None, back: bool, take: bool) -> Steps:
        operations = self._operations
        command = _asking(self._engine, prefix, back, AT_ONCE)
        while places := (yield BUCKET, "ask", command):
            for place in places:
                key = _key_at(place, prefix)
                if take:
                    found = yield from operations.pop(key, ENOVAL)
                else:
                    found = yield from operations.get(key, ENOVAL, False)
                if found[0] is ENOVAL:
                    yield BUCKET, "ask", (b"ZREM", self._places, place)
                    continue
                if take:
                    with suppress(Fault):  # who has the value must get it; the next passes over
                        yield BUCKET, "ask", (b"ZREM", self._places, place)
                return key, found
        return None

    def peekitem(
        self,
        last: bool = True,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The last or first (key, value) in order of iteration, which says nothing of age here.

        The last costs a look at every name on the server.

        :return: the pair, in a tuple with expire time or tag if asked for
        :raises KeyError: when the cache is empty
        """
        for key in reversed(self) if last else self:
            found = self.get(key, ENOVAL, expire_time=True, tag=True)
            if found[0] is not ENOVAL:
                return ended((key, found), None, expire_time, tag)
        raise KeyError("the cache is empty")

    def __reversed__(self) -> Iterator[Any]:
        """Keys in the opposite order of iteration; it takes memory for all of them."""
        keys: list[Any] = list(self)
        yield from reversed(keys)

    def _begin_to_clear(self) -> set[Node]:
        """Places go before any entry: one that is entered from now on is to stay."""
        done = self._remotely(None, self._forget_places())
        return set(self._engine.link.table[BUCKET : BUCKET + 1]) if done is None else set()

    def _forget_places(self) -> Steps:
        return (yield BUCKET, "ask", (b"UNLINK", self._places))

    @property
    def _places(self) -> bytes:
        return self._engine.heads[BUCKET] + PLACES
