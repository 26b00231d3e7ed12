"""What is done to a whole shard: removal in batches, the expiry sweep, check.

Removal takes the write lock for one batch at a time, so that a clean-up of a million entries
never keeps another writer waiting for more than milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from warnings import WarningMessage

from . import files, hints, schema, tagsql, tally
from .connection import Rows, Wait, changed_rows
from .disk import INT64_MIN
from .errors import EmptyDirWarning, Fault, Timeout, UnknownFileWarning
from .segment import COUNTED, ENTRIES, EXPIRED, FILES, SWEEP
from .store import Store

BATCH = 1000  # rows removed under one write lock
SMALL_BATCH = 16  # on a full disk
WINDOW = 128  # rows that the sweep looks at in one go
FRONT = 32  # and among the oldest, where expired ones gather when all live equally long
EMPTY = 2**15  # bytes of the database of an empty shard, about
IN_PROGRESS = 60.0  # seconds for which a value file may be waiting for its row


def remove(store: Store, sql: str, value: Any, wait: Wait) -> int:
    """Remove, in batches, the entries that `sql` selects by `value`; how many.

    :raises Timeout: with the number removed so far
    """

    def batch(last: int, size: int) -> tuple[Rows, int | None]:
        rows = store.database.run(sql, (last, value, size))
        return rows, max(row[0] for row in rows) if rows else None

    return remove_by(store, batch, wait, EXPIRED if sql is schema.REMOVE_EXPIRED else None)


def remove_by(
    store: Store,
    remove_batch: Callable[[int, int], tuple[Rows, int | None]],
    wait: Wait,
    reason: int | None = None,
) -> int:
    """Remove entries, a batch at a time; how many.

    :param remove_batch: is given a place, the first of which is INT64_MIN, and how many entries
        to remove; returns what it has removed beyond that place, as (id, filename, size), and
        the place to go on from, or None when there is nothing more
    :param reason: the kind of counter for it, if it is one that is counted
    :raises Timeout: with the number removed so far
    """
    removed = 0
    last = INT64_MIN
    size = BATCH
    transaction = store.database.current()
    if transaction is not None:
        transaction.changes.whole = True
    try:
        while True:
            try:
                with store.database.transact(wait):  # for the count, see Store.count
                    rows, following = remove_batch(last, size)
                    store.removed(rows, reason)
            except Fault as fault:
                if fault.kind != "full" or size == SMALL_BATCH or transaction is not None:
                    raise
                size = SMALL_BATCH  # the log of a smaller one may find room
                checkpoint(store)
                continue
            removed += len(rows)
            if following is None:
                break
            last = following
        if removed and transaction is None:
            store.segment.stamp_shard(store.number)
    except BaseException as error:  # a signal handler's may have come after a commit
        if transaction is None:
            store.segment.stamp_shard(store.number)
        if isinstance(error, Timeout):
            raise Timeout(removed) from error
        if isinstance(error, Fault):
            error.removed = removed
        raise
    return removed


def remove_everywhere(stores: Iterable[Store], sql: str, value: Any, wait: Wait) -> int:
    """`remove` on each of the shards; how many in all.

    :raises Timeout: with the number removed so far
    """
    removed = 0
    for store in stores:
        try:
            removed += remove(store, sql, value, wait)
        except Timeout as error:
            raise Timeout(removed + error.removed) from error
    return removed


def clear(store: Store, wait: Wait) -> int:
    """Remove every entry; how many there were.

    A DELETE without a condition frees whole pages and does not look at the rows in them.
    """
    with store.transact(wait) as transaction:
        transaction.changes.whole = True
        filenames = [name for (name,) in store.database.run(schema.FILENAMES)]
        removed = store.database.run(schema.CLEAR, (), wait, changed_rows)
        store.database.run(tagsql.CLEAR_HINTS)
        store.discard(filenames)
        store.count(-removed)
        store.segment.cells[store.segment.cell(COUNTED, store.number)] = 0
    return removed


def sweep(store: Store) -> int:
    """Remove what has expired among the next few entries; how many.

    Called after every so many writes, it passes over the whole shard again and again, at a
    pace tied to the writes: what has expired stays a fraction of what is stored. The oldest are
    looked at each time.
    """
    cells = store.segment.cells
    hand = store.segment.cell(SWEEP, store.number)
    start = cells[hand]
    last, removed = _sweep(store, start, WINDOW)
    cells[hand] = last
    if last == INT64_MIN:  # it begins from the front again
        store.tally.begin(store)
    store.tally.go_on(store)
    if INT64_MIN not in (start, last):
        removed += _sweep(store, INT64_MIN, FRONT)[1]
    hints.sweep(store)
    return removed


def _sweep(store: Store, start: int, count: int) -> tuple[int, int]:
    """Where to go on, and how many had expired: at the beginning, when it has come to the end.

    Not when nothing is left: where others write, something always is.
    """
    now = store.clock()
    ((last, expired, seen),) = store.database.run(schema.SWEEP_WINDOW, (now, start, count))
    following = last if seen == count else INT64_MIN
    if not expired:
        return following, 0
    try:
        with store.database.transact(0):
            rows = store.database.run(schema.SWEEP, (start, last, now))
            store.removed(rows, EXPIRED)
    except Timeout:
        return start, 0  # somebody is writing: the next call looks again
    return following, len(rows)


def vacuum(store: Store, pages: int) -> bool:
    """Give free pages back to the disk, where the database was made to; whether it worked.

    The file itself gets shorter with the next checkpoint.
    """
    if store.database.current() is not None:
        return False
    try:
        return bool(store.database.script(f"PRAGMA incremental_vacuum({pages})", 0))
    except Timeout:
        return False


def checkpoint(store: Store) -> None:
    """Move the log into the database and truncate it, unless somebody is using it."""
    if store.database.current() is None:
        with contextlib.suppress(Timeout):
            store.database.run("PRAGMA wal_checkpoint(TRUNCATE)", (), 0)


def recount(store: Store, wait: Wait = None) -> int:
    """How many entries the shard has, expired ones included; the segment goes on from there.

    With the write lock held: what another writer commits between the count and its note would
    be lost from the segment for good.

    :raises Timeout: when the write lock is not free in time
    """
    with store.database.transact(wait):
        ((count,),) = store.database.run(schema.COUNT)
        store.segment.rebase(ENTRIES, store.number, count)
    return int(count)


def recount_files(stores: Iterable[Store]) -> None:
    """Let the segment say what the value files of rows take."""
    for store in stores:
        store.segment.rebase(FILES, store.number, tally.file_bytes(store))


def check_all(stores: Iterable[Store], fix: bool, wait: Wait) -> list[WarningMessage]:
    """What is wrong with the shards, which are mended if `fix`.

    The findings have the form of warnings, as their predecessor's had, but never go through
    `warnings`: its filters are the whole process's, and so would be what was caught there.
    """
    return [finding for store in stores for finding in check(store, fix, wait)]


def check(store: Store, fix: bool, wait: Wait) -> list[WarningMessage]:
    """What is wrong with the shard, which is mended if `fix`.

    Value files younger than a minute are left alone: a set in progress writes the file
    before the row.
    """
    with store.transact(wait):
        integrity = store.database.run(schema.INTEGRITY)
        found = [_finding(f"{store.path}: {text}") for (text,) in integrity if text != "ok"]
        found += map(_finding, hints.check(store, fix))
        rows = store.database.run(schema.FILE_ROWS)
        found += _check_rows(store, rows, fix)
        names = {os.path.normpath(str(filename)) for _, filename, _ in rows}
        found += _check_files(store, names, fix)
    if fix:
        store.database.script("PRAGMA incremental_vacuum", wait)
        recount_files((store,))
    return found


def _finding(text: str, category: type[UserWarning] = UserWarning) -> WarningMessage:
    return WarningMessage(category(text), category, __file__, 0)


def _check_rows(
    store: Store, rows: Sequence[tuple[Any, ...]], fix: bool
) -> Iterator[WarningMessage]:
    for each, filename, size in rows:
        path = os.path.join(store.directory, str(filename))
        try:
            actual = files.size(store.directory, filename)
        except OSError:
            yield _finding(f"file not found: {path}")
        else:
            if actual == size:
                continue
            yield _finding(f"wrong file size: {path} has {actual}, not {size}")
        if fix:  # what is in it, if anything, is not what was stored
            store.database.run(schema.DELETE_ID, (each,))
            store.count(-1)
            store.discard([filename])


def _check_files(store: Store, known: set[str], fix: bool) -> Iterator[WarningMessage]:
    predecessor = os.path.exists(os.path.join(store.directory, files.PREDECESSOR))
    for top, names in reversed(_own_directories(store.directory)):
        for name in names:
            path = os.path.join(top, name)
            relative = os.path.relpath(path, store.directory)
            if predecessor and files.PREDECESSORS.fullmatch(relative):
                continue  # it may hold what is still to be taken over
            if relative in known or relative in files.OWN or _in_progress(relative, path):
                continue
            yield _finding(f"unknown file: {path}", UnknownFileWarning)
            if fix:
                os.remove(path)
        kept = files.DIRECTORY.fullmatch(os.path.relpath(top, store.directory))
        if top != store.directory and not kept and not os.listdir(top):
            yield _finding(f"empty directory: {top}", EmptyDirWarning)
            if fix:
                os.rmdir(top)


def _own_directories(directory: str) -> list[tuple[str, list[str]]]:
    """Directories and the names of their files, without those of other caches within."""
    found = []
    for top, directories, names in os.walk(directory):
        if top == directory and files.QUARANTINE in directories:
            directories.remove(files.QUARANTINE)
        if top != directory and files.DATABASE in names:
            directories.clear()
        else:
            found.append((top, names))
    return found


def _in_progress(relative: str, path: str) -> bool:
    if not files.NAME.fullmatch(relative):
        return False
    try:
        return time.time() - os.stat(path).st_mtime < IN_PROGRESS
    except OSError:
        return True  # gone since it was listed
