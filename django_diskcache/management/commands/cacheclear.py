"""Empties caches, or removes the keys of a pattern, prefix or version."""

from __future__ import annotations

from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.core.management.base import CommandParser as Parser

from ...engine import matching, selection
from ...engine.selection import Selection
from ..shared import CacheCommand, Target, entries_text, freed_text, location, opened, wanted


class Command(CacheCommand):
    help = (
        "Remove all entries of a cache, those of other versions and of every KEY_PREFIX in its "
        "directory included; or with --pattern, --prefix or --version only some of the cache's "
        "own. It asks first."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Parser:
        # Django's own --version, which prints that of Django, makes room.
        return super().create_parser(
            prog_name, subcommand, conflict_handler="resolve", **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--pattern",
            metavar="GLOB",
            help="Only keys that match this, such as 'user:*:name', as the site writes them.",
        )
        parser.add_argument(
            "--prefix",
            metavar="TEXT",
            help="Only keys that begin with this, as the site writes them.",
        )
        parser.add_argument(
            "--version",
            type=int,
            dest="key_version",
            metavar="N",
            help="Only keys of this version; with the others, instead of the cache's VERSION.",
        )
        parser.add_argument(
            "--no-input",
            "--noinput",
            action="store_false",
            dest="interactive",
            help="Do not ask.",
        )

    def prepare(self, options: dict[str, Any]) -> None:
        aliases = wanted(options["aliases"])
        if not options["interactive"]:
            return
        if options["json"]:
            raise CommandError("With --json nothing can be asked: give --no-input as well")
        which = "all entries"
        if options["prefix"] is not None or options["pattern"] is not None:
            which = "all keys"
        if options["prefix"] is not None:
            which += f" that begin with {options['prefix']!r}"
        if options["pattern"] is not None:
            which += f" that match {options['pattern']!r}"
        if options["key_version"] is not None:
            which += f" of version {options['key_version']}"
        listed = "".join(f"\n  {alias} in {location(alias)}" for alias in aliases)
        self.stdout.write(f"This removes {which} of:{listed}")
        try:
            answer = input("Type 'yes' to go on: ")
        except EOFError:
            self.stdout.write("")
            raise CommandError("Nobody answered; --no-input does not ask") from None
        if answer.strip().lower() != "yes":
            raise CommandError("Nothing was removed")

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        if not target.in_files:
            return target.on_servers(partial(on_a_server, target, options))
        if is_partial(options):
            steps = selection.remove(target.engine, selected(target, options))
            return dict(self.count(steps, target.alias, options))
        limits = target.engine.limits
        before = limits.volume()
        removed = target.cache._cache.clear()
        return {"removed": removed, "freed": max(0, before - limits.volume())}

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if options["verbosity"] > 0:
            self.stdout.write(
                f"{alias}: {entries_text(result['removed'])} removed{freed_text(result)}"
            )


def on_a_server(target: Target, options: dict[str, Any], face: Any) -> int:
    """Remove what is asked for there; how many.

    :raises CommandError: when KEY_FUNCTION does not keep the key in what it makes
    """
    if not is_partial(options):
        return int(face.clear())
    pattern = "*" if options["pattern"] is None else options["pattern"]
    within = around(target, options)
    return int(face.delete_pattern(pattern, prefix=options["prefix"], within=within))


def is_partial(options: dict[str, Any]) -> bool:
    """Whether only some keys are to go."""
    return any(options[name] is not None for name in ("pattern", "prefix", "key_version"))


def around(target: Target, options: dict[str, Any]) -> tuple[str, str]:
    """The texts before and after the keys of a version in the store.

    :raises CommandError: when KEY_FUNCTION does not keep the key in what it makes
    """
    try:
        return opened(target.alias)._around_keys(options["key_version"])
    except NotImplementedError as error:
        raise CommandError(f"{target.alias}: its {error}") from error


def selected(target: Target, options: dict[str, Any]) -> Selection:
    """The keys of a pattern, prefix and version.

    :raises CommandError: when KEY_FUNCTION does not keep the key in what it makes
    """
    within = around(target, options)
    pattern = "*" if options["pattern"] is None else options["pattern"]
    return matching.selected(matching.wanted(pattern, options["prefix"], None, within))
