"""A table as a picture: an SVG with a panel for each measure, readable by itself.

A panel shows the first number of each contender. Numbers that differ less than tenfold are bars
on a linear scale from zero. Others are dots on a logarithmic scale with a line at each power of
ten: there, a bar's length would have no meaning. Title and description say in words what is
drawn. The colours are fixed and so is the paper, since the page may be a light or a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .tables import Column, Measure, Table, ratio_text

DECADE = 10  # times the least number: from there on the scale is logarithmic
NAME = 140  # of a panel's width, for the contenders' names
VALUE = 120  # and for the numbers
ROW = 16
TOP = 24  # of a panel, for its heading
FOOT = 16  # for what the lines of a logarithmic scale stand for
LABEL = 52  # of a panel's width, for one of these
GAP = 24  # between panels
HEAD = 44  # for the title
LEGEND = "dots: logarithmic scale · green: ours"

# A class for each kind of element keeps the file small.
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}"
    ".t{font-size:16px}.h{font-weight:600}.s{font-size:10px;fill:#52606d}"
    ".n{text-anchor:end}.m{text-anchor:middle}"
    ".o{fill:#0b6e4f;stroke:none}text.o{font-weight:600}.x{fill:#8795a6;stroke:none}"
    "path{stroke:#d5dbe2;fill:none}"
)
PAPER = "#ffffff"


@dataclass(frozen=True)
class Layout:
    """Where panels are."""

    across: int = 2
    panel: int = 430  # of a panel's width

    @property
    def longest(self) -> int:
        """What is left for bars and dots."""
        return self.panel - NAME - VALUE


@dataclass(frozen=True)
class Scale:
    """Where on a panel a number is."""

    least: float
    most: float
    length: int
    logarithmic: bool

    def place(self, value: float) -> int:
        """Pixels from the left edge."""
        if not self.logarithmic:
            return max(1, round(value / self.most * self.length)) if self.most else 1
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return round(share * self.length)

    def decades(self) -> Iterator[float]:
        """The powers of ten on a logarithmic scale."""
        first, last = math.ceil(math.log10(self.least)), math.floor(math.log10(self.most))
        return (10.0**power for power in range(first, last + 1))


def scale(numbers: list[float], length: int) -> Scale:
    """The scale for these numbers, none of them negative."""
    least, most = min(numbers, default=0), max(numbers, default=0)
    if least <= 0 or most < DECADE * least:
        return Scale(0, most, length, logarithmic=False)
    return Scale(least / 1.5, most * 1.1, length, logarithmic=True)


def svg(table: Table, layout: Layout | None = None) -> str:
    """The picture of `table`."""
    layout = layout or Layout()
    across = min(layout.across, max(1, len(table.measures)))
    rows = [table.measures[n : n + across] for n in range(0, len(table.measures), across)]
    body = []
    top = HEAD
    for row in rows:
        for place, measure in enumerate(row):
            body += _panel(measure, GAP + place * (layout.panel + GAP), top, layout)
        top += max(_height(measure) for measure in row) + GAP
    width = GAP + across * (layout.panel + GAP)
    described = " ".join(_words(measure) for measure in table.measures)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {top}"'
            f' width="{width}" height="{top}" aria-labelledby="title desc">',
            f'<title id="title">{escape(table.title)}</title>',
            f'<desc id="desc">{escape(described)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{top}" rx="6" fill="{PAPER}"/>',
            f'<text class="t" x="{GAP}" y="26">{escape(table.title)}</text>',
            f'<text class="s n" x="{width - GAP}" y="26">{LEGEND}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _height(measure: Measure) -> int:
    return TOP + ROW * len(measure.values) + FOOT


def _numbers(measure: Measure) -> Iterator[tuple[str, float]]:
    column = measure.columns[0].name
    for name, row in measure.values.items():
        if (value := row.get(column)) is not None:
            yield name, value


def _words(measure: Measure) -> str:
    column = measure.columns[0]
    found = ", ".join(f"{name} {column.show(value)}" for name, value in _numbers(measure))
    return f"{measure.label}, {column.name}: {found}."


def _panel(measure: Measure, left: int, top: int, layout: Layout) -> list[str]:
    column = measure.columns[0]
    numbers = list(_numbers(measure))
    on = scale([value for _, value in numbers], layout.longest)
    bottom = TOP + ROW * len(numbers)
    better = ", more is better" if column.form == "rate" else ""
    head = f"{measure.label}: {column.name}{better}"
    parts = [
        f'<g transform="translate({left} {top})">',
        f'<text class="h" y="12">{escape(head)}</text>',
    ]
    if on.logarithmic:
        parts += _grid(on, column, bottom)
    for row, (name, value) in enumerate(numbers):
        y = TOP + row * ROW
        kind = "o" if row == 0 else "x"
        text = ' class="o n"' if row == 0 else ' class="n"'
        at = NAME + on.place(value)
        mark = (
            f'<circle class="{kind}" cx="{at}" cy="{y + 8}" r="5"/>'
            if on.logarithmic
            else f'<path class="{kind}" d="M{NAME} {y + 2}H{at}v{ROW - 4}H{NAME}z"/>'
        )
        ratio = "" if row == 0 else f" · {ratio_text(measure.ratio(name))}"
        parts += [
            f'<text{text} x="{NAME - 8}" y="{y + 12}">{escape(name)}</text>',
            mark,
            f'<text x="{at + 9}" y="{y + 12}">{escape(column.show(value))}{ratio}</text>',
        ]
    return [*parts, "</g>"]


def _grid(on: Scale, column: Column, bottom: int) -> Iterator[str]:
    decades = list(on.decades())
    lines = "".join(f"M{NAME + on.place(each)} {TOP - 4}V{bottom}" for each in decades)
    yield f'<path d="{lines}"/>'
    free = 0
    for each in decades:
        shown = column.show(each).replace(".00", "")
        at = NAME + on.place(each)
        if at >= free:  # else it would stand on its neighbour
            yield f'<text class="s m" x="{at}" y="{bottom + 11}">{shown}</text>'
            free = at + LABEL
