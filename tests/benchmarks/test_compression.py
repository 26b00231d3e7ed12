"""The suite of compression: it measures all that is installed, and what it says is so."""

from __future__ import annotations

from pathlib import Path

from benchmarks import compression, subjects
from benchmarks.plan import Bench, Plan


def test_every_codec_is_measured_on_every_kind(tmp_path: Path) -> None:
    bench = Bench(Plan(scale=0.01, rounds=1), tmp_path, tmp_path / "d", {}, watched=False)
    (table,) = compression.run(bench)
    assert [each.label for each in table.measures] == list(compression.kinds())
    contenders = list(compression.settings())
    assert {"not compressed", "zlib 1", "lzma 0"} <= set(contenders)
    for measure in table.measures:
        assert list(measure.values) == contenders
        assert all(row[c.name] > 0 for row in measure.values.values() for c in measure.columns)
    page, *_, noise = table.measures
    for name in contenders[1:]:
        assert (page.ratio(name) or 1) < 0.6
        assert noise.ratio(name) == 1
    assert table.suite not in {each.name for each in subjects.ALL}
