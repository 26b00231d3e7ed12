"""Directories of Django's FileBasedCache: a file for each entry, named by a digest of its key.

So no key can be read there; files are found by keys that somebody knows. In a file is a pickle
of when it expires, and behind it, compressed by zlib, one of the value.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from hashlib import md5
from typing import Any, NamedTuple

from ..engine import files
from ..engine.compression import MOST
from ..engine.disk import GARBAGE
from . import harmless

SUFFIX = ".djcache"


class Found(NamedTuple):
    """An entry: its value, when it expires (seconds since the epoch, or None), its bytes."""

    value: Any
    expire: float | None
    bytes: int


def name_of(key: str) -> str:
    """The name of the file of a key, as the cache has made it: ``:1:key``."""
    return md5(key.encode(), usedforsecurity=False).hexdigest() + SUFFIX


def names(directory: str) -> set[str]:
    """Of all files of entries."""
    with suppress(OSError):
        return {name for name in os.listdir(directory) if name.endswith(SUFFIX)}
    return set()


def read(directory: str, name: str, loads: Callable[[bytes], Any], now: float) -> Found:
    """What is in a file; the value is None if it has expired.

    :raises FileNotFoundError: when it is gone
    :raises ValueError: when it cannot be read; and what `loads` raises
    """
    try:
        data = files.read(directory, name)
        file = io.BytesIO(data)
        expire = harmless.load(file)
        if expire is not None and expire + 0.0 <= now:
            return Found(None, expire, len(data))
        expander = zlib.decompressobj()
        pickled = expander.decompress(file.read(), MOST)
        if not expander.eof:
            raise ValueError("too long, or not all there")
        return Found(loads(pickled), expire, len(data))
    except FileNotFoundError:
        raise
    except (OSError, AttributeError, MemoryError, *GARBAGE) as error:
        raise ValueError(f"{name}: {error}") from error
