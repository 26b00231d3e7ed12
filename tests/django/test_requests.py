"""The backend in the life of a process: requests, threads, a directory that goes, forks."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.cache import cache, caches
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import AsyncClient, Client, override_settings

from django_diskcache import DjangoCache
from django_diskcache.engine.connection import POOL_LIMIT
from django_diskcache.engine.engine import LOOK_EVERY, Engine
from tests.engines import engine_of
from tests.server.servers import Server

from . import urls
from .conftest import FakeClock
from .forking import CHILDREN, COUNTS

ROOT = Path(__file__).parents[2]
SHARDS = 4
THREADS = 200


@pytest.fixture(autouse=True)
def location(tmp_path: Path) -> Iterator[Path]:
    """Directory of the one cache that the site has."""
    path = tmp_path / "django_diskcache"
    alias = {
        "BACKEND": "django_diskcache.DjangoCache",
        "LOCATION": path,
        "SHARDS": SHARDS,
        "DATABASE_TIMEOUT": 60,  # on a busy machine no get of these tests gives up
    }
    with override_settings(CACHES={"default": alias}, ROOT_URLCONF=urls.__name__):
        yield path


@pytest.fixture(autouse=True)
def _databases_left_alone() -> Iterator[None]:
    """The end of a request also looks at database connections, which these tests may not."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


def own() -> DjangoCache:
    """This thread's backend object."""
    return cast(DjangoCache, caches["default"])


def opened() -> list[int]:
    """Connections that are open, by shard."""
    return [store.database.opened for store in engine_of(own()).stores]


