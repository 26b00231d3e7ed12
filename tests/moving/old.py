"""Directories as python-diskcache 5.6 leaves them, made by SQL.

Where it is installed, tests have the real one make them.
"""

from __future__ import annotations

import json
import pickle
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

from django_diskcache.engine.sqlite import sqlite3

RAW, BINARY, TEXT, PICKLE = 1, 2, 3, 4
TABLE = """
    CREATE TABLE Cache (
        rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL, expire_time REAL,
        access_time REAL, access_count INTEGER DEFAULT 0, tag BLOB, size INTEGER DEFAULT 0,
        mode INTEGER DEFAULT 0, filename TEXT, value BLOB
    )
"""
INSERT = """
    INSERT INTO Cache (key, raw, store_time, expire_time, tag, size, mode, filename, value)
    VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?)
"""


class OldCache:
    """A directory with one database, that is filled."""

    def __init__(self, directory: Path, as_json: bool = False) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.json = as_json
        self.files = 0
        with closing(sqlite3.connect(directory / "cache.db")) as connection:
            connection.execute(TABLE)
            connection.execute("CREATE UNIQUE INDEX Cache_key_raw ON Cache(key, raw)")

    def run(self, sql: str, *parameters: Any) -> None:
        with closing(sqlite3.connect(self.directory / "cache.db")) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute(sql, parameters)

    def file(self, data: bytes) -> str:
        """The name of a new value file."""
        self.files += 1
        name = f"ab/cd/{self.files:028x}.val"
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def put(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        tag: Any = None,
        large: int = 999,
    ) -> None:
        """Store an entry, in a file if it takes at least `large` bytes."""
        raw = self.json or type(key) in (str, bytes, int, float)
        stored = key
        if self.json:
            stored, value = pack(key), pack(value)
        elif not raw:
            stored = pickle.dumps(key)
        mode, data = (
            (RAW, value) if type(value) in (str, bytes, int, float, type(None)) else
            (PICKLE, value if type(value) is Pickled else Pickled(pickle.dumps(value)))
        )  # fmt: skip
        filename, size = None, 0
        if isinstance(data, (str, bytes)) and len(data) >= large:
            if mode == RAW:
                mode = TEXT if type(data) is str else BINARY
            written = data.encode() if type(data) is str else bytes(data)  # type: ignore[arg-type]
            filename, size, data = self.file(written), len(written), None
        if type(data) is Pickled:
            data = bytes(data)
        self.run(INSERT, stored, int(raw), expire, tag, size, mode, filename, data)


class Pickled(bytes):
    """A pickle that is put in as it is."""


def pack(value: Any) -> bytes:
    """As `JSONDisk` does."""
    return zlib.compress(json.dumps(value).encode(), 1)
