"""Request traces: a text, plain or gzip, of one request per line, which is an integer key and
optionally a size in bytes.

A trace is read whole before anything is measured, in 8 or 16 bytes per request. Either every
line has a size or none.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from . import Refused

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Trace:
    """Requests in their order; `sizes`, in bytes, is None where the trace has none."""

    name: str
    keys: array[int]
    sizes: array[int] | None

    def __len__(self) -> int:
        return len(self.keys)

    def first(self, count: int) -> Trace:
        """Its first `count` requests."""
        sizes = None if self.sizes is None else self.sizes[:count]
        return Trace(self.name, self.keys[:count], sizes)

    def unique(self) -> int:
        """How many different keys are asked for."""
        return len(set(self.keys))

    def largest(self, default: int) -> int:
        """Bytes of the largest value, when a request without a size has `default`."""
        return max(self.sizes) if self.sizes else default


def read(path: Path, limit: int | None = None) -> Trace:
    """The trace in `path`, or its first `limit` requests.

    :raises Refused: when the file cannot be read or is no trace, with the number of the line
    """
    keys: array[int] = array("q")
    sizes: array[int] = array("q")
    columns = 0
    number = 0
    try:
        with ExitStack() as stack:
            for number, line in enumerate(_opened(path, stack), start=1):
                fields = line.split()
                columns = columns or len(fields)
                try:
                    key, size = _request(fields, columns)
                    keys.append(key)
                    if size is not None:
                        sizes.append(size)
                except (ValueError, OverflowError):
                    raise Refused(_complaint(path, number, line, columns)) from None
                if number == limit:
                    break
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        where = f" after line {number}" if number else ""
        raise Refused(f"cannot read the trace {path}{where}: {reason}") from error
    if not keys:
        raise Refused(f"the trace {path} is empty")
    return Trace(path.name, keys, sizes if columns == 2 else None)


def _opened(path: Path, stack: ExitStack) -> BinaryIO:
    file = stack.enter_context(path.open("rb"))
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return cast(BinaryIO, stack.enter_context(gzip.open(file))) if packed else file


def _request(fields: list[bytes], columns: int) -> tuple[int, int | None]:
    if len(fields) != columns or columns not in (1, 2):
        raise ValueError
    size = int(fields[1]) if columns == 2 else None
    if size is not None and size < 0:
        raise ValueError
    return int(fields[0]), size


def _complaint(path: Path, number: int, line: bytes, columns: int) -> str:
    expected = {1: "an integer key", 2: "an integer key and a size in bytes"}.get(
        columns, "an integer key, and optionally a size in bytes"
    )
    also = ", as in line 1" if number > 1 else ""
    shown = line[:40].rstrip(b"\n").decode("utf-8", "backslashreplace")
    return f"{path}, line {number}: {shown!r} is not {expected}{also}"
