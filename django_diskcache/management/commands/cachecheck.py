"""Looks for what is wrong with the files of caches."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ...engine.faults import FAULTS
from ..shared import CacheCommand, Target


class Command(CacheCommand):
    help = (
        "Look for damage in databases and for value files that are missing or belong to no "
        "entry. It reads everything and keeps the writers of a shard waiting meanwhile. The "
        "exit code is 1 when something is wrong."
    )
    tidies = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--fix",
            action="store_true",
            help="Mend what can be mended; the exit code tells of what is still wrong then.",
        )

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        found = self.problems(target, options["fix"])
        left = self.problems(target, False) if found and options["fix"] else found
        return {"problems": found, "fixed": options["fix"], "left": len(left)}

    def problems(self, target: Target, fix: bool) -> list[dict[str, str]]:
        try:
            found = target.cache.check(fix)
        except (OSError, *FAULTS) as error:
            if fix and isinstance(error, FAULTS):
                target.care_for(error)
            return [{"kind": type(error).__name__, "text": str(error)}]
        return [{"kind": each.category.__name__, "text": str(each.message)} for each in found]

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        for each in result["problems"]:
            self.stdout.write(f"{alias}: {each['text']}")
        if options["verbosity"] > 0 and not result["problems"]:
            self.stdout.write(f"{alias}: nothing is wrong")

    def conclude(self, results: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
        wrong = {a: each["left"] for a, each in results.items() if each.get("left")}
        if wrong:
            listed = ", ".join(f"{number} in {alias}" for alias, number in wrong.items())
            still = "still " if options["fix"] else ""
            raise CommandError(f"Something is {still}wrong: {listed}", returncode=1)
