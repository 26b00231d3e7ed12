"""A process that opens a cache and forks, as servers that preload their application do.

Run as ``python -m tests.django.forking LOCATION SCENARIO``; prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

CHILDREN = 4
COUNTS = 25


def in_child(work: Callable[[], None]) -> int:
    """Fork; the child's pid. The child does the work and leaves with 0 if nothing failed."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    sys.exit(0)  # the ordinary way out, which tears everything down


def wait_for(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def counting(cache: Any) -> dict[str, Any]:
    """Children count together; each sees what the parent stored before and after the fork."""
    cache.set("before", [1])
    reading, writing = os.pipe()

    def work() -> None:
        os.read(reading, 1)
        assert cache.get("before") == [1]
        assert cache.get("after") == [2]
        for number in range(COUNTS):
            cache.incr("count", default=0)
            cache.set(f"{os.getpid()}-{number}", b"x" * 100_000)
        cache.close()

    pids = [in_child(work) for _ in range(CHILDREN)]
    cache.set("after", [2])
    os.write(writing, b"x" * CHILDREN)
    codes = wait_for(pids)
    found = {"codes": codes, "count": cache.get("count"), "entries": len(cache)}
    return {**found, "problems": [str(each.message) for each in cache._cache.check()]}


def first_use_in_children(cache: Any) -> dict[str, Any]:
    """The parent never used its cache; it does so after the children are gone."""

    def work() -> None:
        for _ in range(COUNTS):
            cache.incr("count", default=0)

    codes = wait_for([in_child(work) for _ in range(CHILDREN)])
    return {"codes": codes, "count": cache.get("count")}


def amid_threads(cache: Any) -> dict[str, Any]:
    """Fork while other threads are in the middle of reads and writes."""
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache.set(f"thread-{number % 50}", number)
            cache.get(f"thread-{number % 20}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()

    def child() -> None:
        for number in range(COUNTS):
            cache.set(f"{os.getpid()}-{number}", number)
            assert cache.get(f"{os.getpid()}-{number}") == number
            cache.incr("count", default=0)

    codes = []
    for _ in range(CHILDREN):
        codes += wait_for([in_child(child)])
    stop.set()
    for thread in threads:
        thread.join()
    return {"codes": codes, "count": cache.get("count")}


def main() -> None:
    location, scenario = sys.argv[1:]
    warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
    alias = {
        "BACKEND": "django_diskcache.DjangoCache",
        "LOCATION": location if "://" in location else Path(location),
        "SHARDS": 2,
        "DATABASE_TIMEOUT": 60,  # on a busy machine no get of these children gives up
    }
    settings.configure(SECRET_KEY="only for tests", CACHES={"default": alias})
    from django.core.cache import caches  # it reads the settings

    cache: Any = caches["default"]
    scenarios = {
        each.__name__: each for each in (counting, first_use_in_children, amid_threads)
    }
    parent = os.getpid()
    result = scenarios[scenario](cache)
    if os.getpid() == parent:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
