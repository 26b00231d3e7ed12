"""Servers that a run needs: started on a free port of the loopback device, and stopped."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import Refused

HOST = "127.0.0.1"
PATIENCE = 20.0  # seconds that a server may take to listen, and to stop


def free_port() -> int:
    """A port of the loopback device that nobody listened on a moment ago."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """The process id of a server that listens on `port`; it is stopped afterwards.

    :raises Refused: when it ends or does not listen, with what it said
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        try:
            if not _listens(process, port):
                raise Refused(f"it did not come up on port {port}")
            yield process.pid
        except Refused as error:
            said.seek(0)
            last = said.read().decode(errors="replace").strip()[-3000:]
            raise Refused(f"{error}\n{' '.join(command)} said:\n{last}") from error
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """The URL of a Redis that keeps everything in memory."""
    port = free_port()
    command = ["redis-server", "--bind", HOST, "--port", str(port), "--save", ""]
    with running([*command, "--appendonly", "no", "--dir", str(directory)], port):
        yield f"redis://{HOST}:{port}"


@contextmanager
def memcached(directory: Path) -> Iterator[str]:
    """The address of a memcached that has room for every suite, and takes values of 8 MB."""
    port = free_port()
    command = ["memcached", "-l", HOST, "-p", str(port), "-U", "0", "-u", getpass.getuser()]
    with running([*command, "-m", "1024", "-I", "16m"], port):
        yield f"{HOST}:{port}"


def installed(program: str) -> bool:
    """Whether `program` is on the PATH."""
    return shutil.which(program) is not None
