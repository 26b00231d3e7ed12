"""What a page of the admin's dashboard costs, whatever is in the cache:

    python -m benchmarks.dashboard
    python -m benchmarks.dashboard --entries 1000 --requests 50

A cache is filled in a temporary directory: values of 0.2 kB and some in files, tags, timeouts,
and a month of traffic. Then each page is asked for through Django's test client by a user who
may do everything, in turns. Printed are medians: of the time of the processor and of the clock
on the wall, for the whole request with its session, permissions and templates.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import django
from django.conf import settings

from . import report, values

CHUNK = 1000  # entries that are stored at once
TAGS = 60
FILE_EVERY = 1000  # one in so many values is in a file
FILE_BYTES = 70_000
REQUESTS = 20
PREFIX = "/admin/django_diskcache/cache/"
# Of each page the address; `key` is one in the middle.
PAGES = {
    "overview": "",
    "a cache, its day": "default/change/",
    "a cache, its month": "default/change/?range=month",
    "keys, the first page": "default/keys/",
    "keys, from the middle": "default/keys/?after={stored}",
    "keys, the page before that": "default/keys/?before={stored}",
    "keys, by their beginning": "default/keys/?key={beginning}",
    "an entry": "default/key/?key={key}",
    "an entry that is not there": "default/key/?key=missing",
}


def configure(directory: Path, size_limit: int, tag_index: bool) -> None:
    """A site with the admin and one cache."""
    settings.configure(
        SECRET_KEY="of the benchmark",
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "django_diskcache",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        CACHES={
            "default": {
                "BACKEND": "django_diskcache.DjangoCache",
                "LOCATION": str(directory),
                "OPTIONS": {"size_limit": size_limit, "tag_index": tag_index},
            }
        },
        STATIC_URL="static/",
        USE_TZ=True,
    )
    django.setup()


def __getattr__(name: str) -> Any:
    """The URLs, which can only be made when Django is set up."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.contrib import admin
    from django.urls import path

    return [path("admin/", admin.site.urls)]


def fill(cache: Any, entries: int) -> None:
    """Store so many entries, unless they are there."""
    have = cache.figures().entries
    if have > entries // 2:
        return
    with report.Progress(f"fill, {entries:,} entries", entries) as progress:
        for start in range(0, entries, CHUNK):
            numbers = range(start, min(start + CHUNK, entries))
            many: dict[str, Any] = {
                values.key(number): values.small(number) for number in numbers
            }
            for number in numbers:
                if number % FILE_EVERY == 0:
                    many[values.key(number)] = b"x" * (FILE_BYTES + number % FILE_BYTES)
            part = start // CHUNK
            tag = None if part % 3 == 0 else f"tag:{part % TAGS}"
            cache.set_many(many, timeout=None if part % 4 == 0 else 86_400 + start, tag=tag)
            progress.update(start)


def record(cache: Any) -> None:
    """A month of traffic by the hour, and a day by the minute."""
    from django_diskcache.engine.history import DAY, HOUR, MINUTE, History

    engine = cache._cache.engine
    now = int(time.time())
    engine.stores[0].database.run("DROP TABLE IF EXISTS history")
    moments = [*range(now - 30 * DAY, now - DAY, HOUR), *range(now - DAY, now, MINUTE)]
    for place, moment in enumerate(moments):
        cache.get(values.key(place))
        cache.get("missing")
        engine.near.flush()
        History(engine.stores, partial(float, moment)).note()


def client() -> Any:
    """Somebody who may do everything, logged in."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_superuser("root", password="root")
    made = Client()
    made.force_login(user)
    return made


def measure(entries: int, requests: int) -> dict[str, tuple[float, float, int]]:
    """Of each page the median milliseconds of processor and wall, and its bytes."""
    from django.core.cache import caches

    found: dict[str, tuple[list[float], list[float], int]] = {
        name: ([], [], 0) for name in PAGES
    }
    with closing(caches["default"]) as cache:
        fill(cache, entries)
        record(cache)
        visitor = client()
        key = values.key(entries // 2)
        about = {"key": key, "stored": cache.make_key(key), "beginning": key[:-1]}
        addresses = {name: PREFIX + text.format(**about) for name, text in PAGES.items()}
        for turn in range(requests + 2):  # the first two open and compile
            for name, address in addresses.items():
                gc.collect()
                wall, cpu = time.perf_counter(), time.process_time()
                response = visitor.get(address)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                if response.status_code != 200:
                    raise RuntimeError(f"{address} answered {response.status_code}")
                if turn > 1:
                    found[name][0].append(cpu * 1e3)
                    found[name][1].append(wall * 1e3)
                    found[name] = (*found[name][:2], len(response.content))
    return {
        name: (median(cpu), median(wall), size) for name, (cpu, wall, size) in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard",
        description="Measure the pages of the dashboard.",
    )
    add = parser.add_argument
    add("--entries", type=int, default=1_000_000, metavar="N", help="default: 1000000")
    add("--requests", type=int, default=REQUESTS, metavar="N", help="of each page")
    add("--tag-index", action="store_true", help="with the option tag_index")
    add("--directory", type=Path, help="where the cache is kept, to be used again")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        directory = wanted.directory or Path(temporary) / "cache"
        configure(directory, max(64_000_000, 2000 * wanted.entries), wanted.tag_index)
        found = measure(wanted.entries, wanted.requests)
    print(f"{wanted.entries:,} entries, medians of {wanted.requests} requests in turns\n")
    print("| page | processor, ms | wall, ms | bytes |", "|---|--:|--:|--:|", sep="\n")
    for name, (cpu, wall, size) in found.items():
        print(f"| {name} | {cpu:.1f} | {wall:.1f} | {size:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
