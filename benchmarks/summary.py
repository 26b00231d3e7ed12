"""What README says of a run: a table and a chart of the numbers that most sites ask for.

All are turned into times, so that for every row less is better; the last rows are where a
persistent cache pays. They stand there whatever they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from . import batches, chart, memory, operations, processes, requests, startup, subjects
from .report import NOTHING
from .tables import Column, Measure, Table, cells_text, ratio_text

OURS = subjects.OUR_BACKEND.name
PEER = subjects.PEER.name
SLUG = "summary"
TITLE = "django_diskcache and its peers"
HIDDEN = (requests.WITHOUT,)  # it is no contender: the text tells of it
NOTE = (
    "First our own time per call, then those of the others as multiples of it: more than 1 is"
    f" slower than {OURS}, less is faster. Medians, but means where something is set; of pages"
    " and of four processes, the time that the rate leaves for one page or one operation."
)
# The chart has fewer: those that a site chooses among, and the floor.
DRAWN = (
    subjects.OUR_BACKEND,
    subjects.PEER,
    subjects.LOCAL,
    subjects.FILES,
    subjects.REDIS,
    subjects.MEMCACHED,
    subjects.FLOOR,
)


@dataclass(frozen=True)
class Line:
    """One row: which number of which table."""

    label: str
    suite: str
    slug: str
    measure: str
    column: str
    form: str = "time"
    drawn: bool = True

    def measured(self, tables: Mapping[tuple[str, str], Table]) -> Measure | None:
        """Its numbers, or None if ours was not measured."""
        table = tables.get((self.suite, self.slug))
        if table is None or table.get(self.measure, OURS, self.column) is None:
            return None
        found = {}
        for name in table.names():
            value = table.get(self.measure, name, self.column)
            if value:
                found[name] = {self.name: 1e9 / value if self.rate else value}
        return Measure(self.label, (Column(self.name, self.form),), found)

    @property
    def rate(self) -> bool:
        return self.column.endswith("per second")

    @property
    def name(self) -> str:
        """What the number is: of a rate, the time that it leaves for one of them."""
        return f"per {self.column.removesuffix('s per second')}" if self.rate else self.column


def _lines() -> Iterator[Line]:
    fresh = (operations.NAME, f"operations-{operations.FRESH}")
    big = (operations.NAME, f"operations-{operations.LARGE}")
    yield Line("get, hot, a dict", *fresh, "get, hot, dict", "median")
    yield Line("get, hot, a str", *fresh, "get, hot, str", "median")
    yield Line("get, hot miss", *fresh, "get, hot miss", "median")
    yield Line("get, first touch in a process", *fresh, "get, first touch", "median")
    yield Line("set, one of 200,000 again", *big, "set, overwrite", "mean")
    yield Line("set, new beside 200,000", *big, "set, new", "mean", drawn=False)
    yield Line("get_many of 100, hot", batches.NAME, "batches", "get_many, hot", "median")
    yield Line("set_many of 100", batches.NAME, "batches", "set_many, new", "mean")
    for module, (face, *_) in requests.SERVERS.items():
        what = f"{face.upper()}, {module}"
        page = (requests.NAME, requests.NAME, what, "pages per second")
        yield Line(f"page with ten gets, {face.upper()}", *page)
    for share in processes.MIXES:
        what = f"{share:.0%} writes"
        four = (processes.NAME, processes.NAME, what, "operations per second")
        yield Line(f"4 processes, {what}", *four, drawn=False)
    new = "new process, to its first get"
    yield Line(new, startup.NAME, startup.NAME, new, "median", drawn=False)
    read = memory.after_reading(memory.ENTRIES)
    yield Line(
        "memory per process, 20,000 entries read",
        *(memory.NAME, memory.NAME, read, "private memory", "bytes"),
        drawn=False,
    )


LINES = tuple(_lines())


def table(tables: Iterable[Table], lines: Iterable[Line] = LINES) -> Table:
    """The rows that were measured."""
    by_name = {(each.suite, each.slug): each for each in tables}
    found = [line.measured(by_name) for line in lines]
    return Table(SLUG, SLUG, TITLE, [measure for measure in found if measure is not None])


def picture(tables: Iterable[Table]) -> str:
    """The chart, as SVG."""
    shown = table(tables, [line for line in LINES if line.drawn])
    names = [subject.name for subject in DRAWN]
    shown.measures = [
        Measure(
            measure.label,
            measure.columns,
            {name: measure.values[name] for name in names if name in measure.values},
        )
        for measure in shown.measures
    ]
    return chart.svg(shown, chart.Layout(across=3, panel=350))


def markdown(found: Table) -> str:
    """The table: a row for each measure, ratios beside our number."""
    names = [name for name in found.names() if name not in HIDDEN and name != OURS]
    lines = [
        cells_text(["", OURS, *names]),
        "|".join(["", "---", *["--:"] * (len(names) + 1), ""]),
    ]
    for measure in found.measures:
        column = measure.columns[0]
        mine = column.show(measure.values[OURS][column.name])
        ratios = (measure.ratio(name) for name in names)
        shown = (NOTHING if ratio is None else ratio_text(ratio) for ratio in ratios)
        lines.append(cells_text([measure.label, mine, *shown]))
    return "\n".join(lines)


def behind(found: Table) -> str:
    """Where diskcache does better, in words; '' if nowhere."""
    weak = [
        f"{measure.label} ({ratio_text(ratio)})"
        for measure in found.measures
        if (ratio := measure.ratio(PEER)) is not None and ratio < 1
    ]
    return f"{PEER} does better in: {'; '.join(weak)}." if weak else ""


def without(found: Table) -> str:
    """What a page takes that asks no cache, in words; '' if not measured."""
    rows = [
        f"{ratio_text(ratio)} ({measure.label})"
        for measure in found.measures
        if (ratio := measure.ratio(requests.WITHOUT)) is not None
    ]
    return f"The same page without a cache takes {', '.join(rows)}." if rows else ""
