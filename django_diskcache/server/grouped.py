"""What each operation by many keys asks the servers and makes of their answers.

These are generators as those of `steps`. Each is on the keys of one node, and yields one call:
the name of one of its methods, and the arguments.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from math import inf
from typing import Any, TypeAlias

from ..engine.errors import ENOVAL, Foreign, Unavailable
from .board import MASK
from .doorkeeper import LONG
from .node import Node
from .scripts import SET, Script
from .steps import Call, Operations

NodeSteps: TypeAlias = "Generator[tuple[str, tuple[Any, ...]], Any, Any]"


class GroupedOperations(Operations):
    """Those of one engine."""

    def groups(self, numbers: Sequence[int]) -> Mapping[Node, Sequence[int]]:
        """Positions in `numbers`, which are hashes, by the node that has the key.

        :raises Fault: when the nodes of a cluster are not known
        """
        link = self.engine.link
        if self.engine.address.kind != "cluster":
            return {link.table[0]: range(len(numbers))} if numbers else {}
        return link.each([number & 255 for number in numbers])

    def load(
        self, positions: Sequence[int], keys: Sequence[Any], places: Sequence[Any]
    ) -> NodeSteps:
        """The values of several keys, keys to be asked for one by one, and what to `refuse`."""
        engine = self.engine
        stamps, near = engine.board.stamps, engine.near
        if len(positions) < len(keys):
            keys, places = [keys[n] for n in positions], [places[n] for n in positions]
        now = engine.clock()  # before the read, as the stamps
        untold = 0  # the number of those that are not to be remembered, which come first
        if engine.address.kind == "cluster":  # one command takes keys of one slot
            noted = [stamps[number & MASK] for _, number, _ in places]
            commands = [(b"GET", name) for name, _, _ in places]
            replies, tracked = yield "look_many", (commands,)
        else:
            keys, places, untold = self._sorted(keys, places, now)
            noted = [0] * untold + [stamps[number & MASK] for _, number, _ in places[untold:]]
            names = [name for name, _, _ in places]
            replies, tracked = yield "glance", (names[:untold], names[untold:])
        found: dict[Any, Any] = {}
        again: list[Any] = []
        foreign: list[Any] = []
        seen = []
        decode = engine.codec.decode
        misses = 0
        for key, (name, number, form), stamp, data in zip(
            keys, places, noted, replies, strict=True
        ):
            untold -= 1
            if data is None:
                misses += 1
                due, kept, loads = None, ENOVAL, None
            elif type(data) is not bytes:  # an error: it has moved, say
                again.append(key)
                continue
            else:
                try:
                    found[key], due, kept, loads = decode(data, form)
                except (Foreign, Unavailable) as why:
                    foreign.append((name, number, data, why))
                    misses += 1
                    continue
            if untold < 0:
                known = key if type(key) is str else name
                end = None if due == inf else due
                seen.append((known, number & MASK, stamp, now, end, kept, loads))
        hits = len(keys) - misses - len(again)
        near.counts[0] += hits
        near.counts[1] += misses
        if tracked:
            near.put_many(seen)
        elif not near.bypassing():
            engine.listen()
        return found, again, _to_be_said(foreign)

    def _sorted(
        self, keys: Sequence[Any], places: Sequence[Any], now: float
    ) -> tuple[Sequence[Any], Sequence[Any], int]:
        """Keys and their places: first those not to be remembered, and how many these are."""
        engine = self.engine
        if len(keys) < LONG:
            return keys, places, 0
        numbers = [number for _, number, _ in places]
        known = engine.doorkeeper.known(numbers, now)
        held = engine.near.held(keys)
        if not known and not held:
            return keys, places, len(keys)
        parts: tuple[list[int], list[int]] = [], []
        for n, number in enumerate(numbers):
            parts[number in known or keys[n] in held].append(n)
        order = parts[0] + parts[1]
        return [keys[n] for n in order], [places[n] for n in order], len(parts[0])

    def store(self, positions: Sequence[int], calls: Sequence[Call]) -> NodeSteps:
        """Make several calls of `setting`; positions of those to be made one by one."""
        some = [calls[n] for n in positions]
        try:
            if some and some[0][1] == "rerun":
                rest = [(arguments[1], arguments[2:]) for _, _, arguments in some]
                replies = yield "run_many", (SET, rest)
            else:
                replies = yield "ask_many", ([arguments for _, _, arguments in some],)
        finally:
            self._changed_all(number for number, _, _ in some)
        return _refused(positions, replies)

    def unlink(
        self, positions: Sequence[int], names: Sequence[bytes], numbers: Sequence[int]
    ) -> NodeSteps:
        """Remove several entries: how many there were, and positions of those left to do."""
        if len(positions) < len(names):
            names, numbers = [names[n] for n in positions], [numbers[n] for n in positions]
        try:
            if self.engine.address.kind != "cluster":
                removed = yield "ask", (b"UNLINK", *names)
                return removed, []
            replies = yield "ask_many", ([(b"UNLINK", name) for name in names],)
        finally:
            self._changed_all(numbers)
        return sum(n for n in replies if type(n) is int), _refused(positions, replies)

    def running(
        self, script: Script, calls: Sequence[tuple[Sequence[bytes], Sequence[Any]]]
    ) -> NodeSteps:
        """What a script returns for each of several (keys, arguments)."""
        return (yield "run_many", (script, calls))

    def _changed_all(self, numbers: Iterable[int]) -> None:
        self.engine.board.stamp_each(numbers)


def _to_be_said(foreign: list[Any]) -> list[Any]:
    """Of those that are only unavailable it is enough to say one."""
    unavailable = [each for each in foreign if isinstance(each[-1], Unavailable)]
    rest = [each for each in foreign if not isinstance(each[-1], Unavailable)]
    return rest + unavailable[:1]


def _refused(positions: Sequence[int], replies: Sequence[Any]) -> list[int]:
    """Positions of the calls that were answered with an error."""
    pairs = zip(positions, replies, strict=True)
    return [n for n, reply in pairs if isinstance(reply, Exception)]
