"""Real servers for tests: on a free port of the loopback device, killed and started at will."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = 60.0  # seconds that anything may take before a test fails
# The server that the tests start: one that is named, or what is installed.
NAMED = os.environ.get("SERVER_PROGRAM", "")
PROGRAM = NAMED or shutil.which("valkey-server") or shutil.which("redis-server") or ""
HOST = "127.0.0.1"
TRIES = 5  # starts of a server, each on ports of its own
# On Linux a server ends with the process that has started it, however that ends.
_SETPRIV = shutil.which("setpriv") if sys.platform == "linux" else None
BESIDE_US = [_SETPRIV, "--pdeathsig", "KILL"] if _SETPRIV else []


def required() -> None:
    """Skip a test where there is no server to start; in CI that is a failure."""
    if not PROGRAM:
        missing = "there is no valkey-server or redis-server on the PATH"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


class Port:
    """A port that nobody has, and on Linux nobody gets until it is given back.

    A socket that is bound to it keeps it from whoever takes any port, a client's connection
    among them. The server may listen on it all the same, now and after each time that it was
    killed, for both have set SO_REUSEADDR.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number = int(self._socket.getsockname()[1])
        if sys.platform != "linux":  # there the server could not have it
            self._socket.close()

    def give_back(self) -> None:
        self._socket.close()


def free_port() -> int:
    """A port that nobody listens on, as long as this process lives."""
    port = Port()
    atexit.register(port.give_back)
    return port.number


def until(condition: Any, what: str = "it") -> None:
    """Wait for something that another process or thread does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)


class Ended(AssertionError):
    """A server has ended by itself."""


class Server:
    """A server with nothing on the disk; it must be stopped."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self._ports: list[Port] = []
        self._starter = os.getpid()
        directory.mkdir(parents=True, exist_ok=True)
        atexit.register(self.stop)
        for left in reversed(range(TRIES)):
            self.choose()
            try:
                self.start()
            except Ended:  # somebody has taken a port
                self.stop()
                if not left:
                    raise
            else:
                return

    def choose(self) -> None:
        """Take ports, before the first start."""
        self.port = self.take()

    def take(self) -> int:
        """Another port, until it is stopped."""
        self._ports.append(Port())
        return self._ports[-1].number

    @property
    def url(self) -> str:
        return f"valkey://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        command = [PROGRAM, "--bind", HOST, "--port", str(self.port), "--save", ""]
        return [*command, "--appendonly", "no", "--dir", str(self.directory), *self.options]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        try:
            until(self.answers, "the start of a server")
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it, and do not wait."""
        self.process = subprocess.Popen(
            [*BESIDE_US, *self.command()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise Ended(f"the server has ended: {self.command()}")
        try:
            with self.client(socket_timeout=1.0) as client:  # another may have the port
                return bool(client.ping()) and self.process.poll() is None
        except redis.AuthenticationError:
            return True
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def client(self, **arguments: Any) -> Any:
        """The client library's own, to look behind the cache."""
        once = Retry(NoBackoff(), 0)
        arguments = {"socket_timeout": PATIENCE, "retry": once, **arguments}
        return redis.Redis(HOST, self.port, **arguments)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it stand still; its socket takes what is sent."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it, and give its ports back; a child after a fork leaves it alone."""
        if os.getpid() != self._starter:
            return
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill()
        while self._ports:
            self._ports.pop().give_back()
        atexit.unregister(self.stop)


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Server]:
    server = Server(directory, *options)
    try:
        yield server
    finally:
        server.stop()
