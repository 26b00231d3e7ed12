"""The asynchronous methods: Django's contract again, and that the event loop never waits.

What takes `any_cache` holds for Django's LocMemCache as well, see `test_contract`.
"""

from __future__ import annotations

import asyncio
import inspect
import lzma
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.asynchronous import LARGE
from django_diskcache.methods import base
from tests import locking
from tests.engines import engine_of
from tests.locking import PATIENCE, beside

from .conftest import FakeClock, MakeAny, MakeCache, in_files, warned

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, run in a loop of its own."""
    return asyncio.run(coroutine)


# The contract


def test_set_get_add_delete(any_cache: BaseCache) -> None:
    async def main() -> None:
        await any_cache.aset("key", [1])
        assert await any_cache.aget("key") == [1]
        assert await any_cache.aget("missing") is None
        assert await any_cache.aget("missing", "default") == "default"
        assert await any_cache.aget("missing", default=5) == 5
        assert await any_cache.aadd("key", 2) is False
        assert await any_cache.aadd("new", 2) is True
        assert await any_cache.aget("new") == 2
        assert await any_cache.ahas_key("key") is True
        assert await any_cache.ahas_key("missing") is False
        assert await any_cache.adelete("key") is True
        assert await any_cache.adelete("key") is False
        await any_cache.aset("null", None)
        assert await any_cache.aget("null", "default") is None

    run(main())


def test_both_kinds_of_calls_see_the_same_entries(any_cache: BaseCache) -> None:
    any_cache.set("sync", 1)
    assert run(any_cache.aget("sync")) == 1
    run(any_cache.aset("async", 2))
    assert any_cache.get("async") == 2


def test_set_says_that_it_stored(cache: DjangoCache) -> None:
    assert run(cache.aset("key", 1)) is True
    assert run(cache.aset("key", b"bytes", read=True)) is True


def test_incr_and_decr(any_cache: BaseCache) -> None:
    async def main() -> None:
        await any_cache.aset("count", 41)
        assert await any_cache.aincr("count") == 42
        assert await any_cache.aincr("count", 10) == 52
        assert await any_cache.adecr("count") == 51
        assert await any_cache.adecr("count", 2) == 49
        assert await any_cache.aincr("count", -9) == 40
        with pytest.raises(ValueError, match="missing"):
            await any_cache.aincr("missing")
        with pytest.raises(ValueError, match="missing"):
            await any_cache.adecr("missing")
        await any_cache.aset("text", "1")
        with pytest.raises(TypeError):
            await any_cache.aincr("text")
        assert await any_cache.aget("text") == "1"

    run(main())


def test_incr_with_a_default(cache: DjangoCache) -> None:
    assert run(cache.aincr("up", default=1)) == 2
    assert run(cache.adecr("down", default=1)) == 0


def test_timeouts(any_cache: BaseCache, clock: FakeClock) -> None:
    async def main() -> None:
        await any_cache.aset("ten", 1, timeout=10)
        await any_cache.aadd("added", 1, timeout=10)
        await any_cache.aset_many({"many": 1}, timeout=10)
        await any_cache.aset("default", 1)
        await any_cache.aset("ever", 1, timeout=None)
        await any_cache.aset("zero", 1, timeout=0)
        await any_cache.aset("negative", 1, timeout=-1)
        keys = ["ten", "added", "many", "default", "ever", "zero", "negative"]
        assert list(await any_cache.aget_many(keys)) == keys[:5]
        clock.advance(10)
        assert list(await any_cache.aget_many(keys)) == ["default", "ever"]
        clock.advance(290)
        assert list(await any_cache.aget_many(keys)) == ["ever"]

    run(main())


def test_touch(any_cache: BaseCache, clock: FakeClock) -> None:
    async def main() -> None:
        await any_cache.aset("key", 1, timeout=10)
        clock.advance(9)
        assert await any_cache.atouch("key", timeout=10) is True
        clock.advance(9)
        assert await any_cache.atouch("key") is True
        clock.advance(299)
        assert await any_cache.aget("key") == 1
        assert await any_cache.atouch("key", timeout=0) is True
        assert await any_cache.atouch("key") is False
        assert await any_cache.atouch("missing") is False

    run(main())


def test_get_or_set(any_cache: BaseCache) -> None:
    async def main() -> None:
        assert await any_cache.aget_or_set("key", "first") == "first"
        assert await any_cache.aget_or_set("key", "second") == "first"
        assert await any_cache.aget_or_set("callable", lambda: "computed") == "computed"
        assert await any_cache.aget_or_set("null", None) is None
        assert await any_cache.aget("null", "default") is None
        assert await any_cache.aget_or_set("key", 2, version=2) == 2
        with pytest.raises(TypeError):
            await any_cache.aget_or_set("key")  # type: ignore[call-arg]

    run(main())


def test_many(any_cache: BaseCache) -> None:
    async def main() -> None:
        data = {f"key-{number}": number for number in range(30)}
        assert await any_cache.aset_many(data) == []
        assert await any_cache.aget_many([*data, "missing"]) == data
        assert await any_cache.aget_many(key for key in ("key-1", "x")) == {"key-1": 1}
        await any_cache.adelete_many(key for key in list(data)[1:])
        assert await any_cache.aget_many(data) == {"key-0": 0}
        assert await any_cache.aset_many({}) == []
        assert await any_cache.aget_many([]) == {}
        await any_cache.adelete_many([])

    run(main())


def test_versions(any_cache: BaseCache) -> None:
    async def main() -> None:
        await any_cache.aset("key", "two", version=2)
        assert await any_cache.aget("key") is None
        assert await any_cache.aget("key", version=2) == "two"
        assert await any_cache.ahas_key("key", version=2) is True
        assert await any_cache.aincr_version("key", version=2) == 3
        assert await any_cache.aget("key", version=2) is None
        assert await any_cache.adecr_version("key", 2, version=3) == 1
        assert await any_cache.aget("key") == "two"
        assert await any_cache.aincr_version("key", delta=4) == 5
        with pytest.raises(ValueError, match="key"):
            await any_cache.aincr_version("key")
        with pytest.raises(ValueError, match="missing"):
            await any_cache.adecr_version("missing")
        await any_cache.aset_many({"a": 1}, version=7)
        assert await any_cache.aget_many(["a"], version=7) == {"a": 1}
        assert await any_cache.atouch("a", version=7) is True
        assert await any_cache.aadd("a", 2, version=8) is True
        assert await any_cache.adelete("a", version=8) is True
        await any_cache.adelete_many(["a"], version=7)
        assert await any_cache.aget("a", version=7) is None

    run(main())


def test_prefix_and_key_function(make_any: MakeAny) -> None:
    async def main() -> None:
        plain, other = make_any(), make_any(KEY_PREFIX="site", VERSION=2)
        await plain.aset("key", 1)
        assert await other.aget("key") is None
        await other.aset("key", 2)
        assert await plain.aget("key") == 1
        assert other.get("key") == await other.aget("key") == 2

    run(main())


def test_incr_version_keeps_expiry_and_tag(cache: DjangoCache, clock: FakeClock) -> None:
    run(cache.aset("key", 1, timeout=1000, tag="t"))
    clock.advance(300)
    run(cache.aincr_version("key"))
    found = run(cache.aget("key", version=2, expire_time=True, tag=True))
    assert found == (1, clock.now + 700, "t")


def test_clear(any_cache: BaseCache) -> None:
    any_cache.set_many({"a": 1, "b": 2})
    assert run(any_cache.aclear()) is None
    assert any_cache.get_many("ab") == {}


def test_close_and_use_again(any_cache: BaseCache) -> None:
    async def main() -> None:
        await any_cache.aset("key", 1)
        await any_cache.aclose()
        assert await any_cache.aget("key") == 1
        await any_cache.aclose(signal=None)
        assert await any_cache.aincr("key") == 2

    run(main())


CALLS: dict[str, Callable[[BaseCache, str], Coroutine[Any, Any, Any]]] = {
    "aadd": lambda cache, key: cache.aadd(key, 1),
    "aget": lambda cache, key: cache.aget(key),
    "aset": lambda cache, key: cache.aset(key, 1),
    "atouch": lambda cache, key: cache.atouch(key),
    "adelete": lambda cache, key: cache.adelete(key),
    "ahas_key": lambda cache, key: cache.ahas_key(key),
    "aget_or_set": lambda cache, key: cache.aget_or_set(key, 1),
    "aget_many": lambda cache, key: cache.aget_many([key, "other"]),
    "aset_many": lambda cache, key: cache.aset_many({key: 1, "other": 2}),
    "adelete_many": lambda cache, key: cache.adelete_many([key, "other"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_keys_are_warned_of_as_with_locmem(make_cache: MakeCache, name: str) -> None:
    def texts(cache: BaseCache) -> set[Any]:
        return set(warned(lambda: run(CALLS[name](cache, "a key"))))

    assert texts(make_cache()) == texts(LocMemCache(f"async-{name}", {})) != set()


@pytest.mark.parametrize("value", [lambda: None, threading.Lock()], ids=["lambda", "lock"])
def test_unpicklable_values_raise_what_locmem_raises(cache: DjangoCache, value: Any) -> None:
    for name in ("aset", "aadd"):
        with pytest.raises(Exception) as expected:
            run(getattr(LocMemCache("unpicklable", {}), name)("key", value))
        with pytest.raises(type(expected.value)):
            run(getattr(cache, name)("key", value))
    assert run(cache.aget("key", "default")) == "default"


def test_every_method_of_django_has_its_twin_here() -> None:
    twins = [
        name for name in vars(BaseCache) if name.startswith("a") and name[1:] in dir(BaseCache)
    ]
    assert len(twins) > 10
    for name in twins:
        if name != "aget_or_set":  # Django's own is made of aget and aadd
            assert getattr(DjangoCache, name) is not getattr(BaseCache, name), name


def test_what_we_add_has_its_twin(cache: DjangoCache, clock: FakeClock) -> None:
    async def main() -> None:
        await cache.aset("file", b"content", read=True, tag="t", timeout=60)
        with await cache.aread("file") as file:
            assert file.read() == b"content"
        with await cache.aget("file", read=True) as file:
            assert file.read() == b"content"
        assert await cache.aread("missing") is None
        assert await cache.aget("file", tag=True) == (b"content", "t")
        assert await cache.aadd("file", b"other", read=True) is False
        found = await cache.apop("file", expire_time=True, tag=True)
        assert found == (b"content", clock.now + 60, "t")
        assert await cache.apop("file", "default") == "default"
        await cache.aset_many({"a": 1, "b": 2}, tag="t")
        assert await cache.aevict("t") == 2
        await cache.aset("short", 1, timeout=5)
        clock.advance(5)
        assert await cache.aexpire() == (1 if in_files(cache) else 0)  # a server does so itself
        assert await cache.acull() == 0

    run(main())


def test_through_django_core_cache(tmp_path: Path) -> None:
    alias = {"BACKEND": "django_diskcache.DjangoCache", "LOCATION": tmp_path / "cache"}

    async def main() -> None:
        await caches["default"].aset("key", 1)
        assert await caches["default"].aget("key") == 1
        await caches["default"].aclose()

    with override_settings(CACHES={"default": alias}):
        run(main())


# The event loop never waits


class Loaded:
    """A value that loads as the number of the thread that loads it."""

    def __reduce__(self) -> tuple[Callable[[], int], tuple[()]]:
        return threading.get_ident, ()


def locked(cache: DjangoCache) -> AbstractContextManager[Callable[[], bool]]:
    """The write lock of every shard is taken, see `locking`."""
    return locking.locked(engine_of(cache))


WRITES: dict[str, tuple[Callable[[DjangoCache], Awaitable[Any]], Any, dict[str, Any]]] = {
    # call, what it returns, what the entries are then
    "aset": (lambda cache: cache.aset("new", 1), True, {"a": 1, "b": 2, "new": 1}),
    "aset of a file": (
        lambda cache: cache.aset("new", b"x", read=True),
        True,
        {"a": 1, "b": 2, "new": b"x"},
    ),
    "aset of a large value": (
        lambda cache: cache.aset("new", b"x" * 100_000),
        True,
        {"a": 1, "b": 2, "new": b"x" * 100_000},
    ),
    "aadd": (lambda cache: cache.aadd("new", 1), True, {"a": 1, "b": 2, "new": 1}),
    "aget_or_set": (
        lambda cache: cache.aget_or_set("new", 1),
        1,
        {"a": 1, "b": 2, "new": 1},
    ),
    "aset_many": (
        lambda cache: cache.aset_many({"a": 5, "new": 6, "newer": 7}),
        [],
        {"a": 5, "b": 2, "new": 6, "newer": 7},
    ),
    "aincr": (lambda cache: cache.aincr("a", 4), 5, {"a": 5, "b": 2}),
    "adecr": (lambda cache: cache.adecr("b"), 1, {"a": 1, "b": 1}),
    "atouch": (lambda cache: cache.atouch("a", None), True, {"a": 1, "b": 2}),
    "adelete": (lambda cache: cache.adelete("a"), True, {"b": 2}),
    "adelete_many": (lambda cache: cache.adelete_many(["a", "b"]), None, {}),
    "apop": (lambda cache: cache.apop("a"), 1, {"b": 2}),
    "aincr_version": (lambda cache: cache.aincr_version("a"), 2, {"b": 2}),
    "aclear": (lambda cache: cache.aclear(), None, {}),
    "aevict": (lambda cache: cache.aevict("tagged"), 1, {"b": 2}),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_finds_a_lock_leaves_the_loop_free_and_completes(
    make_cache: MakeCache, name: str
) -> None:
    cache = make_cache(SHARDS=2)
    cache.set("a", 1, tag="tagged")
    cache.set("b", 2)
    call, result, entries = WRITES[name]

    with locked(cache) as release:
        assert run(beside(call(cache), release)) == result
    assert cache.get_many(["a", "b", "new", "newer"]) == entries


def test_many_writes_that_find_a_lock_lose_nothing(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=1)

    async def main() -> list[Any]:
        writes = [asyncio.ensure_future(cache.aincr("count", default=0)) for _ in range(20)]
        await asyncio.sleep(0)
        done = [write.done() for write in writes]
        in_time = release()
        return [done, in_time, sorted(await asyncio.gather(*writes))]

    with locked(cache) as release:
        assert run(main()) == [[False] * 20, True, list(range(1, 21))]
    assert cache.get("count") == 20


def test_a_write_without_retry_gives_up(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=1, DATABASE_TIMEOUT=0)

    async def main() -> list[Any]:
        return [
            await cache.aset("key", 1, retry=False),
            await cache.aadd("key", 1, retry=False),
            await cache.adelete("key", retry=False),
            await cache.atouch("key", retry=False),
            await cache.apop("key", "default", retry=False),
        ]

    with locked(cache):
        assert run(main()) == [False, False, False, False, "default"]


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that would go to a thread fails."""

    async def refuse(method: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"{method} was sent to a thread")

    monkeypatch.setattr(base, "in_thread", refuse)


