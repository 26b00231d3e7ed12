"""Real servers for tests: on a free port of the loopback device, killed and started at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = 20.0  # seconds that anything may take before a test fails
PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server") or ""
HOST = "127.0.0.1"


def required() -> None:
    """Skip a test where there is no server to start; in CI that is a failure."""
    if not PROGRAM:
        missing = "there is no valkey-server or redis-server on the PATH"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def until(condition: Any, what: str = "it") -> None:
    """Wait for something that another process or thread does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)


class Server:
    """A server with nothing on the disk; it must be stopped."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        self.start()

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
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server has ended"
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def client(self, **arguments: Any) -> Any:
        """The client library's own, to look behind the cache."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(HOST, self.port, socket_timeout=PATIENCE, retry=once, **arguments)

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
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill()


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Server]:
    server = Server(directory, *options)
    try:
        yield server
    finally:
        server.stop()
