"""The methods of a cache on a server that are about all of its entries, but for removal."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

from ..engine.computing import Computing
from ..engine.errors import ENOVAL, UNKNOWN, Foreign, Timeout
from ..engine.faults import FAULTS, of_every_kind
from ..engine.guard import RAISE
from ..engine.labels import Labels
from ..engine.once import Found
from ..engine.shard import RemovalHandler
from . import gauges
from .claiming import Claim, claiming
from .names import PAGE, scanned
from .node import Node
from .remote import BYTES, NUMBER, PICKLED, TEXT, number_of
from .removing import RemovingMany

ORDER = (NUMBER, TEXT, BYTES, PICKLED)


class WholeCache(RemovingMany, Computing, Labels):
    """Mixed into the face."""

    # Looking

    def _tagged(self, tags: tuple[Any, ...], every: bool) -> Iterator[Any]:
        return self._keys_of(self._names_tagged(tags, every))

    def _names_tagged(self, tags: tuple[Any, ...], every: bool) -> Iterator[bytes]:
        """Names of entries with one of these tags, or `every` one of them; each once."""
        found, away = self._run_tagged(tags, b"all" if every else b"any", b"list")
        found += self._unhinted(tags, every, b"list", away)
        return iter(dict.fromkeys(name for names in found for name in names))

    def _names(self, pattern: bytes, page: int = PAGE) -> Iterator[bytes]:
        """Names of entries, in no order, each once; what is stored meanwhile may be missing."""
        for node in self._nodes():
            seen: set[bytes] = set()
            try:
                for names in scanned(node, pattern, page):
                    for name in names:
                        if name not in seen and self._is_entry(name):
                            seen.add(name)
                            yield name
            except FAULTS as error:
                if not self._absorbed(error):
                    raise

    def __len__(self) -> int:
        """Number of entries; it costs a look at every name on the server."""
        numbers: list[int] = []

        def count(node: Node) -> None:
            seen: set[bytes] = set()
            for names in scanned(node, self._engine.any_name):
                new = {name for name in names if self._is_entry(name)} - seen
                seen.update(new)
                numbers.append(len(new))

        self._on_each(self._nodes(), count, None)
        return sum(numbers)

    def __iter__(self) -> Iterator[Any]:
        """Keys, in no order; what is stored or removed meanwhile may be among them."""
        return self._keys_of(self._names(self._engine.any_name))

    def _keys_of(self, names: Iterable[bytes]) -> Iterator[Any]:
        for name in names:
            try:
                yield self._engine.key_of(name)
            except Foreign as why:
                self._engine.triage.foreign(why)

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """Keys in order: numbers, texts, bytes, others; it takes memory for all their names."""
        names = self._names(self._engine.any_name)
        return self._keys_of(sorted(names, key=self._rank, reverse=reverse))

    def _rank(self, name: bytes) -> tuple[int, Any]:
        start = self._engine._body
        sign, body = name[start - 1 : start], name[start:]
        if sign == NUMBER:
            with suppress(struct.error):  # else it is none of ours, and shown to nobody
                return 0, number_of(body)
            return -1, body
        return ORDER.index(sign), body

    # What a server does by itself, or cannot do

    def cull(self, retry: bool = False) -> int:
        """Nothing: the server evicts by its own limit and policy; 0."""
        return 0

    def check(self, fix: bool = False, retry: bool = False) -> list[Any]:
        """Nothing: there are no files; an empty list."""
        return []

    def create_tag_index(self) -> None:
        """Nothing: tags are always indexed."""

    def drop_tag_index(self) -> None:
        """Nothing: tags are always indexed."""

    def transact(self, retry: bool = True) -> AbstractContextManager[None]:
        """Not here: a server keeps nobody waiting while a caller makes up his mind.

        :raises NotImplementedError: always
        """
        raise NotImplementedError(
            f"the cache at {self._engine.address.text} has no transactions; use incr, add, pop "
            "or a lock, each of which is one step"
        )

    # Computing once

    def claim(self, key: Any) -> Claim | None:
        """The right to compute `key`, which one on all machines has at a time.

        It is freed by its `release`, by ``with``, and some seconds after its holder died.

        :return: None while another has it
        """
        made: Claim | None = self._remotely(RAISE, claiming(self._engine, key))
        return made

    def until(self, key: Any, retry: bool = False) -> Found:
        """The value of `key` and when it expires (seconds since the epoch, or None).

        :return: (ENOVAL, None) if it is missing
        """
        known: Any = self._engine.near.until(key) if type(key) is str else UNKNOWN
        if known is UNKNOWN:
            known = self._remotely((ENOVAL, None), self._operations.until(key))
        found: Found = known
        return found

    # Figures

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """(hits, misses) of all processes; each tells of its own once a second."""
        if self._wait(False) == 0:
            raise Timeout
        found = self._safely((0, 0), self._engine.counts)
        if reset:
            self._safely(None, self._engine.forget_counts)
        self._engine.settings["statistics"] = int(enable)
        self._engine.near.counting = bool(enable)
        return found

    def figures(self, reset: bool = False) -> gauges.ServerFigures:
        """What the cache has done, and what its servers hold; it costs no scan.

        Who does not answer is `away`.

        :param reset: let hits, misses and faults begin again at zero
        :raises Fault: when nobody answers, if faults are raised
        """
        if self._wait(False) == 0:
            raise Timeout
        nodes, away = gauges.survey(self._engine)
        for each in away:
            if not self._absorbed(each.fault) and not nodes:
                raise each.fault
        found = gauges.figures(self._engine, nodes, away)
        if reset:
            self._safely(None, self._engine.forget_counts)
        return found

    def volume(self) -> int:
        """Bytes of memory that the data of its servers takes, that of others included."""
        return self.figures().memory

    def evictions(self) -> dict[str, int]:
        """What its servers have evicted, for their limit, and what has expired there.

        It is since they were started, and of all who use them. The names are those that a
        directory has; those of what a server does not tell are 0.
        """
        nodes = self.figures().nodes
        return {
            "size": sum(node.evicted for node in nodes),
            "entries": 0,
            "expired": sum(node.expired for node in nodes),
            "refused": 0,
            "freed": 0,
            "ghost_hits": 0,
        }

    def on_removal(self, handler: RemovalHandler) -> None:
        """Nothing: what a server evicts and what expires there, it tells nobody."""

    def faults(self) -> dict[str, int]:
        """How many faults this process has met, by their kind, see `server.trouble`.

        Those that only files have are 0.
        """
        return of_every_kind(self._engine.triage.counts())
