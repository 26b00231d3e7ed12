"""Errors have one home: what is counted, who is told, what strict mode raises."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from django_diskcache import DjangoCache
from django_diskcache.engine.errors import Fault

from .damage import zeroed
from .faces import KEYS, SHARDS, Watch, fill_in, logged, open_django, read_all
from .places import fill, tmpfs
from .processes import in_child

TOLD: list[Exception] = []


def note(error: Exception) -> None:
    """An error handler."""
    TOLD.append(error)


def fail(error: Exception) -> None:
    """An error handler that fails itself."""
    raise ZeroDivisionError


HANDLER = f"{__name__}.note"


def _damaged(directory: Path, **options: Any) -> DjangoCache:
    """A cache of which one database is zeros, opened before."""
    from random import Random

    cache = open_django(directory, near_cache_size=0, **options)
    fill_in(cache)
    cache.shutdown()
    zeroed(directory / "000" / "cache.sqlite3", Random(1))
    for suffix in ("-wal", "-shm"):
        (directory / "000" / f"cache.sqlite3{suffix}").unlink(missing_ok=True)
    return cache


def _told(directory: Path) -> tuple[list[str], dict[str, int], int]:
    cache = _damaged(directory, error_handler=HANDLER)
    watch = Watch()
    read_all(cache, watch)
    assert watch.raised == []
    kinds = [error.kind if isinstance(error, Fault) else "locked" for error in TOLD]
    return kinds, cache.faults(), watch.hits


def test_the_handler_is_told_and_faults_are_counted(tmp_path: Path) -> None:
    kinds, counts, hits = in_child(_told, tmp_path / "cache")
    assert set(kinds) == {"corrupt"}
    assert counts["corrupt"] == len(kinds)
    assert sum(counts.values()) == counts["corrupt"]
    assert 0 < hits < 2 * len(KEYS)


def _failing(directory: Path) -> list[str]:
    cache = _damaged(directory, error_handler=f"{__name__}.fail")
    watch = Watch()
    read_all(cache, watch)
    return watch.raised


def test_a_handler_that_fails_fails_nothing_else(tmp_path: Path) -> None:
    assert in_child(_failing, tmp_path / "cache") == []


def _strict(directory: Path) -> tuple[int, int]:
    cache = _damaged(directory, strict=True)
    raised = 0
    for key in KEYS:
        try:
            cache.get(key)
        except Fault:
            raised += 1
    return raised, sum(cache.get(key) is not None for key in KEYS)


def test_strict_raises(tmp_path: Path) -> None:
    raised, hits = in_child(_strict, tmp_path / "cache")
    assert raised > 0
    assert 0 < hits < len(KEYS)  # it heals all the same


def _full(directory: Path) -> dict[str, int]:
    cache = open_django(directory, size_limit=2**28, shards=2)
    fill(directory.parent)
    for number in range(50):
        assert not cache.set(f"more-{number}", "x" * 50_000)
    return cache.faults()


def test_a_full_disk_is_counted() -> None:
    with tmpfs(8 * 2**20) as disk:
        counts = in_child(_full, disk / "cache")
    assert counts["full"] >= 50
    assert sum(counts.values()) == counts["full"]


def _lost(directory: Path) -> dict[str, int]:
    cache = open_django(directory, near_cache_size=0)
    fill_in(cache)
    cache.shutdown()
    shutil.rmtree(directory)
    watch = Watch()
    read_all(cache, watch)
    assert watch.raised == []
    assert os.path.exists(directory)
    return cache.faults()


def test_a_lost_directory_is_made_again_by_a_call(tmp_path: Path) -> None:
    in_child(_lost, tmp_path / "cache")


@pytest.mark.parametrize("seed", range(3))
def test_the_log_has_a_line_and_not_a_thousand(tmp_path: Path, seed: int) -> None:
    lines = in_child(_logged, tmp_path / "cache")
    assert 1 <= len(lines) <= 2 * SHARDS, lines[:20]


def _logged(directory: Path) -> list[str]:
    lines = logged()
    cache = _damaged(directory)
    for path in directory.rglob("*.val"):
        os.truncate(path, 1)
    for _ in range(5):
        read_all(cache, Watch())
    return lines
