"""Calls on a server from an event loop: what `node` does, with connections that are awaited.

Connections belong to the loop that they were made in. Each loop has its own, and they are
closed when it shuts down its asynchronous generators, as `asyncio.run` and asgiref do before
they close it. What is not of a loop is shared with the calls of threads: the breaker, and who
is told of changes. The methods mean what those of `Node` do.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    ResponseError,
    TimeoutError,
)

from ..engine.errors import Fault
from .following import driven_on_loop, following
from .link import Link
from .node import (
    AT_ONCE,
    MOST_LINES,
    NOBODY,
    TRACKING,
    UNTOLD,
    Line,
    Node,
    apart,
    place_of,
)
from .scripts import Script
from .trouble import ERRORS, fault

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # the client needs it as well

NATIVE_FROM = 3  # calls on a loop: for fewer, connections of its own are not worth making


class AwaitedNode:
    """A server, for one event loop.

    :param node: the same for threads
    :param make: makes a connection, unconnected
    """

    def __init__(self, node: Node, make: Callable[[], Any]) -> None:
        self.node = node
        self.make = make
        self._idle: list[Line] = []
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._waiting: deque[asyncio.Future[Line | None]] = deque()
        self._answered = 0.0  # when a connection was given back last, as the loop counts

    # Connections

    @property
    def used(self) -> bool:
        """Whether there are connections."""
        return len(self._lines) > 0

    async def _borrow(self) -> Line:
        while not self._idle:
            if len(self._lines) < MOST_LINES:
                return await self._connect()
            line = await self._next()
            if line is not None:
                return line
        return self._idle.pop()

    async def _next(self) -> Line | None:
        """The next connection that is given back, in turn; None when one may be made.

        The deadline of a call begins when it has its connection. Many calls at once wait for
        as long as those before them get their answers.

        :raises Fault: when nobody has got any for as long as a call may wait
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        given: asyncio.Future[Line | None] = loop.create_future()
        self._waiting.append(given)
        try:
            while not given.done():
                left = max(begun, self._answered) + self.node.patience - loop.time()
                if left <= 0:
                    why = f"all {MOST_LINES} connections are in use"
                    raise Fault("slow", self.node.name, why)
                await asyncio.wait([given], timeout=left)
        except BaseException:
            if given.done():  # cancelled in the same moment
                self._pass_on(given.result())
            raise
        finally:
            given.cancel()
        return given.result()

    def _give(self, line: Line) -> None:
        """Give a connection back after an answer."""
        self._answered = asyncio.get_running_loop().time()
        self._pass_on(line)

    def _pass_on(self, line: Line | None) -> None:
        """Let the first who waits have a connection, or make one."""
        while self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(line)
                return
        if line is not None:
            self._idle.append(line)

    async def _connect(self) -> Line:
        node = self.node
        try:
            node.refuse()
        except Fault:
            self._pass_on(None)
            raise
        line = Line(self.make(), node.forget)
        self._lines.add(line)
        try:
            await self._in_time(line.connection.connect)
        except BaseException as error:
            await self._drop(line)
            if not isinstance(error, ERRORS):
                raise
            node.refused(error)
            raise fault(error, node.name) from error
        if node.breaker.open:
            node.breaker.worked()
        return line

    async def _in_time(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            async with timeout(self.node.patience):
                return await call(*arguments)
        except (asyncio.TimeoutError, OSError) as error:
            if not isinstance(error, (asyncio.TimeoutError, TimeoutError)):
                raise
            raise TimeoutError("no answer in time") from error

    async def _drop(self, *lines: Line) -> None:
        for line in lines:
            self._lines.discard(line)
            self._pass_on(None)
            line.lost()
            await line.connection.disconnect(nowait=True)

    def look_around(self) -> None:
        """Notice which connections were closed while nobody used them."""
        for line in self._idle:
            reader = getattr(line.connection, "_reader", None)
            if reader is not None and (reader.at_eof() or reader.exception() is not None):
                line.lost()  # who uses it next gives it up

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        lines, self._idle = self._idle, []
        await self._drop(*lines)

    async def _track(self, line: Line) -> None:
        node = self.node
        generation, listener = node.generation, node.listener
        line.tracked = False
        if generation != NOBODY and listener is not None:
            identity, where = listener
            if place_of(line.connection) != where:
                return
            try:
                await line.send(*TRACKING, identity, b"OPTOUT")
                await line.read()
                line.tracked = True
            except ResponseError:
                pass
        line.asked = generation

    # Calls

    async def do(self, method: str, arguments: Sequence[Any]) -> Any:
        """What one of the following methods returns."""
        return await getattr(self, method)(*arguments)

    async def _exchange(self, line: Line, track: bool, *command: Any) -> Any:
        if track and line.asked != self.node.generation:
            await self._track(line)
        await line.send(*command)
        return await line.read()

    async def _call(
        self, track: bool, twice: bool, *command: Any, exchange: Any = None
    ) -> tuple[Any, bool]:
        """The answer, and whether changes of what was read will be told.

        :param twice: it may be done again when the connection turns out to be broken
        :param exchange: what is done on a connection, with `track` and the rest
        """
        exchange = exchange or self._exchange
        line = await self._borrow()
        if not twice:
            line = await self._sound(line)
        try:
            reply = await self._in_time(exchange, line, track, *command)
        except BaseException as error:
            broke = isinstance(error, (ConnectionError, OSError))
            if not twice or not broke or isinstance(error, (BusyLoadingError, TimeoutError)):
                await self._failed(line, error)
                raise
            await self._drop(line)
            await self.close()
            line = await self._connect()
            try:
                reply = await self._in_time(exchange, line, track, *command)
            except BaseException as another:
                await self._failed(line, another)
                raise
        tracked = line.tracked
        self._give(line)
        return reply, tracked

    async def _failed(self, line: Line, error: BaseException) -> None:
        """Give a connection back or up, and raise what an exception in a call means."""
        if isinstance(error, ResponseError):  # an answer; the connection is all right
            self._give(line)
            named = self.node.named(error)
            raise named from (None if named is error else error)
        await self._drop(line)
        if isinstance(error, ERRORS):
            await self.close()  # they are most likely broken as well
            raise fault(error, self.node.name) from error

    async def _sound(self, line: Line) -> Line:
        """A connection that was not closed while nobody used it: this one, or another."""
        while True:
            try:
                # In one round the loop sees that it was closed, then it tells the stream.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                connection = line.connection
                # Before 8.0 its name is the other; what it destroys is not wanted here.
                ready = getattr(connection, "can_read", None) or connection.can_read_destructive
                if not await ready():
                    return line
            except ERRORS:
                pass
            except BaseException:
                await self._drop(line)
                raise
            await self._drop(line)
            line = await self._borrow()

    async def ask(self, *command: Any) -> Any:
        return (await self._call(False, True, *command))[0]

    async def look(self, *command: Any) -> tuple[Any, bool]:
        return await self._call(True, True, *command)

    async def glance(
        self, untold: Sequence[bytes], told: Sequence[bytes]
    ) -> tuple[list[Any], bool]:
        return await self._call(True, True, untold, told, exchange=self._values)

    async def _values(
        self, line: Line, track: bool, untold: Sequence[bytes], told: Sequence[bytes]
    ) -> Any:
        if not untold:
            return await self._exchange(line, track, b"MGET", *told)
        if line.asked != self.node.generation:
            await self._track(line)
        if not line.tracked:
            return await self._exchange(line, False, b"MGET", *untold, *told)
        connection = line.connection
        await connection.send_packed_command(connection.pack_commands(apart(untold, told)))
        with suppress(ResponseError):  # then it is told after all
            await line.read()
        try:
            values = await line.read()
        except ResponseError:
            if told:  # or this answer would be the next command's
                with suppress(ResponseError):
                    await line.read()
            raise
        return values + await line.read() if told else values

    async def once(self, *command: Any) -> Any:
        return (await self._call(False, False, *command))[0]

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        return await self._run(False, script, keys, arguments)

    async def rerun(self, script: Script, keys: Sequence[bytes], *arguments: Any) -> Any:
        return await self._run(True, script, keys, arguments)

    async def _run(
        self, twice: bool, script: Script, keys: Sequence[bytes], arguments: Sequence[Any]
    ) -> Any:
        exchange = self._untold if script.noted else None
        try:
            command = script.known(keys, arguments)
            return (await self._call(False, twice, *command, exchange=exchange))[0]
        except NoScriptError:
            command = script.whole(keys, arguments)
            return (await self._call(False, twice, *command, exchange=exchange))[0]

    async def _untold(self, line: Line, track: bool, *command: Any) -> Any:
        if not line.tracked:
            return await self._exchange(line, track, *command)
        connection = line.connection
        await connection.send_packed_command(connection.pack_commands((UNTOLD, command)))
        with suppress(ResponseError):  # then it is told after all
            await line.read()
        return await line.read()

    async def asking(self, *command: Any) -> Any:
        async def both(line: Line) -> Any:
            await self._exchange(line, False, b"ASKING")
            return await self._exchange(line, False, *command)

        line = await self._sound(await self._borrow())
        try:
            reply = await self._in_time(both, line)
        except BaseException as error:
            await self._failed(line, error)
            raise
        self._give(line)
        return reply

    async def look_many(self, commands: Sequence[Sequence[Any]]) -> tuple[list[Any], bool]:
        return await self._call_many(commands, True)

    async def ask_many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return (await self._call_many(commands, False))[0]

    async def browse_many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return (await self._call_many(commands, False, untold=True))[0]

    async def _call_many(
        self, commands: Sequence[Sequence[Any]], track: bool, untold: bool = False
    ) -> tuple[list[Any], bool]:
        replies: list[Any] = []

        async def exchange(some: Sequence[Sequence[Any]]) -> None:
            connection = line.connection
            quiet = untold and line.tracked
            sent = some if not quiet else [each for one in some for each in (UNTOLD, one)]
            await connection.send_packed_command(connection.pack_commands(sent))
            for _ in some:
                if quiet:
                    with suppress(ResponseError):
                        await line.read(disconnect_on_error=False)
                try:
                    replies.append(await line.read(disconnect_on_error=False))
                except ResponseError as error:
                    replies.append(self.node.named(error))

        line = await self._sound(await self._borrow())
        try:
            if track and line.asked != self.node.generation:
                await self._in_time(self._track, line)
            for start in range(0, len(commands), AT_ONCE):
                await self._in_time(exchange, commands[start : start + AT_ONCE])
        except BaseException as error:
            await self._failed(line, error)
            raise
        tracked = line.tracked
        self._give(line)
        return replies, tracked

    async def run_many(
        self, script: Script, calls: Sequence[tuple[Sequence[bytes], Sequence[Any]]]
    ) -> list[Any]:
        commands = [script.known(keys, arguments) for keys, arguments in calls]
        replies = await self.browse_many(commands)
        again = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if again:
            await self.ask(b"SCRIPT", b"LOAD", script.text)
            new = await self.browse_many([commands[n] for n in again])
            for n, reply in zip(again, new, strict=True):
                replies[n] = reply
        return replies


class AwaitedLink:
    """The servers of one address, for one event loop."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.calls = 0
        self._nodes: dict[Node, AwaitedNode] = {}
        self._table: Any = None  # by which those were looked through
        self._closing: AsyncGenerator[None, None] | None = None

    async def begin(self) -> None:
        """Be closed with the loop, and now leave nodes that have left the cluster."""
        if self._closing is None:
            self._closing = self._close_at_its_end()
            await self._closing.__anext__()
        if self._table is not self.link.table:
            await self._leave_others()

    async def _leave_others(self) -> None:
        table = self.link.table
        nodes = set(table)
        done = True
        for node in [each for each in self._nodes if each not in nodes]:
            awaited = self._nodes.pop(node)
            await awaited.close()
            if awaited.used:  # by other tasks, until a later call
                self._nodes.setdefault(node, awaited)
                done = False
        if done:
            self._table = table

    async def _close_at_its_end(self) -> AsyncGenerator[None, None]:
        loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            # This generator knows the loop, which would stay as long as it is found there.
            if self.link.loops.get(loop) is self:
                del self.link.loops[loop]
            await self.close()

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        for node in self._nodes.values():
            await node.close()

    def look_around(self) -> None:
        """See `Node.look_around`; in the loop."""
        for node in self._nodes.values():
            node.look_around()

    def of(self, node: Node) -> AwaitedNode:
        """The same node, awaited."""
        found = self._nodes.get(node)
        if found is None:
            found = self._nodes[node] = AwaitedNode(node, self.link.awaited(node))
        return found

    async def answer(self, number: int, method: str, arguments: Sequence[Any]) -> Any:
        """What a method of the node that has the hash of a key returns, wherever that moves.

        :raises Fault: when there is no answer
        """
        link = self.link
        if link.address.kind != "cluster":
            return await getattr(self.of(link.table[0]), method)(*arguments)
        steps = following(link, number & 255, method, arguments)
        return await driven_on_loop(steps, self._done)

    async def _done(self, whose: Any, method: str, arguments: Sequence[Any]) -> Any:
        if whose is time:
            return await asyncio.sleep(*arguments)
        if whose is self.link:
            return await asyncio.to_thread(getattr(whose, method), *arguments)
        return await getattr(self.of(whose), method)(*arguments)
