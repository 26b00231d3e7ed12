"""Memory and open files that a cache takes in each process, in a new process of its own.

Private memory is what the process would give back: pages of a mapped file that others map as
well are not in it. The resident set has them too.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

from . import subjects, values
from .plan import Bench
from .tables import Column, Measure, Table

NAME = "memory"
TITLE = "Memory per process"

ENTRIES = 20_000
STATUS = Path("/proc/self/smaps_rollup")
COLUMNS = (
    Column("private memory", "bytes"),
    Column("resident set", "bytes"),
    Column("open files", "count"),
)


def after_reading(entries: int) -> str:
    """The label of what it takes then."""
    return f"after reading {entries:,} entries"


def used() -> dict[str, float]:
    """What this process has now."""
    lines = (line.split() for line in STATUS.read_text().splitlines())
    sizes = {line[0]: int(line[1]) * 1024 for line in lines if line[-1] == "kB"}
    return {
        "private memory": sizes["Private_Clean:"] + sizes["Private_Dirty:"],
        "resident set": sizes["Rss:"],
        "open files": len(os.listdir("/proc/self/fd")),
    }


def work(
    answers: Connection,
    database: Path,
    subject: subjects.Subject,
    directory: Path,
    entries: int,
) -> None:
    """What the process does: open the cache, read one entry, read all of them."""
    subjects.configure(database)
    subject.missing()  # imports what it needs, which is not the cache's memory
    import django.core.cache  # noqa: F401

    before = used()
    with subject.opened(directory, entries + 1) as cache:
        if not subject.shared:
            subject.fill(cache, values.entries(0, entries))
        cache.get(values.key(0))
        opened = used()
        for number in range(entries):
            cache.get(values.key(number))
        read = used()
    answers.send(
        [{name: then[name] - before[name] for name in before} for then in (opened, read)]
    )
    answers.close()


def run(bench: Bench) -> list[Table]:
    table = Table(NAME, "memory", "Memory per process")
    if not STATUS.exists():
        table.notes.append(f"Left out: this system has no {STATUS}.")
        return [table]
    entries = bench.plan.some(ENTRIES, 50)
    wanted = [subject for subject in subjects.SUBJECTS if subject.scales]
    rows: list[dict[str, dict[str, float]]] = [{}, {}]
    with (
        bench.opened(*wanted, keys=entries) as caches,
        bench.progress(table.title, len(caches)) as progress,
    ):
        for opened in caches.values():
            if opened.subject.shared:
                opened.fill(values.entries(0, entries))
        for place, (name, opened) in enumerate(caches.items()):
            for row, found in zip(
                rows, _asked(bench, opened.subject, opened.directory, entries), strict=True
            ):
                row[name] = found
            progress.update(place)
    table.measures = [
        Measure("opened, one get", COLUMNS, rows[0]),
        Measure(after_reading(entries), COLUMNS, rows[1]),
    ]
    table.notes.append(
        "Growth since before the cache was opened, in one new process each. locmem holds all"
        " entries in each process; what redis and memcached hold is in their servers."
    )
    return [table]


def _asked(
    bench: Bench, subject: subjects.Subject, directory: Path, entries: int
) -> list[dict[str, float]]:
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    arguments = (its, bench.database, subject, directory, entries)
    process = context.Process(target=work, args=arguments, daemon=True)
    process.start()
    its.close()
    try:
        found: list[dict[str, float]] = ours.recv()
    finally:
        process.join()
        ours.close()
    return found
