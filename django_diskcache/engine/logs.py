"""What is told of a cache: a line about the same no more than once a minute, and no password.

A site in trouble makes thousands of calls, each of which meets it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

from .clock import Clock

SAY_EVERY = 60.0  # seconds between two lines about the same

# In a URL: all before the last @, and what is called a password behind the ?.
_USER = re.compile(r"^([a-z+]*://)?(?:([^/?#@:]*:)|[^@]).*@", re.IGNORECASE)
_PASSWORD = re.compile(r"([?&][^=&#]*password=)[^&#]*", re.IGNORECASE)


def without_password(url: str) -> str:
    """A URL as it may be shown; what stands alone before an @ may be meant as a password."""
    shown = _USER.sub(lambda found: f"{found[1] or ''}{found[2] or ''}***@", url)
    return _PASSWORD.sub(r"\1***", shown)


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
