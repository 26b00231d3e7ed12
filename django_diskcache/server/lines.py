"""Connections to one server, which any thread borrows for a call.

The client library connects, authenticates, packs and parses; this keeps its connections. Its
own pool asks the socket of each connection that it lends whether something happened to it
meanwhile, which takes a third of the time of a call. Here, a call that finds its connection
broken is made once more on a new one; where doing it twice is not the same as once, the
connection is looked at before.

A connection from which the near cache may remember has asked the server to tell the listener
what changes of all that is read on it (`CLIENT TRACKING`). When such a connection is given up,
the server tells no more of that; so everything is forgotten then.

An exception may fall between any two steps, since a signal handler may raise. A connection is
in the list only while nobody uses it, and whoever is interrupted loses it. Where all are in
use, threads queue, and what is given back goes to the first of them. Who gives it back may be
interrupted before it has got there; so whoever waits looks around himself, now and then.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.exceptions import ResponseError

from ..engine.errors import Fault
from .breaker import Breaker
from .deadline import Deadline
from .packing import sender
from .trouble import ERRORS, fault, is_broken, kind_of, reason
from .turns import Turn

MOST_LINES = 64  # connections of a process to a server
LOOK_EVERY = 0.1  # seconds between two looks of who waits in turn

TRACKING = (b"CLIENT", b"TRACKING", b"ON", b"REDIRECT")
ENOUGH = 0.5  # of the deadline: what must be left of it to connect for a second try
NOBODY = 0  # the generation where no listener is told


class Line:
    """A connection, and what it has asked the server for.

    :param deadline: of the calls on it
    :param forget: called when changes of what was read on it are no longer told
    """

    __slots__ = (
        *("__weakref__", "_forget", "asked", "connection", "deadline"),
        *("read", "send", "tracked"),
    )

    def __init__(
        self, connection: Any, deadline: Deadline, forget: Callable[[], object]
    ) -> None:
        self.connection = connection
        self.deadline = deadline
        self._forget = forget
        self.send = sender(connection)
        self.read = connection.read_response
        self.asked = NOBODY  # the generation of the listener that it has asked for
        self.tracked = False  # whether that one will be told

    def lost(self) -> None:
        """It is given up."""
        if self.tracked:
            self.tracked = False
            self._forget()

    def __del__(self) -> None:  # by an exception that fell between two steps
        self.lost()


class Lines:
    """The connections to a server.

    :param make: makes a connection, unconnected; see `punctual`
    :param name: the server's address, as it may be shown
    :param patience: seconds that a call may wait
    :param forget: called when what was remembered of this server may be stale
    """

    def __init__(
        self, make: Callable[[], Any], name: str, patience: float, forget: Callable[[], object]
    ) -> None:
        self.make = make
        self.name = name
        self.patience = patience
        self.forget = forget
        # Of the listener: a number that no other has had in this process, and who is told.
        self.generation = NOBODY
        # The id of its client, and where that is connected.
        self.listener: tuple[bytes, Any] | None = None
        self.begin()

    def begin(self) -> None:
        """Know no connection; those of a parent process are the parent's."""
        self.breaker = Breaker()
        self._refusal = "lost", "it could not be reached"
        self._idle: list[Line] = []
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._waiting: deque[Turn[Line | None]] = deque()
        self._handed = 0.0  # when who waited was given a connection last

    # Borrowing, and giving back

    def _borrow(self) -> Line:
        """A connection for one call, whose deadline begins."""
        if not self._waiting:
            try:
                line = self._idle.pop()
            except IndexError:
                pass
            else:
                line.deadline.begun = monotonic()  # as `begin`, which is a call
                return line
        return self._next()

    @property
    def busy(self) -> bool:
        """Whether who wants a connection has to queue for it, by all that is known."""
        return bool(self._waiting) or len(self._lines) >= MOST_LINES

    def _spare(self) -> Line | None:
        """`_borrow`, where a connection is idle, and was not closed meanwhile: at once.

        :return: None where there is none, or others wait for one
        """
        if self._waiting:
            return None
        try:
            line = self._idle.pop()
        except IndexError:
            return None
        line.deadline.begin()
        try:
            if not line.connection.can_read():
                return line
        except ERRORS:
            pass
        self._drop(line)
        self._drop_idle()  # they are most likely broken as well
        return None

    def _next(self) -> Line:
        """The next connection that is given back, in turn, or a new one.

        The deadline of a call begins when it has its connection. Many calls at once wait for
        as long as those before them get their answers.

        :raises Fault: when nobody has got any for as long as a call may wait
        """
        begun = monotonic()
        while True:
            if not self._waiting and (made := self._made()):
                return made
            given = self._wait(begun)
            if given is not None:
                given.deadline.begin()
                return given
            if made := self._made():
                return made

    def _wait(self, begun: float) -> Line | None:
        """What is given to this thread in its turn: None is leave to look again."""
        turn: Turn[Line | None] = Turn()
        try:
            self._waiting.append(turn)
            self._hand_on()  # one may have been given back just before that
            while True:
                left = max(begun, self._handed) + self.patience - monotonic()
                if left <= 0:
                    why = f"all {MOST_LINES} connections are in use"
                    raise Fault("slow", self.name, why)
                if turn.wait(min(left, LOOK_EVERY)):
                    break
                self._hand_on()
                if turn not in list(self._waiting):  # it was called, and perhaps for nothing
                    break
        except BaseException:
            with suppress(ValueError, IndexError):
                self._waiting.remove(turn)
            for line in turn.leave():
                if line is not None:
                    self._give(line)
            self._hand_on()
            raise
        return next(iter(turn.leave()), None)

    def _give(self, line: Line) -> None:
        """Give a connection back on which nothing is on its way."""
        self._idle.append(line)
        if self._waiting:
            self._hand_on()

    def _hand_on(self) -> None:
        """Let those who wait have what is idle, in turn, or make a connection."""
        while self._waiting:
            line: Line | None = None
            try:
                line = self._idle.pop()
            except IndexError:
                if len(self._lines) >= MOST_LINES:
                    return
            try:
                taken = self._waiting.popleft().give(line)
            except IndexError:  # another thread has seen to them
                taken = False
            if line is None:
                if taken:
                    return
            elif taken:
                self._handed = monotonic()
            else:
                self._idle.append(line)

    # Connecting, and giving up

    def _made(self) -> Line | None:
        """A new connection for a call that begins, if there is room for one."""
        if len(self._lines) >= MOST_LINES:
            return None
        try:
            self.refuse()
        except Fault:
            self._hand_on()  # who waits for a connection would wait for nothing
            raise
        line = self._line()
        if len(self._lines) > MOST_LINES:  # others were faster
            self._lines.discard(line)
            self._hand_on()
            return None
        line.deadline.begin()
        return self._connected(line)

    def _instead(self, broken: Line) -> Line:
        """A new connection for a call that found its own broken, and began with that."""
        self._close(broken)
        self._drop_idle()
        try:
            self.refuse()
            line = self._line()
        finally:
            self._lines.discard(broken)
            self._hand_on()
        line.deadline.begun = broken.deadline.begun
        return self._connected(line)

    def _line(self) -> Line:
        connection = self.make()
        line = Line(connection, connection.timed, self.forget)
        self._lines.add(line)
        return line

    def _connected(self, line: Line) -> Line:
        """The same, connected."""
        try:
            line.connection.connect()
        except ERRORS as error:
            self.refused(error)
            self._drop(line)
            raise fault(error, self.name) from error
        if self.breaker.open:
            self.breaker.worked()
        return line

    def refuse(self) -> None:
        """:raises Fault: when the breaker does not let a connection be made"""
        if self.breaker.refuses():
            kind, why = self._refusal
            raise Fault(kind, self.name, f"not tried again yet; the last time: {why}")

    def refused(self, error: BaseException) -> None:
        """A connection could not be made."""
        self._refusal = kind_of(error) or "other", reason(error)
        self.breaker.failed()

    def _drop(self, *lines: Line) -> None:
        """Give connections up that may have an answer on its way, or are broken."""
        for line in lines:
            self._lines.discard(line)
            self._close(line)
        if self._waiting:
            self._hand_on()

    def _close(self, line: Line) -> None:
        line.lost()
        line.connection.disconnect()

    def _drop_idle(self) -> None:
        lines = []
        while self._idle:
            try:
                lines.append(self._idle.pop())
            except IndexError:  # another thread
                break
        self._drop(*lines)

    def look_around(self) -> None:
        """Notice which connections were closed while nobody used them.

        The server tells no more of what was read on these.
        """
        for line in list(self._idle):
            if not line.tracked:
                continue
            try:
                self._idle.remove(line)
            except ValueError:  # somebody uses it, and will notice
                continue
            try:
                sound = not line.connection.can_read()
            except ERRORS:
                sound = False
            if sound:
                self._give(line)
            else:
                self._drop(line)

    def close(self) -> None:
        """Close the connections that nobody uses; the next call opens new ones."""
        self._drop_idle()

    def _track(self, line: Line) -> None:
        """Let the listener be told of what is read on this connection."""
        generation, listener = self.generation, self.listener
        line.tracked = False
        if generation != NOBODY and listener is not None:
            identity, where = listener
            if place_of(line.connection) != where:
                return  # there was a failover, and the listener has not yet noticed
            try:
                line.send(*TRACKING, identity, b"OPTOUT")
                line.read()
                line.tracked = True
            except ResponseError:  # that listener is gone, or tracking is not allowed
                pass
        line.asked = generation


def may_try_again(line: Line, error: BaseException) -> bool:
    """Whether a call that may be done twice is to be tried on another connection."""
    deadline = line.deadline
    return is_broken(error) and deadline.left() >= deadline.seconds * ENOUGH


def place_of(connection: Any) -> Any:
    """Which server a connection is to."""
    path = getattr(connection, "path", None)
    return path or (connection.host, connection.port)
