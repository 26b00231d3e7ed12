"""Claims on a server: which of all threads and processes, on all machines, is computing what.

A claim is a name on the server with a random token, which ends after some seconds. Who has it
renews it once a second, in the thread of the listener. So it is free again soon after its
holder has died, by whatever. It is no lock: who is cut off from the server for longer may lose
it, and then two compute the same.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from contextlib import suppress
from secrets import token_bytes
from types import TracebackType
from typing import Any

from ..engine.errors import Fault
from ..engine.faults import FAULTS
from .board import present
from .remote import Remote
from .scripts import CLAIM
from .steps import Steps

MILLISECONDS = b"5000"  # after which the claim of a dead holder is free
SIGN = b"~"

_held: weakref.WeakKeyDictionary[Remote, weakref.WeakSet[Claim]] = weakref.WeakKeyDictionary()


class Claim:
    """The right to compute something, until `release` or the end of the ``with`` block.

    :param name: on the server; None for one that keeps nobody away
    """

    def __init__(self, remote: Remote, name: bytes | None, bucket: int, token: bytes) -> None:
        self._remote = remote
        self._name = name
        self._bucket = bucket
        self._token = token
        self._process = os.getpid()

    def _say(self, milliseconds: bytes) -> bool:
        name = self._name
        if name is None or os.getpid() != self._process:  # a child has none of its parent's
            return False
        arguments = (CLAIM, (name,), self._token, milliseconds)
        return bool(self._remote.link.moving(self._bucket, "rerun", *arguments))

    def renew(self) -> bool:
        """Have it for some more seconds; whether it was still ours."""
        return self._say(MILLISECONDS)

    def release(self, telling: bool = True) -> None:
        """Let others claim it.

        :param telling: count and log that the server is away; else the caller does so
        """
        try:
            self._say(b"0")
        except FAULTS as error:  # it ends by itself
            if telling:
                self._remote.triage.met(error)
        self._name = None

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class LoopClaim:
    """A claim of an event loop, which does not wait while the server is told of its end."""

    def __init__(self, made: Claim) -> None:
        self._claim: Claim | None = made
        self._loop = asyncio.get_running_loop()

    def release(self) -> None:
        """Let others claim it, in a moment."""
        made, self._claim = self._claim, None
        if made is None:
            return
        try:
            self._loop.run_in_executor(None, made.release)
        except RuntimeError:  # the loop has ended
            made.release()

    def __enter__(self) -> LoopClaim:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def claiming(remote: Remote, key: Any) -> Steps:
    """The claim on a key, or None while another has it.

    Who gets it sees what the one before has stored, even if that was not told here yet.

    Where the server is in trouble, the claim is one that keeps nobody away: that must not keep
    anything from being computed.
    """
    entry, number, _ = remote.place(key)
    bucket = number & 255
    name = remote.heads[bucket] + SIGN + entry[len(remote.heads[bucket]) :]
    token = token_bytes(16)
    made = Claim(remote, name, bucket, token)
    try:
        command = (b"SET", name, token, b"PX", MILLISECONDS, b"NX")
        if (yield number, "once", command) is None:
            return None
    except Fault as error:
        remote.triage.met(error)
        return Claim(remote, None, bucket, token)
    except GeneratorExit:  # a task was cancelled that may have it by now
        with suppress(RuntimeError):  # the interpreter ends
            threading.Thread(target=made.release, daemon=True).start()
        raise
    held = _held.get(remote)
    if held is None:
        held = _held.setdefault(remote, weakref.WeakSet())
        remote.chores.append(renew_all)
    held.add(made)
    remote.board.stamp(number)
    remote.link.listen()  # its thread renews
    return made


def renew_all(remote: Remote) -> None:
    """Renew what is held in this process."""
    for each in present(_held.get(remote, weakref.WeakSet())):
        try:
            each.renew()
        except FAULTS:
            return  # the next second
