"""Many keys of one shard at once: one look, or one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from . import schema
from .connection import Wait
from .disk import Stored
from .errors import ENOVAL
from .store import Place, Store

MOST_SELECTED = 512  # keys in one statement


def load(store: Store, places: Sequence[tuple[Any, Place]], wait: Wait) -> dict[Any, Any]:
    """`load` of several keys with one look; the live ones."""
    found = {}
    segment = store.segment
    raw = [each for each in places if each[1][1]]
    for start in range(0, len(raw), MOST_SELECTED):
        part = raw[start : start + MOST_SELECTED]
        slots = [segment.slot(place[2]) for _, place in part]
        stamps = [segment.stamps[slot] for slot in slots]  # before the read
        keys = [place[0] for _, place in part]
        # A power of two of them, so that few statements are ever compiled.
        padding = keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))
        sql = schema.select_many(len(keys) + len(padding))
        rows = {row[0]: row[1:] for row in store.database.run(sql, keys + padding, wait)}
        for (key, place), slot, stamp in zip(part, slots, stamps, strict=True):
            found[key] = store.loaded(key, place, slot, stamp, rows.get(place[0]), wait)
    for key, place in places:
        if not place[1]:
            found[key] = store.load(key, place, wait)
    return {key: value for key, value in found.items() if value is not ENOVAL}


def store_all(
    store: Store,
    items: Iterable[tuple[Place, Any, Any]],
    expire: float | None,
    tag: Any,
    wait: Wait,
) -> None:
    """Store (place, key, value) items in one transaction: all or, on an error, none."""
    places: list[Place] = []
    encoded: list[Stored] = []
    due = store.due(expire)
    try:
        for place, key, value in items:
            encoded.append(store.encode(value, False, key))
            places.append(place)
        rows = [
            store.row(place, stored, due, tag)
            for place, stored in zip(places, encoded, strict=True)
        ]
        new = _upsert(store, rows, places, wait)
    except BaseException:
        for stored in encoded:
            store.drop(stored)
        raise
    store.after_commit(lambda: store.note(places, encoded, new))


def _upsert(store: Store, rows: list[list[Any]], places: list[Place], wait: Wait) -> int:
    """Store rows in one transaction; how many are new, where entries are counted."""
    with store.transact(wait) as transaction:
        transaction.slots.update(store.segment.slot(place[2]) for place in places)
        if store.settings["max_entries"] is None:
            stored = transaction.connection.executemany(schema.SET, rows).rowcount
            if stored == len(rows):  # else some had their value in a file
                return 0
        pairs = zip(rows, places, strict=True)
        return sum(store.replace(row, place[2], wait) for row, place in pairs)


def delete(store: Store, places: Iterable[Place], wait: Wait) -> int:
    """Remove entries in one transaction; how many were live."""
    with store.transact(wait):
        return sum(store.delete(place, wait) for place in places)
