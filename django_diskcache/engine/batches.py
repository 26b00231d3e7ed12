"""Many keys of one shard at once: one look, or one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import random
from typing import Any

from . import hints, schema, tagging
from .connection import Wait
from .disk import Place, Stored
from .errors import ENOVAL
from .store import Store

MOST_SELECTED = 512  # keys in one statement
EXACT_SELECTED = 32  # up to so many keys there is a statement for each number of them


def load(store: Store, places: Sequence[tuple[Any, Place]], wait: Wait) -> dict[Any, Any]:
    """`load` of several keys with one look; the live ones."""
    found: dict[Any, Any] = {}
    raw = [each for each in places if each[1][1]]
    for start in range(0, len(raw), MOST_SELECTED):
        found.update(_load_raw(store, raw[start : start + MOST_SELECTED], wait))
    if len(raw) < len(places):
        for key, place in places:
            if not place[1]:
                found[key] = store.load(key, place, wait)
    return {key: value for key, value in found.items() if value is not ENOVAL}


def _load_raw(store: Store, places: Sequence[tuple[Any, Place]], wait: Wait) -> dict[Any, Any]:
    segment = store.segment
    stamps = segment.stamps
    slots = [segment.slot(place[2]) for _, place in places]
    noted, now = [stamps[slot] for slot in slots], store.clock()  # before the read
    keys = [place[0] for _, place in places]
    if len(keys) > EXACT_SELECTED:  # a power of two, so that few statements are ever compiled
        keys += keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))
    rows = store.database.run(schema.select_many(len(keys)), keys, wait)
    by_key = {row[0]: row[1:] for row in rows}
    seen: list[Any] = []

    def remember(*item: Any) -> None:
        seen.append(item)

    found = {}
    for (key, place), slot, stamp in zip(places, slots, noted, strict=True):
        row = by_key.get(place[0])
        found[key] = store.loaded(key, place, slot, stamp, now, row, wait, remember)
    store.near.put_many(seen)
    return found


def store_all(
    store: Store,
    items: Iterable[tuple[Place, Any, Any]],
    expire: float | None,
    tag: Any,
    wait: Wait,
    spread: float = 0,
) -> bool:
    """Store (place, key, value) items in one transaction: True, or on an error none.

    :param spread: see `shortened`
    """
    places: list[Place] = []
    encoded: list[Stored] = []
    rows: list[list[Any]] = []
    due = store.due(expire)
    column = tagging.stored(tag)
    try:
        for place, key, value in items:
            stored = store.encode(value, False, key, place)
            encoded.append(stored)
            places.append(place)
            if spread:
                due = store.due(shortened(expire, spread))
            rows.append(store.row(place, stored, due, column))
        new = _upsert(store, rows, places, wait)
    except BaseException:
        for stored in encoded:
            store.give_up(stored)
        raise
    store.after_commit(lambda: store.note(places, encoded, new))
    return True


def shortened(expire: float | None, spread: float) -> float | None:
    """Seconds to live, of which up to a fraction of `spread` is taken off at random."""
    if spread and expire is not None and expire > 0:
        return expire * (1 - spread * random())
    return expire


def _upsert(store: Store, rows: list[list[Any]], places: list[Place], wait: Wait) -> int:
    """Store rows in one transaction; how many are new, where entries are counted."""
    with store.transact(wait) as transaction:
        transaction.changes.slots.update(store.segment.slot(place[2]) for place in places)
        if store.settings["max_entries"] is None:
            stored = store.database.run_many(schema.SET, rows)
            if stored == len(rows):  # else some had their value in a file
                if rows and tagging.several(rows[0][4]):  # all have the same
                    hints.note(store, rows)
                return 0
        pairs = zip(rows, places, strict=True)
        return sum(store.replace(row, place[2], wait) for row, place in pairs)


def delete(store: Store, places: Sequence[Place], wait: Wait) -> int:
    """Remove entries in one transaction; how many were live."""
    now = store.clock()
    with store.transact(wait) as transaction:
        transaction.changes.slots.update(store.segment.slot(place[2]) for place in places)
        values = [(*place[:2], now) for place in places]
        removed = store.database.run_many(schema.DELETE_PLAIN, values)
        store.count(-removed)
        if removed < len(places):  # the others are not there, have expired, or have a file
            removed += sum(store.remove(place, wait) is not None for place in places)
    return removed
