"""What each `serializer` costs: `python -m benchmarks.serializers`.

One `Cache` for each, signed as in Django, in a temporary directory of its own; they take turns,
so that a busy machine is busy for all of them. Printed are microseconds of one call in the best
of the rounds, and how many bytes the value of one entry takes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from django_diskcache.engine import Cache
from django_diskcache.engine.options import SERIALIZERS

from . import values

ENTRIES = 1000
ROUNDS = 25
HEAD = "| serializer | bytes | set | get from SQLite | get from memory |"


def per_call(work: Callable[[int], object]) -> float:
    """Microseconds of one call, the mean over all entries."""
    start = time.perf_counter()
    for number in range(ENTRIES):
        work(number)
    return (time.perf_counter() - start) / ENTRIES * 1e6


def measure(cache: Cache) -> tuple[float, float, float]:
    """One round: set, get from SQLite, get from memory."""
    keys = [values.key(number) for number in range(ENTRIES)]
    entries = [values.small(number) for number in range(ENTRIES)]
    stored = per_call(lambda number: cache.set(keys[number], entries[number]))
    cache.engine.near.clear()
    read = per_call(lambda number: cache.get(keys[number]))
    for key in keys * 10:  # until the near cache has made up its mind about them
        cache.get(key)
    return stored, read, per_call(lambda number: cache.get(keys[number]))


def size(cache: Cache) -> int:
    """Bytes of the value of one entry."""
    (store,) = cache.engine.stores
    ((result,),) = store.database.run("SELECT MAX(LENGTH(value)) FROM cache")
    return int(result)


def main() -> None:
    """Measure, and print a table."""
    with ExitStack() as stack:
        caches = {}
        for name in SERIALIZERS:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            cache = Cache(directory, serializer=name, secret="of the benchmark")
            caches[name] = stack.enter_context(closing(cache))
        rounds = [{n: measure(cache) for n, cache in caches.items()} for _ in range(ROUNDS)]
        print(HEAD, "|---|---|---|---|---|", sep="\n")
        for name, cache in caches.items():
            times = zip(*(each[name] for each in rounds), strict=True)
            cells = [f"{min(each):.1f}" for each in times]
            print(f"| {name} | {size(cache)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
