"""Batches of 100 keys: hot, read for the first time in this process, stored, deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from . import rounds, subjects, values
from .plan import Bench, Opened
from .tables import Table, latencies

NAME = "batches"
TITLE = "Batches of 100"

BATCH = 100
COLD = 5  # batches of a turn, each of keys that nobody has read
CALLS = 20


class Batches:
    """The turns of one contender."""

    def __init__(self, opened: Opened, entries: int, calls: int) -> None:
        self.cache = opened.cache
        self.fill = opened.fill
        self.calls = calls
        self.order = values.shuffled(entries)
        self.new = count(entries, BATCH)
        opened.fill(values.entries(0, entries))

    def _keys(self, number: int) -> list[str]:
        part = self.order[number * BATCH : (number + 1) * BATCH]
        return [values.key(n) for n in part]

    def hot(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        keys = self._keys(0)
        self.cache.get_many(keys)
        return self.cache.get_many, [(keys,)] * self.calls

    def cold(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        first = 1 + number * COLD
        return self.cache.get_many, [(self._keys(first + n),) for n in range(COLD)]

    def store(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.set_many, [self._items(next(self.new)) for _ in range(self.calls)]

    def delete(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        gone = [self._items(next(self.new))[0] for _ in range(COLD)]
        for items in gone:
            self.fill(items.items())
        return self.cache.delete_many, [(list(items),) for items in gone]

    def _items(self, first: int) -> tuple[dict[str, Any]]:
        return (dict(values.entries(first, BATCH)),)


MEASURES: Mapping[str, Callable[[Batches], rounds.Turn]] = {
    "get_many, hot": lambda o: o.hot,
    "get_many, first touch": lambda o: o.cold,
    "set_many, new": lambda o: o.store,
    "delete_many": lambda o: o.delete,
}


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    table = Table(NAME, "batches", "Batches of 100 entries")
    entries = (1 + plan.rounds * COLD) * BATCH
    with bench.opened(*subjects.SUBJECTS, keys=1_000_000) as caches:
        ready = {
            name: Batches(opened, entries, plan.some(CALLS))
            for name, opened in caches.items()
            if hasattr(opened.cache, "get_many")
        }
        shares = {name: opened.share for name, opened in caches.items()}
        with bench.progress(table.title, len(MEASURES)) as progress:
            for place, (label, turn) in enumerate(MEASURES.items(), start=1):
                turns = {name: turn(each) for name, each in ready.items()}
                found = rounds.interleaved(turns, plan.rounds, plan.turn(0.06), shares=shares)
                table.measures.append(latencies(label, values=found))
                progress.update(place)
    table.notes.append("pysciqlop-cache has no batches.")
    return [table]