def test_reads_run_inline_even_while_another_writes(
    make_cache: MakeCache, no_threads: None
) -> None:
    cache = make_cache(SHARDS=2)
    cache.set_many({"a": Loaded(), "b": Loaded(), "large": b"x" * 100_000})

    async def main() -> None:
        here = threading.get_ident()
        assert await cache.aget("a") == here
        assert await cache.aget("missing", "default") == "default"
        assert await cache.aget_many(["a", "b", "missing"]) == {"a": here, "b": here}
        assert await cache.ahas_key("a") is True
        assert await cache.ahas_key("missing") is False
        assert await cache.aget_or_set("a", 5) == here
        assert await cache.aget("large") == b"x" * 100_000
        with await cache.aread("large") as file:
            assert file.read() == b"x" * 100_000

    with locked(cache):
        run(main())


def test_writes_run_inline_while_no_lock_is_taken(cache: DjangoCache, no_threads: None) -> None:
    stored_by: list[int] = []

    class Stored:
        def __reduce__(self) -> tuple[type[int], tuple[()]]:
            stored_by.append(threading.get_ident())
            return int, ()

    async def main() -> None:
        assert await cache.aset("a", Stored()) is True
        assert await cache.aadd("b", Stored()) is True
        assert await cache.aset_many({"c": Stored()}) == []
        assert stored_by == [threading.get_ident()] * 3
        assert await cache.aincr("a") == 1
        assert await cache.atouch("a") is True
        assert await cache.aincr_version("a") == 2
        assert await cache.apop("a", version=2) == 1
        assert await cache.adelete("b") is True
        await cache.adelete_many(["c"])
        await cache.aclose()

    run(main())


