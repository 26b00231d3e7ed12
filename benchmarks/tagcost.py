"""What tags cost: CPU time of sets with none, one and two, and of evictions by one of them.

    python -m benchmarks.tagcost

All take turns in one process, so that what disturbs the machine disturbs all of them, and
counted is the process's own CPU time, of which the median over the turns is printed. Ratios are
to no tag, and for evictions to one tag without an index.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django_diskcache import FanoutCache

VALUE = "x" * 200
GROUPS = 10  # a tenth of the entries has each of the common tags
RARE = 10  # entries have a rare one
TAGS: dict[str, Callable[[int], Any]] = {
    "no tag": lambda group: None,
    "one tag": lambda group: f"author:{group}",
    "two tags": lambda group: ("posts", f"author:{group}"),
}
MANY = 100  # keys of a set_many
INDEX = {"": 0, ", index": 1}


def timed(work: Callable[[], object], count: int) -> float:
    """Microseconds of CPU time that each of `count` things takes."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / count * 1e6


def one_by_one(cache: FanoutCache, keys: Sequence[str], tag: Any) -> None:
    for key in keys:
        cache.set(key, VALUE, tag=tag)


def many(cache: FanoutCache, keys: Sequence[str], tag: Any) -> None:
    for start in range(0, len(keys), MANY):
        cache.set_many(dict.fromkeys(keys[start : start + MANY], VALUE), tag=tag)


STEPS: tuple[tuple[str, Callable[[FanoutCache, Sequence[str], Any], None]], ...] = (
    ("set, new", one_by_one),
    ("set, again", one_by_one),
    (f"set_many of {MANY}, again", many),
    (f"set_many of {MANY}, new", many),
)


def sets(directory: Path, number: int, rounds: int) -> dict[str, dict[str, float]]:
    """Of each kind of set with each kind of tags, the median time for a key."""
    found: dict[str, dict[str, list[float]]] = {kind: {} for kind, _ in STEPS}
    caches = {name: FanoutCache(directory / name, timeout=60) for name in TAGS}
    for each in range(rounds):
        keys = [f"{each}:{key}" for key in range(number)]
        random.Random(each).shuffle(keys)
        for name, cache in caches.items():
            tag = TAGS[name](each % GROUPS)
            for kind, work in STEPS:
                if work is many and kind.endswith("new"):
                    cache.delete_many(keys)
                took = timed(partial(work, cache, keys, tag), number)
                found[kind].setdefault(name, []).append(took)
    for cache in caches.values():
        cache.close()
    return {
        kind: {name: statistics.median(times) for name, times in by_name.items()}
        for kind, by_name in found.items()
    }


def evictions(directory: Path, number: int) -> dict[str, dict[str, float]]:
    """Milliseconds of an eviction by a common tag and by a rare one."""
    found: dict[str, dict[str, float]] = {}
    for title, index in INDEX.items():
        for name, tags_of in list(TAGS.items())[1:]:
            cache = FanoutCache(directory / f"{name}{index}", timeout=60, tag_index=index)
            for group in range(GROUPS):
                keys = [f"key:{n}" for n in range(group, number, GROUPS)]
                cache.set_many(dict.fromkeys(keys, VALUE), tag=tags_of(group))
            for rare in range(3):
                keys = [f"rare:{rare}:{n}" for n in range(RARE)]
                tag = f"rare:{rare}" if name == "one tag" else ("posts", f"rare:{rare}")
                cache.set_many(dict.fromkeys(keys, VALUE), tag=tag)
            for kind, tags, gone in (
                (f"evict {number // GROUPS:,} of {number:,}", "author", number // GROUPS),
                (f"evict {RARE} of {number:,}", "rare", RARE),
            ):
                times = []
                for n in range(3):
                    start = time.process_time()
                    assert cache.evict(f"{tags}:{n}") == gone
                    times.append((time.process_time() - start) * 1e3)
                found.setdefault(kind, {})[name + title] = statistics.median(times)
            cache.close()
    return found


def told(figures: dict[str, dict[str, float]], unit: str) -> list[str]:
    """A table in Markdown, with ratios to the first of each row."""
    names = list(next(iter(figures.values())))
    lines = [f"| {unit} | {' | '.join(names)} |", "|---|" + "--:|" * len(names)]
    for kind, times in figures.items():
        base = times[names[0]]
        cells = [f"{times[name]:.1f} ({times[name] / base:.2f}x)" for name in names]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=10_000, help="keys of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of sets")
    parser.add_argument("--entries", type=int, default=100_000, help="to evict from")
    parser.add_argument("--directory", help="where; a temporary one if not given")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        directory = Path(name)
        print("\n".join(told(sets(directory, options.sets, options.rounds), "µs a key")))
        print()
        print("\n".join(told(evictions(directory, options.entries), "ms")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
