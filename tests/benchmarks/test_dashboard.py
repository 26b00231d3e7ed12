"""The benchmark of the dashboard's pages, which sets up a site of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_measures_every_page(tmp_path: Path) -> None:
    arguments = ["--entries", "300", "--requests", "1", "--directory", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dashboard", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    about, _empty, head, line, *rows = done.stdout.splitlines()
    assert about == "300 entries, medians of 1 requests in turns"
    assert [len(row.split("|")) for row in (head, line, *rows)] == [6] * 11
    for row in rows:
        _, page, cpu, wall, size, _ = row.split("|")
        assert page.strip()
        assert float(cpu) > 0
        assert float(wall) > 0
        assert int(size.replace(",", "")) > 1000
