"""`DjangoCache` by the path that python-diskcache has it under: ``diskcache.djangocache``."""

from __future__ import annotations

from .backend import DjangoCache

__all__ = ["DjangoCache"]
