"""Tags on the Django cache: prefixes and versions, and the methods for event loops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.cache import cache as proxy
from django.core.cache import caches
from django.core.exceptions import SynchronousOnlyOperation
from django.test import override_settings

from django_diskcache import DjangoCache

from .conftest import MakeCache

TAGS = ("posts", "author:7")


def test_keys_are_those_of_the_prefix_and_version(make_cache: MakeCache) -> None:
    cache, other = make_cache(), make_cache(KEY_PREFIX="other")
    for each in (cache, other):
        each.set("key", 1, tag=TAGS)
        each.set("key", 2, version=2, tag="posts")
    cache.set(7, 1, tag="posts")

    assert sorted(cache.keys_by_tag("posts")) == ["7", "key"]
    assert cache.keys_by_tag("posts", version=2) == ["key"]
    assert cache.keys_by_tag(TAGS, match="all") == ["key"]
    assert cache.tags("key") == TAGS
    assert cache.tags("key", version=2) == ("posts",)
    assert cache.tags("key", version=3) == ()
    assert cache.evict("posts") == 5  # of all


def test_a_key_function_that_hides_the_key(make_cache: MakeCache) -> None:
    cache = make_cache(KEY_FUNCTION=lambda key, prefix, version: str(hash(key)))
    cache.set("key", 1, tag=TAGS)
    assert cache.tags("key") == TAGS
    with pytest.raises(NotImplementedError):
        cache.keys_by_tag("posts")


def test_a_key_function_of_another_form(make_cache: MakeCache) -> None:
    cache = make_cache(KEY_FUNCTION=lambda key, prefix, version: f"{key}|{version}")
    cache.set("key", 1, tag=TAGS)
    cache.set("key", 1, tag=TAGS, version=2)
    assert cache.keys_by_tag("posts") == ["key"]
    assert cache.keys_by_tag("posts", version=2) == ["key"]


def test_another_version_keeps_the_tags(cache: DjangoCache) -> None:
    cache.set("key", 1, tag=TAGS)
    assert cache.incr_version("key") == 2
    assert cache.tags("key", version=2) == TAGS
    assert cache.evict("author:7") == 1


def test_get_or_set_and_the_rest_leave_tags_alone(cache: DjangoCache) -> None:
    cache.set("key", 1, tag=TAGS)
    cache.touch("key", 60)
    cache.incr("key")
    assert cache.get_or_set("key", 9) == 2
    assert cache.tags("key") == TAGS


def test_twins(cache: DjangoCache) -> None:
    async def main() -> None:
        await cache.aset("key", 1, tag=TAGS)
        await cache.aset_many({"many": 1}, tag=TAGS)
        await cache.aadd("new", 1, tag={"new"})
        assert await cache.atags("key") == TAGS
        assert await cache.aget("key", tag=True) == (1, TAGS)
        assert sorted(await cache.akeys_by_tag("posts")) == ["key", "many"]
        assert await cache.aevict(["new", "author:7"], match="all") == 0
        assert await cache.aevict(["new", "author:7"]) == 3

    asyncio.run(main())


def test_transactions_of_the_cache(cache: DjangoCache) -> None:
    cache.set("key", "old", tag=TAGS)
    with cache.transact():
        cache.set("key", "new", tag="other")
        cache.delete("missing")
        with cache.transact():
            cache.set("second", 2)
    assert cache.get("key") == "new"

    with pytest.raises(KeyError), cache.transact():
        assert cache.get("key") == "new"
        cache.set("key", "newer")
        cache.incr("second")
        assert cache.get("key") == "newer"
        raise KeyError
    assert cache.get_many(["key", "second"]) == {"key": "new", "second": 2}


def test_a_transaction_is_not_for_event_loops(cache: DjangoCache) -> None:
    async def main() -> None:
        with pytest.raises(SynchronousOnlyOperation, match="sync_to_async"):
            cache.transact()

    asyncio.run(main())


def test_through_the_proxy(tmp_path: Any) -> None:
    alias = {"BACKEND": "django_diskcache.DjangoCache", "LOCATION": tmp_path / "c"}
    with override_settings(CACHES={"default": alias}):
        proxied: Any = proxy
        proxied.set("key", 1, tag=TAGS)
        assert proxied.tags("key") == TAGS
        default: Any = caches["default"]
        assert default.evict("posts") == 1
