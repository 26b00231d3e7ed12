"""Who waits for what others have: first come, first served.

Nothing here locks, for an exception may fall between any two steps of a thread, and a lock that
it leaves behind would hold all others up. What may be lost by it is what was on its way to the
one that was interrupted.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turn(Generic[T]):
    """The place of a thread that waits."""

    __slots__ = ("_given", "_left", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._given: deque[T] = deque()
        self._left = False

    def give(self, what: T) -> bool:
        """Let the thread have something; whether it has not left meanwhile."""
        self._given.append(what)
        if self._left:
            try:
                self._given.pop()
            except IndexError:  # it has looked once more
                return True
            return False
        self._lock.release()
        return True

    def wait(self, seconds: float) -> bool:
        """Whether something was given in time; in its own thread."""
        return self._lock.acquire(timeout=seconds) or bool(self._given)

    def leave(self) -> list[T]:
        """Wait no more; what was given, if anything was."""
        self._left = True
        try:
            return [self._given.pop()]
        except IndexError:
            return []
