"""Computing what is missing once: one computes, and all others wait or have what is there.

Of all threads, tasks and processes that miss an entry, the one that gets the *claim* on its key
(see `claims`) computes it. The others look again after growing pauses, until it is there, or
the claim is free and nothing there, because its holder died or failed or could not store what
it computed: then all that have waited compute at once, as without claims. In turn they would
each wait for all others. Nobody waits for longer than `wait` seconds; after that he computes
for himself. So what waits for each other comes to an end, and so does what waits for a
computation that hangs.

Nobody waits who would wait for himself: inside the computation of a key that key is computed
again, and inside a transaction of this thread nothing is waited for.

An entry may be stored for `stale` seconds beyond its time to live. One whose remaining life is
shorter than that is stale: who sees it first and gets the claim computes it anew, and to
everybody else it is as good as ever. With `early`, the seconds that a computation takes, that
begins before the end, at a random moment: the nearer the end, the likelier. That is the rule
of Vattani, Chierichetti and Lowenstein, Optimal Probabilistic Cache Stampede Prevention, VLDB
2015.

Nothing here is computed in the background: a thread of ours would have its own connections to
the site's database.
"""

from __future__ import annotations

import math
import random
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeAlias

from .claims import Claim
from .errors import ENOVAL

WAIT = 10.0  # seconds that one waits for what another computes, unless told otherwise
SHORTEST, LONGEST = 0.0005, 0.02  # seconds between two looks
PART = 8  # of the time that was waited already, the next pause takes so much

Found = tuple[Any, "float | None"]  # a value or ENOVAL, and when it expires

# What this thread or task is computing. Weakly: an exception of a signal handler may keep a
# turn from saying that it is over.
_Turns: TypeAlias = "tuple[weakref.ref[_Turn], ...]"
_computing: ContextVar[_Turns] = ContextVar("django_diskcache_computing")


class Results(ABC):
    """Where results are, and how they are shared; a face of the cache fills in the methods.

    :param stale: seconds beyond its time to live that a result is kept
    :param early: seconds that a computation takes, about; 0 begins none before the end
    :param wait: seconds that one waits for what another computes; None is as long as it takes
    :param kept: whether results are kept at all; else each call computes
    :raises ValueError: for one of them that is no number of seconds
    """

    def __init__(
        self, stale: float, early: float, wait: float | None, kept: bool = True
    ) -> None:
        self.stale = _seconds("stale", stale)
        self.early = _seconds("early", early)
        self.wait = math.inf if wait is None else _seconds("wait", wait)
        self.kept = kept
        self.renews = bool(stale or early)
        self.scope: Any = None  # of the keys

    @abstractmethod
    def clock(self) -> float:
        """Seconds since the epoch."""

    @abstractmethod
    def claim(self, key: Any) -> Claim | None:
        """The claim on the key, or None while another has it."""

    @abstractmethod
    def get(self, key: Any) -> Any:
        """The value, or ENOVAL."""

    @abstractmethod
    def until(self, key: Any) -> Found:
        """The value, and when it expires."""

    @abstractmethod
    def has(self, key: Any) -> bool:
        """Whether there is a value; nothing is counted."""

    @abstractmethod
    def keep(self, key: Any, value: Any, anew: bool) -> Any:
        """Store what was computed, `anew` where there was something; what callers get."""

    @abstractmethod
    def delete(self, key: Any) -> bool:
        """Remove it; whether it was there."""

    async def aclaim(self, key: Any) -> Claim | None:
        """`claim` for event loops; on files it waits for nothing and takes microseconds."""
        return self.claim(key)

    @abstractmethod
    async def aget(self, key: Any) -> Any:
        """`get` for event loops, and so are the following."""

    @abstractmethod
    async def auntil(self, key: Any) -> Found: ...

    @abstractmethod
    async def ahas(self, key: Any) -> bool: ...

    @abstractmethod
    async def akeep(self, key: Any, value: Any, anew: bool) -> Any: ...

    @abstractmethod
    async def adelete(self, key: Any) -> bool: ...

    def is_time(self, due: float | None) -> bool:
        """Whether an entry that expires then is to be computed anew."""
        if due is None:
            return False
        ahead = -self.early * math.log(1.0 - random.random()) if self.early else 0.0
        return self.clock() + ahead >= due - self.stale


def _seconds(name: str, value: Any) -> float:
    try:
        if value >= 0:
            return float(value)
    except TypeError:
        pass
    raise ValueError(f"{name}={value!r}: expected a number of seconds, 0 or more")


