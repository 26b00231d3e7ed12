"""What a cache has done and holds, in figures: per shard, and for the whole.

Reading them costs the same at a thousand entries and at a hundred million: counters come from
the segment, bytes from the file system (`footprint`). How many entries a shard has, and how
many of them have expired and wait for the sweep, nobody counts at each write. Up to `EXACT` ids
of a shard are counted when asked for; of more a sample is: `RUNS` runs of neighbours, one at
the beginning of each equal part of the ids, whose density stands for that part. The more shards
there are, the shorter are the runs: about as many rows are looked at in all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, NamedTuple

from . import eviction, footprint, schema
from .engine import Engine
from .faults import KINDS as FAULT_KINDS
from .segment import FAULT_COUNTS, HITS, MISSES
from .store import Store

EXACT: Final = 4096  # ids of a shard that are all looked at
RUNS: Final = 32  # looked at where there are more
RUN: Final = EXACT // RUNS  # rows in each, where there is one shard
SHORTEST_RUN: Final = 32

REASONS: Final = ("size", "entries", "expired", "refused")


@dataclass(frozen=True)
class Figures:
    """Of one shard, or of all. Counts are those of all processes since the last reset.

    :param entries: how many there are, expired ones included; about, where `estimated`
    :param volume: bytes on disk, as ``du`` shows them
    :param size_limit: bytes; of a shard its equal part, which it may well exceed, because the
        limit is that of the whole
    :param evictions: entries that are gone, or were refused, by the reason: 'size', 'entries',
        'expired' and 'refused'
    :param freed: bytes of those that are gone
    :param ghost_hits: writes of a key that had been evicted lately
    :param expired_pending: entries that have expired and are still on disk; about, where
        `estimated`
    :param errors: faults that became a miss, by kind
    :param estimated: whether `entries` and `expired_pending` come from a sample
    """

    entries: int
    volume: int
    size_limit: int
    hits: int
    misses: int
    evictions: Mapping[str, int]
    freed: int
    ghost_hits: int
    expired_pending: int
    errors: Mapping[str, int]
    estimated: bool

    @property
    def hit_ratio(self) -> float | None:
        """Hits as a part of all reads, from 0 to 1; None when there were none."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None


@dataclass(frozen=True)
class ShardFigures(Figures):
    """Of the shard with this number."""

    number: int


@dataclass(frozen=True)
class NearFigures:
    """What this process keeps in its own memory; sizes in bytes."""

    entries: int
    bytes: int
    budget: int


@dataclass(frozen=True)
class Statistics(Figures):
    """Of a whole cache.

    Those of a cache on a server (`server.gauges.ServerFigures`) have the same properties, so
    that what is common is asked of either.

    :param counting: whether hits and misses are counted (the setting `statistics`)
    """

    counting: bool
    shards: Sequence[ShardFigures]
    near: NearFigures
    nodes: ClassVar[Sequence[Any]] = ()  # on no server
    told: ClassVar[bool] = True
    counts: ClassVar[tuple[str, str]] = ("entry", "entries")  # what `held` is a number of

    @property
    def held(self) -> int:
        """How many entries there are."""
        return self.entries

    @property
    def taken(self) -> int:
        """Bytes that they take."""
        return self.volume

    @property
    def gone(self) -> int:
        """Entries that are gone, or were refused, for any reason."""
        return sum(self.evictions.values())

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can have it."""
        shards = [{**asdict(each), "hit_ratio": each.hit_ratio} for each in self.shards]
        return {**asdict(self), "shards": shards, "hit_ratio": self.hit_ratio}


class Contents(NamedTuple):
    """What a shard holds; see `Figures`."""

    entries: int
    expired: int
    estimated: bool


NOTHING = Contents(0, 0, False)  # of a shard with a fault


def statistics(engine: Engine, safely: Callable[..., Contents]) -> Statistics:
    """The figures of a cache, as they are now.

    :param safely: what takes care of a shard with a fault, as `KeyedCache` does
    """
    engine.near.flush()
    shards = tuple(_shard(store, safely(NOTHING, contents, store)) for store in engine.stores)

    def added(name: str) -> int:
        return sum(getattr(shard, name) for shard in shards)

    return Statistics(
        entries=added("entries"),
        volume=footprint.beside_stores(engine.stores) + added("volume"),
        size_limit=engine.settings["size_limit"],
        hits=added("hits"),
        misses=added("misses"),
        evictions={name: sum(each.evictions[name] for each in shards) for name in REASONS},
        freed=added("freed"),
        ghost_hits=added("ghost_hits"),
        expired_pending=added("expired_pending"),
        errors={kind: sum(each.errors[kind] for each in shards) for kind in FAULT_KINDS},
        estimated=any(shard.estimated for shard in shards),
        counting=bool(engine.settings["statistics"]),
        shards=shards,
        near=NearFigures(
            len(engine.near), engine.near.size, engine.settings["near_cache_size"]
        ),
    )


def reset(engine: Engine) -> None:
    """Let all counters begin again at zero, for all processes."""
    engine.near.flush()
    faults = range(FAULT_COUNTS, FAULT_COUNTS + len(FAULT_KINDS))
    for kind in (HITS, MISSES, *eviction.REASONS.values(), *faults):
        for store in engine.stores:
            engine.segment.rebase(kind, store.number)


def contents(store: Store) -> Contents:
    """What has to be asked of the shard's database."""
    return Contents(*count(store))


def _shard(store: Store, found: Contents) -> ShardFigures:
    def total(kind: int) -> int:
        return store.segment.total(kind, store.number)

    gone = {name: total(kind) for name, kind in eviction.REASONS.items()}
    return ShardFigures(
        entries=found.entries,
        volume=footprint.of_store(store),
        size_limit=store.settings["size_limit"] // store.segment.shards,
        hits=total(HITS),
        misses=total(MISSES),
        evictions={name: gone[name] for name in REASONS},
        freed=gone["freed"],
        ghost_hits=gone["ghost_hits"],
        expired_pending=found.expired,
        errors={kind: total(FAULT_COUNTS + index) for index, kind in enumerate(FAULT_KINDS)},
        estimated=found.estimated,
        number=store.number,
    )


def count(store: Store) -> tuple[int, int, bool]:
    """Entries of a shard, how many of them have expired, and whether that is an estimate."""
    ((first, last),) = store.database.run(schema.ID_BOUNDS)
    if first is None:
        return 0, 0, False
    span = last - first + 1
    now = store.clock()
    if span <= EXACT:
        entries, _, expired = _run(store, now, first, last, EXACT)
        return entries, expired, False
    run = max(SHORTEST_RUN, RUN // store.segment.shards)
    whole = expired_whole = 0.0
    estimated = False
    for part in range(RUNS):
        start = first + span * part // RUNS
        end = first + span * (part + 1) // RUNS - 1
        found, farthest, expired = _run(store, now, start, end, run)
        number = float(found)
        if found == run and farthest < end:
            # Where each id is taken with the same chance, this has no bias.
            number = (end - start + 1) * (run - 1) / (farthest - start)
            estimated = True
        whole += number
        expired_whole += number * expired / found if found else 0.0
    return round(whole), round(expired_whole), estimated


def _run(store: Store, now: float, start: int, end: int, most: int) -> tuple[int, int, int]:
    """Of up to `most` rows between two ids: how many, the last id, how many have expired."""
    ((found, farthest, expired),) = store.database.run(
        schema.COUNT_RUN, (now, start, end, most)
    )
    return found, farthest or start, int(expired)
