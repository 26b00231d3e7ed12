from __future__ import annotations

import re

import pytest

from benchmarks import servermemory
from tests.server.servers import required


def test_it_prints_what_an_entry_takes(capsys: pytest.CaptureFixture[str]) -> None:
    required()

    assert servermemory.main(["--entries", "2000"]) == 0
    text = capsys.readouterr().out
    assert "| a value of 150 bytes | bytes of memory |" in text
    untagged, one, two, _, _, own = map(int, re.findall(r"\| (\d+) \|$", text, re.MULTILINE))
    assert 150 < untagged < one < two < own
