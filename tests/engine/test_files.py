"""Names of value files in rows: they lead to value files in the directory, or nowhere."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Disk, files
from django_diskcache.engine.disk import MODE_BINARY, MODE_PICKLE, MODE_TEXT
from django_diskcache.engine.sqlite import sqlite3
from tests.engine.soundness import assert_sound

SECRET = b"x" * 100


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the cache's, with a file that is none of its business."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "file.val").write_bytes(SECRET)
    return path


@pytest.fixture
def inside(tmp_path: Path, outside: Path) -> Path:
    """A directory of value files, with all that could lead out of it."""
    path = tmp_path / "inside"
    (path / "3f" / "deep").mkdir(parents=True)
    (path / "3f" / "good.val").write_bytes(b"good")
    (path / "3f" / "deep" / "good.val").write_bytes(b"good")
    (path / "good.val").write_bytes(b"good")
    for name in files.OWN:
        (path / name).write_bytes(SECRET)
        (path / "3f" / name).write_bytes(SECRET)
    (path / "link.val").symlink_to(outside / "file.val")
    (path / "3f" / "link.val").symlink_to(outside / "file.val")
    (path / "3f" / "near.val").symlink_to("good.val")
    (path / "dangling.val").symlink_to(outside / "nothing")
    (path / "loop.val").symlink_to("loop.val")
    (path / "ee").symlink_to(outside)
    (path / "3f" / "ee").symlink_to(outside)
    (path / "up").symlink_to("..")
    os.mkfifo(path / "pipe.val")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path)  # names of sockets are short
        made.bind("socket.val")
        os.chdir(here)
    return path


GOOD = ["3f/good.val", "good.val", "3f/deep/good.val", "./3f//good.val"]
BAD: list[Any] = [
    "",
    ".",
    "..",
    "/",
    "3f",
    "3f/",
    "../outside/file.val",
    "3f/../../outside/file.val",
    "3f/../good.val",
    "/etc/passwd",
    "//etc/passwd",
    "link.val",
    "3f/link.val",
    "3f/near.val",
    "dangling.val",
    "loop.val",
    "ee/file.val",
    "3f/ee/file.val",
    "up/outside/file.val",
    "pipe.val",
    "socket.val",
    "good.val/x",
    "missing.val",
    "3f/nul\0.val",
    "x" * 300,
    "x/" * 3000 + "x",
    b"good.val",
    7,
    None,
    *sorted(files.OWN),
    *(f"3f/{name}" for name in sorted(files.OWN)),
    "CACHE.SQLITE3",
]


@pytest.mark.parametrize("name", GOOD)
def test_names_of_value_files(name: str, inside: Path) -> None:
    disk = Disk(str(inside))
    assert disk.fetch(MODE_BINARY, name, None, False) == b"good"
    assert disk.fetch(MODE_TEXT, name, None, False) == "good"
    with disk.fetch(MODE_BINARY, name, None, True) as file:
        assert file.read() == b"good"
        assert file.name == os.path.normpath(inside / name)
    assert files.size(str(inside), name) == 4
    disk.remove(name)
    assert not (inside / name).exists()


@pytest.mark.parametrize("name", BAD, ids=repr)
def test_names_of_nothing(name: Any, inside: Path, outside: Path) -> None:
    disk = Disk(str(inside))
    before = listed(inside)
    for mode in (MODE_BINARY, MODE_TEXT, MODE_PICKLE):
        for read in (False, True):
            if name is not None:
                with pytest.raises(FileNotFoundError):
                    disk.fetch(mode, name, None, read)
    for look in (files.read, files.size, files.opened):
        with pytest.raises(FileNotFoundError):
            look(str(inside), name)
    disk.remove(name)

    assert (outside / "file.val").read_bytes() == SECRET
    gone = set(before) - set(listed(inside))
    assert gone <= {str(inside / str(name))}  # a link or a pipe may go, and nothing behind it
    assert all((inside / each).exists() for each in files.OWN)


def listed(directory: Path) -> list[str]:
    return [os.path.join(top, name) for top, _, names in os.walk(directory) for name in names]


def test_no_descriptor_is_left_open(inside: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list open files")
    before = os.listdir("/proc/self/fd")
    for name in [*BAD, *GOOD]:
        with files_opened(str(inside), name):
            pass
        files.remove(str(inside), name)
    assert os.listdir("/proc/self/fd") == before


def files_opened(directory: str, name: Any) -> Any:
    try:
        return files.opened(directory, name)
    except FileNotFoundError:
        return open(os.devnull, "rb")


def test_the_directory_itself_may_be_a_link(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inside)
    for name in GOOD:
        assert files.read(str(tmp_path / "link"), name) == b"good"


def test_other_errors_are_told(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr("os.open", refused)
    with pytest.raises(PermissionError):
        files.read(str(inside), "good.val")


# In rows


@pytest.mark.parametrize("secret", [None, "secret"])
@pytest.mark.parametrize("mode", [MODE_BINARY, MODE_TEXT, MODE_PICKLE, 5])
@pytest.mark.parametrize(
    "name", ["../outside/file.val", "{outside}/file.val", "link.val", "ee/file.val", "lock"]
)
def test_a_row_with_such_a_name_is_a_miss(
    name: str,
    mode: int,
    secret: str | None,
    make_cache: Callable[..., Cache],
    outside: Path,
) -> None:
    cache = make_cache(secret=secret)
    directory = Path(cache.directory)
    (directory / "link.val").symlink_to(outside / "file.val")
    (directory / "ee").symlink_to(outside)
    name = name.format(outside=outside)
    database = directory / files.DATABASE

    def planted() -> Cache:
        cache["key"] = 1
        with closing(sqlite3.connect(database)) as connection, connection:
            sql = "UPDATE cache SET mode = ?, filename = ?, size = 1, value = ?"
            connection.execute(sql, (mode, name, bytes(16) if mode == 5 else None))
        cache.engine.near.clear()
        return cache

    assert planted().get("key") is None
    assert len(cache) == 0
    assert planted().get("key", read=True) is None
    assert planted().pop("key") is None
    assert planted().get_many(["key"]) == {}
    assert planted().set("key", 2)
    assert planted().delete("key")
    planted().check(fix=True)
    assert planted().cull() == 0
    cache.clear()
    assert (outside / "file.val").read_bytes() == SECRET
    assert (directory / "lock").exists()
    (directory / "link.val").unlink(missing_ok=True)
    (directory / "ee").unlink()
    assert_sound(cache)
