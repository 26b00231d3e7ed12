"""The two sides of a copy: a cache and what is in it, each by a face that has time and raises.

A server is asked by connections of their own, which wait longer than a site does. A directory
may have thousands of collections, with some files each: what has been copied is let go.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from ..engine.faults import FAULTS
from ..engine.guard import raising
from .copying import Part, collections

PATIENCE = 10.0  # seconds for an answer: a page is large, and nobody waits for it
CACHE = "cache"  # the kind of a cache, among deques and indexes
ITSELF = Part(CACHE, "")  # the cache itself, beside what is in it


class Side:
    """One of them.

    :param face: of the cache; None is one that is not there
    :param makes: whether what is not there yet is made
    """

    def __init__(self, face: Any, makes: bool) -> None:
        self._face = face
        self._in_files = face is None or bool(face.engine.in_files)
        self._patient = None if self._in_files else face.patient(PATIENCE)
        self._there = None if makes or face is None else set(self.collections())
        self._opened: Any = None
        self._damaged: dict[Part, Exception] = {}  # when it was opened, and not yet told

    def collections(self) -> list[Part]:
        """What is in it, see `copying.collections`.

        :raises Fault: when a server does not answer
        """
        return collections(self._face if self._patient is None else self._patient)

    def part(self, part: Part) -> Any:
        """What `copying` and `ordered` copy: the cache itself, or what is in it.

        What it has opened before is closed.

        :return: None for what is not there and is not made
        :raises OSError, ValueError: for what no directory can have
        :raises Fault: for a deque or an index that was damaged, and is empty now
        """
        face = self._open(part)
        if part in self._damaged:
            raise self._damaged.pop(part)
        return face

    def _open(self, part: Part) -> Any:
        self.leave()
        kind, name, cache = part
        if cache and self._in_files:
            raise ValueError(f"a cache in a directory has no {kind} of its own")
        if self._face is None or not (
            part == ITSELF or self._there is None or part in self._there
        ):
            return None
        if part == ITSELF:
            return raising(self._face) if self._in_files else self._patient
        if self._in_files:
            # Not by the site's object, which would keep what it has opened, and its files.
            twin = copy(self._face)
            twin._collections = {}
            found = getattr(twin, kind)(name)
            self._opened = raising(found if kind == CACHE else found.cache)
            if kind != CACHE:
                (store,) = self._opened.engine.stores
                damage, store.damage = store.damage, None
                if damage is not None:
                    self._damaged[part] = damage
            return self._opened
        if kind == CACHE:
            self._opened = self._face.cache(name).patient(PATIENCE)
            return self._opened
        owner = self._patient
        if cache:
            owner = self._opened = self._face.cache(cache).patient(PATIENCE)
        return getattr(owner, kind)(name).cache

    def leave(self) -> None:
        """Close what `part` has opened last."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def close(self) -> None:
        """Close all that is not the site's."""
        self.leave()
        if self._patient is not None:
            self._patient.close()

    def weight(self, part: Part) -> int:
        """How much there is to look at: entries, or names on a server; 0 if nobody knows.

        :raises Fault: when a server does not answer
        """
        if part.kind == CACHE and self._patient is not None:
            names: int = self._patient.names()
            return names
        try:
            face = self._open(part)  # it is `part` that tells of damage
            # Not by the face: it would put aside what is damaged, before anybody is told.
            return int(face.engine.count() if self._in_files else len(face))
        except FAULTS:
            if not self._in_files:
                raise
            return 0
        finally:
            self.leave()
