"""The servers of the tests: they keep their ports, and end with whoever has started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .servers import BESIDE_US, HOST, Port, Server, required, until

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it is done on Linux only")
STARTER = """
import pathlib, sys
from tests.server.servers import Server
server = Server(pathlib.Path(sys.argv[1]))
print(server.process.pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not BESIDE_US, reason="setpriv is missing")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_server_ends_with_its_starter(tmp_path: Path, how: signal.Signals | None) -> None:
    required()
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "server")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        server = int(starter.stdout.readline())
        os.kill(server, 0)
        if how:
            starter.send_signal(how)
    until(lambda: not is_running(server), "the end of the server")


def is_running(process: int) -> bool:
    """Whether there is such a process, and it is more than a remnant."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@on_linux
def test_nobody_gets_the_port_of_a_server_that_was_killed(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()
    server.kill()
    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind((HOST, server.port))
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect((HOST, server.port))
    server.start()
    server.stop()
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        another.bind((HOST, server.port))


def test_where_a_port_was_taken_another_is_tried(tmp_path: Path, monkeypatch: Any) -> None:
    required()
    with socket.socket() as another:
        another.bind((HOST, 0))
        another.listen()
        taken = another.getsockname()[1]
        numbers = [taken, taken]
        begin = Port.__init__

        def unlucky(self: Port) -> None:
            begin(self)
            if numbers:
                self.number = numbers.pop()

        monkeypatch.setattr(Port, "__init__", unlucky)
        server = Server(tmp_path / "server")
        try:
            assert server.port != taken
            assert server.answers()
        finally:
            server.stop()
