"""Value files: where a value lives that is too large for a row.

The row is the truth. A file is complete before a row names it and is removed after the last
row that named it is gone, so whatever interrupts this leaves at most a file without a row,
which `check` sweeps. Names are random, never reused, and spread over two levels of
directories. Files are 0600 and directories 0700: a cache holds what its site holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable

NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
CHUNK = 2**22  # bytes read from a stream at a time


def new_name() -> str:
    """A name for a value file, relative to the directory of its shard."""
    name = secrets.token_hex(16)
    return os.path.join(name[:2], name[2:4], f"{name[4:]}.val")


def make_directory(path: str) -> None:
    """Create `path` and what is missing above it, for this user only."""
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def write(path: str, chunks: Iterable[bytes]) -> int:
    """Write a new file and return its size in bytes; a failure leaves none behind."""
    for _ in range(100):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            break
        except FileNotFoundError:  # not made yet, or just removed because it was empty
            with contextlib.suppress(FileNotFoundError):  # and its parent removed meanwhile
                make_directory(os.path.dirname(path))
    else:
        raise FileNotFoundError(f"the directory of {path!r} disappears as soon as it is made")
    try:
        with open(descriptor, "wb") as file:
            return sum(file.write(chunk) for chunk in chunks)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(path)
        raise


def remove(directory: str, name: str) -> None:
    """Remove the file, and the directories that it leaves empty; all may be gone already."""
    path = os.path.join(directory, name)
    with contextlib.suppress(OSError):
        os.remove(path)
        os.rmdir(os.path.dirname(path))
        os.rmdir(os.path.dirname(os.path.dirname(path)))
