"""The open connections to one SQLite file: a bounded pool that any thread borrows from.

What must hold even when an exception falls between any two steps (a signal handler may raise
at any moment): no connection is lost to the pool, and no lock stays taken. So nothing is
counted up and down. Each connection holds a *slot*, and the slots are known weakly: one is free
when it was given up, or when nothing refers to it any more, on whatever way that came about.
And locks are taken by `with` on the lock itself, between which and its block the interpreter
lets no signal handler run.

A connection belongs to an *epoch* of its pool. Closing the pool begins another one: idle
connections are closed, and those in use when they come back.
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

from .errors import Timeout
from .sqlite import sqlite3

T = TypeVar("T")
Wait: TypeAlias = "float | None"

LOOK_AGAIN = 0.005  # seconds: one may come back between a look and the wait, unnoticed


class Known(Generic[T]):
    """What there is of a kind, known weakly, to threads that come and go meanwhile.

    Not a WeakSet: its callbacks are Python's, which may be interrupted, and it cannot be read
    while another thread adds to it.
    """

    def __init__(self) -> None:
        self._references: list[weakref.ref[T]] = []
        self.begin()

    def begin(self) -> None:
        """In a child: another thread may have been adding when it was forked."""
        self._lock = threading.RLock()

    def add(self, item: T) -> None:
        with self._lock:
            left = [each for each in self._references if each() is not None]
            self._references = [*left, weakref.ref(item)]

    def all(self) -> list[T]:
        """What there is now."""
        found = [reference() for reference in self._references]
        return [item for item in found if item is not None]


class Slot:
    """A place in a pool, until it is given up or nothing refers to it any more."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.taken = True


class Connection:
    """A pooled connection, with one cursor for all statements, which are run to their end.

    A new cursor for each would take a tenth of the time of a look. Nothing refers back to this
    object: when it is lost, the connection is closed at once and its slot is free.
    """

    def __init__(self, raw: sqlite3.Connection, slot: Slot) -> None:
        self.raw = raw
        self.step = raw.cursor().execute
        self.execute = raw.execute
        self.executemany = raw.executemany
        self.slot = slot
        self.epoch = slot.epoch

    def close(self) -> None:
        """Give up the slot as well."""
        try:
            self.raw.close()
        finally:
            self.slot.taken = False  # not before: a fork waits for the last one to be closed

    def reset(self) -> None:
        """End a statement that an exception has left between its rows, with its lock."""
        cursor = self.step.__self__  # type: ignore[attr-defined]
        self.step = self.raw.cursor().execute
        cursor.close()

    def roll_back(self) -> None:
        """End a transaction that is open, if there is one."""
        try:
            self.reset()
            if self.raw.in_transaction:
                self.raw.rollback()
        except sqlite3.Error:
            self.close()  # what cannot even be rolled back is of no use


