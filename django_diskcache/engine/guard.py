"""What a fault means to the caller of a cache: the one place that says so.

Every public method runs its work in `_safely`. There a fault is taken care of (see `triage`),
told to the error handler, and becomes what the method returns when it has nothing: a default,
False, no entries. `absorbs` names the exceptions to which that happens; the others are raised.
So are all of them in methods with operators, such as ``cache[key]``.
Collections and locks use a twin that absorbs nothing (`raising`), since they would otherwise
lose what they have promised to keep.

Inside a transaction nothing is absorbed: it is rolled back, and whoever opened it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, TypeVar

from .engine import Engine
from .errors import Constant, Fault, Timeout, TooLarge
from .faults import FAULTS
from .store import Store

T = TypeVar("T")
ErrorHandler: TypeAlias = Callable[[Exception], object]

# Entries removed from which on the disk gets their space back: to do so takes 0.1 s or more.
MUCH = 1000
RAISE = Constant("RAISE")  # instead of what to return: the caller is told in any case


class Guarded:
    """Mixed into the faces of an engine."""

    absorbs: tuple[type[Exception], ...] = ()
    # What is taken care of; an impatient twin leaves a Timeout to whoever goes on waiting.
    cares: tuple[type[Exception], ...] = FAULTS

    _engine: Engine
    error_handler: ErrorHandler | None = None

    def _safely(self, otherwise: Any, operation: Callable[..., T], *args: Any) -> T:
        """What the operation returns, or `otherwise` where a fault in it is absorbed."""
        try:
            return operation(*args)
        except TooLarge:  # no fault: what was stored before stays
            if otherwise is RAISE or not self.absorbs:
                raise
            return otherwise  # type: ignore[no-any-return]
        except FAULTS as error:
            if not self._absorbed(error) or otherwise is RAISE:
                raise
            return otherwise  # type: ignore[no-any-return]

    def _absorbed(self, error: Exception) -> bool:
        """Take care of a fault; whether the caller is not to see it."""
        if self._engine.transacting():
            return False
        if isinstance(error, self.cares):
            self._engine.triage.met(error)
            self._tell(error)
        return isinstance(error, self.absorbs)

    def _tell(self, error: Exception) -> None:
        if self.error_handler is None:
            return
        try:
            self.error_handler(error)
        except Exception:
            import logging  # at start-up it would cost some milliseconds

            logging.getLogger("django_diskcache").exception(
                "the error handler %r failed", self.error_handler
            )

    def _from_each(self, keys: Callable[[Store], Iterator[T]], reverse: bool) -> Iterator[T]:
        """What is found in each of the shards in turn; one with a fault is passed over."""
        stores = self._engine.stores
        for store in reversed(stores) if reverse else stores:
            try:
                yield from keys(store)
            except FAULTS as error:
                if not self._absorbed(error):
                    raise

    def _removed_from_each(self, remove: Callable[[Store], int], much: int = 0) -> int:
        """How many entries `remove` took from all shards; one with a fault is passed over.

        :param much: from how many on free space is given back to the disk
        :raises Timeout: with the number removed so far
        """
        removed = 0
        for store in self._engine.stores:
            try:
                removed += self._engine.removing(store, remove, store)
            except Timeout as error:
                raise Timeout(removed + error.removed) from error
            except Fault as error:
                removed += error.removed
                if not self._absorbed(error):
                    raise
        if removed >= much:
            self._safely(None, self._engine.limits.give_back)
        return removed

    @contextmanager
    def guarding(self, transaction: AbstractContextManager[Any]) -> Iterator[None]:
        """The transaction, whose faults are taken care of and raised."""
        try:
            with transaction:
                yield
        except FAULTS as error:
            self._absorbed(error)
            raise


def raising(cache: Any) -> Any:
    """The cache, with calls that raise each fault; one that is not ours is left as it is."""
    if not isinstance(cache, Guarded):
        return cache
    twin: Any = object.__new__(type(cache))
    twin.__dict__.update(cache.__dict__, absorbs=())
    return twin


def telling(cache: Any) -> Any:
    """The cache, with calls that raise each fault, for who says it to somebody at once.

    In files it is taken care of as ever, since that counts and mends it. On a server there is
    nothing to mend, and who is told need not read it in the log as well.
    """
    twin = raising(cache)
    if not cache.engine.in_files:
        twin.cares = ()
    return twin


def going_on(cache: Any) -> tuple[Any, dict[str, Exception]]:
    """A cache on servers, with calls that leave out those with a fault, and these faults.

    They are by the server that each was met at, and nobody else is told of them.
    """
    met: dict[str, Exception] = {}

    def absorbed(error: Exception) -> bool:
        met.setdefault(getattr(error, "path", ""), error)
        return True

    twin = raising(cache)
    twin._absorbed = absorbed
    return twin, met
