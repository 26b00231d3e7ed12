"""What a cache is as a whole, for any number of shards: settings, upkeep, figures, its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import attributes, maintenance, ordering, schema, statistics
from .clock import Clock, wall_clock
from .connection import Wait
from .disk import Disk
from .engine import Engine
from .engines import open_engine
from .errors import ENOVAL
from .faults import of_every_kind
from .guard import ErrorHandler
from .lifetime import LifetimeMethods, check_now
from .signing import NO_SECRETS, Secrets

Self = TypeVar("Self", bound="Overall")
PAGE = 100  # keys read at a time by an iteration


class Overall(LifetimeMethods):
    """Of a cache, what does not go by keys; not used by itself."""

    def __init__(
        self,
        directory: str | None,
        shards: int,
        sharded: bool,
        timeout: float,
        disk: type[Disk],
        settings: Mapping[str, Any],
        clock: Clock = wall_clock,
        stored: bool = True,
        secrets: Secrets = NO_SECRETS,
        error_handler: ErrorHandler | None = None,
        strict: bool = False,
    ) -> None:
        if not (isinstance(disk, type) and issubclass(disk, Disk)):
            raise ValueError(f"disk={disk!r}: expected Disk or a subclass of it")
        self._timeout = timeout
        self.error_handler = error_handler
        if strict:
            self.absorbs = ()
        self._engine = open_engine(
            directory, shards, sharded, disk, settings, clock, stored, secrets
        )
        attributes.show(self._engine.settings, Overall)

    # What it is

    @property
    def engine(self) -> Engine:
        """The engine that all caches of this process on the directory share."""
        return self._engine

    @property
    def directory(self) -> str:
        """Path of the directory."""
        return self._engine.directory

    @property
    def timeout(self) -> float:
        """Seconds that a call without `retry` waits for a lock."""
        return self._timeout

    @property
    def disk(self) -> Disk:
        """How keys and values are serialised: that of the first shard."""
        return self._engine.disks[0]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A setting, see `attributes`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(directory={self.directory!r})"

    def __copy__(self: Self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the directory; the next call opens new ones."""
        self._engine.close()

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """Change a setting, or without a value load what another process has stored.

        :param update: store it for others and for later
        :return: the value in force
        :raises KeyError: when there is no such setting
        :raises ValueError: when it does not take the value
        """
        return self._engine.reset(key, value, update)

    def _wait(self, retry: bool) -> Wait:
        return None if retry else self._timeout

    def _removal_wait(self, retry: bool) -> Wait:
        return self._wait(retry)

    # Its upkeep

    def clear(self, retry: bool = False) -> int:
        """Remove all entries; how many there were.

        :raises Timeout: with the number removed so far
        """
        wait = self._removal_wait(retry)
        return self._removed_from_each(lambda store: maintenance.clear(store, wait))

    def _expire(self, now: float | None, wait: Wait) -> int:
        check_now(now)  # a text is more than any time is to SQLite
        due = self._engine.clock() if now is None else now
        return self._removed_from_each(
            lambda store: maintenance.remove(store, schema.REMOVE_EXPIRED, due, wait)
        )

    def cull(self, retry: bool = False) -> int:
        """Remove what has expired, then evict until the size limit holds; how many.

        :raises Timeout: with the number removed so far
        """
        removing, cull = self._engine.removing, self._engine.limits.cull
        store, wait = self._engine.stores[0], self._removal_wait(retry)
        return int(self._safely(0, removing, store, cull, wait))

    def check(self, fix: bool = False, retry: bool = False) -> list[Any]:
        """What is wrong with the database and the files, as a list of warnings.

        It reads everything and keeps writers waiting: a tool for maintenance.

        :param fix: mend it
        :raises Timeout: when the write lock is not free in time
        """
        return maintenance.check_all(self._engine.stores, fix, self._wait(retry))

    def create_tag_index(self) -> None:
        """Create the index on tags, which makes `evict` fast, now and for later openings."""
        self.reset("tag_index", 1)

    def drop_tag_index(self) -> None:
        """Drop the index on tags."""
        self.reset("tag_index", 0)

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """(hits, misses) of all processes.

        A process reports what it has answered from its own memory at the end of a request, at
        exit, and with a look into the database a second later.

        :param enable: count from now on
        :param reset: begin again at zero
        """
        return self._safely((0, 0), self._engine.stats, enable, reset)

    def faults(self) -> dict[str, int]:
        """How many faults all processes have met, by their kind, since statistics were reset.

        The kinds are ``locked``, ``full``, ``corrupt``, ``denied``, ``lost`` and ``other``, and
        those that only servers have, which are 0.
        """
        return of_every_kind(self._engine.triage.counts())

    def figures(self, reset: bool = False) -> statistics.Statistics:
        """What the cache has done and holds, per shard and in all; it costs no scan.

        `statistics` is a setting, hence the name. Of more than a few thousand entries in a
        shard their number is an estimate; `len` counts.

        :param reset: let all counters begin again at zero
        """
        result = statistics.statistics(self._engine, self._safely)
        if reset:
            statistics.reset(self._engine)
        return result

    def evictions(self) -> dict[str, int]:
        """What has been evicted, by all processes since the segment was made.

        :return: entries that are gone, by the reason: 'size', 'entries', 'expired'; values
            that were 'refused'; the bytes 'freed' by all that; 'ghost_hits', which are
            entries that were stored again soon after they were evicted
        """
        shards = self._engine.evictions()
        return {name: sum(shard[name] for shard in shards) for name in shards[0]}

    def volume(self) -> int:
        """Bytes that the cache takes on disk, as ``du`` shows them; without collections."""
        return self._engine.limits.volume()

    def __len__(self) -> int:
        """Number of entries, those that have expired and are not yet removed included."""
        return self._safely(0, self._engine.count)

    # Iteration: a page of keys at a time, so that others may write meanwhile

    def __iter__(self) -> Iterator[Any]:
        """Keys in the order in which they were stored first, shard by shard."""
        return self._from_each(lambda store: ordering.keys(store, PAGE), False)

    def __reversed__(self) -> Iterator[Any]:
        """Keys in the opposite order of iteration."""
        return self._from_each(lambda store: ordering.keys(store, PAGE, reverse=True), True)
