"""Traffic over time: who writes it, what it says, and how much of it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import FanoutCache
from django_diskcache.engine.engine import Engine
from django_diskcache.engine.history import DAY, HOUR, MINUTE, Traffic
from django_diskcache.engine.segment import EVICTED_SIZE, FAULT_COUNTS
from tests.conftest import FakeClock
from tests.engine.processes import run_all

NOW = 1_700_000_040  # a whole minute, 14 minutes into an hour


@pytest.fixture
def made(make_fanout: Callable[..., FanoutCache], clock: FakeClock) -> FanoutCache:
    clock.now = float(NOW)
    cache = make_fanout(statistics=1)
    cache["key"] = 1
    return cache


def request(cache: FanoutCache, hits: int = 0, misses: int = 0) -> None:
    """What a request does: reads, and the housekeeping at its end."""
    engine_of(cache).history.note()  # as the end of an earlier request would have
    for _ in range(hits):
        cache.get("key")
    for _ in range(misses):
        cache.get("missing")
    engine_of(cache).tidy()


def engine_of(cache: FanoutCache) -> Engine:
    return cache._engine


def rows(cache: FanoutCache, step: int) -> list[Any]:
    sql = "SELECT at FROM history WHERE step = ? ORDER BY at"
    return [at for (at,) in engine_of(cache).stores[0].database.run(sql, (step,))]


def active(traffic: list[Traffic]) -> dict[int, tuple[int, int]]:
    """Hits and misses by minutes before NOW, of the parts that have any."""
    return {(t.start - NOW) // 60: (t.hits, t.misses) for t in traffic if t.reads}


def test_a_new_cache_has_no_traffic(made: FanoutCache) -> None:
    parts = engine_of(made).history.traffic(HOUR, MINUTE)
    assert len(parts) == 60
    assert parts[-1] == Traffic(NOW, 60)
    assert parts[0].start == NOW - 59 * 60
    assert parts[0].ratio is None


def test_traffic_belongs_to_its_minute(made: FanoutCache, clock: FakeClock) -> None:
    request(made, hits=3, misses=1)
    clock.advance(60)
    request(made, hits=5)
    clock.advance(180)
    request(made, misses=2)
    parts = engine_of(made).history.traffic(HOUR, MINUTE)
    assert active(parts) == {0: (3, 1), 1: (5, 0), 4: (0, 2)}
    assert parts[-5].ratio == 0.75


def test_longer_parts_add_up(made: FanoutCache, clock: FakeClock) -> None:
    for _ in range(30):
        request(made, hits=2, misses=1)
        clock.advance(60)
    parts = engine_of(made).history.traffic(DAY, 15 * MINUTE)
    assert len(parts) == 96
    assert [part.reads for part in parts if part.reads] == [3, 45, 42]
    assert sum(part.hits for part in engine_of(made).history.traffic(30 * DAY, HOUR)) == 60


def test_hours_are_kept_for_a_month_and_minutes_for_a_day(
    made: FanoutCache, clock: FakeClock
) -> None:
    for _ in range(40 * 8):
        request(made, hits=1)
        clock.advance(3 * HOUR)
    assert 8 <= len(rows(made, MINUTE)) <= 9
    assert 31 * 8 <= len(rows(made, HOUR)) <= 31 * 8 + 1
    assert sum(part.hits for part in engine_of(made).history.traffic(30 * DAY, 6 * HOUR)) > 235


def test_one_row_a_minute_whoever_writes(
    made: FanoutCache, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    database = engine_of(made).stores[0].database
    transact = database.transact

    def watched(*arguments: Any) -> Any:
        written.append(clock.now)
        return transact(*arguments)

    monkeypatch.setattr(database, "transact", watched)
    for _ in range(100):
        request(made, hits=1)
        clock.advance(1)
    assert written == [NOW, NOW + 60]
    assert rows(made, MINUTE) == [NOW, NOW + 60]


def test_a_reset_of_the_statistics_leaves_the_history(
    made: FanoutCache, clock: FakeClock
) -> None:
    request(made, hits=10)
    clock.advance(60)
    request(made, hits=1)
    made.stats(reset=True)
    request(made, hits=4)
    assert active(engine_of(made).history.traffic(HOUR, MINUTE)) == {0: (10, 0), 1: (5, 0)}


def test_evictions_and_errors_are_in_it(made: FanoutCache, clock: FakeClock) -> None:
    request(made)
    segment = engine_of(made).segment
    segment.add(EVICTED_SIZE, 1, 7)
    segment.add(FAULT_COUNTS, 0, 1)
    segment.add(FAULT_COUNTS + 2, 3, 1)
    last = engine_of(made).history.traffic(HOUR, MINUTE)[-1]
    assert (last.evicted, last.errors) == (7, 2)


def test_a_lost_segment_is_no_negative_traffic(
    made: FanoutCache, clock: FakeClock, tmp_path: Path
) -> None:
    request(made, hits=50)
    clock.advance(60)
    request(made)
    (tmp_path / "fanout" / "segment").unlink()
    clock.advance(60)
    engine_of(made).refresh()
    request(made, hits=2)
    parts = engine_of(made).history.traffic(HOUR, MINUTE)
    assert active(parts) == {0: (50, 0), 2: (2, 0)}


def test_a_locked_shard_leaves_it_to_the_next(
    made: FanoutCache, clock: FakeClock, make_fanout: Callable[..., FanoutCache]
) -> None:
    other = make_fanout(statistics=1, near_cache_size=0, stored=False)
    assert engine_of(other) is not engine_of(made)
    with other.transact():
        request(made, hits=3)  # waits for nothing and raises nothing
    clock.advance(0.5)
    request(made)
    with pytest.raises(Exception, match="no such table"):
        rows(made, MINUTE)
    clock.advance(0.5)
    request(made)
    assert rows(made, MINUTE) == [NOW]


def test_a_clock_set_back_is_followed(made: FanoutCache, clock: FakeClock) -> None:
    request(made)
    clock.advance(-2 * HOUR)
    request(made)
    assert rows(made, MINUTE) == [NOW - 2 * HOUR, NOW]


def test_closed_connections_stay_closed(made: FanoutCache) -> None:
    made.get("key")
    made.close()
    engine_of(made).tidy()
    assert [store.database.opened for store in engine_of(made).stores] == [0] * 4


def later() -> float:
    return NOW + 60.0


def count_in_a_process(directory: str) -> None:
    cache = FanoutCache(directory, clock=later, statistics=1)
    for _ in range(10):
        request(cache, hits=10)


def test_several_processes_count_nothing_twice(made: FanoutCache, clock: FakeClock) -> None:
    request(made, hits=1)
    run_all("spawn", count_in_a_process, [(made.directory,)] * 4)
    clock.advance(60)
    assert rows(made, MINUTE) == [NOW, NOW + 60]
    parts = engine_of(made).history.traffic(HOUR, MINUTE)
    assert active(parts) == {0: (1, 0), 1: (400, 0)}


def test_it_survives_a_restart(
    made: FanoutCache, clock: FakeClock, make_fanout: Callable[..., FanoutCache]
) -> None:
    request(made, hits=6)
    again = make_fanout(statistics=1, stored=False)
    assert active(engine_of(again).history.traffic(HOUR, MINUTE)) == {0: (6, 0)}


def test_counters_of_nonsense_do_not_end_a_request_with_an_error(
    made: FanoutCache, clock: FakeClock
) -> None:
    counters = engine_of(made).segment.counters
    counters[:] = memoryview((2**63 - 1).to_bytes(8, "little") * len(counters)).cast("q")
    engine_of(made).close()  # as when the generation has changed, which is among them
    request(made)
    made["key"] = 2
    clock.advance(MINUTE)
    request(made, hits=1)
    assert rows(made, MINUTE)
