"""All suites, or those that are asked for:

    python -m benchmarks                      # the quick plan, under three minutes
    python -m benchmarks --suite operations --full

Every contender is measured in the same run, in turns. Times are per call. Contenders that are
not installed are left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import django

from . import (
    Refused,
    batches,
    bulk,
    chart,
    large,
    memory,
    operations,
    processes,
    requests,
    rounds,
    startup,
    subjects,
    tables,
    targets,
)
from .plan import Bench, Plan
from .report import microseconds
from .tables import Table

SUITES: dict[str, ModuleType] = {
    suite.NAME: suite
    for suite in (operations, batches, large, processes, requests, startup, memory, bulk)
}
ALL = (*subjects.SUBJECTS, subjects.OURS_BLIND, subjects.OURS_LRU, subjects.PEER_LRU)


@dataclass(frozen=True)
class Machine:
    """What the run ran on."""

    python: str
    django: str
    sqlite: str
    system: str
    cpus: int
    load_average: float  # of the last minute, before the run
    clock: float  # nanoseconds that reading the clock adds to each call
    plan: str
    day: str

    def text(self) -> str:
        """Two lines."""
        return (
            f"Python {self.python}, Django {self.django}, SQLite {self.sqlite}, {self.system},"
            f" {self.cpus} CPUs, load average {self.load_average:.1f}; {self.plan} plan,"
            f" {self.day}.\n"
            f"The clock adds {microseconds(self.clock)} to each call; nothing is subtracted."
            f" Ratios are to {subjects.OUR_BACKEND.name}."
        )


def machine(plan: Plan) -> Machine:
    return Machine(
        python=platform.python_version(),
        django=django.get_version(),
        sqlite=sqlite3.sqlite_version,
        system=f"{platform.system()} {platform.machine()}",
        cpus=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        load_average=os.getloadavg()[0],
        clock=rounds.clock_cost(),
        plan=("full" if plan.full else "quick")
        + (f", scaled by {plan.scale:g}" if plan.scale != 1 else ""),
        day=time.strftime("%Y-%m-%d"),
    )


def present(
    stack: ExitStack, directory: Path, wanted: Sequence[str]
) -> dict[str, subjects.Subject]:
    """The contenders that are wanted and installed, with their servers running."""
    found: dict[str, subjects.Subject] = {}
    for subject in ALL:
        if wanted and subject.name not in wanted:
            continue
        if reason := subject.missing():
            say(f"{subject.name} is left out: {reason}; to get it: {subject.get}")
            continue
        if isinstance(subject, subjects.Server):
            found[subject.name] = stack.enter_context(subject.served(directory))
        else:
            found[subject.name] = subject
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(wanted: argparse.Namespace) -> int:
    plan = Plan(full=wanted.full, scale=wanted.scale, rounds=16 if wanted.full else 6)
    ran_on = machine(plan)
    names = wanted.suite or list(SUITES)
    measured: list[Table] = []
    if not wanted.json:
        print(ran_on.text())
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="benchmark-", dir=wanted.directory)
            )
        )
        database = directory / "django.sqlite3"
        subjects.configure(database)
        bench = Bench(plan, directory, database, present(stack, directory, wanted.contender))
        for name in names:
            began = time.monotonic()
            for table in SUITES[name].run(bench):
                measured.append(table)
                if not wanted.json:
                    print(f"\n{tables.text(table)}", flush=True)
            say(f"{name} took {time.monotonic() - began:.0f} s")
    found = targets.verdicts(measured)
    if wanted.json:
        print(
            json.dumps(
                {
                    "machine": asdict(ran_on),
                    "tables": [tables.document(table) for table in measured],
                    "targets": targets.document(found),
                },
                indent=2,
            )
        )
    elif found:
        print(f"\n{targets.text(found)}")
    if wanted.docs is not None:
        write(wanted.docs, ran_on, measured, found)
    return 0


def write(
    directory: Path,
    ran_on: Machine,
    measured: Sequence[Table],
    found: Sequence[targets.Verdict],
) -> None:
    """The pages of the documentation: one for each suite, with its charts, and an index."""
    directory.mkdir(parents=True, exist_ok=True)
    suites = list(dict.fromkeys(table.suite for table in measured))
    for suite in suites:
        parts = [
            f"# {SUITES[suite].TITLE}",
            (SUITES[suite].__doc__ or "").strip(),
            ran_on.text(),
        ]
        for table in measured:
            if table.suite == suite:
                parts.append(tables.markdown(table))
                (directory / f"{table.slug}.svg").write_text(chart.svg(table), "utf-8")
        (directory / f"{suite}.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    links = "\n".join(f"- [{SUITES[suite].TITLE}]({suite}.md)" for suite in suites)
    tree = "\n".join(["```{toctree}", ":hidden:", "", *suites, "```"])
    index = ["# Benchmarks", "Printed by `python -m benchmarks --docs`.", ran_on.text(), links]
    if found:
        index += ["## Targets", targets.markdown(found)]
    (directory / "index.md").write_text("\n\n".join([*index, tree]) + "\n", "utf-8")


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most 1")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the cache and its peers, in turns, in one run.",
    )
    add = arguments.add_argument
    add("--list", action="store_true", help="the suites, and what is installed")
    add(
        "--suite",
        action="append",
        choices=list(SUITES),
        metavar="NAME",
        help=f"{', '.join(SUITES)}; may be repeated (default: all)",
    )
    add(
        "--contender",
        action="append",
        choices=[subject.name for subject in ALL],
        default=[],
        metavar="NAME",
        help="only this one of those that --list shows; may be repeated",
    )
    add(
        "--full", action="store_true", help="more rounds, and tables of up to 1,000,000 entries"
    )
    add(
        "--scale",
        type=_scale,
        default=1.0,
        metavar="FACTOR",
        help="less of everything, such as 0.1 (default: 1); targets need the whole",
    )
    add("--json", action="store_true", help="print one JSON document")
    add("--docs", type=Path, metavar="DIRECTORY", help="write Markdown and SVG there as well")
    add(
        "--directory",
        type=Path,
        metavar="PATH",
        help="where caches are made, and removed afterwards (default: a temporary directory)",
    )
    return arguments


def show() -> None:
    """The suites and the contenders."""
    for name, suite in SUITES.items():
        print(f"{name:<12} {suite.TITLE}")
    print()
    for subject in ALL:
        reason = subject.missing()
        state = f"not installed: {reason}; {subject.get}" if reason else "installed"
        print(f"{subject.name:<28} {state}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 2 if it could not run."""
    wanted = parser().parse_args(arguments)
    try:
        if wanted.list:
            show()
            return 0
        return run(wanted)
    except Refused as error:
        say(f"benchmarks: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
