"""Several tags for an entry, on all faces."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .conftest import Face

INDEXED = pytest.mark.parametrize("indexed", [False, True], ids=["no index", "index"])


GIVEN = [  # what is given, what `tags` says, what `get` says
    (("posts", "author:7"), ("posts", "author:7"), ("posts", "author:7")),
    (["b", "a", "b"], ("b", "a"), ("b", "a")),
    ({"b", "a", 2, b"x"}, (b"x", 2, "a", "b"), (b"x", 2, "a", "b")),
    (frozenset({"only"}), ("only",), "only"),
    ((1, 1.0, True, "1"), (1, "1"), (1, "1")),
    (("only",), ("only",), "only"),
    ("only", ("only",), "only"),
    ((), (), None),
    (None, (), None),
]


@pytest.mark.parametrize("size", [2, 2000], ids=["row", "file"])
def test_what_is_given_comes_back(face: Face, size: int) -> None:
    value = b"v" * size
    for given, kept, shown in GIVEN:
        face.set("key", value, tag=given)
        assert face.tags("key") == kept
        assert face.get("key", tag=True) == (value, shown)
        assert face.pop("key", tag=True) == (value, shown)
        assert face.tags("key") == ()


def test_who_has_no_tags(face: Face) -> None:
    assert face.tags("missing") == ()
    face.set("key", 1, expire=10, tag=("a", "b"))
    face.clock.advance(11)
    assert face.tags("key") == ()


def test_all_that_store_take_several(face: Face) -> None:
    tag = ("posts", "author:7")
    function: Any = face.memoize(tag=tag)(lambda: 1)

    def count() -> None:
        face.set("key", 2**63 - 1, tag=tag)
        face.incr("key")  # too large for the quick way: it is read and stored anew

    stores: dict[str, Any] = {
        "set": lambda: face.set("key", 1, tag=tag),
        "set over a file": lambda: (face.set("key", b"v" * 2000), face.set("key", 1, tag=tag)),
        "add": lambda: face.add("key", 1, tag=tag),
        "set_many": lambda: face.set_many({"key": 1}, tag=tag),
        "set_many over a file": lambda: (
            face.set("key", b"v" * 2000),
            face.set_many({"key": 1, "other": 1}, tag=tag),
            face.delete("other"),
        ),
        "memoize": function,
        "incr": count,
        "touch": lambda: (face.set("key", 1, tag=tag), face.touch("key", 10)),
    }
    for name, store in stores.items():
        store()
        key = function.__cache_key__() if name == "memoize" else "key"
        assert face.tags(key) == tag, name
        assert face.evict("author:7") == 1, name
        assert face.tags(key) == (), name


@INDEXED
def test_evict_one_of_several(face: Face, indexed: bool) -> None:
    if indexed:
        face.create_tag_index()
    face.set("both", 1, tag=("a", "b"))
    face.set("a", 1, tag="a")
    face.set("b", 1, tag=["b"])
    face.set("large", b"v" * 2000, tag=("c", "a"))
    face.set("none", 1)

    assert face.evict("b") == 2
    assert set(face) == {"a", "large", "none"}
    assert face.evict("b") == 0
    assert face.evict("a") == 2
    assert set(face) == {"none"}
    assert face.holds_files(0)


@INDEXED
def test_evict_any_and_all(face: Face, indexed: bool) -> None:
    if indexed:
        face.create_tag_index()

    def fill() -> None:
        face.set_many({f"abc{n}": 1 for n in range(5)}, tag=("a", "b", "c"))
        face.set_many({f"ab{n}": 1 for n in range(5)}, tag=("a", "b"))
        face.set_many({f"a{n}": 1 for n in range(5)}, tag="a")
        face.set_many({f"d{n}": 1 for n in range(5)}, tag="d")

    for match, tags, gone in [
        ("any", ("c", "d"), {"abc", "d"}),
        ("any", {"b", "c"}, {"abc", "ab"}),
        ("any", ["a"], {"abc", "ab", "a"}),
        ("any", (), set()),
        ("any", ("no", "none"), set()),
        ("all", ("a", "c"), {"abc"}),
        ("all", ("b", "a"), {"abc", "ab"}),
        ("all", "a", {"abc", "ab", "a"}),
        ("all", ["a", "a"], {"abc", "ab", "a"}),
        ("all", ("a", "d"), set()),
        ("all", (), set()),
    ]:
        fill()
        assert face.evict(tags, match=match) == 5 * len(gone), (match, tags)
        left = {key.rstrip("0123456789") for key in face}
        assert left == {"abc", "ab", "a", "d"} - gone, (match, tags)


def test_tags_compare_as_in_sqlite(face: Face) -> None:
    big = 2**53 + 1  # no float is the same
    tags = ["1", 1, b"1", 1.5, "a\0b", "a\1b", b"\0\1\2", big, "", b"", "ä", float("inf")]
    for number, tag in enumerate(tags):
        face.set(f"{number}", number, tag=(tag, "beside", f"{number}"))
    for number, tag in enumerate(tags):
        assert face.tags(f"{number}") == (tag, "beside", f"{number}")
        other = 1.0 if tag == 1 else tag
        expected = ["0", "1"] if tag == "1" else [f"{number}"]
        assert sorted(face.keys_by_tag(other)) == expected, tag
    assert face.evict(float(big - 1)) == 0
    assert face.evict(True) == 1
    assert face.evict(b"\0\1") == 0
    assert len(face) == len(tags) - 1


def test_a_tag_that_looks_like_several(face: Face) -> None:
    face.set("several", 1, tag=("a", "b"))
    several = face.engine.stores
    ((blob,),) = [
        rows[0] for store in several if (rows := store.database.run("SELECT tag FROM cache"))
    ]
    assert isinstance(blob, bytes)
    face.set("bytes", 1, tag=blob)

    assert face.get("bytes", tag=True) == (1, blob)
    assert face.tags("bytes") == (blob,)
    assert face.keys_by_tag("a") == ["several"]
    assert face.keys_by_tag(blob) == ["bytes"]
    assert face.evict((blob, "no")) == 1
    assert face.evict(("a", "b"), match="all") == 1


@INDEXED
def test_keys_by_tag(face: Face, indexed: bool) -> None:
    if indexed:
        face.create_tag_index()
    for number in range(40):
        tag = ("even", f"mod:{number % 4}") if number % 2 == 0 else "odd"
        face.set(f"key-{number}", number, tag=tag)
    face.set("dead", 1, expire=5, tag=("even", "mod:0"))
    face.set("gone", 1, expire=5, tag="odd")
    face.clock.advance(6)
    face.set("key-0", 0, tag="other")
    face.set("key-2", 2)

    assert set(face.keys_by_tag("odd")) == {f"key-{n}" for n in range(1, 40, 2)}
    assert set(face.keys_by_tag("even")) == {f"key-{n}" for n in range(4, 40, 2)}
    assert set(face.keys_by_tag("mod:0")) == {f"key-{n}" for n in range(4, 40, 4)}
    assert face.keys_by_tag(("even", "mod:2"), match="all") == face.keys_by_tag("mod:2")
    assert len(face.keys_by_tag(("odd", "mod:0"))) == 20 + 9
    assert face.keys_by_tag("none") == []
    assert isinstance(face.keys_by_tag("odd"), list)


def test_an_overwrite_has_its_own_tags(face: Face) -> None:
    face.set("key", 1, tag=("a", "b"))
    face.set("key", 2, tag=("b", "c"))
    assert face.evict("a") == 0
    face.set("key", 3, tag="b")
    assert face.evict("c") == 0
    face.set("key", 4, tag=("b", "c"))
    assert face.evict("c") == 1
    face.set("key", 5, tag=("b", "c"))
    face.delete("key")
    face.set("new", 5)  # where ids are used again, a hint points to it
    assert face.evict(("b", "c")) == 0
    assert face.get("new") == 5


def test_what_was_read_is_forgotten_with_its_tag(face: Face) -> None:
    face.set("key", 1, tag=("a", "b"))
    assert face.get("key") == 1
    assert face.get("key") == 1  # from memory
    face.evict("b")
    assert face.get("key") is None


def test_what_is_no_tag(face: Face) -> None:
    tags: list[Any] = [["a", None], ("a", ["b"]), {"a": 1}, object(), bytearray(b"a")]
    for tag in tags:
        for store in (face.set, face.add):
            with pytest.raises(
                TypeError, match=r"tag=.*: expected a str, bytes, int, float or"
            ):
                store("key", 1, tag=tag)
        for find in (face.evict, face.keys_by_tag):
            with pytest.raises(
                TypeError, match=r"tag=.*: expected a str, bytes, int, float or"
            ):
                find(tag)
    assert len(face) == 0


def test_a_number_that_is_too_large(face: Face) -> None:
    for tag in (2**63, ("a", 2**63), -(2**70), 10**6000):
        for call in (face.evict, face.keys_by_tag, partial(face.set, "key", 1, None)):
            with pytest.raises(OverflowError, match=r"tag=.*0x.*at most 64 bits"):
                call(tag=tag)
    face.set("key", 1, tag=("a", 2**63 - 1, -(2**63)))
    assert face.evict(-(2**63)) == 1


def test_another_match(face: Face) -> None:
    for call in (face.evict, face.keys_by_tag):
        with pytest.raises(ValueError, match="match='some': expected 'any' or 'all'"):
            call("tag", match="some")


def test_not_a_number_is_no_tag(face: Face) -> None:
    nan = float("nan")
    for tag in (nan, ("a", nan)):
        for call in (face.evict, face.keys_by_tag, partial(face.set, "key", 1, None)):
            with pytest.raises(ValueError, match="tag=nan: this is no tag"):
                call(tag=tag)
    assert len(face) == 0


def test_a_lone_surrogate_is_in_no_tag(face: Face) -> None:
    for tag in ("\ud800", ["a", "é\udfff"]):
        for call in (face.evict, face.keys_by_tag, partial(face.set, "key", 1, None)):
            with pytest.raises(ValueError, match=r"tag='.*ud.*': a lone surrogate"):
                call(tag=tag)
    face.set("key", 1, tag="é😀")
    assert face.evict("é😀") == 1


def test_a_great_many_tags(face: Face) -> None:
    # More than SQLite takes in one statement; a server is asked for each in 256 buckets.
    many = tuple(f"tag{number}" for number in range(3000 if face.engine.in_files else 200))
    face.set("all", 1, tag=many)
    face.set("most", 1, tag=many[1:])
    face.set("one", 1, tag=many[0])

    assert face.keys_by_tag(many, match="all") == ["all"]
    assert (
        sorted(face.keys(tag=many)) == sorted(face.keys_by_tag(many)) == ["all", "most", "one"]
    )
    assert face.evict(many, match="all") == 1
    assert face.evict(many) == 2
