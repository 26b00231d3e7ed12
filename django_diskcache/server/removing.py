"""The methods of a cache on a server that remove many entries: by tag, by pattern, and all.

What removes page by page looks at one node in each thread (`abreast`), and leaves to the thread
of the caller what has moved elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from zlib import crc32

from ..engine.errors import Timeout
from ..engine.lifetime import check_now
from . import doubts
from .board import BUCKETS
from .envelope import tag_names
from .names import PAGE, scanned
from .node import Node
from .remote import ENTRIES, HINTS
from .scripts import EVICT, LISTED, PRUNE, TAGGED
from .several import ManyKeys

AT_ONCE = 8  # buckets of one script, during which the server does nothing else
TAGS_AT_ONCE = 100  # tags of one script
MOST_ALONE = 8  # tags to which an eviction has a script each, which is quicker


class RemovingMany(ManyKeys):
    """Mixed into the face."""

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
        asked = [node for node in nodes if node not in away]
        answers = self._on_each(asked, doubts.ask, None)
        told = [each for each in answers if each is not None]
        if not told:
            return []
        # Who has the first bucket has the notes; it is the first of the nodes.
        noted: dict[bytes, int] | None = None
        if told[0].node is nodes[0]:
            noted = self._safely(None, engine.noted)
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
        if sure and not again and noted is not None:
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

    def _nodes(self) -> list[Node]:
        if self._wait(False) == 0:
            raise Timeout
        return self._safely([], self._engine.link.nodes)

    def _sign(self, name: bytes) -> bytes:
        body = self._engine._body
        return name[body - 1 : body]

    def _bucket(self, name: bytes) -> int:
        body = self._engine._body
        return int(name[body - 4 : body - 2], 16)

    def _is_entry(self, name: bytes) -> bool:
        return self._sign(name) in ENTRIES
