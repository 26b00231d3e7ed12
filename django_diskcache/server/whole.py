"""The methods of a cache on a server that are about all of its entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..engine.computing import Computing
from ..engine.errors import ENOVAL, UNKNOWN, Foreign, Timeout
from ..engine.faults import FAULTS
from ..engine.once import Found
from . import claiming, gauges
from .envelope import several, tag_name
from .link import BUCKETS
from .node import Node
from .remote import BYTES, ENTRIES, HINTS, NUMBER, PICKLED, TEXT, number_of
from .scripts import EVICT, EVICT_LISTED, PRUNE
from .several import ManyKeys

AT_ONCE = 8  # buckets of one script, during which the server does nothing else
PAGE = b"1000"  # names that the server looks at in one step of a scan
ORDER = (NUMBER, TEXT, BYTES, PICKLED)
_SPECIAL = frozenset(b"*?[]\\^-")


def escaped(name: bytes) -> bytes:
    """A pattern of the server that only this name is like."""
    return b"".join(b"\\%c" % byte if byte in _SPECIAL else b"%c" % byte for byte in name)


class WholeCache(Computing, ManyKeys):
    """Mixed into the face."""

    # Removal

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Remove the entries with this tag, or any of several; how many.

        It is one step in each of 256 buckets: what is stored meanwhile is removed or stays.
        Where the server may have evicted hints, all entries are looked at, page by page.
        """
        engine = self._engine
        # In a cluster the buckets are in different slots, and a script is for one of these.
        step = 1 if engine.address.kind == "cluster" else AT_ONCE
        calls = [
            (first, [engine.hints(n, name) for n in range(first, first + step)], (name,))
            for name in map(tag_name, several(tag))
            for first in range(0, BUCKETS, step)
        ]
        try:
            removed: int = sum(self._run_in_buckets(EVICT, calls))
            return removed + self._evict_unhinted([tag_name(each) for each in several(tag)], 1)
        finally:
            engine.board.stamp_all()

    def _evict_unhinted(self, names: Sequence[bytes], least: int) -> int:
        """Remove what has `least` of these tags and no hint any more; how many."""
        removed = 0
        for node in self._nodes():
            gone: bool = self._safely(False, gauges.hints_may_be_gone, node)
            if gone and names:
                self._engine.triage.unhinted(node.name)
                removed += self._safely(0, self._evict_listed, node, names, least)
        return removed

    def _evict_listed(self, node: Node, names: Sequence[bytes], least: int) -> int:
        removed = 0
        arguments = (b"%d" % least, *names)
        for page in _scanned(node, escaped(self._engine.name.encode()) + b"{??}*"):
            # In a cluster a script is for one bucket.
            parts: dict[int, list[bytes]] = {}
            for name in filter(self._is_entry, page):
                bucket = self._bucket(name) if node.clustered else 0
                parts.setdefault(bucket, []).append(name)
            calls = [(bucket, part, arguments) for bucket, part in parts.items()]
            removed += sum(self._run_in_buckets(EVICT_LISTED, calls))
        return removed

    def clear(self, retry: bool = False) -> int:
        """Remove all entries that are there when it begins; how many.

        It costs a look at every name on the server, and blocks nobody meanwhile.
        """
        pattern = escaped(self._engine.name.encode()) + b"{??}*"
        try:
            return self._removed_by(pattern)
        finally:
            self._engine.board.stamp_all()

    def _removed_by(self, pattern: bytes) -> int:
        removed = 0
        for node in self._nodes():
            removed += self._safely(0, self._remove_from, node, pattern)
        return removed

    def _remove_from(self, node: Node, pattern: bytes) -> int:
        removed = 0
        hints: set[bytes] = set()
        for names in _scanned(node, pattern):
            entries = [name for name in names if self._is_entry(name)]
            hints.update(name for name in names if self._sign(name) == HINTS)
            # One command for each: in a cluster they are in different slots.
            replies = node.ask_many([(b"UNLINK", name) for name in entries])
            for name, reply in zip(entries, replies, strict=True):
                if isinstance(reply, Exception):  # it has moved, say
                    removed += self._ask(self._bucket(name), "ask", b"UNLINK", name)
                else:
                    removed += reply
        # Not all of them: what was stored meanwhile has hints there.
        node.run_many(PRUNE, [((name,), ()) for name in hints])
        return removed

    def expire(self, retry: bool = False, now: float | None = None) -> int:
        """Nothing: the server removes what has expired by itself; 0."""
        return 0

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

    def _names(self, pattern: bytes) -> Iterator[bytes]:
        """Names of entries, in no order, each once; what is stored meanwhile may be missing."""
        for node in self._nodes():
            seen: set[bytes] = set()
            try:
                for names in _scanned(node, pattern):
                    for name in names:
                        if name not in seen and self._is_entry(name):
                            seen.add(name)
                            yield name
            except FAULTS as error:
                if not self._absorbed(error):
                    raise

    def __len__(self) -> int:
        """Number of entries; it costs a look at every name on the server."""
        return sum(1 for _ in self._names(escaped(self._engine.name.encode()) + b"{??}*"))

    def __iter__(self) -> Iterator[Any]:
        """Keys, in no order; what is stored or removed meanwhile may be among them."""
        for name in self._names(escaped(self._engine.name.encode()) + b"{??}*"):
            try:
                yield self._engine.key_of(name)
            except Foreign as why:
                self._engine.triage.foreign(why)

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """Keys in order: numbers, texts, bytes, others; it takes memory for all their names."""
        names = self._names(escaped(self._engine.name.encode()) + b"{??}*")
        for name in sorted(names, key=self._rank, reverse=reverse):
            try:
                yield self._engine.key_of(name)
            except Foreign as why:
                self._engine.triage.foreign(why)

    def _rank(self, name: bytes) -> tuple[int, Any]:
        start = self._engine._body
        sign, body = name[start - 1 : start], name[start:]
        return ORDER.index(sign), number_of(body) if sign == NUMBER else body

    def live_text_keys(self, head: str) -> Iterator[str]:
        """Text keys that begin with `head`, in no order."""
        name = escaped(self._engine.name.encode())
        for each in self._names(name + b"{??}" + TEXT + escaped(head.encode()) + b"*"):
            yield self._engine.key_of(each)

    # Computing once

    def claim(self, key: Any) -> claiming.Claim | None:
        """The right to compute `key`, which one on all machines has at a time.

        It is freed by its `release`, by ``with``, and some seconds after its holder died.

        :return: None while another has it
        """
        if self._wait(False) == 0:
            raise Timeout
        return claiming.claim(self._engine, key)

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

        :param reset: let hits, misses and faults begin again at zero
        """
        counts = self.stats(bool(self._engine.settings["statistics"]))
        nodes = [self._safely(None, gauges.of_node, node) for node in self._nodes()]
        found = gauges.figures(self._engine, counts, [node for node in nodes if node])
        if reset:
            self._safely(None, self._engine.forget_counts)
        return found

    def volume(self) -> int:
        """Bytes of memory that the data of its servers takes, that of others included."""
        return self.figures().memory

    def faults(self) -> dict[str, int]:
        """How many faults this process has met, by their kind, see `server.trouble`."""
        return self._engine.triage.counts()


def _scanned(node: Node, pattern: bytes) -> Iterator[list[bytes]]:
    """All names on a server like a pattern, page by page; some may come twice."""
    cursor: Any = b"0"
    while True:
        cursor, names = node.ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", PAGE)
        if names:
            yield names
        if int(cursor) == 0:
            return
