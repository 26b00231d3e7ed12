"""Entries as the server has them: there and back, and what is refused."""

from __future__ import annotations

import pickle
from math import inf
from typing import Any

import pytest

from django_diskcache.engine import compression
from django_diskcache.engine.compression import CODECS, Compressor, Missing
from django_diskcache.engine.disk import Disk, JSONDisk
from django_diskcache.engine.errors import Foreign, Unavailable, Unreadable
from django_diskcache.engine.signing import NO_SECRETS, Secrets
from django_diskcache.server.envelope import (
    HEAD,
    Codec,
    tag_bytes,
    tag_name,
    tag_names,
    tags_of,
)

KEY = ("key", True)
SIGNED = Secrets([b"secret"])
VALUES: list[Any] = [
    "",
    "text",
    "ä\x00",
    "\ud800",
    b"",
    b"bytes",
    0,
    -(2**63),
    2**63,
    0.5,
    -0.0,
]
VALUES += [float("inf"), True, False, None, (1, "a"), [1, [2]], {"a": {1}}, 10**100, 1 + 1j]


def codec(
    secrets: Secrets = SIGNED,
    disk: type[Disk] = Disk,
    name: str = "name",
    compression: str | None = None,
) -> Codec:
    made = disk("", min_file_size=2**62)
    if compression is not None:
        made.compressor = Compressor(CODECS[compression], None, 10)
    return Codec(made, secrets, name)


@pytest.mark.parametrize("secrets", [SIGNED, NO_SECRETS], ids=["signed", "unsigned"])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back(value: Any, secrets: Secrets) -> None:
    tags = tag_bytes([tag_name("a tag")])
    data = codec(secrets).encode(value, False, KEY, 12.5, tags)

    found, due, kept, loads = codec(secrets).decode(data, KEY)

    assert found == value
    assert type(found) is type(value)
    assert due == 12.5
    assert tags_of(data) == ["a tag"]
    again = kept if loads is None else loads(kept)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("tag", ["", "text", "ä", b"", b"b", 0, -1, 2**63 - 1, 1.5, -0.5])
def test_a_tag_comes_back(tag: Any) -> None:
    data = codec().encode(1, False, KEY, inf, tag_bytes([tag_name(tag), tag_name("other")]))

    assert tags_of(data) == [tag, "other"]
    assert type(tags_of(data)[0]) is type(tag)


def test_tags_that_are_equal_have_one_name() -> None:
    assert len({tag_name(1), tag_name(1.0), tag_name(True)}) == 1
    assert len({tag_name(each) for each in ("1", b"1", 1, "", b"", 1.5, "1.5", -1)}) == 8


@pytest.mark.parametrize("tag", [("a", None), {"a": 1}, object()])
def test_what_is_no_tag(tag: Any) -> None:
    with pytest.raises(TypeError, match="tag="):
        tag_names(tag)


def test_tags_that_are_too_long_are_refused() -> None:
    for tag in ("x" * 16_382, b"x" * 16_382):
        assert len(tag_name(tag)) == 16_383  # with a sign for its type
    for tag in ("x" * 16_383, "é" * 8_191 + "x", b"x" * 16_383):
        with pytest.raises(ValueError, match="a tag of 16383 bytes: expected at most 16382"):
            tag_name(tag)
    with pytest.raises(ValueError, match="at most 65535"):
        tag_bytes([tag_name("x" * 15_000)] * 5)


def test_one_tag_or_several() -> None:
    assert tag_names(None) == tag_names(()) == ()
    assert tag_names("tag") == (tag_name("tag"),)
    assert tag_names(0) == (tag_name(0),)
    assert tag_names(["a", "b", "a"]) == (tag_name("a"), tag_name("b"))


def test_a_pickle_is_loaded_only_where_it_was_signed_for() -> None:
    data = codec().encode({"a": 1}, False, KEY, inf, b"")

    assert codec().decode(data, KEY)[0] == {"a": 1}
    assert codec(Secrets([b"new", b"secret"])).decode(data, KEY)[0] == {"a": 1}
    assert codec(NO_SECRETS).decode(data, KEY)[0] == {"a": 1}
    for other, key in (
        (codec(Secrets([b"other"])), KEY),
        (codec(), ("other", True)),
        (codec(), ("key", False)),
        (codec(name="another"), KEY),
    ):
        with pytest.raises(Foreign):
            other.decode(data, key)


