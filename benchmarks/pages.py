"""The site of the request suite, for gunicorn and uvicorn: one page, with ten gets or none.

What it is to cache in is told by the environment. It has no middleware, no database and no
template, so that nothing hides what the cache costs.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from benchmarks import values
from benchmarks.load import LOST

ENVIRONMENT = "DJANGO_DISKCACHE_BENCHMARK"
GETS = 10
KEYS = [values.key(number) for number in range(GETS)]


def _configure(told: dict[str, Any]) -> None:
    logging.basicConfig(level=logging.ERROR)  # of a page that fails, to who started the server
    settings.configure(
        SECRET_KEY="benchmark",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        USE_TZ=True,
        CACHES={"default": told["cache"]},
        DATABASES=told["databases"],
        LOGGING_CONFIG=None,
    )


if not settings.configured:
    _configure(json.loads(os.environ[ENVIRONMENT]))

# They need the settings.
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402


def _answer(found: list[Any]) -> HttpResponse:
    """The page. What the cache lacks is made anew, as a site does, and the page tells it."""
    lost = [number for number, item in enumerate(found) if item is None]
    for number in lost:
        found[number] = values.small(number)
    page = HttpResponse("\n".join(f"<p>{item['title']}</p>" for item in found))
    if lost:
        page[LOST] = str(len(lost))
    return page


def fill(request: HttpRequest) -> HttpResponse:
    for number, key in enumerate(KEYS):
        cache.set(key, values.small(number), 86_400)
    return _answer([cache.get(key) for key in KEYS])


def cached(request: HttpRequest) -> HttpResponse:
    return _answer([cache.get(key) for key in KEYS])


def uncached(request: HttpRequest) -> HttpResponse:
    return _answer([values.small(number) for number in range(GETS)])


async def acached(request: HttpRequest) -> HttpResponse:
    return _answer([await cache.aget(key) for key in KEYS])


async def auncached(request: HttpRequest) -> HttpResponse:
    return _answer([values.small(number) for number in range(GETS)])


urlpatterns = [
    path("fill", fill),
    path("wsgi/cached", cached),
    path("wsgi/uncached", uncached),
    path("asgi/cached", acached),
    path("asgi/uncached", auncached),
]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
