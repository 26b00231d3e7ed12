"""What a thread has acquired by one lock object: a stack, since a semaphore may be nested.

On an event loop several tasks of one thread may share an object. There each gives back what it
has acquired itself; then what was acquired by a task that has ended, such as the one that
`asyncio.wait_for` makes of a call; then what was acquired last.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple


class Holding(NamedTuple):
    """One acquisition; `task` is a weak reference to the one that has made it, or None."""

    token: str
    fence: int
    task: weakref.ref[Any] | None


class Held(threading.local):
    """The acquisitions of this thread."""

    def __init__(self) -> None:
        self._all: list[Holding] = []

    def put(self, token: str, fence: int, places: int, task: Any = None) -> None:
        """Remember one; of more than there are `places`, the oldest are lost."""
        by = None if task is None else weakref.ref(task)
        own = [each for each in self._all if each.task == by]
        for each in own[: max(0, len(own) + 1 - places)]:
            self.drop(each.token)
        self._all.append(Holding(token, fence, by))

    def last(self, task: Any = None) -> Holding | None:
        """The one that is to be given back next, if any."""
        found: dict[str, Holding] = {}
        for each in self._all:
            by = None if each.task is None else each.task()
            ended = task is not None and (by is None or by.done())
            found["own" if by is task else "ended" if ended else "other"] = each
        return found.get("own") or found.get("ended") or found.get("other")

    def restore(self, holding: Holding) -> None:
        """Remember one again."""
        self._all.append(holding)

    def drop(self, token: str | None) -> None:
        """Forget one."""
        self._all = [each for each in self._all if each.token != token]
