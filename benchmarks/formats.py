"""Traces in the formats of public collections, by the name of the file:

- ``.lis``: four integers a line, of the traces that came with ARC (Megiddo and Modha, FAST
  2003): the first block, the number of blocks, and two that do not matter here
- ``.oracleGeneral``: records of 24 bytes, of libCacheSim and the collection of its authors:
  time, object, size, next access
- ``.csv``: seven columns, of Twitter's cache clusters (Yang et al., OSDI 2020): time, key, size
  of the key, size of the value, client, operation, time to live

Each may be compressed with gzip (``.gz``). What is compressed with zstd, as most of those
collections are, must be unpacked first. Any other file is one of `traces`.
"""

from __future__ import annotations

import gzip
import struct
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from zlib import crc32

from . import Refused, traces
from .traces import Trace

RECORD = struct.Struct("<IQIq")
Requests = Iterator[tuple[int, int]]  # key and size; 0 if the format has none


def _lis(file: BinaryIO) -> Requests:
    for line in file:
        start, count, *_ = map(int, line.split())
        for block in range(start, start + count):
            yield block, 0


def _oracle(file: BinaryIO) -> Requests:
    while record := file.read(RECORD.size):
        _, key, size, _ = RECORD.unpack(record)
        yield key & 2**63 - 1, size


def _twitter(file: BinaryIO) -> Requests:
    for line in file:
        _, key, key_size, value_size, _, operation, _ = line.split(b",")
        if operation in (b"get", b"gets"):
            yield crc32(key) << 31 | crc32(key[::-1]) >> 1, int(key_size) + int(value_size)


FORMATS: dict[str, Callable[[BinaryIO], Requests]] = {
    ".lis": _lis,
    ".oracleGeneral": _oracle,
    ".csv": _twitter,
}


def read(path: Path, limit: int | None = None) -> Trace:
    """The trace in `path`, or its first `limit` requests.

    :raises Refused: when the file cannot be read, or is none of its format
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    parse = FORMATS.get(plain.suffix)
    if parse is None:
        return traces.read(path, limit)
    keys, sizes = array("q"), array("q")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for key, size in parse(cast(BinaryIO, file)):
                keys.append(key)
                sizes.append(size)
                if len(keys) == limit:
                    break
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise Refused(f"{path} after request {len(keys)}: {error}") from error
    if not keys:
        raise Refused(f"the trace {path} is empty")
    return Trace(path.name, keys, sizes if any(sizes) else None)
