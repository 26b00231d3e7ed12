"""What is shown: a progress bar, and what the caches did, in small tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from time import monotonic
from typing import TypeVar

from django.core.management.base import OutputWrapper

from .counts import Count, cache_of
from .traffic import Answer

BAR = 30
BEGINNING = 100  # requests whose hit ratio shows whether the cache was warm


Step = TypeVar("Step")


def progress(
    steps: Iterable[Step], total: int, label: str, out: OutputWrapper
) -> Iterator[Step]:
    """The steps, with a bar on `out` if that is a terminal."""
    live = out.isatty()
    drawn = 0.0
    for number, step in enumerate(steps, start=1):
        yield step
        if live and monotonic() - drawn > 0.1:
            drawn = monotonic()
            full = BAR * number // total
            out.write(
                f"\r{label} {'█' * full}{'░' * (BAR - full)} {number:,} of {total:,}", ending=""
            )
            out.flush()
    if drawn:
        out.write("\r\x1b[K", ending="")  # what comes next takes the line
        out.flush()


def summary(answers: Sequence[Answer], seconds: float, held: int) -> str:
    """How it went: all in all, at the very first page, and in the beginning.

    :param held: number of entries that the cache had before
    """
    first = answers[0]
    beginning = Count.sum(answer.looks for answer in answers[:BEGINNING])
    whole = Count.sum(answer.looks for answer in answers)
    start = f"warm, with {held:,} entries from before" if held else "cold: empty"
    origin = "had to be made" if first.cold else "came from the cache"
    return "\n".join(
        (
            f"{len(answers):,} requests in {seconds:.1f} s ({len(answers) / seconds:,.0f}/s)",
            f"The cache began {start}.",
            f"The first page {origin}, in {first.seconds * 1000:.1f} ms.",
            f"Hit ratio: {beginning.ratio} in the first {len(answers[:BEGINNING])} requests, "
            f"{whole.ratio} in all.",
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines with the first column to the left and the others to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def milliseconds(seconds: Sequence[float]) -> str:
    """Their median, to print."""
    return f"{median(seconds) * 1000:.1f}" if seconds else "-"


def page_table(answers: Sequence[Answer], pages: Iterable[str]) -> str:
    """How long each page took when it was made and when it came from the cache."""
    rows = []
    for page in pages:
        cold = [answer.seconds for answer in answers if answer.page == page and answer.cold]
        warm = [answer.seconds for answer in answers if answer.page == page and not answer.cold]
        rows.append(
            (page, f"{len(cold):,}", milliseconds(cold), f"{len(warm):,}", milliseconds(warm))
        )
    return table(("Page", "cold", "median ms", "warm", "median ms"), rows)


def cache_table(counts: dict[str, Count]) -> str:
    """What each cache did (by alias) and what it holds."""
    rows = []
    for alias, count in counts.items():
        cache = cache_of(alias)
        rows.append(
            (
                alias,
                f"{count.hits:,}",
                f"{count.misses:,}",
                count.ratio,
                f"{len(cache):,}",
                f"{cache.volume() / 1e6:.1f} MB",
            )
        )
    return table(("Cache", "hits", "misses", "ratio", "entries", "volume"), rows)
