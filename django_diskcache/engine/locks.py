"""Named locks and semaphores of a cache, with the interface of those of redis-py.

A lock belongs to whoever has acquired it by this object: to a thread, as each acquisition
has a token of its own (see `held`). Its state is in `leases`. It is given back as well when an
exception of a signal's handler, or the cancellation of a task, comes while it is taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from secrets import token_hex
from types import TracebackType
from typing import Any, TypeVar

from . import leases
from .errors import LockError, LockLost
from .faults import FAULTS
from .guard import Guarded, raising
from .held import Held
from .impatient import aupdate, on_loop
from .lifetime import positive_seconds
from .options import is_number
from .pinning import looked_at
from .updating import Change

Self = TypeVar("Self", bound="_Lease")
RUNNING: set[Any] = set()  # tasks that nobody may be waiting for
SLEEP = 0.005  # seconds between two looks at what another holds


def _check_patience(seconds: Any) -> None:
    if seconds is None:
        return
    expected = "a number of seconds, 0 or more, or None for as long as it takes"
    if not is_number(seconds):
        raise TypeError(f"blocking_timeout={seconds!r}: expected {expected}")
    if not seconds >= 0:
        raise ValueError(f"blocking_timeout={seconds!r}: expected {expected}")


class _Lease:
    """What the locks have in common, sync and async."""

    def __init__(
        self,
        cache: Any,
        name: Any,
        value: int = 1,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> None:
        if type(value) is not int or value < 1:
            raise ValueError(f"value={value!r}: expected a number of holders, 1 or more")
        if timeout is not None:
            positive_seconds("timeout", timeout)
        positive_seconds("sleep", sleep)
        _check_patience(blocking_timeout)
        self.name = name
        self.value = value
        self.timeout = timeout
        self.blocking_timeout = blocking_timeout
        self.sleep = sleep
        self.blocking = blocking
        self._cache = raising(cache)
        self._key = f"lock:{name}"
        self._held = Held()

    @property
    def fence(self) -> int | None:
        """The number of this thread's acquisition: greater than all before; None without one.

        Hand it along with what is written under the lock, and let the receiver refuse what
        comes with a smaller one than he has seen.
        """
        held = self._held.last(self._task())
        return None if held is None else held.fence

    @property
    def token(self) -> str | None:
        """What tells this thread's acquisition from all others; None without one.

        Of several, which only a semaphore allows, it is the last.
        """
        held = self._held.last(self._task())
        return None if held is None else held.token

    def _task(self) -> Any:
        """The task that calls, or None."""
        return None

    def _token(self, what: str) -> str:
        token = self.token
        if token is None:
            raise LockError(f"cannot {what} {self.name!r}: this thread has not acquired it")
        return token

    def _pauses(self, blocking: bool | None, blocking_timeout: float | None) -> Iterator[float]:
        """The seconds between attempts, as many as are to be made after the first."""
        _check_patience(blocking_timeout)
        return self._pausing(blocking, blocking_timeout)

    def _pausing(
        self, blocking: bool | None, blocking_timeout: float | None
    ) -> Iterator[float]:
        if blocking is None:
            blocking = self.blocking
        if blocking_timeout is None:
            blocking_timeout = self.blocking_timeout
        if not blocking:
            return
        if self._cache.engine.transacting():
            raise LockError(
                f"{self.name!r} is held by another, who cannot release it while this thread is "
                "inside transact(): acquire the lock first"
            )
        left = math.inf if blocking_timeout is None else blocking_timeout
        end = time.monotonic() + left
        while (left := end - time.monotonic()) > 0:
            yield min(self.sleep, left)

    def _extension(self, additional_time: float) -> float:
        return positive_seconds("additional_time", additional_time)

    def _own_timeout(self) -> float:
        if self.timeout is None:
            raise LockError(f"{self.name!r} has no timeout, so there is nothing to renew")
        return self.timeout

    def _not_acquired(self) -> LockError:
        return LockError(f"{self.name!r} was not free in time")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, timeout={self.timeout!r})"


class CacheLock(_Lease):
    """A lock by its name, or a place of a semaphore, shared by all processes.

    It is made by `lock` and `semaphore` of a cache. ``with`` acquires and releases it, and
    raises `LockError` where it is not free in time.
    """

    def acquire(
        self, blocking: bool | None = None, blocking_timeout: float | None = None
    ) -> bool:
        """Take it; whether it was free in time. The arguments stand for those it was made with.

        :param blocking: False makes one attempt
        :param blocking_timeout: seconds to wait; None is as long as it takes
        :raises LockError: when it would have to wait inside a transaction of this thread
        """
        token = token_hex(16)
        pauses = self._pauses(blocking, blocking_timeout)
        try:
            while True:
                fence = leases.take(self._cache, self._key, token, self.value, self.timeout)
                if fence is not None:
                    self._held.put(token, fence, self.value)
                    return True
                pause = next(pauses, None)
                if pause is None:
                    return False
                time.sleep(pause)
        except (LockError, *FAULTS):
            raise
        except BaseException as error:  # a handler of signals raises, maybe just now
            self._undo(token, error)
            raise

    def _undo(self, token: str, error: BaseException) -> None:
        import traceback  # only now: it takes some milliseconds

        # The transaction that was interrupted may be held by frames, and would take this along
        # when it is rolled back with them.
        traceback.clear_frames(error.__traceback__)
        with suppress(LockLost, *FAULTS):
            leases.give(self._cache, self._key, token, self.name)
        self._held.drop(token)

    def release(self) -> None:
        """Let others have it.

        :raises LockError: when this thread has not acquired it
        :raises LockLost: when it has lost it since; if another holds it by now, it stays his
        """
        token = None
        try:
            token = self._token("release")
            leases.give(self._cache, self._key, token, self.name)
            self._held.drop(token)
        except LockLost:
            self._held.drop(token)
            raise
        except (LockError, *FAULTS):
            raise
        except BaseException as error:  # a handler of signals raises, maybe before it is done
            token = token or self.token
            if token:
                self._undo(token, error)
            raise

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Hold it for `additional_time` seconds more, or with `replace_ttl` from now on; True.

        :raises LockError: when this thread has not acquired it, or it has no timeout
        :raises LockLost: when it has lost it since
        """
        token, seconds = self._token("extend"), self._extension(additional_time)
        self._extend(token, seconds, replace_ttl)
        return True

    def reacquire(self) -> bool:
        """Hold it for its whole timeout from now on; True.

        :raises LockError: when this thread has not acquired it, or it has no timeout
        :raises LockLost: when it has lost it since
        """
        token = self._token("reacquire")
        self._extend(token, self._own_timeout(), True)
        return True

    def _extend(self, token: str, seconds: float, anew: bool) -> None:
        change = leases.extending(self._cache, token, self.name, seconds, anew)
        self._cache.update(self._key, change)

    def owned(self) -> bool:
        """Whether this thread holds it."""
        return self.token is not None and self.token in self._tokens()

    def locked(self) -> bool:
        """Whether nobody could acquire it now."""
        return len(self._tokens()) >= self.value

    def _tokens(self) -> list[str]:
        state = self._cache.update(self._key, looked_at, looking=True)
        return leases.tokens(self._cache, state)

    def __enter__(self: Self) -> Self:
        if not self.acquire():  # type: ignore[attr-defined]
            raise self._not_acquired()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class AsyncCacheLock(_Lease):
    """`CacheLock` for event loops: all methods are awaited, and it is used by ``async with``.

    It belongs to the object; of tasks that share one, each has what it has acquired itself.
    """

    async def acquire(
        self, blocking: bool | None = None, blocking_timeout: float | None = None
    ) -> bool:
        """See `CacheLock.acquire`."""
        import asyncio  # here it is loaded; at start-up it would cost 20 ms

        token = token_hex(16)
        pauses = self._pauses(blocking, blocking_timeout)
        while True:
            fence = await self._take(token)
            if fence is not None:
                self._held.put(token, fence, self.value, self._task())
                return True
            pause = next(pauses, None)
            if pause is None:
                return False
            await asyncio.sleep(pause)

    async def _take(self, token: str) -> int | None:
        import asyncio

        # Not awaited from a server: whatever becomes of this task and its loop, a thread
        # completes what it has begun, and gives back what is not wanted any more.
        attempt = leases.Attempt(token)
        try:
            return await on_loop(
                self._cache, attempt.take, self._key, self.value, self.timeout, self.name
            )
        except asyncio.CancelledError:  # a thread may be about to take it
            if attempt.abandon():
                with suppress(LockLost, *FAULTS):
                    await self._in_background(self._give(token))
            raise

    def _task(self) -> Any:
        import asyncio

        with suppress(RuntimeError):  # it is looked at where no event loop runs
            return asyncio.current_task()
        return None

    async def _in_background(self, step: Coroutine[Any, Any, Any]) -> None:
        """Wait for a step, which is completed too if this is cancelled."""
        import asyncio

        task = asyncio.ensure_future(step)
        RUNNING.add(task)  # an event loop holds tasks weakly
        task.add_done_callback(RUNNING.discard)
        await asyncio.shield(task)

    async def _update(self, change: Change, looking: bool = False) -> Any:
        return await aupdate(self._cache, self._key, change, looking)

    async def _give(self, token: str) -> None:
        await on_loop(self._cache, leases.give, self._key, token, self.name)

    async def release(self) -> None:
        """See `CacheLock.release`."""
        held = self._held
        kept = held.last(self._task())
        token = self._token("release")
        held.drop(token)  # or another task would take it for its own meanwhile
        try:
            await self._in_background(self._give(token))
        except FAULTS:
            if kept is not None:
                held.restore(kept)
            raise

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """See `CacheLock.extend`."""
        token, seconds = self._token("extend"), self._extension(additional_time)
        await self._extend(token, seconds, replace_ttl)
        return True

    async def reacquire(self) -> bool:
        """See `CacheLock.reacquire`."""
        token = self._token("reacquire")
        await self._extend(token, self._own_timeout(), True)
        return True

    async def _extend(self, token: str, seconds: float, anew: bool) -> None:
        await self._update(leases.extending(self._cache, token, self.name, seconds, anew))

    async def owned(self) -> bool:
        """See `CacheLock.owned`."""
        return self.token is not None and self.token in await self._tokens()

    async def locked(self) -> bool:
        """See `CacheLock.locked`."""
        return len(await self._tokens()) >= self.value

    async def _tokens(self) -> list[str]:
        return leases.tokens(self._cache, await self._update(looked_at, looking=True))

    async def __aenter__(self: Self) -> Self:
        if not await self.acquire():  # type: ignore[attr-defined]
            raise self._not_acquired()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.release()