class Pool:
    """Up to `limit` connections.

    :param connect: makes one, in a slot, within so many seconds
    :param path: of the file, for messages
    """

    def __init__(
        self, connect: Callable[[Slot, Wait], Connection], limit: int, path: str
    ) -> None:
        self._connect = connect
        self.limit = limit
        self._path = path
        self.idle: list[Connection] = []  # used as a stack: the warmest page cache first
        self.epoch = 0
        # Not a WeakSet: its callbacks are Python's, and could be interrupted.
        self._slots: list[weakref.ref[Slot]] = []
        self._waiting = False  # perhaps somebody waits for one to come back
        self._forking = False
        self._useless = False  # in a child that inherited a connection in use
        # A finalizer or a signal handler may use the cache while its own thread has it.
        self._lock = threading.RLock()
        self._returned = threading.Condition(self._lock)
        self._finalizer = weakref.finalize(self, _close_all, self.idle)

    @property
    def opened(self) -> int:
        """How many connections of this epoch are open, idle or in use."""
        return sum(slot.epoch == self.epoch for slot in self._taken())

    def _taken(self) -> list[Slot]:
        """The slots of the connections of any epoch that there are."""
        slots = [reference() for reference in self._slots]
        return [slot for slot in slots if slot is not None and slot.taken]

    def borrow(self, wait: Wait, transacting: Callable[[], bool]) -> Connection:
        """A connection; `give_back` it.

        :param wait: seconds; None is for ever
        :param transacting: whether the thread has another connection, for which a fork waits
        :raises Timeout: when all stayed in use, or another thread was about to fork
        """
        try:
            return self.idle.pop()
        except IndexError:
            pass
        if self._useless:
            raise Timeout(f"this process was forked while {self._path!r} was in use in it")
        deadline = None if wait is None else time.monotonic() + wait
        collected = False
        with self._lock:
            if self._forking and not transacting():
                self._until_forked(wait)
            while True:
                if self.idle:
                    return self.idle.pop()
                if self.opened < self.limit:
                    slot = Slot(self.epoch)
                    slots = [*self._taken(), slot]
                    self._slots = [weakref.ref(each) for each in slots]
                    _slots.add(slot)
                    break
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise Timeout(f"all {self.limit} connections stayed in use for {wait} s")
                if not collected:
                    collected = True
                    collect_lost()
                    continue
                self._waiting = True
                self._returned.wait(LOOK_AGAIN if left is None else min(left, LOOK_AGAIN))
        try:
            return self._connect(slot, wait)
        except BaseException:
            slot.taken = False
            raise

    def _until_forked(self, wait: Wait) -> None:
        """Wait until another thread has forked, or no longer waits for that; with the lock.

        :raises Timeout: when that takes longer than `wait` seconds
        """
        patience = FORK_PATIENCE if wait is None else min(wait, FORK_PATIENCE)
        if self._returned.wait_for(lambda: not self._forking, patience):
            return
        if wait is not None and wait <= patience:
            raise Timeout(f"another thread was about to fork for {wait} s")

    def give_back(self, connection: Connection) -> None:
        """Let others have it."""
        if connection.epoch != self.epoch:
            if not self.inherited(connection):
                connection.close()
            return
        if not connection.slot.taken:  # it could not be rolled back, and was closed
            return
        if connection.raw.in_transaction:  # an exception fell between BEGIN and its end
            connection.roll_back()
            if not connection.slot.taken:
                return
        self.idle.append(connection)  # atomic, without the lock: the common path
        if self._waiting:
            with self._lock:
                self._waiting = False
                self._returned.notify_all()

    @staticmethod
    def inherited(connection: Connection) -> bool:
        """Whether it is the parent process's."""
        return connection in _inherited

    def close(self) -> None:
        """Close every idle connection, and each borrowed one when it comes back.

        The next call opens new ones: closing is never final.
        """
        with self._lock:
            self.epoch += 1
            idle = emptied(self.idle)
        for connection in idle:
            connection.close()

    def prepare_fork(self) -> None:
        """Close, and let nobody open one who can wait."""
        self._forking = True
        self.close()

    def close_idle(self) -> None:
        """Some come back idle all the same: on their way when it was closed, or let through."""
        with self._lock:
            for connection in emptied(self.idle):
                connection.close()

    def go_on(self) -> None:
        """In the parent, after the fork."""
        with self._lock:
            self._forking = False
            self._returned.notify_all()

    def forget(self, others: list[Connection]) -> None:
        """In the child: drop what belongs to the parent process, without touching it.

        :param others: connections in use
        """
        self._useless = self._useless or bool(self._taken())
        _keep_for_ever([*self.idle, *others])
        self.idle.clear()
        self._slots = []
        self._lock = threading.RLock()
        self._returned = threading.Condition(self._lock)
        self._forking = self._waiting = False
        self.epoch += 1


_slots: Known[Slot] = Known()


def connections() -> int:
    """How many connections are open in this process, or being opened or closed, in any pool.

    A pool that nobody uses any more has some as well, until they are closed.
    """
    return sum(slot.taken for slot in _slots.all())


def forget_connections() -> None:
    """In a child: those of its parent are not its own."""
    global _slots
    _slots = Known()


FORK_PATIENCE = 5.0  # seconds that a fork waits for the transactions of other threads


def collect_lost() -> None:
    """Close connections that an exception in the wrong moment has left behind in a cycle.

    An exception that falls into a context manager refers to itself by way of its frames. It is
    young garbage: to look for all there is would take long in a large process.
    """
    gc.collect(1)


def emptied(idle: list[Connection]) -> list[Connection]:
    """What was in it; others may put in and take out meanwhile."""
    taken = []
    while True:
        try:
            taken.append(idle.pop())
        except IndexError:
            return taken


def _close_all(idle: list[Connection]) -> None:
    for connection in emptied(idle):
        connection.close()


_inherited: list[Connection] = []


def _keep_for_ever(connections: list[Connection]) -> None:
    """Keep these from being finalised, at the interpreter's end as well.

    Module globals are torn down at exit, which would close them; only a reference that
    nothing gives back survives that.
    """
    if not connections:
        return
    import ctypes  # only here: a child that inherited nothing does not pay for it

    for connection in connections:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    _inherited.extend(connections)
