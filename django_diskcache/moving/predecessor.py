"""Directories of python-diskcache and of diskcache-community, read as they lie there.

Nothing of theirs is imported, and nothing in the directory is changed: a database is opened for
reading only. One that has no log is in nobody's use, and is opened as a file that does not
change, for SQLite would make a log beside it.

What is damaged is stepped over. Rows are read in their order, some at a time; where that fails,
one at a time; and where that fails as well, the next one that can be read is searched for, in
steps that grow, and back by halves.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any, NamedTuple
from urllib.parse import quote

from ..engine import files
from ..engine.compression import MOST
from ..engine.disk import GARBAGE
from ..engine.sqlite import sqlite3
from ..engine.trust import Broken, text
from .scanning import DEPTH

DATABASE = files.PREDECESSOR
SHARD = re.compile(r"[0-9]{3}")
VALUE_DIRECTORY = re.compile(r"[0-9a-f]{2}")
COLLECTIONS = ("cache", "deque", "index")
PAGE = 100  # rows at a time
PARTS = 2**16  # of a key; each is hashed whenever the key is
STREAMED = 2**16  # bytes from which on a file is handed over as one

# Modes of a value there.
RAW, BINARY, TEXT, PICKLE = 1, 2, 3, 4

COLUMNS = "rowid, key, raw, expire_time, tag, size, mode, filename, value"
ROWS = f"SELECT {COLUMNS} FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT ?"
ROW = f"SELECT {COLUMNS} FROM Cache WHERE rowid = ?"
KEYS = "SELECT rowid, key FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT ?"
TABLE = "SELECT sql FROM sqlite_master WHERE name = 'Cache' AND type = 'table'"
# Columns that are computed: of a few bytes they make many, or never end.
COMPUTED = "SELECT 1 FROM pragma_table_xinfo('Cache') WHERE hidden <> 0"
LAST = "SELECT MAX(rowid) FROM Cache"

Loads = Callable[[bytes], Any]


class Damaged(Exception):
    """What is there cannot be read."""


class Lost(Exception):
    """The file of a value is gone."""


class Row(NamedTuple):
    """An entry, as it lies in a database."""

    id: int
    key: Any
    raw: Any
    expire: Any
    tag: Any
    size: Any
    mode: Any
    filename: Any
    value: Any

    @property
    def bytes(self) -> int:
        """What its value takes."""
        if self.filename is not None:
            return self.size if type(self.size) is int else 0
        return len(self.value) if isinstance(self.value, (bytes, str)) else 8


class Place(NamedTuple):
    """A directory with a database: of which kind of collection and by which name, if any."""

    directory: str
    kind: str = ""
    name: str = ""


class Source:
    """One database with its value files.

    :param loads: what loads a pickle
    :raises Damaged: when it cannot be opened at all
    """

    def __init__(self, directory: str, loads: Loads) -> None:
        self.directory = directory
        self.loads = loads
        self.damaged = 0  # places at which rows could not be read
        path = os.path.join(directory, DATABASE)
        self._logs = [path + suffix for suffix in ("-wal", "-journal")]
        self._fixed = not any(map(os.path.exists, self._logs))
        uri = f"file:{quote(os.path.abspath(path))}?mode=ro"
        if self._fixed:
            uri += "&immutable=1"
        try:
            self._connection = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)
        except sqlite3.Error as error:
            raise Damaged(f"{path}: {error}") from error
        self._connection.text_factory = text
        try:
            found = self._run(TABLE)
            stored = not self._run(COMPUTED) and "virtual" not in str(found).lower()
        except sqlite3.Error as error:
            self.close()
            raise Damaged(f"{path}: {error}") from error
        if not found:
            self.close()
            raise Damaged(f"{path} has no table Cache")
        if not stored:
            self.close()
            raise Damaged(f"{path}: its table Cache computes what python-diskcache stores")
        self.last = 2**63 - 1  # the largest id
        with suppress(sqlite3.Error):
            self.last = self._run(LAST)[0][0] or 0
        self.json = self._is_json()

    def _run(self, sql: str, *parameters: Any) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def changed(self) -> bool:
        """Whether somebody began to write to what was opened as a file that does not change."""
        return self._fixed and any(map(os.path.exists, self._logs))

    def _is_json(self) -> bool:
        """Whether `JSONDisk` wrote it: its keys are bytes, and compressed JSON."""
        with suppress(sqlite3.Error):
            keys = [key for _, key in self._run(KEYS, -(2**63), PAGE)]
            for key in keys:
                if not isinstance(key, bytes):
                    return False
                try:
                    _unpacked(key)
                except GARBAGE:
                    return False
            return bool(keys)
        return False

    def rows(self, sql: str = ROWS) -> Iterator[Any]:
        """All rows in order of insertion, as far as they can be read.

        :param sql: takes the last id and how many, and gives rows that begin with their id
        """
        cursor, count = -(2**63), PAGE
        while cursor < self.last:
            rows = self._page(sql, cursor, count)
            if rows is None and count > 1:
                count = 1
                continue
            if rows is None:  # the next row, or the way to it, is damaged
                self.damaged += 1
                cursor = self._beyond(sql, max(cursor, 0))
                continue
            if not rows:
                return
            yield from rows
            cursor, count = rows[-1][0], min(PAGE, count * 2)

    def _page(self, sql: str, cursor: int, count: int) -> list[Any] | None:
        try:
            return self._run(sql, cursor, count)
        except (sqlite3.Error, MemoryError):
            return None

    def _beyond(self, sql: str, bad: int) -> int:
        """The first id behind `bad`, behind which there is something to be read again."""
        step = 1
        while self._page(sql, bad + step, 1) is None:
            bad, step = bad + step, step * 2
            if bad + step >= self.last:
                return self.last
        good = bad + step
        while good - bad > 1:
            middle = (good + bad) // 2
            if self._page(sql, middle, 1) is None:
                bad = middle
            else:
                good = middle
        return good

    def entries(self) -> Iterator[Row]:
        """The entries in order of insertion."""
        return map(Row._make, self.rows())

    def queue(self) -> Iterator[Row]:
        """The entries in the order of their keys, which are numbers."""
        keys = list(self.rows(KEYS))
        order = sorted((key, number) for number, key in keys if type(key) is int)
        self.damaged += len(keys) - len(order)
        for _, number in order:
            try:
                rows = self._run(ROW, number)
            except (sqlite3.Error, MemoryError):
                self.damaged += 1
                continue
            yield from map(Row._make, rows)

    def key(self, row: Row) -> Any:
        """The key of an entry.

        :raises Damaged: when it cannot be read; and what `loads` raises for a pickle
        """
        try:
            if type(row.key) is Broken or row.raw not in (0, 1):
                raise Damaged("a key")
            if self.json:
                return _hashable(_unpacked(row.key))
            return row.key if row.raw else _simple(self.loads(row.key))
        except (MemoryError, *GARBAGE) as error:
            raise Damaged("a key") from error

    def value(self, row: Row) -> tuple[Any, bool]:
        """The value of an entry, and whether it is an open file of bytes to be copied.

        :raises Lost: when its file is gone
        :raises Damaged: when it cannot be read; and what `loads` raises for a pickle
        """
        try:
            return self._value(row)
        except FileNotFoundError as error:
            raise Lost(str(row.filename)) from error
        except (OSError, AttributeError, MemoryError, *GARBAGE) as error:
            raise Damaged(f"a value: {error}") from error

    def _value(self, row: Row) -> tuple[Any, bool]:
        if row.mode == RAW:
            if type(row.value) is Broken:
                raise Damaged("a text")
            return (_unpacked(row.value) if self.json else row.value), False
        if row.mode == PICKLE and row.filename is None:
            return self.loads(row.value), False
        if row.mode not in (BINARY, TEXT, PICKLE):
            raise Damaged(f"mode {row.mode!r}")
        file: IO[bytes] = files.opened(self.directory, row.filename)
        if os.fstat(file.fileno()).st_size != row.size:
            file.close()
            raise Damaged(f"{row.filename} has another size")
        if row.mode == BINARY and not self.json and row.size >= STREAMED:
            return file, True
        with file:
            data = file.read()
        if row.mode == TEXT:
            return data.decode(), False
        if row.mode == PICKLE:
            return self.loads(data), False
        if self.json:
            with suppress(*GARBAGE):  # else it was stored as a file, and is no JSON
                return _unpacked(data), False
        return data, False


def _unpacked(data: bytes) -> Any:
    """JSON as `JSONDisk` packs it."""
    expander = zlib.decompressobj()
    unpacked = expander.decompress(data, MOST)
    if not expander.eof:
        raise ValueError("too long, or not all there")
    return json.loads(unpacked)


def _hashable(key: Any) -> Any:
    """A key as it was before JSON made a list of a tuple."""
    return tuple(map(_hashable, key)) if type(key) is list else key


def _simple(key: Any) -> Any:
    """The key, if it can be hashed in a moment.

    :raises Damaged: when it has too many parts, each as often as it occurs, or is too deep
    """
    path, left = [iter((key,))], PARTS
    while path:
        for each in path[-1]:
            left -= 1
            if left < 0 or len(path) > DEPTH:
                raise Damaged("a key")
            if isinstance(each, (tuple, frozenset)):
                path.append(iter(each))
                break
        else:
            path.pop()
    return key


def is_one(directory: str) -> bool:
    """Whether there is a database of theirs in it."""
    return os.path.isfile(os.path.join(directory, DATABASE))


def shards(directory: str) -> list[str]:
    """The directories of the shards of a `FanoutCache` of theirs."""
    with suppress(OSError):
        names = sorted(filter(SHARD.fullmatch, os.listdir(directory)))
        return [path for name in names if is_one(path := os.path.join(directory, name))]
    return []


def collections(directory: str) -> list[Place]:
    """The named collections of a `FanoutCache` of theirs."""
    found = []
    for kind in COLLECTIONS:
        top = os.path.join(directory, kind)
        for path, names, _ in os.walk(top):
            if is_one(path):
                name = os.path.relpath(path, top)
                if name != ".":
                    found.append(Place(path, kind, name.replace(os.sep, "/")))
                # Value files need no look, but one might be the first part of a name.
                names[:] = [n for n in names if not VALUE_DIRECTORY.fullmatch(n)]
            names.sort()
    return found
