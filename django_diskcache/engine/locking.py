"""The lock of a cache's directory: one process at a time makes or mends what is in it.

It is on an open file, and goes with it, however its holder ends. It must not stay behind when
an exception falls between any two steps (a signal handler may raise at any moment): others
would wait for it for as long as this process lives. So what is held is the open file itself,
which `with` closes, and so does losing the last reference to it.

A child that is forked meanwhile has the same open file, and would keep the lock for as long as
it lives. So the file is unlocked before it is closed, and the child closes what it inherits.
"""

from __future__ import annotations

import fcntl
import io
import os
import time
import weakref

from . import files
from .errors import Timeout

OPENING = 60.0  # seconds that a process waits for another that is making the directory
BRIEFLY = 1.0  # seconds that a call waits for another that is healing
PAUSE = 0.002  # seconds between two attempts


class DirectoryLock(io.FileIO):
    """The file that the lock is on; it is held until it is closed."""

    def close(self) -> None:
        try:
            if not self.closed:
                fcntl.flock(self, fcntl.LOCK_UN)
        finally:
            super().close()


_held: weakref.WeakSet[DirectoryLock] = weakref.WeakSet()


def directory_lock(directory: str, wait: float = OPENING) -> DirectoryLock:
    """The lock of the directory, taken; the directory is made if missing.

    :param wait: seconds
    :raises Timeout: when another process has it for longer
    :raises OSError: when the directory or the lock in it cannot be made
    """
    files.make_directory(directory)
    file = DirectoryLock(files.create(os.path.join(directory, "lock")), "r")
    _held.add(file)
    try:
        _take(file, directory, wait)
        return file
    except BaseException:
        file.close()
        raise


def _take(file: DirectoryLock, directory: str, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Timeout(
                    f"another process has had the lock of {directory!r} for {wait} s"
                ) from None
            time.sleep(PAUSE)
        else:
            return


def _after_in_child() -> None:
    for file in list(_held):
        io.FileIO.close(file)  # to unlock it is the parent's affair


os.register_at_fork(after_in_child=_after_in_child)
