"""Queues inside a cache: entries whose keys are numbers, taken from either end.

A queue without a prefix has integer keys that begin in the middle of 15 digits and grow both
ways; with a prefix they are texts, ``prefix-500000000000000``. Pushing adds a key beyond the
one at the end, and `add` lets only one of several at once have it; the others try the next.
Pulling deletes the row at the end, and the one whose delete finds it has it. So neither needs
a transaction, over any number of shards.
"""

from __future__ import annotations

from typing import Any

from . import schema
from .connection import Wait
from .engine import Engine
from .errors import ENOVAL, Unreadable
from .trust import Broken

ORIGIN = 500_000_000_000_000
FIRST = 0
LAST = 999_999_999_999_999


def bounds(prefix: str | None) -> tuple[Any, Any]:
    """The first key that an entry of a queue may have, and the last."""
    if prefix is None:
        return FIRST, LAST
    return f"{prefix}-{FIRST:015d}", f"{prefix}-{LAST:015d}"


def is_back(side: str) -> bool:
    """Whether the back of a queue is meant.

    :raises ValueError: for what is no side
    """
    if side not in ("front", "back"):
        raise ValueError(f"side={side!r}: expected 'front' or 'back'")
    return side == "back"


def following(key: Any, prefix: str | None, back: bool) -> Any:
    """The key beyond the one at an end of a queue, which is None for an empty queue."""
    if key is None:
        number = ORIGIN
    else:
        number = int(key if prefix is None else key[-15:]) + (1 if back else -1)
    return number if prefix is None else f"{prefix}-{number:015d}"


def _outermost(engine: Engine, prefix: str | None, back: bool, wait: Wait) -> Any:
    """The key of the entry at one end of the queue, or None."""
    sql = schema.QUEUE_BACK if back else schema.QUEUE_FRONT
    keys = []
    for store in engine.stores:
        while rows := store.database.run(sql, bounds(prefix), wait):
            key = rows[0][0]
            if type(key) is not Broken:
                keys.append(key)
                break
            store.refuse_key(key, 1, None, wait, Unreadable())
    if not keys:
        return None
    return max(keys) if back else min(keys)


def push(
    engine: Engine,
    value: Any,
    prefix: str | None,
    side: str,
    expire: float | None,
    read: bool,
    tag: Any,
    wait: Wait,
) -> Any:
    """Add an entry at one end; its key."""
    back = is_back(side)
    if read and hasattr(value, "read"):
        value = value.read()  # once: an attempt that loses the race would leave the file empty
    while True:
        found = _outermost(engine, prefix, back, wait)
        key = following(found, prefix, back)
        store, place = engine.queue_place(key)
        if store.add(place, key, value, expire, read, tag, wait):
            return key


def end(
    engine: Engine, prefix: str | None, side: str, wait: Wait, take: bool
) -> tuple[Any, tuple[Any, float | None, Any]] | None:
    """(key, (value, expire time, tag)) of the entry at one end, or None for an empty queue.

    Entries in the way that have expired or lost their file are removed. With `take`, so is
    the entry.
    """
    back = is_back(side)
    while (outermost := _outermost(engine, prefix, back, wait)) is not None:
        store, place = engine.queue_place(outermost)
        if take:
            found = engine.removing(store, store.pop, place, ENOVAL, wait)
        else:
            found = store.get(place, ENOVAL, False, wait)
            if found[0] is ENOVAL:
                store.remove_dead(place, wait)
        if found[0] is not ENOVAL:
            return outermost, found
    return None
