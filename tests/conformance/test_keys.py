"""Keys by pattern, beginning, tag and age: to list them, and to remove them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_diskcache.engine.patterns import read

from .conftest import Face

KEYS = ["user:1", "user:2", "user:10", "User:1", "page:1", "page:2x", "a*b", "a[b", "", "é"]


@pytest.fixture
def full(face: Face) -> Face:
    """A cache with some keys, one of them in a file."""
    for key in KEYS:
        face.set(key, b"v" * 2000 if key == "page:1" else key, tag=key[:4] or None)
        face.clock.advance(1)
    return face


# To list them


FOUND: list[tuple[str, set[str]]] = [
    ("*", set(KEYS)),
    ("user:*", {"user:1", "user:2", "user:10"}),
    ("user:?", {"user:1", "user:2"}),
    ("*:[13]*", {"user:1", "user:10", "User:1", "page:1"}),
    ("*:[^13]*", {"user:2", "page:2x"}),
    (r"a\**", {"a*b"}),
    ("a[*[]b", {"a*b", "a[b"}),
    ("user:1", {"user:1"}),
    ("ser:1", set()),
    ("", {""}),
    ("?" * 60_000, set()),
    ("[" + "z" * 60_000 + "é]", {"é"}),
    ("u[" + "s" * 60_000 + "]*:?" + "*" * 60_000, {"user:1", "user:2", "user:10"}),
    ("?", {"é"}),
    ("\ud800*", set()),
    ("[\ud800é]", {"é"}),
]


def test_keys_by_pattern(full: Face) -> None:
    for pattern, found in FOUND:
        assert sorted(full.keys(pattern)) == sorted(found), pattern
        assert sorted(full.iter_keys(pattern, itersize=1)) == sorted(found), pattern


def test_all_keys(full: Face) -> None:
    assert sorted(full.keys()) == sorted(full.iter_keys()) == sorted(KEYS)


def test_keys_by_prefix(full: Face) -> None:
    assert sorted(full.keys(prefix="user:")) == ["user:1", "user:10", "user:2"]
    assert full.keys(prefix="a*") == ["a*b"]
    assert full.keys("*0", prefix="user:") == ["user:10"]
    assert full.keys("user:*", prefix="user:10") == ["user:10"]
    assert full.keys("user:10*", prefix="us") == ["user:10"]
    assert full.keys("user:*", prefix="page:") == []
    assert sorted(full.keys(prefix="")) == sorted(KEYS)


@pytest.mark.parametrize("index", [False, True], ids=["plain", "indexed"])
def test_keys_by_tag(full: Face, index: bool) -> None:
    full.set("page:3", 1, tag="user")
    full.set("number", 1, tag=7)
    if index:
        full.create_tag_index()
    users = ["page:3", "user:1", "user:10", "user:2"]
    assert (
        sorted(full.keys(tag="user")) == sorted(full.iter_keys(tag="user", itersize=1)) == users
    )
    assert sorted(full.keys("user:1*", tag="user")) == ["user:1", "user:10"]
    assert full.keys("*:3", tag="user") == ["page:3"]
    assert full.keys(prefix="page:", tag="user") == ["page:3"]
    if full.ordered:
        newest = ["page:3", "user:10", "user:2", "user:1"]
        assert full.keys(tag="user", order="newest") == newest
    assert full.keys(tag=7) == ["number"]
    assert full.keys(tag="missing") == []

    full.set("page:4", 1, tag=("user", "more"))
    assert sorted(full.keys("page:*", tag="user")) == ["page:3", "page:4"]
    assert full.keys(tag="more") == ["page:4"]
    assert sorted(full.keys(tag=("more", 7))) == ["number", "page:4"]
    assert full.keys("*:4", tag={"more", "missing"}) == ["page:4"]


def test_keys_by_age(full: Face) -> None:
    assert full.keys(order="oldest") == KEYS
    assert full.keys(order="newest") == KEYS[::-1]
    full.set("user:2", 2)
    assert full.keys("user:*", order="newest") == ["user:2", "user:10", "user:1"]
    assert list(full.iter_keys(prefix="user:", order="oldest", itersize=2)) == [
        "user:1",
        "user:10",
        "user:2",
    ]


def test_no_key_that_has_expired(full: Face) -> None:
    full.touch("user:1", expire=5)
    full.touch("user:2", expire=6)
    full.clock.advance(5)
    for arguments in ({}, {"order": "newest"}, {"tag": "user"}):
        if "order" in arguments and not full.ordered:
            continue
        assert sorted(full.keys("user:*", **arguments)) == ["user:10", "user:2"]


@pytest.mark.parametrize("order", [None, "newest"])
@pytest.mark.parametrize("tag", [None, "tag"])
def test_others_may_write_meanwhile(face: Face, order: str | None, tag: str | None) -> None:
    if order and not face.ordered:
        pytest.skip("it does not know when entries were stored")
    always = {f"key-{number}" for number in range(100)}
    for key in always:
        face.set(key, 1, tag=tag)
    found = []
    for key in face.iter_keys(order=order, tag=tag, itersize=7):
        found.append(key)
        if key in always:
            face.set(f"{key}-new", 1, tag=tag)
            face.set(key, 2, tag=tag)
        if len(found) == 50:
            face.delete(found[0])
            face.set(found[0], 3, tag=tag)
    assert len(found) == len(set(found))
    assert always <= set(found) <= always | {f"{key}-new" for key in always}


def test_keys_with_nul_characters(typed_face: Face) -> None:
    for key in ("a", "a\0", "a\0b", "b\0a*", "\0"):
        typed_face.set(key, 1)
    assert typed_face.keys("a") == ["a"]
    assert typed_face.keys("a*b") == ["a\0b"]
    assert sorted(typed_face.keys("?")) == ["\0", "a"]
    assert sorted(typed_face.keys("a\0*")) == ["a\0", "a\0b"]
    assert typed_face.keys("*\0?") == ["a\0b"]
    assert typed_face.keys("[b]*[*]") == ["b\0a*"]
    assert typed_face.delete_pattern("a") == 1
    assert typed_face.delete_pattern("?\0?") == 1
    assert sorted(typed_face.keys()) == ["\0", "a\0", "b\0a*"]


def test_only_keys_that_are_texts(typed_face: Face) -> None:
    for key in ("text", 7, 7.5, b"text", ("text", 1), "\ud800"):
        typed_face.set(key, 1)
    assert typed_face.keys() == ["text"]
    assert typed_face.delete_pattern("*") == 1
    assert len(typed_face) == 5


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"pattern": 7}, TypeError, r"pattern=7: expected a text, such as"),
    ({"pattern": None}, TypeError, r"pattern=None: expected a text"),
    ({"prefix": b"x"}, TypeError, r"prefix=b'x': expected a text"),
    ({"tag": {"x": 1}}, TypeError, r"tag=\{'x': 1\}: expected a str, bytes, int, float"),
    ({"order": "new"}, ValueError, r"order='new': expected None, 'newest' or 'oldest'"),
    ({"itersize": 0}, ValueError, r"itersize=0: expected a whole number of at least 1"),
    ({"itersize": "9"}, ValueError, r"itersize='9': expected a whole number"),
]


def test_what_is_wrong_is_said_at_the_call(full: Face) -> None:
    for arguments, kind, text in WRONG:
        with pytest.raises(kind, match=text):
            full.iter_keys(**arguments)
        if not {"tag", "order"} & set(arguments):
            with pytest.raises(kind, match=text):
                full.delete_pattern(**{"pattern": "*", **arguments})
    assert len(full) == len(KEYS)


# To remove them


def test_delete_pattern(full: Face) -> None:
    assert full.get("user:1") == "user:1"
    assert full.delete_pattern("*:1*") == 4
    assert full.delete_pattern("*:1*") == 0
    assert full.get("user:1") is None
    assert sorted(full.keys()) == sorted({"user:2", "page:2x", "a*b", "a[b", "", "é"})
    assert full.holds_files(0)
    assert full.delete_pattern("a*", prefix="a[") == 1
    assert full.delete_pattern("*", itersize=2) == 5
    assert len(full) == 0


def test_delete_pattern_removes_what_has_expired_and_counts_what_has_not(full: Face) -> None:
    full.touch("user:1", expire=5)
    full.clock.advance(5)
    assert full.delete_pattern("user:*") == 2
    assert len(full) == len(KEYS) - 3


def test_delete_prefix(full: Face) -> None:
    assert full.delete_prefix("user:1") == 2
    assert full.delete_prefix("a*") == 1
    with pytest.raises(TypeError, match=r"prefix=None: expected a text"):
        full.delete_prefix(None)
    assert len(full) == len(KEYS) - 3
    assert full.delete_prefix("") == len(KEYS) - 3


def test_many_are_removed_in_batches(face: Face) -> None:
    for number in range(700):
        face.set(f"key-{number}", number)
    face.set("other", 1)
    sizes: list[int] = []
    for store in face.engine.stores:
        removed = store.removed

        def noted(rows: Any, reason: Any, removed: Any = removed) -> None:
            sizes.append(len(rows))
            removed(rows, reason)

        store.removed = noted
    assert face.delete_prefix("key-") == 700
    assert max(sizes) <= 128
    assert face.keys() == ["other"]


def test_only_after_many_the_disk_gets_space_back(
    typed_face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(typed_face.engine.limits, "give_back", lambda: given.append(1))
    typed_face.set_many({f"key:{number}": 1 for number in range(1100)})
    assert typed_face.delete_prefix("key:10") == 111
    assert given == []
    typed_face.set_many({f"key:{number}": 1 for number in range(1100)})
    assert typed_face.delete_prefix("key:") == 1100
    assert given == [1]


def test_a_transaction_takes_removals_back(face: Face) -> None:
    cache = getattr(face.cache, "_cache", face.cache)
    face.set("key", 1)
    with pytest.raises(KeyError), cache.transact(retry=True):
        assert face.delete_pattern("k*") == 1
        assert face.keys() == []
        raise KeyError
    assert face.get("key") == 1
    assert face.keys() == ["key"]


def test_removal_beside_writers(face: Face) -> None:
    """What is stored after a removal has returned is there; what was removed is not."""
    for number in range(300):
        face.set(f"old-{number}", number)
        face.get(f"old-{number}")
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            face.set("old-new", 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert face.delete_prefix("old-") >= 300
        assert [key for key in face.keys("old-*") if key != "old-new"] == []
        assert not any(face.get(f"old-{number}") for number in range(300))
    finally:
        done.set()
        writer.join()


CHARACTERS = "ab:*[]^-?\\\0é"
TEXTS = st.text(st.sampled_from(CHARACTERS), max_size=5)


@settings(max_examples=60)
@given(
    keys=st.sets(TEXTS, max_size=8),
    pattern=TEXTS,
    prefix=st.none() | TEXTS,
    around=st.tuples(TEXTS, TEXTS),
)
def test_any_keys_around_any_pattern(
    typed_face: Face, keys: set[str], pattern: str, prefix: str | None, around: tuple[str, str]
) -> None:
    """What is found and removed is what the pattern says of the keys without what is around."""
    cache = typed_face.cache
    head, tail = around
    cache.clear()
    cache.set_many({f"{head}{key}{tail}": 1 for key in keys})
    cache.set_many({f"{head}x": 1, f"x{tail}": 1, "x": 1})
    stored = set(cache)
    inside = {
        key[len(head) : len(key) - len(tail)]
        for key in stored
        if len(key) >= len(head) + len(tail) and key.startswith(head) and key.endswith(tail)
    }
    asked = read(pattern)
    expected = {
        key
        for key in inside
        if asked.matches(key) and (prefix is None or key.startswith(prefix))
    }
    found = cache.keys(pattern, prefix=prefix, within=around)
    assert sorted(found) == sorted(expected)
    if typed_face.ordered:
        found = cache.keys(pattern, prefix=prefix, within=around, order="oldest")
        assert sorted(found) == sorted(expected)
    assert cache.delete_pattern(pattern, prefix=prefix, within=around) == len(expected)
    assert set(cache) == stored - {f"{head}{key}{tail}" for key in expected}
