"""What Django documents for a cache backend, and what its own backends do.

A test that takes `any_cache` or `make_any` runs on Django's LocMemCache as well: it holds
because it is the contract, and not because it is what we happen to do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import CacheKeyWarning, InvalidCacheKey
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache

from django_diskcache import Cache, Deque, DjangoCache, Index
from tests.engines import engine_of

from .conftest import FakeClock, MakeAny, MakeCache, in_files, warned


class Point:
    """A value of a class of one's own: equal by its parts."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment]


VALUES = {
    "none": None,
    "false": False,
    "true": True,
    "zero": 0,
    "huge": 10**40,
    "float": 0.1,
    "infinity": float("inf"),
    "empty text": "",
    "text": "Iñtërnâtiônàlizætiøn\n\0",
    "surrogate": "\udc80",
    "empty bytes": b"",
    "bytes": bytes(range(256)),
    "long bytes": bytes(100_000),
    "long text": "ä" * 100_000,
    "list": [1, [2, {3}]],
    "tuple": (1, "a"),
    "dict": {"a": [1, 2], 3: None},
    "date": date(2026, 11, 20),
    "function": threading.get_ident,
    "object": Point(1, 2),
    "large object": [Point(n, n) for n in range(5000)],
}


# set, get, add, delete


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_comes_back_equal_and_of_its_type(any_cache: BaseCache, value: Any) -> None:
    any_cache.set("key", value)
    found = any_cache.get("key", "default")
    assert found == value
    assert type(found) is type(value)


def test_nan_comes_back_as_nan(any_cache: BaseCache) -> None:
    any_cache.set("key", float("nan"))
    found = any_cache.get("key")
    assert isinstance(found, float)
    assert found != found


def test_a_value_is_stored_as_it_is_at_the_call(any_cache: BaseCache) -> None:
    value = [1]
    any_cache.set("key", value)
    value.append(2)
    found = any_cache.get("key")
    assert found == [1]
    found.append(3)
    assert any_cache.get("key") == [1]


def test_get_of_a_missing_key_is_none_or_the_default(any_cache: BaseCache) -> None:
    assert any_cache.get("missing") is None
    assert any_cache.get("missing", "default") == "default"
    assert any_cache.get("missing", default=3) == 3


def test_a_stored_none_is_not_a_missing_key(any_cache: BaseCache) -> None:
    any_cache.set("key", None)
    assert any_cache.get("key", "default") is None
    assert "key" in any_cache


def test_set_overwrites(any_cache: BaseCache) -> None:
    for value in ("small", b"x" * 100_000, {"a": 1}, b"y" * 100_000, 5):
        any_cache.set("key", value)
        assert any_cache.get("key") == value


def test_set_says_that_it_stored(cache: DjangoCache) -> None:
    assert cache.set("key", 1) is True


def test_add_stores_only_what_is_missing(any_cache: BaseCache) -> None:
    assert any_cache.add("key", 1) is True
    assert any_cache.add("key", 2) is False
    assert any_cache.get("key") == 1


def test_add_stores_over_what_has_expired(any_cache: BaseCache, clock: FakeClock) -> None:
    for value in ("small", b"x" * 100_000):
        any_cache.set("key", value, timeout=10)
        clock.advance(10)
        assert any_cache.add("key", "new") is True
        assert any_cache.get("key") == "new"


def test_delete_says_whether_there_was_something(any_cache: BaseCache) -> None:
    any_cache.set_many({"a": "spam", "b": None})
    assert any_cache.delete("a") is True
    assert any_cache.get("a") is None
    assert any_cache.get("b", "default") is None
    assert any_cache.delete("a") is False
    assert any_cache.delete("b") is True


def test_has_key_and_in(any_cache: BaseCache) -> None:
    any_cache.set("here", 0)
    assert any_cache.has_key("here") is True
    assert any_cache.has_key("missing") is False
    assert "here" in any_cache
    assert "missing" not in any_cache


def test_clear_removes_all_and_returns_none(any_cache: BaseCache) -> None:
    any_cache.set_many({"a": 1, "b": b"x" * 100_000})
    any_cache.set("c", 3, version=2)
    assert any_cache.clear() is None  # type: ignore[func-returns-value]
    assert any_cache.get_many(["a", "b"]) == {}
    assert any_cache.get("c", version=2) is None


# Numbers


def test_incr_and_decr(any_cache: BaseCache) -> None:
    any_cache.set("count", 41)
    assert any_cache.incr("count") == 42
    assert any_cache.incr("count", 10) == 52
    assert any_cache.decr("count") == 51
    assert any_cache.decr("count", 11) == 40
    assert any_cache.incr("count", -40) == 0
    assert any_cache.decr("count", 5) == -5
    assert any_cache.get("count") == -5


def test_incr_of_other_numbers(any_cache: BaseCache) -> None:
    any_cache.set("half", 0.5)
    assert any_cache.incr("half") == 1.5
    any_cache.set("large", 2**63 - 1)
    assert any_cache.incr("large") == 2**63
    assert any_cache.get("large") == 2**63
    assert any_cache.decr("large", 2**64) == -(2**63)


@pytest.mark.parametrize("name", ["incr", "decr"])
def test_incr_and_decr_of_a_missing_key(any_cache: BaseCache, name: str) -> None:
    with pytest.raises(ValueError, match="missing"):
        getattr(any_cache, name)("missing")
    with pytest.raises(ValueError):
        getattr(any_cache, name)("missing", -1)
    assert "missing" not in any_cache


