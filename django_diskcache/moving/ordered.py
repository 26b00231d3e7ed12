"""Copies of deques and indexes, whose elements have an order.

An index is copied as a cache is: item by item, each by its key. A deque has no keys: to add its
values once more would double them. So it is copied whole, and the values that it has where it
goes to give place to the others in one step. What was interrupted before has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from ..engine import outgoing
from ..engine.guard import raising
from ..engine.refilling import refilling
from .copying import Copied, put_all
from .takeover import ODD, THERE

NEARLY = 0.99  # how far a deque is whose values are all read


def copy_index(
    source: Any, target: Any, overwrite: bool, write: bool, found: Copied
) -> Iterator[Copied]:
    """Copy each item of an index into another, in their order; otherwise like `copying.copy`.

    Items that the target has keep their place there.

    :param source: what an `Index` has as its `cache`, and so the target
    """
    source = raising(source)
    in_files = source.engine.in_files
    pages = outgoing.items(source.engine) if in_files else source.whole_pages()
    return put_all(pages, raising(target), overwrite, write, found)


def copy_deque(
    source: Any, target: Any, overwrite: bool, write: bool, found: Copied
) -> Iterator[Copied]:
    """Let a deque have the values of another, in their order, and no others.

    Where none can be copied, it keeps what it has.

    :param source: what a `Deque` has as its `cache`, and so the target; None is an empty one,
        where nothing is written
    :param overwrite: else one that has any values stays as it is
    :param write: else they are only counted
    :param found: where it is counted
    :return: how far it is, again and again, and at last when it is done
    :raises Timeout: for trouble with the target or the source
    :raises Fault: likewise
    """
    source, target = raising(source), raising(target)
    if not overwrite and target is not None and len(target):
        found.left[THERE] += len(source)
    elif not write:
        for page in _pages(source):
            found.left.update(page.left)
            found.entries += len(page.entries)
            found.bytes += page.bytes
            found.done = page.done
            yield found
    else:
        with _refilling(target, overwrite) as filling:
            if overwrite or not filling.there:
                yield from _fill(filling, source, found)
            else:  # others were faster
                found.left[THERE] += len(source)
    found.done = 1.0
    yield found


def _pages(source: Any) -> Iterator[outgoing.Page]:
    pages: Iterator[outgoing.Page]
    in_files = source.engine.in_files
    pages = outgoing.queued(source.engine) if in_files else source.whole_pages()
    return pages


def _refilling(target: Any, overwrite: bool) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any]
    if target.engine.in_files:
        context = refilling(target.engine, ODD)
    else:
        context = target.refilling(overwrite)
    return context


def _fill(filling: Any, source: Any, found: Copied) -> Iterator[Copied]:
    """Read and store all values; what was taken counts when it is kept."""
    taken = Copied()
    number = 0
    for page in _pages(source):
        found.left.update(page.left)
        for entry, outcome in zip(page.entries, filling.add(page.entries), strict=True):
            if isinstance(outcome, ODD):
                found.refuse(f"value {number}", outcome)
            else:
                (taken if outcome is True else found).count(number, entry.size, outcome)
            number += 1
        found.done = min(page.done, NEARLY)
        yield found
    if filling.keep():
        found.entries += taken.entries
        found.bytes += taken.bytes
    elif taken.entries:
        found.left[THERE] += taken.entries
