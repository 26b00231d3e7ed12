"""Removal of many entries by what they have in common, step by step, telling how far it is.

The entries are found without a lock. Then each batch of them is removed under one write lock of
a few milliseconds, if it still is what was looked for: whoever writes beside this waits no
longer than for another writer. A caller that stops in between has removed what it was told of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from . import schema, tagging, tagsql
from .connection import Rows, Wait
from .disk import INT64_MIN
from .engine import Engine
from .segment import EXPIRED
from .store import Store
from .tagged import hinted

BATCH = 128  # entries removed under one write lock
CULL_STEPS = 50  # in which a cache is culled, to tell how far it is
CULL_ROUNDS = 3  # of them, since to give pages back may make the index of a log longer


class Selection(NamedTuple):
    """Which entries: a condition of SQL, and its parameters.

    :param finds: the condition by which they are looked for, in order of insertion
    :param holds: the same, in a form that no index serves: for a few rows found before
    :param table: where they are looked for
    :param others: the parameters of `holds`, if they are others
    """

    finds: str
    holds: str
    parameters: tuple[Any, ...]
    table: str = "cache"
    others: tuple[Any, ...] | None = None

    @property
    def all_rows(self) -> tuple[str, tuple[Any, ...]]:
        """A condition of rows in the table of entries, and its parameters."""
        if self.others is None:
            return self.finds, self.parameters
        return f"{tagsql.HINTED_ALL} AND {self.holds}", (*self.parameters, *self.others)


def expired(now: float) -> Selection:
    """What has expired by `now`, in seconds since the epoch."""
    return Selection("expire <= ?", "expire <= ?", (now,))


def tagged(tag: Any) -> Selection:
    """The entries that have this tag and no other."""
    return Selection("tag = ?", "+tag = ?", (tag,))


def tagged_among(
    tag: Any, others: tuple[tuple[Any, ...], ...] = (), spared: tuple[Any, ...] = ()
) -> Selection:
    """The entries that have several tags, and among them this one.

    :param others: of each of these tuples they have at least one tag as well
    :param spared: and none of these
    """
    found = hinted(tag, others, spared)
    return Selection("mark = ?", found.has, (found.mark,), "tags", found.needles)


def tagged_at_all(tag: Any, spared: tuple[Any, ...] = ()) -> list[Selection]:
    """The entries with this tag, and none of those spared."""
    alone = [] if tagging.several(tag) else [tagged(tag)]
    return [*alone, tagged_among(tag, spared=spared)]


class Amount(NamedTuple):
    """Entries, and the bytes of their values."""

    entries: int
    bytes: int


class Step(NamedTuple):
    """What one batch removed, and how far the whole is, from 0 to 1."""

    entries: int
    bytes: int
    done: float


def amount(stores: Iterable[Store], selection: Selection) -> Amount:
    """How much there is to remove; nothing is changed."""
    condition, parameters = selection.all_rows
    sql = schema.AMOUNT.format(condition)
    rows = [store.database.run(sql, parameters)[0] for store in stores]
    return Amount(sum(row[0] for row in rows), int(sum(row[1] for row in rows)))


def remove(
    engine: Engine, selection: Selection, wait: Wait = None, reason: int | None = None
) -> Iterator[Step]:
    """Remove what is selected, and give the space back that is free then.

    :param reason: the kind of counter for it, if it is one that is counted
    :raises Timeout: when a write lock is not free in time
    :raises Fault: when a shard cannot be read or written
    """
    shards = len(engine.stores)
    removed = 0
    for store in engine.stores:
        for step in _remove(engine, store, selection, wait, reason):
            removed += step.entries
            yield step._replace(done=(store.number + step.done) / shards)
    if removed:
        engine.limits.give_back()


def remove_expired(engine: Engine, wait: Wait = None) -> Iterator[Step]:
    """Remove what has expired by now, and count it as such; otherwise like `remove`."""
    return remove(engine, expired(engine.clock()), wait, EXPIRED)


def _remove(
    engine: Engine, store: Store, selection: Selection, wait: Wait, reason: int | None
) -> Iterator[Step]:
    find = schema.FIND_SELECTED.format(selection.table, selection.finds)
    checked = selection.parameters if selection.others is None else selection.others
    delete = schema.delete_selected(selection.holds, BATCH)
    ((first, end),) = store.database.run(schema.ID_BOUNDS)
    last = INT64_MIN
    removed = 0
    try:
        while found := store.database.run(
            find, (last, end, *selection.parameters, BATCH), wait
        ):
            ids = [each for (each,) in found]
            last = ids[-1]
            ids += ids[-1:] * (BATCH - len(ids))  # so that one statement is compiled
            parameters = (*ids, *checked)
            rows = engine.removing(store, _batch, store, delete, parameters, wait, reason)
            removed += len(rows)
            done = (last - first + 1) / (end - first + 1)
            done = max(0.0, min(1.0, done))
            yield Step(len(rows), sum(size for _, _, size in rows), done)
        if removed:
            store.segment.stamp_shard(store.number)
    except BaseException:  # a signal handler's may have come after the commit
        store.segment.stamp_shard(store.number)
        raise


def _batch(
    store: Store, sql: str, parameters: tuple[Any, ...], wait: Wait, reason: int | None
) -> Rows:
    with store.database.transact(wait):
        rows = store.database.run(sql, parameters)
        store.removed(rows, reason)
    return rows


def cull(engine: Engine, target: int, wait: Wait = None) -> Iterator[Step]:
    """Remove the expired, then evict until the volume is `target` bytes or less.

    While somebody reads what was there before, the logs do not get shorter. Then it ends when
    as much has gone as was too much, and the volume follows when they have read it.

    :raises Timeout: when a write lock is not free in time
    :raises Fault: when a shard cannot be read or written
    """
    yield from (step._replace(done=0.0) for step in remove_expired(engine, wait))
    limits = engine.limits
    least = limits.volume()  # so far
    if least > target:
        limits.give_back(0)  # what is free already
        volume = limits.volume()
        yield Step(0, max(0, least - volume), 0.0)
        least = min(least, volume)
    begin = limits.in_use()
    # What may be stored, by which it ends where the logs stay as they are. They count for
    # nothing then: they go with whoever reads them.
    enough = limits.budget.used() - (begin - limits.logged() - target)
    step = max(1, (begin - target) // CULL_STEPS)
    removed = 1
    for _ in range(CULL_ROUNDS):
        in_use = limits.in_use()
        if not removed or in_use <= target or limits.freed(enough):
            return
        removed = 0
        while in_use > target and not limits.freed(enough):
            next_target = max(target, in_use - step)
            store = engine.stores[0]
            gone = engine.removing(store, limits.cull, wait, next_target)
            removed += gone
            before, in_use = in_use, limits.in_use()
            if not gone and in_use >= before:
                break  # the policy evicts nothing, or there is nothing left
            done = (begin - in_use) / max(1, begin - target)
            volume = limits.volume()
            yield Step(gone, max(0, least - volume), min(1.0, max(0.0, done)))
            least = min(least, volume)
        limits.give_back(0)
        volume = limits.volume()
        yield Step(0, max(0, least - volume), 1.0)
        least = min(least, volume)
