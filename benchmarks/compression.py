"""What `compression` saves and costs, on values of a few kinds: a rendered page and an answer
in JSON as texts, rows of a query as a list that is pickled, and bytes that do not compress.

A get is the first one in a process, from SQLite. Later ones come from memory and expand
nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

from django_diskcache.engine import Cache
from django_diskcache.engine.compression import CODECS, Missing, loaded

from . import rounds, values
from .plan import Bench
from .tables import Column, Measure, Table

NAME = "compression"
TITLE = "Compression"

ENTRIES = 50  # of each kind, all different
LEVELS = {"zlib": (1, 6), "lzma": (0, 6), "zstd": (1, 3, 9), "lz4": (0, 9)}
COLUMNS = (Column("stored", "bytes"), Column("set"), Column("get"))
WORDS = [
    "cache",
    "page",
    "entry",
    "process",
    "reader",
    "writer",
    "shard",
    "value",
    "the",
    "a",
    "of",
    "and",
    "is",
    "in",
    "to",
    "that",
    "it",
    "with",
    "for",
    "as",
    "on",
    "was",
    "at",
    "by",
    "an",
    "be",
    "this",
    "which",
    "or",
    "from",
    "had",
    "not",
    "are",
    "but",
    "they",
    "have",
    "one",
    "all",
    "were",
    "when",
    "we",
]


def sentence(source: random.Random, words: int) -> str:
    """So many words, some of them numbers."""
    chosen = [source.choice(WORDS) for _ in range(words)]
    return " ".join(
        w if source.random() < 0.9 else str(source.randrange(10**5)) for w in chosen
    )


def page(source: random.Random) -> str:
    """A rendered page of about 18 kB: a list with links, pictures and teasers."""
    parts = [
        f'<article class="teaser"><a href="/articles/{source.randrange(10**6)}/">'
        f'<img src="/media/{source.getrandbits(64):x}.jpg" alt="" loading="lazy">'
        f"<h2>{sentence(source, 8)}</h2></a><p>{sentence(source, 40)}</p></article>\n"
        for _ in range(50)
    ]
    return f"<!doctype html><html><body><main>{''.join(parts)}</main></body></html>"


def rows(source: random.Random, count: int) -> list[dict[str, Any]]:
    """Rows of a query, as dictionaries."""
    return [
        {
            "id": source.randrange(10**6),
            "title": sentence(source, 7),
            "author": source.choice(WORDS),
            "published": f"2026-{source.randrange(1, 13):02d}-{source.randrange(1, 29):02d}",
            "views": source.randrange(10**4),
            "tags": source.sample(WORDS, 3),
        }
        for _ in range(count)
    ]


def kinds() -> dict[str, list[Any]]:
    """The values of each kind."""
    source = random.Random(1)
    number = range(ENTRIES)
    return {
        "a rendered page, 18 kB": [page(source) for _ in number],
        "JSON, 2 kB": [json.dumps(rows(source, 12)) for _ in number],
        "pickled rows, 8 kB": [rows(source, 100) for _ in number],
        "random bytes, 20 kB": [values.noise(20_000 + n) for n in number],
    }


def settings() -> dict[str, dict[str, Any]]:
    """Those of each contender, by its name; the first compresses nothing."""
    found: dict[str, dict[str, Any]] = {"not compressed": {}}
    for name, levels in LEVELS.items():
        try:
            loaded(CODECS[name])
        except Missing:
            continue
        for level in levels:
            found[f"{name} {level}"] = {"compression": name, "compression_level": level}
    return found


def stored(cache: Cache) -> float:
    """Bytes of a value, the mean."""
    (store,) = cache.engine.stores
    ((size,),) = store.database.run("SELECT AVG(size) FROM cache")
    return float(size)


def run(bench: Bench) -> list[Table]:
    table = Table(NAME, NAME, "Compression of values")
    with ExitStack() as stack:
        caches = {
            name: stack.enter_context(
                closing(
                    Cache(bench.directory / f"compression-{n}", secret="of a benchmark", **each)
                )
            )
            for n, (name, each) in enumerate(settings().items())
        }
        progress = stack.enter_context(bench.progress(table.title, len(kinds())))
        for place, (kind, different) in enumerate(kinds().items(), start=1):
            table.measures.append(_measure(bench, kind, different, caches))
            progress.update(place)
    table.notes.append(
        '`zstd 3` is `compression="zstd", compression_level=3`. Without a level zlib takes 1, '
        "lzma 0, zstd 3 and lz4 0."
    )
    return [table]


def _measure(
    bench: Bench, kind: str, different: list[Any], caches: Mapping[str, Cache]
) -> Measure:
    items = [(f"{kind} {n}", value) for n, value in enumerate(different)]
    plan = bench.plan

    def timed(turns: Mapping[str, rounds.Turn], **more: Any) -> dict[str, dict[str, float]]:
        return rounds.interleaved(turns, max(3, plan.rounds), plan.turn(0.1), **more)

    for cache in caches.values():
        cache.clear()
        for item in items:
            cache.set(*item)
    sizes = {name: stored(cache) for name, cache in caches.items()}
    sets = timed({name: _turn(cache.set, items) for name, cache in caches.items()})
    keys = [item[:1] for item in items]
    gets = timed(
        {name: _turn(cache.get, keys) for name, cache in caches.items()},
        before={name: cache.engine.near.clear for name, cache in caches.items()},
    )
    found = {
        name: {
            "stored": sizes[name],
            "set": sets[name]["median"],
            "get": gets[name]["median"],
        }
        for name in caches
    }
    return Measure(kind, COLUMNS, found)


def _turn(call: Any, arguments: list[Any]) -> rounds.Turn:
    return lambda number: (call, arguments)
