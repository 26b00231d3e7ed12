from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tagcost


def test_it_prints_what_tags_cost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--sets", "100", "--rounds", "1", "--entries", "100"]
    assert tagcost.main([*arguments, "--directory", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "| µs a key | no tag | one tag | two tags |" in text
    assert "| set, again |" in text
    assert "| ms | one tag | two tags | one tag, index | two tags, index |" in text
    assert "| evict 10 of 100 |" in text
    assert not list(tmp_path.iterdir())
