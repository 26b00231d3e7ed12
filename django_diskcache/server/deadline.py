"""A deadline for a whole call, however its answer comes, kept by the socket.

A socket has a timeout, and each packet begins that anew: a server that sends a byte now and
then holds a thread for as long as it likes. `Timed` stands for a socket and knows when the call
has begun. It looks at the clock before it waits, and waits no longer than is left.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

NEVER = float("inf")
# Of the deadline: what may be gone before the socket is told how much is left, which is a call
# to the system.
TOLERANCE = 0.03
# Instead of when a call began, where its time is over. It may still send and then receive, each
# for no longer than the tolerance: perhaps its thread had to wait for the interpreter, as one
# of many, or for another server, and not for this one.
SENT_LATE, RECEIVED_LATE = -1e12, -2e12


class Deadline:
    """When the calls on a connection must be over, one after the other.

    :param seconds: that each of them may take
    :ivar begun: when it began, by `time.monotonic`; `NEVER` where there is no deadline
    """

    __slots__ = ("begun", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = NEVER

    def begin(self) -> None:
        """A call begins."""
        self.begun = monotonic()

    def left(self) -> float:
        """Seconds, from the tolerance to what a call may take."""
        left = self.begun - monotonic() + self.seconds
        return min(max(left, self.seconds * TOLERANCE), self.seconds)


class Timed(Deadline):
    """A deadline that is kept by the socket of a connection: the client takes this for it."""

    __slots__ = (
        *("_enough", "_grace", "_receive", "_receive_into", "_send", "_socket"),
        *("fileno", "pending"),
    )

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._socket: Any = None
        self._enough = seconds * TOLERANCE  # when so much is gone, the timeout is another
        self._grace = 0.0  # until when what is late may be done

    def around(self, connected: Any) -> Timed:
        """This, as the socket that was just connected."""
        self._socket = connected
        self._receive, self._receive_into = connected.recv, connected.recv_into
        self._send = connected.sendall
        # The client looks at these before each call that must not be done twice.
        self.fileno = connected.fileno
        self.pending = getattr(connected, "pending", int)  # 0 of one without TLS
        self.settimeout(self.seconds)
        return self

    def settimeout(self, seconds: float | None) -> None:
        """By the client, for a look: then there is no other deadline than this."""
        self._socket.settimeout(seconds)
        self._enough = self.seconds * TOLERANCE if seconds == self.seconds else NEVER

    # What the client does with a socket in a call

    def sendall(self, data: Any) -> None:
        if monotonic() - self.begun > self._enough:
            self._shorten(SENT_LATE)
        self._send(data)

    def recv_into(self, buffer: Any) -> int:
        if monotonic() - self.begun > self._enough:
            self._shorten(RECEIVED_LATE)
        count: int = self._receive_into(buffer)
        return count

    def recv(self, size: int, flags: int = 0) -> bytes:
        if monotonic() - self.begun > self._enough and not flags:  # else it is but a look
            self._shorten(RECEIVED_LATE)
        data: bytes = self._receive(size, flags)
        return data

    def _shorten(self, late: float) -> None:
        """Let the socket wait for what is left, or as it usually does.

        :param late: what the call is about to do, if its time is over
        :raises TimeoutError: when nothing is left for that either
        """
        now = monotonic()
        usual = self.seconds * TOLERANCE
        left = self.begun + self.seconds - now
        if now - self.begun <= usual:
            self.settimeout(self.seconds)
            return
        if left <= 0:
            if self.begun != late:
                self.begun = late
                self._grace = now + usual
            left = self._grace - now
            if left <= 0:
                raise TimeoutError("the deadline is over")
        self._enough = -NEVER  # look again, for the next call has more time
        self._socket.settimeout(left)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)
