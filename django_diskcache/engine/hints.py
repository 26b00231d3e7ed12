"""Where the entries with several tags are: hints, which may be stale, and never miss one.

A row's own column says which tags it has. For rows with several there is a hint for each tag,
(mark of the tag, id of the row), written in the transaction that stores the row. Nothing that
changes or removes rows takes hints away: whoever follows one looks at the row. What points to a
row that is gone, or that has other tags by now, is stale; a step of the expiry sweep looks at a
few hints and removes such. So what has one tag or none has nothing to do with all this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import schema, tagging, tagsql
from .connection import Rows, Wait, changed_rows
from .disk import INT64_MIN
from .errors import Timeout
from .segment import HINTS
from .shard import Shard

LEAST = 16  # hints that a step of the sweep looks at
MOST = 1000  # in one go
PACE = 2  # and for each that was written since the last one: what is stale is half of all then
ID_BITS = 63 - tagging.MARK_BITS  # of a place among the hints, which is one integer
PAGE = 1000  # rows looked at in one go by `check`


def put(
    shard: Shard,
    put_row: Callable[[str, Sequence[Any], int, Wait, bool], bool | None],
    sql: str,
    row: Sequence[Any],
    number: int,
    wait: Wait,
) -> bool | None:
    """Store a row with several tags, and its hints; what `put_row` returns."""
    if sql is schema.SET and _put_again(shard, row, number, wait):
        return False
    with shard.transact(wait):
        new = put_row(sql, row, number, wait, True)
        if new is not None:
            note(shard, (row,))
    return new


def _put_again(shard: Shard, row: Sequence[Any], number: int, wait: Wait) -> bool:
    """Overwrite a row that has the same tags, and so its hints, if there is one.

    A look comes first: where there is none, that is less than a statement that changes nothing.
    """
    key, raw, due, now, tag, mode, size, _, signature, value = row
    rows = shard.database.run(tagsql.SELECT_TAG, (key, raw), wait)
    if not rows or rows[0][1] != tag:
        return False
    values = (due, now, mode, size, signature, value, key, raw, tag)
    return bool(shard._change(tagsql.SET_AGAIN, values, number, wait, changed_rows))


def note(shard: Shard, rows: Sequence[Sequence[Any]]) -> None:
    """Add the hints of rows, as `Store.row` makes them, that are stored in this transaction.

    All rows have the same tags.
    """
    marks = tagging.marks(rows[0][4])
    hints = [(mark, row[0], row[1]) for mark in marks for row in rows]
    shard.database.run_many(tagsql.ADD_HINT, hints)
    shard.hinted += len(hints)


def note_id(shard: Shard, number: int, column: bytes) -> None:
    """Add those of a row that has this id from now on."""
    hints = [(mark, number) for mark in tagging.marks(column)]
    shard.database.run_many(tagsql.ADD_HINT_OF_ID, hints)
    shard.hinted += len(hints)


def sweep(shard: Shard) -> int:
    """Look at the next few hints, and remove those that are stale; how many."""
    left, shard.hinted = LEAST + PACE * shard.hinted, 0
    removed = 0
    for count in range(left, 0, -MOST):
        removed += _sweep(shard, min(count, MOST))
    return removed


def _sweep(shard: Shard, count: int) -> int:
    cells, cell = shard.segment.cells, shard.segment.cell(HINTS, shard.number)
    start = cells[cell]
    window = _window(shard, start, count)
    cells[cell] = _place(window[-1]) if len(window) == count else 0
    if not any(map(_is_stale, window)):
        return 0
    try:
        with shard.database.transact(0):
            # Once more: a row may have got its tags back meanwhile.
            stale = [row[:2] for row in _window(shard, start, count) if _is_stale(row)]
            return int(shard.database.run_many(tagsql.REMOVE_HINT, stale))
    except Timeout:
        cells[cell] = start  # somebody is writing: the next call looks again
        return 0


def _window(shard: Shard, start: int, count: int) -> Rows:
    after = divmod(start, 1 << ID_BITS) if start > 0 else (-1, 0)
    return shard.database.run(tagsql.HINT_WINDOW, (*after, count))


def _place(row: Sequence[Any]) -> int:
    return int(row[0]) << ID_BITS | min(max(int(row[1]), 0), (1 << ID_BITS) - 1)


def _is_stale(row: Sequence[Any]) -> bool:
    mark, _, column = row
    try:
        return not (tagging.several(column) and mark in tagging.marks(column))
    except ValueError:  # a damaged row, which goes when it is read
        return True


def check(shard: Shard, fix: bool) -> Iterator[str]:
    """The rows with several tags that would not be found by them, mended if `fix`.

    The caller is in a transaction.
    """
    last = INT64_MIN
    while rows := shard.database.run(tagsql.TAGGED_ROWS, (last, PAGE)):
        for number, column in rows:
            last = number
            if not tagging.is_sound(column):
                continue
            missing = [
                mark
                for mark in tagging.marks(column)
                if not shard.database.run(tagsql.HAS_HINT, (mark, number))
            ]
            if missing:
                yield f"{shard.path}: entry {number} is not found by its tags"
                if fix:
                    note_id(shard, number, column)
