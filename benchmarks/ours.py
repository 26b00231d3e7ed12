"""`DjangoCache` on a server, for as long as LOCATION does not take one."""

from __future__ import annotations

import time
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from django_diskcache import DjangoCache
from django_diskcache.engine import ENOVAL
from django_diskcache.engine.impatient import impatient
from django_diskcache.server import ServerCache

SECRET = "benchmark"
PAUSE = 0.001  # seconds between two looks for what another computes: into memory, mostly


class OnServer(DjangoCache):
    """The backend with another engine beneath it."""

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        BaseCache.__init__(self, params)
        cache: Any = ServerCache(location, secret=SECRET, statistics=1)
        self._cache, self._impatient = cache, impatient(cache)
        self._near = cache.engine.near

    def get_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> Any:
        """The value of `key`, which one of all processes computes where there is none."""
        cache: Any = self._cache
        while (value := self.get(key, ENOVAL, version)) is ENOVAL:
            claim = cache.claim(self.make_key(key, version))
            if claim is None:
                time.sleep(PAUSE)
                continue
            with claim:
                with self._near.bypassed():  # who had the claim has stored it just now, perhaps
                    value = self.get(key, ENOVAL, version)
                if value is ENOVAL:
                    value = default() if callable(default) else default
                    self.set(key, value, timeout, version)
                return value
        return value
