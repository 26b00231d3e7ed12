"""A backend that sends signals: a subclass that is made of the class of an entry that asks.

The hot `get` has no room to ask whether anybody listens. So an object of an entry with the
option ``signals`` becomes one of `observing` its class, whose methods do what they did and then
send (see `signals`); all others stay as they are.

Methods that are made of others, such as `read` and `get_or_set`, send by the calls that they
make. `has_key`, `touch`, and `pop` of what is missing send nothing: they are neither a hit nor
a miss, and store nothing. What is locked or limited is no entry of the site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from inspect import Parameter, signature
from itertools import zip_longest
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from django.conf import settings

from .engine import ENOVAL
from .engine.lifetime import seconds_from_now, seconds_since_epoch
from .methods.base import Methods
from .methods.times import aware
from .signals import (
    asend,
    cache_deleted,
    cache_error,
    cache_evicted,
    cache_hit,
    cache_miss,
    cache_set,
    gathering,
    send,
)


class Observed(Methods):
    """Mixed into the backend's class: what is common to its observed methods."""

    _entry: tuple[Any, dict[str, Any]]
    sends: type  # the class that was asked for: the sender

    def _known_as(self) -> str | None:
        """The alias; it is looked up once, for the settings have to be compared."""
        if "_alias" not in self.__dict__:
            self._alias = alias_of(*self._entry)
        return self._alias

    def _send(
        self, signal: Any, method: str, keys: list[Any] | None, version: int, **more: Any
    ) -> None:
        send(
            signal,
            self.sends,
            alias=self._known_as(),
            directory=self._cache.directory,
            keys=keys,
            version=version,
            method=method,
            **more,
        )

    async def _run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self._known_as()  # now: a twin's memory is lost
        with gathering() as told:
            try:
                result = await super()._run(name, *args, **kwargs)
            except BaseException:
                await asend(told)
                raise
        await asend(told)
        return result

    async def aget(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._run("get", key, *args, **kwargs)


@cache
def observing(backend: Any) -> Any:
    """The subclass of a backend's class whose methods send signals."""
    methods = {
        name: observed(backend, name, kind)
        for name, kind in OBSERVED.items()
        if hasattr(backend, name)
    }
    named = {n: getattr(backend, n) for n in ("__module__", "__qualname__", "__doc__")}
    return type(backend.__name__, (Observed, backend), {**named, **methods, "sends": backend})


def alias_of(location: Any, params: Mapping[str, Any] | None = None) -> str | None:
    """The first alias in CACHES of this LOCATION, and of these parameters if they are given."""
    for alias, entry in settings.CACHES.items():
        rest = {name: each for name, each in entry.items() if name != "BACKEND"}
        if rest.pop("LOCATION", "") == location and params in (None, rest):
            return str(alias)
    return None


@dataclass(frozen=True)
class Teller:
    """Tells of what happens to the cache of an entry, whichever call meets it."""

    location: Any
    directory: str

    def __call__(self, reason: str, count: int, size: int) -> None:
        """A batch of entries has gone."""
        self._send(cache_evicted, reason=reason, count=count, size=size)

    def met(self, error: Exception) -> None:
        """A call has met a fault."""
        self._send(cache_error, error=error)

    def _send(self, signal: Any, **more: Any) -> None:
        where = {"alias": alias_of(self.location), "directory": self.directory}
        send(signal, None, **where, **more)


@dataclass(frozen=True)
class Handler:
    """An error handler that tells, and does what the given one does."""

    teller: Teller
    given: Callable[[Exception], object] | None

    def __call__(self, error: Exception) -> None:
        self.teller.met(error)
        if self.given is not None:
            self.given(error)


# What each kind of method sends


class Call(NamedTuple):
    """A call that has been made: its first argument, what it returned, all arguments by name.

    :ivar now: the clock of the cache
    """

    first: Any
    version: int
    result: Any
    given: Mapping[str, Any]
    now: Callable[[], float]


Event: TypeAlias = "tuple[Any, list[Any] | None, int, dict[str, Any]]"  # signal, keys, version
Tell: TypeAlias = Callable[[Call], Iterator[Event]]


def reads(call: Call) -> Iterator[Event]:
    """A look for one key, with ENOVAL as the default."""
    yield cache_miss if is_missing(call.result) else cache_hit, [call.first], call.version, {}


def finds(call: Call) -> Iterator[Event]:
    """A look for one key by another method, which says ENOVAL by itself."""
    return reads(call)


def reads_many(call: Call) -> Iterator[Event]:
    missing = [key for key in call.first if key not in call.result]
    yield cache_hit, list(call.result), call.version, {}
    yield cache_miss, missing, call.version, {}


def sets(call: Call) -> Iterator[Event]:
    """A method that returns False where it has stored nothing, or else what it likes."""
    yield cache_set, [call.first] if call.result is not False else [], call.version, {}


def sets_many(call: Call) -> Iterator[Event]:
    """A method that returns the keys that could not be stored."""
    stored = [key for key in call.first if key not in call.result]
    yield cache_set, stored, call.version, {}


def moves(call: Call) -> Iterator[Event]:
    """A method that returns the version that the key now has."""
    moved = [call.first] if call.result != call.version else []
    yield cache_set, moved, call.result, {}
    yield cache_deleted, moved, call.version, {"count": 1, "what": None}


def deletes(call: Call) -> Iterator[Event]:
    """A method that returns whether the key was there."""
    gone = [call.first] if call.result else []
    yield cache_deleted, gone, call.version, {"count": 1, "what": None}


def pops(call: Call) -> Iterator[Event]:
    """A method that returns the value, with ENOVAL as the default."""
    gone = [] if is_missing(call.result) else [call.first]
    yield cache_deleted, gone, call.version, {"count": 1, "what": None}


def deletes_many(call: Call) -> Iterator[Event]:
    yield cache_deleted, call.first, call.version, {"count": None, "what": None}


def removes(call: Call) -> Iterator[Event]:
    """A method that removes by something else than keys, and returns how many or None."""
    yield cache_deleted, None, call.version, {"count": call.result, "what": call.first}


def clears(call: Call) -> Iterator[Event]:
    """`clear`, which removes all, those of a version, or those with a prefix."""
    version, what = call.given.get("version"), call.given.get("prefix")
    if what is None and version is not None:
        what = "*"
    yield cache_deleted, None, call.version, {"count": None, "what": what}


def expires(call: Call) -> Iterator[Event]:
    """A method that returns whether the key was there, and removes it if no time is left."""
    if "timeout" in call.given:
        over = seconds_from_now(call.given["timeout"]) <= 0
    else:
        over = seconds_since_epoch(aware(call.given["when"])) <= call.now()
    gone = [call.first] if call.result and over else []
    yield cache_deleted, gone, call.version, {"count": 1, "what": None}


OBSERVED: dict[str, Tell] = {
    "get": reads,
    "_until": finds,  # of `get_or_set` and of memoized functions
    "get_many": reads_many,
    "set": sets,
    "add": sets,
    "incr": sets,
    "set_many": sets_many,
    "incr_version": moves,
    "delete": deletes,
    "pop": pops,
    "delete_many": deletes_many,
    "evict": removes,
    "clear": clears,
    "delete_pattern": removes,
    "delete_prefix": removes,
    "expire_at": expires,
    "expire_in": expires,
}
# What could not be told from a miss is asked for with another default.
ASKING = (reads, pops)
LISTING = (reads_many, deletes_many)  # their first argument may be an iterator


def observed(backend: type, name: str, tell: Tell) -> Callable[..., Any]:
    """The method of this name, which sends when it is done."""
    names = parameters(backend, name)
    first = names[0] if names else ""

    @wraps(getattr(backend, name))
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        changed: dict[str, Any] = {}
        if tell in ASKING:
            changed["default"] = ENOVAL
        if tell in LISTING and first in given:
            given[first] = changed[first] = list(given[first])
        args = tuple(changed.pop(n, arg) for n, arg in zip_longest(names[: len(args)], args))
        began = perf_counter()
        result = getattr(backend, name)(self, *args, **{**kwargs, **changed})
        seconds = perf_counter() - began
        version = given.get("version")
        version = self.version if version is None else version
        now = self._cache.engine.clock
        call = Call(given.get(first, args or None), version, result, given, now)
        said = "get" if tell is finds else name
        for signal, keys, of, about in tell(call):
            if keys or keys is None:
                self._send(signal, said, keys, of, seconds=seconds, **about)
        return with_default(result, given.get("default")) if tell in ASKING else result

    return method


def parameters(backend: type, name: str) -> list[str]:
    """Names of a method's parameters; a subclass may take ``*args`` and pass them on."""
    plain = Parameter.POSITIONAL_OR_KEYWORD
    found: list[str] = []
    for cls in backend.__mro__:
        if name in vars(cls):
            given = list(signature(vars(cls)[name]).parameters.values())[1:]
            found = [each.name for each in given if each.kind is plain]
            if all(each.kind is plain for each in given):
                break
    return found


def is_missing(result: Any) -> bool:
    """Whether a look has found nothing; with expire time or tag it returns a tuple."""
    if type(result) is tuple and result:
        result = result[0]
    return result is ENOVAL


def with_default(result: Any, default: Any) -> Any:
    """The result, with this default instead of ENOVAL."""
    if not is_missing(result):
        return result
    return default if result is ENOVAL else (default, *result[1:])
