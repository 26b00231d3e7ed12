"""The SQL of tags: rows that have one are found by it, rows that have several by hints.

What the table `tags` says is a hint: that a row with this id had a tag with this mark. The
row's own column is the truth, and every statement that acts on a row asks it.
"""

from __future__ import annotations

from functools import lru_cache

from .schema import BYTES, KEY
from .tagging import HEAD

SELECT_TAG = "SELECT expire, tag FROM cache WHERE key = ? AND raw = ?"
# The commonest of sets with several tags: over a row that has the same. Its hints are there.
SET_AGAIN = """
    UPDATE cache SET expire = ?, store_time = ?, mode = ?, size = ?, updates = updates + 1,
        signature = ?, value = ?
    WHERE key = ? AND raw = ? AND tag = ? AND filename IS NULL
"""
GROUP = 100  # parts of an expression, beside one another

CLEAR_HINTS = "DELETE FROM tags"

SEVERAL = f"typeof(tag) = 'blob' AND substr(tag, 1, {len(HEAD)}) = x'{HEAD.hex()}'"


def joined(parts: list[str], operator: str) -> str:
    """All parts with AND or OR between: in groups, for SQLite takes no expression too deep."""
    while len(parts) > GROUP:
        groups = range(0, len(parts), GROUP)
        parts = [f"({operator.join(parts[start : start + GROUP])})" for start in groups]
    return operator.join(parts)


@lru_cache(128)
def has_tags(groups: tuple[int, ...], spared: tuple[int, ...] = ()) -> str:
    """A condition: a row has several tags, one of each group and none of those spared.

    Its parameters are what `tagging.needles` gives; a group is told by its number of them.
    """

    def one_of(count: int) -> str:
        return f"({joined(['instr(tag, ?)'] * count, ' OR ')})"

    wanted = [one_of(count) for count in groups]
    return joined([SEVERAL, *wanted, *(f"NOT {one_of(count)}" for count in spared)], " AND ")


ADD_HINT = "INSERT OR IGNORE INTO tags SELECT ?, id FROM cache WHERE key = ? AND raw = ?"
ADD_HINT_OF_ID = "INSERT OR IGNORE INTO tags VALUES (?, ?)"
HAS_HINT = "SELECT 1 FROM tags WHERE mark = ? AND id = ?"
REMOVE_HINT = "DELETE FROM tags WHERE mark = ? AND id = ?"
COUNT_HINTS = "SELECT COUNT(*) FROM (SELECT 1 FROM tags WHERE mark = ? LIMIT ?)"
HINTED = "SELECT id FROM tags WHERE mark = ? AND id > ? ORDER BY id LIMIT ?"
HINT_WINDOW = """
    SELECT tags.mark, tags.id, cache.tag FROM tags LEFT JOIN cache ON cache.id = tags.id
    WHERE (tags.mark, tags.id) > (?, ?) ORDER BY tags.mark, tags.id LIMIT ?
"""
# Of those in a range of ids, what points to rows that are not there any more.
FORGET_HINTS = """
    DELETE FROM tags WHERE mark = ? AND id > ? AND id <= ?
        AND NOT EXISTS (SELECT 1 FROM cache WHERE cache.id = tags.id)
"""
HINTED_RANGE = "id IN (SELECT id FROM tags WHERE mark = ? AND id > ? AND id <= ?)"
HINTED_ALL = "id IN (SELECT id FROM tags WHERE mark = ?)"
TAGGED_ROWS = f"SELECT id, tag FROM cache WHERE {SEVERAL} AND id > ? ORDER BY id LIMIT ?"
LIVE = "(expire IS NULL OR expire > ?)"
KEYS_TAGGED = f"""
    SELECT id, {KEY} FROM cache WHERE id > ? AND tag = ? AND {LIVE} ORDER BY id LIMIT ?
"""


@lru_cache(128)
def remove_hinted(has: str) -> str:
    """Remove the rows, of those hinted at in a range, for which a condition holds."""
    return f"DELETE FROM cache WHERE {HINTED_RANGE} AND {has} RETURNING id, filename, {BYTES}"


@lru_cache(128)
def keys_hinted(has: str) -> str:
    """The keys of the live ones."""
    return f"SELECT id, {KEY} FROM cache WHERE {HINTED_RANGE} AND {has} AND {LIVE}"


@lru_cache(128)
def count_hinted(has: str) -> str:
    """How many there are in all, counted up to a limit."""
    return f"""
        SELECT COUNT(*) FROM (
            SELECT 1 FROM tags CROSS JOIN cache ON cache.id = tags.id
            WHERE mark = ? AND {has} LIMIT ?
        )
    """


@lru_cache(128)
def remove_tagged(count: int) -> str:
    """Like REMOVE_TAGGED, of so many tags, without an index."""
    marks = ", ".join("?" * count)
    return f"""
        DELETE FROM cache WHERE id IN (
            SELECT id FROM cache WHERE id > ? AND +tag IN ({marks}) ORDER BY id LIMIT ?
        ) RETURNING id, filename, {BYTES}
    """
