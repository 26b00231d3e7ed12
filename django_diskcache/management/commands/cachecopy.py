"""Copies a cache into another: from a directory to a server and back, or between two alike."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, nullcontext
from typing import Any

from django.core.management.base import CommandError

from ...engine.errors import Fault
from ...engine.faults import FAULTS
from ...engine.outgoing import LOCKS
from ...engine.selection import Step
from ...moving import copying, ordered
from ...moving.copying import NAMED, REASONS, REFUSALS, Copied, Part
from ...moving.sides import CACHE, ITSELF, Side
from ...moving.takeover import THERE
from ..shared import (
    CacheCommand,
    Target,
    bytes_text,
    counted,
    entries_text,
    is_there,
    key_maker,
    location,
    opened,
    wanted,
)

ELEMENTS = {"deque": ("value", "values"), "index": ("item", "items")}
LISTED = 20  # deques and indexes with a line each; of more than that, how many they are


class Command(CacheCommand):
    help = (
        "Copy all live entries of a cache into another, with the time that they have left and "
        "their tags, and all that is in its deques and indexes: from a directory to a server, "
        "back, or between two alike. FROM stays as it is. The exit code is 1 when something "
        "could not be copied."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", metavar="FROM", help="The cache in CACHES to read.")
        parser.add_argument("target", metavar="TO", help="The cache in CACHES to put it into.")
        parser.add_argument(
            "--no-overwrite",
            action="store_false",
            dest="overwrite",
            default=True,
            help="Keep what TO has already: where it is in use, or to go on with a copy.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Change nothing, tell what would be copied."
        )
        self.add_json(parser)

    def prepare(self, options: dict[str, Any]) -> None:
        source, target = options["source"], options["target"]
        wanted([source, target])
        if source == target:
            raise CommandError(f"FROM and TO are both {source!r}: there is nothing to copy")
        options["aliases"] = [target]

    def result(self, alias: str, options: dict[str, Any]) -> dict[str, Any]:
        if not is_there(options["source"]):
            return {"skipped": f"{location(options['source'])} is not there yet"}
        write = not options["dry_run"]
        there = is_there(alias)  # or else it says what is wrong with the entry
        source = Target(options["source"], opened(options["source"]))
        # A dry run makes no cache, and needs none.
        target = Target(alias, opened(alias)) if write or there else None
        found: dict[Part, Copied] = {ITSELF: Copied()}
        before = target.evicted() if target else 0
        result: dict[str, Any] = {"source": source.alias, "dry_run": options["dry_run"]}
        try:
            refuse_itself(source, target)
            with target.held() if write and target else nullcontext(True) as free:
                if not free:
                    return {"skipped": "another run is at it"}
                steps = self.steps(source, target, found, options)
                label = f"{source.alias} to {alias}"
                with closing(steps):  # a deque that is not whole is given up at once
                    for _ in self.watched(steps, label, options):
                        pass
        except KeyboardInterrupt:
            result["interrupted"] = True
        except FAULTS as error:
            result["error"] = str(error)
            if any(each.entries for each in found.values()):
                result["error"] += (
                    "; see to that and run it again, for what was copied is there"
                )
        finally:
            if target is not None and not target.in_files:
                target.engine.near.clear()  # of this process, which may be a site's
        result["evicted"] = target.evicted() - before if target else 0
        return {**result, **figures(found), "warning": warning(source.alias, alias)}

    def steps(
        self,
        source: Target,
        target: Target | None,
        found: dict[Part, Copied],
        options: dict[str, Any],
    ) -> Generator[Step, None, None]:
        """Copy the cache, and then what is in it: caches, deques and indexes.

        :param found: has what was counted, of all caches and of each deque and index
        """
        write, overwrite = not options["dry_run"], options["overwrite"]
        copies = {
            CACHE: copying.copy,
            "deque": ordered.copy_deque,
            "index": ordered.copy_index,
        }
        one = Side(source.cache._cache, True)
        other = Side(None if target is None else target.cache._cache, write)
        with closing(one), closing(other):
            parts = [ITSELF, *one.collections()]
            weights = [1 + one.weight(part) for part in parts]
            begun = 0
            for part, weight in zip(parts, weights, strict=True):
                tally = found[ITSELF] if part.kind == CACHE else Copied()
                found.setdefault(part, tally)
                before, begun = begun, begun + weight
                try:
                    faces = one.part(part), other.part(part)
                except (OSError, ValueError) as why:  # no name for a directory
                    tally.refuse("all", why, 1 if part.kind == CACHE else weight - 1)
                    tally.done = 1.0
                    continue
                try:
                    for _ in copies[part.kind](*faces, overwrite, write, tally):
                        yield Step(0, 0, (before + weight * tally.done) / sum(weights))
                except FAULTS as error:
                    care_for(faces, error)
                    raise
                one.leave()
                other.leave()

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        write = self.stdout.write
        would = "would be " if options["dry_run"] else ""
        source = options["source"]
        if options["verbosity"] > 0:
            write(
                f"{alias}: {entries_text(result['copied'])} of {source} {would}copied, "
                f"{bytes_text(result['bytes'])}"
            )
            if result["left"]:
                what = entries_text(sum(result["left"].values()))
                write(f"{alias}: {what} left out: {reasons_text(result['left'])}")
            if LOCKS in result["left"]:
                write(f"{alias}: who holds a lock gives it back in {source}")
        self.say_collections(alias, result, options)
        for key, text in result["refusals"].items():
            write(f"{alias}: refused {key}: {text}")
        self.tell_evicted(alias, result)
        if result["warning"] and result["copied"]:
            write(f"{alias}: {result['warning']}")

    def say_collections(
        self, alias: str, result: dict[str, Any], options: dict[str, Any]
    ) -> None:
        """Print what became of deques and indexes."""
        if options["verbosity"] == 0:
            return
        write, source = self.stdout.write, options["source"]
        would = "would be " if options["dry_run"] else ""
        found = result["collections"]
        copied = [each for each in found if each["copied"]]
        for each in copied[:LISTED]:
            what = elements_text(each, each["copied"])
            write(f"{alias}: {what} {would}copied, {bytes_text(each['bytes'])}")
        if more := copied[LISTED:]:
            total = sum(each["copied"] for each in more)
            write(f"{alias}: {total:,} of {len(more):,} more deques and indexes {would}copied")
        for each in found:
            if not each["complete"]:
                was = ", and stays as it was there" if each["kind"] == "deque" else ""
                write(f"{alias}: {part_of(each)} of {source} is not complete{was}")
        left = [each for each in found if each["left"]]
        for each in left[:LISTED]:
            what = elements_text(each, sum(each["left"].values()))
            stays = ""
            if each["kind"] == "deque" and THERE in each["left"]:
                stays = f"; {alias} has one with values, which stays as it is"
            write(f"{alias}: {what} left out: {reasons_text(each['left'])}{stays}")
        if more := left[LISTED:]:
            reasons: Counter[str] = sum((Counter(each["left"]) for each in more), Counter())
            what = f"{reasons.total():,} of {len(more):,} more deques and indexes"
            write(f"{alias}: {what} left out: {reasons_text(reasons)}")

    def tell(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if "skipped" in result:
            super().tell(alias, result, options)
        elif result["copied"] or result["collections"] or "error" not in result:
            self.say(alias, result, options)

    def conclude(self, results: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
        super().conclude(results, options)
        for alias, result in results.items():
            if "interrupted" in result:
                raise CommandError(
                    "Interrupted; run it again, with --no-overwrite to pass over what is there",
                    returncode=130,
                )
            if result.get("refused"):
                raise CommandError(f"{alias}: {refused_text(result)} could not be copied")


def refuse_itself(source: Target, target: Target | None) -> None:
    """:raises CommandError: when both aliases have the same entries"""
    if target is not None and copying.same_place(source.cache._cache, target.cache._cache):
        raise CommandError(
            f"{source.alias!r} and {target.alias!r} are the same cache, at "
            f"{location(target.alias)}: there is nothing to copy"
        )


def care_for(faces: Iterable[Any], error: Exception) -> None:
    """Have a fault of a directory counted, and mended if that can be done."""
    for face in faces:
        if face is not None and face.engine.in_files:
            here = face.engine.directory + os.sep
            if not isinstance(error, Fault) or (error.path + os.sep).startswith(here):
                face._absorbed(error)


def part_of(each: dict[str, Any]) -> Part:
    """The deque or index that figures are about."""
    return Part(each["kind"], each["name"], each["cache"])


def elements_text(each: dict[str, Any], number: int) -> str:
    """'1 value of deque 'tasks'', '1,234 items of index 'scores''."""
    return f"{counted(number, *ELEMENTS[each['kind']])} of {part_of(each)}"


def reasons_text(left: Mapping[str, int]) -> str:
    """'2 expired, 1 of locks': how many were left out, by the reason."""
    return ", ".join(f"{n:,} {reason}" for reason, n in left.items())


def warning(source: str, target: str) -> str:
    """What is to be said where the two aliases do not look for the same keys."""
    ours, theirs = key_maker(source)("KEY"), key_maker(target)("KEY")
    if ours == theirs:
        return ""
    return (
        f"keys stay as they are, {ours!r} for {source}, and {target} looks for {theirs!r}: it "
        "will not find them. Give both the same KEY_PREFIX, VERSION and KEY_FUNCTION"
    )


def refused_text(result: dict[str, Any]) -> str:
    """'1 entry and 2 values of deques and indexes': how many have exit code 1."""
    entries = sum(result["left"].get(reason, 0) for reason in REFUSALS)
    texts = [entries_text(entries)] if entries else []
    if others := result["refused"] - entries:
        texts.append(f"{counted(others, 'value', 'values')} of deques and indexes")
    return " and ".join(texts)


def figures(found: dict[Part, Copied]) -> dict[str, Any]:
    """What was counted, as JSON has it."""
    collections = {part: each for part, each in found.items() if part.kind != CACHE}
    refusals = dict(found[ITSELF].refusals)
    for part, each in collections.items():
        for what, why in each.refusals.items():
            refusals[f"{what} of {part}"] = why
    return {
        **counts(found[ITSELF]),
        "elements": sum(each.entries for each in collections.values()),
        "collections": [
            {**part._asdict(), "complete": each.done == 1, **counts(each)}
            for part, each in collections.items()
        ],
        "refused": sum(each.refused for each in (found[ITSELF], *collections.values())),
        "refusals": dict(list(refusals.items())[:NAMED]),
    }


def counts(found: Copied) -> dict[str, Any]:
    """What is counted of all caches, and of a deque or an index."""
    return {
        "copied": found.entries,
        "bytes": found.bytes,
        "left": {reason: found.left[reason] for reason in REASONS if found.left[reason]},
    }
