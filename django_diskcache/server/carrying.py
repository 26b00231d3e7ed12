"""Deques and indexes on a server by the page: read whole and stored, for copies of a cache.

As of the entries (`bulk`), a read counts nothing, remembers nothing and removes nothing, and a
page is bounded in values and bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ..engine.errors import Fault, Foreign, TooLarge, Unavailable, Unreadable
from ..engine.faults import FAULTS
from ..engine.outgoing import PAGE, Page, Whole
from . import copyscripts
from .bulk import LARGEST, ODD
from .collection import Collection
from .envelope import Key
from .orderscripts import STORED

PAGE_BYTES = 2**20  # of a page of values; the server does nothing else while it makes one
KEPT = 600_000  # milliseconds that a deque which is not yet whole is kept, should nobody go on
VALUE: Key = ("deque", True)  # the key that values of deques are signed with


class Staged:
    """The values that a deque is to have, beside it on the server."""

    def __init__(self, entries: ListCopies, overwrite: bool) -> None:
        self._entries = entries
        self._overwrite = overwrite
        self._names = (*entries._names, entries._names[0] + b"~" + token_hex(8).encode())
        self._added = 0
        self._away = False
        self._waiting: list[bytes] = []  # to be added with the next ones
        self._size = 0

    @property
    def there(self) -> int:
        """How many values it has now."""
        return len(self._entries)

    def add(self, entries: Sequence[Whole]) -> list[bool | Exception | None]:
        """Take values; for each whether it is taken, or why it cannot be."""
        outcomes: list[bool | Exception | None] = []
        for entry in entries:
            try:
                data = self._entries.encoded(entry.value)
                check(entry, data)
            except ODD as why:
                outcomes.append(why)
                continue
            outcomes.append(True)
            if self._size + len(data) > PAGE_BYTES or len(self._waiting) == PAGE:
                self._stage()
            self._waiting.append(data)
            self._size += len(data)
        return outcomes

    def _stage(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        if waiting:
            self._call(copyscripts.STAGE, b"%d" % KEPT, *waiting)
            self._added += len(waiting)

    def keep(self) -> bool:
        """Let the deque have these values, in one step.

        :return: False if there are none, or it has others and is to stay
        :raises Fault: when the server has lost some meanwhile
        """
        self._stage()
        if not self._added:
            return False
        mode = b"" if self._overwrite else b"NX"
        done = self._call(copyscripts.TAKE_PLACE, b"%d" % self._added, mode)
        self._added = 0
        if done < 0:
            what = "the server has lost what was copied of the deque before it was whole"
            raise Fault("other", self._entries.directory, what)
        return bool(done)

    def drop(self) -> None:
        """Remove what was not kept; a server that is away does so by itself, see KEPT."""
        if self._added and not self._away:
            with suppress(*FAULTS):
                self._entries._ask(b"UNLINK", self._names[2])

    def _call(self, script: Any, *arguments: bytes) -> int:
        try:
            return int(self._entries._call("run", script, self._names, *arguments))
        except Fault as error:
            self._away = error.kind in ("slow", "lost")
            raise


class ListCopies(Collection):
    """What copies need of the values of a deque."""

    if TYPE_CHECKING:

        def encoded(self, value: Any) -> bytes: ...

    def whole_pages(self) -> Iterator[Page]:
        """All values, from the front to what was the back at the beginning.

        What others take and add at the ends meanwhile may be among them; what stays comes once.

        :raises Fault: when the server does not answer
        """
        place = end = b""
        begin: int | None = None
        while True:
            limits = b"%d" % PAGE, b"%d" % PAGE_BYTES
            place, end, found = self._look(copyscripts.LISTED, place, end, *limits)
            begin = int(place) - len(found) if begin is None else begin
            page = Page()
            for data in found:
                try:
                    value = self._codec.decode(data, VALUE)[0]
                except (Foreign, Unavailable) as why:
                    page.leave(why)
                else:
                    page.add(Whole(None, value, None, None, len(data)))
            page.done = (int(place) - begin) / max(1, int(end) - begin)
            if not found or int(place) >= int(end):
                yield page
                return
            yield page

    @contextmanager
    def refilling(self, overwrite: bool) -> Iterator[Staged]:
        """Other values for the deque, which it has if they are kept.

        :raises Fault: when the server does not take them
        """
        staged = Staged(self, overwrite)
        try:
            yield staged
        finally:
            staged.drop()


class ItemCopies(Collection):
    """What copies need of the items of an index."""

    if TYPE_CHECKING:

        def _member(self, key: Any) -> tuple[bytes, Key]: ...

        def _encoded(self, key: Any, value: Any) -> tuple[bytes, bytes, bytes]: ...

    def whole_pages(self) -> Iterator[Page]:
        """All items in their order.

        What others move to an end meanwhile comes last, and once more if it had come before.

        :raises Fault: when the server does not answer
        """
        first = last = b""
        looked, total = 0, max(1, len(self))
        for least, most, items in self._between(b"-inf", b"+inf"):
            first, last = first or least, last or most
            looked += len(items)
            yield self._page(items, min(1.0, looked / total))
        if last:
            for low, high in ((b"(" + last, b"+inf"), (b"-inf", b"(" + first)):
                for _, _, items in self._between(low, high):
                    yield self._page(items, 1.0)
        yield Page(done=1.0)

    def _between(
        self, low: bytes, high: bytes
    ) -> Iterator[tuple[bytes, bytes, list[tuple[bytes, bytes | None]]]]:
        """The first number and the last of all, and (member, data) of those between two."""
        limits = b"%d" % PAGE, b"%d" % PAGE_BYTES
        while True:
            reply = self._look(copyscripts.ITEMS, low, high, *limits)
            first, last, numbers, members, values = reply
            if not numbers:
                return
            yield first, last, list(zip(members, values, strict=True))
            low = b"(" + numbers[-1]
            if high == b"+inf":  # what is added from now on is not for this loop
                high = last

    def _page(self, items: Sequence[tuple[bytes, bytes | None]], done: float) -> Page:
        page = Page(done=done)
        engine = self.engine
        for member, data in items:
            if data is None:
                continue
            try:
                key = engine.key_of(engine.heads[0] + member)
                value = self._codec.decode(data, self._member(key)[1])[0]
            except (Foreign, Unavailable) as why:
                page.leave(why)
            except TypeError:  # a key that is not hashable: none of ours
                page.leave(Unreadable())
            else:
                page.add(Whole(key, value, None, None, len(data)))
        return page

    def store_whole(
        self, entries: Sequence[Whole], overwrite: bool
    ) -> list[bool | Exception | None]:
        """Store items in their order; those that are there keep their place.

        :param overwrite: else what is there keeps its value as well
        :return: for each whether it was stored, or why it cannot be
        :raises Fault: when the server takes none, or no more
        """
        outcomes: list[bool | Exception | None] = [False] * len(entries)
        mode = b"" if overwrite else b"NX"
        some: list[tuple[int, tuple[bytes, bytes, bytes]]] = []
        size = 0

        def store() -> None:
            items = [part for _, item in some for part in item]
            for number in self._run(STORED, mode, *items):
                outcomes[some[number - 1][0]] = True

        for position, entry in enumerate(entries):
            try:
                item = self._encoded(entry.key, entry.value)
                check(entry, item[1])
            except ODD as why:
                outcomes[position] = why
                continue
            if some and size + len(item[1]) > PAGE_BYTES:
                store()
                some, size = [], 0
            some.append((position, item))
            size += len(item[1])
        if some:
            store()
        return outcomes


def check(entry: Whole, data: bytes) -> None:
    """Nothing, if a collection on a server can have such an element.

    :param data: what is kept of its value
    :raises ValueError: when it cannot
    """
    if entry.due is not None:
        raise ValueError("it expires, which nothing does in a collection on a server")
    if len(data) > LARGEST:
        raise TooLarge(f"a value of {len(data):,} bytes: a server takes {LARGEST:,}")
