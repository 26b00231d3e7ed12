"""Prints what caches have done and hold."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.management.base import CommandError

from ...engine.faults import FAULTS
from ...engine.guard import going_on
from ...engine.options import Refused
from ...engine.options import seconds as parse_seconds
from ...engine.statistics import Figures, ShardFigures, Statistics
from ...entries import named_apart
from .. import exposition
from ..shared import (
    CacheCommand,
    Target,
    bytes_text,
    counted,
    entries_text,
    is_there,
    location,
    named,
    opened,
    wanted,
)

SERVER_HEAD = (
    *("server", "version", "role", "memory", "of limit", "policy", "keys", "evicted"),
    *("expired", "clients", "tracked"),
)
HEAD = (
    *("shard", "entries", "volume", "of limit", "hits", "misses", "ratio"),
    *("evicted", "expired", "refused", "pending", "errors"),
)


def seconds(text: str) -> float:
    """Seconds between two looks."""
    try:
        value = parse_seconds(text)
    except Refused as refusal:
        raise ArgumentTypeError(f"{text!r}: expected {refusal}") from None
    if value <= 0:
        raise ArgumentTypeError(f"{text!r} is not more than 0 seconds")
    return value


class Command(CacheCommand):
    help = (
        "Print, per cache and shard, entries and volume, hits and misses, evictions by reason, "
        "what has expired and is still on disk, and errors by kind; of a cache on a server, "
        "hits and misses, and what each server says of itself. Counters are those of all "
        "processes since the last --reset; a server's own are those since it was started."
    )
    pause: Callable[[float], None] = staticmethod(time.sleep)
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_aliases(parser)
        parser.add_argument(
            "--format",
            choices=("text", "json", "prometheus"),
            default="text",
            help=(
                "text for people (with -v 0 without the shards), json, or prometheus for the "
                "textfile collector (default: %(default)s)"
            ),
        )
        parser.add_argument(
            "--json",
            action="store_const",
            const="json",
            dest="format",
            help="Print one JSON document and nothing else: the same as --format json.",
        )
        parser.add_argument(
            "--watch",
            type=seconds,
            metavar="SECONDS",
            help=(
                "Look again every so many seconds until Ctrl-C, and print a line per cache "
                "with what happened in between; with --json a document each time, on a line."
            ),
        )
        parser.add_argument(
            "--reset",
            action="store_true",
            help="Let the counters begin again at zero, after they were printed.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["format"] is True:  # by call_command(json=True)
            options["format"] = "json"
        if options["watch"] is not None and options["format"] == "prometheus":
            raise CommandError("--watch prints text or json; for prometheus run it anew")
        aliases = wanted(options["aliases"])
        self.errors: dict[str, str] = {}  # of servers that did not answer the last time
        try:
            if options["watch"] is None:
                self.show(self.look(aliases, options["reset"]), options)
            else:
                self.watch(aliases, options)
        except BrokenPipeError:  # by | head; nothing is to be said at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.conclude({a: {"error": text} for a, text in self.errors.items()}, options)

    def look(self, aliases: Iterable[str], reset: bool = False) -> dict[str, Any]:
        """The figures of those that are there and answer, by alias."""
        found = {}
        self.errors = {}
        for alias in aliases:
            if not is_there(alias):
                continue
            target = Target(alias, opened(alias))
            try:
                if target.in_files:
                    found[alias] = target.cache.figures(reset)
                else:
                    self.ask(target, found, reset)
            except FAULTS as error:
                self.errors[alias] = str(error)
        return found

    def ask(self, target: Target, found: dict[str, Any], reset: bool) -> None:
        """Look at a cache on a server: what those say that answer."""
        face, met = going_on(target.cache._cache)
        backend: Any = target.cache._on(face)
        figures = backend.figures(reset)
        if figures.nodes:
            found[target.alias] = figures
        if not figures.told:
            self.errors[target.alias] = named(met) or str(figures.untold)

    def show(self, found: dict[str, Any], options: dict[str, Any]) -> None:
        if options["format"] == "json":
            documents = {alias: each.document() for alias, each in found.items()}
            for alias, text in self.errors.items():
                documents[alias] = {**documents.get(alias, {}), "error": text}
            self.stdout.write(json.dumps(documents))
        elif options["format"] == "prometheus":
            self.stdout.write(exposition.text(found), ending="")
        else:
            for alias in wanted(options["aliases"]):
                if alias in found:
                    figures = found[alias]
                    tell = self.describe if figures.shards else self.describe_server
                    tell(alias, figures, options["verbosity"])
                elif options["verbosity"] > 0 and alias not in self.errors:
                    self.stdout.write(f"{alias}: {location(alias)} is not there yet")

    def describe(self, alias: str, figures: Statistics, verbosity: int) -> None:
        about = "about " if figures.estimated else ""
        self.stdout.write(
            f"{alias}: {about}{entries_text(figures.entries)}, {bytes_text(figures.volume)} of "
            f"{bytes_text(figures.size_limit)} ({share(figures)}); {reads_text(figures)}"
        )
        if verbosity == 0:
            return
        gone = figures.evictions
        self.stdout.write(
            f"  evicted: {gone['size']:,} by size, {gone['entries']:,} by number; "
            f"{gone['expired']:,} expired, {gone['refused']:,} refused as too large; "
            f"{bytes_text(figures.freed)} freed, {figures.ghost_hits:,} evicted keys written "
            "again"
        )
        self.stdout.write(f"  expired and still on disk: {about}{figures.expired_pending:,}")
        self.stdout.write(f"  errors: {errors_text(figures)}")
        near = figures.near
        self.stdout.write(
            f"  near cache of this process: {entries_text(near.entries)}, "
            f"{bytes_text(near.bytes)} of {bytes_text(near.budget)}"
        )
        for line in table(HEAD, map(row, figures.shards)):
            self.stdout.write(f"  {line}")

    def describe_server(self, alias: str, figures: Any, verbosity: int) -> None:
        """What is known of a cache on a server, and of its servers."""
        where = location(alias)
        if alias in named_apart():
            where += f", server_name {figures.server_name!r}"
        reads = reads_text(figures) if figures.told else "hits and misses are not known"
        self.stdout.write(f"{alias}: {reads}; {where}, {bytes_text(figures.memory)} in memory")
        if verbosity == 0:
            return
        self.stdout.write(f"  errors: {errors_text(figures)}")
        near = figures.near
        told = ", told of changes" if figures.listening else ""
        self.stdout.write(
            f"  near cache of this process: {entries_text(near.entries)}, "
            f"{bytes_text(near.bytes)} of {bytes_text(near.budget)}{told}"
        )
        for line in table(SERVER_HEAD, map(node_row, figures.nodes)):
            self.stdout.write(f"  {line}")
        for each in figures.away:
            self.stdout.write(f"  {each.fault}")

    def watch(self, aliases: Sequence[str], options: dict[str, Any]) -> None:
        before = known(self.look(aliases, options["reset"]))
        began = self.clock()
        try:
            while True:
                self.pause(options["watch"])
                found, now = self.look(aliases), self.clock()
                if options["format"] == "json":
                    self.show(found, options)
                else:
                    for alias, figures in known(found).items():
                        past = before.get(alias, figures)
                        self.stdout.write(difference(alias, past, figures, now - began))
                    for alias, text in self.errors.items():
                        self.stdout.write(f"{alias}: {text}")
                self.stdout.flush()
                before, began = known(found), now
        except KeyboardInterrupt:
            self.stdout.write("")


def known(found: dict[str, Any]) -> dict[str, Any]:
    """Those whose counts are known: one of a server that is away is no zero."""
    return {alias: figures for alias, figures in found.items() if figures.told}


def difference(alias: str, before: Any, after: Any, elapsed: float) -> str:
    """A line of what happened in `elapsed` seconds."""
    hits, misses = after.hits - before.hits, after.misses - before.misses
    reads = hits + misses
    gone = after.gone - before.gone
    errors = sum(after.errors.values()) - sum(before.errors.values())
    return (
        f"{alias}: {reads / elapsed:,.0f} reads/s, hit ratio "
        f"{f'{hits / reads:.1%}' if reads else '-'}, {gone:,} evicted or expired, {errors:,} "
        f"errors; {counted(after.held, *after.counts)}, {bytes_text(after.taken)}"
    )


def reads_text(figures: Any) -> str:
    """What became of reads."""
    off = "" if figures.counting else " (not counted: statistics are off)"
    return (
        f"{counted(figures.hits, 'hit', 'hits')}, "
        f"{counted(figures.misses, 'miss', 'misses')}, hit ratio {ratio(figures)}{off}"
    )


def errors_text(figures: Any) -> str:
    """How many faults there were of each kind: '3 locked', 'none'."""
    return ", ".join(f"{n:,} {kind}" for kind, n in figures.errors.items() if n) or "none"


def share(figures: Figures) -> str:
    """How much of its limit the volume is."""
    return part(figures.volume, figures.size_limit)


def part(used: int, limit: int) -> str:
    """How much of a limit is used; 0 is none."""
    return f"{used / limit:.0%}" if limit else "-"


def ratio(figures: Any) -> str:
    """The hit ratio."""
    return "-" if figures.hit_ratio is None else f"{figures.hit_ratio:.1%}"


def row(shard: ShardFigures) -> tuple[str, ...]:
    """A shard's line of the table."""
    gone = shard.evictions
    counted = (
        gone["size"] + gone["entries"],
        gone["expired"],
        gone["refused"],
        shard.expired_pending,
        sum(shard.errors.values()),
    )
    return (
        f"{shard.number:03d}",
        f"{shard.entries:,}",
        bytes_text(shard.volume),
        share(shard),
        f"{shard.hits:,}",
        f"{shard.misses:,}",
        ratio(shard),
        *(f"{number:,}" for number in counted),
    )


def node_row(node: Any) -> tuple[str, ...]:
    """A server's line of the table."""
    return (
        node.name,
        node.program,
        "primary" if node.primary else "replica",
        bytes_text(node.memory),
        part(node.memory, node.memory_limit),
        node.policy,
        *(
            f"{number:,}"
            for number in (node.keys, node.evicted, node.expired, node.clients, node.tracked)
        ),
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with all columns to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
