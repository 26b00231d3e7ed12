"""The SQL of a shard: one table in insertion order, one unique index, named statements.

`id` is the place in insertion order; an overwrite keeps it. Small columns stand before the
value, so that reading them never walks an overflow chain. Nothing that changes at each set is
indexed and there are no triggers: a set dirties the row's page, and for a new key a page of
the key index. The three partial indexes hold only the rows that have what they index.

`updates` counts overwrites since the row was inserted: where entries are counted, RETURNING
it tells a new one from an overwritten one without a second statement. Elsewhere the number of
changed rows says all there is to know, and costs nothing.
"""

from __future__ import annotations

from functools import cache

from .disk import PINNED
from .integrity import MODE_BITS, SUM

VERSION = 2  # PRAGMA user_version of a shard; raise it when the layout changes
APPLICATION_ID = 0x64646331  # PRAGMA application_id, "ddc1": whose database this is

CREATE = (
    """
    CREATE TABLE IF NOT EXISTS settings (
        key TEXT PRIMARY KEY NOT NULL,
        value
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS cache (
        id INTEGER PRIMARY KEY,
        key NOT NULL,
        raw INTEGER NOT NULL,
        expire REAL,
        store_time REAL NOT NULL,
        tag,
        mode INTEGER NOT NULL,
        size INTEGER NOT NULL DEFAULT 0,
        updates INTEGER NOT NULL DEFAULT 0,
        filename TEXT,
        signature,
        value
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS cache_key ON cache (key, raw)",
    """
    CREATE INDEX IF NOT EXISTS cache_file ON cache (filename, size) WHERE filename IS NOT NULL
    """,
    # Where to look for entries that have several tags, see `hints` and `tagsql`.
    """
    CREATE TABLE IF NOT EXISTS tags (
        mark INTEGER NOT NULL,
        id INTEGER NOT NULL,
        PRIMARY KEY (mark, id)
    ) WITHOUT ROWID
    """,
)

TABLES = "SELECT name FROM sqlite_master"
WHOSE = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"

CREATE_TAG_INDEX = "CREATE INDEX IF NOT EXISTS cache_tag ON cache (tag) WHERE tag IS NOT NULL"
HAS_TAG_INDEX = "SELECT 1 FROM sqlite_master WHERE name = 'cache_tag'"
DROP_TAG_INDEX = "DROP INDEX IF EXISTS cache_tag"

# A shard's own, for signatures; it stands among the settings and is none.
IDENTITY = "identity"
LOAD_IDENTITY = f"SELECT value FROM settings WHERE key = '{IDENTITY}'"
LOAD_SETTINGS = f"SELECT key, value FROM settings WHERE key <> '{IDENTITY}'"
SAVE_SETTING = "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)"

# Bytes of an entry. Bounded: a row that others wrote may hold anything, and a sum may overflow.
BYTES = "MAX(0, MIN(CAST(size AS INTEGER), 1 << 40))"

# One entry, by key. The order of the columns is that of `store.Row`.
ROW = "id, expire, tag, mode, filename, value, size"
SELECT = f"SELECT {ROW} FROM cache WHERE key = ? AND raw = ?"


# What a read of the value alone needs, in few columns, because Python describes each of them at
# every look: when it expires; the mode, and FILED if the value is in a file; then that file's
# name, or the value. For keys that are not raw, and for raw ones.
FILED = 1 << 16
VALUE = f"expire, mode + (filename IS NOT NULL) * {FILED}, IFNULL(filename, value)"
SELECT_VALUE = tuple(
    f"SELECT {VALUE} FROM cache WHERE key = ? AND raw = {raw}" for raw in (0, 1)
)


def select_many(count: int) -> str:
    """The entries of `count` raw keys: the key, then the columns of SELECT_VALUE."""
    marks = ", ".join("?" * count)
    return f"SELECT key, {VALUE} FROM cache WHERE raw = 1 AND key IN ({marks})"


SELECT_EXPIRE = "SELECT expire FROM cache WHERE key = ? AND raw = ?"
SELECT_FILENAME = "SELECT filename FROM cache WHERE key = ? AND raw = ?"
HAS_FILE = "SELECT 1 FROM cache WHERE filename = ?"

_INSERT = """
    INSERT INTO cache
        (key, raw, expire, store_time, tag, mode, size, filename, signature, value)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key, raw) DO UPDATE SET
        expire = excluded.expire, store_time = excluded.store_time, tag = excluded.tag,
        mode = excluded.mode, size = excluded.size, updates = updates + 1,
        filename = excluded.filename, signature = excluded.signature, value = excluded.value
