"""Shards: how many, where keys go, and the collections that live beside them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Deque, Disk, FanoutCache, Index, JSONDisk
from tests.engine.soundness import assert_sound

ROOT = Path(__file__).parents[2]


def test_keys_are_spread(fanout: FanoutCache) -> None:
    fanout.set_many(dict.fromkeys(range(1000), 1))

    counts = [
        store.database.run("SELECT COUNT(*) FROM cache") for store in fanout.engine.stores
    ]
    assert all(150 < count < 350 for ((count,),) in counts)


@pytest.mark.parametrize("again", [1, 2, 8])
def test_a_directory_keeps_its_number_of_shards(
    again: int, make_fanout: Callable[..., FanoutCache]
) -> None:
    first = make_fanout(shards=3)
    first.set_many({number: number for number in range(100)})
    first.close()

    cache = make_fanout(shards=again, clock=lambda: 0.0)  # an engine of its own

    assert len(cache.engine.stores) == 3
    assert {key: cache[key] for key in cache} == {number: number for number in range(100)}


@pytest.mark.parametrize("shards", [0, -1, 1000, 2.0, "8", True, None])
def test_a_wrong_number_of_shards(shards: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shards=.* expected a whole number from 1 to 999"):
        FanoutCache(tmp_path / "c", shards=shards)
    assert not (tmp_path / "c").exists()


def test_limits_are_those_of_the_whole(make_fanout: Callable[..., FanoutCache]) -> None:
    # A value larger than a shard's part of the limit stays.
    cache = make_fanout(size_limit=4_000_000, shards=8)
    cache["large"] = "x" * 2_000_000
    for number in range(100):
        cache[number] = "x" * 1000

    assert cache["large"] == "x" * 2_000_000


def test_names_are_subdirectories(fanout: FanoutCache) -> None:
    top = Path(fanout.directory)
    for name in ("plain", "in/side", "with space", "ünï", "..."):
        assert Path(fanout.cache(name).directory) == top / "cache" / name
        assert Path(fanout.deque(name).directory) == top / "deque" / name
        assert Path(fanout.index(name).directory) == top / "index" / name
    fanout.close()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../b", "/absolute", "a//b", "a/", "a/.", "nul\0", None, 7],
)
def test_names_that_would_lead_elsewhere(name: Any, fanout: FanoutCache) -> None:
    before = sorted(Path(fanout.directory).parent.rglob("*"))
    for make in (fanout.cache, fanout.deque, fanout.index):
        with pytest.raises(ValueError, match="is no name for a"):
            make(name)
    assert sorted(Path(fanout.directory).parent.rglob("*")) == before


def test_sub_collections(fanout: FanoutCache) -> None:
    cache, queue, index = fanout.cache("name"), fanout.deque("name"), fanout.index("name")
    assert (type(cache), type(queue), type(index)) == (Cache, Deque, Index)
    cache["key"], index["key"] = "cache", "index"
    queue.append("deque")
    fanout["key"] = "fanout"
    assert (cache["key"], queue[0], index["key"]) == ("cache", "deque", "index")

    assert fanout.cache("name") is cache
    assert fanout.deque("name") is queue
    assert fanout.index("name") is index
    fanout.clear()
    assert (cache["key"], queue[0], index["key"]) == ("cache", "deque", "index")
    fanout.close()
    assert all(
        store.database.opened == 0
        for each in (cache, queue.cache, index.cache)
        for store in each.engine.stores
    )
    assert list(queue) == ["deque"]
    fanout.close()


def test_sub_collections_that_evict_nothing(fanout: FanoutCache) -> None:
    assert fanout.deque("d").cache.eviction_policy == "none"
    assert fanout.index("i").cache.eviction_policy == "none"
    assert fanout.cache("c").eviction_policy == "s3-fifo"
    fanout.close()


def test_the_arguments_of_sub_collections(make_fanout: Callable[..., FanoutCache]) -> None:
    fanout = make_fanout(disk=JSONDisk)
    cache = fanout.cache("c", timeout=7, size_limit=12345, statistics=1)
    assert (cache.timeout, cache.size_limit, cache.statistics) == (7, 12345, 1)
    assert type(cache.disk) is JSONDisk
    assert type(fanout.cache("plain", disk=Disk).disk) is Disk
    queue = fanout.deque("d", maxlen=2)
    queue.extend([1, 2, 3])
    assert (list(queue), queue.maxlen) == ([2, 3], 2)
    assert fanout.deque("d").maxlen is None
    assert type(queue.cache.disk) is JSONDisk
    fanout.close()


@pytest.mark.parametrize("made", range(5))
def test_a_process_killed_at_creation_leaves_the_number_of_shards(
    tmp_path: Path, made: int
) -> None:
    code = f"""
import os, signal, sys
from django_diskcache.engine import FanoutCache
from django_diskcache.engine.store import Store

create, left = Store.create, [{made}]

def create_or_die(store):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    create(store)

Store.create = create_or_die
FanoutCache(sys.argv[1], shards=5)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    with FanoutCache(tmp_path, shards=5 if made == 0 else 2) as cache:
        assert len(cache.engine.stores) == 5
        cache["key"] = 1
        assert_sound(cache)
