"""Compression: when it happens, what of it is refused, and that nothing expands unbounded."""

from __future__ import annotations

import pickle
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.engine import Cache, Disk, Index, JSONDisk, compression, inspection
from django_diskcache.engine.compression import (
    BY_NUMBER,
    CODECS,
    SHIFT,
    Compressor,
    Missing,
    codec_of,
    expanded,
    loaded,
)
from django_diskcache.engine.disk import MODE_PICKLE, MODE_SIGNED, MODE_TEXT
from django_diskcache.engine.errors import Fault
from django_diskcache.engine.integrity import MODE_BITS, MODES, seal_of

MakeCache = Callable[..., Cache]
PAGE = "<li>an entry of a page</li>\n" * 100
ZLIB = CODECS["zlib"].number << SHIFT


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> compression.Codec:
    try:
        loaded(CODECS[request.param])
    except Missing as why:
        pytest.skip(str(why))
    return CODECS[request.param]


def row(cache: Cache) -> tuple[int, Any]:
    """The mode, and what is stored, of the only entry."""
    ((mode, value),) = cache.engine.stores[0].database.run("SELECT mode, value FROM cache")
    return mode & MODES, value


def plant(cache: Cache, mode: int, value: bytes) -> None:
    """Put a value in place of that of the only entry, with a seal that is right."""
    (store,) = cache.engine.stores
    _, place = cache.engine.place("key")
    sealed = mode | (seal_of(value, place[2]) << MODE_BITS if mode & 7 != MODE_SIGNED else 0)
    store.database.run("UPDATE cache SET mode = ?, value = ?", (sealed, value))
    cache.engine.near.clear()


def test_numbers_and_levels_are_for_ever() -> None:
    assert {name: codec.number for name, codec in CODECS.items()} == {
        "zlib": 1,
        "lzma": 2,
        "zstd": 3,
        "lz4": 4,
    }
    assert all(codec.level in codec.levels for codec in BY_NUMBER.values())


def test_every_level_works(codec: compression.Codec) -> None:
    for level in (codec.levels[0], codec.levels[-1]):
        mode, packed = Compressor(codec, level, 0).pack(MODE_TEXT, PAGE.encode())
        assert codec_of(mode) == codec.name
        assert expanded(mode, packed).decode() == PAGE


def test_what_is_small_or_does_not_shrink_is_left(codec: compression.Codec) -> None:
    compressor = Compressor(codec, None, 200)
    noise = random.Random(1).randbytes(2000)
    for data in (b"x" * 199, noise, noise + b"x" * 100, b""):
        assert compressor.pack(MODE_TEXT, data) == (MODE_TEXT, data)
    assert compressor.pack(MODE_TEXT, b"x" * 200)[0] == MODE_TEXT | codec.number << SHIFT


