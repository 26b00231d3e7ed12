"""What every eviction policy must do, each of ours and one of a user's own; and S3-FIFO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import pytest

from django_diskcache.engine import EVICTION_POLICY, Cache, FanoutCache, eviction
from django_diskcache.engine.eviction import evict
from django_diskcache.engine.fifo import GHOST_CLOCK, MARKED, S3FIFO, SMALL
from django_diskcache.engine.policies import Entry, Policy, Queue
from django_diskcache.testing.conformance import PolicyConformance
from tests.conftest import FakeClock

EVICTING = [name for name, policy in EVICTION_POLICY.items() if policy.evicts]


class LargestFirst(Policy):
    """A policy of one's own."""

    name = "largest-first"
    evicts = True

    def victims(
        self, queues: Sequence[Queue], count: int, weigh: bool, now: float
    ) -> Iterable[tuple[Queue, Entry]]:
        found = [
            (queue, entry)
            for queue in queues
            for entry in queue.after(queue.bounds()[0] - 1, 999)
        ]
        return sorted(found, key=lambda pair: -pair[1].size)[:count]


class Conformance(PolicyConformance):
    @pytest.fixture(autouse=True, params=[*EVICTING, LargestFirst], ids=[*EVICTING, "own"])
    def _policy(self, request: pytest.FixtureRequest) -> None:
        self.policy = request.param


class TestWithOneShard(Conformance):
    shards = 1


class TestWithFourShards(Conformance):
    shards = 4


def test_a_policy_by_its_dotted_path_and_what_is_none(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(eviction_policy=f"{__name__}.LargestFirst")
    assert cache.eviction_policy is LargestFirst
    assert type(cache.engine.limits.policy) is LargestFirst
    for wrong in ("no.such.module", f"{__name__}.Conformance", dict, "s3fifo"):
        with pytest.raises(
            ValueError, match=r"subclass of Policy|one of s3-fifo.*did you mean"
        ):
            make_cache("other", eviction_policy=wrong)


def test_a_policy_is_kept_and_so_is_what_it_has_noted(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache(eviction_policy="least-frequently-used")
    cache["key"] = 1
    cache.get("key", tag=True)
    other = make_cache(clock=lambda: clock.now)
    assert type(other.engine.limits.policy) is EVICTION_POLICY["least-frequently-used"]
    _, place = other.engine.place("key")
    segment = other.engine.segment
    assert segment.access[segment.slot(place[2])] == 1


def test_the_directory_names_no_class_that_would_be_imported(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache(eviction_policy=LargestFirst)
    run = cache.engine.stores[0].database.run
    assert ("eviction_policy",) not in run("SELECT key FROM settings")
    run("INSERT INTO settings VALUES ('eviction_policy', ?)", (f"{__name__}.LargestFirst",))
    assert make_cache(clock=lambda: clock.now).eviction_policy == "s3-fifo"


# S3-FIFO


def fifo(cache: Any) -> S3FIFO:
    policy = cache.engine.limits.policy
    assert type(policy) is S3FIFO
    return policy


@pytest.mark.parametrize("frequency", [1000, 20])
def test_what_was_read_stays_and_a_scan_passes(
    make_fanout: Callable[..., FanoutCache], frequency: int
) -> None:
    cache = make_fanout(max_entries=100, cull_frequency=frequency)
    for number in range(50):
        cache[f"hot-{number}"] = 1
        cache.get(f"hot-{number}")
    for number in range(1000):
        cache[f"scan-{number}"] = 1
        cache.get(f"hot-{number % 50}")
    assert sum(f"hot-{number}" in cache for number in range(50)) >= 48


def test_hits_are_counted_to_three_and_then_make_no_difference(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache()
    cache["key"] = "text"
    store, place = cache.engine.place("key")
    slot = store.segment.slot(place[2])
    counts = []
    for _ in range(6):
        cache.get("key")
        counts.append(store.segment.access[slot])
    assert counts == [1, 2, 3, 3, 3, 3]
    looked = []
    note = cache.engine.near.note
    assert note is not None

    def noted(slot: int, now: float) -> float:
        looked.append(slot)
        return note(slot, now)

    cache.engine.near.note = noted
    for _ in range(5):
        cache.get("key")
    assert looked == []  # a hit costs nothing more
    fifo(cache).set_back(slot)  # a hand passes
    cache.get("key")
    assert store.segment.access[slot] == 1  # and the next hit counts again, near cache or not


def test_a_key_that_went_is_known_when_it_comes_back(
    make_cache: Callable[..., Cache], clock: FakeClock
) -> None:
    cache = make_cache(max_entries=100, cull_frequency=1000)
    for number in range(110):
        cache[number] = 1
    assert 0 not in cache
    assert cache.evictions()["ghost_hits"] == 0
    cache[0] = 1
    assert cache.evictions()["ghost_hits"] == 1
    store, place = cache.engine.place(0)
    assert store.segment.access[store.segment.slot(place[2])] & MARKED
    for number in range(200, 290):  # it would be gone without its mark
        cache[number] = 1
    assert 0 in cache
    cache["other"] = 1  # a new key is no ghost
    assert cache.evictions()["ghost_hits"] == 1


def test_the_ghost_forgets_after_as_many_as_there_are(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(max_entries=50, cull_frequency=1000, size_limit=2**27)
    for number in range(500):
        cache[number] = 1
    for number in range(300):
        cache[number] = 1
    assert cache.evictions()["ghost_hits"] < 30


def test_sizes_count_where_bytes_are_short(make_cache: Callable[..., Cache]) -> None:
    def kept(weigh: bool) -> int:
        cache = make_cache(f"weigh-{weigh}", size_limit=2**30)
        for number in range(300):
            large = number % 20 == 0
            cache[number] = b"x" * (20_000 if large else 100)
            cache.get(number)
        policy, store = fifo(cache), cache.engine.stores[0]
        evict([store], policy, size=100_000 * weigh, entries=0 if weigh else 5)
        return sum(number in cache for number in range(0, 300, 20))

    # One hit of a giant is not enough, where bytes are what is short.
    assert kept(weigh=True) <= 10
    assert kept(weigh=False) >= 14


def test_a_new_segment_begins_with_old_entries_in_the_main_queue(
    make_cache: Callable[..., Cache], tmp_path: Any
) -> None:
    cache = make_cache(max_entries=1000)
    for number in range(1000):
        cache[number] = 1
    (tmp_path / "cache" / "segment").unlink()
    cache.engine.refresh()
    assert cache.engine.segment.hands(0)[0] == 900


def test_two_that_evict_at_once_set_nothing_back(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache()
    for number in range(600):
        cache[number] = number
    (store,) = cache.engine.stores
    policy, hands = fifo(cache), store.segment.hands(0)

    def victims(count: int) -> Iterable[tuple[Queue, Entry]]:
        return iter(policy.victims([eviction.Queue(store, (), 0.0)], count, False, 0.0))

    slow: Any = victims(1)
    next(slow)
    assert len(list(islice(victims(50), 50))) == 50
    hand, clock = hands[SMALL], hands[GHOST_CLOCK]
    assert clock == 50
    slow.close()
    assert (hands[SMALL], hands[GHOST_CLOCK]) == (hand, clock + 1)
