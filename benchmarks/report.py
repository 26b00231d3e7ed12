"""What the user sees: numbers with their units, tables with ratios, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

NOTHING = "-"


def number(value: float) -> str:
    """A count."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """A share of 1."""
    return f"{value:.2%}"


def microseconds(nanoseconds: float) -> str:
    """A latency."""
    value = nanoseconds / 1000
    return f"{value:,.2f} µs" if value < 100 else f"{value:,.0f} µs"


def duration(seconds: float) -> str:
    """A long time."""
    return f"{seconds:,.2f} s"


def size(value: float) -> str:
    """Bytes, in units of powers of 1000."""
    for unit, worth in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= worth:
            return f"{value / worth:,.2f} {unit}"
    return f"{value:,.0f} B"


@dataclass(frozen=True)
class Row:
    """One measure of a table, a value for each contender; None where there is none."""

    label: str
    values: Sequence[float | None]
    form: Callable[[float], str]
    ratios: bool = True


def table(heads: Sequence[str], rows: Sequence[Row]) -> str:
    """The measures of all contenders, each beside its ratio to the first contender's."""
    lines = [["", *heads], *([row.label, *_cells(row)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> list[str]:
    first = row.values[0]
    cells = []
    for place, value in enumerate(row.values):
        cell = NOTHING if value is None else row.form(value)
        if place > 0:  # a measure without ratios keeps their place, so that values align
            cell += f" {_ratio(value, first) if row.ratios else '':>8}"
        cells.append(cell)
    return cells


def _ratio(value: float | None, first: float | None) -> str:
    if value is None or not first:
        return ""
    ratio = value / first
    return f"{ratio:.2f}x" if ratio >= 0.1 else f"{ratio:.3f}x"


class Progress:
    """A line that shows how far a long step is, where somebody watches; nothing in a log."""

    WIDTH = 30
    EVERY = 0.1  # seconds between two drawings

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._began = self._drawn = time.monotonic()

    def update(self, done: int) -> None:
        """`done` of the total are done."""
        if not self._shown or (now := time.monotonic()) - self._drawn < self.EVERY:
            return
        self._drawn = now
        share = done / self._total
        bar = "█" * round(share * self.WIDTH)
        rate = done / (now - self._began)
        left = (self._total - done) / rate if rate else 0
        pace = f"  {rate:,.0f}/s" if rate >= 1 else ""  # few and long steps have none to show
        self._stream.write(
            f"\r{self._label} {bar:░<{self.WIDTH}} {share:4.0%}{pace}  {left:,.0f} s left\x1b[K"
        )
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
