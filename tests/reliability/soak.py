"""The long run: a site and its collections under one fault after the other, and a table.

    python -m tests.reliability.soak --minutes 20

Some processes serve requests from a cache, others keep collections, counters and locks, and
write down what they are acknowledged. Meanwhile faults are injected, one at a time, and after
each it is measured how long it takes until every server can set and get in every shard again,
and gets what the others set. Data that are destroyed by nature (damaged, removed, replaced) are
those of the cache only; the collections meet kills, a full disk and a lack of descriptors. From
time to time they are held against what was written down.

With the right to mount it all happens on a small file system in memory, which can be full.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import django

from . import injection, places
from .processes import Child, Children, in_child, noted, until
from .serving import SERVERS, SIGNALS, TELL, Bulletin, seen_anew, serve, trace_of
from .workers import ROLES, Place, lost_writes, raised, unsound, work

DISK = 96 * 2**20  # bytes
HEALING = 60.0  # seconds after which a server counts as not healed, and is replaced
EPOCH = 60  # faults after which the collections are held against the ledgers
PACE = 0.002  # seconds that a worker of the collections rests between two turns


@dataclass
class Report:
    """What came of it."""

    seed: int
    seconds: float = 0.0
    operations: int = 0
    hits: int = 0
    acknowledged: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    healing: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    unhealed: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    def table(self) -> str:
        """As text, one row for each kind of fault."""
        head = (
            "fault", "injected", "wrong values", "exceptions", "died", "not healed",
            "heals in, median", "longest",
        )  # fmt: skip
        rows = [head, *(self._row(name) for name in self.injected)]
        counters = (
            self.injected, self.wrong, self.exceptions, self.died, self.unhealed,
        )  # fmt: skip
        everything = [time for times in self.healing.values() for time in times]
        total = ("all", *(str(sum(counter.values())) for counter in counters))
        rows.append((*total, *_times(everything)))
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
            for row in rows
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        lines += [
            "",
            f"{self.seconds / 60:.1f} minutes, seed {self.seed}: {self.operations:,} calls of "
            f"the cache ({self.hits:,} values checked), {self.acknowledged:,} acknowledged "
            f"writes of collections, counters and locks, of which {len(self.lost)} lost.",
            *(f"lost: {text}" for text in self.lost[:20]),
            *self.samples[:10],
        ]
        return "\n".join(lines)

    def _row(self, name: str) -> tuple[str, ...]:
        counters = (
            self.injected, self.wrong, self.exceptions, self.died, self.unhealed,
        )  # fmt: skip
        return (name, *(str(each[name]) for each in counters), *_times(self.healing[name]))


def _times(seconds: list[float]) -> tuple[str, str]:
    if not seconds:
        return "-", "-"
    return f"{statistics.median(seconds) * 1000:.0f} ms", f"{max(seconds) * 1000:.0f} ms"


class Soak:
    """One run.

    :param top: a directory for everything
    :param small: the file system that the caches are on can be filled
    """

    def __init__(self, top: Path, disk: Path, small: bool, seed: int) -> None:
        self.top = top
        self.disk = disk
        self.cache = disk / "cache"
        self.backup = top / "backup"
        self.random = Random(seed)
        self.report = Report(seed)
        self.bulletin = Bulletin(len(ROLES) + 1)
        self.children = Children()
        self.servers: list[Child] = []
        self.workers: list[Child] = []
        self.killed: Counter[str] = Counter()
        self.detail = ""  # of the last fault, to be told where it did not heal
        self._born = 0
        self._epoch = 0
        self.place = Place(disk)  # replaced at each epoch
        self.faults = injection.available(small)

    # Processes

    def ledger(self, number: int) -> Path:
        return self.top / f"server-{number}"

    def start_server(self, number: int) -> Child:
        path = self.ledger(number)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return self.children.start(serve, self.cache, path, number, self.bulletin)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def start_worker(self, number: int) -> Child:
        self._born += 1
        return self.children.start(work, self.place, number, self._born, self.bulletin.board)

    def replace(self, child: Child) -> None:
        """Kill a child if it still lives, and start another one in its place."""
        child.close()
        self.children.all.remove(child)
        if child in self.servers:
            number = self.servers.index(child)
            self.servers[number] = self.start_server(number)
        else:
            number = self.workers.index(child)
            self.killed[ROLES[number].__name__] += 1
            self.workers[number] = self.start_worker(number)

    def _bury(self, fault: str) -> None:
        """Replace those who died by themselves."""
        for child in [*self.servers, *self.workers]:
            if child.exitcode is not None:
                self.report.died[fault] += 1
                with suppress(AssertionError):
                    child.result()
                try:
                    child.result()
                except AssertionError as error:
                    self.report.samples.append(f"died under {fault}: {error}")
                self.replace(child)

    # Faults

    def run(self, seconds: float) -> Report:
        """Inject faults for so long; each kind at least once."""
        start = time.monotonic()
        with self.children:
            self.servers = [self.start_server(number) for number in range(SERVERS)]
            self._wait_until_well(time.monotonic_ns())
            self._begin_epoch()
            in_child(injection.fill_backup, self.backup)
            due = list(self.faults)
            self.random.shuffle(due)
            while due or time.monotonic() - start < seconds:
                name = due.pop() if due else self.random.choice(list(self.faults))
                self._inject(name)
                if sum(self.report.injected.values()) % EPOCH == 0:
                    self._end_epoch()
                    self._begin_epoch()
            self._end_epoch()
            self.bulletin.put("stop", 1)
            for server in self.servers:
                server.result()
        self.report.seconds = time.monotonic() - start
        self._collect()
        return self.report

    def _inject(self, name: str) -> None:
        self.bulletin.put("fault", list(self.faults).index(name))
        self.report.injected[name] += 1
        self.detail = ""
        self.faults[name](self)
        self._bury(name)
        over = time.monotonic_ns()
        healed = self._wait_until_well(over)
        if healed is None:
            self.report.unhealed[name] += 1
            self.report.samples.append(f"not healed: {name} {self.detail}")
        else:
            self.report.healing[name].append(healed)
        self._bury(name)

    def _wait_until_well(self, since: int) -> float | None:
        """Seconds until each server has seen what all others set after `since`.

        And so has a process that comes new: else all might go on with files that are gone.
        """
        deadline = time.monotonic() + HEALING
        while True:
            numbers = range(SERVERS)
            if all(self.bulletin.of(number, "seen") >= since for number in numbers):
                ended = max(self.bulletin.of(number, "ended") for number in numbers)
                if in_child(seen_anew, self.cache) >= since:
                    return (ended - since) / 1e9
            if time.monotonic() > deadline:
                for number in numbers:
                    if self.bulletin.of(number, "seen") < since:
                        self._give_up(number)
                return None
            if any(server.exitcode is not None for server in self.servers):
                return None
            time.sleep(0.001)

    def _give_up(self, number: int) -> None:
        """Ask a server where it is, and replace it."""
        self.servers[number].signal(TELL)
        trace = trace_of(self.ledger(number))
        with suppress(AssertionError):
            until(lambda: trace.read_text().count("\n") > 1, "a trace", 5.0)
        self.report.samples.append(f"server {number}: {trace.read_text()[:4000]}")
        self.replace(self.servers[number])

    # Collections

    def _begin_epoch(self) -> None:
        self._epoch += 1
        data = self.disk / f"data-{self._epoch}"
        ledgers = self.top / f"ledgers-{self._epoch}"
        data.mkdir()
        self.place = Place(data, ledgers, PACE)
        self.killed.clear()
        self.bulletin.board[len(ROLES)] = 0
        self.workers = [self.start_worker(number) for number in range(len(ROLES))]

    def _end_epoch(self) -> None:
        """Stop the workers, and hold what is there against what they were acknowledged."""
        self.bulletin.board[len(ROLES)] = 1
        for child in self.workers:
            try:
                child.result(HEALING)
            except AssertionError as error:
                self.report.died["the end of an epoch"] += 1
                self.report.samples.append(str(error))
            child.close()
            self.children.all.remove(child)
        self.workers = []
        in_flight = self.killed + raised(self.place)
        problems = in_child(lost_writes, self.place, in_flight) + in_child(unsound, self.place)
        self.report.lost += [f"epoch {self._epoch}: {text}" for text in problems]
        self.report.acknowledged += in_child(_acknowledged, self.place.ledgers)
        shutil.rmtree(self.place.top)
        shutil.rmtree(self.place.ledgers)

    def _collect(self) -> None:
        names = list(self.faults)
        report = self.report
        for number in range(SERVERS):
            report.operations += self.bulletin.of(number, "operations")
            report.hits += self.bulletin.of(number, "hits")
            for kind, fault, *rest in noted(self.ledger(number)):
                name = names[fault]
                if kind == "raised":
                    report.exceptions[name] += 1
                    report.samples.append(f"raised under {name}: {rest[0]}: {rest[1]}")
                else:
                    report.wrong[name] += 1
                    report.samples.append(f"wrong under {name}: {rest[0]}: {rest[1]}")


def _acknowledged(ledgers: Path) -> int:
    kinds = ("done", "all", "won", "leave")
    return sum(line[0] in kinds for path in ledgers.iterdir() for line in noted(path))


@contextmanager
def _disk(top: Path) -> Iterator[tuple[Path, bool]]:
    """A small file system if there can be one, and whether it is."""
    problem, mounted = places.try_tmpfs(top / "disk", DISK)
    if problem:
        print(f"No small disk, so none that is full: {problem}", file=sys.stderr)
    try:
        yield top / "disk", mounted
    finally:
        if mounted:
            places.unmount(top / "disk")


def run(seconds: float, seed: int, directory: Path | None = None) -> Report:
    """A soak of so many seconds, in a directory that is made for it."""
    top = Path(tempfile.mkdtemp(prefix="soak-", dir=directory))
    try:
        with _disk(top) as (disk, small):
            return Soak(top, disk, small, seed).run(seconds)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    """Run it and print the table; 0 when nothing was lost, wrong, raised or left unhealed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.soak", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=None, help="of the faults")
    parser.add_argument("--directory", type=Path, default=None, help="where to make files")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(3), "big")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    import logging

    logging.getLogger("django_diskcache").addHandler(logging.NullHandler())
    logging.getLogger("django_diskcache").propagate = False
    report = run(given.minutes * 60, seed, given.directory)
    print(report.table())
    return int(failed(report))


def failed(report: Report) -> bool:
    """Whether a promise was broken."""
    counters = (report.wrong, report.exceptions, report.died, report.unhealed)
    return bool(report.lost) or any(sum(counter.values()) for counter in counters)


if __name__ == "__main__":
    sys.exit(main())
