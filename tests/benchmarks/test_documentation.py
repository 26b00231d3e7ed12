"""The pages of a run, the summary in README, and that both are of the run that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import Refused, documentation, machine, results, summary, tables
from benchmarks.__main__ import SUITES, main, setups
from benchmarks.machine import Machine
from benchmarks.plan import Plan
from benchmarks.results import Results
from benchmarks.summary import Line
from benchmarks.tables import LATENCY, Column, Measure, Table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "benchmarks"
AGAIN = (
    "python -m benchmarks --render docs/benchmarks/results.json --docs docs/benchmarks"
    " --readme README.md"
)
MACHINE = Machine(
    "python -m benchmarks", "2026-01-01", "quick", "A processor", 2, "Linux", 0.1, 60.0,
    {"Python": "3.12", "SQLite": "3.40"},
)  # fmt: skip


def latencies(label: str, **values: float) -> Measure:
    rows = {
        name: {"median": value, "mean": value * 2, "p99": value * 9}
        for name, value in values.items()
    }
    return Measure(label, LATENCY, rows)


def measured(line: Line) -> Table:
    """A table that has this line, with diskcache 3 times as slow."""
    numbers = (300.0, 100.0) if line.rate else (100.0, 300.0)
    rows = {
        name: {line.column: number}
        for name, number in zip((summary.OURS, summary.PEER), numbers, strict=True)
    }
    measure = Measure(line.measure, (Column(line.column, line.form),), rows)
    return Table(line.suite, line.slug, line.slug, [measure])


@pytest.fixture
def whole() -> Results:
    """A run that has all that README wants."""
    found: dict[tuple[str, str], Table] = {}
    for line in summary.LINES:
        table = measured(line)
        found.setdefault((line.suite, line.slug), replace(table, measures=[]))
        found[line.suite, line.slug].measures += table.measures
    found["bulk", "bulk-50000"] = Table("bulk", "bulk-50000", "Removal", [latencies("clear")])
    return Results(MACHINE, setups(list(found.values())), list(found.values()))


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{documentation.BEGIN}\nold\n{documentation.END}\nafter\n")
    return path


# The run as JSON


def test_a_run_is_read_again(tmp_path: Path) -> None:
    table = Table("operations", "operations-2000", "Operations", [], ["A note."])
    table.measures.append(latencies("get, hot", ours=1000.04, peer=7300))
    table.measures.append(Measure("rate", (Column("pages", "rate"),), {"ours": {"pages": 1.0}}))
    path = tmp_path / "results.json"
    path.write_text(Results(MACHINE, {"ours": "Ours."}, [table]).json())
    found = results.read(path)
    assert (found.machine, found.setups) == (MACHINE, {"ours": "Ours."})
    (again,) = found.tables
    assert again.measures[0].values["ours"]["median"] == 1000.0
    assert tables.text(again) == tables.text(table)
    assert found.json() == path.read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}, "tables": []}'])
def test_another_document_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(Refused, match="is not a document of a run"):
        results.read(path)


def test_the_machine_tells_what_it_is() -> None:
    found = machine.machine(Plan(scale=0.5), ["--scale", "0.5", "--docs", "a b"])
    assert found.command == "python -m benchmarks --scale 0.5 --docs 'a b'"
    assert found.plan == "quick, scaled by 0.5"
    assert {"django_diskcache", "Python", "Django", "SQLite"} <= set(found.versions)
    assert found.command in found.text()


def test_a_busy_machine_is_warned_of() -> None:
    assert MACHINE.busy() == ""
    busy = replace(MACHINE, load_average=2.0)
    assert "load average 2.0 on 2 CPUs" in busy.busy()
    assert busy.busy() in documentation.pages(Results(busy, {}, []), SUITES)["index.md"]


# Pages


def test_a_suite_has_its_page_and_each_table_its_chart() -> None:
    table = Table("operations", "operations-2000", "Some operations", [], ["A note."])
    table.measures.append(latencies("get, hot", ours=100, peer=1000))
    written = documentation.pages(Results(MACHINE, {}, [table]), SUITES)
    assert set(written) == {
        "index.md",
        "operations.md",
        "operations-2000.svg",
        "results.json",
        "summary.svg",
    }
    page = written["operations.md"]
    assert page.startswith("# Single operations\n")
    assert "![Some operations](operations-2000.svg)" in page
    assert "| peer | 1.00 µs (10.0x) |" in page
    assert "Measured on 2026-01-01 by `python -m benchmarks`" in page


def test_the_index_says_what_ran_where_and_what_was_wanted(whole: Results) -> None:
    index = documentation.pages(whole, SUITES)["index.md"]
    for part in ("`python -m benchmarks`", "2026-01-01", "A processor", "SQLite 3.40"):
        assert part in index
    for name, setup in whole.setups.items():
        assert f"| {name} | {setup} |" in index
    assert "| get_many, hot, median | at least 6x faster than diskcache | 3.00x |" in index
    assert "not measured: needs --full" in index
    assert "\n- [Single operations](operations.md)\n" in index
    assert "\noperations\nbatches\n" in index


def test_files_of_the_run_before_are_removed_and_others_stay(tmp_path: Path) -> None:
    for entries in (2000, 3000):
        table = Table("operations", f"operations-{entries}", "Operations")
        table.measures.append(latencies("get", ours=1))
        documentation.write(tmp_path, Results(MACHINE, {}, [table]), SUITES)
        (tmp_path / "own.md").write_text("by hand")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"operations-3000.svg", "operations.md", "own.md"} <= names
    assert "operations-2000.svg" not in names


# The summary


def test_every_row_is_a_time_or_bytes_of_which_less_is_better(whole: Results) -> None:
    found = summary.table(whole.tables)
    assert [measure.label for measure in found.measures] == [
        line.label for line in summary.LINES
    ]
    for measure in found.measures:
        assert measure.ratio(summary.PEER) == pytest.approx(3)


def test_a_rate_becomes_the_time_of_one() -> None:
    line = Line("pages", "requests", "requests", "WSGI", "pages per second")
    found = summary.table([measured(line)], [line])
    (measure,) = found.measures
    assert measure.columns == (Column("per page"),)
    assert measure.values[summary.OURS]["per page"] == pytest.approx(1e9 / 300)


def test_what_is_not_measured_has_no_row() -> None:
    assert summary.table([]).measures == []
    (line, *_) = summary.LINES
    assert len(summary.table([measured(line)]).measures) == 1


def test_weak_results_are_said() -> None:
    found = Table("", "", "", [latencies("slow", django_diskcache=200, diskcache=100)])
    assert summary.behind(found) == "diskcache does better in: slow (0.50x)."
    assert summary.markdown(found).endswith("| slow | 0.20 µs | 0.50x |")
    fast = Table("", "", "", [latencies("fast", django_diskcache=100, diskcache=200)])
    assert summary.behind(fast) == ""


def test_a_page_without_a_cache_is_no_contender() -> None:
    measure = latencies("page", **{"django_diskcache": 200, "no cache": 100})
    found = Table("", "", "", [measure])
    assert "no cache" not in summary.markdown(found)
    assert summary.without(found) == "The same page without a cache takes 0.50x (page)."


# README


def test_the_summary_is_put_between_the_marks(whole: Results, readme: Path) -> None:
    documentation.rewrite(readme, readme.parent / "docs" / "benchmarks", whole)
    text = readme.read_text("utf-8")
    assert text.startswith(f"before\n{documentation.BEGIN}\n")
    assert text.endswith(f"{documentation.END}\nafter\n")
    assert "old" not in text
    assert "(docs/benchmarks/summary.svg)" in text
    assert summary.markdown(summary.table(whole.tables)) in text
    documentation.rewrite(readme, readme.parent / "docs" / "benchmarks", whole)
    assert readme.read_text("utf-8") == text


def test_a_part_of_a_run_is_not_put_there(whole: Results, readme: Path) -> None:
    before = readme.read_text()
    with pytest.raises(Refused, match="README needs all suites"):
        documentation.rewrite(readme, readme.parent, replace(whole, tables=whole.tables[1:]))
    assert readme.read_text() == before


Arguments = Callable[[Path], list[str]]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (lambda path: ["--readme", str(path)], "--readme needs --docs"),
        (lambda path: ["--render", str(path)], "--render needs --docs"),
        (
            lambda path: ["--readme", str(path), "--docs", "docs", "--scale", "0.1"],
            "--readme needs all suites",
        ),
        (
            lambda path: ["--readme", str(path.parent / "other"), "--docs", "docs"],
            "No such file",
        ),
        (lambda path: ["--render", "lost.json", "--docs", "docs"], "No such file"),
    ],
)
def test_what_cannot_end_well_is_refused_at_once(
    arguments: Arguments, reason: str, readme: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(readme)) == 2
    assert reason in capsys.readouterr().err


def test_a_file_without_marks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("text")
    with pytest.raises(Refused, match="has no lines"):
        documentation.marked(path)


# What is kept


def test_the_pages_are_those_of_the_run_that_is_kept() -> None:
    written = documentation.pages(results.read(DOCS / documentation.RESULTS), SUITES)
    ours = [path for path in DOCS.iterdir() if not path.name.startswith("eviction")]  # its own
    kept = {path.name: path.read_text("utf-8") for path in ours}
    assert sorted(kept) == sorted(written)
    for name, text in written.items():
        assert kept[name] == text, f"{name} is another: {AGAIN}"


def test_readme_has_the_summary_of_the_run_that_is_kept() -> None:
    found = results.read(DOCS / documentation.RESULTS)
    section = documentation.section(found, "docs/benchmarks")
    assert section in (ROOT / "README.md").read_text("utf-8"), AGAIN
