"""The engine: all shards of one directory, their settings, and the limits over all of them.

There is one engine per process and directory, whatever the number of cache objects: they share
its connections and its segment (`engines`). Closing it closes connections and nothing else; the
next call opens new ones.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar
from zlib import crc32

from . import files, maintenance, schema
from .adjusting import Adjusting
from .clock import Clock
from .connection import Wait
from .disk import Disk, Place, portable_hash
from .errors import Fault
from .eviction import REASONS, policy_type
from .faults import FAULTS
from .healing import create, quarantined, renew, value_files_of_none
from .history import History
from .limits import Limits
from .locking import BRIEFLY, directory_lock
from .nearcache import NearCache
from .options import DEFAULT_SETTINGS
from .relief import Reserve, removing
from .segment import HITS, MISSES, Segment, shards_of, slots_for
from .signing import Secrets
from .store import Store
from .triage import Triage

STORABLE = (int, float, str, bytes, type(None))  # an argument of a Disk may be anything else
T = TypeVar("T")

LOOK_EVERY = 1.0  # seconds between two looks at whether the directory is still there
LEAST_SHARD = 10**6  # bytes of the size limit for each shard; below that there are fewer
SHARD_NAME = re.compile(r"[0-9]{3,}")


class Engine(Adjusting):
    """The shards in `directory`, an `interface.AnyEngine`; get one from `engines.open_engine`.

    :param sharded: whether shards have directories of their own (`FanoutCache`), or the one
        shard is the directory itself (`Cache`)
    """

    in_files: ClassVar[bool] = True
    coroutines: ClassVar[bool] = False

    def __init__(
        self,
        directory: str,
        shards: int,
        sharded: bool,
        disk: type[Disk],
        settings: Mapping[str, Any],
        stored: bool,
        clock: Clock,
        secrets: Secrets,
    ) -> None:
        self.directory = directory
        self.secrets = secrets
        self._looked_at = clock()
        self.clock = clock
        self.disk_type = disk
        self._disk_hash = disk.hash is not Disk.hash
        self._plain = disk.put is Disk.put and disk.hash is Disk.hash
        self.settings: dict[str, Any] = {**DEFAULT_SETTINGS, **settings}
        self._segment_path = os.path.join(directory, "segment")
        with directory_lock(directory):
            if sharded:
                known = max(shards_in(directory), shards_of(self._segment_path))
                shards = known or self._fewer(shards)
            slots = self._slots(shards)
            self.segment = Segment(self._segment_path, shards, slots)
            self.near = NearCache(self.segment, self.settings["near_cache_size"], clock)
            paths = [directory]
            if sharded:
                paths = [os.path.join(directory, f"{number:03d}") for number in range(shards)]
            self.disks = [self._make_disk(path, self.settings) for path in paths]
            self.stores = [
                Store(
                    path, number, disk, self.settings, clock, self.segment, self.near, secrets
                )
                for number, (path, disk) in enumerate(zip(paths, self.disks, strict=True))
            ]
            self._create_stores()
            self._count_files()
            evicts = policy_type(self.settings["eviction_policy"]).evicts
            # A collection is mostly small.
            self.reserve = Reserve(directory, self.stores[0].log_share if evicts else 0)
            self.reserve.keep()
        self.limits = Limits(self.stores, self.settings, clock)
        self.history = History(self.stores, clock)
        self.limits.budget.beside = self._beside()
        weakref.finalize(self, self.near.flush)  # at exit as well
        this = weakref.proxy(self)  # not a cycle: an engine goes with its last user
        self.triage = Triage(this)

        def chores() -> None:
            this.report()

        def failed(error: Exception) -> None:
            # Damage that only evictions meet would let the cache grow for ever. A lock that was
            # not free is no more than a reason to go on with the next write.
            if isinstance(error, Fault) and not this.transacting():
                this.triage.met(error)

        self.near.chores = chores
        self.limits.failed = failed
        for attempt in range(shards + 1):
            try:
                self._begin(settings, stored)
                break
            except Fault as fault:  # damage that does not show when a database is opened
                if fault.kind != "corrupt" or attempt == shards:
                    raise
                self._set_policy()
                self.triage.met(fault)
                for store in self.stores:
                    if store.path == fault.path:
                        store.damage = fault.to_keep()

    def _begin(self, settings: Mapping[str, Any], stored: bool) -> None:
        if stored:
            known = self._load()
            opened = {n: v for n, v in self.settings.items() if n.startswith("sqlite_")}
            self.settings.update({**known, **settings})
            self._apply_disk_settings()
            if any(self.settings[name] != value for name, value in opened.items()):
                self.close()  # the first connections were opened with other pragmas
        self._set_policy()
        self.configure(self.settings, save=False)
        try:
            self._save(self.settings)
        except Fault as fault:  # on a full disk, say: what is there can be read all the same
            if fault.kind == "corrupt":
                raise
            self.triage.say(fault)
        self.limits.begin()

    def _count_files(self) -> None:
        """Tell a new segment what value files there are, before others can add to them."""
        if self.segment.created:
            with suppress(Fault):  # else the limits do it, when the damage is healed
                maintenance.recount_files(self.stores)
                self.segment.created = False

    def _beside(self) -> int:
        """Bytes in the directory that belong to no shard."""
        return self.reserve.taken + quarantined(self.directory)

    def _create_stores(self) -> None:
        # The last one first: however early this process is killed, the directory then tells
        # how many there are to be.
        for store in reversed(self.stores):
            if store.directory != self.directory:  # where that leads is the site's own affair
                files.refuse_link(store.directory)
                files.make_way(store.directory)
            create(store, self.directory, self.settings["size_limit"])

    def _slots(self, shards: int) -> int:
        evicts = policy_type(self.settings["eviction_policy"]).evicts
        return slots_for(self.settings["size_limit"], shards, evicts)

    def _fewer(self, shards: int) -> int:
        """As many shards as the limit has room for."""
        if not policy_type(self.settings["eviction_policy"]).evicts:
            return shards
        room: int = self.settings["size_limit"] // LEAST_SHARD
        return max(1, min(shards, room))

    # Places

    def place(self, key: Any) -> tuple[Store, Place]:
        """Where `key` belongs: its shard, and its database form, raw flag and hash.

        :raises TypeError: when the key is not hashable
        """
        if self._plain and type(key) is str and key.isascii():  # the common key, at less cost
            number = crc32(key.encode())
            return self.stores[number % len(self.stores)], (key, True, number)
        return self._locate(key, *self.disks[0].put(key))

    def queue_place(self, key: Any) -> tuple[Store, Place]:
        """Where an entry of a queue belongs: its key is stored as it is, to keep its order."""
        return self._locate(key, key, True)

    def _locate(self, key: Any, db_key: Any, raw: bool) -> tuple[Store, Place]:
        number = self.disks[0].hash(key) if self._disk_hash else portable_hash(db_key)
        return self.stores[number % len(self.stores)], (db_key, raw, number)

    # Figures

    def count(self) -> int:
        """How many entries there are, expired ones included."""
        return sum(store.database.run(schema.COUNT)[0][0] for store in self.stores)

    def stats(self, enable: bool, reset: bool) -> tuple[int, int]:
        """(hits, misses) of all processes since the last reset, as far as they have told."""
        self.near.flush()
        numbers = range(len(self.stores))
        result = [sum(self.segment.total(kind, n) for n in numbers) for kind in (HITS, MISSES)]
        if reset:
            for number in numbers:
                self.segment.rebase(HITS, number)
                self.segment.rebase(MISSES, number)
            self.triage.reset()
        if bool(enable) != bool(self.settings["statistics"]):
            self.configure({"statistics": int(enable)})
        return result[0], result[1]

    def removing(self, store: Store, remove: Callable[..., T], *args: Any) -> T:
        """What `remove(*args)` returns, which takes entries from `store`: see `relief`."""
        return removing(
            self.reserve,
            self.stores,
            store,
            self.directory,
            lambda: remove(*args),
            self.settle,
        )

    def evictions(self) -> list[dict[str, int]]:
        """What each shard has evicted since its segment was made, by reason: see `REASONS`."""
        total = self.segment.total
        return [
            {name: total(kind, store.number) for name, kind in REASONS.items()}
            for store in self.stores
        ]

    # Transactions, life

    @contextmanager
    def transact(self, wait: Wait) -> Iterator[None]:
        """A write transaction of this thread on every shard, taken in their order."""
        with _all(self.stores, 0, wait):
            yield

    @property
    def in_use(self) -> bool:
        """Whether a database is open in this process."""
        return any(store.database.opened for store in self.stores)

    def transacting(self) -> bool:
        """Whether this thread is in a transaction on any shard."""
        return any(store.database.current() is not None for store in self.stores)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self.near.flush()
        for store in self.stores:
            store.database.close()

    def tidy(self) -> None:
        """The end of a request: `report`, and once a minute a row of history.

        Never in a read, which writes nothing.
        """
        self.history.note()  # before this request's counts: they belong to what begins now
        self.report()

    def report(self) -> None:
        """Report what was counted, and `refresh` once a second.

        Not every time: a look at a file lets go of the interpreter's lock, and among busy
        threads it takes long to get that back.
        """
        self.near.flush()
        if self.near.bypassing() and not self.transacting():
            self.near.bypass_no_more()
        self.look()

    def look(self) -> None:
        """`refresh`, if the last look is a second ago."""
        now = self.clock()
        if abs(now - self._looked_at) >= LOOK_EVERY:
            try:
                self.refresh()
            except (OSError, *FAULTS) as error:
                self.triage.say(error)  # it is looked at again in a second
            self.reserve.keep()
            self._looked_at = now  # not before: others may rely on what it has done

    def refresh(self) -> None:
        """Notice that the directory was removed or replaced, and start over in it.

        :raises OSError: when the directory cannot be made
        :raises Fault: when something else is wrong with it
        """
        settled = self.limits.budget.segment is self.segment  # else an interrupt has left it
        if settled and not self.segment.lost() and not any(s.lost() for s in self.stores):
            return
        if self.transacting():
            return  # this thread has an old file in use, which must not pass for the new one
        self.close()
        with directory_lock(self.directory, BRIEFLY):
            slots = self._slots(len(self.stores))
            segment = Segment(self._segment_path, len(self.stores), slots)
            replaced = [store for store in self.stores if store.lost()]
            self.segment = segment
            self.near.attach(segment)
            for store in self.stores:
                store.attach(segment)
            orphans = [(store, value_files_of_none(store)) for store in replaced]
            self._create_stores()
            for store in replaced:
                renew(store, segment)  # others may have the new segment and the old file
        for store, names in orphans:
            for name in names:
                files.remove(store.directory, name)
        self._set_policy()
        self.settle()

    def settle(self) -> None:
        """After a shard was made anew: what its file does not have yet."""
        self.limits.budget.beside = self._beside()
        self.limits.begin()
        self._save(self.settings)
        if self.settings["tag_index"]:
            self.index_tags(True)


@contextmanager
def _all(stores: list[Store], number: int, wait: Wait) -> Iterator[None]:
    """A transaction on each of the stores from this number on, innermost last.

    No ExitStack: an exception of a signal handler that falls into it is in a cycle with its
    frames, which would keep the transactions open.
    """
    with stores[number].transact(wait):
        if number + 1 < len(stores):
            with _all(stores, number + 1, wait):
                yield
        else:
            yield


def shards_in(directory: str) -> int:
    """How many shards the directory has; another number would lose sight of its entries.

    :raises OSError: when it cannot be listed
    """
    numbers = [
        int(name)
        for name in os.listdir(directory)
        if SHARD_NAME.fullmatch(name)
        and os.path.lexists(os.path.join(directory, name, files.DATABASE))
    ]
    return max(numbers, default=-1) + 1
