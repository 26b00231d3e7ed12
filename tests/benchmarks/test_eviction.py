"""The eviction benchmark: formats, trials, tables, curves; and hit ratios on real traces."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import Refused, eviction, evictionpage, formats, simulation, traces
from benchmarks.trials import Trial
from django_diskcache.engine.fifo import S3FIFO
from django_diskcache.engine.policies import LeastRecentlyUsed

TRACES = eviction.TRACES


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "small.txt"
    path.write_text("".join(f"{number % 40 or number}\n" for number in range(1, 600)))
    return path


def test_public_formats(tmp_path: Path) -> None:
    (tmp_path / "arc.lis").write_text("5 3 0 0\n9 1 0 1\n")
    assert list(formats.read(tmp_path / "arc.lis").keys) == [5, 6, 7, 9]
    record = struct.Struct("<IQIq")
    with gzip.open(tmp_path / "one.oracleGeneral.gz", "wb") as file:
        file.write(record.pack(1, 7, 512, 2) + record.pack(2, 7, 512, -1))
    found = formats.read(tmp_path / "one.oracleGeneral.gz")
    assert (list(found.keys), list(found.sizes or ())) == ([7, 7], [512, 512])
    (tmp_path / "t.csv").write_text("0,a,1,10,1,get,0\n0,b,1,10,1,set,0\n1,a,1,10,1,get,0\n")
    found = formats.read(tmp_path / "t.csv", 5)
    assert (len(found), found.unique(), list(found.sizes or ())) == (2, 1, [11, 11])
    (tmp_path / "bad.lis").write_text("nothing\n")
    with pytest.raises(Refused, match=r"bad\.lis after request 0"):
        formats.read(tmp_path / "bad.lis")


def test_a_run_prints_tables_and_writes_a_page(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reference.csv").write_text(
        "trace,requests,unique_keys,capacity_entries,policy,hit_ratio\n"
        "small,599,54,10,S3-FIFO,0.1\nsmall,599,54,27,S3-FIFO,0.9\n"
    )
    out = tmp_path / "docs"
    out.mkdir()
    results = tmp_path / "results.json"
    arguments = [str(trace), "--policy", "s3-fifo", "--share", "0.2", "0.5", "--simulate"]
    arguments += ["--peer", "locmem", "--limit-on", "entries", "--docs", str(out)]
    assert eviction.main([*arguments, "--json", str(results)]) == 0
    text = capsys.readouterr().out
    assert "small: limit on entries, 599 requests" in text
    assert "simulated s3-fifo" in text
    assert "locmem" in text
    assert "missed" in text  # the second reference is out of reach
    page = (out / "eviction.md").read_text()
    (picture,) = out.glob("*.svg")
    assert picture.name in page
    root = ElementTree.fromstring(picture.read_text())
    assert root[1].text is not None
    assert "s3-fifo" in root[1].text
    again = tmp_path / "again"
    again.mkdir()
    assert eviction.main(["--render", str(results), "--docs", str(again)]) == 0
    assert (again / "eviction.md").read_text() == page
    assert len(json.loads(results.read_text())) == 2 * 3 + 2


def test_the_page_is_that_of_the_results_that_are_kept(tmp_path: Path) -> None:
    kept = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
    assert (
        eviction.main(["--render", str(kept / "eviction.json"), "--docs", str(tmp_path)]) == 0
    )
    for path in tmp_path.iterdir():
        assert path.read_text() == (kept / path.name).read_text()
    assert len(list(tmp_path.iterdir())) + 1 == len(list(kept.glob("eviction*")))


def test_no_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert eviction.main([str(tmp_path), "--no-peers"]) == 2
    assert "there are no traces" in capsys.readouterr().err


def test_verdicts() -> None:
    def trial(name: str, ratio: float, **more: int) -> Trial:
        return Trial("t", 1, "entries", 10, 0.1, name, ratio, 1.0, **more)

    found = [
        trial("s3-fifo", 0.5, over=0),
        trial("exact S3-FIFO", 0.504),
        trial("4 processes", 0.5),
    ]
    verdicts = {row[0]: row[2] for row in evictionpage.verdicts(found)}
    assert verdicts["s3-fifo: exact S3-FIFO - 0.5 points, mean at or above"] == "missed"
    assert verdicts["4 processes in turns: one - 0.5 points"] == "met"
    assert verdicts["du over size_limit: never"] == "met"
    assert verdicts["least-recently-used: exact LRU - 0.5 points"] == "not measured"


needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the traces are not here")


@needs_traces
def test_under_a_limit_on_bytes_small_entries_are_worth_more() -> None:
    trace = traces.read(TRACES / "cloudphysics-sized.txt.gz")
    assert trace.sizes is not None
    size = sum(dict(zip(trace.keys, trace.sizes, strict=True)).values()) // 5
    ours = simulation.hit_ratio(S3FIFO, trace, size=size)
    assert ours >= simulation.hit_ratio(LeastRecentlyUsed, trace, size=size) + 0.015


@needs_traces
@pytest.mark.parametrize("capacity", [137, 687, 2751])
def test_hit_ratios_of_the_policies_on_a_real_trace(capacity: int) -> None:
    trace = traces.read(TRACES / "web12.txt.gz")
    exact = {
        each.name.removeprefix(evictionpage.EXACT): each.hit_ratio
        for each in eviction.reference(TRACES / "web12.txt.gz")
        if each.capacity == capacity
    }
    found = simulation.hit_ratio(S3FIFO, trace, entries=capacity)
    assert found >= exact["S3-FIFO"] - 0.005
    if capacity > 137:
        used = simulation.hit_ratio(LeastRecentlyUsed, trace, entries=capacity)
        assert abs(used - exact["LRU"]) <= 0.005


@needs_traces
@pytest.mark.long
def test_hit_ratio_of_the_cache_itself_on_a_real_trace(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    arguments = [str(TRACES / "web12.txt.gz"), "--no-peers", "--policy", "s3-fifo", "--turns"]
    arguments += ["--limit-on", "entries", "--share", "0.05", "--json", str(results)]
    assert eviction.main(arguments) == 0
    ratio = {each["name"]: each["hit_ratio"] for each in json.loads(results.read_text())}
    assert ratio["s3-fifo"] >= 0.6425 - 0.005
    assert abs(ratio["4 processes"] - ratio["s3-fifo"]) <= 0.005
