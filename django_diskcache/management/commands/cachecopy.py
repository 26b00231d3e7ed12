"""Copies a cache into another: from a directory to a server and back, or between two alike."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from django.core.management.base import CommandError

from ...engine.errors import Fault
from ...engine.faults import FAULTS
from ...engine.guard import raising
from ...engine.outgoing import LOCKS
from ...engine.selection import Step
from ...moving import copying
from ...moving.copying import REASONS, Copied
from ..shared import (
    CacheCommand,
    Target,
    bytes_text,
    entries_text,
    is_there,
    key_maker,
    location,
    opened,
    wanted,
)

PATIENCE = 10.0  # seconds for an answer: a page is large, and nobody waits for it
COPIED = "cache"  # the kind of collections that come along


class Command(CacheCommand):
    help = (
        "Copy all live entries of a cache into another, with the time that they have left and "
        "their tags: from a directory to a server, back, or between two alike. Nothing is "
        "removed from either. The exit code is 1 when an entry could not be copied."
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
        found = Copied()
        before = target.evicted() if target else 0
        result: dict[str, Any] = {"source": source.alias, "dry_run": options["dry_run"]}
        try:
            refuse_itself(source, target)
            with target.held() if write and target else nullcontext(True) as free:
                if not free:
                    return {"skipped": "another run is at it"}
                result["collections"] = self.copied(source, target, found, options)
        except KeyboardInterrupt:
            result["interrupted"] = True
        except FAULTS as error:
            for each in filter(None, (source, target)):
                if each.in_files and is_of(error, each):
                    each.care_for(error)
            result["error"] = str(error)
            if found.entries:
                result["error"] += (
                    "; see to that and run it again, for what was copied is there"
                )
        finally:
            if target is not None and not target.in_files:
                target.engine.near.clear()  # of this process, which may be a site's
        result["evicted"] = target.evicted() - before if target else 0
        return {**result, **figures(found), "warning": warning(source.alias, alias)}

    def copied(
        self, source: Target, target: Target | None, found: Copied, options: dict[str, Any]
    ) -> list[str]:
        """Copy all that there is; the collections that were left out."""
        listed = copying.collections(face_of(source))
        names = [name for kind, name in listed if kind == COPIED]
        steps = self.steps(source, target, names, found, options)
        for _ in self.watched(steps, f"{source.alias} to {options['target']}", options):
            pass
        return [f"{kind} {name!r}" for kind, name in listed if kind != COPIED]

    def steps(
        self,
        source: Target,
        target: Target | None,
        names: list[str],
        found: Copied,
        options: dict[str, Any],
    ) -> Iterator[Step]:
        """Copy the cache, and then the caches in it."""
        write, overwrite = not options["dry_run"], options["overwrite"]
        for number, name in enumerate((None, *names)):
            into = None if target is None else face_of(target, name, write)
            for _ in copying.copy(face_of(source, name), into, overwrite, write, found):
                yield Step(0, 0, (number + found.done) / (len(names) + 1))

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
                total = sum(result["left"].values())
                listed = ", ".join(f"{n:,} {reason}" for reason, n in result["left"].items())
                write(f"{alias}: {entries_text(total)} left out: {listed}")
            if LOCKS in result["left"]:
                write(f"{alias}: who holds a lock gives it back in {source}")
        for key, text in result["refusals"].items():
            write(f"{alias}: refused {key}: {text}")
        if result.get("collections"):
            write(
                f"{alias}: left out, as no deque and no index is copied: "
                f"{', '.join(result['collections'])}"
            )
        self.tell_evicted(alias, result)
        if result["warning"] and result["copied"]:
            write(f"{alias}: {result['warning']}")

    def tell(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if "skipped" in result:
            super().tell(alias, result, options)
        elif result["copied"] or "error" not in result:
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
                raise CommandError(
                    f"{alias}: {entries_text(result['refused'])} could not be copied"
                )


def refuse_itself(source: Target, target: Target | None) -> None:
    """:raises CommandError: when both aliases have the same entries"""
    if target is not None and copying.same_place(source.cache._cache, target.cache._cache):
        raise CommandError(
            f"{source.alias!r} and {target.alias!r} are the same cache, at "
            f"{location(target.alias)}: there is nothing to copy"
        )


def face_of(target: Target, name: str | None = None, write: bool = True) -> Any:
    """The face of a cache, or of one in it, which raises each fault and has time.

    :param write: else nothing is made: None for a cache in it that is not there
    """
    face: Any = target.cache._cache
    if name is not None:
        if target.in_files and not write and (COPIED, name) not in copying.collections(face):
            return None
        face = face.cache(name)
    return raising(face) if target.in_files else face.patient(PATIENCE)


def is_of(error: Exception, target: Target) -> bool:
    """Whether a fault may be one of a directory."""
    return not isinstance(error, Fault) or error.path.startswith(target.engine.directory)


def warning(source: str, target: str) -> str:
    """What is to be said where the two aliases do not look for the same keys."""
    ours, theirs = key_maker(source)("KEY"), key_maker(target)("KEY")
    if ours == theirs:
        return ""
    return (
        f"keys stay as they are, {ours!r} for {source}, and {target} looks for {theirs!r}: it "
        "will not find them. Give both the same KEY_PREFIX, VERSION and KEY_FUNCTION"
    )


def figures(found: Copied) -> dict[str, Any]:
    """What was counted, as JSON has it."""
    return {
        "copied": found.entries,
        "bytes": found.bytes,
        "left": {reason: found.left[reason] for reason in REASONS if found.left[reason]},
        "refused": found.refused,
        "refusals": found.refusals,
    }
