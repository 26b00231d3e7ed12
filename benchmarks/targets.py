"""What this project wants to reach, as ratios within one run. They are printed beside what was
measured, met or missed, and nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import batches, bulk, large, operations, processes, requests, startup, subjects
from .report import NOTHING, duration, microseconds
from .tables import Table, aligned, cells_text, ratio_text

OURS = subjects.OUR_BACKEND.name
LOCMEM = subjects.LOCAL.name
PEER = subjects.PEER.name
COMMUNITY = subjects.COMMUNITY.name
FLOOR = subjects.FLOOR.name

AT_MOST = "at most"  # ours over the other's
FASTER = "faster by"  # the other's time over ours
AT_LEAST = "at least"  # our rate over the other's
BELOW = "below"  # our nanoseconds


@dataclass(frozen=True)
class Target:
    """One comparison: a number of ours, and that of another contender or another measure."""

    what: str
    suite: str
    slug: str
    measure: str
    column: str
    mode: str
    bound: float
    other: str = OURS
    ours: str = OURS
    beside: str = ""  # the other's measure, if it is another one
    full: bool = False  # only the full plan measures it

    def judge(self, table: Table | None) -> Verdict:
        """What `table` says, if it is there and has both numbers."""
        if table is None:
            return Verdict(self)
        mine = table.get(self.measure, self.ours, self.column)
        other = table.get(self.beside or self.measure, self.other, self.column)
        if not mine or not other:
            return Verdict(self)
        if self.mode == BELOW:
            return Verdict(self, mine, self.bound / mine)
        ratio = other / mine if self.mode == FASTER else mine / other
        spare = self.bound / ratio if self.mode == AT_MOST else ratio / self.bound
        return Verdict(self, ratio, spare)

    @property
    def needs(self) -> str:
        """Why it may not be measured."""
        return "not measured: needs --full, not scaled" if self.full else "not measured"

    @property
    def wanted(self) -> str:
        if self.mode == BELOW:
            return f"at most {_time(self.bound)}"
        where = self.beside or ("" if self.other == self.ours else self.other)
        if self.mode == FASTER:
            return f"at least {self.bound:g}x faster than {where}"
        return f"{self.mode} {self.bound:g}x {where}"


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured; it is met when there is 1 or more to spare."""

    target: Target
    measured: float | None = None
    spare: float = 0

    @property
    def met(self) -> bool:
        return self.spare >= 1

    def cells(self) -> list[str]:
        mode = self.target.mode
        what = f"{self.target.what}, {self.target.column}"
        if self.measured is None:
            return [what, self.target.wanted, NOTHING, self.target.needs]
        shown = _time(self.measured) if mode == BELOW else ratio_text(self.measured)
        return [what, self.target.wanted, shown, "met" if self.met else self._missed()]

    def _missed(self) -> str:
        by = 1 / self.spare
        return f"missed by {by:.2f}x" if by >= 1.005 else f"missed by {by:.4f}x"


def _time(nanoseconds: float) -> str:
    return microseconds(nanoseconds) if nanoseconds < 1e7 else duration(nanoseconds / 1e9)


