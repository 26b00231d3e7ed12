"""What the commands have in common: which caches, one at a time, how to say what was done.

A command does its work for one cache after the other and returns figures; here they become
lines for people, or one JSON document. Its exit code is 0 when it is done or had nothing to do,
1 when something is wrong, 2 when it was called in a wrong way.

Under cron a run may begin before the last one has ended. Commands that tidy hold a lock on the
cache's directory; a second one leaves that cache to the first and says so.

A cache on a server has no directory and no files. Commands ask its face, by which every fault
is raised and none is logged: they say it themselves. What its server does by itself they leave
to it, and say so.
"""

from __future__ import annotations

import fcntl
import json
import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from time import monotonic
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from ..backend import DjangoCache
from ..configuration import is_address, read, site_secrets
from ..engine.faults import FAULTS
from ..engine.guard import going_on, telling
from ..engine.selection import Step
from ..entries import aliases, expanded

BAR = 30  # characters
DRAW_EVERY = 0.1  # seconds
ENTRY = ("BACKEND", "LOCATION")  # what is no parameter of a cache
HELD = "manage.py"  # what one run at a time has claimed of a server
UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


class Target(NamedTuple):
    """A cache that a command is to work on."""

    alias: str
    cache: DjangoCache

    @property
    def engine(self) -> Any:
        return self.cache._cache.engine

    @property
    def in_files(self) -> bool:
        """Whether its entries are in files, and not on a server."""
        return bool(self.engine.in_files)

    @property
    def face(self) -> Any:
        """Its face, which raises each fault and leaves it to the command to say it."""
        return telling(self.cache._cache)

    def on_servers(self, call: Callable[[Any], int]) -> dict[str, Any]:
        """What a removal by a face did on those servers that answer, as a result has it.

        :param call: of the face; how many it removed
        :return: with an 'error' that names those that do not; that alone if nothing was done
        """
        face, met = going_on(self.cache._cache)
        removed = call(face)
        error = {"error": named(met)} if met else {}
        if met and not removed:
            return error
        return {"removed": removed, "freed": None, **error}  # bytes a server does not say

    def evicted(self) -> int:
        """How many entries it has evicted for want of space; 0 on a server, whose are not only
        its own.
        """
        if not self.in_files:
            return 0
        numbers = self.cache.evictions()
        return numbers["size"] + numbers["entries"]

    def care_for(self, error: Exception) -> None:
        """Have a fault counted, and mended if that can be done."""
        if self.in_files:
            face: Any = self.cache._cache
            face._absorbed(error)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock of those that change many entries; whether it was free.

        :raises Fault: when a server does not say
        """
        if self.in_files:
            with held(self.engine.directory) as free:
                yield free
            return
        self.face.stats()  # who is in trouble gives everybody a claim
        claim = self.face.claim(HELD)
        if claim is None:
            yield False
            return
        try:
            yield True
        finally:
            claim.release(telling=False)  # the command says what is wrong with the server


class CacheCommand(BaseCommand):
    """A command on caches; subclasses have `work` and `say`."""

    requires_system_checks = ()  # else cron is told of all the site's troubles each time
    tidies = False  # whether another run at the same time would be in its way
    left_to_servers = ""  # why there is nothing to do where a cache is on one

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_aliases(parser)
        self.add_json(parser)

    def add_aliases(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "aliases",
            nargs="*",
            metavar="ALIAS",
            help="A cache in CACHES; without one, all whose backend is DjangoCache.",
        )

    def add_json(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json",
            action="store_true",
            help="Print one JSON document and nothing else: an object with a key per cache.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.prepare(options)
        results = {}
        for alias in wanted(options["aliases"]):
            results[alias] = self.result(alias, options)
            if not options["json"]:
                self.tell(alias, results[alias], options)
        if options["json"]:
            self.stdout.write(json.dumps(results))
        self.conclude(results, options)

    def prepare(self, options: dict[str, Any]) -> None:
        """Refuse what makes no sense, before anything is done."""

    def result(self, alias: str, options: dict[str, Any]) -> dict[str, Any]:
        """What `work` returns for a cache, or why it was skipped."""
        directory = location(alias)
        if not is_there(alias):
            return {"skipped": f"{directory} is not there yet"}
        target = Target(alias, opened(alias))
        if self.left_to_servers and not target.in_files:
            return {"skipped": self.left_to_servers}
        alone = self.tidies and target.in_files
        with held(directory) if alone else nullcontext(True) as free:
            if not free:
                return {"skipped": "another run is at it"}
            try:
                return self.work(target, options)
            except FAULTS as error:
                target.care_for(error)
                return {"error": str(error)}

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        """Do it for one cache; the figures that are printed as JSON."""
        raise NotImplementedError

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        """Print the figures of one cache for people."""
        raise NotImplementedError

    def tell(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        """Print what happened to one cache for people."""
        if "removed" in result or not {"skipped", "error"} & set(result):
            self.say(alias, result, options)
        elif "skipped" in result and options["verbosity"] > 0:
            self.stdout.write(f"{alias}: skipped, {result['skipped']}")

    def tell_evicted(self, alias: str, result: dict[str, Any]) -> None:
        """Print how many entries went while others were stored."""
        if result["evicted"] > 0:
            self.stdout.write(
                f"{alias}: {entries_text(result['evicted'])} evicted meanwhile: its size_limit "
                "is too small for all"
            )

    def conclude(self, results: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
        """The end: raise CommandError when something is wrong."""
        errors = [f"{alias}: {r['error']}" for alias, r in results.items() if "error" in r]
        if errors:
            raise CommandError("; ".join(errors))

    def watched(
        self, steps: Iterable[Step], label: str, options: dict[str, Any]
    ) -> Iterator[Step]:
        """The steps, with a progress bar while they last."""
        wanted = not options["json"] and options["verbosity"] > 0
        return progress(steps, label, self.stdout, wanted)

    def count(
        self, steps: Iterable[Step], label: str, options: dict[str, Any]
    ) -> dict[str, int]:
        """The sum of the steps, with a progress bar while they last."""
        entries = size = 0
        for step in self.watched(steps, label, options):
            entries += step.entries
            size += step.bytes
        return {"removed": entries, "freed": size}


def wanted(given: list[str]) -> list[str]:
    """The aliases to work on, each once.

    :raises CommandError: for one that is not ours, and when there is none
    """
    known = aliases()
    listed = f"those that are: {', '.join(known)}" if known else "there is none in CACHES"
    for alias in given:
        if alias not in settings.CACHES:
            raise CommandError(f"{alias!r} is not a cache of this site; {listed}")
        if alias not in known:
            raise CommandError(f"The backend of {alias!r} is not DjangoCache; {listed}")
    if not known:
        raise CommandError("No cache of this site has the backend DjangoCache")
    return list(dict.fromkeys(given)) or known


def on_server(alias: str) -> bool:
    """Whether an entry of ours has the address of a server; nothing is opened for that."""
    return is_address(settings.CACHES[alias].get("LOCATION", ""))


def location(alias: str) -> str:
    """The directory of a cache of ours, as its entry has it, or its address as it may be shown.

    :raises CommandError: for a mistake in its entry
    """
    if on_server(alias):
        return opened(alias).directory
    given = settings.CACHES[alias].get("LOCATION", "")
    path = os.fspath(given) if isinstance(given, (str, os.PathLike)) else ""
    if not path:
        opened(alias)  # which says what is wrong
    return os.path.abspath(expanded(str(path)))


def is_there(alias: str) -> bool:
    """Whether there is something where the cache of an alias is to be; on a server always.

    :raises CommandError: when nothing is and nothing will be, for a mistake in its entry
    """
    if on_server(alias):
        return True
    if os.path.lexists(location(alias)):
        return True
    params = {n: v for n, v in settings.CACHES[alias].items() if n not in ENTRY}
    try:
        read(settings.CACHES[alias]["LOCATION"], params, site_secrets())
    except ImproperlyConfigured as error:
        raise CommandError(f"{alias}: {error}") from error
    return False


def key_maker(alias: str) -> Callable[[Any], str]:
    """What makes keys of the store, by the entry of an alias; it opens nothing."""
    params = {n: v for n, v in settings.CACHES[alias].items() if n not in ENTRY}
    make: Callable[[Any], str] = BaseCache(params).make_key
    return make


def opened(alias: str) -> DjangoCache:
    """The cache of an alias of ours.

    :raises CommandError: when its entry has a mistake, or its directory cannot be used
    """
    try:
        cache = caches[alias]
        assert isinstance(cache, DjangoCache)
        cache._cache  # noqa: B018  (it may not have been opened when it was made)
    except ImproperlyConfigured as error:
        raise CommandError(f"{alias}: {error}") from error
    return cache


@contextmanager
def held(directory: str) -> Iterator[bool]:
    """Hold the lock of those that tidy this directory; whether it was free.

    It is on the directory itself: no file has to be made for it, and it goes with its process.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def progress(
    steps: Iterable[Step],
    label: str,
    out: OutputWrapper,
    wanted: bool,
    clock: Callable[[], float] = monotonic,
) -> Iterator[Step]:
    """The steps, with a bar on `out` if that is a terminal and a bar is wanted."""
    live = wanted and out.isatty()
    drawn = clock()  # what is done in a moment needs no bar
    any_drawn = False
    try:
        for step in steps:
            if live and clock() - drawn >= DRAW_EVERY:
                drawn = clock()
                any_drawn = True
                full = int(BAR * step.done)
                bar = "█" * full + "░" * (BAR - full)
                out.write(f"\r{label} {bar} {step.done:4.0%}", ending="")
                out.flush()
            yield step
    finally:  # after an interrupt as well
        if any_drawn:
            out.write("\r\x1b[K", ending="")  # what comes next takes the line
            out.flush()


def named(faults: Mapping[str, Exception]) -> str:
    """Faults of several servers, each of which names its own."""
    return "; ".join(map(str, faults.values()))


def bytes_text(number: int) -> str:
    """Bytes for people: '1.5 MB', '812 bytes'."""
    for unit, name in UNITS:
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number} bytes"


def freed_text(result: dict[str, Any], would: str = "") -> str:
    """', 1.5 MB freed' of a result, or nothing where nobody knows: a server does not say."""
    if result["freed"] is None:
        return ""
    return f", {bytes_text(result['freed'])} {would}freed"


def counted(number: int, one: str, many: str) -> str:
    """A number and what is counted: '1 hit', '1,234 hits'."""
    return f"{number:,} {one if number == 1 else many}"


def entries_text(number: int) -> str:
    """'1 entry', '1,234 entries'."""
    return counted(number, "entry", "entries")
