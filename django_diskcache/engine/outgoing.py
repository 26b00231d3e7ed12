"""Entries whole, with their values, times and tags, page by page: what a copy of a cache reads.

Nothing here counts as a read or removes anything, but for an entry whose file is gone. What may
not be loaded or cannot be is counted, and stays. A page is bounded in entries and bytes; only a
single value that is larger makes one larger page.

Who runs through a cache holds no lock: what is stored anew meanwhile may be missing, and what
is removed meanwhile may be there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import schema, tagging
from .disk import INT64_MIN
from .engine import Engine
from .errors import Foreign, Unavailable, Unreadable
from .queues import bounds
from .rows import Row
from .store import Store

PAGE = 500  # entries
PAGE_BYTES = 8 * 2**20  # of their values

# Why an entry does not come along.
EXPIRED = "expired"
LOCKS = "of locks"
FOREIGN = "not signed by this site"
UNREADABLE = "not readable"
UNKNOWN_CODEC = "compressed with what is not installed"

ID, KEY = 0, 7  # columns of what is read
LOCK = "lock:"  # what keys of locks and semaphores begin with


class Whole(NamedTuple):
    """An entry.

    :param due: when it ends, seconds since the epoch; None is never
    :param tag: None, one, or several in a tuple
    :param size: bytes of its value, as it lies there
    :param pinned: whether it is never evicted
    """

    key: Any
    value: Any
    due: float | None
    tag: Any
    size: int
    pinned: bool = False


@dataclass
class Page:
    """Some entries, and how many were met meanwhile that do not come along, by the reason.

    :param done: how much of the cache has been looked at then, from 0 to 1
    """

    entries: list[Whole] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    done: float = 0.0
    bytes: int = 0

    def add(self, entry: Whole) -> None:
        """Take an entry, unless it is who holds a lock: he gives it back where he took it."""
        if is_lock(entry.key, entry.value):
            self.left[LOCKS] += 1
            return
        self.entries.append(entry)
        self.bytes += entry.size

    def leave(self, why: Exception) -> None:
        """Count an entry that may not be loaded, or cannot be."""
        self.left[reason_of(why)] += 1

    @property
    def full(self) -> bool:
        """Whether there is to be another."""
        return len(self.entries) >= PAGE or self.bytes >= PAGE_BYTES


def reason_of(why: Exception) -> str:
    """Of a `Foreign` or an `Unavailable`: why the entry does not come along."""
    if isinstance(why, Unavailable):
        return UNKNOWN_CODEC
    return UNREADABLE if isinstance(why, Unreadable) else FOREIGN


def is_lock(key: Any, value: Any) -> bool:
    """Whether an entry is the state of a lock, see `leases`."""
    if not (isinstance(key, str) and key.startswith(LOCK)):
        return False
    pair = (list, tuple)
    if not (isinstance(value, pair) and len(value) == 2 and isinstance(value[1], pair)):
        return False
    return all(isinstance(holder, pair) and len(holder) == 2 for holder in value[1])


def pages(engine: Engine) -> Iterator[Page]:
    """All live entries, shard by shard in order of insertion.

    :raises Timeout: when a shard cannot be read in time
    :raises Fault: when it cannot be read
    """
    number = len(engine.stores)
    for store in engine.stores:
        ((first, end),) = store.database.run(schema.ID_BOUNDS)
        for page in _pages_of(store, first, end):
            page.done = (store.number + page.done) / number
            yield page


def items(engine: Engine) -> Iterator[Page]:
    """All live items of an index in their order.

    What others move to an end meanwhile comes last, and once more if it had come before.

    :raises Timeout: when it cannot be read in time
    :raises Fault: when it cannot be read
    """
    (store,) = engine.stores
    ((first, end),) = store.database.run(schema.ID_BOUNDS)
    yield from _pages_of(store, first, end)
    ((before, after),) = store.database.run(schema.ID_BOUNDS)
    if None not in (first, before):
        for start, stop in ((end, after), (before - 1, first - 1)):
            if start < stop:
                yield from _between(store, schema.WHOLE_AFTER, ID, start, stop)


def queued(engine: Engine) -> Iterator[Page]:
    """All live values of a deque, from its front to what was its back at the beginning.

    What others take and add at its ends meanwhile may be among them; what stays comes once.

    :raises Timeout: when it cannot be read in time
    :raises Fault: when it cannot be read
    """
    (store,) = engine.stores
    ends = [
        store.database.run(sql, bounds(None)) for sql in (schema.QUEUE_FRONT, schema.QUEUE_BACK)
    ]
    if all(ends):
        ((front,),), ((back,),) = ends
        yield from _between(store, schema.QUEUED_AFTER, KEY, front - 1, back)


def _pages_of(store: Store, first: int | None, end: int) -> Iterator[Page]:
    if first is None:
        yield Page(done=1.0)
    else:
        yield from _between(store, schema.WHOLE_AFTER, ID, max(first - 1, INT64_MIN), end)


def _between(store: Store, sql: str, column: int, first: int, end: int) -> Iterator[Page]:
    """The entries that a statement gives whose number in a column is between two.

    :param first: less than all of them; the last is the `end`
    """
    last = first
    page = Page()
    while rows := store.database.run(sql, (last, end, PAGE)):
        for row in rows:
            last = row[column]
            _take(store, row, page)
            if page.full:
                page.done = (last - first) / (end - first)
                yield page
                page = Page()
    page.done = 1.0
    yield page


def _take(store: Store, columns: Sequence[Any], page: Page) -> None:
    row = Row._make(columns[:7])
    try:
        if not row.is_sound():
            raise Unreadable
        if row.expire is not None and row.expire <= store.clock():
            page.left[EXPIRED] += 1
            return
        if row.is_pinned() and row.expire is None:  # of a recipe; limits end some time
            page.left[LOCKS] += 1
            return
        db_key, raw, signature = columns[7:]
        key = store.trust.key(db_key, raw, signature)
        place = (db_key, bool(raw), store.number_of(db_key, raw, signature))
        try:
            value = store.decode(place, row, False)
            due, tag = row.expire, tagging.given(row.tag)
        except FileNotFoundError:  # it was overwritten since, or is gone
            found = store.found(place, False, None)
            if found is None:
                return
            value, due, tag = found
    except (Foreign, Unavailable) as why:
        page.leave(why)
        return
    size = 0
    with suppress(TypeError, ValueError):  # what others have written there
        size = int(row.size)
    page.add(Whole(key, value, due, tag, size, row.is_pinned()))
