"""What a run found, and how it is shown: as text, as Markdown, as JSON that can be read again.

A table belongs to a suite and has measures; a measure has a row of numbers for each contender
that was measured. A ratio is that of a number to the first contender's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .report import NOTHING, duration, microseconds, number, size

Form = Callable[[float], str]
RATIO = "ratio"  # the first column's, in JSON

FORMS: dict[str, Form] = {
    "time": microseconds,  # nanoseconds
    "long": lambda nanoseconds: duration(nanoseconds / 1e9),
    "rate": number,
    "bytes": size,
    "count": number,
}


@dataclass(frozen=True)
class Column:
    """A number that a measure has for each contender."""

    name: str
    form: str = "time"  # of FORMS

    def show(self, value: float | None) -> str:
        return NOTHING if value is None else FORMS[self.form](value)


LATENCY = (Column("median"), Column("mean"), Column("p99"))


@dataclass(frozen=True)
class Measure:
    """One thing that was measured, for each contender."""

    label: str
    columns: Sequence[Column]
    values: Mapping[str, Mapping[str, float]]  # by contender, by column

    def ratio(self, name: str, column: str = "") -> float | None:
        """Of a contender's number to that of the first contender; its first number if none
        is named.
        """
        column = column or self.columns[0].name
        base = next(iter(self.values.values()), {}).get(column)
        value = self.values.get(name, {}).get(column)
        return None if not base or value is None else value / base


@dataclass
class Table:
    """The measures of one situation.

    :param suite: that it belongs to
    :param slug: its name in files and for the targets, within its suite
    """

    suite: str
    slug: str
    title: str
    measures: list[Measure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def get(self, measure: str, contender: str, column: str) -> float | None:
        """One number, or None if it was not measured."""
        for each in self.measures:
            if each.label == measure:
                return each.values.get(contender, {}).get(column)
        return None

    def names(self) -> list[str]:
        """All contenders, in their order."""
        return list(dict.fromkeys(name for each in self.measures for name in each.values))


def ratio_text(ratio: float | None) -> str:
    """Such as 0.36x, 7.3x and 120x."""
    if ratio is None:
        return NOTHING
    digits = 3 if ratio < 0.1 else 2 if ratio < 10 else 1 if ratio < 100 else 0
    return f"{ratio:,.{digits}f}x"


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns of text: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    ]


def text(table: Table) -> str:
    """The table for a terminal: each measure with its contenders below it."""
    parts = [f"{table.title}\n{'=' * len(table.title)}"]
    width = max((len(name) for name in table.names()), default=0)
    for measure in table.measures:
        lines = [[measure.label.ljust(width + 2), *(c.name for c in measure.columns), "ratio"]]
        for name, row in measure.values.items():
            cells = [column.show(row.get(column.name)) for column in measure.columns]
            lines.append([f"  {name}", *cells, ratio_text(measure.ratio(name))])
        parts.append("\n".join(aligned(lines)))
    if table.notes:
        parts.append("\n".join(table.notes))
    return "\n\n".join(parts)


def markdown(table: Table) -> str:
    """The table for the documentation: contenders by measures, one part for each column.

    Measures that have the same columns stand side by side.
    """
    parts = [f"## {table.title}", f"![{table.title}]({table.slug}.svg)"]
    names = table.names()
    groups: dict[tuple[Column, ...], list[Measure]] = {}
    for measure in table.measures:
        groups.setdefault(tuple(measure.columns), []).append(measure)
    for columns, measures in groups.items():
        for column in columns:
            head = [column.name, *(measure.label for measure in measures)]
            lines = [cells_text(head), "|".join(["", "---", *["--:"] * len(measures), ""])]
            for name in names:
                if not any(name in measure.values for measure in measures):
                    continue
                cells = [name]
                for measure in measures:
                    value = measure.values.get(name, {}).get(column.name)
                    cell = column.show(value)
                    ratio = measure.ratio(name, column.name)
                    if ratio is not None and name != names[0]:
                        cell += f" ({ratio_text(ratio)})"
                    cells.append(cell)
                lines.append(cells_text(cells))
            parts.append("\n".join(lines))
    parts.extend(table.notes)
    return "\n\n".join(parts)


def cells_text(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def rounded(measure: Measure) -> Measure:
    """With as many digits as JSON has, so that what is read from it gives the same ratios."""
    found = {
        name: {column: round(value, 1) for column, value in row.items()}
        for name, row in measure.values.items()
    }
    return Measure(measure.label, measure.columns, found)


def document(table: Table) -> dict[str, Any]:
    """The table for JSON: nanoseconds, bytes, and numbers per second."""
    return {
        "suite": table.suite,
        "table": table.slug,
        "title": table.title,
        "measures": [
            {
                "measure": measure.label,
                "columns": {column.name: column.form for column in measure.columns},
                "contenders": {
                    name: {**row, RATIO: _ratio(measure.ratio(name))}
                    for name, row in measure.values.items()
                },
            }
            for measure in map(rounded, table.measures)
        ],
        "notes": table.notes,
    }


def _ratio(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)


def read(told: Mapping[str, Any]) -> Table:
    """The table that `document` gave, without the digits that it rounded away."""
    return Table(
        told["suite"],
        told["table"],
        told["title"],
        [
            Measure(
                each["measure"],
                tuple(Column(name, form) for name, form in each["columns"].items()),
                {
                    name: {column: value for column, value in row.items() if column != RATIO}
                    for name, row in each["contenders"].items()
                },
            )
            for each in told["measures"]
        ],
        list(told["notes"]),
    )


latencies = partial(Measure, columns=LATENCY)
