"""The command as a user runs it, in a process of its own without a Django project."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BACKENDS = ["django_diskcache", "locmem", "filebased"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    chosen = random.Random(1)
    keys = [min(chosen.randrange(600), chosen.randrange(600)) for _ in range(2000)]
    path = tmp_path / "made.txt.gz"
    path.write_bytes(gzip.compress("".join(f"{key}\n" for key in keys).encode()))
    return path


def keys_in(trace: Path) -> list[bytes]:
    return gzip.decompress(trace.read_bytes()).split()


def replay(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(path)} if path else dict(os.environ)
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "benchmarks.replay"]
        + [str(argument) for argument in arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def wanting(backends: list[str]) -> list[str]:
    return [word for backend in backends for word in ("--backend", backend)]


def document(run: subprocess.CompletedProcess[str]) -> Any:
    assert run.stderr == ""
    assert run.returncode == 0
    return json.loads(run.stdout)


def test_json(trace: Path, tmp_path: Path) -> None:
    keys = keys_in(trace)
    unique = len(set(keys))
    assert unique > 300  # else Django's default limit would not be seen
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    report = document(replay(trace, *wanting(BACKENDS), "--json", path=temporary))
    assert report["trace"] == "made.txt.gz"
    assert report["requests"] == 2000
    assert report["unique_keys"] == unique
    assert report["value_size"] == 200
    assert report["timeout"] is None
    assert report["loop"]["request"] > report["loop"]["latency"] > 0
    assert [result["backend"] for result in report["results"]] == BACKENDS
    for result in report["results"]:
        assert result["misses"] == unique
        assert result["hits"] == 2000 - unique
        assert result["hit_ratio"] == 1 - unique / 2000
        assert (result["refused"], result["wrong"]) == (0, 0)
        assert result["requests_per_second"] == pytest.approx(2000 / result["seconds"])
        for operation in ("get", "set"):
            latency = result[operation]
            assert 0 < latency["p50"] <= latency["p99"]
            assert latency["mean"] > 0
    ours, locmem, filebased = report["results"]
    assert ours["limits"] == "no limit on entries, size_limit 1.07 GB"
    assert locmem["limits"].startswith(f"MAX_ENTRIES {unique + 1} (room for all keys")
    assert ours["volume"] > unique * 200
    assert locmem["volume"] is None
    assert filebased["volume"] > unique * 200
    assert list(temporary.iterdir()) == []


def test_text(trace: Path) -> None:
    run = replay(trace, *wanting(BACKENDS))
    assert run.stderr == ""
    assert run.returncode == 0
    lines = run.stdout.splitlines()
    assert lines[0].startswith("made.txt.gz: 2,000 requests, ")
    assert lines[0].endswith(" keys, values of 200 bytes, no expiry")
    labels = {line.split("  ")[0] for line in lines}
    assert {
        "hit ratio",
        "requests per second",
        "volume on disk",
        "get p50",
        "get p99",
        "get mean",
        "set p50",
        "set p99",
        "set mean",
    } <= labels
    rate = next(line for line in lines if line.startswith("requests per second"))
    assert rate.count("x") == 2
    assert "nothing is subtracted" in run.stdout
    assert lines[-1] == "x is the ratio to django_diskcache."


def test_one_backend_has_no_ratios(trace: Path) -> None:
    run = replay(trace, "--backend", "locmem")
    assert run.returncode == 0
    assert "x is the ratio" not in run.stdout


def test_sizes_of_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "sized.txt"
    path.write_text("1 100000\n2 5\n1 100000\n")
    report = document(replay(path, "--backend", "django_diskcache", "--json"))
    assert report["value_size"] is None
    (result,) = report["results"]
    assert (result["hits"], result["misses"], result["wrong"]) == (1, 2, 0)
    assert result["volume"] > 100_000


def test_options_of_the_command(trace: Path, tmp_path: Path) -> None:
    report = document(
        replay(
            *(trace, "--backend", "django_diskcache", "--json", "--limit", 1000),
            *("--capacity", 50, "--option", "CULL_FREQUENCY=100", "--value-size", 1000),
            *("--option", "eviction_policy=least-recently-used", "--timeout", 3600),
            *("--directory", tmp_path / "kept"),
        )
    )
    assert report["requests"] == 1000
    assert report["unique_keys"] == len(set(keys_in(trace)[:1000]))
    assert report["value_size"] == 1000
    assert report["timeout"] == 3600
    assert report["options"] == {
        "CULL_FREQUENCY": 100,
        "eviction_policy": "least-recently-used",
    }
    (result,) = report["results"]
    assert result["limits"] == "MAX_ENTRIES 50, size_limit 1.07 GB"
    assert result["misses"] > report["unique_keys"]
    assert not result["warm"]
    assert (tmp_path / "kept" / "django_diskcache").is_dir()


def test_a_second_run_in_the_same_directory_begins_warm(trace: Path, tmp_path: Path) -> None:
    arguments = (trace, "--backend", "django_diskcache", "--directory", tmp_path / "kept")
    assert replay(*arguments).returncode == 0
    (result,) = document(replay(*arguments, "--json"))["results"]
    assert result["warm"]
    assert (result["hits"], result["misses"]) == (2000, 0)
    assert result["set"] == {"p50": None, "p99": None, "mean": None}


def test_a_dotted_path(trace: Path) -> None:
    path = "django.core.cache.backends.dummy.DummyCache"
    (result,) = document(replay(trace, "--backend", path, "--json"))["results"]
    assert (result["path"], result["hits"], result["misses"]) == (path, 0, 2000)


def test_a_backend_that_mixes_up_its_keys(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mistaken.py").write_text(
        "from django.core.cache.backends.locmem import LocMemCache\n"
        "class Mistaken(LocMemCache):\n"
        "    def make_key(self, key, version=None):\n"
        "        return 'one'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = replay(trace, "--backend", "mistaken.Mistaken", "--json")
    assert run.returncode == 1
    assert run.stderr == "replay: values of other keys came from mistaken.Mistaken\n"
    (result,) = json.loads(run.stdout)["results"]
    keys = keys_in(trace)
    assert result["wrong"] == sum(key != keys[0] for key in keys)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--backend", "nonsense"], "replay: there is no backend 'nonsense'"),
        (["--backend", "locmem", "--backend", "locmem"], "replay: a backend is given twice"),
        (["--backend", "locmem", "--limit", "0"], "'0' is not a whole number of at least 1"),
        (["--backend", "locmem", "--timeout", "soon"], "'soon' is not a whole number"),
        (["--backend", "locmem", "--option", "x"], "'x' is not NAME=VALUE"),
        ([], "the following arguments are required: --backend"),
        (
            ["--backend", "django_diskcache", "--option", "size_limit=huge"],
            "replay: the backend django_diskcache cannot be opened",
        ),
    ],
)
def test_mistakes(trace: Path, arguments: list[str], complaint: str) -> None:
    run = replay(trace, *arguments)
    assert run.returncode == 2
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_a_missing_trace(tmp_path: Path) -> None:
    run = replay(tmp_path / "none.gz", "--backend", "locmem")
    assert run.returncode == 2
    assert run.stderr == (
        f"replay: cannot read the trace {tmp_path / 'none.gz'}: No such file or directory\n"
    )


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text("1\n2\nthree\n")
    run = replay(path, "--backend", "locmem")
    assert run.returncode == 2
    assert run.stderr.startswith(f"replay: {path}, line 3: 'three' is not an integer key")


def test_without_diskcache_the_extra_is_named(
    trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'diskcache'\", name='diskcache')\n"
    (tmp_path / "diskcache.py").write_text(missing)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = replay(trace, *wanting(["locmem", "diskcache"]))
    assert run.returncode == 2
    assert run.stderr == (
        "replay: cannot import the backend diskcache.DjangoCache: No module named 'diskcache';"
        " pip install 'django-diskcache[benchmark]' brings it\n"
    )
    assert run.stdout == ""
