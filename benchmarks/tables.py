"""What a run found, and how it is shown: as text, as Markdown, as JSON.

A table belongs to a suite and has measures; a measure has a row of numbers for each contender
that was measured. The ratio is that of a row's first number to the first contender's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .report import NOTHING, duration, microseconds, number, size

Form = Callable[[float], str]

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

    def ratio(self, name: str) -> float | None:
        """Of a contender's first number to that of the first contender."""
        first = self.columns[0].name
        base = next(iter(self.values.values()), {}).get(first)
        value = self.values.get(name, {}).get(first)
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
        for place, column in enumerate(columns):
            head = [column.name, *(measure.label for measure in measures)]
            lines = [_cells(head), "|".join(["", "---", *["--:"] * len(measures), ""])]
            for name in names:
                if not any(name in measure.values for measure in measures):
                    continue
                cells = [name]
                for measure in measures:
                    value = measure.values.get(name, {}).get(column.name)
                    cell = column.show(value)
                    if place == 0 and value is not None:
                        cell += f" ({ratio_text(measure.ratio(name))})"
                    cells.append(cell)
                lines.append(_cells(cells))
            parts.append("\n".join(lines))
    parts.extend(table.notes)
    return "\n\n".join(parts)


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
                    name: {**row, "ratio": measure.ratio(name)}
                    for name, row in measure.values.items()
                },
            }
            for measure in table.measures
        ],
        "notes": table.notes,
    }


latencies = partial(Measure, columns=LATENCY)
