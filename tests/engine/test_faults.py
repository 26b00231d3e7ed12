from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from django_diskcache.engine import Fault, Timeout
from django_diskcache.engine.faults import KINDS, fault, kind_of, named
from django_diskcache.engine.sqlite import sqlite3


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", "full"),
        ("database disk image is malformed", "corrupt"),
        ("file is not a database", "corrupt"),
        ("malformed database schema (cache_file)", "corrupt"),
        ("no such table: cache", "corrupt"),
        ("table cache has no column named value", "corrupt"),
        ("database is locked", "locked"),
        ("locking protocol", "locked"),
        ("disk I/O error", "other"),
        ("something new", "other"),
    ],
)
def test_what_sqlite_says(text: str, kind: str) -> None:
    assert kind_of(sqlite3.OperationalError(text), "path") == kind


def test_what_sqlite_was_not_let(tmp_path: Path) -> None:
    there, lost = tmp_path / "there", tmp_path / "lost"
    there.touch()
    for text in ("unable to open database file", "attempt to write a readonly database"):
        assert kind_of(sqlite3.OperationalError(text), str(there)) == "denied"
        assert kind_of(sqlite3.OperationalError(text), str(lost)) == "lost"
    (tmp_path / "there-wal").mkdir()
    assert kind_of(sqlite3.OperationalError("unable to open"), str(there)) == "corrupt"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EACCES, "denied"),
        (errno.EROFS, "denied"),
        (errno.EMFILE, "denied"),
        (errno.ENOENT, "lost"),
        (errno.ENOTDIR, "lost"),
        (errno.EIO, "other"),
    ],
)
def test_what_the_file_system_says(number: int, kind: str) -> None:
    assert kind_of(OSError(number, "text"), "path") == kind


def test_what_is_no_fault() -> None:
    for error in (
        ValueError("value"),
        sqlite3.ProgrammingError("type 'object' is not supported"),
        KeyError("key"),
    ):
        assert kind_of(error, "path") is None
        assert fault(error, "path") is error
        with pytest.raises(type(error)), named("path"):
            raise error


def test_broken_constraints_are_damage() -> None:
    # Our statements keep all of them, so an index must have lied.
    assert kind_of(sqlite3.IntegrityError("UNIQUE constraint failed"), "path") == "corrupt"


def test_named() -> None:
    cause = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(Fault) as found, named("some/path", 7):
        raise cause
    assert (found.value.kind, found.value.path, found.value.epoch) == ("full", "some/path", 7)
    assert found.value.__cause__ is cause
    assert str(found.value) == "some/path: [Errno 28] No space left on device (full)"
    again = Timeout("waited")
    assert fault(again, "path") is again
    assert kind_of(again, "path") == "locked"
    assert kind_of(found.value, "path") == "full"
    assert found.value.kind in KINDS


def test_space_for_a_part_is_not_enough(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from django_diskcache.engine.faults import kind_of
from django_diskcache.engine.sqlite import sqlite3

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # as on a disk with 8 kB left
error = sqlite3.OperationalError("disk I/O error")
print(kind_of(error, sys.argv[1]))
"""
    path = tmp_path / "cache.sqlite3"
    path.touch()
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["full"]
    assert list(tmp_path.iterdir()) == [path]
