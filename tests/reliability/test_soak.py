"""The soak itself, for a moment: each kind of fault once, and a table of what came of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from .injection import available
from .processes import noted
from .serving import FORK, INTERRUPT, SERVERS
from .soak import Report, Soak, failed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param(0, marks=[pytest.mark.long, pytest.mark.timeout(300)]),
        pytest.param(5, marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)
def test_a_soak_breaks_no_promise_and_says_so(tmp_path: Path, minutes: float) -> None:
    command = [sys.executable, "-m", "tests.reliability.soak", "--seed", "1"]
    command += ["--minutes", str(minutes), "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    for fault in available(small=False):
        assert f"| {fault} " in done.stdout
    assert "of which 0 lost" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["wrong", "exceptions", "died", "unhealed"])
def test_whatever_is_broken_makes_it_fail(name: str) -> None:
    report = Report(1)
    assert not failed(report)
    setattr(report, name, Counter({"fork": 1}))
    assert failed(report)


def test_a_lost_write_makes_it_fail_and_is_in_the_table() -> None:
    report = Report(1, injected=Counter({"fork": 2}), lost=["claim 7 is lost"])
    assert failed(report)
    assert "lost: claim 7 is lost" in report.table()
    assert "| fork  | 2 " in report.table()


def test_servers_stand_signals_from_their_first_moment_on(tmp_path: Path) -> None:
    soak = Soak(tmp_path, tmp_path, small=False, seed=1)
    with soak.children:
        soak.servers = [soak.start_server(number) for number in range(SERVERS)]
        for _ in range(50):
            for server in soak.servers:
                server.signal(INTERRUPT)
                server.signal(FORK)
        assert soak._wait_until_well(time.monotonic_ns()) is not None, soak.report.samples
        soak.bulletin.put("stop", 1)
        for server in soak.servers:
            server.result()
        assert [noted(soak.ledger(number)) for number in range(SERVERS)] == [[]] * SERVERS
