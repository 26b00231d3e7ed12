"""Django signals of what a cache does, for an entry of CACHES with the option ``signals``.

Each has `alias`, the name of the entry in CACHES or None if there is none, and `directory`.
Those of calls have `keys`, a list as the caller wrote them, `version`, the `method` by its name
("get", "set_many"), and `seconds` that the call took. A call on many keys sends once for all.

Receivers run after the call has done its work: in its thread, or awaited by the asynchronous
method, where Django runs those in a thread that are no coroutine functions. What they raise is
logged and reaches nobody. While one runs, caches send nothing: it may use them itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

from django.dispatch import Signal

# keys, version, method, seconds
cache_hit = Signal()
cache_miss = Signal()
cache_set = Signal()
# keys, version, method, seconds; `count`, how many entries went, or None where nobody knows;
# `what`: if not their keys, which are then None, what has named them, such as a tag.
cache_deleted = Signal()
# reason ("size", "entries", "expired"), count, and size in bytes, about: one batch
cache_evicted = Signal()
# error, a `Fault` or `Timeout`
cache_error = Signal()

Told: TypeAlias = "tuple[Signal, Any, dict[str, Any]]"

# Where an asynchronous call gathers what it has to send when it is done.
_gathered: ContextVar[list[Told] | None] = ContextVar("gathered", default=None)
_sending: ContextVar[bool] = ContextVar("sending", default=False)


def send(signal: Signal, sender: Any, **arguments: Any) -> None:
    """Send it now, or when the asynchronous call that this is part of is done."""
    if _sending.get() or not signal.has_listeners(sender):
        return
    gathered = _gathered.get()
    if gathered is not None:
        gathered.append((signal, sender, arguments))
        return
    with _alone():
        try:
            signal.send_robust(sender, **arguments)
        except Exception:  # a coroutine function, called where an event loop runs
            logging.getLogger("django_diskcache").exception("a signal could not be sent")


@contextmanager
def gathering() -> Iterator[list[Told]]:
    """What is sent meanwhile, by this task and the threads that work for it."""
    told: list[Told] = []
    token = _gathered.set(told)
    try:
        yield told
    finally:
        _gathered.reset(token)


async def asend(told: list[Told]) -> None:
    """Send what was gathered."""
    with _alone():
        for signal, sender, arguments in told:
            await signal.asend_robust(sender, **arguments)


@contextmanager
def _alone() -> Iterator[None]:
    before = _sending.get()
    try:
        _sending.set(True)  # in here: a handler of signals of the system may raise at any step
        yield
    finally:
        _sending.set(before)
