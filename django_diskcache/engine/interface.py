"""What the Django side uses of an engine and of its face, whichever it is.

Two fill these: the one on files (`engine.engine`, `fanout`) and the one on a server
(`server.remote`, `server.face`). What only one of them has is behind a capability.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from .clock import Clock
from .disk import Disk
from .finding import NOTHING_AROUND, Order
from .guard import ErrorHandler
from .locks import SLEEP, AsyncCacheLock, CacheLock
from .matching import Around
from .nearcache import NearCache
from .once import WAIT, Found
from .rates import Allowance
from .shard import RemovalHandler
from .signing import Secrets
from .tagging import Match

if TYPE_CHECKING:
    from .memoized import Memoizer

F = TypeVar("F", bound=Callable[..., Any])


class AnyEngine(Protocol):
    """What all caches of a process share that are in the same place.

    :ivar in_files: whether entries are in files here: shards, a size limit that `du` shows,
        eviction by our policies, damaged databases that are put aside. Else all that is the
        server's, and `figures` has what the server says of itself
    :ivar coroutines: whether the face has methods for event loops as well, called `aget`,
        `aset` and so on, with the same arguments: each call waits for an answer there
    """

    in_files: ClassVar[bool]
    coroutines: ClassVar[bool]
    clock: Clock
    near: NearCache
    settings: dict[str, Any]
    secrets: Secrets
    disk_type: type[Disk]

    @property
    def directory(self) -> str:
        """Where it is, as it may be shown: a path, or an address without its password."""

    @property
    def history(self) -> Any:
        """Traffic over time, by its `traffic(span, step)`; see `history.History`."""

    @property
    def in_use(self) -> bool:
        """Whether this process may have connections open, and something to `tidy`."""

    def look(self) -> None:
        """Notice that what was opened is no longer there."""

    def tidy(self) -> None:
        """The end of a request."""

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""


class AnyFace(Protocol):
    """The methods that the Django side calls; `fanout` and `cache` say what they do.

    Keys are those of the store, and seconds are called `expire`.
    """

    error_handler: ErrorHandler | None

    @property
    def absorbs(self) -> tuple[type[Exception], ...]:
        """What becomes a miss; a fault of another kind is raised."""

    @property
    def engine(self) -> AnyEngine:
        """What is behind it."""

    @property
    def directory(self) -> str:
        """That of the engine."""

    @property
    def timeout(self) -> float:
        """Seconds that a call waits."""

    @property
    def compression(self) -> str | None:
        """What large values are compressed with."""

    # One key, or several

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
        touch: float | bool | None = False,
    ) -> Any: ...

    def look(self, key: Any, default: Any = None, retry: bool = False) -> Any: ...

    def until(self, key: Any, retry: bool = False) -> Found: ...

    def has(self, key: Any, retry: bool = False) -> bool: ...

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool: ...

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool: ...

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool: ...

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any: ...

    def pop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any: ...

    def delete(self, key: Any, retry: bool = False) -> bool: ...

    def get_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]: ...

    def set_many(
        self,
        items: Mapping[Any, Any],
        expire: float | None = None,
        tag: Any = None,
        retry: bool = False,
        spread: float = 0,
    ) -> list[Any]: ...

    def delete_many(self, keys: Iterable[Any], retry: bool = False) -> int: ...

    # Time

    def ttl(self, key: Any, retry: bool = False) -> int | None: ...

    def pttl(self, key: Any, retry: bool = False) -> int | None: ...

    def expire_in(self, key: Any, timeout: float | timedelta, retry: bool = False) -> bool: ...

    def expire_at(self, key: Any, when: datetime | float, retry: bool = False) -> bool: ...

    def persist(self, key: Any, retry: bool = False) -> bool: ...

    # Keys and tags

    def keys(
        self,
        pattern: str = "*",
        *,
        prefix: str | None = None,
        tag: object = None,
        order: Order | None = None,
        within: Around = NOTHING_AROUND,
    ) -> list[str]: ...

    def iter_keys(
        self,
        pattern: str = "*",
        *,
        prefix: str | None = None,
        tag: object = None,
        order: Order | None = None,
        itersize: int | None = None,
        within: Around = NOTHING_AROUND,
    ) -> Iterator[str]: ...

    def delete_pattern(
        self,
        pattern: str,
        *,
        prefix: str | None = None,
        itersize: int | None = None,
        within: Around = NOTHING_AROUND,
        retry: bool = False,
    ) -> int: ...

    def delete_prefix(
        self, prefix: str, *, within: Around = NOTHING_AROUND, retry: bool = False
    ) -> int: ...

    def tags(self, key: Any, retry: bool = False) -> tuple[Any, ...]: ...

    def keys_by_tag(self, tag: Any, match: Match = "any") -> list[Any]: ...

    def evict(self, tag: Any, retry: bool = False, match: Match = "any") -> int: ...

    # Computing once, and at most so often

    def claim(self, key: Any) -> Any: ...

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Collection[int | str] = (),
        *,
        key: Callable[..., Any] | None = None,
        stale: float = 0,
        early: float = 0,
        wait: float | None = WAIT,
    ) -> Memoizer: ...

    def lock(
        self,
        name: Any,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> CacheLock: ...

    def alock(
        self,
        name: Any,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> AsyncCacheLock: ...

    def semaphore(
        self,
        name: Any,
        value: int,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> CacheLock: ...

    def asemaphore(
        self,
        name: Any,
        value: int,
        timeout: float | None = None,
        blocking_timeout: float | None = None,
        sleep: float = SLEEP,
        blocking: bool = True,
    ) -> AsyncCacheLock: ...

    def allow(self, name: Any, count: int, seconds: float) -> Allowance: ...

    async def aallow(self, name: Any, count: int, seconds: float) -> Allowance: ...

    def once_per(self, name: Any, seconds: float) -> bool: ...

    async def aonce_per(self, name: Any, seconds: float) -> bool: ...

    # The whole cache

    def transact(self, retry: bool = True) -> AbstractContextManager[None]: ...

    def clear(self, retry: bool = False) -> int: ...

    def expire(self, retry: bool = False, now: float | None = None) -> int: ...

    def cull(self, retry: bool = False) -> int: ...

    def check(self, fix: bool = False, retry: bool = False) -> list[Any]: ...

    def create_tag_index(self) -> None: ...

    def drop_tag_index(self) -> None: ...

    # Figures, events, collections

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]: ...

    def figures(self, reset: bool = False) -> Any: ...

    def faults(self) -> dict[str, int]: ...

    def evictions(self) -> dict[str, int]: ...

    def volume(self) -> int: ...

    def on_removal(self, handler: RemovalHandler) -> None: ...

    def cache(self, name: str) -> Any: ...

    def deque(self, name: str, maxlen: int | None = None) -> Any: ...

    def index(self, name: str) -> Any: ...

    def close(self) -> None: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...
