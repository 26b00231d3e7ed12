"""Connections of the client that keep to a deadline.

All that a call does on a connection has one deadline: to find the addresses of the host, to
connect, to greet, to send, to read (`deadline`).

Each class of the client makes its socket in `_connect`, which those for TLS extend. That is
what is overridden here, since there is no public place for it. Greeting over TLS has one
timeout for all of its packets, and so has `sendall`: that is Python's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from redis.connection import Connection

from .deadline import NEVER, Timed
from .resolving import addresses


class Punctual:
    """What a class of the client's connections gets; see `punctual`.

    :ivar timed: its deadline. Who begins it before each call on a connection has it kept for
        all of the call. Else it is kept while the client connects, and no longer
    """

    socket_timeout: float

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.timed = Timed(self.socket_timeout)

    def connect(self) -> None:
        """By the client's class, within a deadline."""
        connection: Any = super()
        timed = self.timed
        if timed.begun != NEVER:
            connection.connect()
            return
        timed.begin()
        try:
            connection.connect()
        finally:
            timed.begun = NEVER

    def _connect(self) -> Any:
        connection: Any = super()
        return self.timed.around(connection._connect())


class OneByOne(Connection):
    """The end of a class of connections to a host: addresses are tried within the deadline."""

    timed: Timed

    def _connect(self) -> Any:
        connection: Any = super()
        host, usual = self.host, self.socket_connect_timeout
        last = OSError("the host has no address")
        found = addresses(host, self.socket_type, self.timed.left())
        try:
            for number, address in enumerate(found):
                left = self.timed.left() / (len(found) - number)
                # The client resolves this as well, which needs nobody's answer.
                self.host = address
                self.socket_connect_timeout = min(usual or left, left)
                try:
                    connected = connection._connect()
                except OSError as error:
                    last = error
                    continue
                # A greeting of TLS follows, which goes by this.
                connected.settimeout(self.timed.left())
                return connected
        finally:
            self.host, self.socket_connect_timeout = host, usual
        raise last


@cache
def punctual(cls: Any) -> Any:
    """A class of the client's connections, with deadlines that are kept."""
    bases = [cls] if cls is not Connection else []
    if issubclass(cls, Connection):
        bases.append(OneByOne)
    return type(f"Punctual{cls.__name__}", (Punctual, *bases), {})
