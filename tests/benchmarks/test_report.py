from __future__ import annotations

import io

import pytest

from benchmarks import report
from benchmarks.report import Progress, Row, table


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (2.5e6, "2.50 MB"), (2**30, "1.07 GB")],
)
def test_sizes(value: float, shown: str) -> None:
    assert report.size(value) == shown


@pytest.mark.parametrize(
    ("nanoseconds", "shown"), [(80, "0.08 µs"), (12_345, "12.35 µs"), (3.6e6, "3,600 µs")]
)
def test_latencies(nanoseconds: float, shown: str) -> None:
    assert report.microseconds(nanoseconds) == shown


def test_a_table_has_the_ratio_to_the_first_contender() -> None:
    rows = [
        Row("rate", [100, 250, 5], report.number),
        Row("volume", [None, 10, None], report.size),
        Row("hit ratio", [0.5, 0.25, 0.5], report.percent, ratios=False),
    ]
    assert table(["a", "b", "c"], rows).splitlines() == [
        "                a                b                c",
        "rate          100     250    2.50x       5   0.050x",
        "volume          -    10 B                -",
        "hit ratio  50.00%  25.00%           50.00%",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = Terminal()
    with Progress("locmem", 1000, stream) as progress:
        progress.update(10)
        assert stream.getvalue() == ""  # too soon after the beginning
        now[0] += 2
        progress.update(500)
        line = stream.getvalue()
        assert "locmem" in line
        assert " 50%" in line
        assert "250/s" in line
        assert "2 s left" in line
        progress.update(501)
        assert stream.getvalue() == line
    assert stream.getvalue() == line + "\r\x1b[K"


def test_progress_leaves_a_log_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Progress("locmem", 1000, stream) as progress:
        now[0] += 2
        progress.update(500)
    assert stream.getvalue() == ""
