"""Value files: where a value lives that is too large for a row.

The row is the truth. A file is complete before a row names it and is removed after the last
row that named it is gone, so whatever interrupts this leaves at most a file without a row,
which `check` sweeps. Names are random, never reused, and spread over 256 directories, which
stay: making and removing a directory takes ten times as long as writing a megabyte. Files are
0600 and directories 0700: a cache holds what its site holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable

NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.val")
DIRECTORY = re.compile(r"[0-9a-f]{2}")
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
CHUNK = 2**22  # bytes read from a stream at a time


def new_name() -> str:
    """A name for a value file, relative to the directory of its shard."""
    name = secrets.token_hex(16)
    return os.path.join(name[:2], f"{name[2:]}.val")


def make_directory(path: str) -> None:
    """Create `path` and what is missing above it, for this user only."""
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def write(path: str, chunks: Iterable[bytes]) -> int:
    """Write a new file and return its size in bytes; a failure leaves none behind."""
    try:
        descriptor = os.open(path, WRITE, 0o600)
    except FileNotFoundError:
        make_directory(os.path.dirname(path))
        descriptor = os.open(path, WRITE, 0o600)
    try:
        with open(descriptor, "wb") as file:
            return sum(file.write(chunk) for chunk in chunks)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(path)
        raise


def remove(directory: str, name: str) -> None:
    """Remove the file; it may be gone already."""
    with contextlib.suppress(OSError):
        os.remove(os.path.join(directory, name))
