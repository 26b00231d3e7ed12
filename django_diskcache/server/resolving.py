"""The addresses of hosts, within a deadline.

The system's resolver knows of no deadline, and where no name server answers it takes 5 to 30
seconds for that. So it runs in a thread, one at a time for each host, and who needs an answer
waits for as long as he may. What was found last is used again while there is no answer.

In a child after a fork the thread of the parent is not there; then there is another. An
exception that falls between two steps, by a signal handler, may cost a wait, and no more.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TypeAlias

from redis.exceptions import TimeoutError

SHARE = 0.5  # of the time that is left, before what was found last is used
UNBEGUN = 1.0  # seconds in which a thread begins

_Host: TypeAlias = "tuple[str, int]"
_looking: dict[_Host, Lookup] = {}
_found: dict[_Host, list[str]] = {}


class Lookup(threading.Thread):
    """The system is asked for a host.

    :ivar found: its addresses, once they are known
    :ivar error: or why they are not
    """

    def __init__(self, host: _Host) -> None:
        super().__init__(name=f"django_diskcache resolves {host[0]}", daemon=True)
        self.found: list[str] | None = None
        self.error: OSError | None = None
        self._host = host
        self._made = monotonic()
        self._waiting: list[Callable[[], object]] = []

    def run(self) -> None:
        try:
            _found[self._host] = self.found = asked(*self._host)
        except Exception as error:  # also of a name that no host can have
            self.error = error if isinstance(error, OSError) else OSError(str(error))
        finally:
            _looking.pop(self._host, None)
            while self._waiting:
                self._waiting.pop()()

    @property
    def over(self) -> bool:
        return self.found is not None or self.error is not None

    @property
    def lost(self) -> bool:
        """Whether there will be no answer.

        Its thread was that of a parent process, or whoever was to begin it was interrupted.
        """
        if self.ident is None:
            return monotonic() - self._made > UNBEGUN
        return not self.is_alive() and not self.over

    def tell(self, over: Callable[[], object]) -> None:
        """Call this when it is over; perhaps twice."""
        self._waiting.append(over)
        if self.over:
            over()

    def wait(self, seconds: float) -> bool:
        """Whether it is over in time."""
        opened = threading.Lock()  # each has his own: whoever is interrupted disturbs nobody
        opened.acquire()
        self.tell(partial(_open, opened))
        return opened.acquire(timeout=seconds) or self.over

    def answer(self) -> list[str]:
        """The addresses, once it is over.

        :raises OSError: when there are none
        """
        if self.found is not None:
            return self.found
        assert self.error is not None
        # Its own traceback would grow with each who raises it.
        raise type(self.error)(*self.error.args) from None

    @property
    def for_now(self) -> bool:
        """Whether there are none for now: no name server has answered."""
        return getattr(self.error, "errno", None) == socket.EAI_AGAIN


def _open(lock: threading.Lock) -> None:
    with suppress(RuntimeError):  # it is open
        lock.release()


def addresses(host: str, family: int, seconds: float) -> list[str]:
    """Those of a host, as numbers.

    :param family: of `socket`; 0 is any
    :param seconds: that this may take
    :raises OSError: when there are none
    :raises TimeoutError: of the client, when it is not known in time
    """
    if _is_number(host):
        return [host]
    key = host, family
    lookup = lookup_of(key)
    last = _found.get(key)
    over = lookup.wait(seconds * SHARE if last else seconds)
    if last and (not over or lookup.for_now):
        return last
    if not over:
        raise TimeoutError(f"the name {host!r} was not resolved in time")
    return lookup.answer()


async def answered(host: str, family: int) -> None:
    """Wait, on an event loop, until the system has an answer for a host.

    The client asks it as well, in one of the few threads that a loop has for all such calls.
    They would all be taken while no name server answers.

    :raises OSError: when there are none
    """
    if _is_number(host):
        return
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    lookup = lookup_of((host, family))
    lookup.tell(partial(_resume, loop, over))
    await over
    lookup.answer()


def _resume(loop: asyncio.AbstractEventLoop, over: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(_done, over)


def _done(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def lookup_of(host: _Host) -> Lookup:
    """The one lookup of a host that is on its way."""
    lookup = _looking.get(host)
    if lookup is None or lookup.lost:
        new = Lookup(host)
        if lookup is not None:
            _looking.pop(host, None)
        lookup = _looking.setdefault(host, new)
        if lookup is new:
            try:
                lookup.start()
            except RuntimeError:  # there can be no more threads, or the interpreter ends
                lookup.run()
    return lookup


def asked(host: str, family: int) -> list[str]:
    """The addresses of a host, as the system knows them, in its order.

    :raises OSError: when there are none
    """
    found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_number(host: str) -> bool:
    with suppress(OSError, UnicodeError):
        return bool(socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST))
    return False
