"""Claims: which of all threads, tasks and processes is computing what.

A claim is a lock on one byte of the file ``claims`` in the cache's directory; the byte's place
is a hash of the key. So the kernel frees it when its holder dies, by whatever, and nothing is
written: not to SQLite, nor to the file, which stays empty.

Such locks (POSIX record locks) belong to the process, and all that it has on a file are gone
when it closes *any* descriptor of that file. So there is one descriptor per file in a process,
open as long as something is claimed in it; and who has which byte among the threads and tasks
of this process stands in a table. A forked child has the descriptor and none of the locks.

A claim that is lost, as when an exception of a signal handler falls between two steps, is
released with the last reference to it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress
from hashlib import blake2b
from types import TracebackType
from typing import Any

from . import files
from .disk import key_bytes

BITS = 62  # of a place in the file, which the kernel counts in a signed 64-bit number


class _File:
    """The file of one directory, open in this process; `owners` says whose each byte is."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []  # one; a second only if files changed their names
        self.owners: dict[int, object] = {}


# By device and inode: a directory that was removed and made anew has another file.
_files: dict[tuple[int, int], _File] = {}
# A finalizer or a signal handler that uses a cache may come while its own thread has it.
_lock = threading.RLock()


class Claim:
    """The right to compute something, until `release` or the end of the ``with`` block."""

    def __init__(self) -> None:
        self._held: tuple[tuple[int, int], int] | None = None  # else it keeps nobody away
        self._token = object()

    def release(self) -> None:
        """Let others claim it."""
        held, self._held = self._held, None
        if held is not None:
            _give(*held, self._token)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def place_of(key: Any) -> int:
    """The place in the file for a key in its database form, the same in every process."""
    data = key_bytes(key)
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> (64 - BITS)


def claim(directory: str, place: int) -> Claim | None:
    """The claim on a place in the directory's file, or None while another has it.

    Where the file cannot be opened or locked, the claim is one that keeps nobody away: a fault
    of the disk must not keep anything from being computed.
    """
    made = Claim()
    with _lock:
        try:
            file, identity = _open(os.path.join(directory, "claims"), place, made._token)
        except OSError:
            return made
        if file.owners[place] is not made._token:
            return None
        made._held = identity, place
        try:
            fcntl.lockf(file.descriptors[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            made.release()
            return None if error.errno in (errno.EAGAIN, errno.EACCES) else made
    return made


def _open(path: str, place: int, token: object) -> tuple[_File, tuple[int, int]]:
    """The file, with an owner of the place: `token`, unless it had one."""
    while True:
        descriptor = None
        try:
            identity = _identity(os.stat(path, follow_symlinks=False))
        except FileNotFoundError:
            identity = None
        if identity not in _files:
            descriptor = _descriptor(path, identity is not None)
            identity = _identity(os.fstat(descriptor))
        assert identity is not None  # it has just been made
        file = _files.setdefault(identity, _File())
        if descriptor is not None:
            file.descriptors.append(descriptor)
        file.owners.setdefault(place, token)
        if _files.get(identity) is file:  # else a release in this thread came between
            return file, identity


def _descriptor(path: str, exists: bool) -> int:
    if exists:
        with suppress(OSError):  # it is a link, perhaps
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    return files.create(path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _give(identity: tuple[int, int], place: int, token: object) -> None:
    with _lock:
        file = _files.get(identity)
        if file is None or file.owners.get(place) is not token:
            return  # it was the parent's, before a fork
        with suppress(OSError):
            fcntl.lockf(file.descriptors[0], fcntl.LOCK_UN, 1, place)
        del file.owners[place]
        if not file.owners:
            del _files[identity]
            for descriptor in file.descriptors:
                os.close(descriptor)


def _after_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for file in _files.values():
        for descriptor in file.descriptors:
            os.close(descriptor)  # the locks are the parent's, and stay
    _files.clear()


os.register_at_fork(after_in_child=_after_in_child)
