"""All suites, or those that are asked for:

    python -m benchmarks                      # the quick plan, under three minutes
    python -m benchmarks --suite operations --full

and the pages and README of the documentation, from a run or from the JSON of one:

    python -m benchmarks --full --docs docs/benchmarks --readme README.md
    python -m benchmarks --render docs/benchmarks/results.json --docs docs/benchmarks

Every contender is measured in the same run, in turns. Times are per call. Contenders that are
not installed are left out, and said so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from . import (
    Refused,
    batches,
    bulk,
    compression,
    documentation,
    large,
    machine,
    memory,
    operations,
    processes,
    requests,
    results,
    startup,
    subjects,
    tables,
    targets,
)
from .plan import Bench, Plan
from .results import Results
from .tables import Table

SUITES: dict[str, ModuleType] = {
    suite.NAME: suite
    for suite in (
        operations,
        batches,
        large,
        compression,
        processes,
        requests,
        startup,
        memory,
        bulk,
    )
}


def present(
    stack: ExitStack, directory: Path, wanted: Sequence[str]
) -> dict[str, subjects.Subject]:
    """The contenders that are wanted and installed, with their servers running."""
    found: dict[str, subjects.Subject] = {}
    for subject in subjects.ALL:
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


def run(wanted: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Measure, print, and write what is asked for."""
    plan = Plan(full=wanted.full, scale=wanted.scale, rounds=16 if wanted.full else 6)
    ran_on = machine.machine(plan, arguments)
    if not wanted.json:
        print(f"{ran_on.text()} Ratios are to {subjects.OUR_BACKEND.name}.")
    measured = _measured(wanted, plan)
    found = Results(ran_on, setups(measured), measured)
    if wanted.json:
        print(found.json())
    elif verdicts := found.verdicts():
        print(f"\n{targets.text(verdicts)}")
    # As it will be read from the file: so drawing it again gives the same.
    written = results.parse(found.json())
    return document(wanted, written)


def setups(measured: Sequence[Table]) -> dict[str, str]:
    """How each that took part is set up."""
    names = {name for table in measured for name in table.names()}
    told = {subject.name: subject.setup for subject in subjects.ALL}
    told[requests.WITHOUT] = "The same page, with values that it makes itself."
    return {name: setup for name, setup in told.items() if name in names}


def _measured(wanted: argparse.Namespace, plan: Plan) -> list[Table]:
    measured: list[Table] = []
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="benchmark-", dir=wanted.directory)
            )
        )
        database = directory / "django.sqlite3"
        subjects.configure(database)
        bench = Bench(plan, directory, database, present(stack, directory, wanted.contender))
        for name in wanted.suite or SUITES:
            began = time.monotonic()
            for table in SUITES[name].run(bench):
                measured.append(table)
                if not wanted.json:
                    print(f"\n{tables.text(table)}", flush=True)
            say(f"{name} took {time.monotonic() - began:.0f} s")
    return measured


def document(wanted: argparse.Namespace, found: Results) -> int:
    """Write the pages, and then README, which shows one of their charts."""
    if wanted.docs is not None:
        documentation.write(wanted.docs, found, SUITES)
        if wanted.readme is not None:
            documentation.rewrite(wanted.readme, wanted.docs, found)
    return 0


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
        choices=[subject.name for subject in subjects.ALL],
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
    add("--docs", type=Path, metavar="DIRECTORY", help="write Markdown, SVG and JSON there")
    add(
        "--readme",
        type=Path,
        metavar="FILE",
        help="with --docs: put the summary between the marks in this file; needs all suites",
    )
    add(
        "--render",
        type=Path,
        metavar="FILE",
        help="measure nothing: take the run from this JSON, which --docs or --json wrote",
    )
    add(
        "--directory",
        type=Path,
        metavar="PATH",
        help="where caches are made, and removed afterwards (default: a temporary directory)",
    )
    return arguments


def _check(wanted: argparse.Namespace) -> None:
    """Refuse what would only fail after minutes of measuring."""
    if wanted.readme is not None and wanted.docs is None:
        raise Refused("--readme needs --docs, where its chart is")
    if wanted.readme is not None and wanted.render is None:
        documentation.marked(wanted.readme)
        if wanted.suite or wanted.scale != 1:
            raise Refused("--readme needs all suites at scale 1")
    if wanted.render is not None and wanted.docs is None:
        raise Refused("--render needs --docs, where to write")


def show() -> None:
    """The suites and the contenders."""
    for name, suite in SUITES.items():
        print(f"{name:<12} {suite.TITLE}")
    print()
    for subject in subjects.ALL:
        reason = subject.missing()
        state = f"not installed: {reason}; {subject.get}" if reason else "installed"
        print(f"{subject.name:<28} {state}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 2 if it could not run."""
    arguments = sys.argv[1:] if arguments is None else arguments
    wanted = parser().parse_args(arguments)
    try:
        if wanted.list:
            show()
            return 0
        _check(wanted)
        if wanted.render is not None:
            return document(wanted, results.read(wanted.render))
        return run(wanted, arguments)
    except Refused as error:
        say(f"benchmarks: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
