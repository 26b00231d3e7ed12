"""The whole directory is removed, replaced, moved away or restored while processes use it.

Each process notices at the latest with the end of the first request that is a second later,
and from then on all serve from the directory that is there. The clock is the test's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.processes import Companion, SharedClock

from .faces import KEYS, exercise, fill_in, open_django, works
from .processes import in_child

SECOND = 1.01


class Server:
    """A process that answers requests with a `DjangoCache`, on the clock of the test."""

    def __init__(self, directory: Path, clock: SharedClock) -> None:
        from django.conf import settings

        if not settings.configured:
            os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        time.time = clock
        self.cache = open_django(directory)

    def request(self, work: Callable[..., Any], *args: Any) -> Any:
        try:
            return work(self.cache, *args)
        finally:
            self.cache.close()


def _get(cache: Any, key: str) -> Any:
    return cache.get(key)


def _set(cache: Any, key: str, value: Any) -> Any:
    return cache.set(key, value)


def _nothing(cache: Any) -> None:
    pass


def _exercise(cache: Any) -> Any:
    return exercise(cache)


def _remove(directory: Path, before: Path) -> None:
    shutil.rmtree(directory)


def _move_away(directory: Path, before: Path) -> None:
    directory.rename(directory.with_name("away"))


def _empty(directory: Path, before: Path) -> None:
    for path in directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _replace(directory: Path, before: Path) -> None:
    directory.rename(directory.with_name("away"))
    shutil.copytree(before, directory)


def _restore_in_place(directory: Path, before: Path) -> None:
    _empty(directory, before)
    shutil.copytree(before, directory, dirs_exist_ok=True)


def _databases_replaced(directory: Path, before: Path) -> None:
    """The databases are from the backup, and their value files; the segment stays."""
    for path in sorted(directory.glob("0*")):
        shutil.rmtree(path)
        shutil.copytree(before / path.name, path)


def _one_shard_removed(directory: Path, before: Path) -> None:
    shutil.rmtree(directory / "001")


def _segment_removed(directory: Path, before: Path) -> None:
    (directory / "segment").unlink()


RESTORED = (_replace, _restore_in_place, _databases_replaced)
CHANGES = (_remove, _move_away, _empty, *RESTORED, _one_shard_removed, _segment_removed)


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the first version of everything."""
    path = tmp_path_factory.mktemp("backup") / "cache"
    in_child(_fill, path, 1)
    return path


def _fill(path: Path, version: int) -> None:
    cache = open_django(path)
    fill_in(cache, version)
    cache.shutdown()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__[1:])
def test_every_process_goes_on_with_the_directory_that_is_there(
    tmp_path: Path, backup: Path, change: Callable[[Path, Path], None]
) -> None:
    directory = tmp_path / "cache"
    clock = SharedClock(tmp_path / "clock")
    with Companion(Server, directory, clock) as one, Companion(Server, directory, clock) as two:
        for server in (one, two):
            server.call(Server.request, fill_in, 2)
        for server in (one, two):  # both remember what they read
            assert server.call(Server.request, _exercise).raised == []
        one.call(Server.request, _set, "old", "from the old directory")
        assert two.call(Server.request, _get, "old") == "from the old directory"

        change(directory, backup)
        clock.advance(SECOND)
        for server in (one, two):
            server.call(Server.request, _nothing)

        # What one stores now the other sees, and so does somebody who comes new.
        for number, (writer, reader) in enumerate([(one, two), (two, one)]):
            for key in KEYS:
                value = f"{number} of {key}"
                assert writer.call(Server.request, _set, key, value), key
                assert reader.call(Server.request, _get, key) == value, key
        assert in_child(_read, directory) == {key: f"1 of {key}" for key in KEYS}
        if change in (_remove, _move_away, _empty):
            assert one.call(Server.request, _get, "old") is None
            assert two.call(Server.request, _get, "old") is None
        for server in (one, two):
            outcome = server.call(Server.request, _exercise)
            assert outcome.raised == []
            assert server.call(Server.request, works) == []


def _read(directory: Path) -> dict[str, Any]:
    return dict(open_django(directory).get_many(KEYS))


@pytest.mark.parametrize("change", RESTORED, ids=lambda change: change.__name__[1:])
def test_after_a_restore_all_serve_what_the_backup_had(
    tmp_path: Path, backup: Path, change: Callable[[Path, Path], None]
) -> None:
    directory = tmp_path / "cache"
    clock = SharedClock(tmp_path / "clock")
    expected = in_child(_read, backup)
    assert len(expected) == len(KEYS)
    with Companion(Server, directory, clock) as one, Companion(Server, directory, clock) as two:
        one.call(Server.request, fill_in, 2)
        for server in (one, two):
            found = server.call(Server.request, _get_many)
            assert found.keys() == expected.keys()
            assert found != expected
        change(directory, backup)
        clock.advance(SECOND)
        for server in (one, two):
            server.call(Server.request, _nothing)
        for server in (one, two):
            assert server.call(Server.request, _get_many) == expected


def _get_many(cache: Any) -> dict[str, Any]:
    return dict(cache.get_many(KEYS))


@pytest.mark.parametrize("change", [_remove, _empty], ids=lambda change: change.__name__[1:])
def test_nothing_is_raised_before_it_is_noticed(
    tmp_path: Path, backup: Path, change: Callable[[Path, Path], None]
) -> None:
    directory = tmp_path / "cache"
    clock = SharedClock(tmp_path / "clock")
    with Companion(Server, directory, clock) as one:
        one.call(Server.request, fill_in, 2)
        change(directory, backup)
        outcome = one.call(Server.request, _exercise)  # within the same second
        assert outcome.raised == []
        clock.advance(SECOND)
        one.call(Server.request, _nothing)
        assert one.call(Server.request, works) == []
