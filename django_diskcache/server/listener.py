"""The listener: a thread that the server tells which remembered keys have changed.

Each connection that reads for the near cache asks the server to tell this connection of changes
(`lines`), and only of keys that were read on it. The server tells of a key once; the next read
of it asks anew. A message that names no keys means all of them.

It tells of what we change ourselves as well. That could be left out (`NOLOOP`), but then so is
all that it drops while it handles a command of ours: keys that it evicts for what we store, and
those of which it remembers no more that it has to tell.

The message comes as the one of a channel, ``__redis__:invalidate``, which is what it is in
RESP2: the client library hands that out like any reply, while it drops the form of RESP3 unless
one reaches into its parser.

While there is no listener nothing is remembered. When one is lost, all is forgotten that was
read of its server. Silence is told from a broken connection by asking: who does not answer
within a second is lost.

What is done once a second beside the calls is done in its thread, whether it is told of changes
or not: a user may lack the right to be.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

from redis.exceptions import TimeoutError

from ..engine.errors import Fault
from .deadline import Timed
from .lines import NOBODY, place_of
from .node import Node
from .trouble import ERRORS, kind_of

CHANNEL = b"__redis__:invalidate"
TICK = 1.0  # seconds of silence before the server is asked whether it is still there
ANSWER = 1.0  # seconds for the answer
# Seconds between messages. A thread that wakes for each takes the interpreter from others for
# five times as long as the message does.
PAUSE = 0.0002
REFUSED = 10.0  # seconds before who may not listen tries again

_generations = count(1)


class Paced(Timed):
    """A socket whose messages are taken some at a time; a single one is taken at once."""

    __slots__ = ()

    def recv_into(self, buffer: Any) -> int:
        time.sleep(PAUSE)
        return super().recv_into(buffer)

    def recv(self, size: int, flags: int = 0) -> bytes:
        time.sleep(PAUSE)
        return super().recv(size, flags)


class Listener:
    """Of one server; `start` it when something is to be remembered.

    :param changed: told the names of the entries that have changed
    :param tick: called about once a second, in the thread
    :param met: told the fault of each try to listen that calls do not meet themselves
    """

    def __init__(
        self,
        node: Node,
        changed: Callable[[list[bytes]], object],
        tick: Callable[[], object],
        met: Callable[[Fault], object],
    ) -> None:
        self._node = node
        self._changed = changed
        self._tick = tick
        self._met = met
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._connection: Any = None

    @property
    def alive(self) -> bool:
        """Whether changes are told now."""
        return self._node.generation != NOBODY

    def start(self) -> None:
        """Begin to listen, if nobody does yet in this process."""
        if self._listens():
            return
        with self._lock:
            if not self._listens():
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=_listen,
                    args=(weakref.ref(self), self._stop),
                    name=f"django_diskcache {self._node.name}",
                    daemon=True,
                )
                self._thread.start()

    def _listens(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive()

    def stop(self, wait: float = 0.0) -> None:
        """Listen no more, until the next `start`.

        :param wait: seconds for the thread to end
        """
        thread, self._thread = self._thread, None
        self._stop.set()
        self.lost()
        if (connection := self._connection) is not None:
            connection.disconnect()  # the thread is waiting for it
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(wait)

    def begin(self) -> None:
        """In a child after a fork: the thread is the parent's."""
        self._lock = threading.Lock()
        self._thread = self._connection = None
        self.lost()

    def lost(self) -> None:
        """Nobody is told any more: forget everything of this server."""
        node = self._node
        node.generation, node.listener = NOBODY, None  # first: then nothing new is remembered
        node.forget()

    def found(self, identity: bytes, where: Any) -> None:
        """Somebody is told from now on."""
        node = self._node
        node.forget()
        node.listener = identity, where
        node.generation = next(_generations)


def _listen(reference: weakref.ref[Listener], stop: threading.Event) -> None:
    """Listen until told not to, or until whoever is told of changes is gone."""
    pause, again = 0.05, 0.0
    process = os.getpid()
    while not stop.is_set() and os.getpid() == process:
        listener = reference()
        if listener is None:
            return
        node = listener._node
        connection = None
        try:
            if time.monotonic() >= again and not node.breaker.refuses():
                connection = node.make()
                connection.timed = Paced(connection.timed.seconds)
                _connect(node, connection)
                _subscribe(listener, connection)
                pause = 0.05
                del listener
                _hear(reference, connection, stop)
        except ERRORS as error:
            if _tell(reference, error) in ("denied", "other"):  # somebody must see to it
                again = time.monotonic() + REFUSED
        except Exception:
            if not stop.is_set():  # else the connection was taken away from under it
                raise
        finally:
            if connection is not None:
                connection.disconnect()
            listener = reference()
            # It may have been told to stop before or after it was found.
            if listener is not None and listener._connection is connection is not None:
                listener._connection = None
                listener.lost()
        if listener is not None and not stop.is_set():
            listener._tick()
        del listener
        stop.wait(pause)
        pause = min(pause * 2, TICK)


def _tell(reference: weakref.ref[Listener], error: Exception) -> str | None:
    """Tell of a fault, but for a server that is away: that is what calls meet as well.

    Its kind is returned.
    """
    listener, kind = reference(), kind_of(error)
    if listener is not None and kind is not None and kind not in ("slow", "lost"):
        listener._met(Fault(kind, listener._node.name, f"nothing is remembered: {error}"))
    return kind


def _connect(node: Node, connection: Any) -> None:
    try:
        connection.connect()
    except ERRORS:
        node.breaker.failed()
        raise
    if node.breaker.open:
        node.breaker.worked()


def _subscribe(listener: Listener, connection: Any) -> None:
    """Be told of changes on this connection."""
    connection.send_command(b"CLIENT", b"ID")
    identity = b"%d" % connection.read_response()
    connection.send_command(b"SUBSCRIBE", CHANNEL)
    connection.read_response()
    listener._connection = connection
    listener.found(identity, place_of(connection))


def _hear(reference: weakref.ref[Listener], connection: Any, stop: threading.Event) -> None:
    # To look whether there is something, and then to read it, would take as long again.
    connection.timed.settimeout(TICK)
    asked = False
    ticked = time.monotonic()
    while not stop.is_set():
        message = None
        try:
            message = connection.read_response(disconnect_on_error=False)
        except TimeoutError:
            if asked:
                raise
            connection.timed.settimeout(ANSWER)
            connection.send_command(b"PING")
            asked = True
        else:
            if asked:
                connection.timed.settimeout(TICK)
                asked = False
        listener = reference()
        if listener is None:
            return
        if message is not None and message[0] == b"message":
            keys = message[2]
            if keys is None:
                listener._node.forget()
            else:
                listener._changed(keys)
        now = time.monotonic()
        if now - ticked >= TICK:
            ticked = now
            listener._tick()
        del listener