def connections() -> list[Any]:
    """The idle connections themselves: another object is another opening."""
    return [each for store in engine_of(own()).stores for each in store.database._idle]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Do the work in so many threads at once; an error in any of them is one here."""
    errors: list[BaseException] = []
    gate = threading.Barrier(count)

    def body(number: int) -> None:
        try:
            gate.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


needs_proc = pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="this system does not list open files"
)


# The end of a request


def test_the_end_of_a_request_reopens_nothing() -> None:
    cache.set_many({f"key-{number}": number for number in range(50)})
    before = connections()
    assert opened() == [1] * SHARDS
    for _ in range(3):
        request_finished.send(sender=None)
        assert cache.get("key-1") == 1
        cache.set("key-2", 2)
        own().close()
    assert opened() == [1] * SHARDS
    after = connections()
    assert len(after) == SHARDS
    assert all(any(one is other for other in before) for one in after)


def test_pages_reopen_nothing() -> None:
    client = Client()
    first = client.get("/cached/").content
    before = {id(each) for each in connections()}
    for _ in range(5):
        assert client.get("/cached/").content == first
    assert {id(each) for each in connections()} == before
    assert max(opened()) == 1


def test_asynchronous_pages_share_one_engine() -> None:
    engine = own()._cache.engine

    async def visits() -> None:
        client = AsyncClient()
        for _ in range(5):
            await client.get("/asynchronous/")
            await caches["default"].aclose()

    asyncio.run(visits())
    asyncio.run(visits())
    assert own()._cache.engine is engine
    assert cache.get("visits") == 10
    assert max(opened()) <= 2  # the loop's and, if it met a lock, one of a thread


def test_a_request_is_told_of_where_another_thread_memoized(clock: FakeClock) -> None:
    double = own().memoize()(lambda number: 2 * number)
    history = own()._cache.engine.history

    def requests() -> None:
        for _ in range(3):
            assert double(4) == 8
        request_finished.send(None)  # this thread has made no object that Django could close
        assert double(4) == 8
        request_finished.send(None)

    thread = threading.Thread(target=requests)
    thread.start()
    thread.join()
    assert sum(part.reads for part in history.traffic(3600, 60)) == 4


def test_shutdown_closes_and_the_next_call_opens() -> None:
    cache.set("key", 1)
    own().shutdown()
    assert opened() == [0] * SHARDS
    request_finished.send(sender=None)
    assert opened() == [0] * SHARDS
    cache.set("key", 2)
    assert sum(opened()) >= 1
    assert cache.get("key") == 2


# Threads


def test_backend_objects_of_all_threads_share_one_engine() -> None:
    engines: list[Engine] = []
    objects: list[DjangoCache] = []

    def work(number: int) -> None:
        engines.append(engine_of(own()))
        objects.append(own())
        cache.set(f"key-{number}", number)
        request_finished.send(sender=None)
        assert cache.get(f"key-{number}") == number

    in_threads(20, work)
    assert len({id(each) for each in objects}) == 20
    assert all(engine is own()._cache.engine for engine in engines)
    assert cache.get_many(f"key-{number}" for number in range(20)) == {
        f"key-{number}": number for number in range(20)
    }


def test_an_engine_outlives_the_threads_that_used_it() -> None:
    engines: list[Engine] = []
    for number in range(3):
        in_threads(1, lambda number: engines.append(engine_of(own())))
        assert engines[number] is engines[0]


@needs_proc
def test_descriptors_stay_bounded_over_many_threads() -> None:
    own()
    before = descriptors()

    def work(number: int) -> None:
        for key in range(5):
            cache.set(f"{number}-{key}", number)
            assert cache.get(f"{number}-{key}", number) == number
        cache.set("file", b"x" * 100_000)
        request_finished.send(sender=None)

    in_threads(THREADS, work)
    # A connection has its database and its log open; those of a process share one index of
    # the log. Beside them the segment and the database of the tests may be open.
    assert descriptors() - before <= SHARDS * (2 * POOL_LIMIT + 1) + 4
    assert max(opened()) <= POOL_LIMIT
    assert len(own()) == THREADS * 5 + 1
    own().shutdown()
    assert descriptors() <= before


@needs_proc
def test_descriptors_stay_bounded_over_many_requests() -> None:
    client = Client()
    client.get("/cached/")
    before = descriptors()
    for number in range(50):
        client.get(f"/cached/?page={number}")
    # Shards that had not been used yet have been opened meanwhile, each once.
    assert descriptors() - before <= SHARDS * 3


# A directory that goes away between requests


def removed(location: Path) -> None:
    shutil.rmtree(location)


def replaced_by_an_empty_one(location: Path) -> None:
    shutil.rmtree(location)
    location.mkdir()


def renamed(location: Path) -> None:
    location.rename(location.with_name("elsewhere"))


def emptied(location: Path) -> None:
    for path in location.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def replaced_by_a_new_cache(location: Path) -> None:
    """As when somebody removes the directory, and another process is the first to notice."""
    shutil.rmtree(location)
    code = (
        "import sys; from django.conf import settings;"
        "settings.configure(SECRET_KEY='only for tests');"
        "from django_diskcache import DjangoCache;"
        f"DjangoCache(sys.argv[1], {{'SHARDS': {SHARDS}}}).set('theirs', 1, None)"
    )
    subprocess.run([sys.executable, "-c", code, str(location)], check=True, cwd=ROOT)


LOSSES = [removed, replaced_by_an_empty_one, renamed, emptied, replaced_by_a_new_cache]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda each: each.__name__)
def test_a_directory_lost_between_requests_is_noticed_at_close(
    location: Path, lose: Callable[[Path], None], clock: FakeClock
) -> None:
    data: dict[str, Any] = {f"key-{number}": number for number in range(20)}
    cache.set_many({**data, "file": b"x" * 100_000})
    request_finished.send(sender=None)
    lose(location)
    clock.advance(LOOK_EVERY)
    request_finished.send(sender=None)

    theirs = {"theirs": 1} if lose is replaced_by_a_new_cache else {}
    assert cache.get_many([*data, "file", "theirs"]) == theirs
    assert len(own()) == len(theirs)
    cache.set_many({**data, "file": b"y" * 100_000})
    assert cache.get_many(data) == data
    assert cache.get("file") == b"y" * 100_000
    assert cache.incr("key-1") == 2
    assert (location / "segment").exists()
    # What this process wrote is where another process looks.
    code = (
        "import sys; from django.conf import settings;"
        "settings.configure(SECRET_KEY='only for tests');"
        "from django_diskcache import DjangoCache;"
        "cache = DjangoCache(sys.argv[1], {});"
        "print(len(cache), cache.get('key-1'), len(cache.get('file')))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code, str(location)],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert seen.stdout.split() == [str(21 + len(theirs)), "2", "100000"]


def test_many_threads_notice_a_lost_directory_at_once(location: Path, clock: FakeClock) -> None:
    cache.set("key", 1)
    shutil.rmtree(location)
    clock.advance(LOOK_EVERY)

    def work(number: int) -> None:
        request_finished.send(sender=None)
        cache.set(f"key-{number}", number)
        request_finished.send(sender=None)
        assert cache.get(f"key-{number}") == number

    in_threads(16, work)
    assert len(own()) == 16


def test_a_lost_directory_costs_pages_nothing_but_a_miss(
    location: Path, clock: FakeClock
) -> None:
    client = Client()
    first = client.get("/cached/").content
    shutil.rmtree(location)
    clock.advance(LOOK_EVERY)
    assert client.get("/cached/").status_code == 200  # may still come from open files
    second = client.get("/cached/").content
    assert second != first
    assert client.get("/cached/").content == second


# Forks


def forked(location: Path | str, scenario: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            *(sys.executable, "-X", "dev", "-W", "error"),
            *("-m", "tests.django.forking", str(location), scenario),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_fork_with_an_open_cache(location: Path) -> None:
    assert forked(location, "counting") == {
        "codes": [0] * CHILDREN,
        "count": CHILDREN * COUNTS,
        "entries": 2 + 1 + CHILDREN * COUNTS,
        "problems": [],
    }
    assert cache.get("count") == CHILDREN * COUNTS


def test_a_fork_before_the_first_use(location: Path) -> None:
    assert forked(location, "first_use_in_children") == {
        "codes": [0] * CHILDREN,
        "count": CHILDREN * COUNTS,
    }


def test_one_shard_lost_between_requests(location: Path, clock: FakeClock) -> None:
    data = {f"key-{number}": number for number in range(40)}
    cache.set_many(data)
    shutil.rmtree(location / "002")
    clock.advance(LOOK_EVERY)
    request_finished.send(sender=None)
    left = cache.get_many(data)
    assert 0 < len(left) < 40
    assert left.items() <= data.items()
    assert len(own()) == len(left)
    cache.set_many(data)
    assert cache.get_many(data) == data


def test_a_fork_amid_threads_that_use_the_cache(location: Path) -> None:
    assert forked(location, "amid_threads") == {
        "codes": [0] * CHILDREN,
        "count": CHILDREN * COUNTS,
    }


@pytest.mark.parametrize("scenario", ["counting", "first_use_in_children", "amid_threads"])
def test_a_fork_on_a_server(server: Server, scenario: str) -> None:
    found = forked(server.url, scenario)
    assert (found["codes"], found["count"]) == ([0] * CHILDREN, CHILDREN * COUNTS)


def test_a_first_connection_imports_nothing_that_a_fork_may_meet() -> None:
    code = (
        "import socket, sys, django_diskcache.server; before = set(sys.modules);"
        "socket.getaddrinfo('127.0.0.1', 80); print(set(sys.modules) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert run.stdout == "set()\n"


def test_an_alias_with_other_options_leaves_the_locks_of_the_first_alone(
    tmp_path: Path,
) -> None:
    code = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "print(connection.execute('SELECT COUNT(*) FROM cache').fetchone()[0]);"
        "connection.close()"
    )
    first = DjangoCache(tmp_path / "cache", {"SHARDS": 1})
    first.set("a", 1)
    DjangoCache(tmp_path / "cache", {"SHARDS": 1, "OPTIONS": {"cull_limit": 5}})
    path = engine_of(first).stores[0].path
    seen = []
    for key in ("b", "c"):  # another process comes and goes: it must not remove our log
        run = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, check=True
        )
        seen.append(int(run.stdout))
        first.set(key, 1)
    assert seen == [1, 2]
