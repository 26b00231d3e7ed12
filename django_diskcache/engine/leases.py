"""Who holds a named lock or a place of a semaphore: its state, and each step on it.

The state is one pinned entry: ``[fence, [[token, end], ...]]``. Each holder has a token of his
own and a time at which his place is free again (seconds since the epoch, or None), so that one
who dies gives back his place and no other. A lock is a semaphore with one place.

The *fence* is a number that every acquisition raises. Who writes to something under a lock
hands it the fence along; it refuses a smaller one than it has seen, which comes from a holder
who has lost the lock and does not know yet. It rises over releases, ends and restarts, and
after the cache was cleared too, since it is at least the time in microseconds. Against clocks
that are set back, what was held is remembered for an hour after its release; on a server, where
each machine has a clock of its own, after its end as well.

Each step is a change of the entry. `take` and `give` take the cache first, so that they can run
on an impatient twin of it: see `impatient.on_loop`.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from .disk import Pinned
from .errors import ENOVAL, UNKNOWN, Fault, LockError, LockLost
from .faults import FAULTS
from .updating import Change

REMEMBERED = 3600.0  # seconds that the fence of what nobody holds is kept

Holders = list[list[Any]]  # token and end of each


def _read(cache: Any, state: Any) -> tuple[int, Holders]:
    """The fence, and those who hold a place now."""
    fence, holders = (0, ()) if state is ENOVAL else state
    now = cache.engine.clock()
    return fence, [[token, end] for token, end in holders if end is None or end > now]


def _written(cache: Any, fence: int, holders: Holders) -> tuple[Any, float | None]:
    """The state, and seconds that it is kept."""
    ends = [end for _, end in holders]
    if not holders:
        return [fence, []], REMEMBERED
    life = None if None in ends else max(ends) - cache.engine.clock()
    if life is not None and not cache.engine.in_files:
        life += REMEMBERED
    return Pinned([fence, holders]), life


def take(cache: Any, key: Any, token: str, value: int, timeout: float | None) -> int | None:
    """Take one of `value` places; the fence, or None if none is free.

    :param timeout: seconds after which the place is free again; None is never
    """

    def change(state: Any) -> tuple[int | None, Any, float | None]:
        fence, holders = _read(cache, state)
        if len(holders) >= value:
            return None, UNKNOWN, None
        now = cache.engine.clock()
        fence = max(fence + 1, int(now * 1e6))
        end = None if timeout is None else now + timeout
        return fence, *_written(cache, fence, [*holders, [token, end]])

    try:
        # Who waits disturbs no writer.
        fence: int | None = cache.update(key, change, looking=True)
    except Fault:
        if not cache.engine.in_files:  # it may have been done: then nobody would give it back
            with suppress(LockLost, *FAULTS):
                give(cache, key, token, None)
        raise
    return fence


class Attempt:
    """A `take` in a thread, on behalf of somebody who may be gone when it succeeds.

    A thread cannot be stopped. So it looks afterwards whether what it took is still wanted, and
    if not gives it back itself; nobody has to wait for it.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._lock = threading.Lock()
        self._taken = False
        self._abandoned = False

    def take(
        self, cache: Any, key: Any, value: int, timeout: float | None, name: Any
    ) -> int | None:
        """See the function `take`; None as well if it was abandoned meanwhile."""
        fence = take(cache, key, self._token, value, timeout)
        with self._lock:
            self._taken = fence is not None
            if not self._abandoned:
                return fence
        if fence is not None:
            with suppress(LockLost):
                give(cache, key, self._token, name)
        return None

    def abandon(self) -> bool:
        """Want it no more; whether it was taken already, so that it is to be given back."""
        with self._lock:
            self._abandoned = True
            return self._taken


def give(cache: Any, key: Any, token: str, name: Any) -> None:
    """Give back the place that `token` has.

    :param name: of the lock, for errors
    :raises LockLost: when it has none
    """

    def change(state: Any) -> tuple[None, Any, float | None]:
        fence, holders = _read(cache, state)
        left = [each for each in holders if each[0] != token]
        if len(left) == len(holders):
            raise _lost(name)
        return None, *_written(cache, fence, left)

    cache.update(key, change)


def extending(cache: Any, token: str, name: Any, seconds: float, anew: bool) -> Change:
    """The change that lets the place of `token` be held for longer.

    :param name: of the lock, for errors
    :param seconds: more than it would be; or `anew`, from now on
    :raises LockLost: when it has none
    :raises LockError: when it is held without an end
    """

    def change(state: Any) -> tuple[None, Any, float | None]:
        fence, holders = _read(cache, state)
        for each in holders:
            if each[0] == token:
                if each[1] is None:
                    raise LockError(f"{name!r} has no timeout, so there is nothing to extend")
                each[1] = (cache.engine.clock() if anew else each[1]) + seconds
                return None, *_written(cache, fence, holders)
        raise _lost(name)

    return change


def tokens(cache: Any, state: Any) -> list[str]:
    """Of those who have a place.

    :param state: what is stored, or ENOVAL
    """
    return [token for token, _ in _read(cache, state)[1]]


def _lost(name: Any) -> LockLost:
    return LockLost(
        f"{name!r} is not held any more: its time was over, or it was cleared meanwhile"
    )
