"""What entries take of a server's memory, with and without tags, keys and all:

    python -m benchmarks.servermemory
    python -m benchmarks.servermemory --value 2000

It starts a server of its own, which is emptied before each line. A line is what the server says
that it uses (`used_memory`), less what it used before, for each entry.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django_diskcache.server import ServerCache

from . import servers

TIMEOUT = 3600.0  # seconds; an entry without one takes some bytes less
TAGS: dict[str, Callable[[int], Any]] = {
    "no tag": lambda number: None,
    "one tag that all have": lambda number: "posts",
    "two tags that all have": lambda number: ("posts", "pages"),
    "one tag, of 1,000 entries each": lambda number: f"author:{number // 1000}",
    "one tag, of 100 entries each": lambda number: f"author:{number // 100}",
    "one tag of its own": lambda number: f"author:{number}",
}


def used(server: Any) -> int:
    """Bytes that the server says it uses."""
    return int(server.info("memory")["used_memory"])


def taken(
    cache: ServerCache, server: Any, entries: int, size: int, tag: Callable[[int], Any]
) -> float:
    """Bytes of memory that each of so many new entries takes."""
    server.flushall()
    before = used(server)
    draw = random.Random(20)
    for number in range(entries):
        value = draw.randbytes(size)
        cache.set(f":1:article:{number}:page", value, expire=TIMEOUT, tag=tag(number))
    return (used(server) - before) / entries


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servermemory", description=__doc__
    )
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--value", type=int, default=150, help="bytes of a value")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, servers.redis(Path(directory)) as url:
        server = importlib.import_module("redis").Redis.from_url(url)
        with server, ServerCache(f"{url}/0", statistics=0, near_cache_size=0) as cache:
            print(
                f"Redis {server.info('server')['redis_version']}, {options.entries:,} entries"
            )
            print(f"| a value of {options.value} bytes | bytes of memory |\n|---|--:|")
            for name, tag in TAGS.items():
                size = taken(cache, server, options.entries, options.value, tag)
                print(f"| {name} | {size:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
