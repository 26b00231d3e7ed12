"""Brings caches down to their size limit, or below."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from ...engine import selection
from ...engine.options import OPTIONS
from ..shared import CacheCommand, Target, bytes_text, entries_text

PER_CENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")


def size_or_share(text: str) -> Callable[[int], int]:
    """Of '80%' or '4GB': the bytes that it means for a size limit."""
    if match := PER_CENT.fullmatch(text):
        share = float(match[1])
        if share <= 100:
            return lambda limit: int(limit * share / 100)
    try:
        target = int(OPTIONS["size_limit"].read(text))
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is neither a share of the size limit from 0% to 100%, nor "
            f"{OPTIONS['size_limit'].takes}"
        ) from None
    return lambda limit: min(target, limit)


class Command(CacheCommand):
    help = (
        "Remove what has expired, then evict until a cache is within its size_limit, or takes "
        "no more than --to says. A server does so by itself."
    )
    tidies = True
    left_to_servers = "its server evicts by itself, by its maxmemory and maxmemory-policy"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--to",
            type=size_or_share,
            default="100%",
            metavar="SIZE",
            help=(
                "What the cache may take afterwards: a share of its size_limit such as 80%%, "
                "or "
                f"{OPTIONS['size_limit'].takes} (default: %(default)s)"
            ),
        )

    def work(self, target: Target, options: dict[str, Any]) -> dict[str, Any]:
        engine = target.engine
        limit = engine.settings["size_limit"]
        to = options["to"]  # call_command passes on what it was given
        wanted = (size_or_share(str(to)) if isinstance(to, (str, int)) else to)(limit)
        counted = self.count(selection.cull(engine, wanted), target.alias, options)
        volume = engine.limits.volume()
        return {**counted, "volume": volume, "target": wanted, "reached": volume <= wanted}

    def say(self, alias: str, result: dict[str, Any], options: dict[str, Any]) -> None:
        if options["verbosity"] > 0:
            missed = "" if result["reached"] else f", more than {bytes_text(result['target'])}"
            self.stdout.write(
                f"{alias}: {entries_text(result['removed'])} removed, "
                f"{bytes_text(result['freed'])} freed; it takes "
                f"{bytes_text(result['volume'])}{missed}"
            )
