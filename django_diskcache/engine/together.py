"""Several calls at once, each in a thread, and no longer than there is time for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]], seconds: float) -> list[T | None]:
    """What each call returns, in their order; None for one that was not done in time.

    That one goes on, in a thread that keeps no process alive.

    :raises Exception: what one of them raised, the first in their order
    """
    results: list[T | None] = [None] * len(calls)
    errors: dict[int, BaseException] = {}

    def run(place: int) -> None:
        try:
            results[place] = calls[place]()
        except BaseException as error:
            errors[place] = error

    threads = [
        threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(calls))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise errors[min(errors)]
    return list(results)  # not what a late one writes into
