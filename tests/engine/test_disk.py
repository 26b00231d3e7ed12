"""How keys and values are stored, and what a class of one's own may change."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_diskcache.engine import (
    UNKNOWN,
    Cache,
    Disk,
    EmptyDirWarning,
    FanoutCache,
    JSONDisk,
)
from django_diskcache.engine.disk import pickle_key, portable_hash
from django_diskcache.testing.conformance import DiskConformance
from tests.engine.soundness import assert_sound

KEYS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs"])),
    st.binary(),
    st.tuples(st.integers(), st.text()),
)


@given(KEYS)
def test_put_and_get_are_inverse(key: Any) -> None:
    disk = Disk("unused")

    stored, raw = disk.put(key)
    found = disk.get(stored, raw)

    assert found == key or (key != key and found != found)
    assert type(stored) in (str, int, float, bytes)
    assert raw or type(stored) is bytes
    assert disk.put(found) == (stored, raw)


@given(st.integers(-(2**63), 2**63 - 1))
def test_equal_numbers_have_equal_hashes(number: int) -> None:
    disk = Disk("unused")

    assert 0 <= disk.hash(number) < 2**32
    if float(number) == number:
        assert disk.hash(float(number)) == disk.hash(number)


def test_hash_of_numbers_at_the_edges() -> None:
    assert portable_hash(0) == portable_hash(-0.0)
    for edge in (2.0**63, -(2.0**63), float("inf"), 1e300, 5e-324):
        assert 0 <= portable_hash(edge) < 2**32


def test_keys_are_pickled_without_memory_of_what_was_seen() -> None:
    part = "".join(["pa", "rt"])
    assert pickle_key((part, part), 5) == pickle_key(("".join(["p", "art"]), part), 5)


def test_a_large_stream_is_copied_in_pieces(tmp_path: Path) -> None:
    disk = Disk(str(tmp_path))
    content = os.urandom(9 * 2**20)

    size, mode, filename, stored = disk.store(io.BytesIO(content), True)

    assert size == len(content)
    with disk.fetch(mode, filename, stored, True) as file:
        assert file.read() == content


def test_unknown_modes_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="mode 9"):
        Disk(str(tmp_path)).fetch(9, "file", None, False)
    with pytest.raises(ValueError, match="has no file"):
        Disk(str(tmp_path)).fetch(2, None, None, False)


def test_filename_is_new_each_time(tmp_path: Path) -> None:
    disk = Disk(str(tmp_path))
    names = {disk.filename(UNKNOWN, UNKNOWN)[0] for _ in range(50)}

    assert len(names) == 50
    name, path = disk.filename()
    assert path == str(tmp_path / name)


@pytest.mark.parametrize("key", ["text", 1, 2.5, None, ["list"], {"a": [1]}, True, "\ud800"])
@pytest.mark.parametrize("value", ["text", 1, None, ["list", {"a": 1}], "x" * 2000, "\ud800"])
def test_json_disk(make_cache: Callable[..., Cache], key: Any, value: Any) -> None:
    cache = make_cache(disk=JSONDisk, disk_compress_level=6, disk_min_file_size=20)
    cache[key] = value

    assert cache[key] == value
    assert list(cache) == list(cache.iterkeys()) == [key]
    assert cache.pop(key) == value
    assert_sound(cache)


def test_json_disk_stores_json(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(disk=JSONDisk)
    cache["key"] = (1, "two")

    assert cache["key"] == [1, "two"]
    ((stored,),) = cache.engine.stores[0].database.run("SELECT value FROM cache")
    assert json.loads(zlib.decompress(stored)) == [1, "two"]
    with pytest.raises(TypeError, match="JSON serializable"):
        cache["key"] = object()
    assert cache["key"] == [1, "two"]
    cache["number"] = 1
    assert cache.incr("number") == 2
    cache.set("file", io.BytesIO(b"content"), read=True)
    with cache.read("file") as file:
        assert file.read() == b"content"


def test_the_arguments_of_a_disk_class(make_cache: Callable[..., Cache]) -> None:
    first = make_cache(disk=JSONDisk)
    level = make_cache(disk=JSONDisk, disk_compress_level=9)

    # The engine is shared, so it is in force for both.
    assert first.engine is level.engine
    assert first.disk.compress_level == 9  # type: ignore[attr-defined]
    other = make_cache(disk=JSONDisk, clock=lambda: 0.0)
    assert other.disk.compress_level == 9  # type: ignore[attr-defined]


class Reversed(Disk):
    """Keys and values the other way round, files by the hash of their key."""

    def put(self, key: Any) -> tuple[Any, bool]:
        return super().put(key[::-1] if isinstance(key, str) else key)

    def get(self, key: Any, raw: bool) -> Any:
        found = super().get(key, raw)
        return found[::-1] if isinstance(found, str) else found

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        return super().store(value if read else value[::-1], read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        found = super().fetch(mode, filename, value, read)
        return found if read else found[::-1]

    def filename(self, key: Any = UNKNOWN, value: Any = UNKNOWN) -> tuple[str, str]:
        name = hashlib.sha1(repr((key, value)).encode()).hexdigest()
        path = os.path.join("by-hash", f"{name}.val")
        return path, os.path.join(self._directory, path)

    def hash(self, key: Any) -> int:
        return 5 if key == "five" else super().hash(key)


class TestDisk(DiskConformance):
    disk = Disk
    keys = (
        *(*DiskConformance.keys, b"bytes", 2**70, (1, "a"), "\ud800"),
        *(float("inf"), True + 1, -0.5, frozenset([1])),
    )
    values = (*DiskConformance.values, b"bytes", b"x" * 100, (1, "two"), {1, 2}, "\ud800")


class TestJSONDisk(DiskConformance):
    disk = JSONDisk
    arguments: ClassVar[dict[str, Any]] = {"compress_level": 6}
    keys = (*DiskConformance.keys, "\ud800", False)
    values = (*DiskConformance.values, "\ud800", "x" * 2000)


class TestReversed(DiskConformance):
    disk = Reversed
    keys = ("abc", "five", "", 5)
    values = ("small", "large" * 10, "", ["list", 1])


@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_a_disk_of_ones_own(face: Any, tmp_path: Path) -> None:
    with face(str(tmp_path), disk=Reversed, disk_min_file_size=10, timeout=60) as cache:
        cache["abc"] = "small"
        cache["five"] = "large" * 10
        cache.set("tagged", ["list"], tag="tag")

        assert cache["abc"] == "small"
        assert cache["five"] == "large" * 10
        assert cache["tagged"] == ["list"]
        assert cache.get_many(["abc", "five", "missing"]) == {
            "abc": "small",
            "five": "large" * 10,
        }
        assert set(cache) == {"abc", "five", "tagged"}
        assert len(list(tmp_path.rglob("by-hash/*.val"))) == 2  # the list is pickled
        rows = [
            row
            for store in cache.engine.stores
            for row in store.database.run("SELECT key FROM cache")
        ]
        assert sorted(rows) == [("cba",), ("deggat",), ("evif",)]
        if face is FanoutCache:
            assert cache.engine.stores[5].database.run(
                "SELECT key FROM cache WHERE key = 'evif'"
            )
        assert_sound(cache)
        assert cache.pop("five") == "large" * 10
        assert cache.evict("tag") == 1
        # Only directories of the usual names are kept on purpose.
        assert {warning.category for warning in cache.check(fix=True)} == {EmptyDirWarning}
        assert_sound(cache)


def test_an_add_that_fails_copies_no_file(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache["key"] = 1
        source = io.BytesIO(b"x" * 100)
        assert not cache.add("key", source, read=True)
        assert source.tell() == 0
        assert cache.add("other", source, read=True)
        assert source.tell() == 100
        assert_sound(cache)


class Verbatim(Disk):
    """Values as whatever SQLite takes, and files of its own."""

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        if not isinstance(value, dict):
            return super().store(value, read, key=key)
        if "file" in value:
            name, path = self.filename(key, value)
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).write_bytes(value["file"])
            return len(value["file"]), 2, name, None
        return 0, 16, None, value["row"]

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        return value if mode == 16 else super().fetch(mode, filename, value, read)


@pytest.mark.parametrize(
    ("given", "found"),
    [(memoryview(b"ab"), b"ab"), (bytearray(b"ab"), b"ab"), (None, None), (True, 1), (2, 2)],
)
def test_a_disk_may_store_what_sqlite_takes(
    make_cache: Callable[..., Cache], given: Any, found: Any
) -> None:
    cache = make_cache(disk=Verbatim)
    assert cache.set("key", {"row": given})
    assert cache.get("key") == found
    assert_sound(cache)


@pytest.mark.parametrize("secret", [None, "secret"])
def test_nothing_is_kept_of_a_value_file_that_was_stored(
    make_cache: Callable[..., Cache], secret: str | None
) -> None:
    cache = make_cache(disk=Verbatim, disk_min_file_size=10, secret=secret)
    cache.set("pickle", ["x" * 100])
    assert vars(cache.disk.filed) == {}
    # Nor is it taken for the checksum of a file that the Disk writes itself.
    cache.set("own", {"file": b"content"})
    assert cache.get("own") == b"content"
    assert_sound(cache)
