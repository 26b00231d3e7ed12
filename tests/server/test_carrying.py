"""Deques and indexes on a server by the page, while others use them, and stored anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.outgoing import Whole
from django_diskcache.server import ServerCache, carrying
from tests.moving.changing import (
    EXPECTED_KEYS,
    EXPECTED_VALUES,
    all_of,
    items_under_change,
    values_under_change,
)

from .servers import Server

Make = Callable[..., ServerCache]


def wholes(values: Iterable[Any]) -> list[Whole]:
    return [Whole(None, value, None, None, 0) for value in values]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three."""
    monkeypatch.setattr(carrying, "PAGE", 3)


@pytest.mark.usefixtures("few")
def test_a_deque_in_its_order(cache: ServerCache) -> None:
    deque = cache.deque("tasks")
    (page,) = deque.cache.whole_pages()
    assert page.entries == []
    for number in range(10):
        deque.appendleft(number)
    found = list(deque.cache.whole_pages())
    assert [entry.value for page in found for entry in page.entries] == list(deque)
    assert [page.done for page in found] == [0.3, 0.6, 0.9, 1.0]


@pytest.mark.usefixtures("few")
def test_a_deque_that_others_change(cache: ServerCache) -> None:
    """At its ends: what stays comes once, in its order."""
    deque = cache.deque("tasks")
    assert values_under_change(deque, deque.cache.whole_pages()) == EXPECTED_VALUES


@pytest.mark.usefixtures("few")
def test_a_deque_that_is_emptied(cache: ServerCache) -> None:
    deque = cache.deque("tasks")
    deque.extend(range(10))
    values = (value for _, value in all_of(deque.cache.whole_pages()))
    found = [next(values)]
    deque.clear()
    assert found + list(values) == [0, 1, 2]


@pytest.mark.usefixtures("few")
def test_an_index_that_others_change(cache: ServerCache) -> None:
    """What is moved to an end comes all the same."""
    index = cache.index("index")
    found = items_under_change(index, index.cache.whole_pages())
    assert [key for key, _ in found] == EXPECTED_KEYS
    assert dict(found) == dict(index)
    assert [page.entries for page in cache.index("empty").cache.whole_pages()] == [[]]


def test_pages_are_bounded(cache: ServerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "PAGE_BYTES", 3000)
    values = ["x" * (9000 if n == 50 else 200 * (n % 5)) for n in range(100)]
    cache.deque("tasks").extend(values)
    cache.index("index").update(enumerate(values))
    for pages in (
        list(cache.deque("tasks").cache.whole_pages()),
        list(cache.index("index").cache.whole_pages()),
    ):
        assert [entry.value for page in pages for entry in page.entries] == values
        assert len(pages) < 50
        for page in pages:
            # One may be more than was to be expected by those before it.
            assert sum(entry.size for entry in page.entries[:-1]) < 3000 + 2 * 900


def test_nothing_is_removed_by_a_read(server: Server, make_cache: Make) -> None:
    one, another = make_cache(server), make_cache(server, secret="another")
    one.deque("tasks").extend([[1], "text"])
    one.index("index").update({"a": [1], ("b", 1): 1, "c": 1})
    (page,) = another.deque("tasks").cache.whole_pages()
    assert page.left == {"not signed by this site": 1}
    (page, _) = another.index("index").cache.whole_pages()
    assert page.left == {"not signed by this site": 2}
    assert [entry.key for entry in page.entries] == ["c"]
    assert list(one.deque("tasks")) == [[1], "text"]
    assert len(one.index("index")) == 3


# Stored anew


def test_it_is_one_step_for_others(
    server: Server, cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "PAGE", 1)  # value that waits for others
    deque = cache.deque("tasks")
    deque.extend("abc")
    deque.popleft()
    with deque.cache.refilling(True) as filling:
        assert filling.there == 2
        for some in ("cd", "e"):
            assert filling.add(wholes(some)) == [True] * len(some)
            assert list(deque) == ["b", "c"]
        with server.client() as client:  # should nobody go on
            (name,) = client.keys("*~*")
            assert 0 < client.pttl(name) <= carrying.KEPT
        assert filling.keep()
    assert list(deque) == ["c", "d", "e"]
    assert deque.popleft() == "c"
    with server.client() as client:
        names = client.keys("*/deque/*")
        assert len(names) == 2
        assert {client.pttl(name) for name in names} == {-1}


def test_what_is_not_kept_goes(
    server: Server, cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "PAGE", 1)
    deque = cache.deque("tasks")
    deque.append("a")
    with pytest.raises(KeyError), deque.cache.refilling(True) as filling:
        filling.add(wholes("bc"))
        raise KeyError
    with deque.cache.refilling(False) as filling:
        filling.add(wholes("bc"))
        assert not filling.keep()  # there is one
    with deque.cache.refilling(True) as filling:
        assert not filling.keep()  # there is nothing to have
    assert list(deque) == ["a"]
    with server.client() as client:
        assert len(client.keys("*/deque/*")) == 1


def test_what_the_server_has_lost_is_told(
    server: Server, cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "PAGE", 1)
    deque = cache.deque("tasks")
    deque.append("a")
    with (
        pytest.raises(Fault, match="has lost what was copied of the deque"),
        deque.cache.refilling(True) as filling,
    ):
        filling.add(wholes("bc"))
        with server.client() as client:
            client.delete(*client.keys("*~*"))
        filling.add(wholes("d"))
        filling.keep()
    assert list(deque) == ["a"]
    with server.client() as client:
        assert len(client.keys("*/deque/*")) == 1


def test_what_cannot_be_stored_is_passed_over(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "LARGEST", 1000)
    monkeypatch.setattr(carrying, "PAGE_BYTES", 50)  # so several steps
    entries = [
        Whole("a", 1, None, None, 0),
        Whole("b", b"x" * 2000, None, None, 0),
        Whole("c", lambda: None, None, None, 0),
        Whole("d", 2, 2e9, None, 0),
        Whole("e", "y" * 100, None, None, 0),
        Whole("f", 3, None, None, 0),
    ]
    with cache.deque("tasks").cache.refilling(True) as filling:
        outcomes = filling.add(entries)
        filling.keep()
    assert [each is True for each in outcomes] == [True, False, False, False, True, True]
    assert list(cache.deque("tasks")) == [1, "y" * 100, 3]
    cache.index("index")["e"] = "there"
    outcomes = cache.index("index").cache.store_whole(entries, False)
    assert [each is True for each in outcomes] == [True, False, False, False, False, True]
    assert outcomes[4] is False
    assert [str(each) for each in outcomes[1:4:2]] == [
        "a value of 2,013 bytes: a server takes 1,000",
        "it expires, which nothing does in a collection on a server",
    ]
    assert list(cache.index("index").items()) == [("e", "there"), ("a", 1), ("f", 3)]
    cache.index("index").cache.store_whole(entries, True)
    assert list(cache.index("index").items()) == [("e", "y" * 100), ("a", 1), ("f", 3)]
