"""Entries of a cache on a server by the page: read whole and stored, in one round trip each.

Both are for copies of a cache. A read counts nothing, remembers nothing and removes nothing. It
asks for the lengths of values before it asks for the values, so that a page is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from math import inf
from pickle import PicklingError
from typing import Any, TypeVar
from urllib.parse import unquote

from ..engine.errors import Foreign, TooLarge, Unavailable, Unreadable
from ..engine.faults import FAULTS
from ..engine.guard import telling
from ..engine.outgoing import EXPIRED, PAGE, PAGE_BYTES, Page, Whole
from .envelope import tag_of
from .names import escaped, scanned
from .node import Node
from .remote import ENTRIES
from .scripts import SET
from .whole import WholeCache

Self = TypeVar("Self", bound="BulkEntries")

VALUES = b"=values"  # the part of a deque or an index that is there if anything is
# What names have behind that of the cache, where they are of entries and of elements, see
# `collection.name_of`: perhaps that of a cache in it, then the kind and the name.
OF_CACHES = re.compile(r"()(cache)/(.+)", re.DOTALL)
OF_ELEMENTS = re.compile(r"(?:cache/(.+?)/)?(deque|index)/(.+)", re.DOTALL)
LARGEST = 512 * 2**20  # bytes that a server takes in one string, where it was not told another
# What a key, a value or a tag raises that cannot be stored here.
ODD = (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, PicklingError)


class BulkEntries(WholeCache):
    """Mixed into the face."""

    _given: tuple[Any, Any, dict[str, Any]]

    def patient(self: Self, timeout: float) -> Self:
        """The same cache with connections of its own, which raises each fault and remembers
        nothing.

        :param timeout: seconds that a call waits for the server
        """
        location, disk, settings = self._given
        engine = self._engine
        kind: Callable[..., Self] = type(self)
        twin = kind(
            location,
            timeout,
            disk,
            name=engine.name,
            secret=engine.secrets or None,
            **{**settings, "near_cache_size": 0, "strict": True},
        )
        return telling(twin)  # type: ignore[no-any-return]

    def whereabouts(self) -> tuple[Any, ...]:
        """What two caches have in common that have the same entries, whatever their addresses.

        :raises Fault: when the server does not say
        """
        engine = self._engine
        told = b"".join(node.ask(b"INFO", b"server") for node in self._nodes())
        ids = frozenset(each for each in told.split() if each.startswith(b"run_id:"))
        return ids, engine.address.arguments.get("db") or 0, engine.name

    def collections(self) -> list[tuple[str, str]]:
        """(kind, name) of the collections of this cache that have something in them.

        Kinds are 'cache', 'deque' and 'index'. What is in one of these caches is not listed.

        :raises Fault: when a server does not answer
        """
        return [(kind, name) for cache, kind, name in self.all_collections() if not cache]

    def all_collections(self) -> list[tuple[str, str, str]]:
        """(cache, kind, name) of these, and of deques and indexes of the caches among them.

        :return: the cache is '' for this one
        :raises Fault: when a server does not answer
        """
        head = f"{self._engine.name}/".encode()
        found: set[tuple[str, str, str]] = set()
        for node in self._nodes():
            for names in scanned(node, escaped(head) + b"*{??}*"):
                for name in names:
                    path, _, rest = name[len(head) :].partition(b"{")
                    match = None
                    if rest[3:4] in ENTRIES:
                        match = OF_CACHES.fullmatch(path.decode(errors="replace"))
                    elif rest[3:] == VALUES:
                        match = OF_ELEMENTS.fullmatch(path.decode(errors="replace"))
                    if match:
                        cache, kind, inner = match.groups()
                        # A brace stands there by its number.
                        found.add((unquote(cache or ""), kind, unquote(inner)))
        return sorted(found)

    # Reading

    def names(self) -> int:
        """How many names there are on its servers, others' as well: `pages` looks at all.

        :raises Fault: when a server does not answer
        """
        return sum(node.ask(b"DBSIZE") for node in self._nodes())

    def pages(self) -> Iterator[Page]:
        """All live entries, in no order; while the server's table grows, some come twice.

        :raises Fault: when a server does not answer
        """
        nodes = self._nodes()
        for number, node in enumerate(nodes):
            total = max(1, node.ask(b"DBSIZE"))  # others' keys and hints as well
            looked = 0
            for found in scanned(node, self._engine.any_name):
                names = [name for name in dict.fromkeys(found) if self._is_entry(name)]
                for some in self._bounded(node, names):
                    page = self._page(node, some)
                    looked += len(some)
                    page.done = (number + min(1.0, looked / total)) / len(nodes)
                    yield page
        yield Page(done=1.0)

    def _bounded(self, node: Node, names: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Names whose values fit into a page each; a larger value is one by itself."""
        sizes = self._all(node, [(b"STRLEN", name) for name in names], names)
        some: list[bytes] = []
        size = 0
        for name, length in zip(names, sizes, strict=True):
            if some and (size + length > PAGE_BYTES or len(some) == PAGE):
                yield some
                some, size = [], 0
            some.append(name)
            size += length
        if some:
            yield some

    def _page(self, node: Node, names: Sequence[bytes]) -> Page:
        page = Page()
        engine = self._engine
        now = engine.clock()
        replies = self._all(node, [(b"GET", name) for name in names], names)
        for name, data in zip(names, replies, strict=True):
            if data is None:  # gone since
                continue
            try:
                key = engine.key_of(name)
                _, _, form = engine.place(key)
                value, due, _, _ = engine.codec.decode(data, form)
                tag = tag_of(data)
            except (Foreign, Unavailable) as why:
                page.leave(why)
                continue
            except TypeError:  # a key that is not hashable: none of ours
                page.leave(Unreadable())
                continue
            if due <= now:
                page.left[EXPIRED] += 1
                continue
            page.add(Whole(key, value, None if due == inf else due, tag, len(data)))
        return page

    def _all(
        self, node: Node, commands: Sequence[Sequence[Any]], names: Sequence[bytes]
    ) -> list[Any]:
        """The answers to a command for each name, also of those that have moved elsewhere."""
        replies = node.browse_many(commands)
        return [
            self._again(self._bucket(name), "ask", command, reply)
            for command, name, reply in zip(commands, names, replies, strict=True)
        ]

    def _again(self, bucket: int, method: str, arguments: Sequence[Any], reply: Any) -> Any:
        """An answer, or that of another try if the key is moving.

        :raises Fault: when it is one
        """
        if not isinstance(reply, Exception):
            return reply
        if isinstance(reply, FAULTS):
            raise reply
        return self._ask(bucket, method, *arguments)

    # Storing

    def store_whole(self, entries: Sequence[Whole], overwrite: bool) -> list[bool | Exception]:
        """Store entries, each of which is one step.

        :param overwrite: else what is there stays
        :return: for each whether it was stored, or why it cannot be
        :raises Fault: when a server takes none, or no more
        """
        clock = self._engine.clock
        outcomes: list[bool | Exception] = [False] * len(entries)
        calls: dict[int, tuple[int, str, tuple[Any, ...]]] = {}
        for position, entry in enumerate(entries):
            left = None if entry.due is None else entry.due - clock()
            try:
                if left is not None and left <= 0:
                    raise Expired
                call = self._operations.setting(entry.key, entry.value, left, False, entry.tag)
                calls[position] = self._call(call, overwrite)
            except (*ODD, Expired) as why:
                outcomes[position] = why
        positions = list(calls)
        numbers = [calls[position][0] for position in positions]
        try:
            for node, some in self._groups(numbers).items():
                self._store_on(node, [positions[n] for n in some], calls, outcomes)
        finally:
            self._engine.board.stamp_each(numbers)
        return outcomes

    def _call(
        self, call: tuple[int, str, tuple[Any, ...]], overwrite: bool
    ) -> tuple[int, str, tuple[Any, ...]]:
        number, method, arguments = call
        data = arguments[2]  # of SET, as a command and as a script
        if len(data) > LARGEST:
            raise TooLarge(f"a value of {len(data):,} bytes: a server takes {LARGEST:,}")
        if overwrite:
            return call
        if method == "ask":
            return number, method, (*arguments, b"NX")
        return number, method, (*arguments[:-1], b"NX")

    def _store_on(
        self,
        node: Node,
        positions: Sequence[int],
        calls: dict[int, tuple[int, str, tuple[Any, ...]]],
        outcomes: list[bool | Exception],
    ) -> None:
        plain = [n for n in positions if calls[n][1] == "ask"]
        tagged = [n for n in positions if calls[n][1] != "ask"]
        replies = node.ask_many([calls[n][2] for n in plain]) if plain else []
        if tagged:
            rest = [(calls[n][2][1], calls[n][2][2:]) for n in tagged]
            replies += node.run_many(SET, rest)
        for position, reply in zip((*plain, *tagged), replies, strict=True):
            number, method, arguments = calls[position]
            outcomes[position] = bool(self._again(number & 255, method, arguments, reply))


class Expired(Exception):
    """An entry's time was over before it could be stored."""
