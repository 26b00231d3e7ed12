"""A cluster: every method over three nodes, slots that move, nodes that fail."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import BoundedSemaphore
from django_diskcache.engine.errors import Fault
from django_diskcache.engine.queues import ORIGIN
from django_diskcache.server import ServerCache
from tests.conftest import FakeClock

from .clusters import Cluster, clustered
from .conftest import listening, patience
from .servers import Server, required, until


def opened(cluster: Cluster, **arguments: Any) -> ServerCache:
    arguments = {"secret": "secret", "statistics": 1, **arguments}
    return ServerCache(cluster.urls, patience(), **arguments)


def hasty(cluster: Cluster) -> ServerCache:
    """A cache that has time for answers, and none for a move."""
    cache = opened(cluster)
    cache.engine.link.nodes()  # the first look has a deadline as well
    cache.engine.link.patience = 0.0
    return cache


@pytest.fixture
def cache(cluster: Cluster) -> Iterator[ServerCache]:
    with opened(cluster) as cache:
        yield cache


def key_on(cache: ServerCache, server: Server) -> tuple[str, int]:
    """A key whose bucket is on this node, and its slot."""
    number = 0
    while True:
        name, digest, _ = cache.engine.place(f"{number}")
        if cache.engine.link.at(digest & 255).name.endswith(f":{server.port}"):
            with server.client() as client:
                return f"{number}", client.execute_command("CLUSTER KEYSLOT", name)
        number += 1


def test_every_method(cache: ServerCache, cluster: Cluster) -> None:
    items = {f"{number}": number for number in range(300)}
    assert cache.set_many(items, tag="tag") == []
    assert cache.get_many([*items, "missing"]) == items
    sizes = []
    for node in cluster.nodes:
        with node.client() as client:
            sizes.append(client.dbsize())
    assert min(sizes) > 100

    for number in range(0, 300, 50):
        assert cache.get(f"{number}", tag=True) == (number, "tag")
        assert cache.incr(f"{number}") == number + 1
        assert cache.touch(f"{number}", 60)
        assert cache.add(f"{number}", 0) is False
        assert cache.pop(f"{number}") == number + 1
        assert cache.add(f"{number}", 0, tag=("tag", "other"))
        assert cache.delete(f"{number}")
        assert cache.set(f"{number}", number, tag="other")
    assert len(cache) == len(set(cache)) == 300
    assert cache.evict("other") == 6
    assert cache.delete_many(["1", "2", "3", "missing"]) == 3
    assert cache.evict("tag") == 291
    assert cache.set_many(items) == []
    assert cache.clear() == 300
    assert len(cache) == 0
    assert cache.stats(reset=True) == (312, 1)
    assert cache.stats() == (0, 0)
    assert sum(cache.faults().values()) == 0


def test_every_group_of_methods(cluster: Cluster, clock: FakeClock) -> None:
    """Keys on all nodes; what is one step has its keys in one slot."""
    with opened(cluster, clock=clock) as cache:
        _times_and_tags(cache)
        _keys(cache)
        _locks_and_rates(cache)
        asyncio.run(_on_loop(cache))
        assert sum(cache.faults().values()) == 0


def _times_and_tags(cache: ServerCache) -> None:
    numbers = range(0, 300, 3)
    for number in range(300):
        tag = ("third", "all") if number in numbers else "all"
        assert cache.set(f"key:{number}", number, expire=60, tag=tag)

    for number in range(0, 300, 20):
        key = f"key:{number}"
        assert cache.ttl(key) == 60
        assert cache.get(key, touch=600) == number
        assert cache.ttl(key) == 600
        assert cache.expire_in(key, 900)
        assert cache.persist(key)
        assert cache.ttl(key) is None
        assert cache.tags(key)[-1] == "all"
        assert cache.update(key, lambda value: (value, [value], None), tag="new") == number
        assert cache.get(key, tag=True) == ([number], "new")
    assert cache.set_many({f"s:{n}": n for n in range(100)}, expire=60, spread=0.5) == []


def _keys(cache: ServerCache) -> None:
    assert len(cache.keys("key:*")) == 300
    assert sorted(cache.keys("key:?1")) == [f"key:{n}1" for n in range(1, 10)]
    assert sorted(cache.keys("*:1?", tag="third")) == ["key:12", "key:15", "key:18"]
    assert len(cache.keys_by_tag(("third", "all"), match="all")) == 95
    assert len(cache.keys_by_tag(("third", "new"))) == 95 + 15
    assert cache.evict(("third", "all"), match="all") == 95
    assert cache.evict(("third", "new")) == 15
    assert cache.evict([f"tag:{number}" for number in range(20)] + ["all"]) == 190
    assert cache.delete_pattern("s:?") == 10
    assert cache.delete_prefix("s:") == 90
    assert len(cache) == 0


def _locks_and_rates(cache: ServerCache) -> None:
    for number in range(10):  # on several nodes
        with cache.lock(f"{number}", timeout=60) as lock:
            assert lock.extend(5)
            assert not cache.lock(f"{number}", blocking=False).acquire()
        with cache.semaphore(f"two:{number}", 2), cache.semaphore(f"two:{number}", 2):
            assert cache.semaphore(f"two:{number}", 2).locked()
        assert cache.once_per(f"{number}", 60)
        assert not cache.once_per(f"{number}", 60)
        assert [bool(cache.allow(f"{number}", 1, 600)) for _ in range(2)] == [True, False]


async def _on_loop(cache: ServerCache) -> None:
    for number in range(5):
        key = f"loop:{number}"
        await cache.aset(key, number, tag=("a", "b"))
        assert await cache.aget(key, touch=60) == number
        assert await cache.attl(key) == 60
        async with cache.alock(key):
            assert await cache.aevict(("a", "b"), match="all") == 1


def test_collections_and_queues(cache: ServerCache, cluster: Cluster) -> None:
    for number in range(12):  # of which each node gets some
        queue, index = cache.deque(f"{number}", maxlen=300), cache.index(f"{number}")
        queue.extend(range(400))
        queue.rotate(7)
        queue.reverse()
        queue.remove(200)
        model = deque(range(400), 300)
        model.rotate(7)
        model.reverse()
        model.remove(200)
        assert list(queue) == list(model)
        assert queue.pop() == model.pop()
        index.update((f"{n}", n) for n in range(300))
        index.move_to_end("7")
        assert index.push("value", prefix="queue") == f"queue-{ORIGIN}"
        assert index.pull(prefix="queue") == (f"queue-{ORIGIN}", "value")
        assert index.popitem() == ("7", 7)
        assert len(index) == len(list(index)) == 299
    sizes = []
    for node in cluster.nodes:
        with node.client() as client:
            sizes.append(client.dbsize())
    assert min(sizes) > 0

    keys = [cache.push(number, prefix="queue") for number in range(20)]
    assert cache.peek(prefix="queue", side="back") == (keys[-1], 19)
    assert [cache.pull(prefix="queue") for _ in keys] == list(zip(keys, range(20), strict=True))
    semaphore = BoundedSemaphore(cache, "semaphore", 2)
    with semaphore, semaphore:
        assert cache["semaphore"] == 0
    queue.clear()
    assert (len(queue), cache.clear()) == (0, 1)
    assert sum(cache.faults().values()) == 0


def test_one_node_of_a_cluster_is_not_the_cluster(cluster: Cluster) -> None:
    with ServerCache(cluster.nodes[0].url, patience()) as cache:
        stored = [cache.set(f"{number}", number) for number in range(100)]
        assert {True, False} == set(stored)
        assert cache.faults()["other"] == sum(cache.faults().values()) == stored.count(False)
        with pytest.raises(Fault, match="takes a list of nodes"):
            cache[f"{stored.index(False)}"]


def test_scripts_and_many_keys_say_as_well_that_one_node_is_not_the_cluster(
    cluster: Cluster,
) -> None:
    with ServerCache(cluster.nodes[0].url, strict=True) as cache:
        for call in (lambda: cache.evict("tag"), lambda: cache.get_many(list("abcdefgh"))):
            with pytest.raises(Fault, match="takes a list of nodes"):
                call()


def test_a_server_that_is_no_cluster(server: Server) -> None:
    with ServerCache([server.url], strict=True) as cache:
        for _ in range(2):  # the second time it is not asked
            with pytest.raises(Fault, match="takes a text then, not a list"):
                cache.get("key")


def test_all_nodes_tell_of_changes(cache: ServerCache, cluster: Cluster) -> None:
    with opened(cluster) as other:
        listening(cache)
        for node in cluster.nodes:
            key, _ = key_on(cache, node)
            cache.set(key, 1)
            assert cache.get(key) == 1
            assert cache.engine.near.knows(key)

            other.set(key, 2)

            until(lambda key=key: cache.get(key) == 2, "an invalidation")


def read_on_each(cache: ServerCache, cluster: Cluster) -> list[str]:
    """A key on each node, which is remembered from now on."""
    listening(cache)
    keys = [key_on(cache, node)[0] for node in cluster.nodes]
    for key in keys:
        cache.set(key, 1)
        assert cache.get(key) == 1
    assert [key for key in keys if remembers(cache, key)] == keys
    return keys


def remembers(cache: ServerCache, key: str) -> bool:
    return cache.engine.near.knows(key) is not None


def test_a_look_that_finds_what_was_known_forgets_nothing(
    cluster: Cluster, clock: FakeClock
) -> None:
    with opened(cluster, clock=clock) as cache:
        keys = read_on_each(cache, cluster)

        cache.engine.link.look()

        assert all(remembers(cache, key) for key in keys)


def test_a_slot_that_moves_is_all_that_is_forgotten(cluster: Cluster, clock: FakeClock) -> None:
    source, target = cluster.nodes[:2]
    with opened(cluster, clock=clock) as cache:
        keys = read_on_each(cache, cluster)
        key, slot = key_on(cache, source)
        assert key == keys[0]

        for one, other in ((source, target), (target, source)):
            cluster.begin_moving(slot, one, other)
            cluster.move_keys(slot, one, other)
            cluster.end_moving(slot, other)
            cache.engine.link.look()

            assert [each for each in keys if remembers(cache, each)] == keys[1:]
            # What has left the old node is told once more.
            until(lambda: cache.get(key) == 1 and remembers(cache, key), "a listener")
        assert sum(cache.faults().values()) == 0


def test_what_a_node_was_to_tell_of_is_forgotten_with_its_connection(
    cluster: Cluster, clock: FakeClock
) -> None:
    with opened(cluster, clock=clock, statistics=0) as cache:
        keys = read_on_each(cache, cluster)
        first = cluster.nodes[0]
        with first.client() as client:
            own = [client.client_id()]
            for each in client.client_list():
                if int(each["id"]) not in own:
                    client.client_kill_filter(_id=each["id"])

        until(lambda: not remembers(cache, keys[0]), "a look at the connections")

        assert [key for key in keys if remembers(cache, key)] == keys[1:]


def test_a_slot_that_moves(cache: ServerCache, cluster: Cluster) -> None:
    source, target = cluster.nodes[:2]
    key, slot = key_on(cache, source)
    with opened(cluster) as other:
        listening(cache)
        other.set(key, 1)

        cluster.begin_moving(slot, source, target)
        # What is asked for is sent on to where it will be.
        assert cache.get(key) == 1
        with hasty(cluster) as another:  # its hints would be in the other place
            assert another.set(key, 5, tag="tag") is False
            assert another.faults()["down"] == sum(another.faults().values()) == 1
        cluster.move_keys(slot, source, target)
        assert cache.get(key) == 1
        assert cache.set(key, 2)
        assert cache.incr(key) == 3
        assert cache.get_many([key]) == {key: 3}
        assert cache.set_many({key: 4}) == []
        assert cache.add(key, 1) is False
        with hasty(cluster) as another:  # its hints have nowhere to be meanwhile
            assert another.set(key, 5, tag="tag") is False
            assert another.faults()["down"] == sum(another.faults().values()) == 1
        assert cache.delete_many([key]) == 1
        assert cache.set(key, 4)
        cluster.end_moving(slot, target)

        assert cache.get(key) == 4
        assert other.get(key) == 4
        assert cache.set(key, 5)
        assert cache.get_many([key, "other"]) == {key: 5}
        assert cache.set_many({key: 6, "other": 1}, tag="tag") == []
        assert cache.evict("tag") == 2
        assert cache.set(key, 7)

        # The new node tells of changes, and the old one's silence is no promise.
        until(lambda: cache.get(key) == 7 and cache.engine.near.knows(key), "a listener")
        other.set(key, 8)
        until(lambda: cache.get(key) == 8, "an invalidation")
        assert sum(cache.faults().values()) == 0


def test_a_collection_whose_slot_moves(cache: ServerCache, cluster: Cluster) -> None:
    queue = cache.deque("moves")
    queue.extend(range(10))
    assert queue.popleft() == 0
    (name, _) = queue.cache._names
    source = next(node for node in cluster.nodes if has(node, name))
    target = next(node for node in cluster.nodes if node is not source)
    with source.client() as client:
        slot = client.execute_command("CLUSTER KEYSLOT", name)

    cluster.begin_moving(slot, source, target)
    queue.append(10)  # all of it is where it was
    with source.client() as client:
        client.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
    with hasty(cluster) as another:  # the half of it is in the other place
        with pytest.raises(Fault) as caught:
            another.deque("moves").append(11)
        assert caught.value.kind == "down"
    cluster.move_keys(slot, source, target)
    queue.append(11)
    cluster.end_moving(slot, target)

    assert queue.popleft() == 1
    assert list(queue) == list(range(2, 12))


def has(node: Server, name: bytes) -> bool:
    with node.client() as client:
        return name in set(client.scan_iter())


@pytest.mark.long
def test_a_node_that_comes_and_goes(tmp_path: Path) -> None:
    """It is asked from its first slot on, and left alone when its last one is gone."""
    required()
    with clustered(tmp_path) as cluster:
        first, new = cluster.nodes[0], cluster.add()
        name = f"valkey://127.0.0.1:{new.port}"
        with opened(cluster) as cache:
            listening(cache)
            key, slot = key_on(cache, first)
            cache.set(key, 1)
            threads = threading.active_count()

            cluster.begin_moving(slot, first, new)
            cluster.move_keys(slot, first, new)
            assert cache.get(key) == 1  # sent on, to a node that has no slot yet
            cluster.end_moving(slot, new)
            until(lambda: cache.get(key) == 1 and cache.engine.near.knows(key), "a listener")
            assert name in [node.name for node in cache.engine.link.known()]
            assert threading.active_count() == threads + 1

            cluster.begin_moving(slot, new, first)
            cluster.move_keys(slot, new, first)
            cluster.end_moving(slot, first)
            new.kill()
            until(lambda: cache.get(key) == 1, "the way back")
            cache.engine.link.look()
            assert name not in [node.name for node in cache.engine.link.known()]
            until(lambda: threading.active_count() == threads, "the end of its listener")
            until(lambda: cache.engine.listening, "all others")


@pytest.mark.long
def test_a_node_that_fails_is_replaced(tmp_path: Path) -> None:
    required()
    with clustered(tmp_path, patience=1000) as cluster:
        replica = cluster.add(replica_of=cluster.nodes[0])
        with opened(cluster) as cache:
            listening(cache)
            key, _ = key_on(cache, cluster.nodes[0])
            elsewhere, _ = key_on(cache, cluster.nodes[1])
            cache.set(key, 1)
            cache.set(elsewhere, 1)
            with cluster.nodes[0].client() as client:
                assert client.wait(1, 5000) == 1
            cluster.nodes[0].kill()

            with pytest.raises(Fault):
                cache.incr(key)
            until(lambda: cache.get(key) == 1, "the takeover of the replica")

            assert cache.engine.link.at(cache.engine.place(key)[1] & 255).name.endswith(
                f":{replica.port}"
            )
            # The other nodes may not have heard of it yet, and say that they are down.
            until(lambda: cache.get(elsewhere) == 1, "the news of it")
            until(lambda: cache.set(key, 2), "a set on the new node")


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with ServerCache(["valkey://127.0.0.1:1", "valkey://127.0.0.1:2"], timeout=0.2) as cache:
        assert cache.get("key", "default") == "default"
        assert cache.set("key", 1) is False
        assert cache.get_many(["key"]) == {}
        assert cache.set_many({"key": 1}) == ["key"]
        assert cache.clear() == 0
        assert len(cache) == 0
        with pytest.raises(Fault):
            cache.incr("key")
        assert sum(cache.faults().values()) >= 6