"""
# The common case in one statement: it leaves a row alone whose value is in a file, because
# that file's name must be read before it is overwritten. No row changed = REPLACE is due.
SET = f"{_INSERT} WHERE filename IS NULL"
REPLACE = _INSERT
ADD = f"{_INSERT} WHERE expire <= ? AND filename IS NULL"
TELLING_NEW = {sql: f"{sql} RETURNING updates = 0" for sql in (SET, REPLACE, ADD)}
ADDITIONS = frozenset({ADD, TELLING_NEW[ADD]})

# `value BETWEEN` keeps the sum inside 64 bits: SQLite would turn an overflow into a float. What
# is added to must have its own seal, and the sum gets a new one. `&`, `|` and `<<` bind alike
# in SQLite. Python 3.12 takes numbered parameters for named ones, so these are in order.
INCREMENT = f"""
    UPDATE cache SET value = value + ?, store_time = ?, updates = updates + 1,
        mode = ? | ({SUM.format("(value + ?)", "?")} << {MODE_BITS})
    WHERE key = ? AND raw = ? AND (expire IS NULL OR expire > ?)
        AND typeof(value) = 'integer' AND value BETWEEN ? AND ?
        AND mode = ? | ({SUM.format("value", "?")} << {MODE_BITS})
    RETURNING value
"""
TOUCH = """
    UPDATE cache SET expire = ?
    WHERE key = ? AND raw = ? AND (expire IS NULL OR expire > ?)
"""
PERSIST = "UPDATE cache SET expire = NULL WHERE key = ? AND raw = ? AND expire > ?"
RENEW = f"{TOUCH} AND expire IS ?"
MOVE_LAST = """
    UPDATE cache SET id = (SELECT MAX(id) + 1 FROM cache) WHERE key = ? AND raw = ?
    RETURNING id, tag
"""
MOVE_FIRST = """
    UPDATE cache SET id = (SELECT MIN(id) - 1 FROM cache) WHERE key = ? AND raw = ?
    RETURNING id, tag
"""
# The common case, like SET: a live row without a file.
DELETE_PLAIN = """
    DELETE FROM cache
    WHERE key = ? AND raw = ? AND filename IS NULL AND (expire IS NULL OR expire > ?)
"""
DELETE = f"DELETE FROM cache WHERE key = ? AND raw = ? RETURNING {ROW}"
DELETE_ID = "DELETE FROM cache WHERE id = ?"
# Of a foreign value, or a foreign key: only what was seen, and not what took its place.
DELETE_VALUE = """
    DELETE FROM cache
    WHERE key = ? AND raw = ? AND CAST(mode AS BLOB) IS CAST(? AS BLOB)
        AND CAST(filename AS BLOB) IS CAST(? AS BLOB) AND CAST(value AS BLOB) IS CAST(? AS BLOB)
    RETURNING filename
"""
DELETE_KEY = """
    DELETE FROM cache
    WHERE key = ? AND CAST(raw AS BLOB) IS CAST(? AS BLOB)
        AND CAST(signature AS BLOB) IS CAST(? AS BLOB)
    RETURNING filename
