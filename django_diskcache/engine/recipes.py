"""What people build with a cache: locks across processes, averages, throttling.

Each keeps its state under one key. What is held of a lock is never evicted; an average or a
throttle is, and begins anew: use a cache whose eviction policy is 'none' if that matters. What
fails raises, where a `FanoutCache` itself would answer with a default: a lock must not take a
fault for the truth. The cache may be a `Cache`, a `FanoutCache`, one on a server, or anything
with their methods. Each change of state is one `update` (see `updating`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from secrets import token_hex
from typing import Any

from .calls import Function, full_name
from .disk import Pinned
from .errors import ENOVAL, UNKNOWN, LockLost
from .guard import raising
from .memoize import Decorator, is_coroutine_function
from .pinning import Pinning
from .rates import drawn
from .updating import Change

PAUSE = 0.001  # seconds between two attempts to get a lock


class Averager:
    """A running average of what all processes add.

    :param key: where total and count are kept
    :param expire: seconds until they are forgotten, from the last `add` on
    :param tag: their tag
    """

    def __init__(
        self, cache: Any, key: Any, expire: float | None = None, tag: Any = None
    ) -> None:
        self._cache = raising(cache)
        self._key = key
        self._state = Pinning(cache, key, expire, tag)

    def add(self, value: float) -> None:
        """Add a value."""

        def change(state: Any) -> tuple[None, Any, float | None]:
            total, count = (0.0, 0) if state is ENOVAL else state
            # Any serializer holds a list.
            return None, [total + value, count + 1], self._state.expire

        self._state.update(change)

    def get(self) -> float | None:
        """The average, or None when nothing was added."""
        return _average(self._cache.get(self._key, default=(0.0, 0), retry=True))

    def pop(self) -> float | None:
        """The average, or None when nothing was added; begin again."""
        return _average(self._cache.pop(self._key, default=(0.0, 0), retry=True))


def _average(state: Any) -> float | None:
    total, count = state
    average: float | None = total / count if count else None
    return average


_thread = threading.local()  # a name that no later thread has, though it has the same number


def _thread_name() -> str:
    try:
        name = _thread.name
    except AttributeError:
        name = _thread.name = token_hex(8)
    return f"{os.getpid()}-{name}"


class _Held:
    """What the threads of this process have acquired by one recipe, each as a stack."""

    def __init__(self) -> None:
        self._tokens: dict[str, list[str]] = {}

    def keep(self, token: str) -> None:
        self._tokens.setdefault(_thread_name(), []).append(token)

    def give(self, own: bool = False) -> str | None:
        """The last token of this thread, or unless `own` of one that passed it on, or None."""
        me = _thread_name()
        for thread in [me] if own else [me, *reversed(list(self._tokens))]:
            with suppress(KeyError, IndexError):  # another thread may be quicker
                tokens = self._tokens[thread]
                token = tokens.pop()
                if not tokens and thread == me:  # which cannot be adding to it now
                    self._tokens.pop(me, None)
                return token
        return None


class _Acquired:
    """Something acquired at the beginning of a `with` block and released at its end."""

    def __init__(
        self, cache: Any, key: Any, expire: float | None = None, tag: Any = None
    ) -> None:
        self._state = Pinning(cache, key, expire, tag)
        self._held = _Held()

    def acquire(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError

    def _wait_for(self, change: Change) -> None:
        """Make a change, which says whether it could be made, as soon as it can."""
        waited = False
        while not self._state.update(change, looking=waited):  # who waits disturbs no writer
            time.sleep(PAUSE)
            waited = True

    def _lost(self) -> LockLost:
        return LockLost(
            f"{type(self).__name__} {self._state.key!r} was lost before its release"
        )

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *exception: object) -> None:
        self.release()


class Lock(_Acquired):
    """A lock that one thread of one process holds at a time.

    It is never evicted. Its holder may die: without `expire` the lock then stays taken until
    somebody releases it.

    :param key: where it is kept
    :param expire: seconds after which it is free again, should its holder have died; more than
        anybody needs it, for after that another gets it
    :param tag: its tag
    """

    def acquire(self) -> None:
        """Wait until the lock is free, and take it."""
        token = token_hex(8)
        while not self._state.add(token):
            time.sleep(PAUSE)
        self._held.keep(token)

    def release(self) -> None:
        """Free the lock; by an object that has not acquired it, whoever holds it.

        :raises LockLost: when it was acquired here and is lost: it expired, was cleared, or
            somebody else has released it. If another holds it by now, it stays his.
        """
        token = self._held.give()
        if token is None:
            self._state.delete()
            return

        def change(state: Any) -> tuple[None, Any, None]:
            if state != token:
                raise self._lost()
            return None, ENOVAL, None

        try:
            self._state.update(change)
        except LockLost:
            raise
        except BaseException:
            self._held.keep(token)  # it is as it was
            raise

    def locked(self) -> bool:
        """Whether anyone holds it."""
        return self._state.stored()


class RLock(_Acquired):
    """A lock that its holder may take again; it is free when released as often.

    It is never evicted while it is held. The arguments are those of `Lock`; each time it is
    taken or released by its holder, `expire` begins anew.
    """

    def acquire(self) -> None:
        """Wait until the lock is free or this thread's own, and take it."""
        me = _thread_name()

        def change(state: Any) -> tuple[bool, Any, float | None]:
            holder, count = (None, 0) if state is ENOVAL else state
            if holder != me and count > 0:
                return False, UNKNOWN, None
            return True, Pinned([me, count + 1]), self._state.expire

        self._wait_for(change)
        self._held.keep(me)

    def release(self) -> None:
        """Undo one `acquire`.

        :raises LockLost: when this thread has acquired it and lost it
        :raises AssertionError: when this thread does not hold it
        """
        me = _thread_name()

        def change(state: Any) -> tuple[None, Any, float | None]:
            holder, count = (None, 0) if state is ENOVAL else state
            if holder != me or count == 0:
                raise self._lost()
            left = [me, count - 1]
            return None, Pinned(left) if count > 1 else left, self._state.expire

        try:
            self._state.update(change)
        except LockLost as lost:
            if self._held.give(own=True) is None:
                raise AssertionError("cannot release un-acquired lock") from None
            raise lost
        self._held.give(own=True)  # it may have none: another object acquired it


