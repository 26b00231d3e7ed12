"""Keys by pattern, beginning and tag: which they are, to list them and to remove them.

Only keys that are texts are looked at. They are read a page at a time without a lock, and the
last key of a page is where the next begins. So others may write meanwhile: no key comes twice,
and none is left out that was there all the time.

A pattern's literal head is a range of the index on keys; ``GLOB`` decides about what is in the
range, but for keys with a NUL character, where it stops: about these Python does, and about all
where a pattern is none for ``GLOB``. A tag is
looked for in order of insertion, which the index on tags has as well; only where there is none
and the keys have a head is it looked for among those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import patterns, schema, tagging, tagsql
from .connection import Wait
from .disk import INT64_MIN, is_text
from .errors import Fault, Timeout
from .ordering import after_prefix
from .patterns import Pattern
from .selection import BATCH, Selection
from .store import Store
from .tagged import hinted, needles_of

PAGE = 1000  # keys found at a time
MOST = 100_000  # of them
LONGEST = 10_000  # characters of a GLOB; SQLite takes 50,000 bytes
Around = tuple[str, str]  # the texts before and after each key, which are none of it


class Wanted(NamedTuple):
    """Which keys.

    :param around: what stands before and after them in the store
    :param asked: all patterns that they match, with that
    :param tags: one of these they have, if any are given
    :param narrow: whether the keys that begin as they do are few, as far as one can tell
    """

    around: Around
    asked: tuple[Pattern, ...]
    tags: tuple[Any, ...] = ()
    narrow: bool = False

    @property
    def range(self) -> tuple[str, str | bytes]:
        """The least key that comes into question, and what is above all of them."""
        head = max((each.head for each in self.asked), key=len)
        return (head, after_prefix(head)) if is_text(head) else ("", "")  # no key is like that

    @property
    def _globs(self) -> list[str]:
        """What the range does not say."""
        head, _ = self.range
        return [
            each.glob for each in self.asked if not (each.open and head.startswith(each.head))
        ]

    @property
    def globs(self) -> list[str]:
        """What GLOB is to look at: what can be given to it."""
        return [
            each
            for each in self._globs
            if is_text(each) and "\0" not in each and len(each) <= LONGEST
        ]

    def condition(self, key: str) -> str:
        """The SQL of all that, but for the range and the tags.

        :param key: how the column is named
        """
        glob = f"({key} GLOB ? OR instr({key}, char(0)))"
        return " AND ".join(["raw = 1", *[glob] * len(self.globs)])

    @property
    def tagged(self) -> tuple[str, tuple[Any, ...]]:
        """The condition that a row has one of the tags, to go behind others; its parameters."""
        if not self.tags:
            return "", ()
        alone, needles = self.alone, needles_of(self.tags)
        marks = ", ".join("?" * len(alone))
        sql = f" AND (+tag IN ({marks}) OR {tagsql.has_tags((len(needles),))})"
        return sql, (*alone, *needles)

    @property
    def alone(self) -> list[Any]:
        """Those of the tags that may stand alone in a row."""
        return [tag for tag in self.tags if not tagging.several(tag)]

    def chosen(self, rows: Sequence[tuple[Any, ...]], place: int) -> list[tuple[Any, ...]]:
        """The rows whose keys, at this place in them, are wanted indeed."""
        doubtful = len(self.globs) < len(self._globs)
        return [
            row
            for row in rows
            if type(row[place]) is str  # else it is no UTF-8, and was removed by who met it
            and (
                not (doubtful or "\0" in row[place])
                or all(each.matches(row[place]) for each in self.asked)
            )
        ]

    def inner(self, key: str) -> str:
        """The key without what stands around it."""
        head, tail = self.around
        return key[len(head) : len(key) - len(tail)]


def wanted(pattern: str, prefix: str | None, tag: Any, around: Around) -> Wanted:
    """Which keys, by what a caller gave; of several tags they have any.

    :raises TypeError: for a pattern or prefix that is no text, and a tag of a wrong type
    """
    asked = [patterns.read(pattern)]
    if prefix is not None:
        asked.append(patterns.beginning(prefix))
    head, tail = around
    return Wanted(
        around,
        tuple(patterns.within(head, each, tail) for each in asked),
        tagging.distinct(tag),
        any(each.head for each in asked),
    )


def page_size(itersize: int | None) -> int:
    """How many keys to find at a time.

    :raises ValueError: when it is no number for that
    """
    if itersize is None:
        return PAGE
    if not isinstance(itersize, int) or isinstance(itersize, bool) or itersize < 1:
        raise ValueError(f"itersize={itersize!r}: expected a whole number of at least 1")
    return min(itersize, MOST)


# To list them


def keys(store: Store, wanted: Wanted, page: int) -> Iterator[str]:
    """The live ones, in their order."""
    return (wanted.inner(key) for key, _ in _live(store, wanted, page))


def dated(store: Store, wanted: Wanted, page: int) -> Iterator[tuple[float, str]]:
    """When each of the live ones was stored last, and the key."""
    return ((stored, wanted.inner(key)) for key, stored in _live(store, wanted, page))


def _live(store: Store, wanted: Wanted, page: int) -> Iterator[tuple[str, float]]:
    """Keys and when they were stored, in the order of the keys."""
    if not wanted.tags or (wanted.narrow and not store.settings["tag_index"]):
        return _by_key(store, wanted, page)
    # One that goes and comes again meanwhile has another place in that order.
    return iter(sorted(dict(_by_tag(store, wanted, page)).items()))


def _by_key(store: Store, wanted: Wanted, page: int) -> Iterator[tuple[Any, ...]]:
    has, tags = wanted.tagged
    sql = schema.LIVE_BY_KEY.format(wanted.condition("key") + has)
    first, end = wanted.range
    while rows := store.database.run(
        sql, (first, end, store.clock(), *wanted.globs, *tags, page)
    ):
        yield from wanted.chosen(rows, 0)
        last = _last_text(rows)
        if last is None:
            return
        first = f"{last}\0"  # the least text after it


def _by_tag(store: Store, wanted: Wanted, page: int) -> Iterator[tuple[Any, ...]]:
    searches: list[tuple[str, tuple[Any, ...]]] = [("tag = ?", (tag,)) for tag in wanted.alone]
    for tag in wanted.tags:
        found = hinted(tag)
        searches.append((f"{tagsql.HINTED_ALL} AND {found.has}", (found.mark, *found.needles)))
    for has, tags in searches:
        sql = schema.LIVE_BY_ID.format(f"{wanted.condition('+key')} AND {has}")
        last = INT64_MIN
        while rows := store.database.run(
            sql, (last, *wanted.range, store.clock(), *wanted.globs, *tags, page)
        ):
            yield from (row[1:] for row in wanted.chosen(rows, 1))
            last = rows[-1][0]


def _last_text(rows: Sequence[tuple[Any, ...]]) -> str | None:
    return next((row[0] for row in reversed(rows) if type(row[0]) is str), None)


# To remove them


def selected(wanted: Wanted) -> Selection:
    """The same for `selection.remove`, but for keys with NUL characters where GLOB decides."""
    has, tags = wanted.tagged
    sql = f"{wanted.condition('+key')}{has} AND +key >= ? AND +key < ?"
    if wanted.globs:
        sql += " AND NOT instr(+key, char(0))"
    return Selection(sql, sql, (*wanted.globs, *tags, *wanted.range))


def remove(store: Store, wanted: Wanted, page: int, wait: Wait) -> int:
    """Remove them, expired ones too, in batches; how many were live.

    :raises Timeout: when the write lock is not free in time, with the number removed so far
    """
    has, tags = wanted.tagged
    sql = schema.FIND_BY_KEY.format(wanted.condition("key") + has)
    first, end = wanted.range
    removed = 0
    try:
        while rows := store.database.run(sql, (first, end, *wanted.globs, *tags, page), wait):
            found = [key for (key,) in wanted.chosen(rows, 0)]
            for start in range(0, len(found), BATCH):
                removed += _remove(store, found[start : start + BATCH], wait)
            last = _last_text(rows)
            if last is None:
                break
            first = f"{last}\0"
    except Timeout as error:
        raise Timeout(removed) from error
    except Fault as fault:
        fault.removed = removed
        raise
    return removed


def _remove(store: Store, batch: list[str], wait: Wait) -> int:
    slots = [store.slot(key, 1, None) for key in batch]
    batch += batch[-1:] * (BATCH - len(batch))  # so that one statement is compiled
    with store.transact(wait) as transaction:
        transaction.changes.slots.update(slots)
        rows = store.database.run(schema.delete_keys(BATCH), (*batch, store.clock()))
        store.removed(rows, None)
    return sum(row[3] for row in rows)
