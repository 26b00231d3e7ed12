"""The methods of a cache that go by the ends of queues, once for both engines."""

from __future__ import annotations

from typing import Any, TypeAlias

from .keyed import shaped

# Key, and (value, expire time, tag).
Found: TypeAlias = "tuple[Any, tuple[Any, float | None, Any]]"


class QueueEnds:
    """Mixed into a face, which fills in `_pushed` and `_at_end`."""

    def push(
        self,
        value: Any,
        prefix: str | None = None,
        side: str = "back",
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> Any:
        """Add `value` at one end of a queue.

        :param prefix: name of the queue; one without a name has integers as keys
        :param side: 'back' or 'front'
        :return: its key, an int or 'prefix-' and 15 digits; None where a fault is absorbed
        """
        return self._pushed((value, prefix, side, expire, read, tag), retry)

    def pull(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Remove the entry at one end of a queue.

        :return: (key, value), or `default` if the queue is empty; in a tuple with expire time
            or tag if asked for
        """
        found = self._at_end(prefix, side, True, retry)
        return ended(found, default, expire_time, tag)

    def peek(
        self,
        prefix: str | None = None,
        default: Any = (None, None),
        side: str = "front",
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """The entry at one end of a queue, which stays there; otherwise like `pull`."""
        found = self._at_end(prefix, side, False, retry)
        return ended(found, default, expire_time, tag)

    def _pushed(self, entry: tuple[Any, ...], retry: bool) -> Any:
        """The key of an entry, which is what `push` takes but for `retry`."""
        raise NotImplementedError

    def _at_end(self, prefix: str | None, side: str, take: bool, retry: bool) -> Found | None:
        """The entry at one end, removed or not; None for an empty queue."""
        raise NotImplementedError


def ended(found: Found | None, default: Any, expire_time: bool, tag: bool) -> Any:
    """(key, value) of an entry, or `default`; with its expire time or tag in a tuple."""
    if found is None:
        return shaped((default, None, None), expire_time, tag)
    key, (value, due, label) = found
    return shaped(((key, value), due, label), expire_time, tag)
