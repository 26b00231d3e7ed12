"""What debug-toolbar and Sentry see of the cache: the real ones, in a site of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PUT, GET = "cache.put", "cache.get"


@pytest.fixture(params=["directory", "server"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "directory":
        return str(tmp_path / "cache")
    return str(request.getfixturevalue("server").url)


def seen(watcher: str, name: str, location: str) -> Any:
    command = [sys.executable, "-m", "tests.django.watched", watcher, name, location]
    run = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    ("name", "hits", "misses", "calls"),
    [
        ("page", 7, 3, ["set", *7 * ["get"], "get_many", "set_many", "set", "get", "incr"]),
        ("apage", 5, 2, ["set", *5 * ["get"], "get_many", "set_many"]),
    ],
)
def test_the_panel_of_the_toolbar(
    name: str, hits: int, misses: int, calls: list[str], location: str
) -> None:
    pytest.importorskip("debug_toolbar")
    found = seen("toolbar", name, location)
    assert found["calls"] == [[call, "default (DjangoCache)"] for call in calls]
    assert (found["hits"], found["misses"]) == (hits, misses)


def test_the_spans_of_sentry(location: str) -> None:
    pytest.importorskip("sentry_sdk")
    found = seen("sentry", "page", location)
    assert [(op, key, hit) for op, key, hit, _ in found] == [
        (PUT, "key", None),
        *3 * [(GET, "key", True)],
        *2 * [(GET, "missing", False)],
        *2 * [(GET, "key", True)],
        (GET, "key, missing", True),
        (PUT, "a, b", None),
        (PUT, "file", None),
        (GET, "file", True),
    ]
    sizes = [size for *_, size in found]
    assert sizes[:6] == [5, 5, 5, 5, None, None]
    assert sizes[6] == len(str(("12345", "tag")))


def test_the_spans_of_sentry_in_an_asynchronous_view(location: str) -> None:
    pytest.importorskip("sentry_sdk")
    found = seen("sentry", "apage", location)
    assert [(op, key, hit) for op, key, hit, _ in found] == [
        (PUT, "key", None),
        *3 * [(GET, "key", True)],
        (GET, "missing", False),
        (GET, "key", True),
        (GET, "key, missing", True),
        (PUT, "a, b", None),
    ]
