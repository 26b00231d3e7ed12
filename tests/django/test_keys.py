"""Keys on the backend: as the caller wrote them, whatever KEY_FUNCTION makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from django_diskcache import DjangoCache

from .conftest import MakeCache, in_files


def around(key: str, key_prefix: str, version: int) -> str:
    """A KEY_FUNCTION that puts something behind the key."""
    return f"{version}*{key}?{key_prefix}"


def digest(key: str, key_prefix: str, version: int) -> str:
    """One that the key cannot be told from."""
    return f"{hash((key, key_prefix, version))}"


def digest_of_long(key: str, key_prefix: str, version: int) -> str:
    """One that keeps most keys, as for memcached."""
    made = f"{key_prefix}:{version}:{key}"
    return made if len(made) <= 200 else digest(key, key_prefix, version)


def quoted(key: str, key_prefix: str, version: int) -> str:
    """One that keeps keys without special characters."""
    return quote(f"{key_prefix}:{version}:{key}", safe=":\0")


def small(key: str, key_prefix: str, version: int) -> str:
    """One that keeps keys without capitals."""
    return f"{key_prefix}:{version}:{key.lower()}"


def some_refused(key: str, key_prefix: str, version: int) -> str:
    """One that takes short keys only."""
    if len(key) > 200:
        raise ValueError("too long")
    return f"{key_prefix}:{version}:{key}"


def ordered(cache: DjangoCache, order: str) -> dict[str, Any]:
    """The argument `order`, where the engine knows one."""
    return {"order": order} if in_files(cache) else {}


PREFIXES = ["", "site", "*", "a[b]", "é\U0010ffff"]


@pytest.mark.filterwarnings("ignore:Cache key")
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("function", [None, around], ids=["default", "around"])
def test_a_prefix_is_no_pattern(make_cache: MakeCache, prefix: str, function: Any) -> None:
    caches = [
        make_cache(KEY_PREFIX=each, KEY_FUNCTION=function, SHARDS=1)
        for each in (*PREFIXES, "xx", "ab")
    ]
    for each in caches:
        each.set_many({"key:1": 1, "key:2": 2, "other": 3})
        each.set("key:1", 1, version=10)
    cache = make_cache(KEY_PREFIX=prefix, KEY_FUNCTION=function, SHARDS=1)

    assert sorted(cache) == sorted(cache.keys()) == ["key:1", "key:2", "other"]
    assert cache.keys("key:?", version=10) == ["key:1"]
    assert sorted(cache.iter_keys("*e*", prefix="k")) == ["key:1", "key:2"]
    assert cache.keys("*", prefix="key:1?") == []  # what stands behind is none of it
    assert cache.keys("*", 10, **ordered(cache, "oldest")) == ["key:1"]
    before = len(cache)
    assert cache.delete_pattern("key:*", prefix="key:2") == 1
    assert cache.delete_prefix("key:", version=10) == 1
    assert len(cache) == before - 2
    cache.clear(prefix="key:")
    assert len(cache) == before - 3
    cache.clear(version=1)
    assert len(cache) == before - 4
    assert cache.keys() == []
    cache.clear(10, "missing")
    assert cache.clear() is None  # type: ignore[func-returns-value]
    assert len(cache) == 0


def test_the_second_argument_is_that_of_django_redis(cache: DjangoCache) -> None:
    cache.set_many({f"foo_{number}": 1 for number in range(5)})
    cache.set("foo_v", 1, version=2)
    assert len(list(cache.iter_keys("foo_*", 1000))) == 5
    assert list(cache.iter_keys("foo_*", 2, 2)) == ["foo_v"]
    with pytest.raises(ValueError, match="itersize=0"):
        cache.iter_keys("foo_*", 0)


@pytest.mark.parametrize("function", [digest_of_long, quoted, small])
def test_a_function_that_changes_some_keys(make_cache: MakeCache, function: Any) -> None:
    cache = make_cache(KEY_FUNCTION=function)
    cache.set("key", 1)
    for call in (cache.keys, lambda: cache.clear(version=1)):
        with pytest.raises(NotImplementedError, match="other keys of long ones"):
            call()
    assert cache.get("key") == 1


def test_a_function_that_refuses_some_keys(make_cache: MakeCache) -> None:
    cache = make_cache(KEY_FUNCTION=some_refused)
    cache.set("key", 1)
    assert cache.keys() == ["key"]


def test_an_unknown_key_function(make_cache: MakeCache) -> None:
    cache = make_cache(KEY_FUNCTION=digest)
    cache.set("key", 1)
    calls: list[Callable[[], object]] = [
        cache.keys,
        cache.iter_keys,
        lambda: iter(cache),
        lambda: cache.delete_pattern("*"),
        lambda: cache.delete_prefix("k"),
        lambda: cache.clear(version=1),
        lambda: cache.clear(prefix="k"),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError, match="the original is not part of"):
            call()
    assert cache.get("key") == 1


def test_clear_takes_no_wrong_prefix(cache: DjangoCache) -> None:
    cache.set("key", 1)
    for wrong in (b"k", 7):
        with pytest.raises(TypeError, match=r"prefix=.*expected a text"):
            cache.clear(prefix=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="prefix=None"):
        cache.delete_prefix(None)  # type: ignore[arg-type]
    assert cache.get("key") == 1


def test_the_twins(cache: DjangoCache) -> None:
    async def main() -> None:
        await cache.aset_many({f"key:{n}": n for n in range(50)}, tag="tag")
        await cache.aset("other", 1, version=2)
        assert len(await cache.akeys("key:*")) == 50
        assert await cache.akeys("o*", 2, prefix="other") == ["other"]
        assert len([key async for key in cache.aiter_keys("key:?")]) == 10
        assert [key async for key in cache.aiter_keys("o*", 7, 2)] == ["other"]
        found = [
            key
            async for key in cache.aiter_keys(tag="tag", itersize=7, **ordered(cache, "newest"))
        ]
        assert sorted(found) == sorted(f"key:{n}" for n in range(50))
        with pytest.raises(ValueError, match="itersize=0"):
            [key async for key in cache.aiter_keys(itersize=0)]
        assert await cache.adelete_pattern("key:1?", prefix="key", itersize=3) == 10
        assert await cache.adelete_prefix("o", version=2) == 1
        assert await cache.adelete_prefix("key:2") == 11
        await cache.aclear(prefix="key:3")
        assert len(await cache.akeys()) == 18
        await cache.aclear()
        assert len(cache) == 0

    asyncio.run(main())
