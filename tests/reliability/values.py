"""Values that tell whether they are what was stored under their key.

Each is made of its key and a version alone, so that whoever reads one can make it again and
compare. A *wrong value* is one that was never stored under its key.
"""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import Any
from zlib import crc32

BIG = 6000  # bytes of what goes into a file, with `disk_min_file_size` of FILE_FROM
FILE_FROM = 4000
VERSIONS = 2**20
# Lists are pickled and signed; the others are stored as they are, with a checksum.
KINDS = ("list", "big list", "text", "bytes", "number", "big bytes", "big text")


def _filler(key: str, version: int, length: int) -> str:
    digest = blake2b(f"{key}#{version}".encode(), digest_size=16).hexdigest()
    return (digest * (length // 32 + 1))[:length]


def make(key: str, version: int, kind: str) -> Any:
    """The value of this version under the key."""
    if kind == "number":
        return crc32(f"{key}#{version}".encode()) * VERSIONS + version
    length = BIG if kind.startswith("big") else 40 + crc32(key.encode()) % 400
    filler = _filler(key, version, length)
    if kind.endswith("list"):
        return [key, version, filler]
    text = f"{key}#{version}#{filler}"
    return text.encode() if kind.endswith("bytes") else text


def kind_of(number: int) -> str:
    return KINDS[number % len(KINDS)]


def version_of(key: str, value: Any) -> int | None:
    """Which version a value is; None when it was never stored under this key."""
    try:
        if isinstance(value, int):
            version = value % VERSIONS
            return version if make(key, version, "number") == value else None
        if isinstance(value, list):
            version = value[1]
        else:
            text = value.decode() if isinstance(value, bytes) else value
            version = int(text.split("#")[1])
        kinds = [kind for kind in KINDS if type(make(key, 0, kind)) is type(value)]
        return version if any(make(key, version, kind) == value for kind in kinds) else None
    except (ValueError, IndexError, TypeError, AttributeError):
        return None


def some_text(random: Random, length: int) -> str:
    """A text that nothing compresses."""
    return random.randbytes(length // 2).hex()
