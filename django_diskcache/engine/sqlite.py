"""Which SQLite the engine runs on, and what is wrong with it.

`pysqlite3`, where it is installed (the extra ``sqlite``), brings a SQLite of its own, mostly
newer than the one that Python is linked with. Everything in the engine takes `sqlite3` from
here, so that a process never mixes the two: each has its own idea of which locks it holds on a
file.

Versions that have the WAL-reset bug can corrupt a database: two connections that write or
checkpoint at the same moment may leave a log whose pages the next checkpoint overlooks
(https://sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import importlib
import sqlite3
from contextlib import suppress
from typing import TypeAlias

__all__ = ["OLDEST", "has_wal_reset_bug", "origin", "sqlite3"]

BUNDLED = "pysqlite3.dbapi2"

Version: TypeAlias = "tuple[int, ...]"

OLDEST: Version = (3, 35)  # RETURNING
# The first version with the repair, and the repaired ones of older series.
RESET_REPAIRED: Version = (3, 51, 3)
RESET_BACKPORTS: tuple[Version, ...] = ((3, 44, 6), (3, 50, 7))

with suppress(ImportError):
    globals()["sqlite3"] = importlib.import_module(BUNDLED)


def has_wal_reset_bug(version: Version = sqlite3.sqlite_version_info) -> bool:
    """Whether this version of SQLite has the WAL-reset bug; by default the one in use."""
    if version >= RESET_REPAIRED:
        return False
    return not any(
        version[:2] == repaired[:2] and version >= repaired for repaired in RESET_BACKPORTS
    )


def origin() -> str:
    """Where the SQLite in use comes from: 'pysqlite3' or 'Python'."""
    return "pysqlite3" if sqlite3.__name__ == BUNDLED else "Python"
