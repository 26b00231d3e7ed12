"""A circuit breaker: a server that does not answer is not asked by every call.

It is open from the moment that a connection cannot be made, and then for a pause that grows
with each failure: once, where several threads meet it at the same time. When a pause is over,
one call tries; the others are refused at once, as before. The first connection that works
closes it.
"""

from __future__ import annotations

import random
import threading
import time

from ..engine.clock import Clock

SHORTEST = 0.05  # seconds
LONGEST = 2.0


class Breaker:
    """That of one server.

    :param clock: seconds that never go back
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0
        self._until = 0.0
        self._trying = False  # whether one call may try, and has not reported

    @property
    def open(self) -> bool:
        """Whether calls are refused, or one of them is trying."""
        return self._pause > 0

    def refuses(self) -> bool:
        """Whether a call is refused now; if it is not, it must report how it went."""
        if not self._pause:
            return False
        with self._lock:
            now = self._clock()
            if now < self._until:
                return True
            self._until = now + max(self._pause, 1.0)  # should this one never report
            self._trying = True
            return False

    def failed(self) -> None:
        """A connection could not be made."""
        with self._lock:
            now = self._clock()
            if now < self._until and not self._trying:
                return  # it began before the breaker opened: another has told of this failure
            self._trying = False
            self._pause = min(max(self._pause * 2, SHORTEST), LONGEST)
            # Not all machines of a fleet at once.
            self._until = now + self._pause * random.uniform(0.75, 1.25)

    def worked(self) -> None:
        """A connection was made."""
        with self._lock:
            self._pause = self._until = 0.0
            self._trying = False
