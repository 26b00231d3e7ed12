"""Claims: which of all threads, tasks and processes is computing what.

A claim is a lock on one byte of the file ``claims`` in the cache's directory; the byte's place
is a hash of the key. So the kernel frees it when its holder dies, by whatever, and nothing is
written: not to SQLite, nor to the file, which stays empty.

Such locks (POSIX record locks) belong to the process, and all that it has on a file are gone
when it closes *any* descriptor of that file. So there is one descriptor per file in a process,
open as long as something is claimed in it; and who has which byte among the threads and tasks
of this process stands in a table. A forked child has the descriptor and none of the locks.

An exception of a signal handler can fall between any two steps. So a claim knows what it is
about to have before the table does, each step of a release can be done twice, and the table
refers to its owners weakly: a claim that is lost is released with the last reference to it, and
should that be interrupted as well, by whoever claims something in the same file next.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import weakref
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
        self.owners: dict[int, weakref.ref[Claim]] = {}


# By device and inode: a directory that was removed and made anew has another file.
_files: dict[tuple[int, int], _File] = {}
# A finalizer or a signal handler that uses a cache may come while its own thread has it.
_lock = threading.RLock()


class Claim:
    """The right to compute something, until `release` or the end of the ``with`` block."""

    _held: tuple[tuple[int, int], int] | None = None  # else it keeps nobody away

    def __init__(self) -> None:
        self._token = weakref.ref(self)

    def release(self) -> None:
        """Let others claim it."""
        if self._held is not None:
            _give(*self._held, self._token)
            self._held = None

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
    try:
        return made if _take(made, directory, place) else None
    except BaseException:
        made.release()  # the traceback refers to it
        raise


def _take(made: Claim, directory: str, place: int) -> bool:
    """Whether `made` has the place now, or keeps nobody away; False if another has it."""
    with _lock:
        try:
            file = _open(os.path.join(directory, "claims"), place, made)
        except OSError:
            return True
        if file.owners[place] is not made._token:
            made._held = None
            return False
        try:
            fcntl.lockf(file.descriptors[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            made.release()
            return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _open(path: str, place: int, made: Claim) -> _File:
    """The file, with an owner of the place: `made`, unless it had one."""
    while True:
        descriptor = None
        try:
            identity = _identity(os.stat(path, follow_symlinks=False))
        except FileNotFoundError:
            identity = None
        if identity not in _files or not _files[identity].descriptors:
            descriptor = _descriptor(path, identity is not None)
            identity = _identity(os.fstat(descriptor))
        assert identity is not None  # it has just been made
        file = _files.setdefault(identity, _File())
        if descriptor is not None:
            file.descriptors.append(descriptor)
        made._held = identity, place
        file.owners.setdefault(place, made._token)
        for other, token in list(file.owners.items()):
            if token() is None:  # its release was interrupted
                _unlock(file, other)
        file.owners.setdefault(place, made._token)
        if _files.get(identity) is file:  # else a release in this thread came between
            return file


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
            return  # it was the parent's, before a fork, or another's
        _unlock(file, place)
        if not file.owners:
            # One at a time: what is closed twice may have become somebody else's meanwhile.
            while file.descriptors:
                os.close(file.descriptors.pop())
            del _files[identity]


def _unlock(file: _File, place: int) -> None:
    for descriptor in file.descriptors[:1]:  # none, if closing it was interrupted
        with suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, place)
    file.owners.pop(place, None)


def _after_in_child() -> None:
    global _lock
    _lock = threading.RLock()
    for file in _files.values():
        for descriptor in file.descriptors:
            os.close(descriptor)  # the locks are the parent's, and stay
    _files.clear()


os.register_at_fork(after_in_child=_after_in_child)
