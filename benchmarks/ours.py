"""`DjangoCache` on a server, for as long as LOCATION does not take one."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.base import BaseCache

from django_diskcache import DjangoCache
from django_diskcache.engine.impatient import impatient
from django_diskcache.server import ServerCache

SECRET = "benchmark"


class OnServer(DjangoCache):
    """The backend with another engine beneath it."""

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        BaseCache.__init__(self, params)
        cache: Any = ServerCache(location, secret=SECRET, statistics=1)
        self._cache, self._impatient = cache, impatient(cache)
        self._near = cache.engine.near
