"""A site that debug-toolbar or Sentry watches, in a process of its own: they patch Django.

``python -m tests.django.watched toolbar page DIRECTORY`` asks for the page, and prints as JSON
what was seen of the cache.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

BODY = "<html><body>page</body></html>"


def the_cache() -> Any:
    from django.core.cache import cache

    return cache


def page(request: HttpRequest) -> HttpResponse:
    cache = the_cache()
    cache.set("key", "12345", 60, tag="tag")
    for _ in range(3):  # from the store, then from the near cache
        cache.get("key")
    cache.get("missing")
    cache.get("missing", 7)
    cache.get("key", tag=True)
    cache.get("key", None, None, False, True, True)
    cache.get_many(["key", "missing"])
    cache.set_many({"a": 1, "b": 2}, tag="tag")
    cache.set("file", io.BytesIO(b"content"), read=True)
    with cache.get("file", read=True) as file:
        assert file.read() == b"content"
    cache.incr("a")
    cache.pop("b")
    assert cache.evict("tag") == 2
    return HttpResponse(BODY)


async def apage(request: HttpRequest) -> HttpResponse:
    cache = the_cache()
    await cache.aset("key", "12345", 60, tag="tag")
    for _ in range(3):
        await cache.aget("key")
    await cache.aget("missing", 7)
    await cache.aget("key", tag=True)
    await cache.aget_many(["key", "missing"])
    await cache.aset_many({"a": 1, "b": 2})
    return HttpResponse(BODY)


urlpatterns: list[Any] = [path("page", page), path("apage", apage)]


def visit(name: str) -> None:
    if name == "page":
        assert Client().get("/page").status_code == 200
        return

    async def ask() -> None:
        assert (await AsyncClient().get("/apage")).status_code == 200

    asyncio.run(ask())


def toolbar(name: str) -> Any:
    """What the toolbar's panel says of a page."""
    import django

    django.setup()

    from debug_toolbar.toolbar import DebugToolbar, debug_toolbar_urls

    urlpatterns.extend(debug_toolbar_urls())
    made: list[Any] = []

    def keep(sender: Any, toolbar: Any, **more: Any) -> None:
        made.append(toolbar)

    DebugToolbar._created.connect(keep)
    visit(name)
    found = made[0].get_panel_by_id("CachePanel").get_stats()
    calls = [(call["name"], call["backend"]) for call in found["calls"]]
    return {"hits": found["hits"], "misses": found["misses"], "calls": calls}


def sentry(name: str) -> Any:
    """Sentry's spans of a page."""
    import sentry_sdk
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.transport import Transport

    envelopes: list[Any] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            envelopes.append(envelope)

    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1",
        transport=Kept,
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[DjangoIntegration(cache_spans=True)],
    )
    import django

    django.setup()
    with sentry_sdk.start_transaction(name=name):
        visit(name)
    sentry_sdk.flush()
    (transaction,) = [
        item.payload.json
        for envelope in envelopes
        for item in envelope.items
        if item.type == "transaction"
    ]
    return [
        (span["op"], span["description"], data.get("cache.hit"), data.get("cache.item_size"))
        for span in transaction["spans"]
        if span["op"].startswith("cache.")
        for data in [span["data"]]
    ]


def main(watcher: str, name: str, location: str) -> None:
    installed = ["django.contrib.staticfiles", "django_diskcache"]
    middleware = []
    if watcher == "toolbar":
        installed.append("debug_toolbar")
        middleware.append("debug_toolbar.middleware.DebugToolbarMiddleware")
    settings.configure(
        DEBUG=True,
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        INTERNAL_IPS=["127.0.0.1"],
        INSTALLED_APPS=installed,
        MIDDLEWARE=middleware,
        ROOT_URLCONF="__main__",
        STATIC_URL="static/",
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
        CACHES={
            "default": {
                "BACKEND": "django_diskcache.DjangoCache",
                "LOCATION": location,
                "DATABASE_TIMEOUT": 30,
            }
        },
    )
    print(json.dumps((toolbar if watcher == "toolbar" else sentry)(name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
