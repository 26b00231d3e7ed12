"""A real request trace through Django cache aliases, one backend after the other:

    python -m benchmarks.replay trace.txt.gz --backend django_diskcache --backend locmem

Each request gets its key, and on a miss sets a value of the request's size. Requests per second
count all time from the first to the last request; nothing is subtracted for the loop, whose own
cost is printed. No request ends and no process joins in: it is one loop in one process.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from . import Refused, contenders, loop, traces
from .latency import Latencies
from .report import Row, duration, microseconds, number, percent, size, table


@dataclass(frozen=True)
class Result:
    """One backend's replay; latencies in nanoseconds, volume in bytes."""

    backend: str
    path: str
    version: str
    limits: str
    warm: bool
    hits: int
    misses: int
    refused: int
    wrong: int
    hit_ratio: float
    seconds: float
    requests_per_second: float
    volume: int | None
    get: dict[str, float | None]
    set: dict[str, float | None]


@dataclass(frozen=True)
class Report:
    """A run: what was replayed, on what, and the result of each backend."""

    trace: str
    requests: int
    unique_keys: int
    value_size: int | None  # None: the trace has sizes
    timeout: int | None
    options: dict[str, Any]
    directory: str
    python: str
    django: str
    sqlite: str
    cpus: int
    load_average: float  # of the last minute, before the run
    loop: loop.Cost
    results: list[Result]

    def text(self) -> str:
        """The report for people."""
        sizes = (
            "with sizes" if self.value_size is None else f"values of {self.value_size:,} bytes"
        )
        expiry = "no expiry" if self.timeout is None else f"expiry after {self.timeout} s"
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        lines = [
            f"{self.trace}: {self.requests:,} requests, {self.unique_keys:,} keys, {sizes},"
            f" {expiry}{options}",
            f"Python {self.python}, Django {self.django}, SQLite {self.sqlite},"
            f" {self.cpus} CPUs, load average {self.load_average:.1f}; in {self.directory}",
            "",
            *(f"{r.backend} {r.version}: {r.limits}{_warmth(r)}" for r in self.results),
            "",
            table([result.backend for result in self.results], _rows(self.results)),
            "",
            f"The loop takes {microseconds(self.loop.request)} for a request that misses,"
            f" {microseconds(self.loop.latency)} of it within each latency;"
            " nothing is subtracted.",
        ]
        if len(self.results) > 1:
            lines.append(f"x is the ratio to {self.results[0].backend}.")
        return "\n".join(lines)


def _warmth(result: Result) -> str:
    return "; it began with what its directory held" if result.warm else ""


def _rows(results: Sequence[Result]) -> list[Row]:
    rows = [
        Row("hit ratio", [r.hit_ratio for r in results], percent, ratios=False),
        Row("hits", [r.hits for r in results], number, ratios=False),
        Row("misses", [r.misses for r in results], number, ratios=False),
        Row("sets refused", [r.refused for r in results], number, ratios=False),
        Row("wrong values", [r.wrong for r in results], number, ratios=False),
        Row("duration", [r.seconds for r in results], duration),
        Row("requests per second", [r.requests_per_second for r in results], number),
        Row("volume on disk", [r.volume for r in results], size),
    ]
    for point in ("p50", "p99", "mean"):
        rows.append(Row(f"get {point}", [r.get[point] for r in results], microseconds))
    for point in ("p50", "p99", "mean"):
        rows.append(Row(f"set {point}", [r.set[point] for r in results], microseconds))
    return rows


