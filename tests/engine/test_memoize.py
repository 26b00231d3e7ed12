"""Memoized coroutine functions on the engine, and that their event loop never waits.

What holds for plain functions is in `tests.conformance.test_lifetime`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import asgiref.sync
import pytest

from django_diskcache.engine import Cache, FanoutCache, Index, memoize_stampede
from django_diskcache.engine.engine import Engine
from tests.conftest import FakeClock
from tests.locking import beside, locked

T = TypeVar("T")
Keeper: TypeAlias = Cache | FanoutCache | Index


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, run in a loop of its own."""
    return asyncio.run(coroutine)


@pytest.fixture(params=["Cache", "FanoutCache", "Index"])
def keeper(
    request: pytest.FixtureRequest,
    make_cache: Callable[..., Cache],
    make_fanout: Callable[..., FanoutCache],
) -> Keeper:
    """What has `memoize`, as its users come by it."""
    if request.param == "Index":
        return Index.fromcache(make_cache(eviction_policy="none"))
    return make_fanout() if request.param == "FanoutCache" else make_cache()


def engine_of(keeper: Keeper) -> Engine:
    engine: Engine = (keeper.cache if isinstance(keeper, Index) else keeper).engine
    return engine


def key_of(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The key of the result of a call."""
    return function.__cache_key__(*args, **kwargs)


# What is returned, and what is kept


def test_a_coroutine_function_stays_one(keeper: Keeper) -> None:
    calls: list[Any] = []

    @keeper.memoize()
    async def double(x: Any, *, y: int = 0) -> Any:
        """Doubles."""
        calls.append((x, y))
        await asyncio.sleep(0)
        return None if x is None else x * 2

    async def main() -> None:
        assert [await double(2), await double(2), await double(2, y=1)] == [4, 4, 4]
        assert calls == [(2, 0), (2, 1)]
        assert await double(None) is await double(None) is None
        assert await double([1]) == await double([1]) == [1, 1]
        assert len(calls) == 4
        assert await inspect.unwrap(double)(4) == 8

    run(main())
    assert inspect.iscoroutinefunction(double)
    assert asgiref.sync.iscoroutinefunction(double)
    assert (double.__name__, double.__doc__) == ("double", "Doubles.")
    assert keeper[key_of(double, 2, y=1)] == 4
    assert run(double(2)) == 4  # in another loop
    assert len(calls) == 5


def test_a_plain_function_stays_one(keeper: Keeper) -> None:
    def plain() -> int:
        return 1

    decorated = keeper.memoize()(plain)
    assert not inspect.iscoroutinefunction(decorated)
    assert not asgiref.sync.iscoroutinefunction(decorated)
    assert [decorated(), decorated()] == [1, 1]


def test_expiry_tag_and_name(cache: Cache, clock: FakeClock) -> None:
    calls: list[float] = []

    @cache.memoize(name="shared", expire=10, tag="results", typed=True, ignore={1})
    async def double(x: float, client: object) -> float:
        calls.append(x)
        return x * 2

    @cache.memoize(name="shared", typed=True, ignore={1})
    def same(x: int, client: object) -> int:
        raise AssertionError("the first function's result is there")

    assert [run(double(2, object())), run(double(2, object())), run(double(2.0, None))] == [
        4
    ] * 3
    assert calls == [2, 2.0]
    assert same(2, None) == 4
    assert cache.get(key_of(double, 2, None), tag=True) == (4, "results")
    clock.advance(10)
    run(double(2, None))
    assert len(calls) == 3
    assert cache.evict("results") == 2


def test_a_result_that_is_not_kept(cache: Cache) -> None:
    calls: list[int] = []

    @cache.memoize(expire=0)
    async def note() -> int:
        calls.append(1)
        return len(calls)

    assert [run(note()), run(note())] == [1, 2]
    assert len(cache) == 0


class Client:
    """Has methods that are coroutine functions, `__call__` among them."""

    def __init__(self) -> None:
        self.calls = 0

    async def fetch(self, x: int) -> int:
        self.calls += 1
        return x * 2

    async def __call__(self, x: int) -> int:
        return await self.fetch(x)


def marked(client: Client) -> Any:
    """A plain function that returns a coroutine, and says so."""

    def fetch(x: int) -> Coroutine[Any, Any, int]:
        return client.fetch(x)

    return asgiref.sync.markcoroutinefunction(fetch)


KINDS: dict[str, Callable[[Client], Any]] = {
    "method": lambda client: client.fetch,
    "partial": lambda client: functools.partial(client.fetch),
    "object": lambda client: client,
    "marked": marked,
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_kinds_of_coroutine_functions(cache: Cache, kind: str) -> None:
    client = Client()
    fetch = cache.memoize(name="fetch")(KINDS[kind](client))
    assert asgiref.sync.iscoroutinefunction(fetch)
    assert [run(fetch(2)), run(fetch(2))] == [4, 4]
    assert client.calls == 1


def test_a_method_in_a_class(cache: Cache) -> None:
    class Named:
        calls = 0

        @cache.memoize(ignore={0})
        async def fetch(self, x: int) -> int:
            Named.calls += 1
            return x * 2

    assert [run(Named().fetch(2)), run(Named().fetch(2))] == [4, 4]
    assert Named.calls == 1


def test_a_subclass_is_asked_in_its_own_way(tmp_path: Path, clock: FakeClock) -> None:
    class Prefixed(Cache):
        prefix = ""

        def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
            return super().get((self.prefix, key), *args, **kwargs)

        def set(self, key: Any, *args: Any, **kwargs: Any) -> bool:
            return super().set((self.prefix, key), *args, **kwargs)

    cache = Prefixed(tmp_path / "cache", clock=clock)

    @cache.memoize(name="f")
    async def function() -> int:
        return 1

    cache.prefix = "site"
    assert [run(function()), run(function())] == [1, 1]
    assert list(cache) == [("site", ("f", None))]
    cache.close()


async def _async_generator() -> AsyncIterator[int]:
    yield 1


def _generator() -> Iterator[int]:
    yield 1


class _Generating:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_async_generator, "_async_generator is an async generator function"),
        (_generator, "_generator is a generator function"),
        (functools.partial(_generator), r"functools.partial.* is a generator function"),
        (_Generating(), "_Generating object at .* is a generator function"),
    ],
)
def test_generators_are_refused(keeper: Keeper, function: Any, message: str) -> None:
    for decorator in (
        keeper.memoize(name="numbers"),
        memoize_stampede(keeper, 10, name="numbers"),
    ):
        with pytest.raises(TypeError, match=f"{message}.*returns a list"):
            decorator(function)


def test_a_class_is_no_generator_for_what_its_objects_are(cache: Cache) -> None:
    decorated = cache.memoize(expire=0)(_Generating)
    assert isinstance(decorated(), _Generating)


# Errors and cancellation


def test_an_error_reaches_the_caller_and_nothing_is_kept(keeper: Keeper) -> None:
    outcomes: list[Any] = [LookupError("why"), asyncio.CancelledError(), 7]

    @keeper.memoize()
    async def work() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with pytest.raises(LookupError, match="why"):
        run(work())
    with pytest.raises(asyncio.CancelledError):
        run(work())
    assert len(keeper) == 0
    assert [run(work()), run(work())] == [7, 7]


def test_a_result_that_cannot_be_pickled_is_an_error(keeper: Keeper) -> None:
    @keeper.memoize()
    async def lock() -> Any:
        return threading.Lock()

    with pytest.raises(TypeError, match="pickle"):
        run(lock())
    assert len(keeper) == 0


def test_a_call_that_is_cancelled_keeps_nothing(keeper: Keeper) -> None:
    started: list[int] = []

    @keeper.memoize()
    async def work() -> None:
        started.append(1)
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(work())
        while not started:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert len(keeper) == 0


def test_a_call_that_is_cancelled_while_it_waits_for_a_lock(keeper: Keeper) -> None:
    @keeper.memoize()
    async def double(x: int) -> int:
        return x * 2

    async def main() -> bool:
        task = asyncio.ensure_future(double(4))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return release()

    with locked(engine_of(keeper)) as release:
        assert run(main()), "the cancelled call did not end before the lock was free"
    # The loop ended when the thread had completed what it had begun.
    assert keeper[key_of(double, 4)] == 8


# The event loop never waits, and takes a thread only where it would


def test_a_result_that_finds_a_lock_leaves_the_loop_free(keeper: Keeper) -> None:
    @keeper.memoize()
    async def double(x: int) -> int:
        return x * 2

    with locked(engine_of(keeper)) as release:
        assert run(beside(double(4), release)) == 8
    assert keeper[key_of(double, 4)] == 8


def test_a_short_timeout_loses_no_result(make_fanout: Callable[..., FanoutCache]) -> None:
    fanout = make_fanout(timeout=0)

    @fanout.memoize()
    async def double(x: int) -> int:
        return x * 2

    with locked(fanout.engine) as release:
        assert run(beside(double(4), release)) == 8
    assert fanout[key_of(double, 4)] == 8


def test_a_read_that_finds_the_pool_empty_leaves_the_loop_free(keeper: Keeper) -> None:
    @keeper.memoize()
    async def double(x: int) -> int:
        return x * 2

    run(double(4))
    engine = engine_of(keeper)
    engine.near.clear()
    borrowed = [
        (store.database, store.database.pool.borrow(0, lambda: False))
        for store in engine.stores
        for _ in range(store.database.pool.limit)
    ]

    def give_back() -> bool:
        while borrowed:
            database, connection = borrowed.pop()
            database.pool.give_back(connection)
        return True

    try:
        assert run(beside(double(4), give_back)) == 8
    finally:
        give_back()


_stored_by: list[int] = []


class Traced:
    """Notes the thread that stores it, and loads as the thread that loads it."""

    def __reduce__(self) -> tuple[Callable[[], int], tuple[()]]:
        _stored_by.append(threading.get_ident())
        return threading.get_ident, ()


def test_results_are_kept_and_read_without_a_thread(keeper: Keeper) -> None:
    _stored_by.clear()

    @keeper.memoize()
    async def load() -> Any:
        return Traced()

    async def main() -> None:
        here = threading.get_ident()
        assert isinstance(await load(), Traced)
        assert _stored_by == [here]
        with locked(engine_of(keeper)):
            # From the store, and then from memory.
            assert [await load(), await load()] == [here, here]
        assert threading.active_count() == before

    before = threading.active_count()
    run(main())


def test_inside_a_transaction_a_result_is_part_of_it(keeper: Keeper) -> None:
    calls: list[int] = []

    @keeper.memoize()
    async def note() -> int:
        calls.append(1)
        return len(calls)

    async def main() -> None:
        with pytest.raises(LookupError), keeper.transact():
            assert [await note(), await note()] == [1, 1]
            raise LookupError
        assert len(keeper) == 0
        with keeper.transact():
            assert await note() == 2
        assert await note() == 2

    run(main())


def test_asyncio_is_loaded_only_by_who_uses_it(tmp_path: Path) -> None:
    script = f"""
import sys
from django_diskcache.engine import Cache
cache = Cache({str(tmp_path / "cache")!r})
@cache.memoize()
def plain(): return 1
@cache.memoize()
async def coroutine(): return 2
plain()
try:
    coroutine().send(None)  # what a loop does
except StopIteration as end:
    print(end.value, "asyncio" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("2 False\n", "")


# memoize_stampede


@pytest.fixture
def stampede(
    make_fanout: Callable[..., FanoutCache],
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[FanoutCache, Any, list[int]]:
    """A coroutine that takes two seconds by the clock, memoized for ten; and its calls."""
    cache = make_fanout()
    monkeypatch.setattr("time.time", clock)
    monkeypatch.setattr("random.random", lambda: 0.0)  # the logarithm of one: never early
    calls: list[int] = []

    @memoize_stampede(cache, 10, name="work", tag="tag")
    async def work(x: int, y: int = 0) -> int:
        calls.append(x)
        clock.advance(2)
        await asyncio.sleep(0)
        if x < 0:
            raise LookupError("why")
        return x + y

    return cache, work, calls


def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call find that it is time, when less than four seconds are left."""
    monkeypatch.setattr("random.random", lambda: 1 - 2.718281828**-2)


def test_stampede_with_a_coroutine_function(
    stampede: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, work, calls = stampede

    async def main() -> None:
        assert [await work(1), await work(1), await work(2, y=3)] == [1, 1, 5]
        assert calls == [1, 2]
        assert cache.get(key_of(work, 1), tag=True) == ([1, 2.0], "tag")
        assert await work.__wrapped__(7) == 7
        with pytest.raises(LookupError):
            await work(-1)
        assert len(cache) == 2
        clock.advance(10)
        assert await work(1) == 1
        assert calls == [1, 2, 7, -1, 1]

    run(main())
    assert inspect.iscoroutinefunction(work)


def test_stampede_computes_early_in_one_task(
    stampede: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, work, calls = stampede

    async def main() -> None:
        await work(1)
        clock.advance(7)  # three of the ten seconds are left
        early(monkeypatch)
        before = asyncio.all_tasks()
        assert [await work(1), await work(1)] == [1, 1]
        (task,) = asyncio.all_tasks() - before
        assert calls == [1]
        await task
        assert calls == [1, 1]
        monkeypatch.setattr("random.random", lambda: 0.0)
        clock.advance(7)
        assert await work(1) == 1
        assert calls == [1, 1]

    run(main())


def test_stampede_leaves_the_loop_free(
    stampede: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, work, calls = stampede

    async def main() -> None:
        with locked(cache.engine) as release:
            assert await beside(work(1), release) == 1
        assert cache[key_of(work, 1)] == [1, 2.0]
        clock.advance(7)
        early(monkeypatch)
        before = asyncio.all_tasks()
        with locked(cache.engine) as release:
            # It has its result; one of the calls after this one computes a new one.
            assert await work(1) == 1
            assert release()
        assert asyncio.all_tasks() == before
        assert await work(1) == 1
        await asyncio.gather(*asyncio.all_tasks() - before)
        assert calls == [1, 1]

    run(main())


def test_stampede_ends_with_its_loop(
    stampede: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, work, calls = stampede
    run(work(1))
    clock.advance(7)
    early(monkeypatch)
    assert run(work(1)) == 1
    assert len(calls) <= 2  # the task may have begun, and is not waited for
    assert run(work(1)) == 1
