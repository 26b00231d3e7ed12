"""The methods of a cache on a server that go by many keys: one round trip for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..engine.errors import ENOVAL, Fault, Foreign
from ..engine.faults import FAULTS
from .node import Node
from .scripts import SET, Script
from .single import SingleKey


class ManyKeys(SingleKey):
    """Mixed into the face."""

    def _by_node(self, numbers: Sequence[int]) -> Mapping[Node, Sequence[int]]:
        """Positions in `numbers`, which are hashes, by the node that has the key."""
        link = self._engine.link
        if self._engine.address.kind != "cluster":
            return {link.table[0]: range(len(numbers))} if numbers else {}
        return link.each([number & 255 for number in numbers])

    def _from_nodes(self, otherwise: Any, groups: Any, operation: Any, *args: Any) -> list[Any]:
        """What an operation on each node returns; one with a fault is passed over."""
        return [
            self._remotely(otherwise, operation, node, positions, *args)
            for node, positions in groups.items()
        ]

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """The values of those `keys` that are there."""
        texts: list[Any] = []
        others: list[Any] = []
        for key in keys:
            (texts if type(key) is str else others).append(key)
        found, unknown = self._engine.near.get_many(texts)
        unknown += others
        if unknown:
            places = [self._engine.place(key) for key in unknown]
            groups = self._remotely({}, self._by_node, [number for _, number, _ in places])
            for some in self._from_nodes({}, groups, self._load, unknown, places):
                found.update(some)
        return found

    def _load(
        self, node: Node, positions: Sequence[int], keys: list[Any], places: list[Any]
    ) -> dict[Any, Any]:
        engine = self._engine
        stamps, near = engine.board.stamps, engine.near
        some = [(keys[n], *places[n]) for n in positions]
        noted = [stamps[number & 0xFFFF] for _, _, number, _ in some]
        now = engine.clock()  # both before the read
        if engine.address.kind == "cluster":  # one command takes keys of one slot
            replies, tracked = node.look_many([(b"GET", name) for _, name, _, _ in some])
        else:
            replies, tracked = node.look(b"MGET", *[name for _, name, _, _ in some])
        found: dict[Any, Any] = {}
        seen = []
        decode = engine.codec.decode
        hits = misses = 0
        for (key, name, number, form), stamp, data in zip(some, noted, replies, strict=True):
            if data is None:
                misses += 1
                due, kept, loads = None, ENOVAL, None
            elif isinstance(data, Exception):  # it has moved, say
                value = self._look(key)
                if value is not ENOVAL:
                    found[key] = value
                continue
            else:
                try:
                    found[key], due, kept, loads = decode(data, form)
                    hits += 1
                except Foreign as why:
                    self._refuse(name, number, data, why)
                    misses += 1
                    continue
            known = key if type(key) is str else name
            seen.append((known, number & 0xFFFF, stamp, now, due, kept, loads))
        near.counts[0] += hits
        near.counts[1] += misses
        if tracked:
            near.put_many(seen)
        else:
            engine.listen()
        return found

    def set_many(
        self,
        items: Mapping[Any, Any],
        expire: float | None = None,
        tag: Any = None,
        retry: bool = False,
    ) -> list[Any]:
        """Store all `items`; the keys that were not stored. Each is one step of its own."""
        keys = list(items)
        settings = [self._setting(key, items[key], expire, False, tag) for key in keys]
        failed = list(range(len(keys)))
        groups = self._remotely({}, self._by_node, [number for _, number, _ in settings])
        for stored in self._from_nodes((), groups, self._store, settings):
            failed = [n for n in failed if n not in stored]
        return [keys[n] for n in failed]

    def _store(self, node: Node, positions: Sequence[int], settings: list[Any]) -> set[int]:
        calls = [settings[n] for n in positions]
        try:
            if calls and calls[0][0] == "rerun":
                replies = node.run_many(SET, [(rest[1], rest[2:]) for _, _, rest in calls])
            else:
                replies = node.ask_many([rest for _, _, rest in calls])
        finally:
            self._stamp(number for _, number, _ in calls)
        stored = set()
        for n, reply in zip(positions, replies, strict=True):
            method, number, arguments = settings[n]
            if self._sound(reply, number, method, *arguments) is not None:
                stored.add(n)
        return stored

    def _sound(self, reply: Any, number: int, method: str, *arguments: Any) -> Any:
        """The answer to one of many calls; where it was sent elsewhere, it is made by itself.

        :return: None for a fault
        """
        if not isinstance(reply, Exception):
            return reply
        if isinstance(reply, Fault):
            if not self._absorbed(reply):
                raise reply
            return None
        return self._safely(None, self._write, number, method, *arguments)

    def _stamp(self, numbers: Iterable[int]) -> None:
        self._engine.board.stamp_each([number & 0xFFFF for number in numbers])

    def delete_many(self, keys: Iterable[Any], retry: bool = False) -> int:
        """Remove `keys`; how many were there."""
        places = [self._engine.place(key) for key in keys]
        groups = self._remotely({}, self._by_node, [number for _, number, _ in places])
        return sum(self._from_nodes(0, groups, self._unlink, places))

    def _unlink(self, node: Node, positions: Sequence[int], places: list[Any]) -> int:
        names = [places[n][0] for n in positions]
        try:
            if self._engine.address.kind != "cluster":
                removed: int = node.ask(b"UNLINK", *names)
                return removed
            replies = node.ask_many([(b"UNLINK", name) for name in names])
        finally:
            self._stamp(places[n][1] for n in positions)
        removed = 0
        for n, reply in zip(positions, replies, strict=True):
            name, number, _ = places[n]
            removed += self._sound(reply, number, "ask", b"UNLINK", name) or 0
        return removed

    def _run_in_buckets(
        self, script: Script, calls: Sequence[tuple[int, Sequence[bytes], Sequence[Any]]]
    ) -> list[Any]:
        """What a script returns in each (bucket, keys, arguments), but for those with a fault.

        :raises Fault: where it is not absorbed
        """
        groups = self._remotely({}, self._engine.link.each, [bucket for bucket, _, _ in calls])
        results: list[Any] = []
        for node, positions in groups.items():
            some = [calls[n] for n in positions]
            try:
                replies = node.run_many(script, [(keys, rest) for _, keys, rest in some])
            except FAULTS as error:
                if not self._absorbed(error):
                    raise
                continue
            for (bucket, keys, rest), reply in zip(some, replies, strict=True):
                sound = self._sound(reply, bucket, "rerun", script, keys, *rest)
                if sound is not None:
                    results.append(sound)
        return results
