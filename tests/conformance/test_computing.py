"""What is missing is computed once, whatever the face: `get_or_set` and `memoize`."""

from __future__ import annotations

import asyncio
import inspect
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_diskcache.engine import once
from tests.conformance.conftest import Face

MANY = 12

# Signatures make no difference to any of this.
pytestmark = pytest.mark.parametrize(
    "face", ["Cache", "FanoutCache", "DjangoCache"], indirect=True
)


class Slow:
    """A computation that stays under way until it is let go; what it returns are its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> int:
        self.calls += 1
        calls = self.calls
        self.begun.set()
        assert self.go_on.wait(20)
        return calls


def beside(slow: Slow, call: Callable[[], Any], others: Callable[[], Any]) -> list[Any]:
    """What `call` returns in many threads, of which one computes; and `others` meanwhile."""
    with ThreadPoolExecutor(MANY) as pool:
        first = pool.submit(call)
        assert slow.begun.wait(20)
        rest = [pool.submit(call) for _ in range(MANY - 1)]
        try:
            answer = others()
        finally:
            slow.go_on.set()
        return [answer, first.result(), *(each.result() for each in rest)]


# get_or_set


def test_get_or_set(face: Face) -> None:
    assert face.get_or_set("key", lambda: [1], 10, tag="tag") == [1]
    assert face.get_or_set("key", lambda: [2]) == [1]
    assert face.get("key", expire_time=True, tag=True) == ([1], face.clock.now + 10, "tag")
    assert face.get_or_set("value", "plain") == "plain"
    assert face.get_or_set("null", lambda: None) is None
    assert face.get_or_set("null", lambda: 1) is None
    face.clock.advance(10)
    assert face.get_or_set("key", lambda: [3]) == [3]


def test_get_or_set_that_keeps_nothing(face: Face) -> None:
    assert face.get_or_set("key", lambda: 1, 0) == 1
    assert face.get_or_set("key", lambda: 2, -1) == 2
    assert "key" not in face


def test_get_or_set_returns_what_another_stored_meanwhile(face: Face) -> None:
    def compute() -> str:
        face.set("key", "theirs")
        return "ours"

    assert face.get_or_set("key", compute) == "theirs"


def test_one_computes_and_the_others_wait(face: Face) -> None:
    slow = Slow()
    found = beside(slow, lambda: face.get_or_set("key", slow), lambda: face.get("key"))
    assert found == [None] + [1] * MANY
    assert slow.calls == 1


def test_keys_do_not_wait_for_each_other(face: Face) -> None:
    slow = Slow()
    others = lambda: face.get_or_set("other", lambda: "other")  # noqa: E731
    assert beside(slow, lambda: face.get_or_set("key", slow), others)[0] == "other"


def test_who_has_waited_long_enough_computes(face: Face) -> None:
    slow = Slow()
    impatient = lambda: face.get_or_set("key", lambda: "mine", wait=0.01)  # noqa: E731
    found = beside(slow, lambda: face.get_or_set("key", slow), impatient)
    # The first to compute it is overtaken, and returns what is there then.
    assert found == ["mine"] * (MANY + 1)
    assert slow.calls == 1


def test_an_error_reaches_its_caller_and_another_goes_on(face: Face) -> None:
    slow = Slow()

    def failing() -> Any:
        slow()
        raise LookupError("why")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(face.get_or_set, "key", failing)
        assert slow.begun.wait(20)
        second = pool.submit(face.get_or_set, "key", lambda: "good")
        slow.go_on.set()
        with pytest.raises(LookupError, match="why"):
            first.result()
        assert second.result() == "good"


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], bool]:
    """Whether so many wait for what another computes, since the test began."""
    seen: list[Any] = []
    pause = once._Turn.pause

    def counting(turn: Any) -> float | None:
        if turn not in seen:
            seen.append(turn)
        return pause(turn)

    monkeypatch.setattr(once._Turn, "pause", counting)
    return lambda number: len(seen) >= number


@pytest.mark.parametrize("fails", [True, False])
def test_when_nothing_is_left_all_that_have_waited_compute_at_once(
    face: Face, waiting: Any, fails: bool
) -> None:
    slow, together = Slow(), threading.Barrier(MANY - 1, timeout=20)

    def compute() -> Any:
        if not slow.begun.is_set():
            slow()
            if fails:
                raise LookupError("why")
            return threading.Lock()  # which cannot be stored
        return together.wait() * 0

    with ThreadPoolExecutor(MANY) as pool:
        first = pool.submit(face.get_or_set, "key", compute)
        assert slow.begun.wait(20)
        rest = [pool.submit(face.get_or_set, "key", compute, wait=60) for _ in range(MANY - 1)]
        while not waiting(MANY - 1):
            time.sleep(0.001)
        slow.go_on.set()
        assert [each.result() for each in rest] == [0] * (MANY - 1)
        with pytest.raises(LookupError if fails else TypeError):
            first.result()


def test_when_nothing_is_left_all_tasks_that_have_waited_compute_at_once(
    face: Face, waiting: Any
) -> None:
    begun: list[int] = []
    computing: list[int] = []

    async def compute() -> int:
        if not begun:
            begun.append(1)
            while not waiting(MANY - 1):
                await asyncio.sleep(0.001)
            raise LookupError("why")
        computing.append(1)
        while len(computing) < MANY - 1:
            await asyncio.sleep(0.001)
        return 0

    async def main() -> None:
        tasks = [
            asyncio.ensure_future(face.aget_or_set("key", compute, wait=60))
            for _ in range(MANY)
        ]
        found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert [each for each in found if each == 0] == [0] * (MANY - 1)

    asyncio.run(main())


def test_a_key_that_needs_itself_does_not_wait(face: Face) -> None:
    def outer() -> Any:
        return face.get_or_set("key", lambda: "inner", wait=None) + ", outer"

    assert face.get_or_set("key", outer, wait=None) == "inner"


def test_keys_that_wait_for_each_other_come_to_an_end(face: Face) -> None:
    both = threading.Barrier(2, timeout=20)

    def needs(other: str) -> str:
        if not both.broken:
            both.wait()
        return f"needs {face.get_or_set(other, lambda: 'nothing', wait=0.05)}"

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(face.get_or_set, "one", lambda: needs("two"))
        two = pool.submit(face.get_or_set, "two", lambda: needs("one"))
        assert "nothing" in one.result() + two.result()


def test_inside_a_transaction_nobody_waits(face: Face) -> None:
    cache = face.cache._cache if hasattr(face.cache, "_cache") else face.cache
    slow = Slow()

    def others() -> Any:
        with cache.transact():
            return face.get_or_set("key", lambda: "mine", wait=None)

    assert beside(slow, lambda: face.get_or_set("key", slow), others)[0] == "mine"


def test_what_is_stale_is_served_while_one_computes(face: Face) -> None:
    face.get_or_set("key", "old", 10, stale=5)
    assert face.get("key", expire_time=True)[1] == face.clock.now + 15
    face.clock.advance(9)
    assert face.get_or_set("key", lambda: "too early", 10, stale=5) == "old"
    face.clock.advance(1)
    slow = Slow()

    def call() -> Any:
        return face.get_or_set("key", slow, 10, stale=5)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call)
        assert slow.begun.wait(20)
        assert [call(), call()] == ["old", "old"]
        slow.go_on.set()
        assert first.result() == 1
    assert call() == 1
    assert face.get("key", expire_time=True)[1] == face.clock.now + 15
    face.clock.advance(15)
    assert call() == 2  # not even stale


def test_stale_for_longer_than_memory_keeps_anything(face: Face) -> None:
    face.get_or_set("key", "old", 10, stale=1000)
    assert face.get_or_set("key", lambda: "new", 10, stale=1000) == "old"
    face.clock.advance(10)
    assert face.get_or_set("key", lambda: "new", 10, stale=1000) == "new"


def test_an_error_leaves_what_is_stale(face: Face) -> None:
    face.get_or_set("key", "old", 10, stale=5)
    face.clock.advance(10)
    with pytest.raises(ZeroDivisionError):
        face.get_or_set("key", lambda: 1 // 0, 10, stale=5)
    assert face.get("key") == "old"
    assert face.get_or_set("key", lambda: "new", 10, stale=5) == "new"


def test_computing_early(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    face.get_or_set("key", "old", 10, early=2)
    face.clock.advance(7)
    # It begins when less than twice the logarithm is left: two of the three seconds, then four.
    monkeypatch.setattr(random, "random", lambda: 1 - 2.718281828**-1)
    assert face.get_or_set("key", lambda: "new", 10, early=2) == "old"
    monkeypatch.setattr(random, "random", lambda: 1 - 2.718281828**-2)
    assert face.get_or_set("key", lambda: "new", 10, early=2) == "new"
    assert face.get("key", expire_time=True)[1] == face.clock.now + 10


def test_what_never_expires_is_never_stale(face: Face) -> None:
    face.get_or_set("key", "old", None, stale=5, early=1000)
    assert face.get_or_set("key", "new", None, stale=5, early=1000) == "old"


def test_a_value_in_a_file_can_be_stale(face: Face) -> None:
    face.get_or_set("key", b"old" * 1000, 10, stale=5)
    assert face.get_or_set("key", b"new" * 1000, 10, stale=5) == b"old" * 1000
    face.clock.advance(10)
    assert face.get_or_set("key", b"new" * 1000, 10, stale=5) == b"new" * 1000


@pytest.mark.parametrize("wrong", [{"stale": -1}, {"early": "soon"}, {"wait": -0.1}])
def test_seconds_that_are_none(face: Face, wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}=.*seconds"):
        face.get_or_set("key", 1, **wrong)
    with pytest.raises(ValueError, match=f"{name}=.*seconds"):
        face.memoize(**wrong)


def test_a_coroutine_function_is_for_the_other_method(face: Face) -> None:
    async def compute() -> int:
        return 1

    with pytest.raises(TypeError, match="await aget_or_set"):
        face.get_or_set("key", compute)
    assert "key" not in face


def test_waiting_counts_no_misses(face: Face) -> None:
    slow = Slow()
    beside(slow, lambda: face.get_or_set("key", slow), lambda: None)
    hits, misses = face.stats()
    assert misses <= MANY + 1  # each that has waited, at most; not each of its looks
    assert hits <= MANY + 1


# The same on an event loop


def test_tasks_wait_for_one_of_them(face: Face) -> None:
    calls: list[int] = []

    async def main() -> None:
        go_on = asyncio.Event()

        async def compute() -> int:
            calls.append(1)
            await go_on.wait()
            return len(calls)

        tasks = [asyncio.ensure_future(face.aget_or_set("key", compute)) for _ in range(MANY)]
        while not calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(*tasks) == [1] * MANY
        assert await face.aget_or_set("key", compute) == 1
        assert await face.aget_or_set("plain", lambda: 2, 10, tag="tag") == 2
        assert await face.aget_or_set("value", 3) == 3

    asyncio.run(main())
    assert calls == [1]
    assert face.get("plain", expire_time=True, tag=True) == (2, face.clock.now + 10, "tag")


def test_a_task_that_is_cancelled_lets_another_compute(face: Face) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def for_ever() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(face.aget_or_set("key", for_ever))
        await begun.wait()
        waiting = asyncio.ensure_future(face.aget_or_set("key", lambda: "mine", wait=None))
        await asyncio.sleep(0)
        task.cancel()
        assert await waiting == "mine"
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_stale_value_on_an_event_loop(face: Face) -> None:
    async def main() -> None:
        await face.aget_or_set("key", "old", 10, stale=5)
        face.clock.advance(10)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def compute() -> str:
            begun.set()
            await go_on.wait()
            return "new"

        task = asyncio.ensure_future(face.aget_or_set("key", compute, 10, stale=5))
        await begun.wait()
        assert await face.aget_or_set("key", compute, 10, stale=5) == "old"
        go_on.set()
        assert await task == "new"

    asyncio.run(main())


# memoize


def test_calls_that_are_the_same(face: Face) -> None:
    calls: list[Any] = []

    @face.memoize()
    def work(a: Any, b: Any = 2, *rest: Any, c: Any = 3, **more: Any) -> Any:
        calls.append((a, b, rest, c, more))
        return len(calls)

    same = [
        work(1),
        work(1, 2),
        work(a=1),
        work(b=2, a=1),
        work(1, c=3),
        work(c=3, b=2, a=1),
    ]
    assert same == [1] * 6
    others: list[Callable[[], Any]] = [
        lambda: work(1, 3),
        lambda: work(1, b=4),
        lambda: work(1, c=4),
        lambda: work(1, 2, 3),
        lambda: work(1, d=3),
        lambda: work(2),
    ]
    numbers = [each() for each in others]
    assert numbers == [2, 3, 4, 5, 6, 7]
    assert [each() for each in others] == numbers
    assert work(1, d=3, c=3) == 6


def test_a_call_that_the_function_does_not_take(face: Face) -> None:
    def function(a: int, *, b: int = 0) -> int:
        return a

    work: Any = face.memoize()(function)
    for args, kwargs in [((), {}), ((1, 2), {}), ((1,), {"a": 1}), ((1,), {"c": 1})]:
        with pytest.raises(TypeError) as ours:
            work(*args, **kwargs)
        with pytest.raises(TypeError) as its:
            function(*args, **kwargs)
        assert str(ours.value) == str(its.value)
        for method in (work.key_for, work.invalidate, work.refresh):
            with pytest.raises(TypeError):
                method(*args, **kwargs)
    assert len(face) == 0


def test_a_default_that_cannot_be_stored(face: Face) -> None:
    @face.memoize()
    def work(x: int, lock: Any = threading.Lock()) -> int:  # noqa: B008 (it is the point)
        return x

    assert [work(1), work(1)] == [1, 1]


def test_ignored_by_position_and_by_name(face: Face) -> None:
    calls: list[int] = []

    @face.memoize(ignore={1, "debug"})
    def work(x: int, connection: Any, debug: bool = False) -> int:
        calls.append(x)
        return x

    work(1, object())
    work(1, object(), True)
    work(1, connection=object(), debug=True)
    assert calls == [1]


def test_what_cannot_be_ignored(face: Face) -> None:
    def view(request: Any, page: int = 1) -> int:
        return page

    def open_view(request: Any, **more: Any) -> None:
        pass

    for wrong in ("request", b"request", 0, [None], ("page", 1.5)):
        with pytest.raises(TypeError, match=r"ignore=.*: expected a tuple, list or set"):
            face.memoize(ignore=wrong)
    with pytest.raises(TypeError, match=r"of one name it is \{'request'\}"):
        face.memoize(ignore="request")
    with pytest.raises(ValueError, match="has no argument 'reqest', but request, page"):
        face.memoize(ignore={"reqest"})(view)
    face.memoize(ignore={"request", "page", 0, 1})(view)
    face.memoize(ignore={"reqest"})(open_view)


def test_a_name_that_is_a_time(face: Face) -> None:
    life = face.expire_argument
    with pytest.raises(TypeError, match=f"name=60: expected a text or None; .* {life}=60$"):
        face.cache.memoize(60)
    with pytest.raises(TypeError, match=r"name=b'name': expected a text or None$"):
        face.cache.memoize(b"name")


def test_a_key_of_ones_own(face: Face) -> None:
    calls: list[Any] = []

    @face.memoize(name="profile", key=lambda user, **more: user["id"])
    def profile(user: dict[str, Any], theme: str = "") -> int:
        calls.append(user)
        return len(calls)

    assert profile({"id": 1, "name": "Ann"}) == profile({"id": 1}, theme="dark") == 1
    assert profile({"id": 2}) == 2
    decorated: Any = profile
    assert decorated.invalidate({"id": 2}) is True
    with pytest.raises(TypeError, match="ignore"):
        face.memoize(key=len, ignore={0})
    with pytest.raises(TypeError, match="key=3"):
        face.memoize(key=3)


def test_invalidate_refresh_and_key_for(face: Face) -> None:
    calls: list[int] = []

    @face.memoize(expire=10, tag="tag")
    def work(x: int, y: int = 0) -> int:
        calls.append(x)
        return len(calls)

    decorated: Any = work
    assert decorated.invalidate(1) is False
    assert [work(1), work(1, y=0)] == [1, 1]
    assert face.get(decorated.key_for(x=1)) == 1
    assert decorated.key_for(1) == decorated.__cache_key__(1, 0)
    assert decorated.refresh(1) == work(1) == 2
    assert face.get(decorated.key_for(1), tag=True) == (2, "tag")
    assert decorated.invalidate(x=1) is True
    assert decorated.invalidate(1) is False
    assert work(1) == 3


def test_invalidate_and_refresh_of_a_coroutine_function(face: Face) -> None:
    calls: list[int] = []

    @face.memoize()
    async def work(x: int) -> int:
        calls.append(x)
        return len(calls)

    decorated: Any = work

    async def main() -> None:
        assert [await work(1), await work(x=1)] == [1, 1]
        assert await decorated.refresh(1) == await work(1) == 2
        assert await decorated.invalidate(1) is True
        assert await decorated.invalidate(1) is False
        assert await asyncio.gather(*(work(1) for _ in range(MANY))) == [3] * MANY

    asyncio.run(main())


def make_class(face: Face, calls: list[Any]) -> Any:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

        def __reduce__(self) -> Any:
            return complex, (self.x,)  # what it counts as; a local class has no pickle

        def __hash__(self) -> int:
            return hash(self.x)

        @face.memoize(name="plus")
        def plus(self, y: int = 0) -> int:
            """Adds."""
            calls.append(y)
            return self.x + y

        @face.memoize(name="aplus")
        async def aplus(self, y: int = 0) -> int:
            calls.append(y)
            return self.x + y

        @face.memoize(name="static")
        @staticmethod
        def static(y: int = 0) -> int:
            calls.append(y)
            return y

        @face.memoize(name="of_class", key=lambda cls, y=0: (cls.__name__, y))
        @classmethod
        def of_class(cls, y: int = 0) -> str:
            calls.append(y)
            return f"{cls.__name__} {y}"

    return Point


def test_methods(face: Face) -> None:
    calls: list[Any] = []
    point_class = make_class(face, calls)
    point = point_class(5)
    assert [point.plus(1), point.plus(y=1), point_class.plus(point, 1)] == [6, 6, 6]
    assert point_class(6).plus(1) == 7
    assert calls == [1, 1]
    assert point.plus.invalidate(1) is True
    assert point.plus.invalidate(1) is False
    assert point.plus.refresh(1) == 6
    assert face.get(point.plus.key_for(1)) == 6
    assert (point.plus.__name__, point.plus.__doc__) == ("plus", "Adds.")
    assert point.plus.__self__ is point
    assert str(inspect.signature(point.plus)) == "(y: 'int' = 0) -> 'int'"
    assert str(inspect.signature(point_class.of_class)) == "(y: 'int' = 0) -> 'str'"


def test_methods_of_the_class_and_coroutines(face: Face) -> None:
    calls: list[Any] = []
    point_class = make_class(face, calls)
    point = point_class(5)
    assert [point.static(1), point_class.static(y=1), point_class.static.refresh(1)] == [1] * 3
    subclass: Any = type("Sub", (point_class,), {})
    assert [point.of_class(1), point_class.of_class(1)] == ["Point 1"] * 2
    assert [subclass.of_class(1), subclass(3).of_class(1)] == ["Sub 1"] * 2
    assert len(calls) == 4
    assert subclass.of_class.invalidate(1) is True
    assert inspect.iscoroutinefunction(point.aplus)

    async def main() -> None:
        assert [await point.aplus(1), await point.aplus(y=1)] == [6, 6]
        assert await point.aplus.invalidate(1) is True
        assert await point.aplus.refresh(1) == 6

    asyncio.run(main())


def test_a_memoized_function_is_called_once(face: Face) -> None:
    slow = Slow()
    work = face.memoize(name="slow")(slow)
    assert beside(slow, work, lambda: None)[1:] == [1] * MANY
    assert slow.calls == 1


def test_a_memoized_function_with_stale_results(face: Face) -> None:
    slow = Slow()
    slow.go_on.set()
    work = face.memoize(10, name="slow", stale=5)(slow)
    assert [work(), work()] == [1, 1]
    face.clock.advance(10)
    slow.go_on.clear()
    slow.begun.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(work)
        assert slow.begun.wait(20)
        assert work() == 1
        slow.go_on.set()
        assert first.result() == 2
    assert work() == 2
