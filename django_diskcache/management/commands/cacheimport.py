"""Takes over what another cache has left on the disk."""

from __future__ import annotations

import os
import reprlib
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from django.core.management.base import CommandError

from ...engine.clock import wall_clock
from ...engine.fanout import parts_of
from ...engine.faults import FAULTS
from ...engine.files import DATABASE
from ...engine.selection import Step
from ...moving import filebased, harmless, predecessor
from ...moving.predecessor import COLLECTIONS, Place
from ...moving.takeover import REASONS, Takeover, Tally, Target
from ..shared import (
    CacheCommand,
    bytes_text,
    counted,
    entries_text,
    is_there,
    key_maker,
    location,
    on_server,
    opened,
)
from ..shared import Target as Cache

KEY = "\x00KEY\x00"  # in a key that is made to see what KEY_FUNCTION puts around it
NAMED = 10  # of what pickles need, and of refusals, how many are told


class Command(CacheCommand):
    help = (
        "Take over the entries of a directory of python-diskcache (Cache, FanoutCache and "
        "DjangoCache with their collections), of diskcache-community, or of Django's "
        "FileBasedCache. The directory is not changed. What the cache has already stays, so an "
        "import that was interrupted is run again. Pickles are loaded only if they need "
        "nothing but harmless types."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", metavar="DIRECTORY", help="What to take over.")
        parser.add_argument(
            "--alias",
            default="default",
            help="The cache in CACHES to put it into (default: default).",
        )
        parser.add_argument(
            "--into",
            metavar="KIND:NAME",
            help="Of the directory of a single Cache, Deque or Index of python-diskcache: make "
            "a collection of it, such as deque:tasks, index:scores or cache:thumbnails.",
        )
        parser.add_argument(
            "--keys",
            metavar="FILE",
            help="For FileBasedCache, which does not keep its keys: a file with a key in each "
            "line, as the site writes it or as the cache makes it (:1:key).",
        )
        parser.add_argument(
            "--trust",
            action="store_true",
            help="Load every pickle. Whoever could write to the directory can then run any "
            "code as you.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Change nothing, tell what would be taken."
        )
        self.add_json(parser)

    def prepare(self, options: dict[str, Any]) -> None:
        directory = os.path.abspath(os.path.expanduser(options["directory"]))
        options["directory"] = directory
        options["aliases"] = [options["alias"]]
        self.layout = layout(directory)
        self.into = into(options["into"], directory, self.layout)
        if self.layout == "files" and options["keys"] is None:
            raise CommandError(
                f"{directory} is one of FileBasedCache, which keeps digests of its keys and "
                "not the keys: give --keys FILE, with a key in each line"
            )
        if self.layout != "files" and options["keys"] is not None:
            raise CommandError(
                f"--keys is for directories of FileBasedCache; {directory} has its keys"
            )
        self.keys: list[str] = []
        if options["keys"] is not None:
            try:
                with open(options["keys"], encoding="utf-8") as file:
                    self.keys = [line.rstrip("\r\n") for line in file]
            except (OSError, UnicodeDecodeError) as error:
                raise CommandError(f"--keys: {error}") from error

    def result(self, alias: str, options: dict[str, Any]) -> dict[str, Any]:
        write = not options["dry_run"]
        is_there(alias)  # else it says what is wrong with the entry
        # A dry run makes no cache, and needs none.
        cache = Cache(alias, opened(alias)) if write or is_made(alias) else None
        try:
            with cache.held() if write and cache else nullcontext(True) as free:
                if not free:
                    return {"skipped": "another run is at it"}
                return self.taken(cache, write, options)
        except FAULTS as error:  # of a server, before anything was taken
            return {"error": str(error)}

    def taken(
        self, cache: Cache | None, write: bool, options: dict[str, Any]
    ) -> dict[str, Any]:
        loads = harmless.loads_trusted if options["trust"] else harmless.loads
        takeover = Takeover(loads, wall_clock if cache is None else cache.engine.clock)
        before = 0 if cache is None else cache.evicted()
        steps = self.steps(takeover, cache, write, options)
        result: dict[str, Any] = {}
        try:
            for _ in self.watched(steps, options["alias"], options):
                pass
        except KeyboardInterrupt:
            result["interrupted"] = True
        except FAULTS as error:
            if cache is not None:
                cache.care_for(error)
            result["error"] = f"{error}; what was taken is there, so run it again"
        self.example = takeover.tally.example
        gone = 0 if cache is None else cache.evicted() - before
        return {**figures(takeover.tally), "evicted": gone, **result}

    def steps(
        self, takeover: Takeover, cache: Cache | None, write: bool, options: dict[str, Any]
    ) -> Iterator[Step]:
        """Take all that is to be taken."""
        directory, alias = options["directory"], options["alias"]
        makes_keys = key_maker(alias)
        face = None if cache is None else cache.face
        finds = finder(makes_keys)
        if self.layout == "files":
            target = Target(face, str, write, finds)
            yield from takeover.files(
                directory, self.keys, lambda line: (makes_keys(line), line), target
            )
            return
        if self.layout == "cache" and self.into is None:
            yield from takeover.directories([directory], Target(face, makes_keys, write))
            return
        places = [self.into] if self.into else predecessor.collections(directory)
        parts = len(places) + 1
        shards = predecessor.shards(directory)
        for step in takeover.directories(shards, Target(face, keep, write, finds)):
            yield step._replace(done=step.done / parts)
        for number, place in enumerate(places, start=1):
            ours = None
            if cache is not None and (
                write or not cache.in_files or is_collection(cache.cache.directory, place)
            ):
                ours = getattr(cache.cache, place.kind)(place.name)
            for step in takeover.collection(place, ours, write):
                yield step._replace(done=(number + step.done) / parts)

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        write = self.stdout.write
        would = "would be " if options["dry_run"] else ""
        if options["verbosity"] > 0:
            write(
                f"{alias}: {entries_text(result['taken'])} {would}taken, "
                f"{bytes_text(result['bytes'])}"
            )
            for name in result["collections"]:
                write(f"{alias}: {name} {would}taken")
            if result["left"]:
                total = sum(result["left"].values())
                listed = ", ".join(f"{n:,} {reason}" for reason, n in result["left"].items())
                write(f"{alias}: {entries_text(total)} left out: {listed}")
        for what, times in list(result["needs"].items())[:NAMED]:
            write(f"{alias}: not trusted, {counted(times, 'pickle', 'pickles')}: {what}")
        for what, times in list(result["refusals"].items())[:NAMED]:
            write(f"{alias}: refused, {entries_text(times)}: {what}")
        for problem in result["problems"]:
            write(f"{alias}: {problem}")
        if result["unfound"]:
            missed, theirs = entries_text(result["unfound"]), reprlib.repr(self.example)
            ours = repr(key_maker(alias)("KEY"))
            write(
                f"{alias}: {missed} {would}taken that the site will not find: it looks for "
                f"{ours}, and a key of theirs is {theirs}. Set KEY_PREFIX, VERSION and "
                "KEY_FUNCTION as they were; what a FanoutCache has stored without Django, a "
                "FanoutCache reads"
            )
        if result["needs"] and not options["trust"]:
            write(
                f"{alias}: --trust loads these pickles as well; it is safe if nobody but you "
                "could write to the directory"
            )
        self.tell_evicted(alias, result)

    def tell(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if "taken" not in result:
            super().tell(alias, result, options)
        else:  # with an error as well: it says how far this has come
            self.say(alias, result, options)

    def conclude(self, results: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
        super().conclude(results, options)
        if any("interrupted" in result for result in results.values()):
            raise CommandError("Interrupted; run it again to go on", returncode=130)


def layout(directory: str) -> str:
    """What there is in a directory: 'shards', 'cache' or 'files'.

    :raises CommandError: when it is nothing that can be taken over
    """
    if predecessor.shards(directory) or predecessor.collections(directory):
        return "shards"
    if predecessor.is_one(directory):
        return "cache"
    if filebased.names(directory):
        return "files"
    if not os.path.isdir(directory):
        raise CommandError(f"{directory} is no directory")
    raise CommandError(
        f"Nothing to take over in {directory}: there is no {predecessor.DATABASE} in it, or in "
        f"000/, 001/, ... as python-diskcache makes it, and no *{filebased.SUFFIX}"
    )


def into(given: str | None, directory: str, found: str) -> Place | None:
    """The collection that is to be made of a directory.

    :raises CommandError: when none can be made of it, or there is no such kind
    """
    if given is None:
        return None
    if found != "cache":
        raise CommandError(
            f"--into is for the directory of a single Cache, Deque or Index; {directory} is not"
        )
    kind, _, name = given.partition(":")
    if kind not in COLLECTIONS or not name:
        listed = ", ".join(f"{each}:NAME" for each in COLLECTIONS)
        raise CommandError(f"--into {given}: expected one of {listed}")
    try:
        parts_of(kind, name)
    except ValueError as error:
        raise CommandError(f"--into {given}: {error}") from error
    return Place(directory, kind, name)


def finder(make: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """What tells whether a key of the store can be one that `make` makes."""
    made = make(KEY)
    head, found, tail = made.partition(KEY) if isinstance(made, str) else ("", "", "")

    def finds(key: Any) -> bool:
        if not found:  # nobody can tell
            return True
        return isinstance(key, str) and key.startswith(head) and key.endswith(tail)

    return finds


def keep(key: Any) -> Any:
    """The key as it is: Django's cache made it."""
    return key


def is_made(alias: str) -> bool:
    """Whether the cache of an alias has files of its own, or is on a server."""
    return on_server(alias) or os.path.exists(os.path.join(location(alias), "000", DATABASE))


def is_collection(directory: str, place: Place) -> bool:
    """Whether a cache in `directory` has a collection of this kind and name."""
    return os.path.exists(os.path.join(directory, place.kind, place.name, DATABASE))


def figures(tally: Tally) -> dict[str, Any]:
    """What was counted, as JSON has it."""
    return {
        "taken": tally.taken,
        "bytes": tally.bytes,
        "unfound": tally.unfound,
        "left": {reason: tally.left[reason] for reason in REASONS if tally.left[reason]},
        "needs": dict(tally.needs.most_common()),
        "refusals": dict(tally.refusals.most_common()),
        "collections": tally.collections,
        "problems": tally.problems,
    }
