"""Charts as SVG, drawn here: no script, no inline style, colours by the style sheet's classes.

A plot is stretched to the width that it gets, so it holds no text but its title and description
for those who cannot see it; labels stand around it, in HTML. The same figures are in a table
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from ..engine.history import Traffic

HEIGHT = 100.0
_ids = count(1)  # of titles, in this process


def ratio_plot(parts: Sequence[Traffic], title: str, description: str) -> SafeString:
    """The hit ratio of each part, as steps from 0 at the bottom to 1 at the top."""
    line: list[str] = []
    area: list[str] = []
    before = None
    for index, part in enumerate(parts):
        ratio = part.ratio
        if ratio is not None:
            level = round(HEIGHT * (1 - ratio), 2)
            line.append(f"{'M' if before is None else 'L'}{index} {level}H{index + 1}")
            area.append(f"M{index} {HEIGHT:g}V{level}H{index + 1}V{HEIGHT:g}Z")
        before = ratio
    drawn = format_html(
        '<path class="dc-area" d="{}"/><path class="dc-line" d="{}"/>',
        "".join(area),
        "".join(line),
    )
    return _plot(len(parts), title, description, _grid(len(parts)) + drawn)


def traffic_plot(parts: Sequence[Traffic], title: str, description: str) -> SafeString:
    """Hits and misses of each part, as bars; the highest one fills the height."""
    top = max((part.reads for part in parts), default=0)
    bars = []
    for index, part in enumerate(parts):
        if part.reads:
            hits = round(HEIGHT * part.hits / top, 2)
            misses = round(HEIGHT * part.misses / top, 2)
            place = round(index + 0.1, 2)
            if hits:
                bars.append(("dc-hits", place, HEIGHT - hits, hits))
            if misses:
                bars.append(("dc-misses", place, round(HEIGHT - hits - misses, 2), misses))
    drawn = "".join(  # two hundred of them, and nothing in them is foreign
        f'<rect class="{kind}" x="{x}" y="{y}" width="0.8" height="{height}"/>'
        for kind, x, y, height in bars
    )
    return _plot(len(parts), title, description, _grid(len(parts)) + mark_safe(drawn))


def bar(part: float | None, kind: str = "fill") -> SafeString:
    """A horizontal bar that is full at 1; beside a number, and so nothing to be read out."""
    width = 0.0 if part is None else round(100 * min(max(part, 0.0), 1.0), 2)
    return format_html(
        '<svg class="dc-bar" viewBox="0 0 100 8" preserveAspectRatio="none" '
        'aria-hidden="true" focusable="false"><rect class="dc-track" width="100" height="8"/>'
        '<rect class="dc-{}" width="{}" height="8"/></svg>',
        kind,
        width,
    )


def _grid(width: int) -> SafeString:
    lines = "".join(f"M0 {level}H{width}" for level in (0, 50, 100))
    return format_html('<path class="dc-grid" d="{}"/>', lines)


def _plot(width: int, title: str, description: str, drawn: SafeString) -> SafeString:
    number = next(_ids)
    return format_html(
        '<svg class="dc-plot" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-labelledby="dc-t{} dc-d{}" focusable="false"><title id="dc-t{}">{}</title>'
        '<desc id="dc-d{}">{}</desc>{}</svg>',
        max(width, 1),
        f"{HEIGHT:g}",
        number,
        number,
        number,
        title,
        number,
        description,
        mark_safe(drawn),
    )
