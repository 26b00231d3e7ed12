"""One server: connections to it, and calls on them.

The client library connects, authenticates, packs and parses; this keeps its connections, which
any thread borrows for a call. Its own pool asks the socket of each connection that it lends
whether something happened to it meanwhile, which takes a third of the time of a call. Here, a
call that finds its connection broken is made once more on a new one; where doing it twice is
not the same as once, the connection is looked at before.

A connection from which the near cache may remember has asked the server to tell the listener
what changes of all that is read on it (`CLIENT TRACKING`). When such a connection is given up,
the server tells no more of that; so everything is forgotten then.

An exception may fall between any two steps, since a signal handler may raise. A connection is
in the list only while nobody uses it, and whoever is interrupted loses it. Commands are made of
bytes: of a number hiredis makes a text, and when a handler raises just then the process crashes
(hiredis-py 3.5).
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ConnectionError,
    NoScriptError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from ..engine.errors import Fault
from .breaker import Breaker
from .scripts import Script
from .trouble import ERRORS, fault, kind_of, reason

T = TypeVar("T")

MOST_LINES = 64  # connections of a process to a server
LOOK_EVERY = 0.0005  # seconds between two looks for one that is free
AT_ONCE = 1000  # commands that are sent before their answers are read

CLUSTERED = "it is a node of a cluster: LOCATION takes a list of nodes then"
OF_CLUSTERS = (AskError, TryAgainError, ClusterCrossSlotError)
TRACKING = (b"CLIENT", b"TRACKING", b"ON", b"REDIRECT")
UNTOLD = (b"CLIENT", b"CACHING", b"NO")  # of the next command, where that can be left out
NOBODY = 0  # the generation where no listener is told


class Line:
    """A connection, and what it has asked the server for.

    :param forget: called when changes of what was read on it are no longer told
    """

    __slots__ = ("__weakref__", "_forget", "asked", "connection", "read", "send", "tracked")

    def __init__(self, connection: Any, forget: Callable[[], object]) -> None:
        self.connection = connection
        self._forget = forget
        self.send = connection.send_command
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


class Node:
    """A server.

    :param make: makes a connection, unconnected
    :param name: its address, as it may be shown
    :param patience: seconds that a call may wait
    :param forget: called when what was remembered of this server may be stale
    :param clustered: it may answer that another node has a key
    """

    def __init__(
        self,
        make: Callable[[], Any],
        name: str,
        patience: float,
        forget: Callable[[], object],
        clustered: bool,
    ) -> None:
        self.make = make
        self.name = name
        self.patience = patience
        self.forget = forget
        self.clustered = clustered
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

    # Connections

    def _borrow(self) -> Line:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if len(self._lines) >= MOST_LINES:
            deadline = time.monotonic() + self.patience
            while time.monotonic() < deadline:
                time.sleep(LOOK_EVERY)
                if self._idle:
                    try:
                        return self._idle.pop()
                    except IndexError:
                        continue
            raise Fault("slow", self.name, f"all {MOST_LINES} connections are in use")
        return self._connect()

    def _connect(self) -> Line:
        self.refuse()
        line = Line(self.make(), self.forget)
        self._lines.add(line)
        try:
            line.connection.connect()
        except ERRORS as error:
            self._lines.discard(line)
            self.refused(error)
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
                self._idle.append(line)
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

    # Calls

    def do(self, method: str, arguments: Sequence[Any]) -> Any:
        """What one of the following methods returns."""
        return getattr(self, method)(*arguments)

    def ask(self, *command: Any) -> Any:
        """The answer to a command that may as well be done twice.

        :raises Fault: when there is none, or the server answers with an error
        :raises AskError: in a cluster, when another node has the key
        :raises TryAgainError: in a cluster, when it will have all keys in a moment
        """
        line = self._borrow()
        try:
            line.send(*command)
            reply = line.read()
        except BaseException as error:
            return self._again(line, error, False, command)[0]
        self._idle.append(line)
        return reply

    def look(self, *command: Any) -> tuple[Any, bool]:
        """`ask`, and whether the listener will be told when what was read changes."""
        line = self._borrow()
        try:
            if line.asked != self.generation:
                self._track(line)
            line.send(*command)
            reply = line.read()
        except BaseException as error:
            return self._again(line, error, True, command)
        tracked = line.tracked
        self._idle.append(line)
        return reply, tracked

    def glance(self, untold: Sequence[bytes], told: Sequence[bytes]) -> tuple[list[Any], bool]:
        """The values under several names, and whether the listener will be told of changes.

        :param untold: those that it need not be told of
        :param told: the others, whose values come after those
        """
        line = self._borrow()
        try:
            if line.asked != self.generation:
                self._track(line)
            if untold and line.tracked:
                commands = apart(untold, told)
                line.connection.send_packed_command(line.connection.pack_commands(commands))
                reply = _values_apart(line.read, bool(told))
            else:
                line.send(b"MGET", *untold, *told)
                reply = line.read()
        except BaseException as error:
            return self._again(line, error, True, (b"MGET", *untold, *told))
        tracked = line.tracked
        self._idle.append(line)
        return reply, tracked

    def _again(
        self, line: Line, error: BaseException, track: bool, command: Sequence[Any]
    ) -> tuple[Any, bool]:
        """What to do about an exception in a call: give it back, or try on a new connection."""
        broke = isinstance(error, (ConnectionError, OSError))
        if not broke or isinstance(error, (BusyLoadingError, TimeoutError)):
            self._failed(line, error)
            raise error
        self._drop(line)
        self._drop_idle()
        line = self._connect()
        try:
            if track:
                self._track(line)
            line.send(*command)
            reply = line.read()
        except BaseException as another:
            self._failed(line, another)
            raise
        tracked = line.tracked
        self._idle.append(line)
        return reply, tracked

    def once(self, *command: Any) -> Any:
        """The answer to a command that must not be done twice; otherwise like `ask`."""
        line = self._sound()
        try:  # as in `_on_sound`, which would cost a hundredth of the call
            line.send(*command)
            reply = line.read()
        except BaseException as error:
            self._failed(line, error)
            raise
        self._idle.append(line)
        return reply

    def _on_sound(self, talk: Callable[[Line], T]) -> T:
        """What `talk` returns of a connection that was not closed meanwhile."""
        line = self._sound()
        try:
            found = talk(line)
        except BaseException as error:
            self._failed(line, error)
            raise
        self._idle.append(line)
        return found

    def _failed(self, line: Line, error: BaseException) -> None:
        """Give a connection back or up, and raise what an exception in a call means."""
        if isinstance(error, ResponseError):  # an answer; the connection is all right
            self._idle.append(line)
            named = self.named(error)
            raise named from (None if named is error else error)
        self._drop(line)
        if isinstance(error, ERRORS):
            self._drop_idle()  # they are most likely broken as well
            raise fault(error, self.name) from error

    def _sound(self) -> Line:
        """A connection that was not closed while nobody used it."""
        while True:
            line = self._borrow()
            try:
                if not line.connection.can_read():
                    return line
            except ERRORS:
                pass
            self._drop(line)

    def run(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        """What a script returns; it is not run twice.

        Nobody is told of what it reads: on a connection that tracks, each read in a script lets
        the server note all keys of that script.
        """
        try:
            return self._run(self._sound(), script, script.known(keys, arguments), False)
        except NoScriptError:  # the server is new, or was restarted
            return self._run(self._sound(), script, script.whole(keys, arguments), False)

    def rerun(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        """What a script returns that may as well be run twice; otherwise like `run`."""
        try:
            return self._run(self._borrow(), script, script.known(keys, arguments), True)
        except NoScriptError:
            return self._run(self._borrow(), script, script.whole(keys, arguments), True)

    def _run(self, line: Line, script: Script, command: Sequence[Any], twice: bool) -> Any:
        try:
            if script.noted and line.tracked:
                both = line.connection.pack_commands((UNTOLD, command))
                line.connection.send_packed_command(both)
                with suppress(ResponseError):  # then it is told after all
                    line.read()
            else:
                line.send(*command)
            reply = line.read()
        except BaseException as error:
            if twice:
                return self._again(line, error, False, command)[0]
            self._failed(line, error)
            raise
        self._idle.append(line)
        return reply

    def asking(self, *command: Any) -> Any:
        """`once` for a key that a cluster is just moving to this node."""

        def talk(line: Line) -> Any:
            line.send(b"ASKING")
            line.read()
            line.send(*command)
            return line.read()

        return self._on_sound(talk)

    # Many calls: one round trip for each thousand

    def look_many(self, commands: Sequence[Sequence[Any]]) -> tuple[list[Any], bool]:
        """The answers to several commands, and whether changes will be told, as in `look`.

        An error that the server answers with is one of the answers.

        :raises Fault: when there are none
        """
        return self._ask_many(commands, True)

    def ask_many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers to several commands; otherwise like `look_many`."""
        return self._ask_many(commands, False)[0]

    def browse(self, *command: Any) -> Any:
        """The answer to a read of which nobody need be told; otherwise like `once`."""
        (reply,) = self.browse_many([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def browse_many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """`ask_many` of reads, or of scripts, of which nobody need be told.

        The server remembers each key that it has to tell of, up to a limit that all share. A
        script that looks at the sets of a tag in all buckets would take as many places there.
        """
        return self._ask_many(commands, False, untold=True)[0]

    def _ask_many(
        self, commands: Sequence[Sequence[Any]], track: bool, untold: bool = False
    ) -> tuple[list[Any], bool]:
        return self._send_many(commands, track, untold)(None)

    def _send_many(
        self, commands: Sequence[Sequence[Any]], track: bool, untold: bool
    ) -> Callable[[float | None], tuple[list[Any], bool]]:
        """Send commands; what is returned reads the answers, and sends what is left to send."""
        line = self._sound()
        replies: list[Any] = []

        def send(start: int) -> int:
            some = commands[start : start + AT_ONCE]
            sent = some if not aside else [each for one in some for each in (UNTOLD, one)]
            line.connection.send_packed_command(line.connection.pack_commands(sent))
            return len(some)

        def read(count: int) -> None:
            for _ in range(count):
                if aside:
                    with suppress(ResponseError):  # then it is told after all
                        line.read(disconnect_on_error=False)
                try:
                    replies.append(line.read(disconnect_on_error=False))
                except ResponseError as error:
                    replies.append(self.named(error))

        def answers(seconds: float | None) -> tuple[list[Any], bool]:
            try:
                if seconds is not None and count and not line.connection.can_read(seconds):
                    raise TimeoutError("no answer in time")
                read(count)
                for start in range(AT_ONCE, len(commands), AT_ONCE):
                    read(send(start))
            except BaseException as error:
                self._failed(line, error)
                raise
            self._idle.append(line)
            return replies, line.tracked

        try:
            if track and line.asked != self.generation:
                self._track(line)
            aside = untold and line.tracked
            count = send(0) if commands else 0
        except BaseException as error:
            self._failed(line, error)
            raise
        return answers

    def run_many(
        self,
        script: Script,
        calls: Sequence[tuple[Sequence[bytes], Sequence[Any]]],
        untold: bool = True,
    ) -> list[Any]:
        """What a script returns for each of several (keys, arguments).

        :param untold: nobody need be told of what it reads, as in `run`
        """
        ask = self.browse_many if untold else self.ask_many
        commands = [script.known(keys, arguments) for keys, arguments in calls]
        return self._with(script, commands, ask(commands), ask)

    def _with(
        self,
        script: Script,
        commands: Sequence[Sequence[Any]],
        replies: list[Any],
        ask: Callable[[Sequence[Sequence[Any]]], list[Any]],
    ) -> list[Any]:
        """The same answers, with those of a server that did not know the script."""
        again = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if again:
            self.ask(b"SCRIPT", b"LOAD", script.text)
            for n, reply in zip(again, ask([commands[n] for n in again]), strict=True):
                replies[n] = reply
        return replies

    @property
    def ready(self) -> bool:
        """Whether there is a connection that nobody uses."""
        return bool(self._idle)

    def ahead(self, method: str, arguments: Sequence[Any]) -> Callable[[float | None], Any]:
        """The first half of a call of many, `look_many`, `ask_many` or `run_many`: it is sent.

        :return: the second half: given how many seconds the first answer may take from then on
            (None is as long as in any call), it returns what the method does
        :raises Fault: as the method does, in each half
        """
        if method == "run_many":
            script, calls = arguments
            commands = [script.known(keys, rest) for keys, rest in calls]
            answers = self._send_many(commands, False, True)
            ask = self.browse_many
            return lambda seconds: self._with(script, commands, answers(seconds)[0], ask)
        (commands,) = arguments
        answers = self._send_many(commands, method == "look_many", False)
        if method == "look_many":
            return answers
        return lambda seconds: answers(seconds)[0]

    def named(self, error: BaseException) -> BaseException:
        """The fault that an error is, which the server answered with."""
        # These are for the caller to go on: elsewhere, later, with the whole script.
        if isinstance(error, NoScriptError):
            return error
        if self.clustered and isinstance(error, (AskError, TryAgainError)):
            return error
        if not self.clustered and isinstance(error, OF_CLUSTERS):
            return Fault("other", self.name, CLUSTERED)
        return fault(error, self.name)


def apart(untold: Sequence[bytes], told: Sequence[bytes]) -> list[Sequence[bytes]]:
    """The commands of `Node.glance`, where there are some that nobody needs to be told of."""
    commands: list[Sequence[bytes]] = [UNTOLD, (b"MGET", *untold)]
    if told:
        commands.append((b"MGET", *told))
    return commands


def _values_apart(read: Callable[[], Any], two: bool) -> Any:
    """The answers to what `apart` has made; all are read, or one would be left there."""
    with suppress(ResponseError):  # then it is told after all
        read()
    try:
        values = read()
    except ResponseError:
        if two:
            with suppress(ResponseError):
                read()
        raise
    return values + read() if two else values


def place_of(connection: Any) -> Any:
    """Which server a connection is to."""
    path = getattr(connection, "path", None)
    return path or (connection.host, connection.port)
