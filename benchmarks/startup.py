"""What Django does with a cache besides using it: it makes backend objects, and closes them at
the end of each request; and a new process imports it and reads for the first time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, median
from typing import Any

from . import Refused, rounds, subjects, values
from .plan import Bench, Opened
from .tables import Column, Measure, Table, latencies

NAME = "startup"
TITLE = "Start-up, new objects, close()"

CALLS = 300
PROCESSES = 3
WANTED = (
    subjects.OUR_BACKEND,
    subjects.PEER,
    subjects.COMMUNITY,
    subjects.LOCAL,
    subjects.FILES,
    subjects.DATABASE,
    subjects.REDIS,
    subjects.MEMCACHED,
)

# What a new process does, and prints how many nanoseconds it took.
FIRST_READ = """
import sys, time
from django.conf import settings
settings.configure(
    CACHES={"default": __import__("json").loads(sys.argv[1])}, SECRET_KEY=sys.argv[3]
)
start = time.perf_counter_ns()
from django.core.cache import cache
found = cache.get(sys.argv[2])
print(time.perf_counter_ns() - start, found is not None)
"""


class Life:
    """The turns of one contender."""

    def __init__(self, opened: Opened, calls: int) -> None:
        self.cache = opened.cache
        self.key = (values.key(0),)
        self.calls = calls
        opened.fill(values.entries(0, 1))
        self.made: list[Any] = []
        self.arguments = _arguments(opened)

    def read(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        self.cache.get(*self.key)
        return self.cache.get, [self.key] * self.calls

    def close(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.close, [()] * self.calls

    def make(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        for cache in self.made:
            cache.close()
        self.made = []
        self.cache.get(*self.key)

        def make(*arguments: Any) -> None:
            self.made.append(type(self.cache)(*arguments))

        return make, [self.arguments] * self.calls


def _arguments(opened: Opened) -> tuple[str, dict[str, Any]]:
    subject = opened.subject
    assert isinstance(subject, subjects.Backend)
    location = subject.place(opened.directory) or str(opened.directory)
    return location, {"timeout": subjects.TIMEOUT, "OPTIONS": dict(subject.options)}


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    table = Table(NAME, "startup", "Close, new objects, new processes")
    with (
        bench.opened(*WANTED, keys=1000) as caches,
        bench.progress(table.title, PROCESSES + 1) as progress,
    ):
        lives = {name: Life(each, plan.some(CALLS, 10)) for name, each in caches.items()}
        reads = {name: life.read for name, life in lives.items()}
        closes = {name: life.cache.close for name, life in lives.items()}
        seconds = plan.turn(0.03)
        after = rounds.interleaved(reads, plan.rounds, seconds, before=closes)
        table.measures += [
            latencies("get", values=rounds.interleaved(reads, plan.rounds, seconds)),
            latencies("get after close()", values=after),
            latencies(
                "close()",
                values=rounds.interleaved(
                    {name: life.close for name, life in lives.items()},
                    plan.rounds,
                    seconds,
                    before={name: _reader(life) for name, life in lives.items()},
                ),
            ),
            latencies(
                "new backend object",
                values=rounds.interleaved(
                    {name: life.make for name, life in lives.items()}, plan.rounds, seconds
                ),
            ),
        ]
        for life in lives.values():
            for cache in life.made:
                cache.close()
        rows: dict[str, list[float]] = {name: [] for name in caches if name != "database"}
        for number in range(PROCESSES + 1):
            for name, row in rows.items():
                taken = _first_read(lives[name].arguments, lives[name].cache)
                if number:  # the first one compiles the modules, as an installation does
                    row.append(taken)
            progress.update(number)
    started = {
        name: {"median": median(found), "mean": mean(found), "least": min(found)}
        for name, found in rows.items()
    }
    columns = (Column("median"), Column("mean"), Column("least"))
    table.measures.append(Measure("new process, to its first get", columns, started))
    table.notes.append(
        "The time of close() is not part of the get after it. A new object is made while others"
        " of the process are in use. The new process has Python and Django's settings loaded"
        f" and finds its modules compiled; {PROCESSES} of them for each contender."
    )
    return [table]


def _reader(life: Life) -> rounds.Call:
    return lambda: life.cache.get(*life.key)


def _first_read(arguments: tuple[str, dict[str, Any]], cache: Any) -> float:
    location, params = arguments
    kind = type(cache)
    entry = {
        "BACKEND": f"{kind.__module__}.{kind.__qualname__}",
        "LOCATION": location,
        "OPTIONS": params["OPTIONS"],
    }
    from django.conf import settings  # it is configured by now, and what was stored is signed

    secret = settings.SECRET_KEY
    done = subprocess.run(
        [sys.executable, "-c", FIRST_READ, json.dumps(entry), values.key(0), secret],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env={n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"},
    )
    if done.returncode:
        raise Refused(f"a new process failed: {done.stderr.strip()}")
    return float(done.stdout.split()[0])
