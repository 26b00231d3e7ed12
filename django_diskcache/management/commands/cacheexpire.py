"""Removes what has expired."""

from __future__ import annotations

from typing import Any

from ...engine import selection
from ..shared import CacheCommand, Target, bytes_text, entries_text


class Command(CacheCommand):
    help = (
        "Remove entries that have expired. Nothing has to do so, since a cache that is written "
        "to does it by itself; one that is only read keeps them. A server needs no help."
    )
    tidies = True
    left_to_servers = "its server removes what has expired by itself"

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        steps = selection.remove_expired(target.engine)
        return dict(self.count(steps, target.alias, options))

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if options["verbosity"] > 0:
            self.stdout.write(
                f"{alias}: {entries_text(result['removed'])} expired, "
                f"{bytes_text(result['freed'])} freed"
            )
