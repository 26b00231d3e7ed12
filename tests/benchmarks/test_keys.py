"""The benchmark of keys, in a process of its own: it has settings of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_measures_every_call() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.keys", "--entries", "2000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    about, _empty, head, line, *rows = done.stdout.splitlines()
    assert about == "2,000 entries, medians of 5 calls"
    assert [row.count("|") for row in (head, line, *rows)] == [4] * 14
    found = [int(row.split("|")[3].replace(",", "")) for row in rows]
    assert found == [10, 10, 40, 0, 1000, 1000, 2000, 2000, 1000, 10, 10_000, 10_000]