@pytest.mark.parametrize("name", ["aclear", "aexpire", "aevict", "acull", "aset", "aadd"])
def test_what_is_long_by_nature_goes_to_a_thread(
    cache: DjangoCache, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "aevict": ("t",),
        "aset": ("key", b"x", None, None, True),
        "aadd": ("key", b"x", None, None, True),
    }
    threads: list[int] = []
    method = getattr(cache, name[1:])

    def watched(*args: Any, **kwargs: Any) -> Any:
        threads.append(threading.get_ident())
        return method(*args, **kwargs)

    monkeypatch.setattr(cache, name[1:], watched)
    run(getattr(cache, name)(*arguments.get(name, ())))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_a_read_that_finds_the_pool_empty_leaves_the_loop_free(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=1, DATABASE_TIMEOUT=PATIENCE)
    cache.set("key", 1)
    database = engine_of(cache).stores[0].database
    borrowed = [database.pool.borrow(0, lambda: False) for _ in range(database.pool.limit)]

    async def main() -> list[Any]:
        reads = [
            asyncio.ensure_future(each)
            for each in (cache.aget("key"), cache.ahas_key("key"), cache.aget_many(["key"]))
        ]
        for _ in range(5):
            await asyncio.sleep(0)
        assert not any(read.done() for read in reads)
        while borrowed:
            database.pool.give_back(borrowed.pop())
        return await asyncio.gather(*reads)

    try:
        assert run(main()) == [1, True, {"key": 1}]
    finally:
        while borrowed:
            database.pool.give_back(borrowed.pop())


