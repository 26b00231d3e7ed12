"""The suites run, on little, and what they print is what they measured. Nothing here depends on
how fast anything is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    Refused,
    batches,
    bulk,
    large,
    load,
    memory,
    operations,
    processes,
    rounds,
    servers,
    startup,
    subjects,
    tables,
    targets,
    values,
)
from benchmarks.__main__ import SUITES, main
from benchmarks.contenders import LOCMEM
from benchmarks.latency import Latencies
from benchmarks.plan import Bench, Plan
from benchmarks.subjects import FILES, FLOOR, LOCAL, OUR_BACKEND, Backend, Subject
from benchmarks.tables import LATENCY, Measure, Table

ROOT = Path(__file__).parents[2]
PRESENT = (OUR_BACKEND, LOCAL, FILES, FLOOR)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    plan = Plan(scale=0.001, rounds=2)
    found: dict[str, Subject] = {subject.name: subject for subject in PRESENT}
    return Bench(plan, tmp_path, tmp_path / "django.sqlite3", found)


def example(**values: float) -> Table:
    measure = Measure(
        "get, hot",
        LATENCY,
        {
            name: {"median": value, "mean": value * 2, "p99": value * 9}
            for name, value in values.items()
        },
    )
    return Table("operations", "operations-2000", "Single <operations>", [measure], ["A note."])


# What is measured


@pytest.mark.parametrize("subject", PRESENT)
def test_every_subject_does_what_is_measured(subject: Subject, tmp_path: Path) -> None:
    assert subject.missing() == ""
    with subject.opened(tmp_path / "cache", 1000) as cache:
        subject.fill(cache, [("a", {"some": "thing"}), ("b", "text"), ("n", 7)])
        assert cache.get("a") == {"some": "thing"}
        assert cache.get("b") == "text"
        assert cache.get("missing") is None
        cache.set("a", b"other")
        assert cache.get("a") == b"other"
        assert cache.add("c", {"new": 1})
        assert not cache.add("c", {"newer": 2})
        assert cache.get("c") == {"new": 1}
        assert cache.incr("n") == 8
        assert cache.touch("b")
        assert cache.delete("b")
        assert not cache.delete("b")
        cache.set_many({"d": {"d": 1}, "e": "e"})
        assert cache.get_many(["d", "e", "missing"]) == {"d": {"d": 1}, "e": "e"}
        cache.delete_many(["d", "missing"])
        assert cache.get_many(["d", "e"]) == {"e": "e"}
        cache.clear()
        assert cache.get("e") is None


@pytest.mark.parametrize("subject", [each for each in PRESENT if each.shared])
def test_another_opening_has_the_same_entries(subject: Subject, tmp_path: Path) -> None:
    with subject.opened(tmp_path / "cache", 10) as cache:
        cache.set("a", {"some": "thing"})
    with subject.opened(tmp_path / "cache", 10) as cache:
        assert cache.get("a") == {"some": "thing"}


def test_entries_are_filled_in_with_their_tag(tmp_path: Path) -> None:
    with OUR_BACKEND.opened(tmp_path / "cache", 10) as cache:
        OUR_BACKEND.fill(cache, [("a", 1), ("b", 2)], tag="odd")
        OUR_BACKEND.fill(cache, [("c", 3)])
        assert cache.evict("odd") == 2
        assert cache.get("c") == 3


def test_what_is_missing_is_named() -> None:
    lost = Subject("lost", modules=("no_such_module",))
    assert lost.missing() == "No module named 'no_such_module'"
    without = Subject("lost", program="no-such-program")
    assert without.missing() == "there is no no-such-program on the PATH"


def test_chunks_hold_everything_once() -> None:
    items = [(str(n), n) for n in range(2 * subjects.CHUNK + 1)]
    parts = list(subjects.chunks(items))
    assert [len(part) for part in parts] == [subjects.CHUNK, subjects.CHUNK, 1]
    assert [item for part in parts for item in part] == items


def test_keys_differ_and_have_no_order() -> None:
    keys = [values.key(number) for number in range(10_000)]
    assert len(set(keys)) == len(keys)
    assert sorted(keys) != keys
    assert len({len(key) for key in keys}) == 1


# Turns


def test_contenders_take_turns_in_another_order_each_round() -> None:
    calls: list[str] = []

    def turn(name: str) -> rounds.Turn:
        return lambda number: (calls.append, [(f"{name}{number}",)])

    found = rounds.interleaved({name: turn(name) for name in "abc"}, rounds=3, seconds=60)
    assert calls == ["a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2"]
    assert {name: row["calls"] for name, row in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_what_comes_before_a_call_is_called_for_each() -> None:
    order: list[str] = []
    samples = rounds.timed(order.append, [("call",)] * 2, 60, lambda: order.append("before"))
    assert order == ["before", "call", "before", "call"]
    assert len(samples) == 2


def test_a_turn_ends_when_its_time_is_over() -> None:
    calls: list[int] = []
    rounds.timed(calls.append, ((n,) for n in range(1000)), 0)
    assert calls == [0]


def test_who_took_too_long_sits_out() -> None:
    calls: list[int] = []

    def turn(number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return calls.append, [(number,)]

    rounds.interleaved({"slow": turn}, rounds=5, seconds=0)
    assert calls == [0]


def test_who_has_a_share_gets_that_part_of_the_time() -> None:
    calls: list[str] = []

    def turn(name: str) -> rounds.Turn:
        return lambda number: (calls.append, ((name,) for _ in range(3)))

    turns = {"whole": turn("whole"), "none": turn("none")}
    rounds.interleaved(turns, rounds=2, seconds=60, shares={"none": 0})
    assert calls.count("whole") == 6
    assert calls.count("none") == 1  # its time is over after the first


@pytest.mark.parametrize(("share", "turns"), [(1.0, 6), (0.5, 3), (0.4, 3), (0.1, 1)])
def test_a_share_of_turns_of_one_length_is_fewer_of_them(share: float, turns: int) -> None:
    assert sum(rounds.has_turn(number, share) for number in range(6)) == turns


def test_what_is_read_has_the_size_that_it_is_said_to_have(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(Backend):
        @contextmanager
        def opened(self, directory: Path, keys: int = 0) -> Iterator[Any]:
            with super().opened(directory, keys) as cache:
                cache.set = lambda key, value: None
                yield cache

    bench.subjects = {LOCAL.name: Forgetful(LOCAL.name, contender=LOCMEM)}
    monkeypatch.setattr(large, "SIZES", (2**10,))
    with pytest.raises(Refused, match="locmem did not keep 1024 bytes"):
        large.run(bench)


@pytest.mark.parametrize("calls", [rounds.ENOUGH - 1, rounds.ENOUGH])
def test_a_p99_needs_enough_calls(calls: int) -> None:
    found = Latencies()
    for _ in range(calls):
        found.record(100)
    assert ("p99" in rounds.summary(found)) == (calls >= rounds.ENOUGH)


def test_latencies_are_added_up() -> None:
    one, other = Latencies(), Latencies()
    for sample in (100, 200):
        one.record(sample)
    other.record(600)
    one.add(other)
    assert len(one) == 3
    assert one.mean() == 300
    assert one.percentile(100) == pytest.approx(600, rel=0.01)


# Suites


@pytest.mark.parametrize("suite", [operations, batches, large, startup])
def test_a_suite_measures_every_contender(suite: Any, bench: Bench) -> None:
    if suite is startup:
        bench.subjects = {OUR_BACKEND.name: OUR_BACKEND, FILES.name: FILES}
    found = suite.run(bench)
    assert found
    for table in found:
        assert table.suite == suite.NAME
        assert table.measures
        for measure in table.measures:
            assert next(iter(measure.values)) == OUR_BACKEND.name
            assert all(
                row[column.name] > 0
                for row in measure.values.values()
                for column in measure.columns
                if column.name != "p99"  # there are too few calls for one
            )


def test_tables_of_many_entries_leave_out_who_does_not_scale(bench: Bench) -> None:
    fresh, big, _ = operations.run(bench)
    assert FILES.name in fresh.names()
    assert FILES.name not in big.names()


def test_processes_share_the_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ROUNDS", 1)
    monkeypatch.setattr(processes, "PROCESSES", 2)
    bench.plan = Plan(scale=0.05)
    (table,) = processes.run(bench)
    assert [measure.label for measure in table.measures] == ["10% writes", "50% writes"]
    for measure in table.measures:
        assert list(measure.values) == [OUR_BACKEND.name, FILES.name]
        assert all(row["operations per second"] > 0 for row in measure.values.values())


def test_a_process_that_fails_ends_the_suite(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "PROCESSES", 1)
    no_directory = bench.directory / "file"
    no_directory.touch()
    with (
        pytest.raises(Refused, match="ended before its time"),
        processes.started(bench, [(FLOOR, no_directory)]),
    ):
        pass
    assert "FileExistsError" in capfd.readouterr().err


def test_memory_is_that_of_another_process(bench: Bench) -> None:
    (table,) = memory.run(bench)
    if not memory.STATUS.exists():
        assert not table.measures
        return
    opened, read = table.measures
    assert set(opened.values) == {OUR_BACKEND.name, LOCAL.name, FLOOR.name}
    assert opened.values[OUR_BACKEND.name]["open files"] > 0
    assert read.values[OUR_BACKEND.name]["resident set"] > 0


def test_whole_caches(bench: Bench) -> None:
    (table,) = bulk.run(bench)
    rows = {measure.label: measure.values for measure in table.measures}
    assert set(rows["clear"]) == {OUR_BACKEND.name, FLOOR.name}
    assert set(rows["evict, half"]) == set(rows["expire"]) == {OUR_BACKEND.name}


def test_filling_is_looked_at_as_it_grows(bench: Bench) -> None:
    bench.plan = Plan(full=True, scale=0.001)
    _, table = bulk.run(bench)
    assert [measure.label for measure in table.measures] == [bulk.ALL, bulk.SECOND, bulk.LAST]
    (everything, second, last) = (each.values[OUR_BACKEND.name] for each in table.measures)
    assert (everything["calls"], second["calls"], last["calls"]) == (1000, 10, 50)


# Servers and load


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"page"
        self.send_response(404 if self.path == "/lost" else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/incomplete":
            self.send_header(load.LOST, "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[int]:
    with HTTPServer((servers.HOST, 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_pages_are_counted(site: int) -> None:
    measured = load.Load(site, "/", load.fetch(site, "/"), connections=1)
    assert measured.run(0.05) > 0
    assert len(measured.latencies) > 0
    measured.forget()
    assert len(measured.latencies) == 0


def test_pages_for_which_a_cache_lacked_something_are_told(site: int) -> None:
    for path, some in ("/", False), ("/incomplete", True):
        measured = load.Load(site, path, b"page", connections=1)
        measured.run(0.05)
        assert (measured.lost > 0) is some
    measured.forget()
    assert measured.lost == 0


def test_another_page_is_an_error(site: int) -> None:
    with pytest.raises(Refused, match="/lost was answered with 404"):
        load.fetch(site, "/lost")
    with pytest.raises(Refused, match="another page: b'page'"):
        load.Load(site, "/", b"expected", connections=1).run(0.05)


def test_a_server_runs_and_is_stopped(tmp_path: Path) -> None:
    port = servers.free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", servers.HOST]
    with servers.running([*command, "--directory", str(tmp_path)], port) as process:
        assert load.fetch(port, "/")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_server_that_ends_says_why() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such option')"]
    with (
        pytest.raises(Refused, match=r"did not come up[\s\S]*no such option"),
        servers.running(command, servers.free_port()),
    ):
        pass


# What is printed


def test_text_has_each_number_and_its_ratio() -> None:
    shown = tables.text(example(ours=1000, peer=7300))
    assert re.search(r"get, hot +median +mean +p99 +ratio", shown)
    assert re.search(r"ours +1\.00 µs +2\.00 µs +9\.00 µs +1\.00x", shown)
    assert re.search(r"peer +7\.30 µs +14\.60 µs +65\.70 µs +7\.30x", shown)
    assert shown.endswith("A note.")


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(None, "-"), (0.0341, "0.034x"), (0.36, "0.36x"), (12.34, "12.3x"), (1234.5, "1,234x")],
)
def test_ratios(ratio: float | None, shown: str) -> None:
    assert tables.ratio_text(ratio) == shown


def test_markdown_has_a_part_for_each_column() -> None:
    shown = tables.markdown(example(ours=1000, peer=7300))
    assert "| median | get, hot |\n|---|--:|\n| ours | 1.00 µs |" in shown
    assert "| p99 | get, hot |" in shown
    assert "| peer | 65.70 µs (7.30x) |" in shown


def test_json_has_plain_numbers() -> None:
    found = tables.document(example(ours=1000, peer=7300))
    again = json.loads(json.dumps(found))
    assert again["measures"][0]["contenders"]["peer"] == {
        "median": 7300,
        "mean": 14600,
        "p99": 65700,
        "ratio": 7.3,
    }


# Targets


def target(mode: str, bound: float) -> targets.Target:
    place = ("operations", "operations-2000", "get, hot", "median")
    return targets.Target("a", *place, mode, bound, "peer", "ours")


def judged(mode: str, bound: float, ours: float, other: float) -> tuple[float, bool]:
    verdict = target(mode, bound).judge(example(ours=ours, peer=other))
    assert verdict.measured is not None
    return verdict.measured, verdict.met


def test_targets_are_met_on_their_bound_and_missed_beyond() -> None:
    assert judged(targets.AT_MOST, 0.5, ours=50, other=100) == (0.5, True)
    assert judged(targets.AT_MOST, 0.5, ours=51, other=100) == (0.51, False)
    assert judged(targets.FASTER, 4, ours=25, other=100) == (4, True)
    assert judged(targets.FASTER, 4, ours=30, other=99) == (3.3, False)
    assert judged(targets.AT_LEAST, 0.9, ours=90, other=100) == (0.9, True)
    assert judged(targets.AT_LEAST, 0.9, ours=89, other=100) == (0.89, False)
    assert judged(targets.BELOW, 25, ours=25, other=1) == (25, True)
    assert judged(targets.BELOW, 25, ours=26, other=1) == (26, False)


def test_a_miss_says_by_how_much() -> None:
    verdict = target(targets.FASTER, 5).judge(example(ours=100, peer=250))
    wanted = "at least 5x faster than peer"
    assert verdict.cells() == ["a, median", wanted, "2.50x", "missed by 2.00x"]
    close = target(targets.AT_MOST, 0.5).judge(example(ours=1001, peer=2000))
    assert close.cells()[-1] == "missed by 1.0010x"
    assert targets.text([verdict, close]).startswith("Targets: 0 of 2 met")


def test_suites_that_were_not_run_have_no_verdict() -> None:
    assert targets.verdicts([]) == []
    found = targets.verdicts([example(ours=1, peer=2)])
    assert {verdict.target.suite for verdict in found} == {"operations"}


def test_what_a_suite_did_not_measure_is_said() -> None:
    verdict = target(targets.FASTER, 5).judge(None)
    assert verdict.cells()[2:] == ["-", "not measured"]
    assert not verdict.met
    (full, *_) = [each for each in targets.TARGETS if each.full]
    assert full.judge(None).cells()[-1] == "not measured: needs --full, not scaled"
    met = target(targets.FASTER, 5).judge(example(ours=100, peer=1000))
    assert targets.tally([verdict, met]) == "1 of 1 met, 1 not measured"


def test_every_target_names_a_measure_that_its_suite_has(bench: Bench) -> None:
    # Slugs and labels have the sizes that are measured in earnest: put them in.
    bench.plan = Plan(full=True, scale=0.0005, rounds=2)
    labels = {
        suite.NAME: {each.label for table in suite.run(bench) for each in table.measures}
        for suite in (operations, batches, large, startup, bulk)
    }
    labels[processes.NAME] = {f"{share:.0%} writes" for share in processes.MIXES}
    labels["requests"] = {"WSGI, gunicorn", "ASGI, uvicorn"}
    for each in targets.TARGETS:
        assert each.measure in labels[each.suite], each
        assert not each.beside or each.beside in labels[each.suite], each


# The command


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=100,
    )


def test_the_command_lists_suites_and_contenders(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SUITES)
    assert all(subject.name in shown for subject in subjects.SUBJECTS)


def test_the_command_prints_json_and_writes_pages(tmp_path: Path) -> None:
    names = ("django_diskcache", "locmem", "database")
    chosen = [part for name in names for part in ("--contender", name)]
    done = run(
        "--suite", "batches", "--scale", "0.01", "--json", "--docs", str(tmp_path), *chosen
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [table["table"] for table in found["tables"]] == ["batches"]
    contenders = found["tables"][0]["measures"][0]["contenders"]
    assert tuple(contenders) == names
    assert {path.name for path in tmp_path.iterdir()} == {
        "index.md",
        "batches.md",
        "batches.svg",
        "summary.svg",
        "results.json",
    }
    again = tmp_path / "again"
    assert main(["--render", str(tmp_path / "results.json"), "--docs", str(again)]) == 0
    for path in again.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


@pytest.mark.parametrize("factor", ["0", "2", "much"])
def test_a_scale_that_makes_no_sense(factor: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--scale", factor])
    assert "is not a number above 0 and at most 1" in capsys.readouterr().err
