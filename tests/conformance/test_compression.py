"""Compressed values, on every face: what comes back is what was stored, however it was."""

from __future__ import annotations

import random
from typing import Any

import pytest

from django_diskcache.engine import Deque, Index
from django_diskcache.engine.compression import CODECS, Missing, loaded

from .conftest import Face

PAGE = "<li>ein Eintrag, äöü</li>\n" * 30
VALUES: dict[str, Any] = {
    "text": PAGE,
    "bytes": PAGE.encode(),
    "pickled": [{"title": "x" * 100, "id": {n}} for n in range(20)],
    "large-text": PAGE * 400,  # a file, when it is not compressed
    "in-a-file": " ".join(map(str, random.Random(1).choices(range(9999, 9999**2), k=900))) * 2,
    "number": 7,
    "short": "x" * 50,
    "noise": random.Random(1).randbytes(600),
}
AS_THEY_ARE = {"number", "short", "noise"}


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    try:
        loaded(CODECS[request.param])
    except Missing as why:
        pytest.skip(str(why))
    return str(request.param)


def use(face: Face, codec: str | None, **settings: Any) -> None:
    face.configure(compression=codec, **{"compression_min_size": 100, **settings})


def test_values_come_back(face: Face, codec: str) -> None:
    use(face, codec)
    for key, value in VALUES.items():
        face.set(key, value, expire=60, tag="t")
    assert face.codecs() == [None if k in AS_THEY_ARE else codec for k in sorted(VALUES)]
    assert face.value_files() or not face.engine.in_files
    for _ in range(12):  # from the store, from memory, and loaded for good
        for key, value in VALUES.items():
            found = face.get(key)
            assert found == value
            assert type(found) is type(value)
    assert face.get_many(list(VALUES)) == VALUES
    face.engine.near.clear()
    assert face.get_many(list(VALUES)) == VALUES
    assert face.get("text", expire_time=True, tag=True) == (PAGE, face.clock() + 60, "t")
    assert not face.add("text", "another")
    with face.get("bytes", read=True) as file:
        assert file.read() == PAGE.encode()
    assert face.pop("pickled") == VALUES["pickled"]
    for key in VALUES:
        face.delete(key)
    assert face.holds_files(0)


def test_entries_of_all_kinds_lie_side_by_side(face: Face) -> None:
    for name in (None, "zlib", "lzma", None):
        use(face, name)
        face.set(f"by-{name}", [PAGE])
    use(face, None)
    for name in (None, "zlib", "lzma"):
        assert face.get(f"by-{name}") == [PAGE]
    assert face.codecs() == [None, "lzma", "zlib"]


def test_counters_and_streams_are_left_as_they_are(face: Face, tmp_path: Any) -> None:
    use(face, "zlib", compression_min_size=1)
    face.set("count", 10**12)
    assert face.incr("count") == 10**12 + 1
    path = tmp_path / "page.html"
    path.write_bytes(PAGE.encode())
    with path.open("rb") as source:
        face.set("stream", source, read=True)
    assert face.codecs() == [None, None]
    with face.get("stream", read=True) as file:
        assert file.read() == PAGE.encode()
    assert face.holds_files(1)


def test_a_hot_hit_expands_nothing(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    use(face, "zlib")
    face.remembers()
    face.set("text", PAGE)
    face.set("pickled", [PAGE])
    assert face.get("text") == PAGE
    assert face.get("pickled") == [PAGE]
    for module in ("engine.trust", "server.envelope"):
        monkeypatch.setattr(f"django_diskcache.{module}.expanded", None)
    assert face.get("text") == PAGE
    assert face.get("pickled") == [PAGE]


def test_collections(face: Face) -> None:
    if not hasattr(face.cache, "deque"):
        return
    use(face, "zlib")
    deque: Deque = face.deque("d")
    index: Index = face.index("i")
    deque.append([PAGE])
    index["key"] = PAGE
    assert deque.pop() == [PAGE]
    assert index["key"] == PAGE
    assert face.codec_in(index) == "zlib"
    for each in (deque, index):
        each.cache.close()
