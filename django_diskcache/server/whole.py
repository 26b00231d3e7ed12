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
from ..engine.labels import Labels
from ..engine.lifetime import check_now
from ..engine.once import Found
from ..engine.shard import RemovalHandler
from . import claiming, doubts, gauges
from .board import BUCKETS
from .envelope import tag_names
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
            removed, away = self._evict_hinted(tags, every)
            # And where the server may have evicted hints, page by page.
            unhinted: int = sum(self._unhinted(tags, every, b"mend", away))
            return sum(removed) + unhinted
        finally:
            self._engine.board.stamp_all()

    def _evict_hinted(self, tags: tuple[Any, ...], every: bool) -> tuple[list[int], set[Node]]:
        """How many went, in parts, and nodes with a fault."""
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
        found, away = self._run_tagged(tags, b"all" if every else b"any", b"list")
        found += self._unhinted(tags, every, b"list", away)
        return iter(dict.fromkeys(name for names in found for name in names))

    def _run_tagged(
        self, tags: tuple[Any, ...], match: bytes, action: bytes
    ) -> tuple[list[Any], set[Node]]:
        """`_run_in_buckets` of all buckets, for all tags or some of them at a time."""
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

    def _unhinted(
        self, tags: tuple[Any, ...], every: bool, action: bytes, away: set[Node]
    ) -> list[Any]:
        """What `LISTED` returns on servers whose hints may be gone, page by page."""
        names = tag_names(tags)
        least = b"%d" % (len(names) if every else 1)
        return self._look_at_all(action, least, names, away) if names else []

    def _look_at_all(
        self, action: bytes, least: bytes, names: Sequence[bytes], away: set[Node]
    ) -> list[Any]:
        """The same; nobody waits once more for those that are `away`."""
        engine = self._engine
        if doubts.keeping(engine):
            return []
        nodes = self._nodes()
        answers = self._on_each([n for n in nodes if n not in away], doubts.ask, None)
        told = [each for each in answers if each is not None]
        noted: dict[bytes, int] = {}
        if told and engine.link.at(0) not in away:
            noted = self._safely({}, engine.noted)
        doubted = doubts.doubted(engine, told, noted, len(told) == len(nodes))
        found: list[Any] = []
        again: list[tuple[int, list[bytes], Sequence[bytes]]] = []

        def look(told: doubts.Told) -> bool:
            """Whether all hints are there now."""
            mends = action == b"mend" and not told.nearly_full  # else they would go again
            if not mends and not names:
                return False
            does = b"remove" if action == b"mend" and not mends else action
            self._run_listed(told.node, (does, least, *names), found, again)
            return mends

        if names:
            for each in doubted:
                engine.triage.unhinted(each.node.name)
        mended = self._on_each(doubted, look, False)
        for bucket, part, rest in again:  # it has moved, say
            one = self._safely(None, self._ask, bucket, "rerun", LISTED, part, *rest)
            found += [] if one is None else [one]
        sure = [each for each, done in zip(doubted, mended, strict=True) if done]
        if sure and not again:
            self._safely(None, doubts.note, engine, sure, len(sure) == len(nodes))
        return found

    def _run_listed(
        self,
        node: Node,
        arguments: Sequence[bytes],
        found: list[Any],
        again: list[tuple[int, list[bytes], Sequence[bytes]]],
    ) -> None:
        """Add to what was `found`, and to what is to be asked `again`, elsewhere."""
        for page in scanned(node, self._engine.any_name):
            # In a cluster a script is for one bucket.
            parts: dict[int, list[bytes]] = {}
            for name in filter(self._is_entry, page):
                bucket = self._bucket(name) if node.clustered else 0
                parts.setdefault(bucket, []).append(name)
            replies = node.run_many(LISTED, [(part, arguments) for part in parts.values()])
            for (bucket, part), reply in zip(parts.items(), replies, strict=True):
                if isinstance(reply, Exception):
                    again.append((bucket, part, arguments))
                else:
                    found.append(reply)

    def clear(self, retry: bool = False) -> int:
        """Remove all entries that are there when it begins; how many.

        It costs a look at every name on the server, and blocks nobody meanwhile. Collections
        beside the cache stay.
        """
        engine = self._engine
        told: list[doubts.Told] = []

        def ask(node: Node) -> None:
            told.append(doubts.ask(node))

        away = self._begin_to_clear()
        nodes = [node for node in self._nodes() if node not in away]
        try:
            removed, done = self._removed_from(nodes, engine.any_name, PAGE, None, ask)
            if told and done and not away:
                # What is stored from now on has hints, until more is evicted.
                self._safely(None, doubts.note, engine, told, True)
            return removed
        finally:
            engine.board.stamp_all()

    def _begin_to_clear(self) -> set[Node]:
        """What is done before entries go; nodes with a fault in it, whose deadline is over."""
        return set()

    def _removed_by(
        self,
        pattern: bytes,
        page: int = PAGE,
        chosen: Callable[[bytes], bool] | None = None,
    ) -> int:
        """How many entries were removed whose names are like a pattern, and `chosen`."""
        return self._removed_from(self._nodes(), pattern, page, chosen, lambda node: None)[0]

    def _removed_from(
        self,
        nodes: Sequence[Node],
        pattern: bytes,
        page: int,
        chosen: Callable[[bytes], bool] | None,
        first: Callable[[Node], None],
    ) -> tuple[int, bool]:
        """How many entries were removed, on all nodes; whether none of these had a fault.

        :param first: done before, for each node
        """
        numbers: list[int] = []
        moved: list[bytes] = []

        def remove(node: Node) -> bool:
            first(node)
            self._remove_from(node, pattern, page, chosen, numbers, moved)
            return True

        done = all(self._on_each(nodes, remove, False))
        for name in moved:
            command = b"UNLINK", name
            numbers.append(self._safely(0, self._ask, self._bucket(name), "ask", *command))
        self._changed(moved)
        return sum(numbers), done

    def _remove_from(
        self,
        node: Node,
        pattern: bytes,
        page: int,
        chosen: Callable[[bytes], bool] | None,
        numbers: list[int],
        moved: list[bytes],
    ) -> None:
        """Add to the `numbers` of removed entries, and to those that have `moved`, say."""
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
                self._changed(entries)
            pairs = list(zip(entries, replies, strict=True))
            moved += [name for name, reply in pairs if isinstance(reply, Exception)]
            numbers += [reply for _, reply in pairs if not isinstance(reply, Exception)]
        # Not all of them: what was stored meanwhile has hints there.
        node.run_many(PRUNE, [((name,), (b"",)) for name in hints], untold=True)

    def _changed(self, names: Iterable[bytes]) -> None:
        """Trust nothing that is remembered under these names."""
        start = self._engine._body
        self._engine.board.stamp_each(crc32(name[start:]) for name in names)

    def expire(self, retry: bool = False, now: float | None = None) -> int:
        """`sweep`. The server removes by itself what has expired.

        :return: 0: no entry is removed
        :raises TypeError: for a `now` that is no number
        """
        check_now(now)
        self.sweep()
        return 0

    def sweep(self) -> int:
        """Drop hints of tags whose entries are gone, and add those that a server has evicted.

        Hints end with the last of their entries; those of entries that would never have ended
        and were removed by their keys stay until then. It costs a look at every name on the
        server, and blocks nobody meanwhile.

        :return: how many hints were dropped
        """
        dropped: list[int] = []

        def prune(node: Node) -> bool:
            body = self._engine._body
            for names in scanned(node, self._engine.any_name[:-1] + HINTS + b"*"):
                replies = node.run_many(PRUNE, [((name,), (name[body:],)) for name in names])
                dropped.extend(reply for reply in replies if isinstance(reply, int))
            return True

        nodes = self._nodes()
        done = self._on_each(nodes, prune, False)
        away = {node for node, well in zip(nodes, done, strict=True) if not well}
        self._look_at_all(b"mend", b"1", (), away)
        return sum(dropped)

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
