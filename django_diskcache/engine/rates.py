"""How often something may happen, in all processes together.

A rate is a token bucket: ``[time of the last draw, tokens left then]``, pinned. It holds
`count` tokens, fills up in `seconds`, and each draw takes one. An entry that nobody has drawn
from for so long says no more than that the bucket is full, and expires.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar

from .calls import full_name
from .disk import Pinned
from .errors import ENOVAL, UNKNOWN
from .guard import Guarded, raising
from .impatient import aupdate, on_loop
from .lifetime import positive_seconds
from .memoize import is_coroutine_function, refuse_bare
from .pinning import Pinning
from .updating import Change

F = TypeVar("F", bound=Callable[..., Any])


class Allowance(NamedTuple):
    """Whether something may be done now; it is true or false like that."""

    allowed: bool
    retry_after: float  # seconds until the next is allowed; 0 if this one is
    remaining: int  # how many more are allowed at once

    def __bool__(self) -> bool:
        return self.allowed


def drawn(state: Any, now: float, count: float, seconds: float) -> tuple[float, float]:
    """Seconds until a token can be drawn from a bucket, or 0; and how many are left then."""
    last, tally = state
    rate = count / seconds
    tally = min(tally + max(now - last, 0.0) * rate, count)  # a clock may be set back
    if tally < 1:
        return float((1 - tally) / rate), tally
    return 0.0, tally - 1


def drawing(cache: Any, count: int, seconds: float) -> Change:
    """The change that draws a token from a bucket, if there is one; it returns an `Allowance`.

    Whoever is refused writes nothing; so who only looks first disturbs no writer.
    """

    def change(state: Any) -> tuple[Allowance, Any, float | None]:
        now = cache.engine.clock()
        last, tally = (now, count) if state is ENOVAL else state
        pause, left = drawn((last, tally), now, count, seconds)
        answer = Allowance(not pause, pause, 0 if pause else int(left))
        if pause and last <= now:  # the clock may be set back: then it counts from now on
            return answer, UNKNOWN, None
        return answer, Pinned([now, left]), seconds

    return change


def _first(cache: Any, key: Any, seconds: float) -> bool:
    return Pinning(cache, key, seconds).add(1)


def checked(count: Any, seconds: Any) -> None:
    """:raises ValueError: for what is no rate; TypeError for seconds that are no number"""
    if type(count) is not int or count < 1:
        raise ValueError(f"count={count!r}: expected a whole number, 1 or more")
    positive_seconds("seconds", seconds)


def throttled(
    function: F,
    allow: Callable[[], Allowance],
    aallow: Callable[[], Awaitable[Allowance]],
) -> F:
    """The function, whose calls wait until they are allowed."""

    @wraps(function)
    def calling(*args: Any, **kwargs: Any) -> Any:
        while not (answer := allow()):
            time.sleep(answer.retry_after)
        return function(*args, **kwargs)

    @wraps(function)
    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        while not (answer := await aallow()):
            import asyncio  # here it is loaded; at start-up it would cost 20 ms

            await asyncio.sleep(answer.retry_after)
        return await function(*args, **kwargs)

    return awaiting if is_coroutine_function(function) else calling  # type: ignore[return-value]


class RateMethods(Guarded):
    """The methods of a cache that say how often something may happen."""

    def allow(self, name: Any, count: int, seconds: float) -> Allowance:
        """Whether `name` may happen now: `count` times in `seconds`, in all processes.

        A pause saves up what is allowed, `count` at the most (a token bucket). What is asked
        for and allowed counts. Its state is never evicted, and a fault of the store raises.

        :return: an `Allowance`, which is true or false, and says in how many seconds to try
            again
        :raises ValueError: for a `count` below 1, or `seconds` that are not above 0
        """
        checked(count, seconds)
        cache: Any = raising(self)
        change = drawing(cache, count, seconds)
        allowance: Allowance = cache.update(f"rate:{name}", change, looking=True)
        return allowance

    async def aallow(self, name: Any, count: int, seconds: float) -> Allowance:
        """`allow` for event loops."""
        checked(count, seconds)
        cache = raising(self)
        change = drawing(cache, count, seconds)
        allowance: Allowance = await aupdate(cache, f"rate:{name}", change, looking=True)
        return allowance

    def once_per(self, name: Any, seconds: float) -> bool:
        """Whether nobody has asked for `name` in the last `seconds`, in any process.

        So of all who ask one is told True, and for `seconds` from then on nobody else is. Its
        state is never evicted, and a fault of the store raises.

        :raises ValueError: for `seconds` that are not above 0
        """
        checked(1, seconds)
        return _first(raising(self), f"once:{name}", seconds)

    async def aonce_per(self, name: Any, seconds: float) -> bool:
        """`once_per` for event loops."""
        checked(1, seconds)
        cache: Any = raising(self)
        if cache.engine.coroutines:
            return bool(await cache.aadd(f"once:{name}", 1, seconds))
        return await on_loop(cache, _first, f"once:{name}", seconds)

    def throttle(self, count: int, seconds: float, name: str | None = None) -> Callable[[F], F]:
        """A decorator that lets all processes call a function `count` times in `seconds`.

        A call beyond that sleeps until it is due; that of a coroutine function does so on its
        event loop. See `allow`.

        :param name: of the rate; by default the function's module and qualified name
        :raises TypeError: when used without parentheses
        :raises ValueError: for a `count` below 1, or `seconds` that are not above 0
        """
        refuse_bare(count, "count", "throttle(count, seconds)")
        checked(count, seconds)

        def decorator(function: F) -> F:
            rate = (full_name(function) if name is None else name, count, seconds)
            return throttled(function, partial(self.allow, *rate), partial(self.aallow, *rate))

        return decorator
