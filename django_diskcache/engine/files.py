"""Value files: where a value lives that is too large for a row.

The row is the truth. A file is complete before a row names it and is removed after the last
row that named it is gone, so whatever interrupts this leaves at most a file without a row,
which `check` sweeps. Names are random, never reused, and spread over 256 directories, which
stay: making and removing directories can take longer than writing a megabyte. Files are 0600
and directories 0700: a cache holds what its site holds.

A name in a row is not trusted. What leads out of the directory, by its parts or by a symbolic
link on the way, is no value file, nor is what the cache itself keeps beside them: to open and
close a database would drop the locks that SQLite has on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable
from typing import IO, Any
from zlib import crc32

from .faults import named

DATABASE = "cache.sqlite3"
QUARANTINE = "quarantine"  # the directory of damaged databases, see `healing`
# What else there is in a directory of a cache.
OWN = frozenset(
    {
        "lock",
        "claims",
        "segment",
        "segment.new",
        "reserve",
        *(DATABASE + s for s in ("", "-wal", "-shm", "-journal")),
    }
)
NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.val")
# What python-diskcache has in the directory of a shard. It is none of ours, and not to be lost.
PREDECESSOR = "cache.db"
PREDECESSORS = re.compile(
    r"cache\.db(-wal|-shm|-journal)?|([0-9a-f]{2}/){2}[0-9a-f]{28}\.val", re.ASCII
)
DIRECTORY = re.compile(r"[0-9a-f]{2}")
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # the last for what is a pipe
ENTER = os.O_RDONLY | os.O_DIRECTORY
ONLY_OURS = 0o600  # set in so many words: the umask may take away from what `open` is told
# What a link, a socket, or a file in place of a directory makes of an attempt to open it.
NOT_OURS = {errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO, errno.ENAMETOOLONG}
CHUNK = 2**22  # bytes read from a stream at a time


def new_name(directories: int = 256) -> str:
    """A name for a value file, relative to the directory of its shard.

    :param directories: how many of those in it are used
    """
    name = secrets.token_hex(16)
    top = name[:2] if directories == 256 else f"{int(name[:2], 16) % directories:02x}"
    return os.path.join(top, f"{name[2:]}.val")


def has_predecessor(directory: str) -> bool:
    """Whether a cache of python-diskcache is in a directory, with or without shards."""
    return any(
        os.path.exists(os.path.join(directory, *above, PREDECESSOR)) for above in ((), ("000",))
    )


def make_directory(path: str) -> None:
    """Create `path` and what is missing above it, for this user only."""
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        os.chmod(path, 0o700)  # the umask may have taken away from it


def refuse_link(path: str) -> None:
    """:raises OSError: when a symbolic link stands there, for it may lead anywhere"""
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "a symbolic link stands where a cache has its own", path)


def make_way(path: str) -> None:
    """Give a file another name that stands where a directory of ours belongs."""
    if os.path.lexists(path) and not os.path.isdir(path):
        os.rename(path, f"{path}.{secrets.token_hex(4)}")


def create(path: str, flags: int = os.O_RDWR) -> int:
    """A descriptor of the file, which is made if there is none.

    A link in its place is removed, a directory gets another name.

    :raises OSError: when it cannot be opened
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, ONLY_OURS)
    except OSError as error:
        if error.errno == errno.EISDIR:
            os.rename(path, f"{path}.{secrets.token_hex(4)}")
        elif error.errno in (errno.ELOOP, errno.EMLINK):
            os.unlink(path)
        else:
            raise
        descriptor = os.open(path, flags, ONLY_OURS)
    info = os.fstat(descriptor)
    if info.st_size == 0 and info.st_mode & 0o777 & ~ONLY_OURS == 0:  # just made, or as good
        os.fchmod(descriptor, ONLY_OURS)
    return descriptor


