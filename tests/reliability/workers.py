"""What processes do with a cache until they are killed, and what must hold afterwards.

Each worker does one thing over and over, and notes in its ledger what it was acknowledged. It
also notes what it is about to do: what a kill falls into may have happened or not. Everything
else must be as the ledgers say.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django_diskcache import Deque, FanoutCache, Index, Lock, Timeout
from django_diskcache.engine.errors import Fault
from django_diskcache.engine.sqlite import sqlite3

from .processes import Board, Ledger, noted
from .values import FILE_FROM, kind_of, make, version_of

SHARED_KEYS = 40
FANOUT: dict[str, Any] = {
    "shards": 2,
    "timeout": 60,
    "disk_min_file_size": FILE_FROM,
    "size_limit": 2**26,
    "eviction_policy": "none",
}
SMALL = 2**20  # a size limit that has the log moved into the database every few writes


class Interrupt(BaseException):
    """What a signal handler raises, as for Ctrl-C."""


# What a collection, a counter or a lock may raise: what it was asked for was not done, or
# nobody knows.
DOCUMENTED = (Fault, Timeout, Interrupt)


class Place:
    """The directories of one test.

    :param top: exists and is empty, or was used before
    :param ledgers: a directory for the ledgers, elsewhere if the disk may be full
    :param pace: seconds that a worker rests after each turn
    """

    def __init__(self, top: Path, ledgers: Path | None = None, pace: float = 0) -> None:
        self.top = top
        self.pace = pace
        self.ledgers = ledgers or top / "ledgers"
        self.ledgers.mkdir(exist_ok=True)

    def fanout(self) -> FanoutCache:
        return FanoutCache(str(self.top / "fanout"), **FANOUT)

    def churned(self) -> FanoutCache:
        """One that evicts all the time."""
        settings = {**FANOUT, "size_limit": SMALL, "eviction_policy": "least-recently-stored"}
        return FanoutCache(str(self.top / "churned"), **settings)

    def deque(self) -> Deque:
        return Deque(directory=str(self.top / "deque"))

    def index(self) -> Index:
        return Index(str(self.top / "index"))

    def ledger(self, name: str) -> Path:
        return self.ledgers / name


class Life:
    """One worker's: its number, its ledger and its beat.

    :param born: how often a worker with this number was started before
    """

    def __init__(self, place: Place, role: str, number: int, born: int, board: Board) -> None:
        self.place = place
        self.name = f"{role}-{number}"
        self.number = number
        self.born = born
        self._board = board
        path = place.ledger(self.name)
        before = [line[1] for line in noted(path, 2000) if line[0] == "begin"]
        self.next = max(before, default=0) + 1
        self._ledger = Ledger(path)

    def note(self, *what: Any) -> None:
        self._ledger.note(*what)

    def begin(self) -> int:
        """A number that this worker never had before, noted."""
        number, self.next = self.next, self.next + 1
        self._ledger.note("begin", number)
        return number

    def beat(self) -> bool:
        """Say that it lives; whether it is to go on."""
        self._board[self.number] += 1
        if self.place.pace:
            time.sleep(self.place.pace)
        return not self._board[len(ROLES)]


def append(life: Life) -> None:
    """Put numbers into a deque that all share."""
    deque = life.place.deque()
    while life.beat():
        number = life.begin()
        deque.append([life.name, number, "x" * (number % 7 * 10)])
        life.note("done", number)


def take(life: Life) -> None:
    """Take numbers out of it."""
    deque = life.place.deque()
    while life.beat():
        number = life.begin()
        with suppress(IndexError):
            found = deque.popleft()
            life.note("done", number, found[:2])


def index(life: Life) -> None:
    """Write one key of an index again and again."""
    names = life.place.index()
    while life.beat():
        number = life.begin()
        value = make(life.name, number, kind_of(number))
        names[life.name] = value
        life.note("done", number)


def count(life: Life) -> None:
    """Add to a counter of its own and to one of all."""
    cache = life.place.fanout()
    while life.beat():
        number = life.begin()
        cache.incr(life.name, retry=True)
        life.note("done", number)
        cache.incr("count of all", retry=True)
        life.note("all", number)


def claim(life: Life) -> None:
    """Try to be the first to add a key; all that do this try the same ones."""
    cache = life.place.fanout()
    while life.beat():
        number = life.begin()
        if cache.add(f"claim {number}", life.name, retry=True):
            life.note("won", number)


def lock(life: Life) -> None:
    """Do something that only one may do at a time, under a lock that does not expire."""
    cache = life.place.fanout()
    own = Lock(cache, "the lock")
    inside = life.place.ledger("inside")
    journal = Ledger(inside)
    # A worker of this name may have died with the lock: then it is still taken, for it.
    last = [line for line in noted(inside, 10_000) if line[1] == life.name][-1:]
    holder = cache.get("the lock", retry=True)
    if last and last[0][0] == "enter":
        if holder != life.name:
            life.note("wrong", "the lock", f"{life.name} died inside, now {holder} has it")
        journal.note("leave", *last[0][1:])
    if holder == life.name:
        own.release()
    while life.beat():
        number = life.begin()
        while not cache.add("the lock", life.name, retry=True):  # as Lock does, but it beats
            if not life.beat():
                return
            time.sleep(0.001)
        journal.note("enter", life.name, number)
        journal.note("leave", life.name, number)
        own.release()


def store(life: Life) -> None:
    """Set keys that all share to values of all kinds, and delete some."""
    cache = life.place.fanout()
    while life.beat():
        number = life.begin()
        key = f"key-{number * 7 % SHARED_KEYS}"
        if number % 9:
            cache.set(key, make(key, number, kind_of(number)), retry=True)
        else:
            cache.delete(key, retry=True)


def churn(life: Life) -> None:
    """Store more than there is room for, in a cache that evicts; clean it up now and then."""
    cache = life.place.churned()
    tidying: list[Callable[[], object]] = [
        cache.cull,
        cache.expire,
        cache.clear,
        lambda: cache.evict("some"),
    ]
    while life.beat():
        number = life.begin()
        key = f"key-{number % 500}"
        cache.set(key, make(key, number, kind_of(number)), tag="some", retry=True)
        if number % 300 == 0:
            tidying[number // 300 % len(tidying)]()


def read(life: Life) -> None:
    """Read what others store, and note what was never stored."""
    caches = [life.place.fanout(), life.place.churned()]
    while life.beat():
        number = life.begin()
        for cache in caches:
            key = f"key-{number % SHARED_KEYS}"
            value = cache.get(key, retry=True)
            if value is not None and version_of(key, value) is None:
                life.note("wrong", key, repr(value)[:200])


def checkpoint(life: Life) -> None:
    """Move the logs into the databases, as any writer does now and then."""
    while life.beat():
        with suppress(OSError):
            for path in life.place.top.rglob("cache.sqlite3"):
                life.beat()
                with suppress(sqlite3.OperationalError):  # it is locked, or not made yet
                    connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=0.01)
                    try:
                        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                    finally:
                        connection.close()


ROLES: list[Callable[[Life], None]] = [
    append, append, take, index, count, count, claim, claim, lock, lock, store, store, churn,
    read, checkpoint,
]  # fmt: skip


def work(place: Place, number: int, born: int, board: Board) -> None:
    """The life of worker `number`, until the board says stop."""
    role = ROLES[number]
    life = Life(place, role.__name__, number, born, board)
    while True:
        try:
            return role(life)
        except DOCUMENTED as error:
            life.note("raised", type(error).__name__, str(error))


# What must hold


def raised(place: Place) -> Counter[str]:
    """How often a documented exception reached a worker, by its role."""
    return Counter(
        path.name.partition("-")[0]
        for path in place.ledgers.iterdir()
        for line in noted(path)
        if line[0] == "raised"
    )


def _of(place: Place, role: str) -> dict[str, list[list[Any]]]:
    return {path.name: noted(path) for path in sorted(place.ledgers.glob(f"{role}-*"))}


def _done(lines: list[list[Any]]) -> list[int]:
    return [line[1] for line in lines if line[0] == "done"]


def lost_writes(place: Place, kills: Counter[str]) -> list[str]:
    """Every acknowledged write that is not there, and whatever else contradicts the ledgers.

    :param kills: how often each role was killed, for what may be in flight
    """
    return [
        *_lost_in_deque(place, kills["take"]),
        *_lost_in_index(place),
        *_lost_counts(place, kills["count"]),
        *_lost_claims(place),
        *_shared_locks(place),
        *_wrong(place),
    ]


def _lost_in_deque(place: Place, killed_takers: int) -> list[str]:
    problems = []
    left = [(item[0], item[1]) for item in place.deque()]
    taken = [
        (line[2][0], line[2][1])
        for lines in _of(place, "take").values()
        for line in lines
        if line[0] == "done"
    ]
    problems += [
        f"{item} is there {n} times" for item, n in Counter(left + taken).items() if n > 1
    ]
    missing = []
    for name, lines in _of(place, "append").items():
        have = {number for who, number in left + taken if who == name}
        missing += [(name, number) for number in _done(lines) if number not in have]
        extra = have - {line[1] for line in lines if line[0] == "begin"}
        problems += [f"{name} never appended {number}" for number in sorted(extra)]
        in_order = [number for who, number in left if who == name]
        if in_order != sorted(in_order):
            problems.append(f"the deque has the numbers of {name} in another order")
    # A taker that was killed may have had one in its hands.
    if len(missing) > killed_takers:
        problems.append(f"{len(missing)} lost from the deque, {killed_takers} takers killed")
    return problems


def _lost_in_index(place: Place) -> list[str]:
    problems = []
    names = place.index()
    for name, lines in _of(place, "index").items():
        last = max(_done(lines), default=0)
        begun = max((line[1] for line in lines if line[0] == "begin"), default=0)
        found = version_of(name, names[name]) if name in names else 0
        if found is None or not last <= found <= begun:
            problems.append(f"the index has {found} of {name}, acknowledged is {last}")
    return problems


def _lost_counts(place: Place, kills: int) -> list[str]:
    problems = []
    cache = place.fanout()
    everybody = 0
    for name, lines in _of(place, "count").items():
        done, begun = len(_done(lines)), sum(line[0] == "begin" for line in lines)
        everybody += sum(line[0] == "all" for line in lines)
        value = cache.get(name, 0, retry=True)
        if not done <= value <= begun:
            problems.append(f"{name} is {value}, of {done} acknowledged and {begun} begun")
    value = cache.get("count of all", 0, retry=True)
    if not everybody <= value <= everybody + kills:
        problems.append(f"all counted {everybody}, and the count is {value}")
    return problems


def _lost_claims(place: Place) -> list[str]:
    problems = []
    cache = place.fanout()
    winners: dict[int, str] = {}
    for name, lines in _of(place, "claim").items():
        for number in (line[1] for line in lines if line[0] == "won"):
            if number in winners:
                problems.append(f"claim {number} was won by {winners[number]} and {name}")
            winners[number] = name
            if cache.get(f"claim {number}", retry=True) != name:
                problems.append(f"claim {number} of {name} is lost")
    return problems


def _shared_locks(place: Place) -> list[str]:
    """Whoever entered while another was inside."""
    problems = []
    inside: str | None = None
    for kind, name, _ in noted(place.ledger("inside")):
        if kind == "enter" and inside is not None:
            problems.append(f"{name} entered while {inside} was inside")
        inside = name if kind == "enter" else None
    return problems


def _wrong(place: Place) -> list[str]:
    problems = []
    for lines in [*_of(place, "read").values(), *_of(place, "lock").values()]:
        problems += [f"wrong value: {line[1:]}" for line in lines if line[0] == "wrong"]
    cache = place.fanout()
    for key in (f"key-{number}" for number in range(SHARED_KEYS)):
        value = cache.get(key, retry=True)
        if value is not None and version_of(key, value) is None:
            problems.append(f"wrong value: {key} {value!r:.200}")
    return problems


def sweep(cache: Any) -> list[str]:
    """Let `check` remove what the dead left; what it has to say then."""
    for path in Path(cache.directory).rglob("*.val"):
        with suppress(FileNotFoundError):
            os.utime(path, (0, 0))  # nobody is about to give it a row
    cache.check(fix=True, retry=True)
    return [str(warning.message) for warning in cache.check(retry=True)]


def unsound(place: Place) -> list[str]:
    """What is wrong with any of the databases, and files that belong to no entry."""
    problems = []
    for cache in (place.fanout(), place.churned(), place.deque().cache, place.index().cache):
        before = [
            text
            for text in (str(warning.message) for warning in cache.check(retry=True))
            if not text.startswith("unknown file")
        ]
        problems += before + sweep(cache)
    return problems
