"""A persistent cache for Django on SQLite, shared by all processes of a machine.

The engine's names are here as well; what needs Django is loaded when it is first asked for, so
that the engine can be used without Django.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .engine import *  # noqa: F403
from .engine import __all__ as _engine_all

if TYPE_CHECKING:
    from .backend import DjangoCache as DjangoCache
    from .changes import evict_on_change as evict_on_change

__version__ = "0.1.0"

__all__ = [*_engine_all, "DjangoCache", "evict_on_change"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "DjangoCache":
        from .backend import DjangoCache

        return DjangoCache
    if name == "evict_on_change":
        from .changes import evict_on_change

        return evict_on_change
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
