"""How long entries live: `ttl` and the like.

Names, arguments and results are those of django-redis, where it has the method.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.utils import timezone

from ..engine.lifetime import milliseconds_from_now, milliseconds_since_epoch
from .base import Methods

F = TypeVar("F", bound=Callable[..., Any])


def without_key(method: F) -> F:
    """`expire` as it is, but for an error that says more to those who know django-redis'."""

    def check(given: bool) -> None:
        if given:
            raise TypeError(
                f"{method.__name__}() removes all that has expired, and takes no arguments: "
                "expire_in(key, seconds) lets a key expire"
            )

    @wraps(method)
    def calling(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(bool(args or kwargs))
        return method(self)

    @wraps(method)
    async def awaiting(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(bool(args or kwargs))
        return await method(self)

    return awaiting if iscoroutinefunction(method) else calling  # type: ignore[return-value]


def aware(when: datetime | float) -> datetime | float:
    """A point in time; of a datetime without a time zone that in the site's TIME_ZONE."""
    if isinstance(when, datetime) and timezone.is_naive(when):
        return timezone.make_aware(when, timezone.get_default_timezone())
    return when


class Times(Methods):
    """Methods of `DjangoCache` about how long a key lives, and their twins."""

    def ttl(self, key: Any, version: int | None = None) -> int | None:
        """Seconds that `key` has left to live, rounded up.

        :return: None when it never expires, 0 when it is not there
        """
        return self._cache.ttl(self.make_and_validate_key(key, version))

    def pttl(self, key: Any, version: int | None = None) -> int | None:
        """Milliseconds that `key` has left to live, rounded up; otherwise like `ttl`."""
        return self._cache.pttl(self.make_and_validate_key(key, version))

    def expire_at(
        self, key: Any, when: datetime | float, version: int | None = None, retry: bool = True
    ) -> bool:
        """Let `key` expire at a point in time; one that has passed removes it.

        :param when: a datetime, which is in the site's TIME_ZONE if it has none, or seconds
            since the epoch
        :param retry: wait for a lock as long as it takes
        :return: whether it was there
        :raises TypeError: when it is neither
        :raises ValueError: when it is no finite number
        """
        made = self.make_and_validate_key(key, version)
        return self._cache.expire_at(made, aware(when), retry)

    def expire_in(
        self,
        key: Any,
        timeout: float | timedelta,
        version: int | None = None,
        retry: bool = True,
    ) -> bool:
        """Let `key` expire in so many seconds, not a jitter less; 0 or less removes it.

        :param timeout: seconds, or a timedelta
        :param retry: wait for a lock as long as it takes
        :return: whether it was there
        :raises TypeError: when it is neither
        :raises ValueError: when it is no finite number
        """
        return self._cache.expire_in(self.make_and_validate_key(key, version), timeout, retry)

    def pexpire(
        self,
        key: Any,
        timeout: float | timedelta,
        version: int | None = None,
        retry: bool = True,
    ) -> bool:
        """Let `key` expire in so many milliseconds; otherwise like `expire_in`."""
        return self.expire_in(key, milliseconds_from_now(timeout), version, retry)

    def pexpire_at(
        self, key: Any, when: datetime | float, version: int | None = None, retry: bool = True
    ) -> bool:
        """`expire_at`, where a number is milliseconds since the epoch."""
        return self.expire_at(key, milliseconds_since_epoch(when), version, retry)

    def persist(self, key: Any, version: int | None = None, retry: bool = True) -> bool:
        """Let `key` never expire.

        :param retry: wait for a lock as long as it takes
        :return: whether it was there, and would have expired
        """
        return self._cache.persist(self.make_and_validate_key(key, version), retry)

    def _sliding(self, touch: Any) -> Any:
        """What the engine's `get` takes for this `touch`; jitter would renew it too often."""
        if touch is True or touch is DEFAULT_TIMEOUT:
            touch = self.default_timeout
        return -1 if touch == 0 else touch

    async def attl(self, key: Any, version: Any = None) -> int | None:
        return cast("int | None", await self._run("ttl", key, version))

    async def apttl(self, key: Any, version: Any = None) -> int | None:
        return cast("int | None", await self._run("pttl", key, version))

    async def aexpire_at(
        self, key: Any, when: datetime | float, version: Any = None, **kwargs: Any
    ) -> bool:
        return bool(await self._run("expire_at", key, when, version, **kwargs))

    async def aexpire_in(
        self, key: Any, timeout: float | timedelta, version: Any = None, **kwargs: Any
    ) -> bool:
        return bool(await self._run("expire_in", key, timeout, version, **kwargs))

    async def apexpire(
        self, key: Any, timeout: float | timedelta, version: Any = None, **kwargs: Any
    ) -> bool:
        return await self.aexpire_in(key, milliseconds_from_now(timeout), version, **kwargs)

    async def apexpire_at(
        self, key: Any, when: datetime | float, version: Any = None, **kwargs: Any
    ) -> bool:
        return await self.aexpire_at(key, milliseconds_since_epoch(when), version, **kwargs)

    async def apersist(self, key: Any, version: Any = None, **kwargs: Any) -> bool:
        return bool(await self._run("persist", key, version, **kwargs))
