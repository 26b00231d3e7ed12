"""Removes the entries with certain tags."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

from ...engine import selection
from ...engine.selection import Selection
from ...engine.tagged import hints_of
from ..shared import CacheCommand, Target, counted, entries_text, freed_text

SUMS = ("removed", "freed")


def tags(text: str) -> Iterator[Any]:
    """The tags that a text may mean: itself, and a number."""
    yield text
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if kind is float or -(2**63) <= number < 2**63:
            yield number
            return  # to SQLite 1 and 1.0 are one tag


class Command(CacheCommand):
    help = (
        "Remove all entries that have one of these tags, or with --all those that have all of "
        "them. A tag that is a number stands for the number and for the text."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tags", nargs="+", metavar="TAG", help="A tag of entries.")
        parser.add_argument(
            "--all",
            action="store_true",
            dest="every",
            help="Only entries that have all of these tags.",
        )
        parser.add_argument(
            "--cache",
            action="append",
            dest="aliases",
            default=[],
            metavar="ALIAS",
            help=(
                "A cache in CACHES; it may be given several times. Without it, all whose "
                "backend is DjangoCache."
            ),
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Count what would be removed, and remove nothing.",
        )
        self.add_json(parser)

    def prepare(self, options: dict[str, Any]) -> None:
        if isinstance(options["aliases"], str):  # by call_command(cache="default")
            options["aliases"] = [options["aliases"]]

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        wanted = list(dict.fromkeys(options["tags"]))
        about = {"dry_run": options["dry_run"]}
        if not target.in_files:
            by_tag: dict[str, dict[str, Any]] = {}
            done = target.on_servers(partial(on_a_server, by_tag, wanted, options))
            return {**done, **about, "tags": by_tag} if "removed" in done else done
        if options["every"] and len(wanted) > 1:
            by_tag = {", ".join(wanted): self.of_all(target, wanted, options)}
        else:
            by_tag = self.of_each(target, wanted, options)
        sums = {name: sum(each[name] for each in by_tag.values()) for name in SUMS}
        return {**sums, **about, "tags": by_tag}

    def of_each(
        self, target: Target, wanted: list[str], options: dict[str, Any]
    ) -> dict[str, dict[str, int]]:
        """What has one of the tags; an entry counts with the first that it has."""
        by_tag = {}
        before: tuple[Any, ...] = ()
        for tag in wanted:
            selections = []
            for meaning in tags(tag):
                selections += selection.tagged_at_all(meaning, before)
                if options["dry_run"]:  # else what has a tag before is gone
                    before += (meaning,)
            by_tag[tag] = self.of_selections(target, selections, tag, options)
        return by_tag

    def of_all(
        self, target: Target, wanted: list[str], options: dict[str, Any]
    ) -> dict[str, int]:
        """What has all of the tags, looked for by the one that the fewest entries have."""
        stores = target.engine.stores
        meanings = sorted(
            (tuple(tags(tag)) for tag in wanted),
            key=lambda each: sum(hints_of(store, tag) for store in stores for tag in each),
        )
        first, others = meanings[0], tuple(meanings[1:])
        selections = [
            selection.tagged_among(tag, others, first[:number])
            for number, tag in enumerate(first)
        ]
        return self.of_selections(target, selections, ", ".join(wanted), options)

    def of_selections(
        self, target: Target, selections: list[Selection], name: str, options: dict[str, Any]
    ) -> dict[str, int]:
        total = {"removed": 0, "freed": 0}
        for selected in selections:
            found = self.of_selection(target, selected, f"{target.alias} {name}", options)
            total = {name: total[name] + found[name] for name in total}
        return total

    def of_selection(
        self, target: Target, selected: Selection, label: str, options: dict[str, Any]
    ) -> dict[str, int]:
        if options["dry_run"]:
            amount = selection.amount(target.engine.stores, selected)
            return {"removed": amount.entries, "freed": amount.bytes}
        return self.count(selection.remove(target.engine, selected), label, options)

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if options["verbosity"] == 0:
            return
        would = "would be " if options["dry_run"] else ""
        for number, (tag, each) in enumerate(result["tags"].items()):
            # What has several of the tags has been counted with the first of them.
            entries = counted(each["removed"], "more entry", "more entries")
            if not number:
                entries = entries_text(each["removed"])
            name = repr(tag)
            if options["every"] and tag not in options["tags"]:
                name = " and ".join(map(repr, dict.fromkeys(options["tags"])))
            self.stdout.write(
                f"{alias}: {entries} tagged {name} {would}removed{freed_text(each, would)}"
            )


def on_a_server(
    by_tag: dict[str, dict[str, Any]], wanted: list[str], options: dict[str, Any], face: Any
) -> int:
    """Remove there what has one of the tags, or all of them; how many, in all and `by_tag`."""
    how = {}
    groups = {tag: [tuple(tags(tag))] for tag in wanted}
    if options["every"] and len(wanted) > 1:
        how = {"match": "all"}
        groups = {", ".join(wanted): list(product(*(tags(tag) for tag in wanted)))}
    found: set[Any] = set()  # in a dry run; else what has a tag before is gone
    for name, meanings in groups.items():
        before = len(found)
        if options["dry_run"]:
            for meaning in meanings:
                found.update(face.keys_by_tag(meaning, **how))
            number = len(found) - before
        else:
            number = sum(face.evict(meaning, **how) for meaning in meanings)
        by_tag[name] = {"removed": number, "freed": None}
    return sum(each["removed"] for each in by_tag.values())
