"""Wall-clock time, in one place, so that a test can hand in its own.

Expiry is wall-clock time because entries outlive processes and reboots. The function looks
``time.time`` up at each call: libraries that freeze time for a test replace that attribute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]


def wall_clock() -> float:
    """Seconds since the epoch."""
    return time.time()
