"""One shard as a file: made, configured, changed, and what every change of it entails.

A change of an entry is a statement between two stamps on the segment; of several it is a
transaction, whose stamps follow its commit. Entries, bytes and value files are counted on the
segment.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from . import files, schema
from .budget import FRAME, on_disk
from .clock import Clock
from .connection import Changes, Database, Transaction, Wait
from .disk import Disk, portable_hash
from .errors import Fault, Foreign
from .faults import FAULTS, named
from .logs import Log
from .nearcache import NearCache
from .policies import Policy
from .segment import ENTRIES, FILES, FREED, UNCOUNTED, WHY, Segment
from .signing import NO_SECRETS, Secrets
from .sqlite import sqlite3
from .tally import Tally
from .trust import Trust, is_native, text

if TYPE_CHECKING:
    from .limits import Limits

PAGE = 2048  # bytes of a database page; a commit writes whole pages, so a set costs less
LOG_SHARE = 16  # the log takes about this fraction of a shard's part of the size limit
FEWEST_LOG_PAGES = 16
MOST_LOG_PAGES = 4000

T = TypeVar("T")
RemovalHandler: TypeAlias = Callable[[str, int, int], object]  # reason, entries, bytes


class Shard:
    """Shard `number` of a cache, in `directory`.

    :param settings: the engine's, shared with it and read at each use
    :param secrets: what is unpickled must be signed with one of these, if there are any
    """

    limits: Limits  # told of every write; set by the limits themselves
    inode = 0  # of the file that was opened
    damage: Fault | None = None  # that it began anew for when it was opened, until it is told
    hinted = 0  # hints of tags written by this process since the sweep looked at some
    policy: Policy  # in force; set by the engine
    removal_handlers: tuple[RemovalHandler, ...] = ()  # see `watching`

    def __init__(
        self,
        directory: str,
        number: int,
        disk: Disk,
        settings: dict[str, Any],
        clock: Clock,
        segment: Segment,
        near: NearCache,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self.directory = directory
        self.number = number
        self.disk = disk
        self.settings = settings
        self.clock = clock
        self.path = os.path.join(directory, files.DATABASE)
        this = weakref.proxy(self)  # not a cycle: connections are closed with the last user

        def configure(connection: sqlite3.Connection) -> None:
            this._configure(connection)

        self.says = Log(clock)
        self.tally = Tally()
        self.database = Database(self.path, configure)
        self._admitting = threading.local()  # key and bytes of the file that is being written
        self.page_size = PAGE
        disk.admit = _weakly(self._admit)
        self.trust = Trust(self.database, directory, disk, secrets)
        self._native = is_native(disk)
        self.near = near
        self.attach(segment)

    def attach(self, segment: Segment) -> None:
        """Use this segment from now on."""
        self.segment = segment
        self.database.watch(segment.counters, segment.generation(self.number), self.trust.renew)

    def create(self) -> None:
        """Make the file and its tables; the caller holds the directory's lock.

        :raises Fault: when something is wrong with the file, or it is not one of ours
        """
        with named(self.path):
            self._create()

    def _create(self) -> None:
        files.make_directory(self.directory)
        files.remove_links(*(self.path + end for end in ("", "-wal", "-shm", "-journal")))
        # Made here, and not by SQLite, for its mode; the log and its index inherit it. Never
        # opened when it is there: closing it would drop the locks that SQLite has on it.
        with suppress(FileExistsError):
            os.close(files.create(self.path, os.O_RDWR | os.O_EXCL))
        if not self.database.run(schema.TABLES):
            with self.database.transact():
                for statement in schema.CREATE:
                    self.database.run(statement)
                self.database.run(f"PRAGMA application_id={schema.APPLICATION_ID}")
                self.database.run(f"PRAGMA user_version={schema.VERSION}")
                self.trust.make_identity()
        elif self.database.run(schema.WHOSE) != [(schema.APPLICATION_ID, schema.VERSION)]:
            raise Fault("corrupt", self.path, "a database of another kind or version")
        self.trust.begin()
        self.inode = os.stat(self.path).st_ino

    def lost(self) -> bool:
        """Whether the file at the path is not the one that was opened."""
        try:
            return os.stat(self.path).st_ino != self.inode
        except OSError:
            return True

    def _configure(self, connection: sqlite3.Connection) -> None:
        settings = self.settings
        connection.text_factory = text
        # What is in the schema calls no function that does more than compute.
        connection.execute("PRAGMA trusted_schema=OFF")
        ((pages,),) = connection.execute("PRAGMA page_count")
        if not pages:  # else they count for nothing, and would need the write lock
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute(f"PRAGMA auto_vacuum={settings['sqlite_auto_vacuum']:d}")
        wanted = settings["sqlite_journal_mode"]
        ((journal,),) = connection.execute(f"PRAGMA journal_mode={wanted}")
        if journal != wanted:  # it needs shared memory, which not every file system has
            raise Fault(
                "denied",
                self.path,
                f"sqlite_journal_mode={wanted!r} does not work on this file system, but "
                f"{journal!r} does: take a local disk, or set sqlite_journal_mode to 'delete'",
            )
        connection.execute(f"PRAGMA synchronous={settings['sqlite_synchronous']:d}")
        connection.execute(f"PRAGMA cache_size={settings['sqlite_cache_size']:d}")
        connection.execute(f"PRAGMA wal_autocheckpoint={self._log_pages():d}")
        connection.execute(f"PRAGMA journal_size_limit={self.log_share:d}")
        ((self.page_size,),) = connection.execute("PRAGMA page_size")
        connection.execute(f"PRAGMA mmap_size={settings['sqlite_mmap_size']:d}")
        connection.execute("PRAGMA temp_store=MEMORY")
        # Some builds overwrite all that is deleted with zeros, freed pages included, through
        # the log: a clear would write as much as the fill did. Now only where it costs no page.
        connection.execute("PRAGMA secure_delete=FAST")

    def _log_pages(self) -> int:
        """After how many pages SQLite moves the log into the database.

        The logs of all shards together should be a small part of what the cache may take.
        """
        share = self.settings["size_limit"] // self.segment.shards // LOG_SHARE // PAGE
        return int(min(max(share, FEWEST_LOG_PAGES), MOST_LOG_PAGES))

    @property
    def log_share(self) -> int:
        """Bytes of the log when SQLite moves it into the database."""
        return self._log_pages() * (PAGE + FRAME)

    def number_of(self, key: Any, raw: int, signature: Any) -> int:
        """The hash of a database key; another one if it would have to be unpickled in vain."""
        if type(self.disk).hash is not Disk.hash:
            with suppress(Foreign):
                return self.disk.hash(self.trust.key(key, raw, signature))
        return portable_hash(key)

    def slot(self, key: Any, raw: int, signature: Any) -> int:
        """The slot on the segment of a database key."""
        return self.segment.slot(self.number_of(key, raw, signature))

    def _change(
        self,
        sql: str,
        parameters: Sequence[Any],
        number: int,
        wait: Wait,
        outcome: Callable[[sqlite3.Cursor], T],
    ) -> T:
        """One statement that changes the entry of a key with this hash, and its stamps."""
        segment = self.segment
        slot = segment.slot(number)
        database = self.database
        transaction = database.current()
        if transaction is not None:
            transaction.changes.slots.add(slot)
            return database.run(sql, parameters, wait, outcome)
        # Of what an addition changes others remember a miss at most, and one that fails changes
        # nothing: those who wait for a lock by `add` would disturb one another.
        adding = sql in schema.ADDITIONS
        if not adding:
            segment.stamp(slot)
        try:
            result = database.run(sql, parameters, wait, outcome)
            if result or not adding:
                segment.stamp(slot)
        except BaseException as error:
            segment.stamp(slot)  # it may be committed all the same
            if not isinstance(error, FAULTS):  # but a signal handler's: nobody counts it
                self.limits.doubt()
            raise
        return result

    def after_commit(self, action: Callable[[], object]) -> None:
        """Do it now, or when this thread's transaction is committed, if it is in one."""
        transaction = self.database.current()
        if transaction is None:
            action()
        else:
            transaction.on_commit.append(action)

    def count(self, change: int) -> None:
        """Note that entries were added, or removed if negative.

        Additions count after their commit, removals before it. So a recount, which holds the
        write lock, is at worst too high, and the next one mends that; a count that is too low
        would let the cache grow until somebody looks.
        """
        transaction = self.database.current()
        if transaction is None or change < 0:
            self._add_to_count(change)
            if transaction is not None:
                transaction.on_rollback.append(lambda: self._add_to_count(-change))
        else:
            transaction.on_commit.append(lambda: self._add_to_count(change))

    def _add_to_count(self, change: int) -> None:
        self.segment.add(ENTRIES, self.number, change)

    def discard(self, filenames: Iterable[str | None]) -> None:
        """Remove value files, once the transaction that gave them up has been committed."""
        names = [name for name in filenames if name is not None]
        if names:
            self.after_commit(lambda: self._remove_files(names))

    def _remove_files(self, names: Iterable[str]) -> None:
        for name in names:
            self._remove_file(name)

    def _remove_file(self, name: str) -> None:
        try:
            size = files.size(self.directory, name)
        except OSError:
            size = None  # it is gone, and was counted off
        self.disk.remove(name)
        if size is not None:
            self.segment.add(FILES, self.number, -on_disk(size))

    def removed(self, rows: Sequence[tuple[Any, ...]], reason: int | None) -> None:
        """Rows (id, filename, size) were deleted in this transaction.

        :param reason: the kind of counter for it, if it is one that is counted
        """
        self.discard(row[1] for row in rows)
        self.gone(len(rows), sum(row[2] for row in rows), reason)

    def gone(self, count: int, size: int, reason: int | None) -> None:
        """So many rows, of so many bytes without files, were deleted in this transaction."""
        if not count:
            return
        self.count(-count)
        self.segment.cells[self.segment.cell(UNCOUNTED, self.number)] += count
        if reason is not None:
            self.after_commit(lambda: self._add_removed(reason, count, size))

    def _add_removed(self, reason: int, count: int, size: int) -> None:
        self.segment.add(reason, self.number, count)
        self.segment.add(FREED, self.number, size)
        for handler in self.removal_handlers:
            try:
                handler(WHY[reason], count, size)
            except Exception:
                import logging  # at start-up it would cost some milliseconds

                logging.getLogger("django_diskcache").exception(
                    "the removal handler %r failed", handler
                )

    def _admit(self, size: int) -> None:
        admitting = self._admitting
        admitting.taken += self.limits.reserve(self, admitting.key, size, admitting.size)
        admitting.size += size

    @contextmanager
    def transact(self, wait: Wait) -> Iterator[Transaction]:
        """A write transaction of this thread on this shard; the near cache stays out of it."""
        if self.database.current() is not None:
            with self.database.transact(wait) as transaction:
                yield transaction
            return
        changes = Changes()
        try:
            with self.near.bypassed(), self.database.transact(wait) as transaction:
                changes = transaction.changes
                # The first thing after the commit, whatever else is to follow it.
                transaction.on_commit.append(lambda: self._stamp(changes))
                yield transaction
                self._stamp(changes)
        except BaseException:
            self._stamp(changes)  # it may be committed all the same
            raise

    def _stamp(self, changes: Changes) -> None:
        if changes.whole:
            self.segment.stamp_shard(self.number)
        else:
            self.segment.stamp_each(changes.slots)


def _weakly(method: Callable[[int], None]) -> Callable[[int], None]:
    """The method, without keeping its object: disk and store would be a cycle."""
    weak = weakref.WeakMethod(method)

    def call(size: int) -> None:
        bound = weak()
        if bound is not None:
            bound(size)

    return call
