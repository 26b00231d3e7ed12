"""Removes what has expired."""

from __future__ import annotations

from typing import Any

from ...engine import selection
from ..shared import CacheCommand, Target, bytes_text, counted, entries_text


class Command(CacheCommand):
    help = (
        "Remove entries that have expired. Nothing has to do so, since a cache that is written "
        "to does it by itself; one that is only read keeps them. A server removes them by "
        "itself; there, hints of tags are dropped whose entries are gone."
    )
    tidies = True

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        if not target.in_files:
            done = target.on_servers(lambda face: int(face.sweep()))
            if "removed" in done:  # hints, not entries
                done = {**done, "removed": 0, "hints": done["removed"]}
            return done
        steps = selection.remove_expired(target.engine)
        return dict(self.count(steps, target.alias, options))

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if options["verbosity"] == 0:
            return
        if "hints" in result:
            hints = counted(result["hints"], "hint", "hints")
            self.stdout.write(
                f"{alias}: {hints} of tags dropped; "
                "its server removes by itself what has expired"
            )
        else:
            self.stdout.write(
                f"{alias}: {entries_text(result['removed'])} expired, "
                f"{bytes_text(result['freed'])} freed"
            )
