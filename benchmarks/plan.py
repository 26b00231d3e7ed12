"""How much is measured: the quick plan, the full one, and parts of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .report import Progress
from .subjects import Items, Subject


@dataclass(frozen=True)
class Plan:
    """Sizes and times. A turn is one contender's part of a round."""

    full: bool = False
    scale: float = 1.0  # of calls, entries and times
    rounds: int = 6

    def some(self, number: int, least: int = 1) -> int:
        """`number`, scaled."""
        return max(least, round(number * min(1.0, self.scale)))

    def turn(self, seconds: float) -> float:
        """`seconds`, scaled."""
        return seconds * min(1.0, self.scale)


@dataclass(frozen=True)
class Opened:
    """A cache that is open, and what it is."""

    subject: Subject
    cache: Any
    directory: Path

    @property
    def share(self) -> float:
        """Of the time of a turn."""
        return self.subject.share

    def fill(self, items: Items, tag: Any = None) -> None:
        self.subject.fill(self.cache, items, tag)


@dataclass
class Bench:
    """What a suite works with.

    :param subjects: those that are installed, with their servers running
    """

    plan: Plan
    directory: Path
    database: Path
    subjects: Mapping[str, Subject]
    watched: bool = True
    _made: int = field(default=0)

    def choose(self, *wanted: Subject) -> list[Subject]:
        """Those of the wanted that are there, in this order."""
        return [self.subjects[each.name] for each in wanted if each.name in self.subjects]

    def place(self, subject: Subject) -> Path:
        """A new directory."""
        self._made += 1
        return self.directory / f"{self._made:03d}-{subject.name.replace(' ', '-')}"

    @contextmanager
    def opened(self, *wanted: Subject, keys: int = 0) -> Iterator[dict[str, Opened]]:
        """New caches of those of the wanted that are there, by name."""
        with ExitStack() as stack:
            found = {}
            for subject in self.choose(*wanted):
                directory = self.place(subject)
                cache = stack.enter_context(subject.opened(directory, keys))
                # A server has what an earlier suite left in it.
                getattr(cache, "clear", lambda: None)()
                found[subject.name] = Opened(subject, cache, directory)
            yield found

    def progress(self, label: str, total: int) -> Progress:
        """How far a suite is."""
        return Progress(label, total)
