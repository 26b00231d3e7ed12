"""The shared segment is derived state: lost or damaged, it is made anew and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache
from django_diskcache.engine.segment import (
    HEADER,
    HITS,
    MAGIC,
    MIN_SLOTS,
    VERSION,
    Segment,
    slots_for,
)
from tests.engine.soundness import assert_sound


def damages() -> dict[str, Callable[[Path], object]]:
    def header(*fields: Any) -> Callable[[Path], object]:
        def write(path: Path) -> None:
            content = bytearray(path.read_bytes())
            content[: HEADER.size] = HEADER.pack(*fields)
            path.write_bytes(content)

        return write

    return {
        "missing": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "short": lambda path: os.truncate(path, path.stat().st_size - 1),
        "long": lambda path: os.truncate(path, path.stat().st_size + 1),
        "foreign": lambda path: path.write_bytes(b"#!/bin/sh\n" * 10_000),
        "another version": header(MAGIC, VERSION + 1, 4, MIN_SLOTS),
        "another number of shards": header(MAGIC, VERSION, 5, MIN_SLOTS),
        "no power of two": header(MAGIC, VERSION, 4, MIN_SLOTS + 1),
        "absurd": header(MAGIC, VERSION, 4, 2**31),
    }


@pytest.mark.parametrize("damage", damages())
@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_a_bad_segment_is_made_anew(face: Any, damage: str, tmp_path: Path) -> None:
    settings = {"statistics": 1, "max_entries": 1000}
    options: dict[str, Any] = {} if face is Cache else {"shards": 4}
    with face(tmp_path, **options, **settings) as cache:
        cache.set_many(dict.fromkeys(range(50), "x"))
        cache.get(1)
        good = (tmp_path / "segment").stat().st_size
    del cache
    damages()[damage](tmp_path / "segment")

    with face(tmp_path, **options) as cache:
        assert (tmp_path / "segment").stat().st_size == good
        assert cache.stats() == (0, 0)
        assert sorted(cache) == list(range(50))
        assert cache.engine.limits.entries() == 50
        cache.get(1)
        assert cache.stats() == (1, 0)
        assert_sound(cache)


def test_a_good_segment_is_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "segment")
    first = Segment(path, 2, MIN_SLOTS)
    assert first.created
    assert os.stat(path).st_mode & 0o777 == 0o600
    first.add(HITS, 1, 5)
    first.access[7] = 3

    second = Segment(path, 2, MIN_SLOTS * 2)

    assert not second.created
    assert second.slots == MIN_SLOTS
    assert second.total(HITS, 1) == 5
    assert second.total(HITS, 0) == 0
    assert second.access[7] == 3
    second.add(HITS, 1, 1)
    assert first.total(HITS, 1) == 6  # it is shared memory
    first.rebase(HITS, 1)
    assert second.total(HITS, 1) == 0
    first.rebase(HITS, 1, 40)
    assert second.total(HITS, 1) == 40
    first.forget_access()
    assert second.access[7] == 0


def test_a_segment_knows_when_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    segment = Segment(str(path), 1, MIN_SLOTS)
    assert not segment.lost()
    path.unlink()
    assert segment.lost()
    other = Segment(str(path), 1, MIN_SLOTS)
    assert segment.lost()
    assert not other.lost()


def test_blocks_are_reserved_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: object) -> None:
        raise OSError("not on this filesystem")

    monkeypatch.setattr(os, "posix_fallocate", refuses)
    segment = Segment(str(tmp_path / "segment"), 3, MIN_SLOTS)

    found = os.stat(segment.path)
    assert found.st_size == segment.bytes
    assert found.st_blocks * 512 >= found.st_size
    assert sorted(os.listdir(tmp_path)) == ["segment"]


def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "pwrite", refuses)
    with pytest.raises(OSError, match="disk full"):
        Segment(str(tmp_path / "segment"), 1, MIN_SLOTS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("shards", [1, 8, 999])
@pytest.mark.parametrize("limit", [0, 10**6, 2**30, 2**40, 2**62])
def test_slots_are_a_power_of_two(limit: int, shards: int) -> None:
    slots = slots_for(limit, shards, evicts=True)

    assert slots >= MIN_SLOTS
    assert slots & (slots - 1) == 0
    assert slots_for(limit, shards, evicts=False) == MIN_SLOTS
