"""The connections to one SQLite file: a bounded pool, one retry loop, one kind of transaction.

Any thread may borrow any connection, for one statement or for one transaction; the number of
open files is therefore bounded by the pool, whatever the number of threads. SQLite's own busy
handler is off: it sleeps in steps of milliseconds, where most locks are free again after tens
of microseconds. `wait` is, everywhere, the seconds that a call may wait; None means for ever.
Whatever else SQLite has to say leaves this module as a `Fault`.

When a shard was made anew, the connections of all processes are to a file that is no longer
there. So each look compares the shard's *generation*, a number on the segment, with that of
the connections, and opens new ones if it is another.

A child process must not inherit an open connection. SQLite keeps the locks of a process in its
memory; the child would believe that it has the parent's, take none of its own, and somebody who
closes the last connection that is really locked would delete the log that the child writes to.
So a fork waits until this process has closed its connections; both sides open new ones. One
that is in use all the same, by the transaction that the forking thread is in or by one that
takes too long, makes the file useless in the child: it must not use, close or even finalise
that connection, and can open no other. There every call gets a Timeout, at once.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from operator import attrgetter
from threading import get_ident
from typing import Any, TypeAlias, TypeVar, overload

from . import faults
from .errors import Timeout
from .sqlite import OLDEST, sqlite3

T = TypeVar("T")
Wait: TypeAlias = "float | None"
Rows: TypeAlias = "list[tuple[Any, ...]]"

POOL_LIMIT = 8  # open connections to one shard; more threads than this take turns
FIRST_PAUSE = 50e-6  # seconds
LONGEST_PAUSE = 2e-3  # seconds
FORK_PATIENCE = 5.0  # seconds that a fork waits for the transactions of other threads


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection's lock is all that is wrong."""
    # sqlite_errorcode exists from Python 3.11 on; the texts are SQLite's own and fixed. The
    # second one means that too many were beginning to read the log at the same moment.
    text = str(error)
    return "is locked" in text or text == "locking protocol"


def patiently(attempt: Callable[[], T], wait: Wait) -> T:
    """What `attempt` returns once no lock is in its way.

    :raises Timeout: when one still is after `wait` seconds
    """
    deadline = None if wait is None else time.monotonic() + wait
    pause = FIRST_PAUSE
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"the database stayed locked for {wait} s") from error
                pause = min(pause, left)
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


# What a statement gives: its rows, or how many it inserted, updated or deleted.
all_rows: Callable[[sqlite3.Cursor], Rows] = sqlite3.Cursor.fetchall
changed_rows: Callable[[sqlite3.Cursor], int] = attrgetter("rowcount")


class Connection(sqlite3.Connection):
    """A pooled connection, which remembers the epoch of the pool that opened it.

    It has one cursor for all statements, which are run to their end: a new one for each would
    take a tenth of the time of a look.
    """

    epoch = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step = self.cursor().execute

    def close(self) -> None:
        del self.step  # it refers to the connection
        super().close()


