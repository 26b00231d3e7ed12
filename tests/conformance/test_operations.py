"""Every operation by key: what it returns, and what is there afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from django_diskcache.engine import faults
from django_diskcache.server import trouble

from .conftest import Face


def test_get_of_a_missing_key(face: Face) -> None:
    assert face.get("key") is None
    assert face.get("key", default=7) == 7
    assert face.get("key", 7, expire_time=True) == (7, None)
    assert face.get("key", 7, tag=True) == (7, None)
    assert face.get("key", 7, expire_time=True, tag=True) == (7, None, None)
    assert "key" not in face


def test_get_with_expire_time_and_tag(face: Face) -> None:
    due = face.clock() + 60
    face.set("key", "value", expire=60, tag="tag")

    assert face.get("key") == "value"
    assert face.get("key", expire_time=True) == ("value", due)
    assert face.get("key", tag=True) == ("value", "tag")
    assert face.get("key", expire_time=True, tag=True) == ("value", due, "tag")


def test_set_replaces_value_expiry_and_tag(face: Face) -> None:
    face.set("key", 1, expire=60, tag="tag")

    assert face.set("key", 2) is True
    assert face.get("key", expire_time=True, tag=True) == (2, None, None)


def test_add_only_what_is_not_there(face: Face) -> None:
    assert face.add("key", 1, tag="one") is True
    assert face.add("key", 2, tag="two") is False
    assert face.get("key", tag=True) == (1, "one")
    assert face.add("none", None) is True
    assert face.add("none", 2) is False


@pytest.mark.parametrize("old", ["row", "file" * 1000], ids=["row", "file"])
@pytest.mark.parametrize("new", ["row", "file" * 1000], ids=["row", "file"])
def test_add_over_what_has_expired(face: Face, old: str, new: str) -> None:
    face.add("key", old, expire=10)
    assert face.add("key", new) is False
    face.clock.advance(10)

    assert face.add("key", new) is True
    assert face.get("key", expire_time=True) == (new, None)
    assert len(face) == 1
    assert face.holds_files(len(new) > 1000)


def test_touch(face: Face) -> None:
    assert face.touch("key", expire=60) is False
    face.set("key", 1, tag="tag")

    assert face.touch("key", expire=60) is True
    due = face.clock() + 60
    assert face.get("key", expire_time=True, tag=True) == (1, due, "tag")

    assert face.touch("key") is True
    assert face.get("key", expire_time=True) == (1, None)

    assert face.touch("key", expire=-1) is True
    assert face.get("key") is None
    assert face.touch("key", expire=60) is False


def test_delete(face: Face) -> None:
    face.set("key", 1)

    assert face.delete("key") is True
    assert face.delete("key") is False
    assert face.get("key") is None
    assert len(face) == 0


def test_delete_of_what_has_expired(face: Face) -> None:
    face.set("key", 1, expire=1)
    face.clock.advance(1)

    assert face.delete("key") is False


def test_pop(face: Face) -> None:
    due = face.clock() + 60
    for value in ("small", b"large" * 1000):
        face.set("key", value, expire=60, tag="tag")
        assert face.pop("key", expire_time=True, tag=True) == (value, due, "tag")
        face.set("key", value, expire=60, tag="tag")
        assert face.pop("key", tag=True) == (value, "tag")
        face.set("key", value, expire=60, tag="tag")
        assert face.pop("key", expire_time=True) == (value, due)

    assert face.pop("key") is None
    assert face.pop("key", default=7) == 7
    assert face.pop("key", 7, expire_time=True, tag=True) == (7, None, None)
    assert face.holds_files(0)
    assert len(face) == 0


def test_pop_of_what_has_expired(face: Face) -> None:
    face.set("key", b"large" * 1000, expire=1)
    face.clock.advance(1)

    assert face.pop("key", default=7) == 7
    assert face.holds_files(0)


def test_incr_and_decr(face: Face) -> None:
    face.set("key", 10)

    assert face.incr("key") == 11
    assert face.incr("key", 5) == 16
    assert face.incr("key", delta=-6) == 10
    assert face.decr("key") == 9
    assert face.decr("key", 10) == -1
    assert face.get("key") == -1


def test_incr_keeps_expiry_and_tag(face: Face) -> None:
    due = face.clock() + 60
    for value in (1, 2.5, 2**80):
        face.set("key", value, expire=60, tag="tag")
        assert face.incr("key", 2) == value + 2
        assert face.get("key", expire_time=True, tag=True) == (value + 2, due, "tag")


@pytest.mark.parametrize(
    ("start", "delta"),
    [
        (2**63 - 1, 1),
        (-(2**63), -1),
        (2**63, -1),
        (0, 2**63),
        (0, -(2**63)),
        (-(2**63), -(2**63)),
        (1, 2**100),
        (1, 0.5),
        (1.5, 1),
        (True, 1),
    ],
)
def test_incr_is_python_addition(face: Face, start: Any, delta: Any) -> None:
    face.set("key", start)

    found = face.incr("key", delta)

    assert found == start + delta
    assert type(found) is type(start + delta)
    assert face.get("key") == found


def test_incr_of_a_missing_key(face: Face) -> None:
    with pytest.raises(face.missing, match="key"):
        face.incr("key", default=None)
    with pytest.raises(face.missing, match="key"):
        face.decr("key", default=None)
    assert len(face) == 0

    assert face.incr("key", default=10) == 11
    assert face.decr("other", 2, default=10) == 8


def test_incr_of_what_has_expired(face: Face) -> None:
    face.set("key", 5, expire=1, tag="tag")
    face.clock.advance(1)

    assert face.incr("key", default=0) == 1
    assert face.get("key", expire_time=True, tag=True) == (1, None, None)


@pytest.mark.parametrize("value", ["text", b"bytes", None, ["list"], "text" * 1000])
def test_incr_of_no_number(face: Face, value: Any) -> None:
    face.set("key", value, tag="tag")

    with pytest.raises(TypeError):
        face.incr("key")
    with pytest.raises(TypeError):
        face.decr("key")

    assert face.get("key", tag=True) == (value, "tag")
    face.set("key", 1)
    assert face.incr("key") == 2


def test_many(face: Face) -> None:
    values = {f"key-{number}": number for number in range(50)}

    assert face.set_many(values, **face._timed(60), tag="tag") == []
    assert face.get_many([*values, "missing"]) == values
    assert face.get("key-7", expire_time=True, tag=True) == (7, face.clock() + 60, "tag")

    face.delete_many(["key-1", "key-2", "missing"])
    assert len(face) == 48
    assert face.get_many(["key-1", "key-3"]) == {"key-3": 3}


KEYS = ["", 0, -1, 0.5, 2**63, 10**100, b"", b"key", None, (), (1, ("a", None)), frozenset("a")]
KEYS += ["\ud800", "\x00", "a\x00b", float("inf"), 1 + 1j, Ellipsis]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_keys_of_every_type(typed_face: Face, key: Any) -> None:
    cache = typed_face.cache
    cache[key] = "value"

    assert cache[key] == "value"
    assert key in cache
    assert cache.incr((key, "n")) == 1
    assert set(cache) == set(cache.iterkeys()) == {key, (key, "n")}
    del cache[key]
    assert key not in cache
    with pytest.raises(KeyError):
        cache[key]
    with pytest.raises(KeyError):
        del cache[key]
    with pytest.raises(KeyError):
        cache.read(key)


@pytest.mark.parametrize(
    "names", [(0, 0.0, -0.0, False), (1, 1.0, True), (2**60, float(2**60))], ids=repr
)
def test_numbers_that_are_equal_are_one_key(typed_face: Face, names: tuple[Any, ...]) -> None:
    model: dict[Any, Any] = {}
    for value, name in enumerate(names):
        typed_face.cache[name] = value
        model[name] = value
        assert {name: typed_face.get(name) for name in names} == {
            name: model[name] for name in names
        }

    assert list(typed_face) == list(model)
    assert len(typed_face) == 1


def test_texts_bytes_and_numbers_are_different_keys(typed_face: Face) -> None:
    keys = ["1", b"1", 1, (1,), "1.0", 2**53, 2.0**53 + 2, None, "None", "", b""]
    for value, key in enumerate(keys):
        typed_face.set(key, value)

    assert [typed_face.get(key) for key in keys] == list(range(len(keys)))
    assert set(typed_face) == set(keys)


def test_equal_tuples_are_one_key_however_they_were_made(typed_face: Face) -> None:
    part = "".join(["pa", "rt"])
    typed_face.set((part, part), 1)

    assert typed_face.get(("".join(["pa", "rt"]), "".join(["par", "t"]))) == 1


@pytest.mark.parametrize("key", [[], {}, set(), ([],)], ids=repr)
def test_an_unhashable_key_is_a_type_error(typed_face: Face, key: Any) -> None:
    cache = typed_face.cache
    cache["key"] = 1

    calls = (
        lambda: cache.set(key, 1),
        lambda: cache.get(key),
        lambda: cache.add(key, 1),
        lambda: cache.touch(key),
        lambda: cache.delete(key),
        lambda: cache.pop(key),
        lambda: cache.incr(key),
        lambda: cache.read(key),
        lambda: key in cache,
        lambda: cache[key],
        lambda: cache.get_many([key]),
    )
    for call in calls:
        with pytest.raises(TypeError, match="unhashable"):
            call()

    assert list(cache) == ["key"]
    assert cache["key"] == 1


def test_faults_of_every_kind_are_counted(face: Face) -> None:
    """Nobody need ask which engine it is."""
    assert face.faults() == dict.fromkeys([*faults.KINDS, *trouble.KINDS], 0)
