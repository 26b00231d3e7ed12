"""Looks for what is wrong with the files of caches, or with the servers that they are on."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from ...engine import maintenance
from ...engine.errors import Fault
from ...engine.faults import FAULTS
from ...engine.files import QUARANTINE
from ...engine.selection import Step
from ..shared import CacheCommand, Target, location, on_server


class Command(CacheCommand):
    help = (
        "Look for damage in databases and for value files that are missing or belong to no "
        "entry. It reads everything and keeps the writers of a shard waiting meanwhile. Of a "
        "cache on a server, see whether that answers and takes writes, and look at its "
        "version, role, clock and memory. The exit code is 1 when something is wrong."
    )
    tidies = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--fix",
            action="store_true",
            help="Mend what can be mended; the exit code tells of what is still wrong then.",
        )

    def result(self, alias: str, options: dict[str, Any]) -> dict[str, Any]:
        # To open a cache may add to it.
        self.known = [] if on_server(alias) else put_aside(location(alias))
        return super().result(alias, options)

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        if not target.in_files:
            return of_servers(target)
        found = [
            problem(Fault, f"damaged: put aside as {path}, the shard begins anew, empty")
            for path in put_aside(target.engine.directory)
            if path not in self.known
        ]
        found += self.problems(target, options["fix"], options)
        left = self.problems(target, False, options) if found and options["fix"] else found
        return {"problems": found, "fixed": options["fix"], "left": len(left)}

    def problems(
        self, target: Target, fix: bool, options: dict[str, Any]
    ) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for _ in self.watched(self.steps(target, fix, found), target.alias, options):
            pass
        return found

    def steps(self, target: Target, fix: bool, found: list[dict[str, str]]) -> Iterator[Step]:
        """Look at one shard after the other, and add to `found` what is wrong."""
        stores = target.engine.stores
        for store in stores:
            yield Step(0, 0, store.number / len(stores))
            try:
                for each in maintenance.check_all([store], fix, None):
                    found.append(problem(each.category, each.message))
            except (OSError, *FAULTS) as error:
                if fix and isinstance(error, FAULTS):
                    target.care_for(error)
                found.append(problem(type(error), error))

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        for each in result["problems"]:
            self.stdout.write(f"{alias}: {each['text']}")
        if options["verbosity"] == 0:
            return
        for note in result.get("notes", ()):
            self.stdout.write(f"{alias}: {note}")
        for server in result.get("servers", ()):
            self.stdout.write(f"{alias}: looked at {server}")
        if not result["problems"]:
            on = " with its server, which takes writes" if "servers" in result else ""
            self.stdout.write(f"{alias}: nothing is wrong{on}")

    def conclude(self, results: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
        super().conclude(results, options)
        wrong = {a: each["left"] for a, each in results.items() if each.get("left")}
        if wrong:
            listed = ", ".join(f"{number} in {alias}" for alias, number in wrong.items())
            still = "still " if options["fix"] else ""
            raise CommandError(f"Something is {still}wrong: {listed}", returncode=1)


def of_servers(target: Target) -> dict[str, Any]:
    """What is wrong with the servers of a cache; there is nothing here that could mend it."""
    from ...server.condition import conditions, takes_writes  # an extra

    engine = target.engine
    clustered = engine.address.kind == "cluster"
    remembers = bool(engine.settings["near_cache_size"])
    looked = conditions(engine.link, engine.clock)
    found = [(c.name, f) for c in looked for f in c.findings(clustered, remembers)]
    if not any(finding.wrong for _, finding in found) and (
        unwritten := takes_writes(target.face)
    ):
        found.append((engine.directory, unwritten))
    problems = [{"kind": f.kind, "text": sentences(n, f)} for n, f in found if f.wrong]
    return {
        "problems": problems,
        "fixed": False,
        "left": len(problems),
        "servers": [each.told for each in looked if each.told],
        "notes": [sentences(name, each) for name, each in found if not each.wrong],
    }


def sentences(name: str, finding: Any) -> str:
    """What was found at a server, whose name a fault has in it already."""
    where = "" if name in finding.text else f"{name}: "
    return f"{where}it {finding.text}. {finding.remedy}"


def put_aside(directory: str) -> list[str]:
    """The damaged databases that are kept of a cache."""
    quarantine = os.path.join(directory, QUARANTINE)
    names = os.listdir(quarantine) if os.path.isdir(quarantine) else []
    return [os.path.join(quarantine, name) for name in sorted(names) if name[-4:] != "-wal"]


def problem(kind: type, text: object) -> dict[str, str]:
    """Something that is wrong, as JSON has it."""
    return {"kind": kind.__name__, "text": str(text)}
