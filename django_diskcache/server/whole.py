"""The methods of a cache on a server that are about all of its entries."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any
from zlib import crc32

from ..engine.computing import Computing
from ..engine.errors import ENOVAL, UNKNOWN, Foreign, Timeout
from ..engine.faults import FAULTS, of_every_kind
from ..engine.guard import RAISE
from ..engine.labels import Labels
from ..engine.lifetime import check_now
from ..engine.once import Found
from ..engine.shard import RemovalHandler
from . import gauges
from .claiming import Claim, claiming
from .envelope import tag_names
from .link import BUCKETS
from .names import PAGE, scanned
from .node import Node
from .remote import BYTES, ENTRIES, HINTS, NUMBER, PICKLED, TEXT, number_of
from .scripts import EVICT, LISTED, PRUNE, TAGGED
from .several import ManyKeys

AT_ONCE = 8  # buckets of one script, during which the server does nothing else
TAGS_AT_ONCE = 100  # tags of one script
MOST_ALONE = 8  # tags to which an eviction has a script each, which is quicker
ORDER = (NUMBER, TEXT, BYTES, PICKLED)


class WholeCache(Computing, Labels, ManyKeys):
    """Mixed into the face."""

    # Removal

    def _evict(self, tags: tuple[Any, ...], every: bool, retry: bool) -> int:
        try:
            removed: int = sum(self._evict_hinted(tags, every))
            # And where the server may have evicted hints, page by page.
            unhinted: int = sum(self._unhinted(tags, every, b"remove"))
            return removed + unhinted
        finally:
            self._engine.board.stamp_all()

    def _evict_hinted(self, tags: tuple[Any, ...], every: bool) -> list[int]:
        if every and len(tags) > 1:
            return self._run_tagged(tags, b"all", b"remove")
        if len(tags) > MOST_ALONE:
            return self._run_tagged(tags, b"any", b"remove")
        engine, step = self._engine, self._step
        calls = [
            (first, [engine.hints(n, name) for n in range(first, first + step)], (name,))
            for name in tag_names(tags)
            for first in range(0, BUCKETS, step)
        ]
        return self._run_in_buckets(EVICT, calls)

    def _tagged(self, tags: tuple[Any, ...], every: bool) -> Iterator[Any]:
        return self._keys_of(self._names_tagged(tags, every))

    def _names_tagged(self, tags: tuple[Any, ...], every: bool) -> Iterator[bytes]:
        """Names of entries with one of these tags, or `every` one of them; each once."""
        found = self._run_tagged(tags, b"all" if every else b"any", b"list")
        found += self._unhinted(tags, every, b"list")
        return iter(dict.fromkeys(name for names in found for name in names))

    def _run_tagged(self, tags: tuple[Any, ...], match: bytes, action: bytes) -> list[Any]:
        """What the script returns in all buckets, for all tags or some of them at a time."""
        engine, step, names = self._engine, self._step, tag_names(tags)
        most = len(names) if match == b"all" else TAGS_AT_ONCE
        calls = [
            (
                first,
                [engine.hints(n, b"") for n in range(first, first + step)],
                (match, action, *names[start : start + most]),
            )
            for start in range(0, len(names), most)
            for first in range(0, BUCKETS, step)
        ]
        return self._run_in_buckets(TAGGED, calls)

    @property
    def _step(self) -> int:
        """Buckets of one script; in a cluster they are in different slots."""
        return 1 if self._engine.address.kind == "cluster" else AT_ONCE

    def _unhinted(self, tags: tuple[Any, ...], every: bool, action: bytes) -> list[Any]:
        """What `LISTED` returns on servers that may have evicted hints, page by page."""
        names = tag_names(tags)
        arguments = (action, b"%d" % (len(names) if every else 1), *names)
        found: list[Any] = []
        for node in self._nodes():
            gone: bool = self._safely(False, gauges.hints_may_be_gone, self._engine, node)
            if gone and names:
                self._engine.triage.unhinted(node.name)
                self._safely(None, self._run_listed, node, arguments, found)
        return found

    def _run_listed(self, node: Node, arguments: Sequence[bytes], found: list[Any]) -> None:
        for page in scanned(node, self._engine.any_name):
            # In a cluster a script is for one bucket.
            parts: dict[int, list[bytes]] = {}
            for name in filter(self._is_entry, page):
                bucket = self._bucket(name) if node.clustered else 0
                parts.setdefault(bucket, []).append(name)
            calls = [(bucket, part, arguments) for bucket, part in parts.items()]
            found += self._run_in_buckets(LISTED, calls)

    def clear(self, retry: bool = False) -> int:
        """Remove all entries that are there when it begins; how many.

        It costs a look at every name on the server, and blocks nobody meanwhile.
        """
        engine = self._engine
        nodes = self._nodes()
        evicted = None
        with suppress(*FAULTS):  # who is away is told below
            evicted = gauges.evicted(nodes)
        try:
            removed = [
                self._safely(None, self._remove_from, node, engine.any_name, PAGE, None)
                for node in nodes
            ]
            if evicted is not None and None not in removed:
                # What is stored from now on has hints, until more is evicted.
                self._safely(None, engine.note, evicted, True)
            return sum(filter(None, removed))
        finally:
            engine.board.stamp_all()

    def _removed_by(
        self,
        pattern: bytes,
        page: int = PAGE,
        chosen: Callable[[bytes], bool] | None = None,
    ) -> int:
        """How many entries were removed whose names are like a pattern, and `chosen`."""
        removed = 0
        for node in self._nodes():
            removed += self._safely(0, self._remove_from, node, pattern, page, chosen)
        return removed

    def _remove_from(
        self, node: Node, pattern: bytes, page: int, chosen: Callable[[bytes], bool] | None
    ) -> int:
        removed = 0
        hints: set[bytes] = set()
        for names in scanned(node, pattern, page):
            entries = [name for name in names if self._is_entry(name)]
            if chosen is not None:
                entries = [name for name in entries if chosen(name)]
            hints.update(name for name in names if self._sign(name) == HINTS)
            # One command for each: in a cluster they are in different slots.
            try:
                replies = node.ask_many([(b"UNLINK", name) for name in entries])
            finally:
                start = self._engine._body
                self._engine.board.stamp_each(crc32(name[start:]) for name in entries)
            for name, reply in zip(entries, replies, strict=True):
                if isinstance(reply, Exception):  # it has moved, say
                    removed += self._ask(self._bucket(name), "ask", b"UNLINK", name)
                else:
                    removed += reply
        # Not all of them: what was stored meanwhile has hints there.
        node.run_many(PRUNE, [((name,), (b"",)) for name in hints], untold=True)
        return removed

    def expire(self, retry: bool = False, now: float | None = None) -> int:
        """Sweep: drop hints of tags whose entries are gone. The server removes those by itself.

        Hints end with the last of their entries; those of entries that would never have ended
        and were removed by their keys stay until then. It costs a look at every name on the
        server, and blocks nobody meanwhile.

        :return: 0: no entry is removed
        :raises TypeError: for a `now` that is no number
        """
        check_now(now)
        for node in self._nodes():
            self._safely(None, self._sweep, node)
        return 0

    def _sweep(self, node: Node) -> None:
        body = self._engine._body
        for names in scanned(node, self._engine.any_name[:-1] + HINTS + b"*"):
            node.run_many(PRUNE, [((name,), (name[body:],)) for name in names], untold=True)

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

    def _nodes(self) -> list[Node]:
        if self._wait(False) == 0:
            raise Timeout
        return self._safely([], self._engine.link.nodes)

    # Looking

    def _sign(self, name: bytes) -> bytes:
        body = self._engine._body
        return name[body - 1 : body]

    def _bucket(self, name: bytes) -> int:
        body = self._engine._body
        return int(name[body - 4 : body - 2], 16)

    def _is_entry(self, name: bytes) -> bool:
        return self._sign(name) in ENTRIES

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
        return sum(1 for _ in self._names(self._engine.any_name))

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
