"""One server, and calls on it, on connections of threads.

Commands are made of bytes: of a number hiredis makes a text, and when a signal handler raises
just then the process crashes (hiredis-py 3.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    NoScriptError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from ..engine.errors import Fault
from .lines import Line, Lines, may_try_again
from .packing import together
from .scripts import Script
from .trouble import ERRORS, fault

T = TypeVar("T")

AT_ONCE = 1000  # commands that are sent before their answers are read

CLUSTERED = "it is a node of a cluster: LOCATION takes a list of nodes then"
OF_CLUSTERS = (AskError, TryAgainError, ClusterCrossSlotError)
UNTOLD = (b"CLIENT", b"CACHING", b"NO")  # of the next command, where that can be left out


class Node(Lines):
    """A server.

    :param clustered: it may answer that another node has a key; the others are those of `Lines`
    """

    def __init__(
        self,
        make: Callable[[], Any],
        name: str,
        patience: float,
        forget: Callable[[], object],
        clustered: bool,
    ) -> None:
        super().__init__(make, name, patience, forget)
        self.clustered = clustered

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
        self._give(line)
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
        self._give(line)
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
                line.connection.send_packed_command(together(line.connection, commands))
                reply = _values_apart(line.read, bool(told))
            else:
                line.send(b"MGET", *untold, *told)
                reply = line.read()
        except BaseException as error:
            return self._again(line, error, True, (b"MGET", *untold, *told))
        tracked = line.tracked
        self._give(line)
        return reply, tracked

    def _again(
        self, line: Line, error: BaseException, track: bool, command: Sequence[Any]
    ) -> tuple[Any, bool]:
        """What to do about an exception in a call: give it back, or try on a new connection."""
        if not may_try_again(line, error):
            self._failed(line, error)
            raise error
        line = self._instead(line)
        try:
            if track:
                self._track(line)
            line.send(*command)
            reply = line.read()
        except BaseException as another:
            self._failed(line, another)
            raise
        tracked = line.tracked
        self._give(line)
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
        self._give(line)
        return reply

    def _on_sound(self, talk: Callable[[Line], T]) -> T:
        """What `talk` returns of a connection that was not closed meanwhile."""
        line = self._sound()
        try:
            found = talk(line)
        except BaseException as error:
            self._failed(line, error)
            raise
        self._give(line)
        return found

    def _failed(self, line: Line, error: BaseException) -> None:
        """Give a connection back or up, and raise what an exception in a call means."""
        if isinstance(error, ResponseError):  # an answer; the connection is all right
            self._give(line)
            named = self.named(error)
            raise named from (None if named is error else error)
        self._drop(line)
        if isinstance(error, ERRORS):
            self._drop_idle()  # they are most likely broken as well
            raise fault(error, self.name) from error

    def _sound(self) -> Line:
        """A connection that was not closed while nobody used it."""
        line = self._borrow()
        try:
            if not line.connection.can_read():
                return line
        except ERRORS:
            pass
        return self._instead(line)

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
                both = together(line.connection, (UNTOLD, command))
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
        self._give(line)
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
        return self._send_many(self._sound(), commands, track, untold)(None)

    def _send_many(
        self, line: Line, commands: Sequence[Sequence[Any]], track: bool, untold: bool
    ) -> Callable[[float | None], tuple[list[Any], bool]]:
        """Send commands; what is returned reads the answers, and sends what is left to send."""
        replies: list[Any] = []

        def send(start: int) -> int:
            some = commands[start : start + AT_ONCE]
            sent = some if not aside else [each for one in some for each in (UNTOLD, one)]
            line.connection.send_packed_command(together(line.connection, sent))
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
                if seconds is not None and count:
                    if not line.connection.can_read(seconds):
                        raise TimeoutError("no answer in time")
                    line.deadline.begin()  # it comes: what was waited for was another server
                read(count)
                for start in range(AT_ONCE, len(commands), AT_ONCE):
                    line.deadline.begin()  # each round trip has one of its own
                    read(send(start))
            except BaseException as error:
                self._failed(line, error)
                raise
            tracked = line.tracked
            self._give(line)
            return replies, tracked

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

    def ahead(
        self, method: str, arguments: Sequence[Any]
    ) -> Callable[[float | None], Any] | None:
        """The first half of a call of many, `look_many`, `ask_many` or `run_many`: it is sent.

        Nothing is waited for: neither for a connection nor for an answer.

        :return: the second half: given how many seconds the first answer may take from then on
            (None is as long as in any call), it returns what the method does. None where no
            connection is ready: then nothing was sent
        :raises Fault: as the method does, in each half
        """
        track = method == "look_many"
        line = self._spare()
        if line is not None and track and line.asked != self.generation:
            self._give(line)  # it would wait for the answer to that
            line = None
        if line is None:
            return None
        if method == "run_many":
            script, calls = arguments
            commands = [script.known(keys, rest) for keys, rest in calls]
            answers = self._send_many(line, commands, False, True)
            ask = self.browse_many
            return lambda seconds: self._with(script, commands, answers(seconds)[0], ask)
        (commands,) = arguments
        answers = self._send_many(line, commands, track, False)
        if track:
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