"""
# Of a key that is a text and not UTF-8, given by its bytes.
DELETE_BROKEN_KEY = "DELETE FROM cache WHERE key = CAST(? AS TEXT) RETURNING filename"

# A key, and what tells whether it may be unpickled.
KEY = "key, raw, signature"

# Order of insertion, a page at a time; `id` is the cursor.
FIRST_ID = "SELECT COALESCE(MIN(id), 0) FROM cache"
LAST_ID = "SELECT COALESCE(MAX(id), 0) FROM cache"
KEYS_AFTER = f"SELECT id, {KEY} FROM cache WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
# The same with all that an entry is.
WHOLE_AFTER = f"SELECT {ROW}, {KEY} FROM cache WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
# And of a queue without a prefix, in the order of its places.
QUEUED_AFTER = f"""
    SELECT {ROW}, {KEY} FROM cache WHERE raw = 1 AND key > ? AND key <= ? ORDER BY key LIMIT ?
"""
KEYS_BEFORE = f"""
    SELECT id, {KEY} FROM cache WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT ?
"""
ITEM_FIRST = f"SELECT {KEY} FROM cache ORDER BY id LIMIT 1"
ITEM_LAST = f"SELECT {KEY} FROM cache ORDER BY id DESC LIMIT 1"
COUNT = "SELECT COUNT(*) FROM cache"
# Of the first rows between two ids: how many there are, the last of them, how many expired.
COUNT_RUN = """
    SELECT COUNT(*), MAX(id), TOTAL(expire <= ?) FROM (
        SELECT id, expire FROM cache WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?
    )
"""

# Text keys between two bounds, see `matching`: live ones in their order; the same in order of
# insertion, where a tag is looked for; and all of them, from the index alone. The least key or
# id of the next page is the cursor.
_LIVE = "(expire IS NULL OR expire > ?)"
LIVE_BY_KEY = f"""
    SELECT key, store_time + 0.0 FROM cache
    WHERE key >= ? AND key < ? AND {_LIVE} AND {{}} ORDER BY key LIMIT ?
"""
LIVE_BY_ID = f"""
    SELECT id, key, store_time + 0.0 FROM cache
    WHERE id > ? AND +key >= ? AND +key < ? AND {_LIVE} AND {{}} ORDER BY id LIMIT ?
"""
FIND_BY_KEY = "SELECT key FROM cache WHERE key >= ? AND key < ? AND {} ORDER BY key LIMIT ?"


@cache
def delete_keys(count: int) -> str:
    """Remove `count` text keys; of each also whether it was live, by the last parameter."""
    marks = ", ".join("?" * count)
    return (
        f"DELETE FROM cache WHERE raw = 1 AND key IN ({marks}) "
        f"RETURNING id, filename, {BYTES}, {_LIVE}"
    )


# Order of keys, a page at a time; the last (key, raw) is the cursor.
SORTED_FIRST = f"SELECT {KEY} FROM cache ORDER BY key, raw LIMIT ?"
SORTED_AFTER = f"SELECT {KEY} FROM cache WHERE (key, raw) > (?, ?) ORDER BY key, raw LIMIT ?"
SORTED_LAST = f"SELECT {KEY} FROM cache ORDER BY key DESC, raw DESC LIMIT ?"
SORTED_BEFORE = f"""
    SELECT {KEY} FROM cache WHERE (key, raw) < (?, ?) ORDER BY key DESC, raw DESC LIMIT ?
"""

# The two ends of a queue: keys between two bounds.
QUEUE_FRONT = """
    SELECT key FROM cache WHERE raw = 1 AND key > ? AND key < ? ORDER BY key LIMIT 1
"""
QUEUE_BACK = """
    SELECT key FROM cache WHERE raw = 1 AND key > ? AND key < ? ORDER BY key DESC LIMIT 1
