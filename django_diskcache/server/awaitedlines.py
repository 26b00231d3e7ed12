"""Connections to one server for one event loop: what `lines` has for threads, awaited.

Connections belong to the loop that they were made in. Each loop has its own, and they are
closed when it shuts down its asynchronous generators, as `asyncio.run` and asgiref do before
they close it. What is not of a loop is shared with the calls of threads: the breaker, and who
is told of changes.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError, TimeoutError

from ..engine.errors import Fault
from .deadline import Deadline
from .lines import MOST_LINES, NOBODY, TRACKING, Line, place_of
from .node import Node
from .resolving import answered
from .trouble import ERRORS, fault

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # the client needs it as well


class AwaitedLines:
    """The connections to a server of one event loop.

    :param node: the same server, for threads
    :param make: makes a connection, unconnected
    """

    def __init__(self, node: Node, make: Callable[[], Any]) -> None:
        self.node = node
        self.make = make
        self._idle: list[Line] = []
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._waiting: deque[asyncio.Future[Line | None]] = deque()
        self._promised = 0  # connections that some of them may make, and have not yet begun to
        self._answered = 0.0  # when a connection was given back last, as the loop counts

    @property
    def used(self) -> bool:
        """Whether there are connections."""
        return len(self._lines) > 0

    async def _borrow(self) -> Line:
        """A connection for one call, whose deadline begins."""
        line: Line | None = None
        while not self._idle:
            if len(self._lines) + self._promised < MOST_LINES:
                return await self._connect()
            line = await self._next()
            if line is not None:
                break
        line = line or self._idle.pop()
        line.deadline.begin()
        return line

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
                self._pass_on(self._taken(given))
            raise
        finally:
            given.cancel()
        return self._taken(given)

    def _taken(self, given: asyncio.Future[Line | None]) -> Line | None:
        line = given.result()
        if line is None:
            self._promised -= 1
        return line

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
                if line is None:  # who comes before it runs must not take its room
                    self._promised += 1
                return
        if line is not None:
            self._idle.append(line)

    async def _connect(self, begun: float | None = None) -> Line:
        """A new connection, for the call whose deadline begins, or began then."""
        node = self.node
        try:
            node.refuse()
        except Fault:
            self._pass_on(None)
            raise
        line = Line(self.make(), Deadline(node.patience), node.forget)
        self._lines.add(line)
        line.deadline.begin()
        if begun is not None:
            line.deadline.begun = begun
        try:
            await self._in_time(line, _connected, line.connection)
        except BaseException as error:
            await self._drop(line)
            if not isinstance(error, ERRORS):
                raise
            node.refused(error)
            raise fault(error, node.name) from error
        if node.breaker.open:
            node.breaker.worked()
        return line

    async def _instead(self, broken: Line) -> Line:
        """A new connection for a call that found its own broken, and began with that."""
        broken.lost()
        try:
            await broken.connection.disconnect(nowait=True)
            await self.close()
        except BaseException:
            await self._drop(broken)
            raise
        self._lines.discard(broken)
        return await self._connect(broken.deadline.begun)

    async def _in_time(self, line: Line, call: Callable[..., Any], *arguments: Any) -> Any:
        """What a call on a connection returns, within the deadline of that."""
        try:
            async with timeout(line.deadline.left()):
                return await call(*arguments)
        except asyncio.TimeoutError as error:  # of its own kind in Python 3.10
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
            # The client has no public word for it, from 6.2 to 8.1: `is_connected` is true, and
            # `can_read` says nothing of a connection that was reset.
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


async def _connected(connection: Any) -> None:
    pool = getattr(connection, "connection_pool", None)
    if pool is not None:  # the client says "localhost" until sentinels were asked
        place = await _primary(pool)
        await answered(place[0], connection.socket_type)
        await connection.connect_to(place)
        return
    host = getattr(connection, "host", None)
    if host:
        await answered(host, connection.socket_type)
    await connection.connect()


async def _primary(pool: Any) -> tuple[str, int]:
    """Its host and port, as sentinels say; no connection to them stays open."""
    try:
        place: tuple[str, int] = await pool.get_master_address()
        return place
    finally:
        # The client puts another first when it has answered. It has a public word to close what
        # is idle, which waits for that; meanwhile another task may take one of these.
        for sentinel in list(pool.sentinel_manager.sentinels):
            idle = sentinel.connection_pool._available_connections
            while idle:
                await idle.pop().disconnect(nowait=True)
