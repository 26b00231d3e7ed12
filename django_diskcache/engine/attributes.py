"""Settings as attributes of a cache: ``cache.size_limit``.

They are descriptors, one for each setting. A `__getattr__` would be less to write, but of a
class that has one CPython looks up every attribute of `self` the slow way, also those that are
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Setting:
    """The setting of this name, as the engine of a cache has it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, cache: Any, owner: type) -> Any:
        if cache is None:
            return self
        try:
            return cache.engine.settings[self._name]
        except KeyError:  # an argument of the Disk of another cache
            kind = type(cache).__name__
            raise AttributeError(f"{kind!r} object has no attribute {self._name!r}") from None


def show(settings: Iterable[str], owner: type) -> None:
    """Let the class have these settings as attributes, but for names that it has already."""
    for name in settings:
        if not hasattr(owner, name):
            setattr(owner, name, Setting(name))
