"""Eviction policies: which entries go first when the cache is full.

A policy notes each hit in the slot's access field on the shared segment, with one plain store,
and ranks entries by what it finds there: the lowest rank goes first. Nothing is written to
SQLite for it. Ranks of different shards are comparable, since the limits are those of the
whole cache. Up to `EXACT` entries are ranked whole; more of them by a random sample, which for
the least recently used comes within a fraction of a per cent of the exact order.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Protocol

from . import schema

if TYPE_CHECKING:
    from .store import Store

EXACT = 512  # entries that are ranked all together
SAMPLE = 8  # entries looked at for each one that is evicted
RUN = 8  # neighbours read at each random place
MOST_COUNTED = 2**16  # accesses; more make no difference to a count of frequency


class AccessFields(Protocol):
    """Access fields on the segment: one unsigned 32-bit number per slot."""

    def __getitem__(self, slot: int, /) -> int: ...
    def __setitem__(self, slot: int, value: int, /) -> None: ...


class Policy:
    """What a policy is; this one evicts nothing.

    `evicts` says whether the limits may remove entries at all, `tracks` whether `hit` and
    `stored` are to be called.
    """

    name = "none"
    evicts = False
    tracks = False

    def hit(self, access: AccessFields, slot: int, now: float) -> float:
        """A live entry in `slot` was read at `now`, seconds since the epoch.

        :return: until when other reads of it make no difference, seconds since the epoch
        """
        return now

    def stored(self, access: AccessFields, slot: int, now: float) -> None:
        """An entry in `slot` was stored at `now`, seconds since the epoch."""

    def rank(self, store_time: float, access: int) -> float:
        """Where an entry stands; the lowest rank goes first."""
        return store_time


class LeastRecentlyStored(Policy):
    """The entry that was stored longest ago."""

    name = "least-recently-stored"
    evicts = True


class LeastRecentlyUsed(Policy):
    """The entry that was read or stored longest ago, to the second."""

    name = "least-recently-used"
    evicts = True
    tracks = True

    def hit(self, access: AccessFields, slot: int, now: float) -> float:
        second = int(now)
        access[slot] = second & 0xFFFFFFFF
        return second + 1.0

    def stored(self, access: AccessFields, slot: int, now: float) -> None:
        self.hit(access, slot, now)

    def rank(self, store_time: float, access: int) -> float:
        # The exact store time orders what has not been read since.
        return max(store_time, access)


class LeastFrequentlyUsed(Policy):
    """The entry that was read least often, the longest stored one among equals."""

    name = "least-frequently-used"
    evicts = True
    tracks = True

    def hit(self, access: AccessFields, slot: int, now: float) -> float:
        count = access[slot]
        if count < MOST_COUNTED:
            access[slot] = count + 1
        return now

    def rank(self, store_time: float, access: int) -> float:
        return access + store_time / 2**40  # a time is below 2**40: it only breaks ties


EVICTION_POLICY = {
    policy.name: policy
    for policy in (Policy(), LeastRecentlyStored(), LeastRecentlyUsed(), LeastFrequentlyUsed())
}


def victims(
    stores: Sequence[Store], count: int, spare: tuple[Store, Collection[int]] | None
) -> list[tuple[Store, list[int]]]:
    """The ids of up to `count` entries that should go first, by shard.

    :param spare: a shard and the slots of the keys just written, which are no victims
    """
    spans = [_span(store) for store in stores]
    sampled = sum(spans) > EXACT and count < EXACT
    if sampled:
        # Keys are spread by their hash, so one shard is a fair sample of a large cache.
        stores = random.choices(stores, spans)
    ranked: list[tuple[float, int, int]] = []
    for number, store in enumerate(stores):
        spared = spare[1] if spare and spare[0] is store else ()
        candidates = _candidates(store, count, spared)
        if sampled:  # few of few: the newest of a shard that has little left are to stay
            count = max(1, min(count, len(candidates) // SAMPLE))
        ranked += [(rank, number, each) for rank, each in nsmallest(count, candidates)]
    chosen: dict[int, list[int]] = {}
    for _, number, each in nsmallest(count, ranked):
        chosen.setdefault(number, []).append(each)
    return [(stores[number], ids) for number, ids in chosen.items()]


def _span(store: Store) -> int:
    """Of the ids; no fewer than there are entries."""
    ((first, last),) = store.database.run(schema.ID_BOUNDS)
    return 0 if first is None else int(last - first + 1)


def _candidates(store: Store, count: int, spared: Collection[int]) -> list[tuple[float, int]]:
    rank = store.policy.rank
    access = store.segment.access
    result = []
    for each, key, raw, signature, store_time in _rows(store, count):
        slot = store.slot(key, raw, signature)
        if slot not in spared:
            result.append((rank(store_time, access[slot]), each))
    return result


def _rows(store: Store, count: int) -> list[tuple[Any, ...]]:
    wanted = count * SAMPLE
    ((first, last),) = store.database.run(schema.ID_BOUNDS)
    if first is None or last - first < max(EXACT, wanted):
        return store.database.run(schema.RANK_ALL)
    rows = {}
    for _ in range(-(-wanted // RUN)):
        place = random.randint(first, last)
        for row in store.database.run(schema.RANK_RUN, (place, RUN)):
            rows[row[0]] = row
    return list(rows.values())
