"""Copies of whole caches: from a directory into a server and back, or between any two faces.

Entries are read a page at a time and stored again, so each is signed, compressed and serialised
as the cache does it that it goes to. What others store or remove meanwhile may be copied or
not. A copy that was interrupted is begun again; where what is there is not overwritten, it
passes over what it has done.

Locks that are held do not come along: their holders give them back where they took them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..engine import files, outgoing
from ..engine.disk import Pinned
from ..engine.errors import TooLarge
from ..engine.guard import raising
from ..engine.outgoing import EXPIRED, FOREIGN, LOCKS, UNKNOWN_CODEC, UNREADABLE, Page, Whole
from .predecessor import COLLECTIONS
from .takeover import ODD, REFUSED, THERE

TOO_LARGE = "too large"
# Why something was not copied, in the order of telling; and what of that nobody has wanted.
REASONS = (THERE, EXPIRED, LOCKS, FOREIGN, UNREADABLE, UNKNOWN_CODEC, TOO_LARGE, REFUSED)
REFUSALS = REASONS[3:]

NAMED = 10  # refusals that are told


class Part(NamedTuple):
    """What is in a cache.

    :param kind: 'cache', 'deque' or 'index'
    :param cache: of the cache in it that a deque or an index is in, which is so on a server
    """

    kind: str
    name: str
    cache: str = ""

    def __str__(self) -> str:
        inside = f" of cache {self.cache!r}" if self.cache else ""
        return f"{self.kind} {self.name!r}{inside}"


@dataclass
class Copied:
    """How far a copy is.

    :param entries: that were stored, or would be
    :param bytes: of their values, as they lay where they were read
    :param left: how many entries were not, by the reason
    :param refusals: of some that the target did not take, what it said
    :param done: how much of the source has been looked at, from 0 to 1
    """

    entries: int = 0
    bytes: int = 0
    left: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, str] = field(default_factory=dict)
    done: float = 0.0

    def count(self, key: Any, size: int, outcome: Any) -> None:
        """Count an entry of so many bytes.

        :param outcome: whether it was stored, or why it cannot be; else its time was over
        """
        if outcome is True:
            self.entries += 1
            self.bytes += size
        elif outcome is False:
            self.left[THERE] += 1
        elif isinstance(outcome, ODD):
            self.refuse(_shown(key), outcome)
        else:
            self.left[EXPIRED] += 1

    def refuse(self, what: str, why: Exception, number: int = 1) -> None:
        """Count so many entries that the target does not take."""
        self.left[TOO_LARGE if isinstance(why, TooLarge) else REFUSED] += number
        if len(self.refusals) < NAMED:
            self.refusals[what] = f"{type(why).__name__}: {why}"[:200]

    @property
    def refused(self) -> int:
        """How many live entries could not be copied."""
        return sum(self.left[reason] for reason in REFUSALS)


def copy(
    source: Any,
    target: Any,
    overwrite: bool = True,
    write: bool = True,
    found: Copied | None = None,
) -> Iterator[Copied]:
    """Copy each live entry of a cache into another, with the time it has left and its tags.

    :param target: None is an empty one, where nothing is written
    :param overwrite: else what the target has stays
    :param write: else it is only counted
    :param found: what is counted goes on from there
    :return: how far it is, again and again, and at last when it is done
    :raises Timeout: for trouble with the target or the source
    :raises Fault: likewise
    """
    source = raising(source)
    found = Copied() if found is None else found
    pages = outgoing.pages(source.engine) if source.engine.in_files else source.pages()
    return put_all(pages, raising(target), overwrite, write, found)


def put_all(
    pages: Iterable[Page], target: Any, overwrite: bool, write: bool, found: Copied
) -> Iterator[Copied]:
    """Store the entries of pages, each by itself; otherwise like `copy`."""
    for page in pages:
        found.left.update(page.left)
        _put(page, target, overwrite, write, found)
        found.done = page.done
        yield found


def _put(page: Page, target: Any, overwrite: bool, write: bool, found: Copied) -> None:
    if not write:
        new = overwrite or target is None
        outcomes: Sequence[Any] = [new or each.key not in target for each in page.entries]
    elif target.engine.in_files:
        outcomes = [_stored(each, target, overwrite) for each in page.entries]
    else:
        outcomes = target.store_whole(page.entries, overwrite)
    for entry, outcome in zip(page.entries, outcomes, strict=True):
        found.count(entry.key, entry.size, outcome)


def _stored(entry: Whole, target: Any, overwrite: bool) -> bool | Exception | None:
    """Whether an entry was stored, or why it cannot be; None if its time is over."""
    left = None if entry.due is None else entry.due - target.engine.clock()
    if left is not None and left <= 0:
        return None
    store = target.set if overwrite else target.add
    value = Pinned(entry.value) if entry.pinned else entry.value
    try:
        return bool(store(entry.key, value, left, tag=entry.tag, retry=True))
    except ODD as why:
        return why


def _shown(key: Any) -> str:
    """A key for people; it may be long, and of any type."""
    text = repr(key)
    return text if len(text) <= 100 else f"{text[:97]}..."


def collections(face: Any) -> list[Part]:
    """What is in a cache: caches, deques and indexes.

    :raises Fault: when a server does not answer
    """
    if not face.engine.in_files:
        return [Part(kind, name, cache) for cache, kind, name in face.all_collections()]
    found = []
    for kind in COLLECTIONS:
        top = os.path.join(face.directory, kind)
        for path, _, names in os.walk(top):
            if files.DATABASE in names:
                found.append(Part(kind, os.path.relpath(path, top)))
    return sorted(found)


def same_place(one: Any, other: Any) -> bool:
    """Whether two caches have the same entries.

    :raises Fault: when a server does not answer
    """
    if one.engine.in_files != other.engine.in_files:
        return False
    if one.engine.in_files:
        return os.path.samefile(one.directory, other.directory)
    return bool(one.whereabouts() == other.whereabouts())