class LockMethods(Guarded):
    """The methods of a cache that make locks."""

    def lock(
        self,
        name: Any,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> CacheLock:
        """A lock that one thread of one process holds at a time; see `CacheLock`.

        It is never evicted, and where the store has a fault its methods raise that.

        :param timeout: seconds after which it is free again, should its holder have died;
            None is never
        :param blocking_timeout: seconds that `acquire` waits; None is as long as it takes
        :param sleep: seconds between two looks whether it is free
        :param blocking: whether `acquire` waits at all
        :raises TypeError: for seconds that are no number
        :raises ValueError: for a `timeout` or `sleep` that is not above 0, and a
            `blocking_timeout` below 0
        """
        return CacheLock(self, name, 1, timeout, blocking_timeout, sleep, blocking)

    def semaphore(
        self,
        name: Any,
        value: int,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> CacheLock:
        """A lock that up to `value` threads of all processes hold at a time; see `CacheLock`.

        The arguments are those of `lock`. Each holder has a `timeout` of his own: who dies
        gives back his place and no other.

        :raises ValueError: for a `value` below 1 as well
        """
        return CacheLock(self, name, value, timeout, blocking_timeout, sleep, blocking)

    def alock(
        self,
        name: Any,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> AsyncCacheLock:
        """`lock` for event loops; see `AsyncCacheLock`."""
        return AsyncCacheLock(self, name, 1, timeout, blocking_timeout, sleep, blocking)

    def asemaphore(
        self,
        name: Any,
        value: int,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> AsyncCacheLock:
        """`semaphore` for event loops; see `AsyncCacheLock`."""
        return AsyncCacheLock(self, name, value, timeout, blocking_timeout, sleep, blocking)