def test_a_read_opens_a_connection_while_a_write_waits(make_cache: MakeCache) -> None:
    cache = make_cache(SHARDS=1)
    cache.set_many({"a": 1, "b": 2})
    database = engine_of(cache).stores[0].database

    with locked(cache):
        taken = database.pool.borrow(
            0, lambda: False
        )  # as a thread has it that waits for the lock
        try:
            assert run(cache.aget("b")) == 2
        finally:
            database.pool.give_back(taken)


# Memoized coroutine functions


def test_memoize_of_a_coroutine_function(cache: DjangoCache, clock: FakeClock) -> None:
    calls: list[int] = []

    @cache.memoize(timeout=10, tag="sums")
    async def double(x: int) -> int | None:
        """Doubles."""
        calls.append(x)
        await asyncio.sleep(0)
        return x * 2 or None

    async def main() -> None:
        assert [await double(x) for x in (4, 4, 0, 0)] == [8, 8, None, None]
        assert calls == [4, 0]
        key = double.__cache_key__(4)
        assert await cache.aget(key, tag=True) == (8, "sums")
        clock.advance(10)
        assert await double(4) == 8
        assert calls == [4, 0, 4]
        assert await double.__wrapped__(4) == 8
        assert await cache.aevict("sums") == (2 if in_files(cache) else 1)  # one has expired

    run(main())
    assert inspect.iscoroutinefunction(double)
    assert iscoroutinefunction(double)
    assert (double.__name__, double.__doc__) == ("double", "Doubles.")
    assert async_to_sync(double)(4) == 8


