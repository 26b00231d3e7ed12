"""The methods by one key of a cache on a server; they mean what those of `KeyedCache` do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..engine.errors import ENOVAL, UNKNOWN, Fault, Timeout
from ..engine.expiry import is_fresh
from ..engine.guard import RAISE
from ..engine.keyed import shaped
from ..engine.lifetime import Lifetimes, slides
from ..engine.updating import Change
from .following import driven
from .lasting import TimedOperations
from .remote import Remote
from .steps import Steps


class SingleKey(Lifetimes):
    """Mixed into the face.

    ``retry`` is taken everywhere and means nothing here: there are no locks to wait for. Every
    call has the same deadline.
    """

    _engine: Remote  # type: ignore[assignment]
    _operations: TimedOperations
    cares: tuple[type[Exception], ...] = (Fault,)

    def _wait(self, retry: bool) -> float | None:
        """Seconds that a call may wait; 0 on the face for event loops (`impatient`)."""
        return None

    def _remotely(self, otherwise: Any, steps: Steps) -> Any:
        """What an operation returns, or `otherwise` where a fault in it is absorbed.

        :raises Timeout: on an event loop, which must not wait for an answer
        """
        if self._wait(False) == 0:
            raise Timeout
        return self._safely(otherwise, driven, steps, self._answer)

    def _answer(self, number: int, method: str, arguments: Sequence[Any]) -> Any:
        """What the steps of an operation ask for."""
        link = self._engine.link
        if self._engine.address.kind != "cluster":
            return getattr(link.table[0], method)(*arguments)
        return link.moving(number & 255, method, *arguments)

    def _ask(self, bucket: int, method: str, *arguments: Any) -> Any:
        return self._engine.link.moving(bucket, method, *arguments)

    # Reading

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
        touch: float | bool | None = False,
    ) -> Any:
        """The value of `key`, or `default`; see `KeyedCache.get`."""
        if touch is not False:
            plain = not (read or expire_time or tag)
            if not slides(touch):
                found = self.get(key, default, read, expire_time, tag)
                self.touch(key, touch)
                return found
            value = self._fresh(key, touch) if plain else UNKNOWN
            if value is not UNKNOWN:
                return default if value is ENOVAL else value
            steps = self._operations.slide(key, default, read, touch, plain)
            return shaped(self._remotely((default, None, None), steps), expire_time, tag)
        if not (read or expire_time or tag):
            value = self._engine.near.get(key) if type(key) is str else UNKNOWN
            if value is UNKNOWN:
                return self.look(key, default, retry)
            return default if value is ENOVAL else value
        missing = (default, None, None)
        found = self._remotely(missing, self._operations.get(key, default, read))
        return shaped(found, expire_time, tag)

    def _fresh(self, key: Any, touch: float | None) -> Any:
        """What is remembered of a key whose end need not be renewed; ENOVAL for a miss.

        UNKNOWN means: ask the server.
        """
        near, engine = self._engine.near, self._engine
        if type(key) is not str:
            return UNKNOWN
        due = near.due(key)
        if due is UNKNOWN:
            return UNKNOWN
        new = None if touch is None else engine.clock() + touch
        if due is not ENOVAL and not is_fresh(due, new, touch):
            return UNKNOWN
        return near.get(key)

    def look(self, key: Any, default: Any = None, retry: bool = False) -> Any:
        """`get` for a key, if it is a text, that the near cache has just been asked for."""
        value = self._remotely(ENOVAL, self._operations.look(key))
        return default if value is ENOVAL else value

    def __getitem__(self, key: Any) -> Any:
        value = self._engine.near.get(key) if type(key) is str else UNKNOWN
        if value is UNKNOWN:
            value = self._remotely(RAISE, self._operations.look(key))
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def read(self, key: Any, retry: bool = False) -> Any:
        """An open binary file of the value of `key`, which is in memory.

        :raises KeyError: when there is none
        """
        value = self.get(key, default=ENOVAL, read=True)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def has(self, key: Any, retry: bool = False) -> bool:
        """Whether `key` is there; nothing is counted as a hit or a miss."""
        known = self._engine.near.knows(key) if type(key) is str else None
        return (
            bool(self._remotely(False, self._operations.has(key))) if known is None else known
        )

    def __contains__(self, key: Any) -> bool:
        known = self._engine.near.knows(key) if type(key) is str else None
        return (
            bool(self._remotely(RAISE, self._operations.has(key))) if known is None else known
        )

    # Writing

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store `value` under `key`; whether it was stored. See `KeyedCache.set`.

        :param tag: one, or several in a tuple, a list or a set
        """
        steps = self._operations.set(key, value, expire, read, tag)
        return bool(self._remotely(False, steps))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._remotely(RAISE, self._operations.set(key, value, None, False, None))

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Store `value` unless `key` is there; of several at once, one succeeds.

        :return: whether it was stored
        """
        if type(key) is str and self._engine.near.knows(key):
            return False
        steps = self._operations.add(key, value, expire, read, tag)
        return bool(self._remotely(False, steps))

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Let `key` expire `expire` seconds from now, or never; whether it is there."""
        return bool(self._remotely(False, self._operations.touch(key, expire)))

    def persist(self, key: Any, retry: bool = False) -> bool:
        """Let `key` never expire; whether it was there, and would have expired."""
        return bool(self._remotely(False, self._operations.persist(key)))

    def _known_expiry(self, key: Any) -> Any:
        """`_expiry_of` what is remembered, else UNKNOWN."""
        engine = self._engine
        return engine.near.due(key if type(key) is str else engine.place(key)[0])

    def _expiry_of(self, key: Any, retry: bool) -> Any:
        due = self._known_expiry(key)
        return self._remotely(ENOVAL, self._operations.due(key)) if due is UNKNOWN else due

    def _let_expire(self, key: Any, due: float, retry: bool) -> bool:
        return bool(self._remotely(False, self._operations.expire_at(key, due)))

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Add `delta` to the number under `key`, as one step; expiry and tag stay.

        :param default: what a missing key counts as; None makes it an error
        :raises KeyError: when the key is missing and `default` is None
        :raises TypeError: when the value takes no `delta`
        :raises Fault: when the server cannot do it, or did not say whether it has
        """
        return self._remotely(RAISE, self._operations.incr(key, delta, default))

    def decr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Subtract `delta` from the number under `key`; otherwise like `incr`."""
        return self.incr(key, -delta, default, retry)

    def update(self, key: Any, change: Change, tag: Any = None, looking: bool = False) -> Any:
        """Change what is under `key`, as one step; see `KeyedCache.update`.

        :param change: it is called again when another has changed the entry meanwhile
        :param looking: means nothing here, where nobody has to wait
        :raises Fault: when the server cannot do it, or did not say whether it has
        """
        return self._remotely(RAISE, self._operations.update(key, change, tag))

    def pop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove `key` and return its value, or `default`; otherwise like `get`."""
        missing = (default, None, None)
        found = self._remotely(missing, self._operations.pop(key, default))
        return shaped(found, expire_time, tag)

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Remove `key`; whether it was there."""
        return bool(self._remotely(False, self._operations.delete(key)))

    def __delitem__(self, key: Any) -> None:
        if not self._remotely(RAISE, self._operations.delete(key)):
            raise KeyError(key)
