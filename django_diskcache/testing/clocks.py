"""A clock for caches under test: what would take an hour takes no time."""

from __future__ import annotations

import time


class CacheClock:
    """The time of day as caches under test know it; a test moves it.

    Left alone it goes as `time.time` does, which libraries such as freezegun replace.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._stopped: float | None = None

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return (time.time() if self._stopped is None else self._stopped) + self._ahead

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once; less than none sets the clock back."""
        self._ahead += seconds

    def stop(self) -> None:
        """Stand still from now on, but for `advance`: no test then depends on its speed."""
        self._stopped = self() - self._ahead
