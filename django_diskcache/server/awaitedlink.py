"""The servers of one address for one event loop: what `link` has for threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from .awaitednode import AwaitedNode
from .following import driven_on_loop, following
from .link import Link
from .node import Node

NATIVE_FROM = 3  # calls on a loop: for fewer, connections of its own are not worth making


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
