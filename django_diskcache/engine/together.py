"""Several calls at once, each in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]], seconds: float) -> list[T | None]:
    """What each call returns, in their order; None for one that was not done in time.

    That one goes on, in a thread that keeps no process alive.

    :raises Exception: what one of them raised, the first in their order
    """
    results: list[T | None] = [None] * len(calls)
    errors: dict[int, BaseException] = {}
    threads = [_thread(call, place, results, errors) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise errors[min(errors)]
    return list(results)  # not what a late one writes into


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each call returns, in their order, when all are done; one of them is this thread's.

    Each knows by itself how long it may take. What one raises is raised when all are done, the
    first in their order; what interrupts this thread is raised at once, and the others go on.
    """
    results: list[Any] = [None] * len(calls)
    errors: dict[int, BaseException] = {}
    threads = []
    own = list(range(len(calls)))[-1:]
    for place, call in enumerate(calls[:-1]):
        thread = _thread(call, place, results, errors)
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had, or the interpreter ends
            own.append(place)
        else:
            threads.append(thread)
    for place in own:
        try:
            results[place] = calls[place]()
        except Exception as error:
            errors[place] = error
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return results


def _thread(
    call: Callable[[], Any], place: int, results: list[Any], errors: dict[int, BaseException]
) -> threading.Thread:
    """One that makes a call, and keeps what comes of it at its place."""

    def run() -> None:
        try:
            results[place] = call()
        except BaseException as error:
            errors[place] = error

    return threading.Thread(target=run, daemon=True)
