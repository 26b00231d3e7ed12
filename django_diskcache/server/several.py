"""The methods of a cache on a server that go by many keys: one round trip for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..engine.batches import shortened
from ..engine.errors import ENOVAL, Timeout
from ..engine.faults import FAULTS
from .following import driven
from .grouped import NodeSteps
from .node import Node
from .scripts import Script
from .single import SingleKey
from .steps import Call


class ManyKeys(SingleKey):
    """Mixed into the face."""

    def _groups(self, numbers: Sequence[int]) -> Mapping[Node, Sequence[int]]:
        """Positions in `numbers` by node; none where a fault in asking for that is absorbed."""
        if self._wait(False) == 0:
            raise Timeout
        found: Mapping[Node, Sequence[int]] = self._safely({}, self._operations.groups, numbers)
        return found

    def _groups_of(self, places: Sequence[Any]) -> Mapping[Node, Sequence[int]]:
        """`_groups` of places, see `Remote.place`."""
        if self._engine.address.kind != "cluster":  # then the hashes make no difference
            return self._groups(range(len(places)))
        return self._groups([number for _, number, _ in places])

    def _on(self, node: Node, otherwise: Any, steps: NodeSteps) -> Any:
        """What an operation on one node returns, or `otherwise` where a fault is absorbed."""
        return self._safely(otherwise, driven, steps, node.do)

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """The values of those `keys` that are there."""
        found, unknown = self._known(keys)
        if not unknown:
            return found
        operations = self._operations
        places = self._engine.places(unknown)
        for node, positions in self._groups_of(places).items():
            steps = operations.load(positions, unknown, places)
            some, again, foreign = self._on(node, ({}, (), ()), steps)
            found.update(some)
            for each in foreign:
                self._remotely(None, operations.refuse(*each))
            for key in again:
                value = self._remotely(ENOVAL, operations.look(key))
                if value is not ENOVAL:
                    found[key] = value
        return found

    def _known(self, keys: Iterable[Any]) -> tuple[dict[Any, Any], list[Any]]:
        """What the near cache has of several keys, and those that the server must be asked."""
        texts: list[Any] = []
        others: list[Any] = []
        if type(keys) is list and set(map(type, keys)) == {str}:
            texts = keys
        else:
            for key in keys:
                (texts if type(key) is str else others).append(key)
        found, unknown = self._engine.near.get_many(texts)
        return found, unknown + others

    def set_many(
        self,
        items: Mapping[Any, Any],
        expire: float | None = None,
        tag: Any = None,
        retry: bool = False,
        spread: float = 0,
    ) -> list[Any]:
        """Store all `items`; the keys that were not stored. Each is one step of its own.

        :param spread: up to which fraction `expire` is shortened, for each key at random
        """
        operations = self._operations
        keys = list(items)
        calls = self._settings(items, expire, tag, spread)
        failed = set(range(len(keys)))
        for node, positions in self._groups([number for number, _, _ in calls]).items():
            again = self._on(node, None, operations.store(positions, calls))
            if again is None:  # a fault: none of them
                continue
            failed.difference_update(positions)
            for n in again:
                life = shortened(expire, spread)
                if not self.set(keys[n], items[keys[n]], life, tag=tag):
                    failed.add(n)
        return [keys[n] for n in sorted(failed)]

    def _settings(
        self, items: Mapping[Any, Any], expire: float | None, tag: Any, spread: float
    ) -> list[Call]:
        setting = self._operations.setting
        return [
            setting(key, items[key], shortened(expire, spread), False, tag) for key in items
        ]

    def delete_many(self, keys: Iterable[Any], retry: bool = False) -> int:
        """Remove `keys`; how many were there."""
        keys = keys if type(keys) is list else list(keys)
        names, numbers = self._engine.names(keys)
        removed = 0
        for node, positions in self._groups(numbers).items():
            steps = self._operations.unlink(positions, names, numbers)
            some, again = self._on(node, (0, ()), steps)
            removed += some + sum(self.delete(keys[n]) for n in again)
        return removed

    def _run_in_buckets(
        self, script: Script, calls: Sequence[tuple[int, Sequence[bytes], Sequence[Any]]]
    ) -> list[Any]:
        """What a script returns in each (bucket, keys, arguments), but for those with a fault.

        Nobody is told when what it has read changes.

        :raises Fault: where it is not absorbed
        """
        results: list[Any] = []
        for node, positions in self._groups([bucket for bucket, _, _ in calls]).items():
            some = [calls[n] for n in positions]
            try:
                parts = [(keys, rest) for _, keys, rest in some]
                replies = node.run_many(script, parts, untold=True)
            except FAULTS as error:
                if not self._absorbed(error):
                    raise
                continue
            for (bucket, keys, rest), reply in zip(some, replies, strict=True):
                if isinstance(reply, Exception):  # it has moved, say
                    one = self._safely(None, self._ask, bucket, "rerun", script, keys, *rest)
                    results += [] if one is None else [one]
                else:
                    results.append(reply)
        return results
