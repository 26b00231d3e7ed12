from __future__ import annotations

import importlib.util

import pytest

from django_diskcache.engine import sqlite

Version = tuple[int, ...]


@pytest.mark.parametrize(
    "version",
    [(3, 35, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 49, 9), (3, 50, 6), (3, 51, 2)],
)
def test_versions_with_the_wal_reset_bug(version: Version) -> None:
    assert sqlite.has_wal_reset_bug(version)


@pytest.mark.parametrize(
    "version",
    [
        (3, 44, 6),
        (3, 44, 7),
        (3, 50, 7),
        (3, 51, 3),
        (3, 51, 4),
        (3, 52, 0),
        (3, 53, 4),
        (4, 0),
    ],
)
def test_versions_without_it(version: Version) -> None:
    assert not sqlite.has_wal_reset_bug(version)


def test_pysqlite3_is_used_where_it_is_installed() -> None:
    installed = importlib.util.find_spec("pysqlite3") is not None
    assert sqlite.origin() == ("pysqlite3" if installed else "Python")
    assert (sqlite.sqlite3.__name__ == "pysqlite3.dbapi2") == installed
