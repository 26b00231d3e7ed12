"""Processes that a test can kill at any moment, and what they leave behind to be checked.

A child is made by a fork, so that it is there at once and can be lost by the hundred. What it
was acknowledged it writes down in a `Ledger`, a file outside the cache, after each call: that
survives every way of dying.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import pickle
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = float(
    os.environ.get("RELIABILITY_PATIENCE", "90")
)  # seconds, for a machine that is busy with something else
NOBODY = 65534  # a user who owns nothing


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What the condition gives once it is true.

    :raises AssertionError: when it is not within `patience` seconds
    """
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {patience} s"
        time.sleep(0.002)


class Child:
    """A process that does `work(*args)`.

    :param user: the uid to drop to first
    """

    def __init__(self, work: Callable[..., Any], *args: Any, user: int | None = None) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            os.close(reading)
            _live(writing, work, args, user)  # does not return
        os.close(writing)
        self._reading = reading
        self._status: int | None = None
        self._said = b""

    @property
    def exitcode(self) -> int | None:
        """None while it lives; less than 0 is the signal that killed it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def result(self, patience: float = PATIENCE) -> Any:
        """What the work returned.

        :raises AssertionError: when it raised, died, or takes too long
        """
        deadline = time.monotonic() + patience
        while True:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._reading], [], [], max(left, 0))
            assert ready, f"the child said nothing for {patience} s"
            chunk = os.read(self._reading, 2**16)
            if not chunk:
                break
            self._said += chunk
        until(lambda: self.exitcode is not None, "the end of the child")
        assert self._said, f"the child ended with {self.exitcode} and said nothing"
        fine, result = pickle.loads(self._said)
        assert fine, result
        return result

    def close(self) -> None:
        """Kill it if it still lives."""
        self.kill()
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1


def _live(writing: int, work: Callable[..., Any], args: Any, user: int | None) -> None:
    code = 1
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest's own
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        try:
            said = (True, work(*args))
        except BaseException:
            said = (False, traceback.format_exc())
        left = memoryview(pickle.dumps(said))
        while left:
            left = left[os.write(writing, left) :]
        code = 0 if said[0] else 1
    finally:
        os._exit(code)


class Children:
    """Children that are gone when the `with` block ends."""

    def __init__(self) -> None:
        self.all: list[Child] = []

    def start(self, work: Callable[..., Any], *args: Any, user: int | None = None) -> Child:
        child = Child(work, *args, user=user)
        self.all.append(child)
        return child

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self.all:
            with contextlib.suppress(OSError):
                child.close()


def in_child(
    work: Callable[..., Any],
    *args: Any,
    user: int | None = None,
    patience: float = PATIENCE,
) -> Any:
    """What `work(*args)` returns in a process of its own, within `patience` seconds."""
    with Children() as children:
        return children.start(work, *args, user=user).result(patience)


class Ledger:
    """A file of what happened, one line each, that many processes append to.

    A line is one `write`, which a kill does not divide.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def note(self, *what: Any) -> None:
        os.write(self._descriptor, (json.dumps(what) + "\n").encode())

    def close(self) -> None:
        os.close(self._descriptor)


def noted(path: Path, last: int | None = None) -> list[list[Any]]:
    """What is in the ledger at `path`.

    :param last: only what is in so many bytes at its end
    """
    if not path.exists():
        return []
    with path.open("rb") as file:
        skipped = max(0, path.stat().st_size - last) if last is not None else 0
        file.seek(skipped)
        lines = file.read().splitlines()
    return [json.loads(line) for line in (lines[1:] if skipped else lines)]


class Board:
    """Numbers that children made after it share with their parent: a beat, a flag to stop."""

    def __init__(self, size: int) -> None:
        self._mmap = mmap.mmap(-1, size * 8)
        self._cells = memoryview(self._mmap).cast("q")

    def __getitem__(self, index: int) -> int:
        return self._cells[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._cells[index] = value
