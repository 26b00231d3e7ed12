"""What is put in comes out: every value, in the row and in a file."""

from __future__ import annotations

import io
import math
import threading
from pickle import PicklingError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Face

VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    2**63,
    -(2**63) - 1,
    10**400,
    0.0,
    1.5,
    math.inf,
    -math.inf,
    5e-324,
    "",
    "text",
    "\x00",
    "naïve ☃ 😀",
    "\ud800 lone \udfff",
    b"",
    b"\x00\xff",
    bytearray(b"array"),
    (),
    (1, "a", None),
    [1, [2]],
    {"a": {1: 2}},
    {1, 2},
    frozenset({3}),
    1 + 2j,
    range(3),
    ValueError,
]
LARGE = [
    "line\r\nline\rline\n" * 200,
    "☃" * 2000,
    "\udc80" * 2000,
    b"\r\n\x00\x1a" * 1000,
    ["item"] * 1000,
    10**5000,
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_small_values_come_back_equal_and_of_their_type(face: Face, value: Any) -> None:
    assert face.set("key", value) is True

    found = face.get("key", default="default")

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", LARGE, ids=lambda value: type(value).__name__)
def test_large_values_come_back_from_a_file(face: Face, value: Any) -> None:
    face.set("key", value)

    assert face.holds_files(1)
    assert face.get("key") == value


def test_nan_is_a_value(face: Face) -> None:
    face.set("key", math.nan)

    assert math.isnan(face.get("key", default=0))


def test_the_sign_of_zero_is_kept(face: Face) -> None:
    face.set("key", -0.0)

    assert math.copysign(1, face.get("key")) == -1


def test_a_mutable_value_is_a_copy(face: Face) -> None:
    value = [1]
    face.set("key", value)
    value.append(2)
    face.get("key").append(3)

    assert face.get("key") == [1]


def test_any_picklable_value(face: Face) -> None:
    leaves: st.SearchStrategy[Any] = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.text(st.characters(categories=["Cs"])),
        st.binary(),
    )
    trees = st.recursive(leaves, lambda inner: st.lists(inner) | st.tuples(inner, inner))

    @settings(max_examples=40)
    @given(trees)
    def holds(value: Any) -> None:
        face.set("key", value)
        found = face.get("key", default=object())
        assert found == value
        assert type(found) is type(value)

    holds()


@pytest.mark.parametrize("value", [threading.Lock(), lambda: None], ids=["lock", "lambda"])
@pytest.mark.parametrize("before", ["old", "old" * 1000], ids=["row", "file"])
def test_an_unpicklable_value_raises_and_changes_nothing(
    face: Face, value: Any, before: str
) -> None:
    face.set("key", before, tag="tag")

    refusal = r"[Cc]an't (pickle|get local)|cannot pickle"
    with pytest.raises((TypeError, AttributeError, PicklingError), match=refusal):
        face.set("key", value)
    for write in (face.set, face.add):
        with pytest.raises((TypeError, AttributeError, PicklingError), match=refusal):
            write("new", value)

    assert face.get("key", tag=True) == (before, "tag")
    assert "new" not in face
    assert len(face) == 1
    assert face.holds_files(len(before) > 1000)
    assert face.set("key", "usable")


@pytest.mark.parametrize("content", [b"", b"small", b"large\r\n" * 1000], ids=len)
@pytest.mark.parametrize("method", ["set", "add"])
def test_read_stores_bytes_and_binary_files(face: Face, content: bytes, method: str) -> None:
    store = getattr(face, method)

    assert store("from-file", io.BytesIO(content), read=True) is True
    assert store("from-bytes", content, read=True) is True

    for key in ("from-file", "from-bytes"):
        assert face.get(key) == content
        with face.get(key, read=True) as file, face.read(key) as again:
            assert file.read() == again.read() == content
    assert face.holds_files(2)


def test_a_handle_outlives_its_entry(face: Face) -> None:
    face.set("key", b"content" * 1000)

    with face.read("key") as file:
        face.delete("key")
        assert face.holds_files(0)
        assert file.read() == b"content" * 1000


def test_read_of_small_bytes_is_a_file_too(face: Face) -> None:
    face.set("key", b"small")

    with face.read("key") as file:
        assert file.read() == b"small"


def test_read_refuses_what_is_not_binary(face: Face) -> None:
    face.set("key", "old")

    for wrong in ("text", 17, io.StringIO("text")):
        with pytest.raises(TypeError, match="binary"):
            face.set("key", wrong, read=True)

    assert face.get("key") == "old"
    assert face.holds_files(0)


def test_a_stream_that_fails_leaves_nothing_behind(face: Face) -> None:
    class Broken(io.RawIOBase):
        reads = 0

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise OSError("the wire was cut")
            return b"beginning"

    face.set("key", "old")

    with pytest.raises(OSError, match="the wire was cut"):
        face.set("key", Broken(), read=True)

    assert face.get("key") == "old"
    assert face.holds_files(0)


def test_a_row_without_its_file_is_a_miss(face: Face) -> None:
    face.set("key", "large" * 1000)
    (path,) = face.value_files()
    path.unlink()

    assert face.get("key", default="default") == "default"
    assert "key" not in face
    assert face.add("key", "new" * 1000)
    assert face.get("key") == "new" * 1000

    (path,) = face.value_files()
    path.unlink()
    assert face.pop("key", default="default") == "default"
    assert len(face) == 0


def test_overwriting_removes_the_file(face: Face) -> None:
    face.set("key", b"1" * 2000)
    face.set("key", b"2" * 2000)
    assert face.holds_files(1)

    face.set("key", b"3")
    assert face.holds_files(0)
    assert len(face) == 1


def test_read_of_a_value_that_is_not_bytes_returns_it(face: Face) -> None:
    for value in ("text" * 1000, ["pickled" * 1000], "small", 7):
        face.set("key", value)
        assert face.get("key", read=True) == value
