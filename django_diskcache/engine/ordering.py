"""The entries of one shard in order: that of insertion, or that of the key index.

Whoever iterates holds no lock: keys are read a page at a time, and the last one read is where
the next page begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from . import hints, schema, tagging
from .connection import Wait
from .disk import INT64_MAX, INT64_MIN, Place
from .errors import Foreign
from .faults import FAULTS
from .store import Store
from .trust import Broken


def keys(store: Store, page: int, reverse: bool = False) -> Iterator[Any]:
    """Keys in order of insertion, or against it; entries may come and go meanwhile.

    What is stored anew meanwhile is not given again: a loop that writes comes to an end.
    """
    sql = schema.KEYS_BEFORE if reverse else schema.KEYS_AFTER
    last = INT64_MAX if reverse else INT64_MIN
    ((end,),) = store.database.run(schema.FIRST_ID if reverse else schema.LAST_ID)
    while rows := store.database.run(sql, (last, end, page)):
        yield from known_keys(store, (row[1:] for row in rows))
        last = rows[-1][0]


def sorted_keys(store: Store, page: int, reverse: bool = False) -> Iterator[Any]:
    """Keys in the order of the key index, or against it."""
    rows = store.database.run(schema.SORTED_LAST if reverse else schema.SORTED_FIRST, (page,))
    while rows:
        yield from known_keys(store, rows)
        # What is broken has no place in the order that could be given back to SQLite.
        last = next((row[:2] for row in reversed(rows) if Broken not in map(type, row)), None)
        if last is None:
            return
        sql = schema.SORTED_BEFORE if reverse else schema.SORTED_AFTER
        rows = store.database.run(sql, (*last, page))


def known_keys(store: Store, rows: Iterable[Sequence[Any]]) -> Iterator[Any]:
    """The keys in rows of `schema.KEY`, without those that nobody of ours has pickled."""
    for key, raw, signature in rows:
        try:
            known = store.trust.key(key, raw, signature)
        except Foreign as why:
            with suppress(*FAULTS):  # or else the next time
                store.refuse_key(key, raw, signature, 0, why)
        else:
            yield known


def item(
    store: Store, last: bool, wait: Wait
) -> tuple[Any, tuple[Any, float | None, Any]] | None:
    """(key, (value, expire time, tag)) of the first or last live entry, or None.

    Entries in the way that have expired, lost their file or are foreign are removed.

    :raises Timeout: when one could not be removed in time
    """
    sql = schema.ITEM_LAST if last else schema.ITEM_FIRST
    while rows := store.database.run(sql, (), wait):
        db_key, raw, signature = rows[0]
        try:
            key = store.trust.key(db_key, raw, signature)
        except Foreign as why:
            store.refuse_key(db_key, raw, signature, wait, why)
            continue
        place = (db_key, bool(raw), store.number_of(db_key, raw, signature))
        found = store.found(place, False, wait)
        if found is not None:
            return key, found
        store.remove_dead(place, wait)
    return None


def move(store: Store, place: Place, last: bool, wait: Wait) -> bool:
    """Move an entry to the end of the order of insertion, or to its beginning."""
    sql = schema.MOVE_LAST if last else schema.MOVE_FIRST
    with store.database.transact(wait):
        moved = store.database.run(sql, place[:2])
        for number, tag in moved:
            if tagging.several(tag):
                hints.note_id(store, number, tag)
    return bool(moved)


def after_prefix(head: str) -> str | bytes:
    """The least bound above every text that begins with `head`, in SQLite's order.

    Texts are compared by their UTF-8 bytes, which is the order of their code points; a blob
    comes after every text.
    """
    head = head.rstrip("\U0010ffff")
    if not head:
        return b""
    following = ord(head[-1]) + 1
    if following == 0xD800:  # surrogates are no characters
        following = 0xE000
    return head[:-1] + chr(following)