def test_a_pickle_that_nobody_signed_is_not_loaded() -> None:
    data = codec(NO_SECRETS).encode({"a": 1}, False, KEY, inf, b"")
    assert pickle.loads(data[HEAD.size :]) == {"a": 1}

    with pytest.raises(Foreign):
        codec().decode(data, KEY)


def test_a_disk_that_does_not_pickle_loads_no_pickle() -> None:
    data = codec().encode({"a": 1}, False, KEY, inf, b"")

    with pytest.raises(Foreign):
        codec(disk=JSONDisk).decode(data, KEY)
    data = codec(disk=JSONDisk).encode({"a": [1]}, False, KEY, inf, b"")
    assert codec(disk=JSONDisk).decode(data, KEY)[0] == {"a": [1]}
    assert (
        codec(disk=JSONDisk).decode(
            codec(disk=JSONDisk).encode("text", False, KEY, inf, b""), KEY
        )[0]
        == "text"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"12",
        HEAD.pack(2, 1, 0, inf, 0) + b"of another version",
        HEAD.pack(1, 9, 0, inf, 0) + b"of another kind",
        HEAD.pack(1, 1, 0, inf, 0) + b"\xff no text",
        HEAD.pack(1, 3, 0, inf, 0) + b"no number",
        HEAD.pack(1, 4, 0, inf, 0) + b"short",
        HEAD.pack(1, 0, 200, inf, 0) + b"of another mode",
        HEAD.pack(1, 0, 6, inf, 0) + b"no json",
    ],
)
def test_what_is_none_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        codec().decode(data, KEY)


def test_tags_of_what_is_none_of_ours() -> None:
    for data in (
        b"",
        b"text",
        HEAD.pack(2, 1, 0, inf, 0),
        HEAD.pack(1, 1, 0, inf, 3) + b"\xff",
    ):
        with pytest.raises(Unreadable):
            tags_of(data)


PACKED: list[Any] = ["text" * 50, "ä" * 100, b"bytes" * 50, ["list"] * 50]


@pytest.mark.parametrize("secrets", [SIGNED, NO_SECRETS], ids=["signed", "unsigned"])
@pytest.mark.parametrize("value", PACKED, ids=lambda value: type(value).__name__)
def test_what_is_compressed_comes_back(value: Any, secrets: Secrets) -> None:
    data = codec(secrets, compression="zlib").encode(value, False, KEY, inf, b"")
    plain = codec(secrets).encode(value, False, KEY, inf, b"")

    assert len(data) < len(plain)
    for other in ("zlib", "lzma", None):  # whatever is set where it is read
        found, _, kept, loads = codec(secrets, compression=other).decode(data, KEY)
        assert found == value
        assert type(found) is type(value)
        assert (kept if loads is None else loads(kept)) == value
    assert codec(secrets, compression="zlib").decode(plain, KEY)[0] == value


def test_what_is_compressed_is_signed_as_it_lies() -> None:
    value = ["list"] * 50
    data = codec(compression="zlib").encode(value, False, KEY, inf, b"")
    head, kind = data[: HEAD.size], data[1]

    for other in (
        codec(NO_SECRETS, compression="zlib").encode(value, False, KEY, inf, b""),
        codec(Secrets([b"other"]), compression="zlib").encode(value, False, KEY, inf, b""),
        codec(name="another", compression="zlib").encode(value, False, KEY, inf, b""),
        head[:1] + b"\x20" + data[2:],  # by another codec
        head[:1] + b"\x00" + data[2:],  # not compressed
        data[:-1] + bytes([data[-1] ^ 1]),
    ):
        with pytest.raises(Foreign):
            codec().decode(other, KEY)
    assert kind == CODECS["zlib"].number << 4


def test_what_cannot_be_expanded() -> None:
    data = codec(compression="zlib").encode("text" * 50, False, KEY, inf, b"")

    for damaged in (data[:-5], data[:1] + b"\xf0" + data[2:], data[:2] + b"\x09" + data[3:]):
        with pytest.raises(Unreadable):
            codec().decode(damaged, KEY)


def test_a_codec_that_is_missing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with the entry, so it is no foreign one."""
    data = codec(compression="zlib").encode("text" * 50, False, KEY, inf, b"")

    def missing(codec: object) -> None:
        raise Missing("the package x")

    monkeypatch.setattr(compression, "loaded", missing)
    with pytest.raises(Unavailable, match="cannot be read without the package x"):
        codec().decode(data, KEY)
