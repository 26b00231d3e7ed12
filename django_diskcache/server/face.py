"""`ServerCache`: a cache on a Valkey or Redis server, with the methods of `FanoutCache`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from ..engine.clock import Clock, wall_clock
from ..engine.disk import Disk
from ..engine.faults import FAULTS
from ..engine.guard import ErrorHandler
from ..engine.locks import LockMethods
from ..engine.options import read_settings
from ..engine.rates import RateMethods
from ..engine.signing import Secret, Secrets, read_secrets
from .address import read_address
from .awaiting import AwaitingCache
from .bulk import BulkEntries
from .lasting import TimedOperations
from .remote import Remote

Self = TypeVar("Self", bound="ServerCache")

NAME = "django_diskcache"  # what entries on the server begin with


class ServerCache(AwaitingCache, BulkEntries, LockMethods, RateMethods):
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
        self._collections: dict[str, ServerCache] = {}
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

    # Sub-collections

    def cache(self: Self, name: str) -> Self:
        """The cache with this name beside this one; its entries are its own.

        :raises ValueError: when it is no name for one
        """
        parts = name.split("/") if isinstance(name, str) else []
        if not parts or "" in parts:
            raise ValueError(f"{name!r} is no name for a cache: expected words, with / between")
        if name not in self._collections:
            location, disk, settings = self._given
            engine = self._engine
            found = type(self)(
                location,
                self._timeout,
                disk,
                name=f"{engine.name}/cache/{name}",
                secret=engine.secrets or None,
                error_handler=self.error_handler,
                **settings,
            )
            self._collections.setdefault(name, found)
        return self._collections[name]  # type: ignore[return-value]

    def deque(self, name: str, maxlen: int | None = None) -> Any:
        """Not there yet.

        :raises NotImplementedError: always
        """
        raise NotImplementedError(f"the cache at {self.directory} has no deques")

    def index(self, name: str) -> Any:
        """Not there yet.

        :raises NotImplementedError: always
        """
        raise NotImplementedError(f"the cache at {self.directory} has no indexes")

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._engine.close()