def test_memoized_functions_of_both_kinds_share_results(make_cache: MakeCache) -> None:
    cache = make_cache()

    @cache.memoize(name="total", timeout=60)
    def total(*numbers: int) -> int:
        return sum(numbers)

    @cache.memoize(name="total", timeout=60)
    async def atotal(*numbers: int) -> int:
        raise AssertionError("the other function's result is there")

    assert total(1, 2) == run(atotal(1, 2)) == 3
    hopping = cache.memoize(name="total", timeout=60)(sync_to_async(total.__wrapped__))
    assert inspect.iscoroutinefunction(hopping)
    assert [run(hopping(1, 2)), run(hopping(4))] == [3, 4]
    assert total(4) == 4


def test_memoize_options_with_a_coroutine_function(cache: DjangoCache) -> None:
    calls: list[Any] = []

    async def note(*args: Any) -> int:
        calls.append(args)
        return len(calls)

    never = cache.memoize(timeout=0)(note)
    assert [run(never(1)), run(never(1))] == [1, 2]
    assert len(cache) == 0
    versioned = cache.memoize(name="note", version=2)(note)
    assert [run(versioned(1)), run(versioned(1))] == [3, 3]
    assert cache.get(versioned.__cache_key__(1), version=2) == 3
    with pytest.raises(TypeError, match="parentheses"):
        cache.memoize(note)  # type: ignore[arg-type]


