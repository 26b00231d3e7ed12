"""One SQLite file: its statements, one retry loop, one kind of transaction.

Any thread may borrow any connection, for one statement or for one transaction (see `pool`); the
number of open files is therefore bounded, whatever the number of threads. SQLite's own busy
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
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from threading import get_ident
from typing import Any, TypeAlias, TypeVar, overload

from . import faults
from .errors import Fault, Timeout
from .pool import FORK_PATIENCE, Connection, Pool, Slot, collect_lost
from .pool import Wait as Wait  # noqa: PLC0414  it is in the signatures of all that waits
from .sqlite import OLDEST, sqlite3

T = TypeVar("T")
Rows: TypeAlias = "list[tuple[Any, ...]]"

POOL_LIMIT = 8  # open connections to one shard; more threads than this take turns
FIRST_PAUSE = 50e-6  # seconds
LONGEST_PAUSE = 2e-3  # seconds


def is_busy(error: Exception) -> bool:
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
    collected = False
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
        if pause == LONGEST_PAUSE and not collected:
            collected = True
            collect_lost()  # perhaps one of them has the lock
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


# What a statement gives: its rows, or how many it inserted, updated or deleted.
all_rows: Callable[[sqlite3.Cursor], Rows] = sqlite3.Cursor.fetchall
changed_rows: Callable[[sqlite3.Cursor], int] = attrgetter("rowcount")


def run_all(actions: list[Callable[[], object]]) -> None:
    """Take each from the list and run it, whatever the others raise."""
    while actions:
        try:
            actions.pop(0)()
        except BaseException:
            run_all(actions)
            raise


class Changes:
    """Which stamps on the segment are those of what a transaction changes."""

    def __init__(self) -> None:
        self.slots: set[int] = set()
        self.whole = False  # all of the shard


class Transaction:
    """A write transaction of one thread, and what is to happen when it ends.

    The actions must not refer to it: in a cycle it would outlive its frame.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.on_commit: list[Callable[[], object]] = []
        self.on_rollback: list[Callable[[], object]] = []
        self.changes = Changes()
        self._committing = False

    def commit(self) -> None:
        self._committing = True  # before: a signal handler may raise right after it
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error:
            self._committing = False
            raise

    def end(self) -> list[Callable[[], object]]:
        """Roll back what is not committed; the actions that are due now."""
        if self._committing and not self.connection.raw.in_transaction:
            return self.on_commit
        self.connection.roll_back()
        return self.on_rollback


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
        this = weakref.proxy(self)  # not a cycle: connections are closed with the last user

        def connect(slot: Slot, wait: Wait) -> Connection:
            opened: Connection = this._connect(slot, wait)
            return opened

        self.pool = Pool(connect, limit, path)
        self._idle = self.pool.idle
        # By thread, and weakly: whatever ends `transact`, the transaction goes with its frame.
        self._transactions: dict[int, weakref.ref[Transaction]] = {}
        self._generations: Sequence[int] = (0,)
        self._place = 0  # of this shard's generation among them
        self._generation = 0
        self._reopened: Callable[[], Callable[[], object] | None] = lambda: None
        _databases.add(self)

    @property
    def opened(self) -> int:
        """How many connections are open now."""
        return self.pool.opened

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
        if epoch is not None and epoch != self.pool.epoch:
            return True
        return self._generations[self._place] != self._generation

    def _renew(self) -> None:
        generation = self._generations[self._place]
        self.close()
        self._generation = generation  # not before: others would use what is still open
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
            transaction = self.current()
            if transaction is not None:
                self._check(transaction)
                try:
                    return outcome(transaction.connection.step(sql, parameters))
                except faults.ERRORS as error:
                    epoch = transaction.connection.epoch
                    raise faults.fault(error, self.path, epoch) from error
        if self._generations[self._place] != self._generation:
            self._renew()
        try:
            connection = self._idle.pop()  # the common case of `Pool.borrow`
        except IndexError:
            connection = self.pool.borrow(wait, _transacting)
        try:
            return outcome(connection.step(sql, parameters))
        except faults.ERRORS as error:
            if not is_busy(error):
                raise faults.fault(error, self.path, connection.epoch) from error
            try:
                with faults.named(self.path, connection.epoch):
                    return patiently(lambda: outcome(connection.step(sql, parameters)), wait)
            except BaseException:
                connection.reset()
                raise
        except BaseException:  # of a signal handler
            connection.reset()
            raise
        finally:
            self.pool.give_back(connection)

    def _check(self, transaction: Transaction) -> None:
        """Nothing, while the transaction goes on.

        On a full disk, or after an error of it, SQLite rolls back by itself. If the caller went
        on all the same, what follows would be committed by itself.

        :raises Fault: when that has happened
        """
        connection = transaction.connection
        if not connection.raw.in_transaction:
            what = "SQLite has rolled back the transaction after an error"
            raise Fault("other", self.path, what, connection.epoch)

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """How many rows the statement changed, run for each of these in the transaction."""
        transaction = self.current()
        assert transaction is not None
        self._check(transaction)
        with faults.named(self.path, transaction.connection.epoch):
            return transaction.connection.executemany(sql, rows).rowcount

    def script(self, sql: str, wait: Wait = None) -> bool:
        """Run one statement to its end that gives rows without columns; always True.

        Of such a statement `run` would do the first step only. Not inside a transaction.

        :raises Timeout: when the database is locked for more than `wait` seconds
        :raises Fault: when something is wrong with it
        """
        connection = self.pool.borrow(wait, _transacting)
        try:
            with faults.named(self.path, connection.epoch):
                patiently(lambda: connection.raw.executescript(sql), wait)
        finally:
            self.pool.give_back(connection)
        return True

    def current(self) -> Transaction | None:
        """The transaction that this thread is in, if any."""
        known = self._transactions.get(get_ident())
        return None if known is None else known()

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
        connection = self.pool.borrow(wait, _transacting)
        thread = get_ident()
        actions: list[Callable[[], object]] = []
        try:
            with faults.named(self.path, connection.epoch):
                patiently(lambda: connection.execute("BEGIN IMMEDIATE"), wait)
            transaction = Transaction(connection)
            self._transactions[thread] = weakref.ref(transaction)
            try:
                yield transaction
                if self.current() is transaction:  # else: a forked child
                    with faults.named(self.path, connection.epoch):
                        patiently(transaction.commit, wait)
            finally:
                try:
                    actions = self._ended(thread, transaction)
                except BaseException:  # a signal handler's: that does not leave it undone
                    actions = self._ended(thread, transaction)
                    raise
        finally:
            try:
                self.pool.give_back(connection)
            finally:
                # Not before: they may need a connection, and all may be held by their like.
                try:
                    run_all(actions)
                except BaseException:
                    run_all(actions)
                    raise

    def _ended(self, thread: int, transaction: Transaction) -> list[Callable[[], object]]:
        """The actions that are due now; it may be called again."""
        if self.pool.inherited(transaction.connection):
            return []  # forked inside the transaction: it is the parent's to end
        actions = transaction.end()
        self._transactions.pop(thread, None)
        return actions

    def _connect(self, slot: Slot, wait: Wait) -> Connection:
        with faults.named(self.path, slot.epoch):
            return patiently(lambda: self._opened(slot), wait)

    def _opened(self, slot: Slot) -> Connection:
        raw = sqlite3.connect(
            self.path,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=128,
        )
        try:
            self._configure(raw)
            return Connection(raw, slot)
        except BaseException:
            raw.close()
            raise

    def close(self) -> None:
        """Close every idle connection, and each borrowed one when it comes back.

        The next call opens new ones: closing is never final.
        """
        self.pool.close()

    def _prepare_fork(self) -> None:
        self.pool.prepare_fork()

    def _only_own(self) -> bool:
        """Whether no connection is open but that of this thread's transaction."""
        return self.pool.unused(self.current() is not None)

    def _go_on(self) -> None:
        self.pool.go_on()

    def _forget(self) -> None:
        """Drop what belongs to the parent process, without touching it."""
        transactions = [each() for each in self._transactions.values()]
        self.pool.forget([each.connection for each in transactions if each is not None])
        self._transactions = {}


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


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
