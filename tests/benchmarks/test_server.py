"""The benchmark against other backends on one server runs, on little."""

from __future__ import annotations

import pytest

from benchmarks import server
from tests.server.servers import required


@pytest.mark.long
def test_every_part_prints_what_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    required()

    assert server.main(["--scale", "0.01", "--rounds", "1"]) == 0

    shown = capsys.readouterr().out
    for label in server.MEASURES:
        assert shown.count(f"\n{label}") == 2  # a table, and what it says of the targets
    assert "django_diskcache, evict" in shown
    assert "16 processes want the same value" in shown
    for contender in server.CONTENDERS:
        assert contender.missing() or contender.name in shown


def test_a_verdict_compares_with_the_fastest_of_the_others() -> None:
    table = server.Table(server.NAME, "calls", "")
    rows = {server.OURS.name: 1.0, "slow": 50.0, "fast": 19.0}
    values = {name: {"median": median} for name, median in rows.items()}
    table.measures = [
        server.latencies("get, near hit", values=values),
        server.latencies("set", values=values),
    ]

    hit, store = server.verdicts(table)

    assert "19.00x faster than fast: missed" in hit
    assert "19.00x faster than fast: met" in store