def test_generators_are_not_memoized(cache: DjangoCache) -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match=r"numbers is an async generator.*returns a list"):
        cache.memoize()(numbers)


def test_memoize_keeps_nothing_of_a_call_that_fails(cache: DjangoCache) -> None:
    @cache.memoize(timeout=60)
    async def fail(error: BaseException) -> None:
        raise error

    with pytest.raises(LookupError, match="why"):
        run(fail(LookupError("why")))
    with pytest.raises(asyncio.CancelledError):
        run(fail(asyncio.CancelledError()))
    assert len(cache) == 0


def test_a_memoized_result_that_finds_a_lock_leaves_the_loop_free(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(SHARDS=2)

    @cache.memoize(timeout=60)
    async def double(x: int) -> int:
        return x * 2

    with locked(cache) as release:
        assert run(beside(double(4), release)) == 8
    assert cache.get(double.__cache_key__(4)) == 8


def test_memoized_results_are_kept_and_read_inline(
    make_cache: MakeCache, no_threads: None
) -> None:
    cache = make_cache(SHARDS=2)

    @cache.memoize(timeout=60)
    async def load() -> Any:
        return Loaded()

    async def main() -> None:
        assert isinstance(await load(), Loaded)
        with locked(cache):
            # From the store, and then from memory.
            assert [await load(), await load()] == [threading.get_ident()] * 2

    run(main())


def test_a_method_that_a_debugger_has_put_on_the_object_waits_in_a_thread(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(SHARDS=1)
    original, calls = cache.set, []

    def patched(*args: Any, **kwargs: Any) -> bool:
        calls.append(threading.get_ident())
        return original(*args, **kwargs)

    cache.set = patched  # type: ignore[method-assign]
    with locked(cache) as release:
        assert run(beside(cache.aset("key", 1), release))
    assert cache.get("key") == 1
    assert len(calls) == 1
    assert calls[0] != threading.get_ident()


def test_what_is_large_is_compressed_in_a_thread(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    packing: list[int] = []
    compress = lzma.compress

    def seen(*args: Any, **kwargs: Any) -> bytes:
        packing.append(threading.get_ident())
        return compress(*args, **kwargs)

    monkeypatch.setattr(lzma, "compress", seen)
    cache = make_cache(compression="lzma")

    async def main() -> int:
        assert await cache.aset("large", "x" * LARGE)
        assert await cache.aadd("bytes", b"x" * LARGE)
        assert await cache.aset("small", "x" * 2000)
        assert await cache.aget("large") == "x" * LARGE
        return threading.get_ident()

    loop = run(main())
    assert [each == loop for each in packing] == [False, False, True]
