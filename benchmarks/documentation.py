"""The pages of a run: one for each suite with its tables and charts, an index with the summary
and the targets, the run itself as JSON, and the summary in README.

All of it is written from the JSON, so that drawing it anew gives the same files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from . import Refused, chart, results, summary, tables, targets
from .report import microseconds
from .results import Results

RESULTS = "results.json"
CHART = f"{summary.SLUG}.svg"
BEGIN = "<!-- benchmarks: written by `python -m benchmarks --readme`, not by hand -->"
END = "<!-- end of benchmarks -->"

READING = f"""\
Nothing on these pages is typed: one command measures, and writes tables, charts and this text.
All contenders are measured in the same run. They take turns of a fraction of a second, in
another order each time, so that what disturbs the machine disturbs them all.

**Read the ratios, not the times.** Times are those of one machine on one day. A ratio, behind
each number, is that number divided by {summary.OURS}'s: 2.00x is twice as much. For times and
bytes, more than 1 is worse than ours and less is better than ours; for rates it is the other
way round.

A median hides what a few slow calls cost, such as those that move SQLite's log into the
database; the mean has them, and the p99 is the call that one in a hundred is slower than. It is
left out of fewer than 100 calls."""


def write(directory: Path, found: Results, suites: Mapping[str, ModuleType]) -> None:
    """Files in `directory`, which is made. Those of the run that was there before and are of
    tables that this one has not, such as those of other sizes, are removed.

    :param suites: the modules of all suites by name
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = pages(found, suites)
    for name in _before(directory, suites) - set(written):
        (directory / name).unlink(missing_ok=True)
    for name, text in written.items():
        (directory / name).write_text(text, "utf-8")


def _before(directory: Path, suites: Mapping[str, ModuleType]) -> set[str]:
    """The names of the files of the run that `directory` has."""
    try:
        return set(pages(results.read(directory / RESULTS), suites))
    except Refused:  # there is none
        return set()


def pages(found: Results, suites: Mapping[str, ModuleType]) -> dict[str, str]:
    """The text of each file, by its name."""
    names = list(dict.fromkeys(table.suite for table in found.tables))
    written = {RESULTS: f"{found.json()}\n"}
    for table in found.tables:
        written[f"{table.slug}.svg"] = chart.svg(table)
    for name in names:
        shown = [tables.markdown(table) for table in found.tables if table.suite == name]
        suite = suites[name]
        about = (suite.__doc__ or "").strip()
        machine = found.machine
        where = (
            f"Measured on {machine.day} by `{machine.command}`; [the index](index.md) has the"
            " machine, the versions and how to read this. Ratios matter, not times."
        )
        written[f"{name}.md"] = _page(f"# {suite.TITLE}", about, where, *shown)
    written[CHART] = summary.picture(found.tables)
    links = "\n".join(f"- [{suites[name].TITLE}]({name}.md)" for name in names)
    written["index.md"] = _page(
        "# Benchmarks",
        found.machine.busy(),
        READING,
        links,
        *_summary(found),
        "## The run",
        _run(found),
        "## The contenders",
        _contenders(found),
        *_targets(found),
        "\n".join(["```{toctree}", ":hidden:", "", *names, "```"]),
    )
    return written


def _page(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(found: Results) -> Iterator[str]:
    shown = summary.table(found.tables)
    if shown.measures:
        yield "## Summary"
        yield f"![{summary.TITLE}]({CHART})"
        yield summary.markdown(shown)
        yield _remarks(shown)


def _remarks(shown: tables.Table) -> str:
    return " ".join(
        part for part in (summary.NOTE, summary.behind(shown), summary.without(shown)) if part
    )


def _run(found: Results) -> str:
    machine = found.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return "\n".join(
        [
            f"- Command: `{machine.command}` ({machine.plan} plan)",
            f"- Date: {machine.day}",
            f"- Machine: {machine.processor}, {machine.cpus} CPUs, {machine.system};"
            f" load average {machine.load_average:.1f} before the run",
            f"- Versions: {versions}",
            f"- The clock adds {microseconds(machine.clock)} to each call; nothing is"
            " subtracted.",
            f"- All numbers: [{RESULTS}]({RESULTS}) (nanoseconds, bytes, or per second)."
            f" `python -m benchmarks --render docs/benchmarks/{RESULTS} --docs docs/benchmarks`"
            " draws all of this again without measuring.",
        ]
    )


def _contenders(found: Results) -> str:
    """How each that took part was set up."""
    lines = [tables.cells_text(["contender", "set up"]), "|---|---|"]
    lines += [tables.cells_text(row) for row in found.setups.items()]
    same = (
        "Entries end after a day, values are a dictionary of four keys that pickles to 0.2 kB,"
        " and the garbage collector of Python rests while a turn is timed. Apart from that and"
        " from what is said here, each has its default options."
    )
    return "\n".join([*lines, "", same])


def _targets(found: Results) -> Iterator[str]:
    if verdicts := found.verdicts():
        yield "## Targets"
        yield targets.tally(verdicts)
        yield targets.markdown(verdicts)


def section(found: Results, docs: str) -> str:
    """The summary for README.

    :param docs: the path from README to the pages
    :raises Refused: when the run has not all of it
    """
    shown = summary.table(found.tables)
    missing = len(summary.LINES) - len(shown.measures)
    if missing:
        raise Refused(
            f"README needs all suites at scale 1: {missing} of {len(summary.LINES)} lines of"
            " its table were not measured"
        )
    machine = found.machine
    ran = (
        f"Measured on {machine.day} by `{machine.command}` on {machine.cpus} CPUs with Python"
        f" {machine.versions['Python']}, all in one run. [All tables]({docs}/index.md) have"
        " medians, means, p99, versions and how each is set up."
    )
    return "\n\n".join(
        [
            BEGIN,
            f"![{summary.TITLE}]({docs}/{CHART})",
            summary.markdown(shown),
            _remarks(shown),
            " ".join(part for part in (ran, machine.busy()) if part),
            END,
        ]
    )


def marked(readme: Path) -> tuple[str, str]:
    """What stands before and after the marks.

    :raises Refused: when it has no marks
    """
    try:
        text = readme.read_text("utf-8")
    except OSError as error:
        raise Refused(str(error)) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Refused(f"{readme} has no lines {BEGIN!r} and {END!r}")
    return before, after


def rewrite(readme: Path, directory: Path, found: Results) -> None:
    """Put the summary between the marks in `readme`.

    :raises Refused: when it has no marks, or the run not all that belongs there
    """
    before, after = marked(readme)
    docs = Path(os.path.relpath(directory, readme.parent)).as_posix()
    readme.write_text(before + section(found, docs) + after, "utf-8")
