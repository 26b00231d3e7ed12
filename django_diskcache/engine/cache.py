"""`Cache`: the face of an engine with one shard, which is the directory itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from . import ordering, queues
from .clock import Clock, wall_clock
from .computing import ComputingMethods
from .disk import Disk
from .ends import Found, QueueEnds, ended
from .errors import Fault
from .finding import FindingMethods
from .guard import ErrorHandler, Guarded
from .keyed import KeyedCache
from .labels import TagMethods
from .locks import LockMethods
from .overall import PAGE
from .rates import RateMethods
from .signing import Secret, Secrets, read_secrets, refuse_pickling
from .watching import WatchMethods


class QueueMethods(
    QueueEnds,
    FindingMethods,
    TagMethods,
    ComputingMethods,
    LockMethods,
    RateMethods,
    WatchMethods,
):
    """The methods of a cache that go by order instead of by key."""

    def _pushed(self, entry: tuple[Any, ...], retry: bool) -> Any:
        return self._safely(None, queues.push, self._engine, *entry, self._wait(retry))

    def _at_end(self, prefix: str | None, side: str, take: bool, retry: bool) -> Found | None:
        wait = self._wait(retry)
        return self._safely(None, queues.end, self._engine, prefix, side, wait, take)

    def peekitem(
        self,
        last: bool = True,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The last or first (key, value) in order of iteration.

        :return: the pair, in a tuple with expire time or tag if asked for
        :raises KeyError: when the cache is empty
        """
        stores = self._engine.stores
        for store in reversed(stores) if last else stores:
            found = self._safely(None, ordering.item, store, last, self._wait(retry))
            if found is not None:
                return ended(found, None, expire_time, tag)
        raise KeyError("the cache is empty")

    def iterkeys(self, reverse: bool = False) -> Iterator[Any]:
        """Keys in the database's order: numbers, texts, bytes; shard by shard."""
        return self._from_each(
            lambda store: ordering.sorted_keys(store, PAGE, reverse), reverse
        )


class Cache(QueueMethods):
    """A persistent cache in one SQLite database, shared by threads and processes.

    A call that finds the database locked waits for `timeout` seconds, then raises Timeout;
    with ``retry=True``, and in the methods with operators, it waits as long as it takes. Where
    something is wrong with the store, a call finds or stores nothing.

    :param directory: path; a new temporary directory if None
    :param timeout: seconds
    :param disk: serialisation, `Disk` or a subclass of it
    :param secret: signs what is pickled; what is not signed with it is then a miss. None
        leaves it unsigned: whoever can write to the directory can execute code here
    :param secret_fallbacks: earlier secrets, which verify
    :param error_handler: called with each `Fault` and `Timeout` that a call meets
    :param strict: raise them, for tests and debugging
    :param settings: see the table of settings; those given are kept in the directory
    :raises TypeError: for a name that is no setting
    :raises ValueError: for a value that a setting does not take, and an empty secret
    :raises OSError: when the directory cannot be made
    :raises Fault: when a database cannot be made in it
    """

    absorbs = (Fault,)

    def __init__(
        self,
        directory: Any = None,
        timeout: float = 60,
        disk: type[Disk] = Disk,
        *,
        clock: Clock = wall_clock,
        secret: Secret | Secrets = None,
        secret_fallbacks: Iterable[bytes | str] = (),
        error_handler: ErrorHandler | None = None,
        strict: bool = False,
        **settings: Any,
    ) -> None:
        secrets = read_secrets(secret, secret_fallbacks)
        super().__init__(
            directory,
            1,
            False,
            timeout,
            disk,
            settings,
            clock,
            secrets=secrets,
            error_handler=error_handler,
            strict=strict,
        )

    def expire(self, now: float | None = None, retry: bool = False) -> int:
        """Remove what has expired, by the time `now` if given; how many entries.

        :raises Timeout: with the number removed so far
        """
        return self._expire(now, self._removal_wait(retry))

    def __getstate__(self) -> tuple[str, float, type[Disk]]:
        refuse_pickling(self, self._engine.secrets)
        return self.directory, self.timeout, self._engine.disk_type

    def __setstate__(self, state: tuple[str, float, type[Disk]]) -> None:
        self.__init__(*state)  # type: ignore[misc]


def part_of(
    cache: KeyedCache,
    directory: str | None,
    disk: type[Disk],
    timeout: float = 60,
    **settings: Any,
) -> Cache:
    """A cache in another directory, or a temporary one, that is otherwise set up like this."""
    engine = cache.engine
    names = ["serializer"]
    if disk is engine.disk_type:  # another may not have its values compressed
        names += ["compression", "compression_level", "compression_min_size"]
    for name in names:
        settings.setdefault(name, engine.settings[name])
    return Cache(
        directory,
        timeout,
        disk,
        clock=engine.clock,
        secret=engine.secrets,
        error_handler=cache.error_handler,
        strict=not cache.absorbs,
        **settings,
    )


def refuse_remote(cache: Any, kind: str) -> None:
    """:raises TypeError: for a cache on a server, whose entries have no order

    :param kind: of collection that was to be made of it
    """
    engine = getattr(cache, "engine", None)
    if isinstance(cache, Guarded) and not getattr(engine, "in_files", True):
        raise TypeError(f"{cache!r} is on a server: use {kind}(name) of it")