"""

# Removal in batches. Each returns (id, filename, size); the largest id is the next cursor.
REMOVE_EXPIRED = f"""
    DELETE FROM cache WHERE id IN (
        SELECT id FROM cache WHERE id > ? AND expire <= ? ORDER BY id LIMIT ?
    ) RETURNING id, filename, {BYTES}
"""
REMOVE_TAGGED = f"""
    DELETE FROM cache WHERE id IN (
        SELECT id FROM cache WHERE id > ? AND tag = ? ORDER BY id LIMIT ?
    ) RETURNING id, filename, {BYTES}
"""
# The sweep looks at a window of rows and takes the write lock only when one has expired.
SWEEP_WINDOW = """
    SELECT MAX(id), SUM(expire <= ?), COUNT(*) FROM (
        SELECT id, expire FROM cache WHERE id > ? ORDER BY id LIMIT ?
    )
"""
SWEEP = f"""
    DELETE FROM cache WHERE id > ? AND id <= ? AND expire <= ? RETURNING id, filename, {BYTES}
"""
FILENAMES = "SELECT filename FROM cache WHERE filename IS NOT NULL"
CLEAR = "DELETE FROM cache"

# What eviction looks at, in order of insertion; what is pinned is not to be seen.
# Two look-ups: SQLite scans the table for both ends in one aggregate.
ID_BOUNDS = "SELECT (SELECT MIN(id) FROM cache), (SELECT MAX(id) FROM cache)"
# But a mode that is none of ours pins nothing.
EVICTABLE = (
    f"NOT (mode & {PINNED} = {PINNED} AND mode BETWEEN 0 AND {(1 << MODE_BITS + 32) - 1})"
)
# Few columns, for each costs Python as much as SQLite. The last one is 0 for most; it has
# HAS_FILE_FLAG and EXPIRED_FLAG. A `Disk` of one's own may need the whole key for its hash.
HAS_FILE_FLAG, EXPIRED_FLAG = 1, 2
_WINDOW = f"""
    SELECT id, store_time + 0.0, {BYTES} + ?, key,
        (filename IS NOT NULL) * {HAS_FILE_FLAG} + IFNULL(expire + 0.0 <= ?, 0) * {EXPIRED_FLAG}
        {{}}
    FROM cache WHERE id > ? AND {EVICTABLE} ORDER BY id LIMIT ?
"""
WINDOW = _WINDOW.format("")
WINDOW_OF_KEYS = _WINDOW.format(", raw, signature")


@cache
def evict(count: int) -> str:
    """Remove rows by `count` ids, unless they were stored later than the last parameter."""
    return f"{_evict(count)} RETURNING id, filename, {BYTES}"


@cache
def evict_plain(count: int) -> str:
    """The same of rows that have no files: what they had need not be told."""
    return f"{_evict(count)} AND filename IS NULL"


def _evict(count: int) -> str:
    marks = ", ".join("?" * count)
    return f"DELETE FROM cache WHERE id IN ({marks}) AND {EVICTABLE} AND store_time + 0.0 <= ?"


# Removal in two steps: what a condition selects is found first, and removed if it still holds.
AMOUNT = f"SELECT COUNT(*), TOTAL({BYTES}) FROM cache WHERE {{}}"
FIND_SELECTED = "SELECT id FROM {} WHERE id > ? AND id <= ? AND {} ORDER BY id LIMIT ?"


def delete_selected(condition: str, count: int) -> str:
    """Of `count` ids, remove those whose rows fulfil a condition."""
    marks = ", ".join("?" * count)
    return (
        f"DELETE FROM cache WHERE id IN ({marks}) AND {condition} "
        f"RETURNING id, filename, {BYTES}"
    )


# Bytes.
PAGES = ("PRAGMA page_count", "PRAGMA freelist_count")
# What a file takes: whole blocks and its name, or nothing if its row says too much.
_TAKEN = f"TOTAL(CASE WHEN {BYTES} <= ? THEN ({BYTES} + ? - 1) / ? * ? + ? END)"
FILE_BYTES = f"SELECT {_TAKEN} FROM cache WHERE filename IS NOT NULL"
FILE_WINDOW = f"""
    SELECT COUNT(*), {_TAKEN}, MAX(filename) FROM (
        SELECT filename, size FROM cache WHERE filename IS NOT NULL AND filename > ?
        ORDER BY filename LIMIT ?
    )
