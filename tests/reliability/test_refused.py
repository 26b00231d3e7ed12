"""What the system refuses: permissions, a read-only file system, file descriptors, WAL.

Opening such a directory is a clear error. A cache that is open already misses and returns False
meanwhile, and works again once it may.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_diskcache import Cache, FanoutCache

from .faces import KEYS, Outcome, Watch, exercise, fill_in, open_django, works
from .places import drop_root, reachable, read_only, tmpfs
from .processes import NOBODY, in_child
from .values import kind_of, make

# Read-only


def _fill(directory: Path) -> None:
    cache = open_django(directory)
    fill_in(cache)
    cache.shutdown()


def _on_read_only(directory: Path) -> str | Outcome:
    try:
        cache = open_django(directory)
    except ImproperlyConfigured as error:
        return str(error)
    return exercise(cache)


def test_a_read_only_file_system() -> None:
    with tmpfs(2**24) as disk:
        in_child(_fill, disk / "cache")
        read_only(disk)
        outcome = in_child(_on_read_only, disk / "cache")
        if isinstance(outcome, str):  # it says so, and where
            assert str(disk) in outcome
        else:
            assert (outcome.raised, outcome.wrong) == ([], [])
        read_only(disk, False)
        assert in_child(_works, disk / "cache") == []


def _works(directory: Path) -> list[str]:
    return works(open_django(directory))


def test_a_cache_cannot_be_made_on_a_read_only_file_system() -> None:
    with tmpfs(2**24) as disk:
        read_only(disk)
        said = in_child(_on_read_only, disk / "cache")
        assert isinstance(said, str)
        assert str(disk) in said


# Permissions


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A directory that a user without rights can use."""
    drop_root()
    with reachable() as top:
        yield top


def test_a_directory_of_somebody_else_is_a_clear_error(anybodys: Path) -> None:
    directory = anybodys / "cache"
    in_child(_fill, directory)  # root's, 0700
    said = in_child(_on_read_only, directory, user=NOBODY)
    assert isinstance(said, str)
    assert str(directory) in said
    assert "ermission denied" in said


def _revoked(directory: Path, revoke: str) -> tuple[Outcome, Outcome, list[str]]:
    """What calls come to without permissions, then with them again, and what does not work."""
    cache = open_django(directory)
    fill_in(cache)
    paths = {
        "the directory": [directory],
        "a shard": [directory / "001"],
        "the databases": sorted(directory.glob("0*/cache.sqlite3")),
        "the value files": sorted(directory.glob("0*/??/*.val")),
        "their directories": sorted(directory.glob("0*/??")),
        "the segment": [directory / "segment"],
    }[revoke]
    modes = [path.stat().st_mode & 0o777 for path in paths]
    cache.shutdown()  # so that files have to be opened
    for path in paths:
        path.chmod(0)
    without = exercise(cache, 2)
    for path, mode in zip(paths, modes, strict=True):
        if path.exists():
            path.chmod(mode)
    cache.close()
    return without, exercise(cache, 3), works(cache)


@pytest.mark.parametrize(
    "revoke",
    [
        "the directory",
        "a shard",
        "the databases",
        "the value files",
        "their directories",
        "the segment",
    ],
)
def test_permissions_are_taken_away_and_given_back(anybodys: Path, revoke: str) -> None:
    without, again, broken = in_child(_revoked, anybodys / "cache", revoke, user=NOBODY)
    assert (without.raised, without.wrong) == ([], [])
    assert (again.raised, again.wrong) == ([], [])
    assert broken == []
    assert again.hits > 0


# File descriptors


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class FewDescriptors:
    """No file can be opened in the `with` block."""

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._taken: list[int] = []
        used = max(int(name) for name in os.listdir("/proc/self/fd")) + 2
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, self._before[1]))
        try:
            while True:
                self._taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass

    def __exit__(self, *exception: object) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._before)
        for descriptor in self._taken:
            os.close(descriptor)


def _without_descriptors(directory: Path) -> tuple[Outcome, list[str], int]:
    cache = open_django(directory)
    fill_in(cache)
    cache.shutdown()
    before = _open_descriptors()
    watch = Watch()
    with FewDescriptors():
        for round in range(2):
            outcome = exercise(cache, 2 + round)
            watch.wrong += outcome.wrong
            watch.raised += outcome.raised
    cache.shutdown()
    leaked = _open_descriptors() - before
    return watch.outcome(), works(cache), leaked


def test_too_many_open_files(tmp_path: Path) -> None:
    outcome, broken, leaked = in_child(_without_descriptors, tmp_path / "cache")
    assert (outcome.raised, outcome.wrong) == ([], [])
    assert broken == []
    assert leaked <= 0


def _open_without_descriptors(directory: Path) -> tuple[str, int]:
    open_django(directory.with_name("other"))  # what is imported late is imported now
    before = _open_descriptors()
    said = "it opened"
    with FewDescriptors():
        try:
            open_django(directory)
        except ImproperlyConfigured as error:
            said = str(error)
    return said, _open_descriptors() - before


def test_opening_without_descriptors_is_a_clear_error(tmp_path: Path) -> None:
    said, leaked = in_child(_open_without_descriptors, tmp_path / "cache")
    assert str(tmp_path / "cache") in said
    assert "oo many open files" in said
    assert leaked == 0


# Other journals


def _counted(cache: Any, number: int) -> int:
    for _ in range(number):
        cache.incr("count", retry=True)
    return int(cache.get("count"))


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist"])
@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_journals_other_than_the_log(
    tmp_path: Path, face: Callable[..., Any], mode: str
) -> None:
    def work() -> list[str]:
        with face(str(tmp_path / "cache"), timeout=60, sqlite_journal_mode=mode) as cache:
            for number, key in enumerate(KEYS):
                assert cache.set(key, make(key, 1, kind_of(number)))
            watch = Watch()
            read_all_plain(cache, watch)
            assert watch.wrong == []
            assert watch.hits == len(KEYS)
            assert _counted(cache, 20) == 20
        assert list((tmp_path / "cache").rglob("*-wal")) == []
        return watch.raised

    assert in_child(work) == []


def read_all_plain(cache: Any, watch: Watch) -> None:
    for key in KEYS:
        watch.saw(key, watch.call(cache.get, key))
