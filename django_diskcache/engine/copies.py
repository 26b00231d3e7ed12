"""How a remembered value is given to a caller who may change what he gets.

What is stored is loaded anew for each. But the values of most caches are rows and lists of
rows: containers of texts and numbers, at most one inside another. To copy these costs a
fraction of loading them, and gives the same: new containers, around parts that nobody can
change.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from sys import getsizeof
from typing import Any

# Types whose values nobody can change: these need no copy for each reader.
UNCHANGEABLE = frozenset({str, bytes, int, float, bool, type(None)})
PARTS = UNCHANGEABLE | {datetime.date, datetime.datetime, datetime.time, datetime.timedelta}
CONTAINERS = frozenset({dict, list, set})


def copier(value: Any) -> tuple[Callable[[Any], Any], int] | None:
    """What makes copies of `value`, and the bytes that `value` takes in memory.

    None if only what is stored will do: it holds something else, is nested deeper, or holds one
    container twice, which two copies would make into two.
    """
    kind = type(value)
    if kind not in CONTAINERS:
        return None
    size = getsizeof(value)
    if kind is dict:
        if (keys := _size(value)) is None:
            return None
        size += keys
    inner: list[Any] = []  # where in a dict or a list there are containers
    seen: set[int] = set()
    places = value.items() if kind is dict else enumerate(value)
    for place, part in places:
        if type(part) in PARTS:
            size += getsizeof(part)
            continue
        if type(part) not in CONTAINERS or id(part) in seen:
            return None
        contents = _size(part)
        values = _size(part.values()) if type(part) is dict else 0
        if contents is None or values is None:
            return None
        seen.add(id(part))
        inner.append(place)
        size += getsizeof(part) + contents + values
    return (_nested(inner) if inner else kind.copy), size


def _size(parts: Iterable[Any]) -> int | None:
    """Bytes that these take, or None if one could be changed."""
    size = 0
    for part in parts:
        if type(part) not in PARTS:
            return None
        size += getsizeof(part)
    return size


def _nested(places: list[Any]) -> Callable[[Any], Any]:
    def copy(value: Any) -> Any:
        new = value.copy()
        for place in places:
            new[place] = new[place].copy()
        return new

    return copy