def measure(
    contender: contenders.Contender,
    trace: traces.Trace,
    directory: Path,
    wanted: argparse.Namespace,
) -> Result:
    """Replay `trace` through one backend.

    :raises Refused: when the backend cannot be opened
    """
    gc.collect()  # what the one before left behind
    with contenders.running(
        contender,
        directory,
        keys=trace.unique(),
        capacity=wanted.capacity,
        timeout=wanted.timeout,
        options=dict(wanted.option),
    ) as running:
        tally = loop.replay(trace, running.cache, wanted.value_size, contender.name)
        volume = running.volume()
    return Result(
        backend=contender.name,
        path=contender.path,
        version=running.version,
        limits=running.limits,
        warm=running.warm,
        hits=tally.hits,
        misses=tally.misses,
        refused=tally.refused,
        wrong=tally.wrong,
        hit_ratio=tally.hits / len(trace),
        seconds=tally.seconds,
        requests_per_second=len(trace) / tally.seconds,
        volume=volume,
        get=_summary(tally.get),
        set=_summary(tally.set),
    )


def _summary(latencies: Latencies) -> dict[str, float | None]:
    return {
        "p50": latencies.percentile(50),
        "p99": latencies.percentile(99),
        "mean": latencies.mean(),
    }


def run(wanted: argparse.Namespace) -> Report:
    """Replay through every backend that is wanted.

    :raises Refused: before anything is measured, if a backend is not there
    """
    chosen = [contenders.find(name) for name in wanted.backend]
    if len(set(chosen)) < len(chosen):
        raise Refused("a backend is given twice")
    for contender in chosen:
        contender.backend()
    trace = traces.read(wanted.trace, wanted.limit)
    load = os.getloadavg()[0]
    cost = loop.cost(trace, wanted.value_size)
    with ExitStack() as stack:
        directory: Path = wanted.directory or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="replay-"))
        )
        results = [
            measure(contender, trace, directory / contender.name, wanted)
            for contender in chosen
        ]
    return Report(
        trace=trace.name,
        requests=len(trace),
        unique_keys=trace.unique(),
        value_size=None if trace.sizes is not None else wanted.value_size,
        timeout=wanted.timeout,
        options=dict(wanted.option),
        directory=str(directory),
        python=platform.python_version(),
        django=django.get_version(),
        sqlite=sqlite3.sqlite_version,
        cpus=os.cpu_count() or 0,
        load_average=load,
        loop=cost,
        results=results,
    )


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number of at least {least}"
            )
        return int(text)

    return parse


def _seconds(text: str) -> int | None:
    return None if text.lower() == "none" else _whole(0)(text)


def _option(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = ", ".join(contenders.KNOWN)
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.replay",
        description="Replay a request trace through Django cache backends: get each key, and"
        " on a miss set it.",
    )
    add = arguments.add_argument
    add("trace", type=Path, help="a key, and optionally a size, per line; plain or gzip")
    add(
        "--backend",
        action="append",
        required=True,
        metavar="NAME",
        help=f"{names}, or a dotted path; may be repeated",
    )
    add("--limit", type=_whole(1), metavar="N", help="only the first N requests")
    add(
        "--value-size",
        type=_whole(0),
        default=200,
        metavar="BYTES",
        help="size of the values, if the trace has no sizes (default: 200)",
    )
    add(
        "--capacity",
        type=_whole(1),
        metavar="N",
        help="MAX_ENTRIES (default: all keys fit into Django's backends)",
    )
    add(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="TIMEOUT, or none, the default, so that speed does not change the hits",
    )
    add(
        "--option",
        type=_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an entry of OPTIONS, a Python literal or text; may be repeated",
    )
    add(
        "--directory",
        type=Path,
        metavar="PATH",
        help="where each backend gets a directory, which stays (default: a temporary one)",
    )
    add("--json", action="store_true", help="print one JSON document")
    return arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 1 if a backend returned wrong values, 2 if it could not run."""
    wanted = parser().parse_args(arguments)
    if not settings.configured:
        settings.configure(SECRET_KEY="replay")
    try:
        report = run(wanted)
    except Refused as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2
    print(json.dumps(asdict(report), indent=2, default=str) if wanted.json else report.text())
    mistaken = [result.backend for result in report.results if result.wrong]
    if mistaken:
        print(f"replay: values of other keys came from {', '.join(mistaken)}", file=sys.stderr)
    return 1 if mistaken else 0


if __name__ == "__main__":
    sys.exit(main())
