"""The log of a cache: a line about the same no more than once a minute.

A site in trouble makes thousands of calls, each of which meets it.
"""

from __future__ import annotations

from collections.abc import Hashable

from .clock import Clock

SAY_EVERY = 60.0  # seconds between two lines about the same


class Log:
    """What one process writes about one cache, or one shard of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[Hashable, float] = {}

    def warn(self, about: Hashable, text: str, *args: object) -> None:
        """Log a warning, unless there was one about the same within the last minute."""
        if self._is_due(about):
            import logging  # at start-up it would cost some milliseconds

            logging.getLogger("django_diskcache").warning(text, *args)

    def error(self, about: Hashable, text: str, *args: object) -> None:
        """Log an error, unless there was one about the same within the last minute."""
        if self._is_due(about):
            import logging

            logging.getLogger("django_diskcache").error(text, *args)

    def _is_due(self, about: Hashable) -> bool:
        now = self._clock()
        if abs(now - self._said.get(about, -SAY_EVERY)) < SAY_EVERY:
            return False
        self._said[about] = now
        return True