class Transaction:
    """A write transaction of one thread, and what is to happen when it ends."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.on_commit: list[Callable[[], object]] = []
        self.on_rollback: list[Callable[[], object]] = []
        self.slots: set[int] = set()  # on the segment, of the keys it changes
        self.whole = False  # it changes the whole shard


class Database:
    """A bounded pool of connections to the SQLite file at `path`.

    :param configure: called with each new connection, to set its pragmas
    """

    def __init__(
        self,
        path: str,
        configure: Callable[[sqlite3.Connection], object],
        limit: int = POOL_LIMIT,
    ) -> None:
        if sqlite3.sqlite_version_info < OLDEST:
            raise RuntimeError(
                f"SQLite 3.35 or newer is needed; this Python has {sqlite3.sqlite_version}"
            )
        self.path = path
        self._configure = configure
        self._limit = limit
        self._idle: list[Connection] = []  # used as a stack: the warmest page cache first
        self._transactions: dict[int, Transaction] = {}  # by thread
        self._epoch = 0
        self._open = 0  # connections of this epoch, idle or in use
        self._leaving = 0  # those of earlier epochs that are still in use
        self._forking = False
        self._useless = False  # in a child that inherited a connection in use
        self._generations: Sequence[int] = (0,)
        self._place = 0  # of this shard's generation among them
        self._generation = 0
        self._reopened: Callable[[], Callable[[], object] | None] = lambda: None
        self._returned = threading.Condition(threading.Lock())
        self._finalizer = weakref.finalize(self, _close_all, self._idle)
        _databases.add(self)

    @property
    def opened(self) -> int:
        """How many connections are open now."""
        return self._open

    def watch(
        self, generations: Sequence[int], place: int, reopened: Callable[[], object]
    ) -> None:
        """Open new connections whenever the number at this place changes.

        :param reopened: a method, held weakly, that is called when it has
        """
        self._generations, self._place = generations, place
        self._reopened = weakref.WeakMethod(reopened)
        self._generation = generations[place]

    def renewed(self, epoch: int | None) -> bool:
        """Whether connections of that epoch are not those to use any more."""
        if epoch is not None and epoch != self._epoch:
            return True
        return self._generations[self._place] != self._generation

    def _renew(self) -> None:
        self._generation = self._generations[self._place]
        self.close()
        if (reopened := self._reopened()) is not None:
            reopened()

    @overload
    def run(self, sql: str, parameters: Sequence[Any] = (), wait: Wait = None) -> Rows: ...

    @overload
    def run(
        self,
        sql: str,
        parameters: Sequence[Any],
        wait: Wait,
        outcome: Callable[[sqlite3.Cursor], T],
    ) -> T: ...

    def run(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        wait: Wait = None,
        outcome: Callable[[sqlite3.Cursor], Any] = all_rows,
    ) -> Any:
        """All rows of one statement, in the thread's transaction or committed by itself.

        :param outcome: what to return of the statement instead, such as `changed_rows`
        :raises Timeout: when the database is locked for more than `wait` seconds
        :raises Fault: when something is wrong with it
        """
        if self._transactions:
            transaction = self._transactions.get(get_ident())
            if transaction is not None:
                try:
                    return outcome(transaction.connection.step(sql, parameters))
                except sqlite3.Error as error:
                    epoch = transaction.connection.epoch
                    raise faults.fault(error, self.path, epoch) from error
        if self._generations[self._place] != self._generation:
            self._renew()
        try:
            connection = self._idle.pop()  # the common case of _borrow
        except IndexError:
            connection = self._borrow(wait)
        try:
            return outcome(connection.step(sql, parameters))
        except sqlite3.Error as error:
            if not is_busy(error):
                raise faults.fault(error, self.path, connection.epoch) from error
            with faults.named(self.path, connection.epoch):
                return patiently(lambda: outcome(connection.step(sql, parameters)), wait)
        finally:
            self._give_back(connection)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """How many rows the statement changed, run for each of these in the transaction."""
        transaction = self._transactions[get_ident()]
        with faults.named(self.path, transaction.connection.epoch):
            return transaction.connection.executemany(sql, rows).rowcount

    def current(self) -> Transaction | None:
        """The transaction that this thread is in, if any."""
        return self._transactions.get(get_ident()) if self._transactions else None

    @contextmanager
    def transact(self, wait: Wait = None) -> Iterator[Transaction]:
        """A write transaction of this thread; inside another one, that one.

        It takes the write lock at its beginning, so that nothing in it has to be tried again,
        commits at its end, and rolls back when an exception leaves it.

        :raises Timeout: when the write lock is not free within `wait` seconds
        :raises Fault: when something is wrong with the database
        """
        outer = self.current()
        if outer is not None:
            yield outer
            return
        if self._generations[self._place] != self._generation:
            self._renew()
        connection = self._borrow(wait)
        thread = get_ident()
        actions: list[Callable[[], object]] = []
        try:
            with faults.named(self.path, connection.epoch):
                patiently(lambda: connection.execute("BEGIN IMMEDIATE"), wait)
            transaction = self._transactions[thread] = Transaction(connection)
            try:
                yield transaction
                if self._transactions.get(thread) is transaction:  # else: a forked child
                    with faults.named(self.path, connection.epoch):
                        patiently(lambda: connection.execute("COMMIT"), wait)
            except BaseException:
                actions = self._ended(thread, transaction, transaction.on_rollback)
                raise
            actions = self._ended(thread, transaction, transaction.on_commit)
        finally:
            self._give_back(connection)
            # Not before: they may need a connection, and all may be held by their like.
            with ExitStack() as stack:  # each is run, whatever the others raise
                for action in reversed(actions):
                    stack.callback(action)

    def _ended(
        self, thread: int, transaction: Transaction, actions: list[Callable[[], object]]
    ) -> list[Callable[[], object]]:
        """The `actions`, which are now due."""
        if self._transactions.get(thread) is not transaction:
            return []  # forked inside the transaction: it is the parent's to end
        del self._transactions[thread]
        _roll_back(transaction.connection)
        # They may refer to the transaction, and a cycle would keep the connections open.
        transaction.on_commit, transaction.on_rollback = [], []
        return actions

    def _borrow(self, wait: Wait) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self._useless:
            raise Timeout(f"this process was forked while {self.path!r} was in use in it")
        with self._returned:
            if self._forking and not _transacting():  # else the fork waits for this thread
                self._returned.wait_for(lambda: not self._forking, FORK_PATIENCE)
            deadline = None if wait is None else time.monotonic() + wait
            while True:
                if self._idle:
                    return self._idle.pop()
                if self._open < self._limit:
                    self._open += 1
                    epoch = self._epoch
                    break
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise Timeout(f"all {self._limit} connections stayed in use for {wait} s")
                # A connection may be returned between the look and the wait without a
                # notification (see _give_back), hence the bound.
                self._returned.wait(0.005 if left is None else min(left, 0.005))
        try:
            with faults.named(self.path, epoch):
                return patiently(lambda: self._connect(epoch), wait)
        except BaseException:
            with self._returned:
                if epoch == self._epoch:
                    self._open -= 1
                else:
                    self._leaving -= 1
            raise

    def _connect(self, epoch: int) -> Connection:
        connection: Connection = sqlite3.connect(
            self.path,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=128,
            factory=Connection,
        )
        connection.epoch = epoch
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: Connection) -> None:
        if connection.epoch != self._epoch:
            if connection not in _inherited:
                connection.close()
                with self._returned:
                    self._leaving -= 1
            return
        _roll_back(connection)  # an interrupt fell between BEGIN and its bookkeeping
        self._idle.append(connection)  # atomic, without the lock: the common path
        if self._open >= self._limit:
            with self._returned:
                self._returned.notify()

    def close(self) -> None:
        """Close every idle connection, and each borrowed one when it comes back.

        The next call opens new ones: closing is never final.
        """
        with self._returned:
            self._epoch += 1
            idle = _emptied(self._idle)
            self._leaving += self._open - len(idle)
            self._open = 0
        for connection in idle:
            connection.close()

    def _prepare_fork(self) -> None:
        self._forking = True
        self.close()

    def _only_own(self) -> bool:
        """Whether no connection is open but that of this thread's transaction."""
        with self._returned:
            # Some come back idle: on their way when the pool was closed, or let through.
            for connection in _emptied(self._idle):
                connection.close()
                if connection.epoch == self._epoch:
                    self._open -= 1
                else:
                    self._leaving -= 1
            return self._open + self._leaving <= (self.current() is not None)

    def _go_on(self) -> None:
        with self._returned:
            self._forking = False
            self._returned.notify_all()

    def _forget(self) -> None:
        """Drop what belongs to the parent process, without touching it."""
        self._useless = self._useless or bool(self._leaving or self._open)
        inherited = [*self._idle, *(each.connection for each in self._transactions.values())]
        _keep_for_ever(inherited)
        self._idle.clear()
        self._transactions = {}
        self._returned = threading.Condition(threading.Lock())
        self._forking = False
        self._epoch += 1
        self._open = self._leaving = 0


def _roll_back(connection: Connection) -> None:
    if connection.in_transaction:
        # What cannot even be rolled back is seen by the next who uses the connection.
        with suppress(sqlite3.Error):
            connection.rollback()


def _emptied(idle: list[Connection]) -> list[Connection]:
    """What was in it; others may put in and take out meanwhile."""
    taken = []
    while True:
        try:
            taken.append(idle.pop())
        except IndexError:
            return taken


def _close_all(idle: list[Connection]) -> None:
    for connection in _emptied(idle):
        connection.close()


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
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


def _transacting() -> bool:
    """Whether this thread is in a transaction on any file."""
    return any(database.current() is not None for database in list(_databases))


def _before_fork() -> None:
    databases = list(_databases)
    for database in databases:
        database._prepare_fork()
    deadline = time.monotonic() + FORK_PATIENCE
    while not all(database._only_own() for database in databases):
        if time.monotonic() > deadline:
            return
        time.sleep(FIRST_PAUSE)


def _after_in_parent() -> None:
    for database in list(_databases):
        database._go_on()


def _after_in_child() -> None:
    for database in list(_databases):
        database._forget()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_in_parent,
    after_in_child=_after_in_child,
)
