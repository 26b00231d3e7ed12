"""Single operations, in a small table, in one of 200,000 entries and, in full, of 1,000,000.

Hot keys are read again and again; a first touch is the first read of a key in this process; a
key that is overwritten, touched or deleted is a random one of the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count

from . import rounds, subjects, values
from .plan import Bench, Opened
from .tables import Table, latencies

NAME = "operations"
TITLE = "Single operations"

FRESH = 2_000  # entries
FEWEST = 3 * values.HOT  # the first touch is that of keys which are not hot
LARGE = 200_000
LARGEST = 1_000_000
COUNTERS = 1_000
READS = 1_000  # calls of a turn
WRITES = 2_000


class Operations:
    """The turns of one contender in a table of `entries` entries."""

    def __init__(self, opened: Opened, entries: int, turns: int, part: int) -> None:
        self.opened = opened
        self.cache = opened.cache
        self.entries = entries
        self.part = part
        self.order = values.shuffled(entries)
        self.cold = min(part, entries // turns)
        self.new = count(entries)
        hot = range(values.HOT)
        opened.fill(values.entries(0, entries))
        opened.fill((f"text:{n}", values.text(n)) for n in hot)
        opened.fill((f"number:{n}", n) for n in range(COUNTERS))

    def _read(self, keys: Iterable[str]) -> rounds.Arguments:
        hot = [(key,) for key in keys]
        for arguments in hot:
            self.cache.get(*arguments)
        return hot * (self.part // len(hot) or 1)

    def hot(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.get, self._read(values.key(n) for n in range(values.HOT))

    def hot_text(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.get, self._read(f"text:{n}" for n in range(values.HOT))

    def miss(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.get, self._read(f"missing:{n}" for n in range(values.HOT))

    def first(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        part = self.order[number * self.cold : (number + 1) * self.cold]
        cold = [n for n in part if n >= values.HOT]
        return self.cache.get, [(values.key(n),) for n in cold]

    def overwrite(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        part = self._random(number, WRITES)
        return self.cache.set, [(values.key(n), values.small(n + number)) for n in part]

    def _random(self, number: int, most: int) -> list[int]:
        part = rounds.rotated(self.order, number * most * 7)
        return part[:most]

    def fresh(self, call: rounds.Call) -> tuple[rounds.Call, rounds.Arguments]:
        # A turn may end early: what it did not store must not leave holes, hence the generator.
        return call, (
            (values.key(n), values.small(n))
            for n, _ in zip(self.new, range(WRITES), strict=False)
        )

    def insert(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.fresh(self.cache.set)

    def add(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.fresh(self.cache.add)

    def incr(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        some = values.shuffled(COUNTERS, number)
        return self.cache.incr, [(f"number:{n}",) for n in some]

    def touch(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.touch, [(values.key(n),) for n in self._random(number, WRITES)]

    def delete(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        part = self._random(number, WRITES // 4)
        self.opened.fill((values.key(n), values.small(n)) for n in part)  # those gone before
        return self.cache.delete, [(values.key(n),) for n in part]


# In their order: reads first, while no near cache has seen a write; deletions last.
Turns = Mapping[str, tuple[Callable[[Operations], rounds.Turn], float]]  # seconds of a turn
READING: Turns = {
    "get, hot, dict": (lambda o: o.hot, 0.03),
    "get, hot, str": (lambda o: o.hot_text, 0.03),
    "get, hot miss": (lambda o: o.miss, 0.03),
    "get, first touch": (lambda o: o.first, 0.05),
}
WRITING: Turns = {
    "set, overwrite": (lambda o: o.overwrite, 0.15),
    "set, new": (lambda o: o.insert, 0.15),
    "add": (lambda o: o.add, 0.08),
    "incr": (lambda o: o.incr, 0.08),
    "touch": (lambda o: o.touch, 0.08),
    "delete": (lambda o: o.delete, 0.08),
}


def measured(
    bench: Bench, caches: Mapping[str, Opened], table: Table, entries: int, wanted: Turns
) -> Table:
    """`table` with the wanted operations of `caches`, which hold `entries` entries each."""
    plan = bench.plan
    shares = {name: opened.share for name, opened in caches.items()}
    with bench.progress(table.title, len(caches) + len(wanted)) as progress:
        ready = {}
        for name, opened in caches.items():
            ready[name] = Operations(opened, entries, plan.rounds, plan.some(READS, 10))
            progress.update(len(ready))
        for place, (label, (turn, seconds)) in enumerate(wanted.items(), start=len(ready)):
            turns = {name: turn(each) for name, each in ready.items()}
            found = rounds.interleaved(turns, plan.rounds, plan.turn(seconds), shares=shares)
            table.measures.append(latencies(label, values=found))
            progress.update(place)
    return table


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    found = [_operations(bench, plan.some(FRESH, FEWEST), subjects.SUBJECTS)]
    big = [
        subject
        for subject in subjects.SUBJECTS
        if subject.scales and (plan.full or not isinstance(subject, subjects.Server))
    ]
    for entries in (LARGE, LARGEST) if plan.full else (LARGE,):
        table = _operations(bench, plan.some(entries, FEWEST), big)
        table.notes.append(
            "filebased and database are left out: at every set one lists its directory, the"
            " other counts its rows."
        )
        found.append(table)
    return [*found, _counted(bench)]


def _operations(bench: Bench, entries: int, wanted: Iterable[subjects.Subject]) -> Table:
    table = Table(NAME, f"operations-{entries}", f"Single operations, {entries:,} entries")
    with bench.opened(*wanted, keys=entries * 2 + 1_000_000) as caches:
        return measured(bench, caches, table, entries, {**READING, **WRITING})


def _counted(bench: Bench) -> Table:
    """Reads of caches that count them and note when they were."""
    entries = bench.plan.some(FRESH, FEWEST)
    table = Table(NAME, "statistics", f"Reads with statistics and LRU, {entries:,} entries")
    wanted = (
        subjects.OURS_BLIND,
        subjects.OUR_BACKEND,
        subjects.OURS_LRU,
        subjects.PEER,
        subjects.PEER_LRU,
    )
    with bench.opened(*wanted, keys=entries) as caches:
        measured(bench, caches, table, entries, READING)
    table.notes.append(
        "django_diskcache counts hits and misses by default, and its default policy does not"
        " look at reads; diskcache counts nothing by default."
    )
    return table
