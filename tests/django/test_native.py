"""Asynchronous methods on a server: what is awaited there, and what else goes to a thread."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import CacheKeyWarning

from django_diskcache import DjangoCache, native, signals
from django_diskcache.engine.errors import Fault
from tests.engines import remote_of
from tests.server.servers import Server, required, until

from .conftest import patience


def made(server: Server, **options: Any) -> DjangoCache:
    return DjangoCache(server.url, {"OPTIONS": {"database_timeout": patience(), **options}})


@pytest.fixture
def cache(server: Server) -> DjangoCache:
    return made(server)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may kill."""
    required()
    started = Server(tmp_path / "own")
    yield started
    started.stop()


async def warm(cache: DjangoCache) -> None:
    """Make the first calls of a loop, which go to a thread."""
    for _ in range(3):
        await cache.ahas_key("no-such-key")


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called on, a call that would go to a thread fails."""

    async def refuse(method: Any, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"{method} was sent to a thread")

    def begin() -> None:
        monkeypatch.setattr("django_diskcache.methods.base.in_thread", refuse)
        monkeypatch.setattr("django_diskcache.native.in_thread", refuse)
        monkeypatch.setattr("asyncio.to_thread", refuse)

    return begin


def test_each_has_the_arguments_of_its_method() -> None:
    natives = native.natives(DjangoCache, DjangoCache)
    assert natives.keys() == {*native.WRITTEN, *native.SIMPLE}
    for name, function in natives.items():
        assert inspect.iscoroutinefunction(function)
        of_method = inspect.signature(getattr(DjangoCache, name)).parameters
        of_native = inspect.signature(function).parameters
        names = [(each.name, each.default) for each in list(of_method.values())[1:]]
        assert names == [(p.name, p.default) for p in list(of_native.values())[1:]], name


def test_calls_by_key_run_on_the_loop(
    cache: DjangoCache, no_threads: Callable[[], None]
) -> None:
    class Stored:
        def __reduce__(self) -> tuple[type[int], tuple[()]]:
            stored_by.append(threading.get_ident())
            return int, ()

    stored_by: list[int] = []

    async def main() -> None:
        await warm(cache)
        no_threads()
        assert await cache.aset("a", Stored(), tag="t") is True
        assert await cache.aadd("a", 1) is False
        assert await cache.aadd("b", Stored()) is True
        assert await cache.aset_many({"c": Stored(), "d": 4}, tag="t") == []
        assert stored_by == [threading.get_ident()] * 3
        assert await cache.aget("a") == 0
        assert await cache.aget("a", tag=True) == (0, "t")
        assert await cache.aget("missing", "default") == "default"
        assert await cache.aget_many(["a", "d", "missing"]) == {"a": 0, "d": 4}
        assert await cache.ahas_key("a") is True
        assert await cache.ahas_key("missing") is False
        assert await cache.aincr("a", 5) == 5
        assert await cache.adecr("a") == 4
        assert await cache.atouch("a", 100) is True
        assert await cache.aincr_version("a") == 2
        assert await cache.adecr_version("a", version=2) == 1
        assert await cache.aget("a", tag=True) == (4, "t")
        assert await cache.aget_or_set("a", 5) == 4
        assert await cache.aget("a", touch=50) == 4
        assert 25 < (await cache.attl("a") or 0) <= 50
        assert await cache.aexpire_in("a", 200) is True
        assert 100_000 < (await cache.apttl("a") or 0) <= 200_000
        assert await cache.apexpire("a", 300_000) is True
        assert await cache.aexpire_at("a", cache._cache.engine.clock() + 400) is True
        assert 300 < (await cache.attl("a") or 0) <= 400
        assert await cache.apersist("a") is True
        assert await cache.attl("a") is None
        assert await cache.atags("a") == ("t",)
        assert await cache.apop("a", tag=True) == (4, "t")
        assert await cache.adelete("b") is True
        assert await cache.adelete("b") is False
        await cache.adelete_many(["c"])
        assert await cache.aget_many(["a", "b", "c", "d"]) == {"d": 4}

    asyncio.run(main())


def test_errors_are_those_of_the_methods(cache: DjangoCache) -> None:
    async def main() -> None:
        await warm(cache)
        for call in (cache.aincr("missing"), cache.adecr("missing")):
            with pytest.raises(ValueError, match=r"^Key 'missing' not found$"):
                await call
        for call in (cache.aincr_version("missing"), cache.adecr_version("missing")):
            with pytest.raises(ValueError, match=r"^Key 'missing' not found$"):
                await call
        assert await cache.aset("text", "a text")
        with pytest.raises(TypeError):
            await cache.aincr("text")
        with pytest.raises((AttributeError, TypeError), match=r"lambda|pickle"):
            await cache.aset("key", lambda: None)
        with pytest.raises(TypeError, match="no_such"):
            await cache.aget("key", no_such=1)
        assert await cache.aget("text") == "a text"

    asyncio.run(main())


def test_keys_are_warned_of_each_time(cache: DjangoCache) -> None:
    async def main() -> None:
        await warm(cache)
        key = "with a space"
        calls: list[Callable[[], Any]] = [
            lambda: cache.aset(key, 1),
            lambda: cache.aget(key),
            lambda: cache.aget(key),
            lambda: cache.aget_many(["plain", key]),
            lambda: cache.aget_many(["plain", key]),
            lambda: cache.ahas_key(key),
            lambda: cache.aset_many({key: 2}),
            lambda: cache.aincr(key),
            lambda: cache.aget_or_set(key, 5),
            lambda: cache.adelete_many([key]),
        ]
        for call in calls:
            with pytest.warns(CacheKeyWarning, match="with a space"):
                await call()

    asyncio.run(main())


def test_jitter_of_each_key(server: Server) -> None:
    cache = made(server, timeout_jitter=0.5)

    async def main() -> list[float]:
        await warm(cache)
        now = cache._cache.engine.clock()
        await cache.aset_many({f"{n}": n for n in range(20)}, timeout=1000)
        await cache.aset("set", 1, timeout=1000)
        names = [*map(str, range(20)), "set"]
        return [(await cache.aget(n, expire_time=True))[1] - now for n in names]

    left = asyncio.run(main())
    assert all(500 <= each <= 1001 for each in left)
    assert len({round(each) for each in left[:20]}) > 10
    assert not all(each > 999 for each in left)


def test_a_subclass_keeps_its_methods(server: Server) -> None:
    class Shouting(DjangoCache):
        def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
            found = super().get(key, *args, **kwargs)
            return found.upper() if isinstance(found, str) else found

        def incr(self, key: Any, delta: Any = 1, *args: Any, **kwargs: Any) -> Any:
            return super().incr(key, delta * 10, *args, **kwargs)

    cache = Shouting(server.url, {"OPTIONS": {"near_cache_size": 0}})

    async def main() -> None:
        await warm(cache)
        assert await cache.aset("key", "text")
        assert await cache.aget("key") == "TEXT"
        assert await cache.aset("count", 100)
        assert await cache.aincr("count") == 110
        assert await cache.adecr("count") == 100

    asyncio.run(main())


def test_what_was_put_on_the_object_is_called(cache: DjangoCache) -> None:
    original, calls = cache.set, []

    def patched(*args: Any, **kwargs: Any) -> bool:
        calls.append(threading.get_ident())
        return original(*args, **kwargs)

    cache.set = patched  # type: ignore[method-assign]

    async def main() -> None:
        await warm(cache)
        assert await cache.aset("key", 1)
        assert await cache.aget("key") == 1

    asyncio.run(main())
    assert len(calls) == 1
    assert calls[0] != threading.get_ident()


def test_two_loops_at_once_and_one_after_the_other(cache: DjangoCache) -> None:
    async def count(times: int) -> None:
        await warm(cache)
        for _ in range(times):
            await cache.aincr("count", default=0)

    threads = [threading.Thread(target=asyncio.run, args=(count(50),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(count(50))
    assert cache.get("count") == 150


def test_cancelled_calls_mix_no_answers_up(cache: DjangoCache) -> None:
    keys = [f"key:{n}" for n in range(20)]
    cache.set_many({key: key for key in keys})

    async def main() -> None:
        await warm(cache)
        for turn in range(5):
            cache._near.clear()
            tasks = [asyncio.ensure_future(cache.aget(key)) for key in keys]
            for _ in range(turn):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            for key, value in zip(keys, found, strict=True):
                assert value == key or isinstance(value, asyncio.CancelledError)
            assert list(found[1::2]) == keys[1::2]
            cache._near.clear()
            assert await cache.aget_many(keys) == {key: key for key in keys}

    asyncio.run(main())


def test_a_computation_is_claimed_without_holding_the_loop_up(cache: DjangoCache) -> None:
    computing = 0

    async def compute() -> list[int]:
        nonlocal computing
        computing += 1
        await asyncio.sleep(0.02)
        return [computing]

    async def main() -> None:
        await warm(cache)
        calls = [cache.aget_or_set("key", compute) for _ in range(10)]
        assert await asyncio.gather(*calls) == [[1]] * 10
        await cache.adelete("key")  # the claim is free again
        assert await cache.aget_or_set("key", compute) == [2]

    asyncio.run(main())
    assert computing == 2


def test_a_claim_is_awaited_and_given_back_in_a_thread(
    cache: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_by: list[int] = []
    link = remote_of(cache).link
    moving = link.moving

    def seen(*arguments: Any) -> Any:
        asked_by.append(threading.get_ident())
        return moving(*arguments)

    monkeypatch.setattr(link, "moving", seen)

    async def main() -> None:
        await warm(cache)
        asked_by.clear()
        assert await cache.aget_or_set("key", lambda: 1) == 1

    asyncio.run(main())
    assert len(asked_by) == 1
    assert threading.get_ident() not in asked_by


def test_a_server_that_went_away(own_server: Server) -> None:
    faults: list[Exception] = []
    cache = made(own_server, error_handler=faults.append)

    async def main() -> None:
        await warm(cache)
        assert await cache.aset("key", 1)
        own_server.kill()
        cache._near.clear()
        assert await cache.aget("key", "default") == "default"
        assert await cache.aget("key", 7, tag=True) == (7, None)
        assert await cache.aset("key", 2) is False
        assert await cache.aadd("other", 2) is False
        assert await cache.atouch("key") is False
        assert await cache.adelete("key") is False
        assert await cache.ahas_key("key") is False
        assert await cache.apop("key", 3) == 3
        assert await cache.aget_many(["key", "b"]) == {}
        assert sorted(await cache.aset_many({"key": 1, "b": 2})) == ["b", "key"]
        await cache.adelete_many(["key", "b"])
        assert await cache.aget_or_set("key", lambda: 5) == 5
        with pytest.raises(Fault):
            await cache.aincr("count", default=0)
        assert len(faults) >= 10
        own_server.start()
        until(lambda: cache.set("key", 3), "the cache's recovery")
        assert await cache.aset("key", 3)
        cache._near.clear()
        assert await cache.aget("key") == 3

    asyncio.run(main())


def test_signals_of_a_server_and_of_its_faults(own_server: Server) -> None:
    cache = made(own_server, signals=True)
    told: list[tuple[str, Any]] = []

    def hear(name: str) -> Callable[..., None]:
        def receive(**given: Any) -> None:
            told.append((name, given.get("keys") or type(given.get("error"))))

        return receive

    receivers = {name: hear(name) for name in ("hit", "miss", "set", "deleted", "error")}
    for name, receiver in receivers.items():
        getattr(signals, f"cache_{name}").connect(receiver)

    async def main() -> None:
        await warm(cache)
        await cache.aset("key", 1)
        await cache.aget("key")
        await cache.aget("missing")
        await cache.adelete("key")
        own_server.kill()
        assert await cache.aset("key", 1) is False

    try:
        asyncio.run(main())
    finally:
        for name, receiver in receivers.items():
            getattr(signals, f"cache_{name}").disconnect(receiver)
    assert told == [
        ("set", ["key"]),
        ("hit", ["key"]),
        ("miss", ["missing"]),
        ("deleted", ["key"]),
        ("error", Fault),
    ]


def test_shutdown_and_use_again(cache: DjangoCache) -> None:
    cache.set("key", 1)
    link = remote_of(cache).link
    cache.shutdown()
    assert not any(node._idle for node in link.known())
    assert cache.get("key") == 1
    cache.close()
    cache.shutdown()
    cache.shutdown()

    async def main() -> None:
        await warm(cache)
        assert await cache.aset("key", 2)
        cache.shutdown()
        assert await cache.aget("key") == 2

    asyncio.run(main())
    assert cache.get("key") == 2