def test_incr_of_an_expired_key(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("count", 1, timeout=5)
    clock.advance(6)
    with pytest.raises(ValueError):
        any_cache.incr("count")


@pytest.mark.parametrize("value", ["text", "1", None, [1], b"1"])
@pytest.mark.parametrize("name", ["incr", "decr"])
def test_incr_of_what_is_no_number(any_cache: BaseCache, name: str, value: Any) -> None:
    any_cache.set("key", value)
    with pytest.raises(TypeError):
        getattr(any_cache, name)("key")
    assert any_cache.get("key") == value
    any_cache.set("key", 1)
    assert any_cache.incr("key") == 2


def test_incr_keeps_the_expiry(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("small", 1, timeout=10)
    any_cache.set("large", 2**70, timeout=10)
    clock.advance(9)
    any_cache.incr("small")
    any_cache.incr("large")
    assert any_cache.get_many(["small", "large"]) == {"small": 2, "large": 2**70 + 1}
    clock.advance(2)
    assert any_cache.get_many(["small", "large"]) == {}


def test_incr_keeps_the_tag(cache: DjangoCache) -> None:
    cache.set("count", 1, tag="counters")
    cache.incr("count")
    assert cache.get("count", tag=True) == (2, "counters")


def test_incr_with_a_default(cache: DjangoCache) -> None:
    assert cache.incr("up", default=0) == 1
    assert cache.incr("up", default=0) == 2
    assert cache.decr("down", 2, default=10) == 8
    assert cache.get_many(["up", "down"]) == {"up": 2, "down": 8}


def test_incr_loses_nothing_between_threads(cache: DjangoCache) -> None:
    cache.set("count", 0)

    def count() -> None:
        for _ in range(50):
            cache.incr("count")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("count") == 200


# Timeouts


def test_a_timeout_is_in_seconds(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("set", 1, timeout=10)
    any_cache.add("add", 1, timeout=10)
    any_cache.set_many({"many": 1}, timeout=10)
    any_cache.get_or_set("or_set", 1, timeout=10)
    keys = ["set", "add", "many", "or_set"]
    clock.advance(9)
    assert list(any_cache.get_many(keys)) == keys
    clock.advance(1)
    assert any_cache.get_many(keys) == {}
    assert not any(key in any_cache for key in keys)


def test_a_timeout_may_be_a_fraction(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("key", 1, timeout=0.5)
    clock.advance(0.25)
    assert any_cache.get("key") == 1
    clock.advance(0.25)
    assert any_cache.get("key") is None


def test_timeout_none_is_for_ever(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("set", 1, timeout=None)
    any_cache.add("add", 1, timeout=None)
    any_cache.set_many({"many": 1}, timeout=None)
    any_cache.set("touch", 1, timeout=1)
    any_cache.touch("touch", timeout=None)
    clock.advance(100 * 365 * 86400)
    assert len(any_cache.get_many(["set", "add", "many", "touch"])) == 4


@pytest.mark.parametrize("timeout", [0, -1, -3600])
def test_timeout_zero_or_negative_is_at_once(
    any_cache: BaseCache, clock: FakeClock, timeout: int
) -> None:
    any_cache.set("set", "old")
    any_cache.set("set", "new", timeout=timeout)
    assert any_cache.add("add", 1, timeout=timeout) is True
    any_cache.set_many({"many": 1}, timeout=timeout)
    any_cache.set("touch", 1)
    assert any_cache.touch("touch", timeout=timeout) is True
    clock.advance(-0.5)  # a clock set back a little revives nothing
    keys = ["set", "add", "many", "touch"]
    assert any_cache.get_many(keys) == {}
    assert [any_cache.get(key) for key in keys] == [None] * 4
    assert any_cache.add("set", "again") is True


def test_the_default_timeout_is_five_minutes(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("key", 1)
    clock.advance(299)
    assert any_cache.get("key") == 1
    clock.advance(1)
    assert any_cache.get("key") is None


@pytest.mark.parametrize("timeout", [60, "60", 60.9])
def test_timeout_of_the_settings(make_any: MakeAny, clock: FakeClock, timeout: Any) -> None:
    cache = make_any(TIMEOUT=timeout)
    assert cache.default_timeout == 60
    cache.set("set", 1)
    cache.add("add", 1)
    cache.set_many({"many": 1})
    cache.set("longer", 1, timeout=61)
    clock.advance(60)
    assert cache.get_many(["set", "add", "many", "longer"]) == {"longer": 1}
    cache.touch("longer")
    clock.advance(59)
    assert cache.get("longer") == 1


def test_timeout_none_of_the_settings(make_any: MakeAny, clock: FakeClock) -> None:
    cache = make_any(TIMEOUT=None)
    assert cache.default_timeout is None
    cache.set("key", 1)
    cache.set("short", 1, timeout=10)
    clock.advance(10 * 365 * 86400)
    assert cache.get_many(["key", "short"]) == {"key": 1}


@pytest.mark.parametrize("timeout", [0, -5])
def test_timeout_zero_of_the_settings(make_any: MakeAny, timeout: int) -> None:
    cache = make_any(TIMEOUT=timeout)
    cache.set("key", 1)
    assert cache.get("key") is None
    cache.set("key", 1, timeout=60)
    assert cache.get("key") == 1


def test_lower_case_timeout_of_the_parameters(make_any: MakeAny) -> None:
    assert make_any(timeout=60).default_timeout == 60


def test_set_gives_an_entry_a_new_timeout(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("key", 1, timeout=10)
    clock.advance(5)
    any_cache.set("key", 2, timeout=10)
    clock.advance(9)
    assert any_cache.get("key") == 2


def test_touch(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set("key", "value", timeout=10)
    clock.advance(9)
    assert any_cache.touch("key", timeout=10) is True
    clock.advance(9)
    assert any_cache.get("key") == "value"
    assert any_cache.touch("key") is True
    clock.advance(299)
    assert any_cache.get("key") == "value"
    clock.advance(1)
    assert any_cache.touch("key") is False
    assert any_cache.touch("missing") is False
    assert any_cache.get("missing") is None


def test_get_backend_timeout(make_cache: MakeCache) -> None:
    assert make_cache().get_backend_timeout() == 300
    assert make_cache(TIMEOUT=None).get_backend_timeout() is None
    assert make_cache(TIMEOUT=7).get_backend_timeout() == 7
    cache = make_cache()
    assert cache.get_backend_timeout(1.5) == 1.5
    assert cache.get_backend_timeout(None) is None
    assert cache.get_backend_timeout(-3) == -3
    assert cache.get_backend_timeout(0) == -1  # what has just expired stays so


# get_or_set


def test_get_or_set(any_cache: BaseCache) -> None:
    assert any_cache.get_or_set("key", "first") == "first"
    assert any_cache.get_or_set("key", "second") == "first"
    assert any_cache.get("key") == "first"


def test_get_or_set_calls_a_callable_only_for_a_missing_key(any_cache: BaseCache) -> None:
    calls = []

    def compute() -> str:
        calls.append(1)
        return "computed"

    assert any_cache.get_or_set("key", compute) == "computed"
    assert any_cache.get_or_set("key", compute) == "computed"
    assert len(calls) == 1


def test_get_or_set_of_none(any_cache: BaseCache) -> None:
    assert any_cache.get_or_set("null", None) is None
    assert any_cache.get("null", "default") is None
    assert any_cache.get_or_set("callable", lambda: None) is None
    assert any_cache.get("callable", "default") is None
    assert any_cache.get_or_set("null", "other") is None


def test_get_or_set_takes_timeout_and_version(any_cache: BaseCache, clock: FakeClock) -> None:
    assert any_cache.get_or_set("key", 1, timeout=10, version=2) == 1
    assert any_cache.get("key") is None
    assert any_cache.get("key", version=2) == 1
    assert any_cache.get_or_set("key", 2) == 2
    clock.advance(10)
    assert any_cache.get_or_set("key", 3, version=2) == 3


def test_get_or_set_needs_a_default(any_cache: BaseCache) -> None:
    with pytest.raises(TypeError):
        any_cache.get_or_set("key")  # type: ignore[call-arg]


def test_get_or_set_returns_what_another_added_first(any_cache: BaseCache) -> None:
    def slow() -> str:
        any_cache.set("key", "theirs")
        return "ours"

    assert any_cache.get_or_set("key", slow) == "theirs"


# Many keys


def test_set_many_and_get_many(any_cache: BaseCache) -> None:
    data = {f"key-{number}": number for number in range(50)}
    assert any_cache.set_many(data) == []
    found = any_cache.get_many([*reversed(data), "missing"])
    assert found == data
    assert list(found) == [*reversed(data)]


def test_many_of_none(any_cache: BaseCache) -> None:
    assert any_cache.set_many({}) == []
    assert any_cache.get_many([]) == {}
    assert any_cache.delete_many([]) is None  # type: ignore[func-returns-value]


def test_many_take_iterators(any_cache: BaseCache) -> None:
    any_cache.set_many({"a": 1, "b": 2, "c": 3})
    assert any_cache.get_many(key for key in "abx") == {"a": 1, "b": 2}
    assert any_cache.get_many({"b": 0, "c": 0}) == {"b": 2, "c": 3}
    any_cache.delete_many(key for key in "ab")
    assert any_cache.get_many("abc") == {"c": 3}


def test_get_many_has_stored_none(any_cache: BaseCache) -> None:
    any_cache.set("null", None)
    assert any_cache.get_many(["null", "missing"]) == {"null": None}


def test_get_many_of_keys_that_are_made_into_one(any_cache: BaseCache) -> None:
    any_cache.set("1", "one")
    assert any_cache.get_many([1, "1", 1]) == {1: "one", "1": "one"}


def test_set_many_of_keys_that_are_made_into_one(any_cache: BaseCache) -> None:
    any_cache.set_many({1: "int", "1": "str"})
    assert any_cache.get("1") == "str"


def test_set_many_with_a_tag(cache: DjangoCache) -> None:
    cache.set_many({"a": 1, "b": 2}, tag="letters")
    cache.set("c", 3)
    assert cache.evict("letters") == 2
    assert cache.get_many("abc") == {"c": 3}


def test_set_many_overwrites(any_cache: BaseCache, clock: FakeClock) -> None:
    any_cache.set_many({"a": b"x" * 100_000, "b": 1}, timeout=10)
    any_cache.set_many({"a": 2, "b": b"y" * 100_000}, timeout=20)
    clock.advance(15)
    assert any_cache.get_many("ab") == {"a": 2, "b": b"y" * 100_000}


def test_delete_many(any_cache: BaseCache) -> None:
    any_cache.set_many({"a": 1, "b": b"x" * 100_000, "c": 3})
    any_cache.set("a", "other version", version=2)
    any_cache.delete_many(["a", "b", "missing"])
    assert any_cache.get_many(["a", "b", "c"]) == {"c": 3}
    any_cache.delete_many(["a"], version=2)
    assert any_cache.get("a", version=2) is None


def test_many_with_a_version(any_cache: BaseCache) -> None:
    any_cache.set_many({"a": 1, "b": 2}, version=2)
    assert any_cache.get_many(["a", "b"]) == {}
    assert any_cache.get_many(["a", "b"], version=2) == {"a": 1, "b": 2}


# Keys: versions, prefix, key function


def test_versions_keep_entries_apart(any_cache: BaseCache) -> None:
    any_cache.set("key", "one")
    any_cache.set("key", "two", version=2)
    assert any_cache.get("key") == any_cache.get("key", version=1) == "one"
    assert any_cache.get("key", version=2) == "two"
    assert any_cache.add("key", "three", version=3) is True
    assert any_cache.add("key", "three", version=2) is False
    assert any_cache.has_key("key", version=3) is True
    assert any_cache.has_key("key", version=4) is False
    assert any_cache.touch("key", timeout=None, version=3) is True
    assert any_cache.touch("key", version=4) is False
    assert any_cache.delete("key", version=4) is False
    assert any_cache.delete("key", version=2) is True
    assert any_cache.get("key") == "one"
    any_cache.set("count", 1, version=2)
    assert any_cache.incr("count", 5, version=2) == 6
    assert any_cache.decr("count", 2, version=2) == 4
    with pytest.raises(ValueError):
        any_cache.incr("count")
    with pytest.raises(ValueError):
        any_cache.decr("count", version=1)


def test_version_of_the_settings(make_any: MakeAny) -> None:
    first, second = make_any(), make_any(VERSION=2)
    first.set("key", 1)
    second.set("key", 2)
    assert first.get("key") == 1
    assert second.get("key") == 2
    assert first.get("key", version=2) == 2
    assert second.get("key", version=1) == 1
    assert "key" in second
    second.delete("key")
    assert "key" not in second
    assert "key" in first


def test_prefix_keeps_aliases_apart(make_any: MakeAny) -> None:
    plain, prefixed = make_any(), make_any(KEY_PREFIX="site")
    plain.set("key", "plain")
    prefixed.set("key", "prefixed")
    assert plain.get("key") == "plain"
    assert prefixed.get("key") == "prefixed"
    prefixed.incr_version("key")
    assert prefixed.get("key", version=2) == "prefixed"
    assert plain.get("key", version=2) is None


def test_made_keys_are_those_of_django(make_any: MakeAny) -> None:
    assert make_any().make_key("key") == ":1:key"
    assert make_any(KEY_PREFIX="site", VERSION=3).make_key("key") == "site:3:key"
    assert make_any(KEY_PREFIX="site").make_key("key", version=7) == "site:7:key"


def shouting_key(key: str, prefix: str, version: int) -> str:
    """What KEY_FUNCTION names in the tests below."""
    return f"SHOUT-{prefix}-{version}-{key.upper()}"


def bracketed_key(key: str, prefix: str, version: int) -> str:
    """A key function that adds something on both sides."""
    return f"{prefix}<{version}<{key}>>"


@pytest.mark.parametrize("function", [shouting_key, f"{__name__}.shouting_key"])
def test_key_function(make_any: MakeAny, function: Any) -> None:
    cache = make_any(KEY_FUNCTION=function, KEY_PREFIX="p")
    assert cache.make_key("key") == "SHOUT-p-1-KEY"
    cache.set("key", 1)
    assert cache.get("KEY") == 1
    assert cache.get_many(["key", "Key", "other"]) == {"key": 1, "Key": 1}
    assert cache.incr_version("Key") == 2
    assert cache.get("key", version=2) == 1


def test_keys_need_not_be_texts(any_cache: BaseCache) -> None:
    any_cache.set(5, "five")
    any_cache.set(None, "none")
    assert any_cache.get("5") == "five"
    assert any_cache.get(None) == any_cache.get("None") == "none"


@pytest.mark.parametrize("key", ["ключ", "\U0001f511", "quote'\";--", "%s", "a" * 200])
def test_keys_of_any_characters(any_cache: BaseCache, key: str) -> None:
    any_cache.set(key, 1)
    assert any_cache.incr(key) == 2
    assert any_cache.get_many([key]) == {key: 2}
    assert key in any_cache
    assert any_cache.delete(key) is True


def test_incr_version_and_decr_version(any_cache: BaseCache) -> None:
    any_cache.set("key", "value", version=2)
    assert any_cache.incr_version("key", version=2) == 3
    assert any_cache.get("key", version=2) is None
    assert any_cache.get("key", version=3) == "value"
    assert any_cache.decr_version("key", version=3) == 2
    assert any_cache.incr_version("key", delta=5, version=2) == 7
    assert any_cache.decr_version("key", delta=6, version=7) == 1
    assert any_cache.get("key") == "value"
    assert any_cache.incr_version("key") == 2
    assert any_cache.get("key") is None


def test_incr_version_leaves_what_it_cannot_store_anew(cache: DjangoCache) -> None:
    cache.set("key", "x" * 2_000_000)
    face: Any = cache._cache
    face.reset("size_limit", 2_000_000)
    assert cache.incr_version("key") == 1
    assert cache.get("key") == "x" * 2_000_000
    assert cache.get("key", version=2) is None


@pytest.mark.parametrize("name", ["incr_version", "decr_version"])
def test_incr_version_of_a_missing_key(any_cache: BaseCache, name: str) -> None:
    any_cache.set("key", 1)
    with pytest.raises(ValueError, match="missing"):
        getattr(any_cache, name)("missing")
    with pytest.raises(ValueError, match="key"):
        getattr(any_cache, name)("key", version=5)


@pytest.mark.parametrize("value", [None, "small", b"x" * 100_000])
def test_incr_version_keeps_expiry_and_tag(
    cache: DjangoCache, clock: FakeClock, value: Any
) -> None:
    cache.set("key", value, timeout=1000, tag="t")
    cache.set("eternal", value, timeout=None)
    clock.advance(400)
    cache.incr_version("key")
    cache.incr_version("eternal")
    found = cache.get("key", version=2, expire_time=True, tag=True)
    assert found == (value, clock.now + 600, "t")
    assert cache.get("eternal", version=2, expire_time=True) == (value, None)
    cache.decr_version("key", version=2)
    assert cache.get("key", expire_time=True) == (value, clock.now + 600)


def test_incr_version_of_an_alias_with_a_version(make_any: MakeAny) -> None:
    cache = make_any(VERSION=3)
    cache.set("key", 1)
    assert cache.incr_version("key") == 4
    assert cache.get("key") is None
    assert cache.decr_version("key", version=4) == 3
    assert cache.get("key") == 1


# Warnings of keys that are not portable

WARNED_KEYS = {
    "space": "key with spaces",
    "newline": "key\nwith newline",
    "control": "key\x01",
    "nul": "key\0",
    "delete": "key\x7f",
    "too long": "x" * 248,
    "much too long": "ä" * 1000,
    "too long, with spaces": "x " * 200,
}
PORTABLE_KEYS = {
    "plain": "key",
    "longest": "x" * 247,
    "no ASCII": "ключ",
    "no-break space": "a\xa0b",
    "C1 control": "a\x85b",
    "line separator": "a\u2028b",
    "no ASCII, longest": "ä" * 247,
}


@pytest.mark.parametrize("key", WARNED_KEYS.values(), ids=WARNED_KEYS.keys())
def test_warned_keys_are_the_same_as_with_locmem(cache: DjangoCache, key: str) -> None:
    django = LocMemCache("warned", {})
    expected = warned(lambda: django.get(key))
    assert expected
    assert all(category is CacheKeyWarning for category, _ in expected)
    assert warned(lambda: cache.get(key)) == expected


@pytest.mark.parametrize("key", PORTABLE_KEYS.values(), ids=PORTABLE_KEYS.keys())
def test_portable_keys_give_no_warning(make_any: MakeAny, key: str) -> None:
    cache = make_any()
    assert warned(lambda: cache.set(key, 1)) == []
    assert cache.get(key) == 1


CALLS: dict[str, Any] = {
    "add": lambda cache, key: cache.add(key, 1),
    "get": lambda cache, key: cache.get(key),
    "set": lambda cache, key: cache.set(key, 1),
    "touch": lambda cache, key: cache.touch(key),
    "delete": lambda cache, key: cache.delete(key),
    "has_key": lambda cache, key: cache.has_key(key),
    "in": lambda cache, key: key in cache,
    "get_or_set": lambda cache, key: cache.get_or_set(key, 1),
    "get_many": lambda cache, key: cache.get_many([key, "other"]),
    "set_many": lambda cache, key: cache.set_many({key: 1, "other": 2}),
    "delete_many": lambda cache, key: cache.delete_many([key, "other"]),
    "incr": lambda cache, key: cache.incr(key),
    "decr": lambda cache, key: cache.decr(key),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_method_warns_as_with_locmem(make_cache: MakeCache, name: str) -> None:
    key = "a key"
    django, ours = LocMemCache(f"every-{name}", {}), make_cache()
    expected: set[Any] = set()
    found: set[Any] = set()
    for cache, texts in ((django, expected), (ours, found)):
        cache.set("made", 1)
        if name in ("incr", "decr"):
            warned(lambda cache=cache: cache.set(key, 1))  # type: ignore[misc]
        texts.update(warned(lambda cache=cache: CALLS[name](cache, key)))  # type: ignore[misc]
    assert found == expected != set()


def test_incr_version_warns_of_both_keys(make_any: MakeAny) -> None:
    cache = make_any()
    warned(lambda: cache.set("a key", 1))
    texts = {text for _, text in warned(lambda: cache.incr_version("a key"))}
    assert len(texts) == 2
    assert any(":1:a key" in text for text in texts)
    assert any(":2:a key" in text for text in texts)


def test_what_we_add_warns_too(cache: DjangoCache) -> None:
    for call in (cache.read, cache.pop):
        found = warned(lambda call=call: call("a key"))  # type: ignore[misc]
        assert [category for category, _ in found] == [CacheKeyWarning]


def test_a_warned_key_works(any_cache: BaseCache) -> None:
    key = "a key\n" * 100
    with pytest.warns(CacheKeyWarning):
        any_cache.set(key, 1)
    with pytest.warns(CacheKeyWarning):
        assert any_cache.get(key) == 1


def test_a_subclass_may_refuse_keys(tmp_path: Path) -> None:
    class Strict(DjangoCache):
        def validate_key(self, key: Any) -> None:
            if " " in key:
                raise InvalidCacheKey(key)

    cache = Strict(tmp_path / "cache", {})
    for name, call in CALLS.items():
        with pytest.raises(InvalidCacheKey):
            call(cache, "a key")
        assert len(cache) == 0, name


# Values that cannot be stored

UNPICKLABLE = {
    "lambda": lambda: None,
    "lock": threading.Lock(),
    "generator": (number for number in range(3)),
    "inside": {"a": [threading.Lock()]},
}


@pytest.mark.parametrize("value", UNPICKLABLE.values(), ids=UNPICKLABLE.keys())
@pytest.mark.parametrize("name", ["set", "add", "set_many"])
def test_unpicklable_values_raise_what_locmem_raises(
    cache: DjangoCache, name: str, value: Any
) -> None:
    def store(into: BaseCache) -> None:
        if name == "set_many":
            into.set_many({"key": value})
        else:
            getattr(into, name)("key", value)

    with pytest.raises(Exception) as expected:
        store(LocMemCache("unpicklable", {}))
    with pytest.raises(type(expected.value)) as found:
        store(cache)
    assert type(found.value) is type(expected.value)
    assert str(found.value) == str(expected.value)
    assert "key" not in cache
    cache.set("key", 1)
    with pytest.raises(type(expected.value)):
        cache.set("key", value)
    assert cache.get("key") == 1


# Limits on the number of entries


@pytest.mark.parametrize(("frequency", "left"), [(3, 29), (0, 19), (2, 19), (None, 29)])
def test_max_entries_and_cull_frequency(
    make_any: MakeAny, clock: FakeClock, frequency: int | None, left: int
) -> None:
    options = {"MAX_ENTRIES": 30}
    if frequency is not None:
        options["CULL_FREQUENCY"] = frequency
    cache = make_any(OPTIONS=options)
    keys = [f"key-{number}" for number in range(49)]
    for key in keys:
        clock.advance(0.01)
        cache.set(key, "value", timeout=1000)
    there = [key in cache for key in keys]
    assert sum(there) == left
    assert there[-1]


def test_max_entries_beside_options(make_cache: MakeCache) -> None:
    cache = make_cache(MAX_ENTRIES=30, CULL_FREQUENCY=3)
    for number in range(49):
        cache.set(f"key-{number}", number)
    assert len(cache) == 29


def test_the_oldest_go_first(make_cache: MakeCache, clock: FakeClock) -> None:
    cache = make_cache(OPTIONS={"MAX_ENTRIES": 30, "CULL_FREQUENCY": 3})
    for number in range(31):
        clock.advance(1)
        cache.set(str(number), number)
    assert sorted(cache, key=int) == [str(number) for number in range(10, 31)]


def test_expired_entries_go_before_live_ones(make_cache: MakeCache, clock: FakeClock) -> None:
    cache = make_cache(OPTIONS={"MAX_ENTRIES": 30, "CULL_FREQUENCY": 3})
    for number in range(20):
        cache.set(f"live-{number}", 1, timeout=None)
    for number in range(10):
        cache.set(f"dead-{number}", 1, timeout=5)
    clock.advance(10)
    cache.set("last", 1)
    assert len(list(cache)) == 21


def test_overwriting_culls_nothing(make_cache: MakeCache) -> None:
    cache = make_cache(OPTIONS={"MAX_ENTRIES": 5})
    for number in range(5):
        cache.set(f"key-{number}", number)
    for _ in range(20):
        cache.set("key-3", "again")
        cache.incr("key-1")
    assert len(cache) == 5


@pytest.mark.parametrize("method", ["add", "set_many", "incr", "get_or_set"])
def test_every_way_to_store_keeps_max_entries(make_cache: MakeCache, method: str) -> None:
    cache = make_cache(OPTIONS={"MAX_ENTRIES": 30})
    for number in range(49):
        key = f"key-{number}"
        if method == "add":
            assert cache.add(key, 1)
        elif method == "set_many":
            assert cache.set_many({key: 1}) == []
        elif method == "incr":
            assert cache.incr(key, default=0) == 1
        else:
            assert cache.get_or_set(key, 1) == 1
        assert key in cache
        assert len(cache) <= 30


def test_no_limit_unless_given(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=2)
    data = {f"key-{number}": number for number in range(1000)}
    cache.set_many(data)
    assert len(cache) == 1000
    assert cache.get_many(data) == data


# Close, and what lasts


def test_close_and_use_again(any_cache: BaseCache) -> None:
    any_cache.set("key", 1)
    any_cache.close()
    assert any_cache.get("key") == 1
    any_cache.close(signal=None, sender=object)
    any_cache.close()
    assert any_cache.incr("key") == 2


def test_shutdown_and_use_again(cache: DjangoCache) -> None:
    cache.set("key", 1)
    cache.shutdown()
    assert [store.database.opened for store in engine_of(cache).stores] == [0] * 8
    assert cache.get("key") == 1
    cache.shutdown()
    cache.shutdown()


def test_two_backend_objects_share_their_entries(make_any: MakeAny) -> None:
    first, second = make_any(), make_any()
    first.set("key", [1])
    assert second.get("key") == [1]
    second.delete("key")
    assert first.get("key") is None


# What the backend has beyond Django's


def test_iteration_gives_keys_as_the_caller_wrote_them(
    make_cache: MakeCache, clock: FakeClock
) -> None:
    cache = make_cache(KEY_PREFIX="site")
    keys = ["a", "b:c", "ключ", "\U0010ffff", "z" * 200]
    cache.set_many(dict.fromkeys(keys, 1))
    cache.set("gone", 1, timeout=5)
    cache.set("second", 1, version=2)
    make_cache(KEY_PREFIX="other").set("theirs", 1)
    make_cache().set("plain", 1)
    clock.advance(6)
    assert sorted(cache) == sorted(keys)
    assert list(make_cache(KEY_PREFIX="site", VERSION=2)) == ["second"]
    assert list(make_cache()) == ["plain"]


def test_iteration_with_a_key_function(make_cache: MakeCache) -> None:
    cache = make_cache(KEY_FUNCTION=bracketed_key, KEY_PREFIX="p")
    cache.set_many({"a": 1, "b>": 2})
    assert sorted(cache) == ["a", "b>"]
    with pytest.raises(NotImplementedError, match="KEY_FUNCTION"):
        list(make_cache(KEY_FUNCTION=lambda key, prefix, version: str(hash(key))))


def test_iteration_while_entries_come_and_go(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=1)
    cache.set_many({f"key-{number:04d}": number for number in range(2500)})
    seen: list[str] = []
    keys: Iterator[str] = iter(cache)
    for key in keys:
        seen.append(key)
        cache.delete(key)
        cache.set(f"a-{key}", 1)  # before all that is still to come
    expected = [f"key-{number:04d}" for number in range(2500)]
    if in_files(cache):
        assert seen == expected
    else:  # in no order, and what was stored meanwhile may be among them
        assert sorted(key for key in seen if key.startswith("key-")) == expected


def test_len_counts_the_directory(make_cache: MakeCache) -> None:
    cache = make_cache()
    assert len(cache) == 0
    cache.set("a", 1)
    cache.set("a", 1, version=2)
    make_cache(KEY_PREFIX="other").set("a", 1)
    assert len(cache) == 3


def test_an_empty_cache_is_true(cache: DjangoCache) -> None:
    assert cache


def test_volume_counts_what_is_stored(cache: DjangoCache) -> None:
    before = cache.volume()
    assert isinstance(before, int)
    cache.set("large", b"x" * 1_000_000)
    assert cache.volume() >= before + 1_000_000
    cache.delete("large")
    assert cache.volume() < before + 1_000_000


def test_read_of_a_file_and_of_bytes(cache: DjangoCache, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"content" * 1000)
    with path.open("rb") as file:
        assert cache.set("file", file, read=True) is True
    assert cache.set("bytes", b"few", read=True) is True
    with path.open("rb") as file:
        assert cache.add("file", file, read=True) is False
        assert cache.add("added", file, read=True) is True
    for key, content in (("file", b"content" * 1000), ("bytes", b"few")):
        with cache.read(key) as handle:
            assert handle.read() == content
        with cache.get(key, read=True) as handle:
            assert handle.read() == content
        assert cache.get(key) == content


def test_read_of_bytes_that_were_set_without_it(cache: DjangoCache) -> None:
    cache.set_many({"small": b"few", "large": b"x" * 100_000})
    for key, content in (("small", b"few"), ("large", b"x" * 100_000)):
        with cache.read(key) as handle:
            assert handle.read() == content


def test_read_of_a_missing_key(cache: DjangoCache, clock: FakeClock) -> None:
    assert cache.read("missing") is None
    cache.set("short", b"x", timeout=5, read=True)
    cache.set("second", b"x", version=2, read=True)
    clock.advance(5)
    assert cache.read("short") is None
    assert cache.read("second") is None
    with cache.read("second", version=2) as handle:
        assert handle.read() == b"x"


@pytest.mark.parametrize("value", ["text", 5, None, ["bytes"]])
def test_set_with_read_takes_files_and_bytes_only(cache: DjangoCache, value: Any) -> None:
    cache.set("key", "before")
    with pytest.raises(TypeError, match="read=True"):
        cache.set("key", value, read=True)
    assert cache.get("key") == "before"


def test_set_with_read_refuses_a_text_file(cache: DjangoCache, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("text")
    with path.open() as file, pytest.raises(TypeError, match="binary"):
        cache.set("key", file, read=True)
    assert "key" not in cache
    assert list((tmp_path / "django_diskcache").rglob("*.val")) == []


def test_pop(cache: DjangoCache, clock: FakeClock) -> None:
    cache.set("key", [1], timeout=10, tag="t")
    assert cache.pop("key", expire_time=True, tag=True) == ([1], clock.now + 10, "t")
    assert cache.pop("key") is None
    assert cache.pop("key", "default") == "default"
    assert cache.pop("key", "default", expire_time=True) == ("default", None)
    assert cache.pop("key", "default", tag=True) == ("default", None)
    cache.set("key", 2, version=2)
    assert cache.pop("key") is None
    assert cache.pop("key", version=2) == 2
    cache.set("short", 1, timeout=5)
    clock.advance(5)
    assert cache.pop("short", "default") == "default"


def test_get_with_expire_time_and_tag(cache: DjangoCache, clock: FakeClock) -> None:
    cache.set("key", 1, timeout=10, tag="t")
    cache.set("eternal", 2, timeout=None)
    assert cache.get("key", expire_time=True) == (1, clock.now + 10)
    assert cache.get("key", tag=True) == (1, "t")
    assert cache.get("key", expire_time=True, tag=True) == (1, clock.now + 10, "t")
    assert cache.get("eternal", expire_time=True, tag=True) == (2, None, None)
    assert cache.get("missing", 0, expire_time=True, tag=True) == (0, None, None)


def test_evict_removes_what_has_the_tag(cache: DjangoCache) -> None:
    cache.set("a", 1, tag="red")
    cache.add("b", 2, tag="red")
    cache.set("c", 3, tag="blue")
    cache.set("d", 4, tag=5)
    cache.set("e", 5)
    assert cache.evict("red") == 2
    assert cache.evict("red") == 0
    assert cache.evict(5) == 1
    assert cache.get_many("abcde") == {"c": 3, "e": 5}
    cache.create_tag_index()
    assert cache.evict("blue") == 1
    cache.drop_tag_index()
    assert list(cache) == ["e"]


def test_expire_removes_what_has_expired(cache: DjangoCache, clock: FakeClock) -> None:
    for number in range(20):
        cache.set(f"key-{number}", b"x" * 80_000, timeout=number + 1)
    clock.advance(5)
    assert len(cache) == 20
    assert cache.expire() == 5
    assert cache.expire() == 0
    assert len(cache) == 15


def test_cull_brings_the_volume_within_the_limit(make_cache: MakeCache) -> None:
    limit = 2**20
    cache = make_cache(SHARDS=2, OPTIONS={"size_limit": limit, "cull_limit": 0})
    for number in range(100):
        cache.set(f"key-{number}", b"x" * 80_000)
    assert cache.volume() > limit
    removed = cache.cull()
    assert removed > 0
    assert len(cache) == 100 - removed
    assert cache.volume() <= limit
    assert cache.cull() == 0


def test_stats_count_hits_and_misses(cache: DjangoCache) -> None:
    cache.set("key", 1)
    cache.get("key")
    cache.get("key")
    cache.get("missing")
    assert cache.has_key("key")
    assert cache.stats() == (2, 1)
    assert cache.stats(reset=True) == (2, 1)
    assert cache.stats(enable=False) == (0, 0)
    cache.get("key")
    assert cache.stats() == (0, 0)
    cache.get("key")
    assert cache.stats() == (1, 0)


def test_sub_collections_stand_apart(make_cache: MakeCache) -> None:
    cache = make_cache()
    users = cache.cache("users")
    tasks = cache.deque("tasks", maxlen=2)
    found = cache.index("found")
    on_files = cache._cache.engine.in_files
    if on_files:
        assert (type(users), type(tasks), type(found)) == (Cache, Deque, Index)
    users.set("key", 1)
    tasks.extend([1, 2, 3])
    found["key"] = [1]
    cache.set("key", "own")
    assert len(cache) == 1
    cache.clear()
    again = make_cache()
    assert again.cache("users").get("key") == 1
    assert list(again.deque("tasks")) == [2, 3]
    assert dict(again.index("found")) == {"key": [1]}
    assert cache.cache("users") is users
    if on_files:
        for path in (users.directory, tasks.directory, found.directory):
            assert Path(path).is_relative_to(cache.directory)
    for part in (users, tasks.cache, found.cache):
        part.close()


@pytest.mark.parametrize("name", ["", "..", "a/../../b", "/etc", "a\0b", None])
@pytest.mark.parametrize("kind", ["cache", "deque", "index"])
def test_names_of_sub_collections_stay_inside(cache: DjangoCache, kind: str, name: Any) -> None:
    with pytest.raises(ValueError):
        getattr(cache, kind)(name)


def test_memoize(cache: DjangoCache, clock: FakeClock) -> None:
    calls: list[tuple[Any, ...]] = []

    @cache.memoize(timeout=10, tag="sums")
    def total(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return sum(args) + sum(kwargs.values()) or None

    assert total(1, 2) == total(1, 2) == 3
    assert total(1, b=2) == total(1, b=2) == 3
    assert total(0) is total(0) is None
    assert len(calls) == 3
    assert total.__wrapped__(1, 2) == 3
    key = total.__cache_key__(1, 2)
    assert cache.get(key, expire_time=True, tag=True) == (3, clock.now + 10, "sums")
    assert warned(lambda: cache.get(key)) == []
    cache.evict("sums")
    total(1, 2)
    assert len(calls) == 5
    clock.advance(10)
    total(1, 2)
    assert len(calls) == 6


def test_memoize_options(make_cache: MakeCache) -> None:
    cache = make_cache(TIMEOUT=0)
    calls: list[Any] = []

    def note(*args: Any, **kwargs: Any) -> int:
        calls.append(args)
        return len(calls)

    never = cache.memoize(name="never")(note)
    assert never(1) != never(1)
    typed = cache.memoize(name="typed", timeout=60, typed=True)(note)
    assert typed(3) == typed(3) != typed(3.0)
    loose = cache.memoize(name="loose", timeout=60)(note)
    assert loose(3) == loose(3)
    ignoring = cache.memoize(name="ignoring", timeout=60, ignore={0, "request"})(note)
    assert ignoring("me", 1, request=2) == ignoring("you", 1, request=3)
    second = cache.memoize(name="loose", timeout=60, version=2)(note)
    assert second(3) == second(3) != loose(3)
    same = cache.memoize(name="loose", timeout=60)(note)
    assert same(3) == loose(3)
    unhashable = cache.memoize(name="lists", timeout=60)(note)
    assert unhashable([1]) == unhashable([1]) != unhashable([2])
    with pytest.raises(TypeError, match="parentheses"):
        cache.memoize(note)  # type: ignore[arg-type]


def test_a_full_pool_is_a_miss_and_never_a_wait_without_end(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=1, DATABASE_TIMEOUT=0.001)
    cache.set("key", 1)
    database = engine_of(cache).stores[0].database
    borrowed = [database.pool.borrow(0, lambda: False) for _ in range(database.pool.limit)]
    try:
        assert cache.get("key", "default") == "default"
        assert cache.has_key("key") is False
        assert "key" not in cache
        assert cache.get_many(["key"]) == {}
        assert cache.set("key", 2, retry=False) is False
        assert cache.add("new", 2, retry=False) is False
        assert cache.touch("key", retry=False) is False
        assert cache.delete("key", retry=False) is False
        assert cache.pop("key", "default", retry=False) == "default"
    finally:
        for connection in borrowed:
            database.pool.give_back(connection)
    assert cache.get("key") == 1
