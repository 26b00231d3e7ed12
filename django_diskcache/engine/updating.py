"""One entry read, changed and written as one step: what locks, rates and recipes stand on.

On files the step is a transaction of the entry's shard, on a server it is made anew when
another was faster. So what has only this to change its state runs on both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .connection import Wait
from .disk import Place
from .errors import ENOVAL, UNKNOWN
from .store import Store

# Takes the value, or ENOVAL; returns a result, the new value, and seconds that it lives or None
# for ever. ENOVAL instead of a value removes the entry, UNKNOWN leaves it as it is.
Change: TypeAlias = Callable[[Any], "tuple[Any, Any, float | None]"]


def update(
    store: Store, place: Place, key: Any, change: Change, tag: Any, looking: bool, wait: Wait
) -> Any:
    """The result of `change`, which was made; see `KeyedCache.update`."""
    if looking:
        found = store.found(place, False, wait)
        result, value, _ = change(ENOVAL if found is None else found[0])
        if value is UNKNOWN:
            return result
    with store.transact(wait):
        found = store.found(place, False, wait)
        result, value, expire = change(ENOVAL if found is None else found[0])
        if value is ENOVAL:
            if found is not None:
                store.remove(place, wait)
        elif value is not UNKNOWN:
            store.set(place, key, value, expire, False, tag, wait)
    return result
