"""The limits: what writes do on their own account to keep a cache small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache
from django_diskcache.engine.budget import log_bytes
from tests.engine.soundness import assert_sound


class FakeClock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_writes_sweep_what_has_expired(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = FanoutCache(tmp_path, shards=1, clock=clock)
    for number in range(500):
        cache.set(number, number, expire=1)
    clock.now += 2
    # Each write looks at two rows, so a few rounds pass over all of them.
    for _ in range(5):
        for number in range(1000, 1600):
            cache.set(number, number)
    assert len(cache) == 600


def test_no_cull_limit_leaves_expiry_and_eviction_to_calls(tmp_path: Path) -> None:
    clock = FakeClock()
    cache = Cache(tmp_path, clock=clock, cull_limit=0, size_limit=100_000)
    for number in range(500):
        cache.set(number, b"x" * 1000, expire=1 if number < 100 else None)
    clock.now += 2
    for number in range(500, 1000):
        cache.set(number, b"x" * 1000)
    assert len(cache) == 1000
    assert cache.expire() == 100
    assert cache.volume() > 100_000
    assert cache.cull() > 0


@pytest.mark.parametrize("policy", ["least-recently-stored", "least-recently-used"])
def test_logs_do_not_push_entries_out(tmp_path: Path, policy: str) -> None:
    limit = 8 * 2**20
    cache = FanoutCache(tmp_path, shards=4, size_limit=limit, eviction_policy=policy)
    for number in range(6000):
        cache.set(number % 3000, b"x" * 1000)
    assert sum(map(log_bytes, cache.engine.stores)) < limit / 4
    assert len(cache) == 3000  # which need half of the limit


def test_the_size_limit_holds_and_the_newest_entry_stays(tmp_path: Path) -> None:
    limit = 4 * 2**20
    cache = FanoutCache(tmp_path, shards=2, size_limit=limit)
    for number in range(200):
        cache.set(number, b"x" * 100_000)
        assert number in cache
    assert cache.volume() <= limit
    assert len(cache) > 20


def test_a_policy_of_none_evicts_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size_limit=100_000, max_entries=10, eviction_policy="none")
    for number in range(300):
        cache.set(number, b"x" * 1000)
    assert len(cache) == 300
    assert cache.cull() == 0


def test_a_transaction_over_all_shards_of_a_full_cache(tmp_path: Path) -> None:
    cache = FanoutCache(tmp_path, shards=4, size_limit=2**20)
    for step in range(60):
        with cache.transact():
            for number in range(40):
                cache.set((step, number), b"x" * 3000)
    assert (59, 39) in cache
    assert cache.check() == []


DAMAGE = """
import sys
damaged = 0
with open(sys.argv[1], "r+b") as file:
    data = file.read()
    for start in range(0, len(data), 2048):
        page = data[start : start + 2048]
        # Of the table, not of an index.
        if page[0] == 13 and b"old-0100" in page and b"xxxx" in page:
            file.seek(start)
            file.write(b"*" * 2048)
            damaged += 1
sys.exit(damaged != 1)
"""


def test_damage_that_only_evictions_meet(tmp_path: Path) -> None:
    limit = 2_000_000
    with Cache(tmp_path, size_limit=limit) as cache:
        for number in range(300):
            cache[f"old-{number:04}"] = "x" * 1000
        (store,) = cache.engine.stores
        assert store.database.run("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]
        subprocess.run([sys.executable, "-c", DAMAGE, store.path], check=True)
        cache.close()
        for number in range(4000):
            assert cache.set(f"new-{number:04}", "x" * 1000)
        assert cache.faults()["corrupt"] == 1
        assert cache.volume() < limit
        assert_sound(cache)


def test_the_limit_on_entries_is_passed_by_a_thousandth_at_most(tmp_path: Path) -> None:
    with FanoutCache(tmp_path, shards=2, max_entries=3000, cull_frequency=100) as cache:
        most = 0
        for number in range(4000):
            cache.set(number, number)
            if number > 2990:
                most = max(most, cache.engine.limits.entries())
        assert 3000 <= most <= 3003
        assert len(cache) == cache.engine.limits.entries()


def test_sets_that_are_interrupted_after_their_commit_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache(tmp_path, max_entries=500) as cache:
        (store,) = cache.engine.stores
        run, commit = store.database.run, True

        def interrupted(sql: str, *more: Any) -> Any:
            result = run(sql, *more)
            if commit and sql.lstrip().startswith("INSERT"):
                raise KeyboardInterrupt  # as a signal handler does when the statement is done
            return result

        monkeypatch.setattr(store.database, "run", interrupted)
        for number in range(100):
            with pytest.raises(KeyboardInterrupt):
                cache.set(number, number)
        commit = False
        cache.set("last", 1)
        assert cache.engine.limits.entries() == len(cache) == 101
