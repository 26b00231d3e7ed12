"""The addresses of hosts, within a deadline.

The system's resolver knows of no deadline, and where no name server answers it takes 5 to 30
seconds for that. So it runs in a thread, one at a time for each host, and who needs an answer
waits for as long as he may. What was found last is used again while there is no answer.

In a child after a fork the thread of the parent is not there; then there is another. An
exception that falls between two steps, by a signal handler, may cost a wait, and no more.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from redis.exceptions import TimeoutError

SHARE = 0.5  # of the time that is left, before what was found last is used

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
        """Whether there will be no answer: its thread was that of a parent process."""
        return self.ident is not None and not self.is_alive() and not self.over

    def wait(self, seconds: float) -> bool:
        """Whether it is over in time."""
        done = threading.Lock()  # each has his own: whoever is interrupted disturbs nobody
        done.acquire()
        self._waiting.append(done.release)
        return self.over or done.acquire(timeout=seconds) or self.over


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
    lookup = begun(key)
    if lookup is None:  # no thread can be started: the interpreter ends
        return asked(host, family)
    last = _found.get(key)
    if not lookup.wait(seconds * SHARE if last else seconds):
        if last:
            return last
        raise TimeoutError(f"the name {host!r} was not resolved in time")
    if lookup.found is None:
        temporary = getattr(lookup.error, "errno", None) == socket.EAI_AGAIN
        if temporary and last:
            return last
        assert lookup.error is not None
        # Its own traceback would grow with each who raises it.
        raise type(lookup.error)(*lookup.error.args) from None
    return lookup.found


def begun(host: _Host) -> Lookup | None:
    """The one lookup of a host that is on its way; None if there can be none."""
    lookup = _looking.get(host)
    if lookup is None or lookup.lost:
        new = Lookup(host)
        if lookup is not None:
            _looking[host] = new
        lookup = _looking.setdefault(host, new)
    if lookup.ident is None:
        try:
            lookup.start()
        except RuntimeError:  # another thread has just done so, or there can be no more
            if lookup.ident is None and not lookup.over:
                return None
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
