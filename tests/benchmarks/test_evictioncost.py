"""What eviction adds to a set: the benchmark runs, and compares caches of one size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import evictioncost
from benchmarks.evictioncost import GROUPS, PARTS


def test_a_run_prints_what_is_spent_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limit: dict[str, Any] = {"max_entries": 100, "sqlite_synchronous": 0}
    kinds = {"evicts": limit, "does not": {"eviction_policy": "none"}}
    monkeypatch.setattr(evictioncost, "GROUPS", {"max_entries 100": kinds})
    monkeypatch.setattr(evictioncost, "STEP", 50)
    arguments = ["--turns", "2", "--sets", "50", "--parts", "--directory", str(tmp_path)]
    assert evictioncost.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    full, other = lines[2:4]
    assert full.startswith("| evicts; max_entries 100 |")
    assert "%" in full
    assert other.startswith("| does not; max_entries 100 |")
    assert "%" not in other
    told = dict(line[2:].split(": ") for line in lines if line.startswith("- "))
    assert list(told) == list(PARTS)
    assert all(float(each.removesuffix(" µs")) > 0 for each in told.values())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("title", GROUPS)
def test_who_is_compared_has_the_same_limits_or_none(title: str) -> None:
    full, *others = GROUPS[title].values()
    assert "eviction_policy" not in full
    for other in others:
        assert other["eviction_policy"] == "none"
        assert {**full, **other} == {**full, "eviction_policy": "none"}
