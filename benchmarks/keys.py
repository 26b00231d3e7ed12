"""What it takes to find and remove keys among a million, whatever is beside them:

    python -m benchmarks.keys
    python -m benchmarks.keys --entries 10000

A `DjangoCache` in a temporary directory is filled with values of 0.2 kB under ``user:N:…``, ten
for each user, and one in a hundred has a tag. Printed are the milliseconds of each call, median
of some.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from statistics import median

from django.conf import settings

from . import report, values

CHUNK = 1000  # entries that are stored at once
OF_USER = 10  # keys of each
TAG_EVERY = 100
TIMES = 5
SECRET_KEY = "of the benchmark"


def key(number: int) -> str:
    """Ten keys for each user."""
    return f"user:{number // OF_USER}:part-{number % OF_USER}"


def measure(directory: str, entries: int) -> dict[str, tuple[float, int]]:
    """Of each call the milliseconds, and how many keys it found."""
    from django_diskcache import DjangoCache

    cache = DjangoCache(directory, {"TIMEOUT": None, "OPTIONS": {"size_limit": "64GB"}})
    with report.Progress(f"fill, {entries:,} entries", entries) as progress:
        for start in range(0, entries, CHUNK):
            numbers = range(start, min(start + CHUNK, entries))
            tag = "some" if (start // CHUNK) % TAG_EVERY == 0 else None
            cache.set_many({key(number): values.small(number) for number in numbers}, tag=tag)
            progress.update(start)

    def store(count: int) -> None:
        cache.set_many({f"gone:{number}:x": values.small(number) for number in range(count)})

    user = f"user:{entries // OF_USER // 2}:"
    looks: dict[str, Callable[[], object]] = {
        f'keys("{user}*")': lambda: cache.keys(f"{user}*"),
        f'keys(prefix="{user}")': lambda: cache.keys(prefix=user),
        'keys("user:*7:part-[34]")': lambda: cache.keys("user:*7:part-[34]"),
        'keys("*:no such part")': lambda: cache.keys("*:no such part"),
        'keys(tag="some")': lambda: cache.keys(tag="some"),
        "the first 1,000 of iter_keys()": lambda: list(islice(cache.iter_keys(), 1000)),
        "keys()": cache.keys,
        'keys(order="newest")': lambda: cache.keys(order="newest"),
    }
    found = {name: _timed(look, lambda: None) for name, look in looks.items()}
    cache.create_tag_index()
    indexed = _timed(lambda: cache.keys(tag="some"), lambda: None)
    found['keys(tag="some"), tag_index'] = indexed
    for count in (10, 10_000):
        name = f'delete_prefix("gone:"), {count:,} keys'
        found[name] = _timed(lambda: cache.delete_prefix("gone:"), partial(store, count))
    pattern = 'delete_pattern("g*:x"), 10,000 keys'
    found[pattern] = _timed(lambda: cache.delete_pattern("g*:x"), lambda: store(10_000))
    cache.shutdown()
    return found


def _timed(call: Callable[[], object], before: Callable[[], object]) -> tuple[float, int]:
    times = []
    result: object = None
    for _ in range(TIMES):
        before()
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    size = result if isinstance(result, int) else len(result)  # type: ignore[arg-type]
    return median(times) * 1e3, size


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.keys",
        description="Measure how keys are found and removed by pattern, prefix and tag.",
    )
    parser.add_argument(
        "--entries", type=int, default=1_000_000, metavar="N", help="default: 1000000"
    )
    wanted = parser.parse_args(arguments)
    if not settings.configured:
        settings.configure(SECRET_KEY=SECRET_KEY)
    with tempfile.TemporaryDirectory() as directory:
        found = measure(directory, wanted.entries)
    print(f"{wanted.entries:,} entries, medians of {TIMES} calls\n")
    print("| call | ms | keys |", "|---|--:|--:|", sep="\n")
    for name, (milliseconds, size) in found.items():
        print(f"| `{name}` | {milliseconds:.2f} | {size:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
