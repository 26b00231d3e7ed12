"""The benchmark against other backends on one server runs, on little."""

from __future__ import annotations

import re

import pytest

from benchmarks import server
from benchmarks.tables import Table, latencies
from tests.server.servers import required


@pytest.mark.long
def test_every_part_prints_what_it_measures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    required()
    monkeypatch.setattr(server, "PROCESSES", 2)

    assert server.main(["--scale", "0.01", "--rounds", "1"]) == 0

    shown = capsys.readouterr().out
    for label in server.MEASURES:
        # In a table, and in what is said of the targets.
        assert len(re.findall(rf"^{label}  ", shown, re.MULTILINE)) == 2
    assert "django_diskcache, evict" in shown
    assert "2 processes want the same value" in shown
    for contender in server.CONTENDERS:
        assert contender.missing() or contender.name in shown


def test_a_verdict_compares_with_the_fastest_of_the_others() -> None:
    table = Table(server.NAME, "calls", "")
    rows = {server.OURS.name: 1.0, "slow": 50.0, "fast": 19.0}
    values = {name: {"median": median} for name, median in rows.items()}
    table.measures = [
        latencies("get, near hit", values=values),
        latencies("set", values=values),
    ]

    hit, store = server.verdicts(table)

    assert "19.00x faster than fast: missed" in hit
    assert "19.00x faster than fast: met" in store
