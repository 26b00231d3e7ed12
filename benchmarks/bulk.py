"""Whole caches: clear, expire and evict, and in full the filling with a million entries."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from unittest import mock

from . import rounds, subjects, values
from .latency import Latencies
from .plan import Bench, Opened
from .tables import Column, Measure, Table

NAME = "bulk"
TITLE = "clear, expire and evict; filling"

QUICK = 50_000  # entries
FULL = 500_000
FILL = 1_000_000
PART = 10_000  # entries that a contender stores in a turn
WANTED = (
    subjects.OUR_BACKEND,
    subjects.PEER,
    subjects.COMMUNITY,
    subjects.SCIQLOP,
    subjects.FLOOR,
)
ONCE = (Column("time", "long"),)

# The measures of filling.
ALL = "all sets"
SECOND = f"from {PART:,} to {2 * PART:,} entries"
LAST = f"the last {5 * PART:,}"


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    found = [_removals(bench, plan.some(FULL if plan.full else QUICK, 50))]
    if plan.full:
        found.append(_filling(bench, plan.some(FILL, 100)))
    return found


def _removals(bench: Bench, entries: int) -> Table:
    table = Table(NAME, f"bulk-{entries}", f"Removal of many of {entries:,} entries")
    rows: dict[str, dict[str, dict[str, float]]] = {
        "clear": {},
        "evict, half": {},
        "expire": {},
    }
    with (
        bench.opened(*WANTED, keys=entries) as caches,
        bench.progress(table.title, len(caches)) as progress,
    ):
        for place, (name, opened) in enumerate(caches.items()):
            opened.fill(values.entries(0, entries))
            rows["clear"][name] = _once(opened.cache.clear)
            if hasattr(opened.cache, "evict"):
                _fill_tagged(opened, entries)
                rows["evict, half"][name] = _once(lambda o=opened: o.cache.evict("odd"))  # type: ignore[misc]
            if hasattr(opened.cache, "expire"):
                later = time.time() + 2 * subjects.TIMEOUT
                with mock.patch("time.time", lambda then=later: then):
                    rows["expire"][name] = _once(opened.cache.expire)
            progress.update(place)
    table.measures = [Measure(label, ONCE, row) for label, row in rows.items()]
    table.notes.append(
        "Once each, so the ratios are rough. evict removes the half that has a tag, without an"
        " index on tags; expire then removes the other half. pysciqlop-cache takes its time"
        " from a clock that this cannot set."
    )
    return table


def _fill_tagged(opened: Opened, entries: int) -> None:
    opened.fill(islice(values.entries(0, entries), 0, None, 2), tag="even")
    opened.fill(islice(values.entries(0, entries), 1, None, 2), tag="odd")


def _once(call: Callable[[], object]) -> dict[str, float]:
    with rounds.quiet():
        start = time.perf_counter_ns()
        call()
        return {"time": float(time.perf_counter_ns() - start)}


def _filling(bench: Bench, entries: int) -> Table:
    table = Table(NAME, f"fill-{entries}", f"Filling with {entries:,} entries, one by one")
    part = max(1, PART * entries // FILL)  # the labels are true of what is not scaled
    parts = entries // part
    with (
        bench.opened(*WANTED, keys=entries + 1) as caches,
        bench.progress(table.title, parts) as progress,
    ):
        latencies = {name: [Latencies() for _ in range(parts)] for name in caches}
        for number in range(parts):
            for name in rounds.rotated(list(caches), number):
                record = latencies[name][number].record
                turn = list(values.entries(number * part, part))
                with rounds.quiet():
                    samples = rounds.timed(caches[name].cache.set, turn, 3600)
                for sample in samples:
                    record(sample)
            progress.update(number)
    spans = {ALL: slice(None), SECOND: slice(1, 2), LAST: slice(-5, None)}
    columns = (Column("mean"), Column("median"), Column("p99"))
    for label, span in spans.items():
        rows = {}
        for name, each in latencies.items():
            total = Latencies()
            for latency in each[span]:
                total.add(latency)
            rows[name] = rounds.summary(total)
        table.measures.append(Measure(label, columns, rows))
    return table