"""

# Traffic over time, see `history`: what had been counted when a minute or an hour began.
CREATE_HISTORY = """
    CREATE TABLE IF NOT EXISTS history (
        step INTEGER NOT NULL,
        at INTEGER NOT NULL,
        hits INTEGER NOT NULL,
        misses INTEGER NOT NULL,
        evicted INTEGER NOT NULL,
        expired INTEGER NOT NULL,
        errors INTEGER NOT NULL,
        PRIMARY KEY (step, at)
    ) WITHOUT ROWID
"""
HAS_HISTORY_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'history'"
HAS_HISTORY = "SELECT 1 FROM history WHERE step = ? AND at = ?"
ADD_HISTORY = "INSERT OR IGNORE INTO history VALUES (?, ?, ?, ?, ?, ?, ?)"
FORGET_HISTORY = "DELETE FROM history WHERE step = ? AND at < ?"
HISTORY = """
    SELECT at, hits, misses, evicted, expired, errors FROM history
    WHERE step = ? AND at >= ? AND at <= ? ORDER BY at
"""

# Looks at entries, see `inspection`: all of an entry but its value, and the bytes of that.
# SQLite knows the length of a blob without reading it. Whoever wrote a row, these are of the
# types that they should be.
DETAILS = """
    id, key, raw + 0, expire + 0.0, store_time + 0.0, tag, CAST(mode AS INTEGER),
    CAST(updates AS INTEGER), CAST(filename AS TEXT),
    CASE WHEN filename IS NOT NULL THEN CAST(size AS INTEGER)
        WHEN typeof(value) = 'blob' THEN length(value)
        ELSE IFNULL(length(CAST(value AS BLOB)), 0) END
"""
DETAILS_OF = f"SELECT {DETAILS} FROM cache WHERE key = ? AND raw = ?"
DETAILS_BY_ID = f"SELECT {DETAILS} FROM cache WHERE id = ?"


@cache
def details_from_each(count: int) -> str:
    """Up to so many entries (the last parameter) from each of `count` ids on."""
    marks = ", ".join(["(?)"] * count)
    return f"""
        WITH runs (first) AS (VALUES {marks})
        SELECT {DETAILS} FROM runs JOIN cache ON id >= first AND id <= (
            SELECT MAX(id) FROM (SELECT id FROM cache WHERE id >= first ORDER BY id LIMIT ?)
        )
    """


DETAILS_FROM = f"SELECT {DETAILS} FROM cache WHERE id >= ? ORDER BY id LIMIT ?"
DETAILS_BY_KEY, DETAILS_BACK_BY_KEY = (
    f"""
    SELECT {DETAILS} FROM cache WHERE key >= ? AND key < ? AND raw = 1
    ORDER BY key {way} LIMIT ?
    """
    for way in ("ASC", "DESC")
)
FILES_FROM = """
    SELECT id, CAST(size AS INTEGER) FROM cache WHERE filename >= ? AND filename IS NOT NULL
    ORDER BY filename LIMIT ?
"""
TAGGED = "SELECT COUNT(*) FROM (SELECT 1 FROM cache WHERE tag = ? LIMIT ?)"
BEGINNING = """
    SELECT CASE WHEN typeof(value) IN ('blob', 'text') THEN substr(value, 1, ?) ELSE value END
    FROM cache WHERE id = ?
"""

# Check.
FILE_ROWS = "SELECT id, filename, size FROM cache WHERE filename IS NOT NULL"
INTEGRITY = "PRAGMA integrity_check"
