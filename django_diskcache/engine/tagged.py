"""What has certain tags: any of several, or all of them. To be removed, listed or counted.

Entries with one tag are found by it, in the order of insertion: by the index on tags where
there is one, else all rows are looked at. Entries with several are found by their hints,
whether there is an index or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from . import maintenance, ordering, schema, tagging, tagsql
from .connection import Rows, Wait
from .disk import INT64_MIN, Place
from .errors import Fault, Timeout
from .store import Store

TOGETHER = 100  # tags looked for in one pass over all rows
COUNTED = 10_000  # hints of a tag, to choose the rarest of several
PAGE = 1000  # rows read at a time

Batch: TypeAlias = Callable[[int, int], tuple[Rows, int | None]]


def tags_of(store: Store, place: Place, wait: Wait) -> tuple[Any, ...]:
    """The tags of a live entry, in the order in which they were given."""
    rows = store.database.run(tagsql.SELECT_TAG, place[:2], wait)
    try:
        ((due, tag),) = rows or ((None, None),)
        return tagging.all_of(tag) if due is None or due > store.clock() else ()
    except (TypeError, ValueError):  # it is none of ours, and goes
        store.found(place, False, wait)
        return ()


class Hinted(NamedTuple):
    """Entries with several tags: the mark by which they are found, and what then must hold."""

    mark: int
    has: str
    needles: tuple[bytes, ...]


def hinted(
    tag: Any, others: tuple[tuple[Any, ...], ...] = (), spared: tuple[Any, ...] = ()
) -> Hinted:
    """Entries that have several tags, and among them this one.

    :param others: of each of these tuples they have at least one tag as well
    :param spared: and none of these
    """
    groups = [needles_of(group) for group in ((tag,), *others)]
    without = [tagging.needles(each) for each in spared]
    has = tagsql.has_tags(tuple(map(len, groups)), tuple(map(len, without)))
    return Hinted(tagging.mark(tag), has, sum((*groups, *without), ()))


def needles_of(group: tuple[Any, ...]) -> tuple[bytes, ...]:
    """One of these is in each blob that has one of these tags, and in no other."""
    return tuple({needle: None for tag in group for needle in tagging.needles(tag)})


def _searches(
    store: Store, tags: tuple[Any, ...], every: bool
) -> tuple[list[Any], list[Hinted]]:
    """The tags by which entries with one are found, and how those with several are."""
    if every and len(tags) > 1:
        rarest = min(tags, key=lambda tag: hints_of(store, tag))
        return [], [hinted(rarest, tuple((tag,) for tag in tags if tag is not rarest))]
    return [tag for tag in tags if not tagging.several(tag)], [hinted(tag) for tag in tags]


def hints_of(store: Store, tag: Any) -> int:
    """How many hints of a tag there are, stale ones included; counted up to a bound."""
    values = (tagging.mark(tag), COUNTED)
    return int(store.database.run(tagsql.COUNT_HINTS, values)[0][0])


def remove(store: Store, tags: tuple[Any, ...], every: bool, wait: Wait) -> int:
    """Remove the entries that have one of these tags, or `every` one of them; how many.

    :param tags: as `tagging.distinct` gives them
    :raises Timeout: with the number removed so far
    """
    removed = 0
    try:
        for batch in _batches(store, tags, every):
            removed += maintenance.remove_by(store, batch, wait)
    except Timeout as error:
        raise Timeout(removed + error.removed) from error
    except Fault as fault:
        fault.removed += removed
        raise
    return removed


def _batches(store: Store, tags: tuple[Any, ...], every: bool) -> Iterator[Batch]:
    alone, among = _searches(store, tags, every)
    if len(alone) > 1 and not store.database.run(schema.HAS_TAG_INDEX):
        for start in range(0, len(alone), TOGETHER):
            chosen = alone[start : start + TOGETHER]
            yield _batch(store, tagsql.remove_tagged(len(chosen)), chosen)
    else:
        for tag in alone:
            yield _batch(store, schema.REMOVE_TAGGED, [tag])
    for search in among:
        yield _hinted_batch(store, search)


def _batch(store: Store, sql: str, tags: list[Any]) -> Batch:
    def batch(last: int, size: int) -> tuple[Rows, int | None]:
        rows = store.database.run(sql, (last, *tags, size))
        return rows, max(row[0] for row in rows) if rows else None

    return batch


def _hinted_batch(store: Store, search: Hinted) -> Batch:
    def batch(last: int, size: int) -> tuple[Rows, int | None]:
        found = store.database.run(tagsql.HINTED, (search.mark, last, size))
        if not found:
            return [], None
        bounds = (search.mark, last, found[-1][0])
        sql = tagsql.remove_hinted(search.has)
        rows = store.database.run(sql, (*bounds, *search.needles))
        store.database.run(tagsql.FORGET_HINTS, bounds)
        return rows, found[-1][0] if len(found) == size else None

    return batch


def keys(store: Store, tags: tuple[Any, ...], every: bool) -> Iterator[Any]:
    """The keys of live entries that have one of these tags, or `every` one of them.

    They come in the order of insertion.
    """
    alone, among = _searches(store, tags, every)
    now = store.clock()
    found: dict[int, Any] = {}
    for tag in alone:
        last: int | None = INT64_MIN
        while last is not None:
            rows = store.database.run(tagsql.KEYS_TAGGED, (last, tag, now, PAGE))
            found.update((row[0], row[1:]) for row in rows)
            last = rows[-1][0] if len(rows) == PAGE else None
    for search in among:
        last = INT64_MIN
        while last is not None:
            hints = store.database.run(tagsql.HINTED, (search.mark, last, PAGE))
            if hints:
                values = (search.mark, last, hints[-1][0], *search.needles, now)
                rows = store.database.run(tagsql.keys_hinted(search.has), values)
                found.update((row[0], row[1:]) for row in rows)
            last = hints[-1][0] if len(hints) == PAGE else None
    return ordering.known_keys(store, (found[number] for number in sorted(found)))
