"""A deque gets other values, all at once: what a copy of one does in a directory.

It is one transaction, so others see the old values or the new ones, and what is interrupted
changes nothing. Nothing of the values is kept in memory until its end, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import maintenance, schema
from .disk import Stored
from .engine import Engine
from .outgoing import Whole
from .queues import ORIGIN


class GivenUp(Exception):
    """Nothing is to be changed after all."""


class Refill:
    """The values that a deque is to have; the caller's transaction is around it.

    :ivar there: how many it has now
    :ivar kept: whether it is to have the others
    """

    def __init__(self, engine: Engine, odd: tuple[type[Exception], ...]) -> None:
        self._engine = engine
        self._odd = odd
        self.there = engine.count()
        self._added = self._bytes = 0
        self.kept = False

    def add(self, entries: Sequence[Whole]) -> list[bool | Exception | None]:
        """Take values, the first of which clear the deque.

        :return: for each whether it is taken, or why it cannot be; None if its time is over
        """
        (store,) = self._engine.stores
        outcomes: list[bool | Exception | None] = []
        rows: list[list[Any]] = []
        for entry in entries:
            if entry.due is not None and entry.due <= store.clock():
                outcomes.append(None)
                continue
            key = ORIGIN + self._added + len(rows)
            _, place = self._engine.queue_place(key)
            try:
                stored = store.encode(entry.value, False, key, place)
            except self._odd as why:
                outcomes.append(why)
                continue
            rows.append(store.row(place, stored, entry.due, None))
            self._bytes += _length(stored)
            outcomes.append(True)
        if rows:
            if not self._added:
                maintenance.clear(store, None)
            store.database.run_many(schema.SET, rows)
            self._added += len(rows)
        return outcomes

    def keep(self) -> bool:
        """Let it be so when the transaction ends; whether there is anything to be."""
        self.kept = bool(self._added)
        return self.kept

    def tell(self) -> Callable[[], None]:
        """What is to be done after the commit: to tell the limits what was written."""
        (store,) = self._engine.stores
        counts = store.settings["max_entries"] is not None
        written: Stored = (self._bytes, 0, None, None)
        return lambda: store.note((), (written,), self._added if counts else 0)


def _length(stored: Stored) -> int:
    size, _, _, value = stored
    return size + (len(value) if type(value) in (str, bytes) else 0)


@contextmanager
def refilling(engine: Engine, odd: tuple[type[Exception], ...]) -> Iterator[Refill]:
    """Other values for a deque, which it has from the end of the context on, if they are kept.

    Others can read it meanwhile; who changes it waits.

    :param odd: what a value raises that cannot be stored
    :raises Timeout: when others hold the lock
    :raises Fault: when something is wrong with the disk
    """
    (store,) = engine.stores
    try:
        with store.transact(None) as transaction:
            refill = Refill(engine, odd)
            yield refill
            if not refill.kept:
                raise GivenUp
            transaction.on_commit.append(refill.tell())
    except GivenUp:
        pass
