"""Triage: what is done about a fault, beside what the caller is told.

Each one is counted on the segment, by its kind; the log has a line about it, though not one for
each call of a site in trouble; and what can be mended is mended: a damaged shard begins anew, a
lost directory is made again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import faults
from .errors import Fault
from .healing import count_fault, heal
from .logs import Log
from .segment import FAULT_COUNTS
from .store import Store

if TYPE_CHECKING:
    from .engine import Engine

REMEDIES = {
    "locked": "Another process or thread kept the write lock; the call counts as a miss.",
    "full": "Free space on the disk, or lower size_limit; until then nothing is stored.",
    "corrupt": "Nobody could make the shard anew so far.",
    "denied": "See to it that this process may read and write there, and open enough files.",
    "lost": "It is made again; do not remove the directory of a cache in use, clear it.",
    "other": "See to the disk; the call counts as a miss.",
}


class Triage:
    """Takes care of the faults of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._says = Log(engine.clock)

    def met(self, error: Exception) -> None:
        """Count a fault, say so, and mend what can be mended.

        :param error: a `Timeout` or a `Fault`
        """
        engine = self._engine
        kind = self._kind(error)
        store = self._store(error)
        number = 0 if store is None else store.number
        count_fault(engine.segment, number, kind)
        if kind != "corrupt":  # whoever heals it says so
            self.say(error)
        try:
            if kind == "corrupt" and isinstance(error, Fault):
                if store is None or error.path != store.path:
                    return
                if heal(store, engine.directory, engine.settings["size_limit"], error):
                    engine.settle()
            elif kind not in ("locked", "full"):
                engine.refresh()
        except (OSError, *faults.FAULTS) as another:
            self.say(another)

    def _kind(self, error: Exception) -> str:
        return faults.kind_of(error, self._engine.directory) or "other"

    def _store(self, error: Exception) -> Store | None:
        """The shard whose database, or one of whose files, a fault is about."""
        if not isinstance(error, Fault):
            return None
        for store in self._engine.stores:
            if error.path.startswith(store.directory + os.sep):
                return store
        return None

    def say(self, error: Exception) -> None:
        """Log a fault, once in a while for each kind and shard."""
        store = self._store(error)
        kind = self._kind(error)
        about = kind, -1 if store is None else store.number
        self._says.warn(about, "%s. %s", error, REMEDIES[kind])

    def counts(self) -> dict[str, int]:
        """How many faults of each kind all processes have met since the last reset."""
        segment = self._engine.segment
        return {
            kind: sum(segment.total(FAULT_COUNTS + index, n) for n in range(segment.shards))
            for index, kind in enumerate(faults.KINDS)
        }

    def reset(self) -> None:
        """Begin to count at zero."""
        segment = self._engine.segment
        for index in range(len(faults.KINDS)):
            for number in range(segment.shards):
                segment.rebase(FAULT_COUNTS + index, number)
