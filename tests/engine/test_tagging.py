"""Tags as they stand in a row."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_diskcache.engine import tagging, tagsql
from django_diskcache.engine.sqlite import sqlite3

TAGS = st.one_of(
    st.text("ab\0\1\2sé", max_size=5),
    st.binary(max_size=3),
    st.text("ab\0\1\2s", max_size=4).map(str.encode),
    st.integers(-3, 3),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.integers(-3, 3).map(float),
    st.sampled_from([2**53 + 1, float(2**53), 2**53, -(2.0**63), 2.0**63, 1e300]),
)


def equal(one: Any, other: Any) -> bool:
    """Whether SQLite takes two tags for one."""
    numbers = [isinstance(each, (int, float)) for each in (one, other)]
    return one == other and (all(numbers) or type(one) is type(other))


@given(st.lists(TAGS, min_size=1, max_size=5))
@example([tagging.stored(("a", "b"))])
@example(["tags", "tags"])
def test_what_is_stored_comes_back(tags: list[Any]) -> None:
    kept = [tag for n, tag in enumerate(tags) if not any(equal(tag, e) for e in tags[:n])]
    found = tagging.all_of(tagging.stored(tags))
    assert found == tuple(kept)
    assert [type(tag) for tag in found] == [type(tag) for tag in kept]
    assert tagging.given(tagging.stored(tags)) == (found if len(found) > 1 else found[0])
    assert tagging.is_sound(tagging.stored(tags))


@given(st.lists(TAGS, min_size=2, max_size=5), TAGS)
@example(["a", "b"], "tags")
@example([1, "1"], 1.0)
@example([b"\0", b"\1\1"], b"\1\1")
def test_a_needle_is_in_a_blob_that_has_the_tag_and_in_no_other(
    tags: list[Any], wanted: Any
) -> None:
    column = tagging.stored(tags)
    if not tagging.several(column):
        return
    needles = tagging.needles(wanted)
    sql = f"SELECT {tagsql.has_tags((len(needles),))} FROM (SELECT ? AS tag)"
    with sqlite3.connect(":memory:") as connection:
        ((there,),) = connection.execute(sql, (*needles, column))
    connection.close()
    assert bool(there) is any(equal(tag, wanted) for tag in tags)
    if there:
        assert tagging.mark(wanted) in tagging.marks(column)


def test_what_is_one_stands_as_it_is() -> None:
    for tag in ("a", b"a", 1, 1.5, True, None):
        assert tagging.stored(tag) is tag
        assert tagging.stored([tag] if tag is not None else ()) == tag


def test_subclasses_are_taken_for_what_they_are() -> None:
    class Name(str):
        __slots__ = ()

    class Number(float):
        def __repr__(self) -> str:
            return "Number"

    assert tagging.all_of(tagging.stored((Name("a"), Number(1.5)))) == ("a", 1.5)


def test_the_order_of_a_set_is_always_the_same() -> None:
    tags = [f"tag-{number}" for number in range(20)]
    assert tagging.stored(set(tags)) == tagging.stored(frozenset(reversed(tags)))


@pytest.mark.parametrize(
    "column",
    [
        tagging.HEAD,
        tagging.HEAD + b"sa",
        tagging.HEAD + b"\0",
        tagging.HEAD + b"sa\0\0",
        tagging.HEAD + b"xa\0",
        tagging.HEAD + b"s\xff\0",
        tagging.HEAD + b"ione\0",
        tagging.HEAD + b"i9223372036854775808\0",
        tagging.HEAD + b"f\0",
    ],
)
def test_what_is_none_of_ours(column: bytes) -> None:
    assert not tagging.is_sound(column)
    with pytest.raises(ValueError, match=r"of ours|literal|decode|convert"):
        tagging.all_of(column)
