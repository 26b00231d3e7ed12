"""The methods of a cache on a server that go by many keys: one round trip for each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..engine.batches import shortened
from ..engine.errors import ENOVAL, Timeout
from .abreast import Abreast, Groups
from .grouped import NodeSteps
from .node import Node
from .scripts import Script


class ManyKeys(Abreast):
    """Mixed into the face."""

    def _groups(self, numbers: Sequence[int]) -> Groups:
        """Positions in `numbers` by node; none where a fault in asking for that is absorbed."""
        if self._wait(False) == 0:
            raise Timeout
        found: Groups = self._safely({}, self._operations.groups, numbers)
        return found

    def _groups_of(self, places: Sequence[Any]) -> Groups:
        """`_groups` of places, see `Remote.place`."""
        if self._engine.address.kind != "cluster":  # then the hashes make no difference
            return self._groups(range(len(places)))
        return self._groups([number for _, number, _ in places])

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """The values of those `keys` that are there."""
        found, unknown = self._known(keys)
        if not unknown:
            return found
        operations = self._operations
        places = self._engine.places(unknown)
        load = partial(operations.load, keys=unknown, places=places)
        for _, loaded in self._on_groups(self._groups_of(places), ({}, (), ()), load):
            some, again, foreign = loaded
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
        calls = operations.settings(items, expire, tag, spread)
        failed = set(range(len(keys)))
        groups = self._groups([number for number, _, _ in calls])
        store = partial(operations.store, calls=calls)
        for positions, again in self._on_groups(groups, None, store):
            if again is None:  # a fault: none of them
                continue
            failed.difference_update(positions)
            for n in again:
                life = shortened(expire, spread)
                if not self.set(keys[n], items[keys[n]], life, tag=tag):
                    failed.add(n)
        return [keys[n] for n in sorted(failed)]

    def delete_many(self, keys: Iterable[Any], retry: bool = False) -> int:
        """Remove `keys`; how many were there."""
        keys = keys if type(keys) is list else list(keys)
        names, numbers = self._engine.names(keys)
        removed = 0
        unlink = partial(self._operations.unlink, names=names, numbers=numbers)
        for _, unlinked in self._on_groups(self._groups(numbers), (0, ()), unlink):
            some, again = unlinked
            removed += some + sum(self.delete(keys[n]) for n in again)
        return removed

    def _run_in_buckets(
        self, script: Script, calls: Sequence[tuple[int, Sequence[bytes], Sequence[Any]]]
    ) -> tuple[list[Any], set[Node]]:
        """What a script returns in each (bucket, keys, arguments), and nodes with a fault.

        Nobody is told when what it has read changes.

        :raises Fault: where it is not absorbed
        """
        results: list[Any] = []
        groups = self._groups([bucket for bucket, _, _ in calls])

        def running(positions: Sequence[int]) -> NodeSteps:
            return self._operations.running(script, [calls[n][1:] for n in positions])

        away = set(groups)
        answers = self._on_groups(groups, None, running)
        for node, (positions, replies) in zip(groups, answers, strict=True):
            if replies is None:
                continue
            away.discard(node)
            for n, reply in zip(positions, replies, strict=True):
                if isinstance(reply, Exception):  # it has moved, say
                    bucket, keys, rest = calls[n]
                    one = self._safely(None, self._ask, bucket, "rerun", script, keys, *rest)
                    results += [] if one is None else [one]
                else:
                    results.append(reply)
        return results, away
