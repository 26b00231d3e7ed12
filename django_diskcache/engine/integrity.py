"""Seals: how a value that is not signed tells whether it is what was stored under its key.

SQLite has no checksums of its pages. A bit that flips in a text or a number would make another
text or number of it, and one in an index would lead from a key to the value of another. So the
column of the mode holds, above the mode itself, 32 bits of a checksum over the key's hash and
the value: a CRC-32, and for integers a sum that SQL can carry on when it adds to one. It finds
damage, not forgery. What is signed needs none, and 0 stands for none.
"""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

MODE_BITS = 20
MODES = (1 << MODE_BITS) - 1
WORD = 0xFFFFFFFF

_pack_float = struct.Struct("<d").pack

# The seal of the integer {0}, in SQL; {1} is the key's hash. As `seal_of` has it.
SUM = f"((({{0}} & {WORD}) + (({{0}} >> 32) & {WORD}) + {{1}}) & {WORD})"


def seal_of(value: Any, number: int) -> int:
    """The seal of a value as it stands in a row, which is a text, bytes, int or float.

    :param number: the key's hash
    :raises TypeError: for anything else
    """
    kind = type(value)
    if kind is str:
        return crc32(value.encode(), number & WORD)
    if kind is bytes:
        return crc32(value, number & WORD)
    if kind is int:
        total: int = (value & WORD) + ((value >> 32) & WORD) + number
        return total & WORD
    if kind is float:
        return crc32(_pack_float(value), number & WORD)
    raise TypeError(f"a {kind.__name__} is no value")


def seal_of_file(crc: int, number: int) -> int:
    """The seal of a value in a file.

    :param crc: CRC-32 of the file's bytes
    :param number: the key's hash
    """
    return (crc ^ number) & WORD
