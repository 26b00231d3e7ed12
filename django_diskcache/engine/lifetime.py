"""How long entries live: the methods of all faces that ask for it and change it.

`touch` says for how long from now, as Django has it. `expire_in` and `expire_at` are exact and
take Python's own types of time; `persist` is for ever. What has no time left is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil, isfinite
from typing import Any

from .connection import Wait
from .errors import ENOVAL, UNKNOWN
from .guard import Guarded
from .options import is_number
from .store import near_name


def seconds_since_epoch(when: Any) -> float:
    """A point in time; a datetime without a time zone is local.

    :raises TypeError: when it is neither a datetime nor a number
    :raises ValueError: when it is no finite number
    """
    if isinstance(when, datetime):
        return when.timestamp()
    return _finite(when, "when", "a datetime, or seconds since the epoch")


def seconds_from_now(timeout: Any) -> float:
    """A time to live.

    :raises TypeError: when it is neither a timedelta nor a number
    :raises ValueError: when it is no finite number
    """
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    expected = "seconds or a timedelta"
    if timeout is None:
        expected += "; persist() is for ever"
    return _finite(timeout, "timeout", expected)


def milliseconds_since_epoch(when: Any) -> Any:
    """A point in time in milliseconds as `seconds_since_epoch` takes it; errors are its."""
    if isinstance(when, datetime):
        return when
    return _finite(when, "when", "a datetime, or milliseconds since the epoch") / 1000


def milliseconds_from_now(timeout: Any) -> Any:
    """A time to live in milliseconds as `seconds_from_now` takes it; errors are its."""
    if isinstance(timeout, timedelta):
        return timeout
    return _finite(timeout, "timeout", "milliseconds or a timedelta") / 1000


def positive_seconds(name: str, seconds: Any) -> float:
    """The seconds that an argument of this name gives.

    :raises TypeError: when it is no number
    :raises ValueError: when it is no finite number above 0
    """
    expected = "a number of seconds above 0"
    number = _finite(seconds, name, expected)
    if number <= 0:
        raise ValueError(f"{name}={seconds!r}: expected {expected}")
    return number


def _finite(value: Any, name: str, expected: str) -> float:
    if not is_number(value):
        raise TypeError(f"{name}={value!r}: expected {expected}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits, which are no help
        raise ValueError(f"{name}: expected a finite number, this is far too large") from None
    if not isfinite(number):
        raise ValueError(f"{name}={value!r}: expected a finite number")
    return number


def check_now(now: Any) -> None:
    """:raises TypeError: for what `expire` does not take as a time, such as a key"""
    if now is not None and not is_number(now):
        raise TypeError(
            f"now={now!r}: expected seconds since the epoch; "
            "expire_in(key, seconds) lets a key expire"
        )


def slides(touch: Any) -> bool:
    """Whether what is read with this ``touch`` lives on; else it ends with the read.

    :raises TypeError: when it is neither a number nor None
    :raises ValueError: when it is no finite number
    """
    return touch is None or _finite(touch, "touch", "seconds, or None for ever") > 0


class Lifetimes(Guarded):
    """The methods about times that every face has, on what each has for itself."""

    delete: Callable[..., bool]

    def _expiry_of(self, key: Any, retry: bool) -> Any:
        """When it expires, None for never, or ENOVAL if it is not there."""
        raise NotImplementedError

    def _let_expire(self, key: Any, due: float, retry: bool) -> bool:
        """Let it expire at a time to come; whether it is there."""
        raise NotImplementedError

    def ttl(self, key: Any, retry: bool = False) -> int | None:
        """Seconds that `key` has left to live, rounded up.

        :return: None when it never expires, 0 when it is not there
        """
        left = self.pttl(key, retry)
        return None if left is None else -(-left // 1000)

    def pttl(self, key: Any, retry: bool = False) -> int | None:
        """Milliseconds that `key` has left to live, rounded up; otherwise like `ttl`."""
        return self._left(self._expiry_of(key, retry))

    def _left(self, due: Any) -> int | None:
        """What `pttl` returns for what `_expiry_of` does."""
        if due is ENOVAL:
            return 0
        if due is None:
            return None
        left: float = (due - self._engine.clock()) * 1000
        if not isfinite(left):
            return None
        return max(0, ceil(round(left, 2)))  # what is left of a sum of two floats is no time

    def expire_at(self, key: Any, when: datetime | float, retry: bool = False) -> bool:
        """Let `key` expire at a point in time; one that has passed removes it.

        :param when: a datetime, which is local if it has no time zone, or seconds since the
            epoch
        :return: whether it was there
        :raises TypeError: when it is neither
        :raises ValueError: when it is no finite number
        """
        due = seconds_since_epoch(when)
        if due <= self._engine.clock():
            return self.delete(key, retry)
        return self._let_expire(key, due, retry)

    def expire_in(self, key: Any, timeout: float | timedelta, retry: bool = False) -> bool:
        """Let `key` expire in so many seconds; 0 or less removes it.

        :param timeout: seconds, or a timedelta
        :return: whether it was there
        :raises TypeError: when it is neither
        :raises ValueError: when it is no finite number
        """
        return self.expire_at(key, self._engine.clock() + seconds_from_now(timeout), retry)

    def pexpire(self, key: Any, timeout: float | timedelta, retry: bool = False) -> bool:
        """Let `key` expire in so many milliseconds; otherwise like `expire_in`."""
        return self.expire_in(key, milliseconds_from_now(timeout), retry)

    def pexpire_at(self, key: Any, when: datetime | float, retry: bool = False) -> bool:
        """`expire_at`, where a number is milliseconds since the epoch."""
        return self.expire_at(key, milliseconds_since_epoch(when), retry)


class LifetimeMethods(Lifetimes):
    """The base of a cache's face on files; it has the engine and says how long a call waits."""

    _wait: Callable[[bool], Wait]

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Let `key` expire `expire` seconds from now, or never.

        :return: whether it is there
        """
        store, place = self._engine.place(key)
        return self._safely(False, store.touch, place, expire, self._wait(retry))

    def persist(self, key: Any, retry: bool = False) -> bool:
        """Let `key` never expire.

        :return: whether it was there, and would have expired
        """
        store, place = self._engine.place(key)
        return self._safely(False, store.persist, place, self._wait(retry))

    def _expiry_of(self, key: Any, retry: bool) -> Any:
        return self._safely(ENOVAL, self._due, key, self._wait(retry))

    def _let_expire(self, key: Any, due: float, retry: bool) -> bool:
        store, place = self._engine.place(key)
        return self._safely(False, store.expire_at, place, due, self._wait(retry))

    def _due(self, key: Any, wait: Wait) -> Any:
        near = self._engine.near
        if type(key) is str and (due := near.due(key)) is not UNKNOWN:
            return due
        store, place = self._engine.place(key)
        if type(key) is not str and (due := near.due(near_name(key, place))) is not UNKNOWN:
            return due
        return store.expiry(place, wait)

    def _slide(self, key: Any, touch: Any, retry: bool) -> bool:
        """Renew the expiry of what is to be read now, see `expiry`.

        :return: False where nothing is renewed, as it is to end when it has been read
        :raises TypeError: when `touch` is neither a number nor None
        :raises ValueError: when it is no finite number
        """
        if not slides(touch):
            return False
        due = self._expiry_of(key, retry)
        if due is not ENOVAL:
            store, place = self._engine.place(key)
            self._safely(None, store.renew, place, due, touch, self._wait(retry))
        return True
