"""What is copied instead of unpickled is the same, and nobody else's."""

from __future__ import annotations

import datetime
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_diskcache.engine import Cache
from django_diskcache.engine.copies import CONTAINERS, copier
from django_diskcache.engine.nearcache import WARM

Point = namedtuple("Point", "x y")


class Text(str):
    """A string that could be changed: it has a __dict__."""


parts = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.timedeltas()
)
others = st.tuples(parts) | st.builds(Text, st.text()) | st.builds(bytearray, st.binary())
values = st.recursive(
    parts | others,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.sets(parts, max_size=4)
    ),
    max_leaves=8,
)


def containers(value: Any) -> list[Any]:
    """The containers in a value, itself included."""
    if type(value) not in CONTAINERS:
        return []
    inner = value.values() if type(value) is dict else value
    return [value, *(found for part in inner for found in containers(part))]


def spoil(value: Any) -> None:
    """Change every container in it."""
    for each in containers(value):
        if type(each) is list:
            each.append("spoilt")
        elif type(each) is set:
            each.add("spoilt")
        else:
            each["spoilt"] = True


def told(value: Any) -> Any:
    """What there is to say of a value: types, order and NaN, which == does not tell."""
    if type(value) is dict:
        return dict, [(told(key), told(part)) for key, part in value.items()]
    if type(value) is set:
        return set, sorted(map(repr, value))
    if type(value) in (list, tuple):
        return type(value), [told(part) for part in value]
    return type(value), repr(value)


@given(values)
def test_a_copy_is_the_same_and_nobody_elses(value: Any) -> None:
    found = copier(value)
    if found is None:
        return
    copy, size = found
    before = told(value)
    first = copy(value)
    assert told(first) == before
    spoil(first)
    assert told(copy(value)) == told(value) == before
    assert size > 0


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        set(),
        [1, "two", 3.0, None, True, b"six"],
        {"a": 1, 2: "b", None: datetime.date(2026, 1, 2)},
        {1, 2, 3},
        [{"id": 1}, {"id": 2}, [], {3}],
        {"tags": ["a", "b"], "counts": {"x": 1}, "name": "n"},
    ],
    ids=repr,
)
def test_rows_are_copied(value: Any) -> None:
    found = copier(value)
    assert found is not None
    assert found[0](value) == value


one: list[Any] = []
itself: list[Any] = []
itself.append(itself)


@pytest.mark.parametrize(
    "value",
    [
        *("text", 1, None, b"bytes", (1, 2)),
        *(object(), bytearray(b"x"), Text("x"), OrderedDict(a=1), Point(1, 2)),
        *([object()], [bytearray(b"x")], [Text("x")], [(1, 2)], {"a": Point(1, 2)}),
        *([[[1]]], [{"a": []}], {"a": {"b": []}}, {(1, 2): 3}, [{(1,): 2}]),
        *([one, one], {"a": one, "b": one}, itself),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],  # the same in every process
)
def test_the_rest_is_not(value: Any) -> None:
    assert copier(value) is None


@pytest.mark.parametrize(
    "value", [{"a": 1}, [1], {1}, [{"a": [1]}], [[1], {"b": 2}], {"a": {"b": 1}}], ids=repr
)
def test_every_reader_has_his_own(tmp_path: Path, value: Any) -> None:
    cache = Cache(tmp_path)
    cache["key"] = value
    expected = told(value)
    for _ in range(WARM):
        for found in (cache["key"], cache.get_many(["key"])["key"]):
            assert told(found) == expected
            spoil(found)


def test_the_budget_counts_what_is_loaded(tmp_path: Path) -> None:
    cache = Cache(tmp_path, near_cache_size=200_000)
    near = cache.engine.near
    for number in range(1000):
        cache[f"key{number}"] = dict.fromkeys(range(20), "x")
    for _ in range(3):
        for number in range(1000):
            for _ in range(WARM + 2):
                assert len(cache[f"key{number}"]) == 20
            assert near.size <= 200_000
    assert 10 < len(near) < 1000
    near.clear()
    assert near.size == 0
