"""The small site that the integration tests request pages of."""

from __future__ import annotations

import itertools
from datetime import datetime
from datetime import timezone as utc_offset
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone, translation
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.http import condition
from django.views.decorators.vary import vary_on_headers

numbers = itertools.count(1)  # a page with a number that was seen before came from the cache


def numbered(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"page {next(numbers)}")


def localised(request: HttpRequest) -> HttpResponse:
    moment = timezone.localtime(datetime(2026, 1, 1, tzinfo=utc_offset.utc))
    return HttpResponse(f"{translation.get_language()} {moment:%H:%M} {next(numbers)}")


def signed_in(request: Any) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"visit {request.session['visits']}")


@condition(etag_func=lambda request: '"fixed"')
def tagged(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"page {next(numbers)}")


async def asynchronous(request: HttpRequest) -> HttpResponse:
    from django.core.cache import cache

    await cache.aadd("visits", 0)
    return HttpResponse(f"visit {await cache.aincr('visits')}")


urlpatterns = [
    path("numbered/", numbered),
    path("cached/", cache_page(60)(numbered)),
    path("apart/", cache_page(60, cache="other", key_prefix="apart")(numbered)),
    path("localised/", cache_page(60)(localised)),
    path("varied/", cache_page(60)(vary_on_headers("X-Kind")(numbered))),
    path("never/", never_cache(numbered)),
    path("private/", cache_page(60)(cache_control(private=True)(numbered))),
    path("short/", cache_control(max_age=5)(numbered)),
    path("tagged/", cache_page(60)(tagged)),
    path("visits/", signed_in),
    path("asynchronous/", asynchronous),
]
