"""Calls on one server from an event loop: what `node` does, awaited.

The methods mean what those of `Node` do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from .awaitedlines import AwaitedLines
from .lines import Line, may_try_again
from .node import AT_ONCE, UNTOLD, apart
from .packing import together
from .scripts import Script
from .trouble import ERRORS, fault


class AwaitedNode(AwaitedLines):
    """A server, for one event loop."""

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
            reply = await self._in_time(line, exchange, line, track, *command)
        except BaseException as error:
            if not twice or not may_try_again(line, error):
                await self._failed(line, error)
                raise
            line = await self._instead(line)
            reply = await self._on(line, exchange, line, track, *command)
        tracked = line.tracked
        self._give(line)
        return reply, tracked

    async def _on(self, line: Line, exchange: Any, *arguments: Any) -> Any:
        """What an exchange on a connection returns, which is not tried again."""
        try:
            return await self._in_time(line, exchange, *arguments)
        except BaseException as error:
            await self._failed(line, error)
            raise

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
        return await self._instead(line)

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
        await connection.send_packed_command(together(connection, apart(untold, told)))
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
        await connection.send_packed_command(together(connection, (UNTOLD, command)))
        with suppress(ResponseError):  # then it is told after all
            await line.read()
        return await line.read()

    async def asking(self, *command: Any) -> Any:
        async def both(line: Line) -> Any:
            await self._exchange(line, False, b"ASKING")
            return await self._exchange(line, False, *command)

        line = await self._sound(await self._borrow())
        reply = await self._on(line, both, line)
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
            await connection.send_packed_command(together(connection, sent))
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
                await self._in_time(line, self._track, line)
            for start in range(0, len(commands), AT_ONCE):
                if start:  # each round trip has a deadline of its own
                    line.deadline.begin()
                await self._in_time(line, exchange, commands[start : start + AT_ONCE])
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