class BoundedSemaphore(_Acquired):
    """Something that up to `value` holders have at a time.

    It is never evicted while one is taken. With `expire` all are free again when none was taken
    or given back for so long. The other arguments are those of `Lock`.
    """

    def __init__(
        self,
        cache: Any,
        key: Any,
        value: int = 1,
        expire: float | None = None,
        tag: Any = None,
    ) -> None:
        super().__init__(cache, key, expire, tag)
        self._value = value

    def acquire(self) -> None:
        """Wait until one is free, and take it."""

        def change(state: Any) -> tuple[bool, Any, float | None]:
            free = self._value if state is ENOVAL else state
            if free <= 0:
                return False, UNKNOWN, None
            return True, Pinned(free - 1), self._state.expire

        self._wait_for(change)
        self._held.keep("")

    def release(self) -> None:
        """Give one back.

        :raises LockLost: when one was acquired here, and all are free: they expired or were
            cleared, or somebody gave back more than he had
        :raises AssertionError: when none is taken
        """

        def change(state: Any) -> tuple[bool, Any, float | None]:
            free = self._value if state is ENOVAL else state
            if free >= self._value:
                return False, UNKNOWN, None
            left = free + 1
            return True, Pinned(left) if left < self._value else left, self._state.expire

        taken = self._state.update(change)
        acquired = self._held.give() is not None
        if not taken:
            raise (
                self._lost()
                if acquired
                else AssertionError("cannot release un-acquired semaphore")
            )


def throttle(
    cache: Any,
    count: int,
    seconds: float,
    name: str | None = None,
    expire: float | None = None,
    tag: Any = None,
    time_func: Callable[[], float] = time.time,
    sleep_func: Callable[[float], object] = time.sleep,
) -> Decorator:
    """A decorator that lets all processes together call a function `count` times in `seconds`.

    A call beyond that sleeps until it is due. A pause saves up calls, `count` at the most (a
    token bucket).

    :param name: where the state is kept; by default the function's module and name
    :raises TypeError: for a coroutine function
    """
    cache = raising(cache)

    def decorator(function: Function) -> Function:
        _refuse_coroutines(function, "throttle")
        key = full_name(function) if name is None else name
        cache.set(key, [time_func(), count], expire=expire, tag=tag, retry=True)

        bucket = Pinning(cache, key, expire, tag)

        def draw(state: Any) -> tuple[float, Any, float | None]:
            now = time_func()
            found = (now, count) if state is ENOVAL else state
            pause, left = drawn(found, now, count, float(seconds))
            return (pause, UNKNOWN, None) if pause else (pause, [now, left], expire)

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            while pause := bucket.update(draw):
                sleep_func(pause)
            return function(*args, **kwargs)

        return wrapper

    return decorator


def barrier(
    cache: Any,
    lock_factory: Callable[..., Any],
    name: str | None = None,
    expire: float | None = None,
    tag: Any = None,
) -> Decorator:
    """A decorator that holds a lock while the function runs.

    :param lock_factory: `Lock`, `RLock` or `BoundedSemaphore`
    :param name: where the lock is kept; by default the function's module and name
    :raises TypeError: for a coroutine function
    """

    def decorator(function: Function) -> Function:
        _refuse_coroutines(function, "barrier")
        key = full_name(function) if name is None else name
        lock = lock_factory(cache, key, expire=expire, tag=tag)

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with lock:
                return function(*args, **kwargs)

        return wrapper

    return decorator


def _refuse_coroutines(function: Function, recipe: str) -> None:
    # A call returns before anything runs, and waiting would hold up the event loop.
    if is_coroutine_function(function):
        raise TypeError(
            f"{full_name(function)} is a coroutine function: put {recipe} on a synchronous one "
            "and run that in a thread"
        )