class _Turn:
    """Whose turn it is to compute a key: inside ``with``, take it or wait, then `begin`."""

    def __init__(self, results: Results, key: Any) -> None:
        self._results = results
        self._key = key
        self._name = results.scope, key
        self._claim: Claim | None = None
        self._computes = self._waited = False
        # It would wait for itself.
        self._own = any(
            turn is not None and turn._computes and turn._name == self._name
            for turn in (each() for each in _computing.get(()))
        )
        self._start = time.monotonic()

    def taken(self) -> bool:
        """Take it if it is free, without waiting; whether it was."""
        if not self._own:
            self._claim = self._results.claim(self._key)
        return self._claim is not None

    async def ataken(self) -> bool:
        """`taken` on an event loop."""
        if not self._own:
            self._claim = await self._results.aclaim(self._key)
        return self._claim is not None

    def pause(self) -> float | None:
        """Seconds until the next look at what another computes; None when that is enough."""
        waited = time.monotonic() - self._start
        self._waited = True
        left = self._results.wait - waited
        if self._own or left <= 0:
            return None
        return min(max(waited / PART, SHORTEST), LONGEST, left)

    def begin(self) -> None:
        """What this thread or task does from now on is to compute the key."""
        self._computes = True
        _computing.set((*self._others(), weakref.ref(self)))

    def share(self) -> None:
        """Nothing is there: after a wait, let the others that have waited compute as well."""
        if self._waited and self._claim is not None:
            self._claim.release()

    def end(self) -> None:
        """Let others have it; more than once, it does what is left to do."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None
        if self._computes:
            _computing.set(self._others())
            self._computes = False

    def _others(self) -> _Turns:
        """What is computed beside."""
        return tuple(each for each in _computing.get(()) if each() not in (None, self))

    def __enter__(self) -> _Turn:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.end()
        except BaseException:  # of a signal handler
            self.end()
            raise


def obtain(results: Results, key: Any, compute: Callable[[], Any]) -> Any:
    """The value of `key`, which `compute` returns if it is missing or to be computed anew."""
    if not results.renews:
        value = results.get(key)
        return missing(results, key, compute) if value is ENOVAL else value
    value, due = results.until(key)
    if value is ENOVAL:
        return missing(results, key, compute)
    if results.is_time(due):
        with _Turn(results, key) as turn:
            if turn.taken():
                turn.begin()
                value, due_now = results.until(key)
                if value is ENOVAL or due_now == due:  # else another has renewed it meanwhile
                    value = results.keep(key, compute(), True)
    return value


def missing(results: Results, key: Any, compute: Callable[[], Any]) -> Any:
    """The value of a key that `results` has just been asked for in vain."""
    if not results.kept:
        return compute()
    with _Turn(results, key) as turn:
        while not turn.taken() and (pause := turn.pause()) is not None:
            time.sleep(pause)
            if results.has(key) and (value := results.get(key)) is not ENOVAL:
                return value
        turn.begin()
        # Between the look that found nothing and the claim, another may have been quicker.
        if results.has(key) and (value := results.get(key)) is not ENOVAL:
            return value
        turn.share()
        return results.keep(key, compute(), False)


def renew(results: Results, key: Any, compute: Callable[[], Any]) -> Any:
    """The value of `key`, computed anew whatever there is; who misses it meanwhile waits."""
    if not results.kept:
        return compute()
    with _Turn(results, key) as turn:
        turn.taken()
        turn.begin()
        return results.keep(key, compute(), True)


# The same on an event loop, which nothing of it holds up.

Computing = Callable[[], Awaitable[Any]]


async def aobtain(results: Results, key: Any, compute: Computing) -> Any:
    """`obtain` on an event loop."""
    if not results.renews:
        value = await results.aget(key)
        return await amissing(results, key, compute) if value is ENOVAL else value
    value, due = await results.auntil(key)
    if value is ENOVAL:
        return await amissing(results, key, compute)
    if results.is_time(due):
        with _Turn(results, key) as turn:
            if await turn.ataken():
                turn.begin()
                value, due_now = await results.auntil(key)
                if value is ENOVAL or due_now == due:
                    value = await results.akeep(key, await compute(), True)
    return value


async def amissing(results: Results, key: Any, compute: Computing) -> Any:
    """`missing` on an event loop."""
    if not results.kept:
        return await compute()
    with _Turn(results, key) as turn:
        while not await turn.ataken() and (pause := turn.pause()) is not None:
            import asyncio  # here it is loaded; at start-up it would cost 20 ms

            await asyncio.sleep(pause)
            if await results.ahas(key) and (value := await results.aget(key)) is not ENOVAL:
                return value
        turn.begin()
        if await results.ahas(key) and (value := await results.aget(key)) is not ENOVAL:
            return value
        turn.share()
        return await results.akeep(key, await compute(), False)


async def arenew(results: Results, key: Any, compute: Computing) -> Any:
    """`renew` on an event loop."""
    if not results.kept:
        return await compute()
    with _Turn(results, key) as turn:
        await turn.ataken()
        turn.begin()
        return await results.akeep(key, await compute(), True)
