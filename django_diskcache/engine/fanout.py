"""`FanoutCache`: the face of an engine with several shards, so that writers rarely meet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, cast

from . import files
from .cache import Cache, QueueMethods, part_of
from .clock import Clock, wall_clock
from .connection import Wait
from .deque import Deque
from .disk import Disk
from .faults import FAULTS
from .guard import ErrorHandler
from .index import Index
from .signing import Secret, Secrets, read_secrets, refuse_pickling


def parts_of(kind: str, name: Any) -> list[str]:
    """The directories, one in the other, that the name of a collection stands for.

    :raises ValueError: when it would lead out of those of its kind
    """
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or any(part in ("", ".", "..") or "\0" in part for part in parts):
        an = "an" if kind == "index" else "a"
        raise ValueError(f"{name!r} is no name for {an} {kind}: expected words, with / between")
    return parts


class FanoutCache(QueueMethods):
    """A cache of several SQLite databases, to which keys are spread.

    A call that finds its shard locked waits for `timeout` seconds and then gives up quietly:
    a set returns False, a get its default. With ``retry=True``, and in the methods with
    operators, it waits as long as it takes. Removal of many entries always does. Where
    something is wrong with the store, a call finds or stores nothing.

    :param directory: path; a new temporary directory if None
    :param shards: number of databases; a directory that has some keeps their number
    :param timeout: seconds
    :param disk: serialisation, `Disk` or a subclass of it
    :param secret: signs what is pickled; what is not signed with it is then a miss. None
        leaves it unsigned: whoever can write to the directory can execute code here
    :param secret_fallbacks: earlier secrets, which verify
    :param error_handler: called with each `Fault` and `Timeout` that a call meets
    :param strict: raise them, for tests and debugging
    :param settings: see the table of settings; they are those of the whole, not of a shard
    :raises TypeError: for a name that is no setting
    :raises ValueError: for a value that a setting does not take, or the number of shards, and
        an empty secret
    :raises OSError: when the directory cannot be made
    :raises Fault: when a database cannot be made in it
    """

    absorbs = FAULTS

    def __init__(
        self,
        directory: Any = None,
        shards: int = 8,
        timeout: float = 0.010,
        disk: type[Disk] = Disk,
        *,
        clock: Clock = wall_clock,
        stored: bool = True,
        secret: Secret | Secrets = None,
        secret_fallbacks: Iterable[bytes | str] = (),
        error_handler: ErrorHandler | None = None,
        strict: bool = False,
        **settings: Any,
    ) -> None:
        if not isinstance(shards, int) or isinstance(shards, bool) or not 1 <= shards <= 999:
            raise ValueError(f"shards={shards!r}: expected a whole number from 1 to 999")
        secrets = read_secrets(secret, secret_fallbacks)
        super().__init__(
            directory,
            shards,
            True,
            timeout,
            disk,
            settings,
            clock,
            stored,
            secrets,
            error_handler,
            strict,
        )
        self._collections: dict[tuple[str, str, Any], Any] = {}

    def __getstate__(self) -> tuple[str, int, float, type[Disk]]:
        refuse_pickling(self, self._engine.secrets)
        return self.directory, len(self._engine.stores), self.timeout, self._engine.disk_type

    def __setstate__(self, state: tuple[str, int, float, type[Disk]]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def _removal_wait(self, retry: bool) -> Wait:
        return None

    def expire(self, retry: bool = False, now: float | None = None) -> int:
        """Remove what has expired, by the time `now` if given; how many entries."""
        return self._expire(now, self._removal_wait(retry))

    def transact(self, retry: bool = True) -> AbstractContextManager[None]:
        """A context in which all changes happen together, or on an exception none.

        It locks every shard, in their order. It may be nested; it belongs to the thread.

        :raises Timeout: when a write lock is not free in time
        """
        return super().transact(retry)

    # Sub-collections

    def cache(
        self, name: str, timeout: float = 60, disk: type[Disk] | None = None, **settings: Any
    ) -> Cache:
        """The `Cache` with this name in a subdirectory; its entries are its own.

        :raises ValueError: when the name would lead out of the subdirectory
        """
        disk_type = self._engine.disk_type if disk is None else disk
        found = self._known(
            "cache", name, None, lambda path: part_of(self, path, disk_type, timeout)
        )
        for setting, value in settings.items():
            found.reset(setting, value)
        return cast(Cache, found)

    def deque(self, name: str, maxlen: int | None = None) -> Deque:
        """The `Deque` with this name in a subdirectory.

        :raises ValueError: when the name would lead out of the subdirectory
        """
        found = self._known(
            "deque", name, maxlen, lambda path: Deque.fromcache(self._part(path), maxlen=maxlen)
        )
        return cast(Deque, found)

    def index(self, name: str) -> Index:
        """The `Index` with this name in a subdirectory.

        :raises ValueError: when the name would lead out of the subdirectory
        """
        found = self._known("index", name, None, lambda path: Index.fromcache(self._part(path)))
        return cast(Index, found)

    def _part(self, path: str) -> Cache:
        return part_of(self, path, self._engine.disk_type, eviction_policy="none")

    def _known(self, kind: str, name: str, variant: Any, make: Any) -> Any:
        path = self._path(kind, name)
        try:
            return self._collections[kind, path, variant]
        except KeyError:
            return self._collections.setdefault((kind, path, variant), make(path))

    def _path(self, kind: str, name: str) -> str:
        path = self.directory
        for part in (kind, *parts_of(kind, name)):
            path = os.path.join(path, part)
            files.refuse_link(path)
        return path

    def close(self) -> None:
        """Close the connections, of sub-collections too; the next call opens new ones."""
        super().close()
        for collection in list(self._collections.values()):
            getattr(collection, "cache", collection).close()
