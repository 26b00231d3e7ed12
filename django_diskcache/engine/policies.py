"""What an eviction policy is, and the classic ones.

A policy notes hits in the access fields on the shared segment, with one plain store each, and
says which entries go first when room is needed. Nothing is written to SQLite for it. One of
your own is a subclass of `Policy`, given as `eviction_policy` by itself or by its dotted path.

There is one object for each engine and segment. What all processes are to know belongs on the
`Board`; what the object keeps itself is this process's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import ClassVar, NamedTuple, Protocol

EXACT = 256  # entries that are ranked all together
SAMPLE = 8  # entries looked at for each one that is evicted
CHUNK = 32  # neighbours read at a time
LEARNED = 256  # entries that stand for all
LEAST_LEARNED = 32  # to go by them at all
MOST_COUNTED = 2**16  # accesses; more make no difference to a count of frequency

TICKS = 1024  # of `LeastRecentlyUsed`, in a second
LAP = 2**32  # ticks after which the field begins anew: 48 days
COARSEST = 1.0  # seconds within which a second access makes no difference
FINENESS = 64  # of these parts in the age at which entries go

# Hands: how far the walk has come, and the first shard's for all, that age in ticks.
WALK, AGE = range(2)


class Entry(NamedTuple):
    """An entry as a policy sees it: live, not pinned, and not of a key just written."""

    id: int  # its place in the order of insertion, which an overwrite keeps
    store_time: float  # seconds since the epoch
    size: int  # bytes, about
    slot: int  # on the segment
    number: int  # hash of the key, 32 bits


class Fields(Protocol):
    """Unsigned 32-bit numbers on the segment, one per slot."""

    def __getitem__(self, slot: int, /) -> int: ...
    def __setitem__(self, slot: int, value: int, /) -> None: ...


class Hands(Protocol):
    """Eight signed 64-bit numbers of a shard that are the policy's own; zero at first."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class Board(Protocol):
    """The part of the shared segment that policies write on."""

    shards: int
    slots: int  # of each shard

    @property
    def access(self) -> Fields: ...
    @property
    def ghost(self) -> Fields: ...
    def hands(self, shard: int) -> Hands: ...
    def stamp(self, slot: int) -> None:
        """Let every process tell the policy of its next hit in `slot`."""


