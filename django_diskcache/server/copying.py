"""Copies of whole caches: from a directory into a server and back, or between any two faces.

Entries are read and stored one by one, through the faces alone; so each is signed and
serialised as the cache that it goes to does it. What others store or remove meanwhile may be
copied or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..engine.errors import ENOVAL
from ..engine.guard import raising

EVERY = 100  # entries between two looks at how far it is
NAMED = 10  # keys that are kept of those that could not be copied


@dataclass
class Copied:
    """How far a copy is."""

    entries: int = 0  # that are in the target now
    gone: int = 0  # that were gone or had expired when they were read
    kept: int = 0  # that the target had already
    refused: int = 0  # that the target did not take
    keys: list[Any] = field(default_factory=list)  # some of those

    @property
    def looked_at(self) -> int:
        """Keys of the source so far."""
        return self.entries + self.gone + self.kept + self.refused


def copy(source: Any, target: Any, overwrite: bool = True) -> Iterator[Copied]:
    """Copy each live entry of a cache into another, with its expiry and tags.

    :param overwrite: else what the target has stays
    :return: how far it is, again and again, and at last when it is done
    :raises Fault: for trouble with the target or the source
    """
    source, target = raising(source), raising(target)
    clock = source.engine.clock
    done = Copied()
    for key in source:
        value, due, tag = source.get(key, ENOVAL, expire_time=True, tag=True)
        left = None if due is None else due - clock()
        if value is ENOVAL or (left is not None and left <= 0):
            done.gone += 1
        else:
            store = target.set if overwrite else target.add
            try:
                if store(key, value, left, tag=tag):
                    done.entries += 1
                else:
                    done.kept += 1
            except (TypeError, ValueError):  # its size, its type, or that of its tag
                done.refused += 1
                if len(done.keys) < NAMED:
                    done.keys.append(key)
        if done.looked_at % EVERY == 0:
            yield done
    yield done
