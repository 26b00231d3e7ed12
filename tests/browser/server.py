"""Serve the small site: `python -m tests.browser.server` prints the port that it took.

It makes the database with one user, editor, who may do everything, and puts entries and a day
of traffic into the cache.
"""

from __future__ import annotations

import math
import os
import time
from datetime import date

from tests.engines import engine_of, remote_of

USER = ("editor", "a password for tests")
SECTIONS = ("news", "culture", "science", "sport", "weather")


def fill() -> None:
    """Entries of several kinds, and a day of traffic as the segment would have counted it."""
    from django.core.cache import caches

    from django_diskcache import DjangoCache
    from django_diskcache.engine.history import History
    from django_diskcache.engine.segment import EVICTED_SIZE, HITS, MISSES

    cache = caches["default"]
    assert isinstance(cache, DjangoCache)
    for number in range(400):
        section = SECTIONS[number * number % 17 % 5]
        article = {"id": number, "title": f"Article {number}", "read": date(2026, 1, 1)}
        cache.set(f"article:{number}", article, 600 + 60 * number, tag=section)
    for number in range(12):
        cache.set(f"cover:{number}", b"\x89PNG" * (9000 + 3000 * number), None)
    cache.set("front page", "<h1>The front page</h1>" * 20, 300)
    cache.set("<script>alert(1)</script>", 42, 300, tag="<b>bold</b>")
    engine = engine_of(cache)
    begin = time.time() - 86400
    for quarter in range(96):
        moment = begin + 900 * quarter
        for minute in (60, 120):  # the row before a quarter's traffic, and the one after it
            History(engine.stores, lambda m=moment + minute: m).note()  # type: ignore[misc]
            if minute == 60:
                daylight = 0.5 - 0.5 * math.cos(2 * math.pi * (quarter - 8) / 96)
                reads = int(300 + 4000 * daylight + 90 * math.sin(quarter * 1.7))
                ratio = 0.93 - 0.08 * math.exp(-((quarter - 40) ** 2) / 12)
                shard = quarter % 8
                engine.segment.add(HITS, shard, int(reads * ratio))
                engine.segment.add(MISSES, shard, reads - int(reads * ratio))
                engine.segment.add(EVICTED_SIZE, shard, reads // 400)


def fill_server(alias: str) -> None:
    """Entries and a day of traffic of a cache on a server, if that is there."""
    from django.core.cache import caches

    from django_diskcache import DjangoCache

    cache = caches[alias]
    assert isinstance(cache, DjangoCache)
    engine = remote_of(cache)
    if not cache.set("front page", "<h1>Here</h1>" * 20, 300):
        return
    for number in range(400):
        section = SECTIONS[number * number % 17 % 5]
        article = {"id": number, "title": f"Article {number}", "read": date(2026, 1, 1)}
        cache.set(f"article:{number}", article, 600 + 60 * number, tag=section)
    tags = [f"author:{number}" for number in range(40)]
    cache.set("<script>alert(1)</script>", 42, 300, tag=["<b>bold</b>", *tags])
    now = engine.clock()
    for quarter in range(96):
        moment = now - 86400 + 900 * (quarter + 1)
        daylight = 0.5 - 0.5 * math.cos(2 * math.pi * (quarter - 8) / 96)
        reads = int(300 + 4000 * daylight + 90 * math.sin(quarter * 1.7))
        ratio = 0.93 - 0.08 * math.exp(-((quarter - 40) ** 2) / 12)
        engine.history._clock = lambda m=moment: m  # type: ignore[misc]
        engine.near.counts[0] += int(reads * ratio)
        engine.near.counts[1] += reads - int(reads * ratio)
        engine.tick()
    engine.history._clock = engine.clock


def main() -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = (
        "tests.browser.site"  # that of the tests is inherited
    )
    django.setup()
    from django.contrib.auth.models import User
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.management import call_command
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    from django_diskcache.dashboard import servers
    from tests.browser.site import SERVERS

    call_command("migrate", verbosity=0)
    User.objects.create_superuser(USER[0], password=USER[1])
    fill()
    if SERVERS:
        from django_diskcache.server import gauges

        gauges.PATIENCE = 20.0  # a busy machine is not what these tests are about
        servers.PATIENCE = 60.0
    for alias in SERVERS:
        fill_server(alias)
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
