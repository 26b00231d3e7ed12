"""A table as a picture: an SVG with a panel of bars for each measure, readable by itself.

Every panel has its own linear scale, from zero to at most ten times the median contender; a
bar that would be longer is cut, with a gap near its end. Title and description say in words
what is drawn; the colours are fixed, since the page may be a light or a dark one.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from xml.sax.saxutils import escape, quoteattr

from .tables import Measure, Table, ratio_text

COLUMNS = 2  # of panels
PANEL = 430
NAME = 150  # of a panel's width, for the contenders' names
VALUE = 120  # and for the numbers
BAR = 16
CUT = 10  # times the median: the longest that a bar gets
GAP = 34  # between panels
HEAD = 46  # for the title

INK = "#1f2933"
PALE = "#52606d"
PAPER = "#ffffff"
OURS = "#0b6e4f"
OTHERS = "#9aa5b1"


def svg(table: Table) -> str:
    """The picture of `table`."""
    rows = [table.measures[n : n + COLUMNS] for n in range(0, len(table.measures), COLUMNS)]
    body = []
    top = HEAD
    for row in rows:
        for place, measure in enumerate(row):
            body += _panel(measure, GAP + place * (PANEL + GAP), top)
        top += max(_height(measure) for measure in row) + GAP
    across = min(COLUMNS, max(1, len(table.measures)))
    width = GAP + across * (PANEL + GAP)
    described = " ".join(_words(measure) for measure in table.measures)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {top}"'
            f' width="{width}" height="{top}" aria-labelledby="title desc"'
            ' font-family="system-ui, sans-serif" font-size="12">',
            f'<title id="title">{escape(table.title)}</title>',
            f'<desc id="desc">{escape(described)}</desc>',
            f'<rect width="{width}" height="{top}" fill="{PAPER}"/>',
            f'<text x="{GAP}" y="28" font-size="16" fill="{INK}">{escape(table.title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _height(measure: Measure) -> int:
    return 20 + BAR * len(measure.values)


def _bars(measure: Measure) -> Iterator[tuple[str, float, str, str]]:
    """Name, value, its text, and its ratio's text."""
    column = measure.columns[0]
    for name, row in measure.values.items():
        if (value := row.get(column.name)) is not None:
            yield name, value, column.show(value), ratio_text(measure.ratio(name))


def _words(measure: Measure) -> str:
    found = ", ".join(f"{name} {shown}" for name, _, shown, _ in _bars(measure))
    return f"{measure.label}, {measure.columns[0].name}: {found}."


def _panel(measure: Measure, left: int, top: int) -> list[str]:
    head = f"{measure.label}: {measure.columns[0].name}"
    parts = [f'<text x="{left}" y="{top + 12}" fill="{PALE}">{escape(head)}</text>']
    bars = list(_bars(measure))
    numbers = [value for _, value, _, _ in bars]
    most = min(max(numbers), CUT * median(numbers)) if any(numbers) else 1
    for place, (name, value, shown, ratio) in enumerate(bars):
        y = top + 20 + place * BAR
        longest = PANEL - NAME - VALUE
        length = max(1, round(min(1, value / most) * longest))
        colour = OURS if place == 0 else OTHERS
        base = y + BAR - 5
        parts += [
            f'<text x="{left + NAME - 8}" y="{base}" text-anchor="end" fill="{INK}">'
            f"{escape(name)}</text>",
            f'<rect x="{left + NAME}" y="{y + 2}" width="{length}" height="{BAR - 4}"'
            f" fill={quoteattr(colour)}/>",
            f'<text x="{left + NAME + length + 6}" y="{base}" fill="{INK}">'
            f"{escape(shown)} · {ratio}</text>",
        ]
        if value > most:
            gap = left + NAME + longest - 12
            parts.append(
                f'<path d="M{gap} {y + BAR}l6 -{BAR}" stroke="{PAPER}" stroke-width="3"/>'
            )
    return parts
