"""A server that does what it is told to, as slowly as a test wants it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from .servers import HOST, PATIENCE

OK = b"+OK\r\n"
SLOWLY = 0.01  # seconds between two bytes
# What is told a client before it is left in peace: far more than any deadline of these tests.
FOR_EVER = 3000

Talk = Callable[["Talker"], None]


class Talker:
    """A connection that a client has made."""

    def __init__(self, connection: socket.socket, stop: threading.Event) -> None:
        self.connection = connection
        self.stop = stop

    def answer_until(self, command: bytes) -> None:
        """Say that all is well to each command, until this one has come."""
        while True:
            heard = self.connection.recv(65536)
            if not heard:
                raise ConnectionError
            if command in heard:
                return
            self.connection.sendall(OK)

    def dribble(self, byte: bytes = b"x") -> None:
        """Send one byte after the other."""
        for _ in range(FOR_EVER):
            self.connection.sendall(byte)
            if self.stop.wait(SLOWLY):
                return

    def sip(self) -> None:
        """Read a little of what is sent, now and then."""
        for _ in range(FOR_EVER):
            if not self.connection.recv(4096) or self.stop.wait(SLOWLY):
                return


@contextmanager
def slow_server(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that does this on each connection, in a thread."""
    stop = threading.Event()
    threads = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(PATIENCE)
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                talk(Talker(connection, stop))

    def accept() -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listening.accept()[0],))
                threads.append(thread)
                thread.start()

    with socket.create_server((HOST, 0)) as listening:
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(PATIENCE)