class Queue(Protocol):
    """The entries of one shard in the order of insertion."""

    number: int  # of the shard

    @property
    def entries(self) -> int:
        """How many there are, about."""

    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest id; (0, -1) if there is none."""

    def after(self, position: int, count: int) -> Sequence[Entry]:
        """Up to `count` entries with larger ids; none at the end."""


class Policy:
    """What a policy is; this one evicts nothing.

    `evicts` says whether the limits may remove entries at all, `tracks` whether `hit` and
    `stored` are to be called.
    """

    name: ClassVar[str] = "none"
    evicts: ClassVar[bool] = False
    tracks: ClassVar[bool] = False

    def __init__(self, board: Board) -> None:
        self.board = board

    def begin(self, queues: Sequence[Queue]) -> None:
        """The access fields, the ghost and the hands were just set to zero."""

    def hit(self, slot: int, now: float) -> float:
        """A live entry in `slot` was read at `now`, seconds since the epoch.

        :return: until when other reads of it make no difference, seconds since the epoch; a
            new stamp for the slot ends that at once
        """
        return now

    def stored(self, slot: int, number: int, now: float) -> bool:
        """An entry in `slot`, whose key has the hash `number`, was stored at `now`.

        :return: whether it was evicted lately
        """
        return False

    def victims(
        self, queues: Sequence[Queue], count: int, weigh: bool, now: float
    ) -> Iterable[tuple[Queue, Entry]]:
        """Entries that should go, the first ones first; the caller takes as many as it needs.

        Those that it takes are gone when it asks for the next one.

        :param count: how many that will be, about
        :param weigh: it is bytes that are needed
        :param now: seconds since the epoch
        """
        return ()


class Ranking(Policy):
    """A policy that gives each entry an age, or something like it, and evicts the oldest.

    Ages of different shards are comparable, since the limits are those of the whole cache. Up
    to `EXACT` entries are ranked all together. More of them are walked over in the order of
    insertion, again and again: what is older than seven in eight of those that were walked
    over lately goes. Neighbours are alike in age, so that a few of them are no fair sample;
    what was learned in the course of a whole round is.
    """

    evicts = True

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._learned: deque[float] = deque(maxlen=LEARNED)
        self._passed = 0
        self._cutoff = 0.0
        self._turn = 0

    def age(self, entry: Entry, now: float) -> float:
        """How far an entry has come; the highest goes first.

        :param now: when somebody stored something, seconds since the epoch
        """
        return now - entry.store_time

    def victims(
        self, queues: Sequence[Queue], count: int, weigh: bool, now: float
    ) -> Iterable[tuple[Queue, Entry]]:
        entries = sum(queue.entries for queue in queues)
        if entries <= EXACT or count >= entries:
            ranked = [
                (-self.age(entry, now), place, entry)
                for place, queue in enumerate(queues)
                for entry in _all(queue)
            ]
            return [(queues[place], entry) for _, place, entry in nsmallest(count, ranked)]
        return self._walk(queues, count, now, max(1, entries // LEARNED))

    def _walk(
        self, queues: Sequence[Queue], count: int, now: float, every: int
    ) -> Iterator[tuple[Queue, Entry]]:
        younger: list[tuple[float, int, Entry]] = []
        wanted = count
        looks = 2 * SAMPLE * count // CHUNK + 2
        for _ in range(looks):
            self._turn = (self._turn + 1) % len(queues)
            queue = queues[self._turn]
            for entry in self._ahead(queue):
                age = self.age(entry, now)
                self._learn(age, every)
                if age >= self._cutoff and len(self._learned) >= LEAST_LEARNED:
                    yield queue, entry
                    wanted -= 1
                else:
                    younger.append((-age, self._turn, entry))
        if wanted > 0:
            for _, place, entry in nsmallest(wanted, younger):
                yield queues[place], entry

    def _ahead(self, queue: Queue) -> Iterator[Entry]:
        hands = self.board.hands(queue.number)
        entries = queue.after(hands[WALK], CHUNK) or queue.after(queue.bounds()[0] - 1, CHUNK)
        for entry in entries:
            hands[WALK] = entry.id
            yield entry

    def _learn(self, age: float, every: int) -> None:
        self._passed += 1
        if self._passed >= every or len(self._learned) < LEAST_LEARNED:
            self._passed = 0
            self._learned.append(age)
            ages = sorted(self._learned)
            self._cutoff = ages[len(ages) - 1 - len(ages) // SAMPLE]


def _all(queue: Queue) -> Iterator[Entry]:
    position = queue.bounds()[0] - 1
    while entries := queue.after(position, EXACT):
        yield from entries
        position = entries[-1].id


class LeastRecentlyStored(Ranking):
    """The entry that was stored longest ago."""

    name = "least-recently-stored"


class LeastRecentlyUsed(Ranking):
    """The entry that was read or stored longest ago.

    The field has the time in ticks. An entry that was read a moment ago is not noted again: of
    the age at which entries go, what makes no difference to their order is a small part.
    """

    name = "least-recently-used"
    tracks = True

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._access = board.access
        self._hands = board.hands(0)

    def hit(self, slot: int, now: float) -> float:
        self._access[slot] = int(now * TICKS) % LAP or 1
        age = self._hands[AGE]
        return now + (min(COARSEST, age / (TICKS * FINENESS)) if age else COARSEST)

    def stored(self, slot: int, number: int, now: float) -> bool:
        self._access[slot] = int(now * TICKS) % LAP or 1
        return False

    def age(self, entry: Entry, now: float) -> float:
        accessed = self._access[entry.slot]
        stored = now - entry.store_time  # exact, for what has not been read since
        return min(stored, (int(now * TICKS) - accessed) % LAP / TICKS) if accessed else stored

    def victims(
        self, queues: Sequence[Queue], count: int, weigh: bool, now: float
    ) -> Iterable[tuple[Queue, Entry]]:
        for queue, entry in super().victims(queues, count, weigh, now):
            self._hands[AGE] = max(1, int(self.age(entry, now) * TICKS))
            yield queue, entry


class LeastFrequentlyUsed(Ranking):
    """The entry that was read least often, the longest stored one among equals."""

    name = "least-frequently-used"
    tracks = True

    def hit(self, slot: int, now: float) -> float:
        access = self.board.access
        count = access[slot]
        if count < MOST_COUNTED:
            access[slot] = count + 1
        return now

    def age(self, entry: Entry, now: float) -> float:
        # Seconds over 2**40 are less than 1: they only break ties.
        return (now - entry.store_time) / 2**40 - self.board.access[entry.slot]