def test_what_is_very_long_is_left(
    codec: compression.Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressor = Compressor(codec, None, 0)
    mode, packed = compressor.pack(MODE_TEXT, b"x" * 10_001)
    monkeypatch.setattr(compression, "MOST", 10_000)
    assert compressor.pack(MODE_TEXT, b"x" * 10_001)[0] == MODE_TEXT
    with pytest.raises(ValueError, match=codec.name):  # a few bytes that stand for many
        expanded(mode, packed)
    assert len(expanded(*compressor.pack(MODE_TEXT, b"x" * 10_000))) == 10_000


def test_what_is_damaged_is_refused(codec: compression.Codec) -> None:
    mode, packed = Compressor(codec, None, 0).pack(MODE_TEXT, PAGE.encode())
    for damaged in (b"", packed[:-1], b"garbage" * 9, packed + packed, None, "text"):
        with pytest.raises(ValueError, match=r"no |in no way"):
            expanded(mode, damaged)


@pytest.mark.parametrize("secret", [None, "secret"])
@pytest.mark.parametrize("size", [10, 2**16])
def test_damage_is_a_miss(secret: str | None, size: int, make_cache: MakeCache) -> None:
    cache = make_cache(compression="zlib", secret=secret, disk_min_file_size=size)
    for value in (PAGE, [PAGE]):
        cache["key"] = value
        (store,) = cache.engine.stores
        ((name,),) = store.database.run("SELECT filename FROM cache")
        if name is None:
            store.database.run("UPDATE cache SET value = value || x'00'")
        else:
            with open(f"{cache.directory}/{name}", "r+b") as file:
                file.write(b"X")
        cache.engine.near.clear()
        assert cache.get("key") is None
        assert len(cache) == 0


def test_a_bomb_is_a_miss(make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MOST", 2**16)
    cache = make_cache(compression="zlib")
    for mode in (MODE_TEXT, MODE_PICKLE):
        cache["key"] = PAGE
        plant(cache, mode | ZLIB, zlib.compress(bytes(2**20)))
        assert cache.get("key") is None
        assert len(cache) == 0


def test_what_was_signed_is_verified_before_it_is_expanded(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(compression="zlib", secret="secret")
    cache["key"] = [PAGE]
    mode, value = row(cache)
    assert mode == MODE_SIGNED | ZLIB
    foreign = zlib.compress(pickle.dumps([PAGE]))
    others = [(mode, value[:16] + foreign), (MODE_PICKLE | ZLIB, foreign)]
    # The same bytes under another codec, or none.
    others += [(MODE_SIGNED, value), (MODE_SIGNED | 2 << SHIFT, value)]
    for other in others:
        cache["key"] = [PAGE]
        plant(cache, *other)
        with monkeypatch.context() as patch:
            patch.setattr("django_diskcache.engine.trust.expanded", None)
            assert cache.get("key") is None
        assert len(cache) == 0


def test_modes_that_nobody_wrote(make_cache: MakeCache) -> None:
    cache = make_cache(compression="zlib")
    packed = zlib.compress(PAGE.encode())
    for mode in (MODE_TEXT | 7 << SHIFT, 1 | ZLIB, 20 | ZLIB, MODE_TEXT | ZLIB | 1 << 13):
        cache["key"] = PAGE
        plant(cache, mode, packed)
        assert cache.get("key") is None
        assert len(cache) == 0


def test_a_missing_package_costs_no_entry(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make_cache(compression="zlib")
    cache["key"] = PAGE

    def missing(codec: Any) -> Any:
        raise Missing("the package lz5, which is not installed")

    with monkeypatch.context() as patch:
        patch.setattr(compression, "loaded", missing)
        plant(cache, *row(cache))
        assert cache.get("key") is None
        assert cache.get_many(["key"]) == {}
        assert "lz5" in caplog.text
        with pytest.raises(Fault, match="lz5"):  # where nothing may be lost silently
            cache["key"]
    assert cache.get("key") == PAGE


def test_what_no_package_can_read_is_replaced_in_a_cache(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(compression="zlib", disk_min_file_size=1000)
    index = Index.fromcache(make_cache("other", compression="zlib"))
    for key in ("inline", "computed"):
        cache[key] = PAGE
    cache["file"] = random.Random(0).randbytes(5000) * 2
    index["key"] = PAGE
    calls = []

    def missing(codec: Any) -> Any:
        raise Missing("the package lz5, which is not installed")

    def compute() -> str:
        calls.append(1)
        return "new"

    with monkeypatch.context() as patch:
        patch.setattr(compression, "loaded", missing)
        for each in (cache, index.cache):
            each.engine.near.clear()
        assert cache.add("inline", "new")
        assert cache.add("file", "new", tag="tag")
        assert not cache.add("inline", "other")
        for _ in range(2):
            assert cache.get_or_set("computed", compute) == "new"
        assert len(calls) == 1
        with pytest.raises(Fault, match="lz5"):
            index.setdefault("key", "new")
    assert cache.get("inline") == cache.get("file") == "new"
    assert index["key"] == PAGE


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_a_missing_package_is_told_at_the_start(
    name: str, make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> Any:
        raise ImportError

    monkeypatch.setitem(CODECS, name, CODECS[name]._replace(load=load))
    with pytest.raises(ValueError, match=rf'compression=.{name}.*"django-diskcache\[{name}\]"'):
        make_cache(compression=name)


def test_wrong_settings(make_cache: MakeCache) -> None:
    with pytest.raises(ValueError, match=r"compression='zlb'.*did you mean 'zlib'"):
        make_cache(compression="zlb")
    with pytest.raises(ValueError, match=r"compression_level=12: .*from 1 to 9.*'zlib'"):
        make_cache("other", compression="zlib", compression_level=12)
    cache = make_cache("third", compression="ZLIB", compression_level="9")
    with pytest.raises(ValueError, match="compression_level=0"):
        cache.reset("compression_level", 0)
    assert cache.compression_level == 9
    assert cache.reset("compression", "none") is None


class Twice(Disk):
    """A Disk of one's own that goes on to `Disk`."""

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        return super().store([value], read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        return super().fetch(mode, filename, value, read)[0]


class Agreeing(Twice):
    compresses = True


class Filing(Disk):
    """One that changes nothing of how values are stored."""

    def filename(self, key: Any = None, value: Any = None) -> tuple[str, str]:
        return super().filename(key, value)


def test_disks_of_ones_own(make_cache: MakeCache) -> None:
    with pytest.raises(ValueError, match=r"Twice has a .*compresses = True"):
        make_cache("twice", disk=Twice, compression="zlib")
    with pytest.raises(ValueError, match="JSONDisk compresses by itself"):
        make_cache("json", disk=JSONDisk, compression="zlib")
    for disk in (Agreeing, Filing):
        cache = make_cache(disk.__name__, disk=disk, compression="zlib")
        cache["key"] = [PAGE]
        assert cache["key"] == [PAGE]
        assert codec_of(row(cache)[0]) == "zlib"


def test_what_the_directory_says_does_not_keep_another_disk_out(make_cache: MakeCache) -> None:
    make_cache(compression="zlib").close()
    assert make_cache().compression == "zlib"
    assert make_cache(disk=JSONDisk).compression is None


def test_previews_are_expanded(make_cache: MakeCache) -> None:
    for size in (10, 2**16):
        cache = make_cache(compression="zlib", disk_min_file_size=size, secret="secret")
        (store,) = cache.engine.stores
        for value, kind, beginning in (
            (PAGE, "text", PAGE[:1000]),
            (PAGE.encode(), "bytes", PAGE.encode()[:250].hex(" ")),
            ([PAGE], "pickle", "EMPTY_LIST"),
        ):
            cache["key"] = value
            entry = inspection.find(store, cache.engine.place("key")[1])
            assert entry is not None
            assert entry.codec == "zlib"
            assert entry.size < 200
            preview = inspection.preview(store, entry)
            assert preview.kind == kind
            assert preview.text.startswith(beginning)
            assert not preview.whole or kind == "pickle"
        assert entry is not None
        store.database.run("UPDATE cache SET value = x'00', filename = NULL")
        assert inspection.preview(store, entry._replace(filename=None)).kind == "unknown"
