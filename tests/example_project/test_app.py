"""The magazine's settings, checks and commands, with every warning an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import run

USE = "from django.core.cache import caches; print(caches['default'].set('key', 1, tag='t'))"


def test_a_cache_by_its_url(tmp_path: Path) -> None:
    url = f"diskcache://{tmp_path}/elsewhere?size_limit=8MB&shards=2"
    used = run("manage.py", "shell", "-v0", "-c", USE, data=tmp_path, EXAMPLE_CACHE_URL=url)
    assert (used.status, used.out, used.err) == (0, "True\n", "")
    told = run("manage.py", "cachestats", "--json", data=tmp_path, EXAMPLE_CACHE_URL=url)
    assert (told.status, told.err) == (0, "")
    found = json.loads(told.out)["default"]
    assert (found["entries"], found["size_limit"], len(found["shards"])) == (1, 8_000_000, 2)
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "cache").exists()


def test_a_wrong_url_is_told_by_the_check(tmp_path: Path) -> None:
    url = f"diskcache://{tmp_path}/cache?size_limt=8MB"
    done = run("manage.py", "check", data=tmp_path, EXAMPLE_CACHE_URL=url)
    assert done.status == 1
    assert "(django_diskcache.E001) Your 'default' cache has the option 'size_limt'" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "cache").exists()


def test_checks_have_nothing_to_say(tmp_path: Path) -> None:
    done = run("manage.py", "check", data=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["cachestats", "default"],
        ["cachecull", "--to", "10%", "default"],
        ["cacheevict", "t", "--cache", "default"],
        ["cachecheck", "--fix", "default"],
        ["cacheclear", "--no-input", "default"],
    ],
    ids=" ".join,
)
def test_commands_leave_nothing_open(tmp_path: Path, command: list[str]) -> None:
    assert run("manage.py", "shell", "-v0", "-c", USE, data=tmp_path).status == 0
    done = run("manage.py", *command, data=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert "default" in done.out