def _declared() -> Iterator[Target]:
    single = operations.NAME
    fresh = f"operations-{operations.FRESH}"
    big = f"operations-{operations.LARGE}"

    def get(what: str, mode: str, bound: float, other: str) -> Target:
        return Target(what, single, fresh, what, "median", mode, bound, other)

    yield get("get, hot, dict", AT_MOST, 0.55, LOCMEM)
    yield get("get, hot, dict", FASTER, 5, PEER)
    yield get("get, hot, str", AT_MOST, 0.35, LOCMEM)
    yield get("get, hot, str", FASTER, 8, PEER)
    yield get("get, hot miss", AT_MOST, 0.5, LOCMEM)
    yield get("get, first touch", AT_MOST, 1.6, FLOOR)
    for what in ("get, hot, dict", "get, hot, str", "get, hot miss", "get, first touch"):
        counted = (f"{what}, statistics and LRU", single, "statistics", what, "median")
        blind, peer = subjects.OURS_BLIND.name, subjects.PEER_LRU.name
        yield Target(*counted, AT_MOST, 1.15, blind, subjects.OURS_LRU.name)
        yield Target(*counted, FASTER, 20, peer, subjects.OURS_LRU.name)
    for what in ("set, overwrite", "set, new"):
        at = (f"{what}, at {operations.LARGE:,}", single, big, what)
        yield Target(*at, "mean", AT_MOST, 1.6, FLOOR)
        yield Target(*at, "mean", FASTER, 2.5, PEER)
        yield Target(*at, "median", FASTER, 3, PEER)
    for what in ("incr", "delete", "add", "touch"):
        at = (f"{what}, at {operations.LARGE:,}", single, big, what)
        yield Target(*at, "mean", FASTER, 2.5, PEER)
        yield Target(*at, "median", FASTER, 2.5, PEER)
    for what, times in (
        ("get_many, hot", 6),
        ("get_many, first touch", 3),
        ("set_many, new", 15),
    ):
        yield Target(what, batches.NAME, "batches", what, "median", FASTER, times, PEER)
    life = (startup.NAME, "startup")
    after = "get after close()"
    yield Target(after, *life, after, "median", AT_MOST, 1.2, beside="get")
    new = "new backend object"
    yield Target(new, *life, new, "median", BELOW, 25_000)
    for module, (face, *_) in requests.SERVERS.items():
        what = f"{face.upper()}, {module}"
        page = ("requests", what, "pages per second")
        yield Target(what, requests.NAME, *page, AT_LEAST, 0.9, requests.WITHOUT)
    for share, bound in zip(processes.MIXES, (2.5, 3), strict=True):
        what = f"{share:.0%} writes"
        four = (f"4 processes, {what}", processes.NAME, "processes", what)
        yield Target(*four, "operations per second", AT_LEAST, bound, PEER)
        yield Target(*four, "p99 of set", AT_MOST, 0.5, PEER)
    for what in ("set 1 MB", "get 1 MB"):
        yield Target(what, large.NAME, "large", what, "median", AT_MOST, 1, COMMUNITY)
    filled = (bulk.NAME, f"fill-{bulk.FILL}")
    yield Target("fill 1,000,000", *filled, bulk.ALL, "mean", AT_MOST, 0.4, PEER, full=True)
    growth = ("set at 1,000,000", *filled, bulk.LAST, "mean")
    yield Target(*growth, AT_MOST, 1.5, beside=bulk.SECOND, full=True)
    clear = ("clear() of 500,000", bulk.NAME, f"bulk-{bulk.FULL}", "clear", "time")
    yield Target(*clear, BELOW, 0.2e9, full=True)
    yield Target(*clear, FASTER, 50, PEER, full=True)


TARGETS: Sequence[Target] = tuple(_declared())


def verdicts(tables: Iterable[Table]) -> list[Verdict]:
    """The targets of the suites that were run."""
    by_name: Mapping[tuple[str, str], Table] = {(t.suite, t.slug): t for t in tables}
    ran = {suite for suite, _ in by_name}
    found = []
    for target in TARGETS:
        if target.suite in ran:
            found.append(target.judge(by_name.get((target.suite, target.slug))))
    return found


HEAD = ["target", "wanted", "measured", ""]


def tally(found: Sequence[Verdict]) -> str:
    """How many are met."""
    measured = [verdict for verdict in found if verdict.measured is not None]
    shown = f"{sum(verdict.met for verdict in measured)} of {len(measured)} met"
    left = len(found) - len(measured)
    return f"{shown}, {left} not measured" if left else shown


def text(found: Sequence[Verdict]) -> str:
    """The verdicts for a terminal."""
    title = f"Targets: {tally(found)}"
    lines = aligned([HEAD, *(verdict.cells() for verdict in found)])
    return "\n".join([title, "=" * len(title), "", *lines])


def markdown(found: Sequence[Verdict]) -> str:
    """The verdicts for the documentation."""
    rows = [HEAD, ["---", "---", "--:", "---"], *(verdict.cells() for verdict in found)]
    return "\n".join(map(cells_text, rows))


def document(found: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The verdicts for JSON."""
    return [
        {
            "target": verdict.target.what,
            "column": verdict.target.column,
            "wanted": verdict.target.wanted,
            "measured": verdict.measured,
            "met": verdict.met,
        }
        for verdict in found
    ]
