"""`ServerCache`: a cache on a Valkey or Redis server, with the methods of `FanoutCache`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

from ..engine.clock import Clock, wall_clock
from ..engine.disk import Disk
from ..engine.fanout import parts_of
from ..engine.faults import FAULTS
from ..engine.guard import ErrorHandler
from ..engine.locks import LockMethods
from ..engine.options import read_settings
from ..engine.rates import RateMethods
from ..engine.signing import Secret, Secrets, read_secrets, refuse_pickling
from .address import read_address
from .bulk import BulkEntries
from .collection import name_of
from .indexed import IndexEntries, ServerIndex
from .lasting import TimedOperations
from .listed import ListEntries, ServerDeque
from .queueing import QueueingCache
from .remote import Remote

Self = TypeVar("Self", bound="ServerCache")

NAME = "django_diskcache"  # what entries on the server begin with


class ServerCache(QueueingCache, BulkEntries, LockMethods, RateMethods):
    """A cache on a server, shared by all machines that use it.

    Where the server is in trouble, a call finds or stores nothing; `incr` and the methods with
    operators raise `Fault`. So do `add` and all others on a twin made by `guard.raising`.

    :param location: see `server.address`
    :param timeout: seconds that a call waits for the server
    :param disk: serialisation, `Disk` or a subclass of it
    :param name: what the names of all entries on the server begin with
    :param secret: signs what is pickled; what is not signed with it is then a miss
    :param secret_fallbacks: earlier secrets, which verify
    :param error_handler: called with each `Fault` that a call meets
    :param strict: raise them, for tests and debugging
    :param settings: those of the table of settings that mean something here: near_cache_size,
        serializer, statistics, compression and what goes with it, and arguments of the disk
    :raises TypeError: for a name that is no setting
    :raises ValueError: for a location or a value that is not taken, and an empty secret
    """

    absorbs: tuple[type[Exception], ...] = FAULTS

    def __init__(
        self,
        location: Any,
        timeout: float = 0.25,
        disk: type[Disk] = Disk,
        *,
        name: str = NAME,
        clock: Clock = wall_clock,
        secret: Secret | Secrets = None,
        secret_fallbacks: Iterable[bytes | str] = (),
        error_handler: ErrorHandler | None = None,
        strict: bool = False,
        **settings: Any,
    ) -> None:
        if not (isinstance(disk, type) and issubclass(disk, Disk)):
            raise ValueError(f"disk={disk!r}: expected Disk or a subclass of it")
        if not timeout > 0:
            raise ValueError(f"timeout={timeout!r}: expected seconds above 0")
        if not name or "{" in name or "}" in name:
            raise ValueError(f"name={name!r}: expected a text without braces")
        parsed: Mapping[str, Any] = read_settings(settings)
        self._timeout = timeout
        self._given = location, disk, {**settings, "clock": clock, "strict": strict}
        self._collections: dict[tuple[str, str, Any], Any] = {}
        self.error_handler = error_handler
        if strict:
            self.absorbs = ()
        self._engine = Remote(
            read_address(location),
            name,
            timeout,
            disk,
            parsed,
            clock,
            read_secrets(secret, secret_fallbacks),
        )
        self._operations = TimedOperations(self._engine)

    @property
    def engine(self) -> Remote:
        """What all caches of this process at the address share."""
        return self._engine

    @property
    def directory(self) -> str:
        """The address, without its password: where a cache in files has its path."""
        return self._engine.address.text

    @property
    def timeout(self) -> float:
        """Seconds that a call waits for the server."""
        return self._timeout

    @property
    def disk(self) -> Disk:
        """How keys and values are serialised."""
        return self._engine.disk

    @property
    def compression(self) -> str | None:
        """What large values are compressed with."""
        name: str | None = self._engine.settings["compression"]
        return name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r})"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # A pickle has what the cache was opened with

    def __getstate__(self) -> tuple[Any, ...]:
        refuse_pickling(self, self._engine.secrets)
        location, disk, settings = self._given
        arguments = self._engine.address.arguments
        if any(value for name, value in arguments.items() if "password" in name):
            raise TypeError(
                f"a {type(self).__name__} with a password cannot be pickled, for the password "
                "would be in the pickle: open the address where it is needed"
            )
        return location, self._timeout, disk, self._engine.name, settings

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        location, timeout, disk, name, settings = state
        self.__init__(location, timeout, disk, name=name, **settings)  # type: ignore[misc]

    def __copy__(self: Self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    # Sub-collections

    def cache(
        self: Self,
        name: str,
        timeout: float | None = None,
        disk: type[Disk] | None = None,
        **settings: Any,
    ) -> Self:
        """The cache with this name beside this one; its entries are its own.

        The other arguments are those of a cache, and by default what they are for this one.

        :raises ValueError: when it is no name for one
        """
        variant = timeout, disk, tuple(sorted(settings.items()))

        def make(name: str) -> Self:
            location, own_disk, own_settings = self._given
            engine = self._engine
            return type(self)(
                location,
                self._timeout if timeout is None else timeout,
                own_disk if disk is None else disk,
                name=name_of(engine.name, "cache", name),
                secret=engine.secrets or None,
                error_handler=self.error_handler,
                **{**own_settings, **settings},
            )

        return cast(Self, self._collection("cache", name, variant, make))

    def deque(self, name: str, maxlen: int | None = None) -> ServerDeque:
        """The `Deque` with this name beside this cache.

        :raises ValueError: when it is no name for one
        """
        found = self._collection(
            "deque",
            name,
            maxlen,
            lambda name: ServerDeque.fromcache(ListEntries(self, name), maxlen=maxlen),
        )
        return cast(ServerDeque, found)

    def index(self, name: str) -> ServerIndex:
        """The `Index` with this name beside this cache.

        :raises ValueError: when it is no name for one
        """
        found = self._collection(
            "index", name, None, lambda name: ServerIndex.fromcache(IndexEntries(self, name))
        )
        return cast(ServerIndex, found)

    def _collection(
        self, kind: str, name: Any, variant: Any, make: Callable[[Any], Any]
    ) -> Any:
        parts_of(kind, name)
        try:
            return self._collections[kind, name, variant]
        except KeyError:
            return self._collections.setdefault((kind, name, variant), make(name))

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._engine.close()
