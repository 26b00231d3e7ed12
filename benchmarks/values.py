"""Keys and values of the suites: those of an ordinary page fragment or a row of a query."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

HOT = 100  # keys that are read again and again


def small(number: int) -> dict[str, Any]:
    """A dictionary of four keys that pickles to 0.2 kB."""
    return {
        "id": number,
        "title": f"An article about the number {number}, with a title of usual length",
        "tags": ["cache", "sqlite", "django"],
        "body": "x" * 60,
    }


def text(number: int) -> str:
    """A string of 0.2 kB."""
    return f"{number:08d} " + "a line of rendered text " * 8


def key(number: int) -> str:
    """A key of its own for each number below 2**32. Their order is none, as with the digests
    that most keys end in: in an index, neighbours by number are far apart.
    """
    return f"key:{number * 2654435761 % 2**32:08x}"


def entries(first: int, count: int) -> Iterator[tuple[str, Any]]:
    """So many entries with small values."""
    return ((key(number), small(number)) for number in range(first, first + count))


def shuffled(count: int, seed: int = 1) -> list[int]:
    """The numbers below `count`, in an order that every run has."""
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)
    return numbers


def noise(size: int) -> bytes:
    """`size` bytes that do not compress."""
    return random.Random(size).randbytes(size)