def remove_links(*paths: str) -> None:
    """Remove what is a symbolic link of these; what SQLite opens it would follow."""
    for path in paths:
        if os.path.islink(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _create_in(path: str) -> int:
    """A descriptor of the new file.

    Its directory is one of ours by its name, and no link to one of somebody else.
    """
    above, name = os.path.split(path)
    follow = 0 if DIRECTORY.fullmatch(os.path.basename(above)) is None else os.O_NOFOLLOW
    directory = os.open(above, ENTER | follow)
    try:
        return os.open(name, WRITE, ONLY_OURS, dir_fd=directory)
    finally:
        os.close(directory)


def names(directory: str) -> list[str]:
    """Of all value files in the directory of a shard, whether a row has them or not."""
    found = []
    for part in filter(DIRECTORY.fullmatch, os.listdir(directory)):
        with contextlib.suppress(OSError):
            found += [os.path.join(part, name) for name in os.listdir(f"{directory}/{part}")]
    return found


def write(path: str, chunks: Iterable[bytes]) -> tuple[int, int]:
    """Write a new file; its size in bytes and its CRC-32. A failure leaves none behind.

    :raises Fault: when it cannot be made or written; what `chunks` raises stays what it is
    """
    with named(path):
        descriptor = _create_value(path)
    try:
        os.fchmod(descriptor, ONLY_OURS)
        size = crc = 0
        with open(descriptor, "wb", buffering=0) as file:
            for chunk in chunks:
                crc = crc32(chunk, crc)
                with named(path):
                    size += _write_all(file, chunk)
        return size, crc
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(path)
        raise


def _create_value(path: str) -> int:
    try:
        return _create_in(path)
    except OSError as error:
        above = os.path.dirname(path)
        if error.errno in NOT_OURS and DIRECTORY.fullmatch(os.path.basename(above)):
            os.unlink(above)  # a link or a file, where a directory of ours belongs
        elif error.errno != errno.ENOENT:
            raise
        make_directory(above)
        return _create_in(path)


def _write_all(file: IO[bytes], chunk: bytes) -> int:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]  # on a full disk a part may still have gone in
    return len(chunk)


def _parts(name: Any) -> list[str]:
    if type(name) is str and name[:1] != "/" and "\0" not in name:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if parts and ".." not in parts and parts[-1].lower() not in OWN:
            return parts
    raise FileNotFoundError(errno.ENOENT, "not the name of a value file", repr(name))


def _enter(directory: str, parts: list[str]) -> int:
    """A descriptor of the directory that the last of `parts` is in."""
    if len(parts) == 1:
        return os.open(directory, ENTER)  # it may be a link: that is the site's own affair
    descriptor = os.open(os.path.join(directory, parts[0]), ENTER | os.O_NOFOLLOW)
    for part in parts[1:-1]:
        try:
            inner = os.open(part, ENTER | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _open(directory: str, name: Any) -> int:
    parts = _parts(name)
    try:
        above = _enter(directory, parts)
        try:
            descriptor = os.open(parts[-1], READ, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        if error.errno in NOT_OURS:
            raise FileNotFoundError(errno.ENOENT, "not a value file", name) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a value file", name)
    return descriptor


def opened(directory: str, name: Any) -> IO[bytes]:
    """The file, open for reading; its `name` is its path.

    :raises FileNotFoundError: when there is none in the directory
    """
    path = os.path.join(directory, *_parts(name))
    return open(path, "rb", opener=lambda path, flags: _open(directory, name))


def read(directory: str, name: Any) -> bytes:
    """What is in the file.

    :raises FileNotFoundError: when there is none in the directory
    """
    with open(_open(directory, name), "rb", buffering=0) as file:  # it is read whole
        data: bytes = file.read()
        return data


def size(directory: str, name: Any) -> int:
    """Bytes in the file.

    :raises FileNotFoundError: when there is none in the directory
    """
    descriptor = _open(directory, name)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def remove(directory: str, name: Any) -> None:
    """Remove the file; it may be gone already."""
    with contextlib.suppress(OSError):
        parts = _parts(name)
        above = _enter(directory, parts)
        try:
            os.unlink(parts[-1], dir_fd=above)
        finally:
            os.close(above)
