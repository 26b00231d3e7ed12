"""Keys and tags on a server: what it is asked, and what only a server has to fear."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from django_diskcache.engine.patterns import read
from django_diskcache.server import ServerCache
from django_diskcache.server.envelope import tag_name
from django_diskcache.server.searching import like

from .conftest import listening
from .servers import Server

Make = Callable[..., ServerCache]


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("user:*", b"user:*"),
        ("user:?1", b"user:*1"),
        ("*[ab]?x", b"*x"),
        (r"a\*b", rb"a\*b"),
        ("a[*]", b"a*"),
        ("é-", "é".encode() + rb"\-"),
        ("a?" * 20, b"a*" * 8),
        ("", b""),
    ],
)
def test_the_server_is_asked_for_no_less(pattern: str, asked: bytes) -> None:
    assert like(read(pattern).tokens) == asked


def test_other_caches_on_the_server_are_left_alone(server: Server, make_cache: Make) -> None:
    cache = make_cache(server)
    sub, other = cache.cache("sub"), make_cache(server, name="other*")
    for each in (cache, sub, other):
        each.set_many({"a": 1, "b": 2}, tag="tag")

    assert sorted(cache.keys()) == sorted(cache.keys_by_tag("tag")) == ["a", "b"]
    assert other.delete_pattern("*") == 2
    assert cache.delete_prefix("a") == 1
    assert sub.evict(("tag", "more"), match="all") == 0
    assert sorted(sub.keys()) == ["a", "b"]


def test_hints_that_are_out_of_date_are_none(server: Server, cache: ServerCache) -> None:
    keys = [f"{number}" for number in range(20)]
    for key in keys:
        cache.set(key, 1, tag=("a", "b", "c"))
    for key in keys[:5]:
        cache.delete(key)
    for key in keys[5:10]:
        cache.set(key, 2, tag=("a", "c"))

    assert sorted(cache.keys_by_tag(("b", "c"), match="all")) == sorted(keys[10:])
    assert sorted(cache.keys_by_tag(("b", "c"))) == sorted(keys[5:])
    assert sorted(cache.keys(tag="a")) == sorted(keys[5:])
    assert cache.evict(("a", "b"), match="all") == 10
    assert cache.evict(("b", "c")) == 5
    assert len(cache) == 0


def test_all_of_several_in_one_bucket(cache: ServerCache) -> None:
    """Where each has entries that the other has not."""
    numbers = (f"{number}" for number in range(10_000))
    keys = [key for key in numbers if cache.engine.place(key)[1] & 255 == 3][:20]
    for number, key in enumerate(keys):
        cache.set(key, number, tag=(("a", "b"), "a", "b", ("b", "c"))[number % 4])

    assert cache.keys_by_tag(("a", "c"), match="all") == []
    assert sorted(cache.keys_by_tag(("a", "b"), match="all")) == sorted(keys[::4])
    assert sorted(cache.keys_by_tag(("a", "b"))) == sorted(keys)
    assert cache.evict(("b", "a"), match="all") == 5
    assert cache.evict(("a", "c"), match="all") == 0
    assert len(cache) == 15
    assert (cache.evict("a"), cache.evict("b")) == (5, 10)


def test_some_tags_of_many(cache: ServerCache) -> None:
    """More than one script takes at a time, and entries that have several of them."""
    tags = [f"tag{number}" for number in range(250)]
    for number in range(249):
        cache.set(f"{number}", number, tag=(tags[number], tags[number + 1]))
    cache.set("other", 1, tag="other")

    assert sorted(cache.keys_by_tag(tags), key=int) == [f"{number}" for number in range(249)]
    assert cache.evict(tags) == 249
    assert cache.keys() == ["other"]


def test_a_tag_that_nothing_can_load(server: Server, cache: ServerCache) -> None:
    """A key that was not signed is passed over, and the others are found."""
    cache.set(("pickled", 1), 1, tag="tag")
    cache.set("text", 1, tag="tag")
    name, number, _ = cache.engine.place(("pickled", 1))
    forged = name[: cache.engine._body] + b"forged" + name[cache.engine._body :]
    hints = cache.engine.hints(number & 255, tag_name("tag"))
    with server.client() as client:
        client.rename(name, forged)
        client.sadd(hints, forged)

    assert cache.keys_by_tag("tag") == ["text"]
    assert cache.keys(tag="tag") == ["text"]


def test_there_is_no_order(cache: ServerCache) -> None:
    for order in ("newest", "oldest"):
        with pytest.raises(NotImplementedError, match=f"order='{order}'.*when entries were"):
            cache.keys(order=order)
    with pytest.raises(ValueError, match="order='new': expected"):
        cache.iter_keys(order="new")  # type: ignore[arg-type]


def test_what_was_removed_is_forgotten(cache: ServerCache) -> None:
    listening(cache).set("key", 1)
    assert cache.get("key") == 1
    assert cache.engine.near.knows("key")
    assert cache.delete_pattern("k*") == 1
    assert cache.get("key") is None
