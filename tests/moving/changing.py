"""Pages of deques and indexes that others change while they are read, in either engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django_diskcache.engine import Deque, Index
from django_diskcache.engine.outgoing import Page


def all_of(found: Iterator[Page]) -> Iterator[Any]:
    """The key and the value of each element, read as it is asked for."""
    return ((entry.key, entry.value) for page in found for entry in page.entries)


def values_under_change(deque: Deque, pages: Iterator[Page]) -> list[Any]:
    """What is read of 0 to 9, by pages of three, while others take and add at the ends."""
    deque.extend(range(10))
    values = (value for _, value in all_of(pages))
    found = [next(values)]
    for _ in range(5):  # two of which are not read yet
        deque.popleft()
    deque.pop()
    deque.append("new")
    deque.appendleft("new")
    return found + list(values)


# Those that were added have places of some that were taken.
EXPECTED_VALUES = [0, 1, 2, "new", 5, 6, 7, 8, "new"]


def items_under_change(index: Index, pages: Iterator[Page]) -> list[Any]:
    """What is read of ten, by pages of three, while others move them to the ends."""
    index.update((n, str(n)) for n in range(10))
    pairs = all_of(pages)
    found = [next(pairs)]
    index.move_to_end(8)
    index.move_to_end(7, last=False)
    index.move_to_end(0)
    del index[5]
    index["new"] = "new"
    return found + list(pairs)


EXPECTED_KEYS = [0, 1, 2, 3, 4, 6, 9, 8, 0, "new", 7]
