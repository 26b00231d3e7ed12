"""Places where a cache has a hard time: small file systems, read-only ones.

They are real ones, and need root and the right to mount; without these a test is skipped and
says so. Whatever happens in the test, they are unmounted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHUNK = 4096
# With blocks as large as pages of memory. Smaller ones are what small file systems have by
# default, and on those SQLite's own mapping can be killed by a full disk.
MAKE_EXT4 = ("mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-O", "^has_journal")

BTRFS = 256 * 2**20  # bytes; it needs some 100 MB


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _mount(*arguments: str) -> str:
    """Mount; what is in the way, or nothing."""
    if os.geteuid() != 0:
        return "needs root, to mount"
    try:
        done = _run("mount", *arguments)
    except FileNotFoundError:
        return "needs the command mount"
    return f"cannot mount here: {done.stderr.strip()}" if done.returncode else ""


def unmount(path: Path) -> None:
    if _run("umount", str(path)).returncode:  # somebody still uses it: when they are gone
        _run("umount", "-l", str(path))


def try_tmpfs(top: Path, size: int) -> tuple[str, bool]:
    """Make the directory and mount such a file system: what is in the way, and whether."""
    top.mkdir()
    problem = _mount("-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(top))
    return problem, not problem


@contextlib.contextmanager
def tmpfs(size: int) -> Iterator[Path]:
    """A file system in memory of `size` bytes; skips the test where there can be none."""
    top = Path(tempfile.mkdtemp(prefix="reliability-"))
    problem = _mount("-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(top))
    try:
        if problem:
            pytest.skip(problem)
        try:
            yield top
        finally:
            unmount(top)
    finally:
        os.rmdir(top)


@contextlib.contextmanager
def _image(size: int, *make: str) -> Iterator[Path]:
    """A file system in a file of `size` bytes, which `make` makes; skips where it cannot."""
    if shutil.which(make[0]) is None:
        pytest.skip(f"needs {make[0]}")
    top = Path(tempfile.mkdtemp(prefix="reliability-"))
    image, mounted = top / "image", top / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    try:
        done = _run(*make, str(image))
        problem = done.stderr.strip() if done.returncode else ""
        problem = problem or _mount("-o", "loop", str(image), str(mounted))
        if problem:
            pytest.skip(problem)
        try:
            yield mounted
        finally:
            unmount(mounted)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def ext4(size: int) -> contextlib.AbstractContextManager[Path]:
    """An ext4 file system of `size` bytes."""
    return _image(size, *MAKE_EXT4)


@contextlib.contextmanager
def quota(size: int) -> Iterator[Path]:
    """A directory that may have `size` bytes on a file system with much more space.

    Of btrfs, whose quotas hold for root too. Those of ext4 are by user, and not every kernel is
    built with them.
    """
    with _image(BTRFS, "mkfs.btrfs", "-q") as top:
        limited = top / "limited"
        for command in (
            ("quota", "enable", str(top)),
            ("subvolume", "create", str(limited)),
            ("qgroup", "limit", str(size), str(limited)),
            ("quota", "rescan", "-w", str(top)),
        ):
            done = _run("btrfs", *command)
            assert done.returncode == 0, done.stderr
        yield limited


def read_only(path: Path, wanted: bool = True) -> None:
    """Make a mounted file system read-only, or writable again."""
    done = _run("mount", "-o", f"remount,{'ro' if wanted else 'rw'}", str(path))
    assert done.returncode == 0, done.stderr


def fill(path: Path) -> Path:
    """Take all space that is left on the file system; the file that has it."""
    filler = path / "filler"
    with filler.open("ab", buffering=0) as file:
        block = bytes(64 * CHUNK)
        while block:
            try:
                if file.write(block) < len(block):
                    raise OSError
            except OSError:
                block = block[: len(block) // 2]
    return filler


def free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


@contextlib.contextmanager
def reachable() -> Iterator[Path]:
    """A directory that every user may enter and write in."""
    top = Path(tempfile.mkdtemp(prefix="reliability-"))
    try:
        top.chmod(0o777)
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


def drop_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
