"""A cluster: every method over three nodes, slots that move, nodes that fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.server import ServerCache

from .clusters import Cluster, clustered
from .conftest import listening
from .servers import Server, required, until


def opened(cluster: Cluster, **arguments: Any) -> ServerCache:
    arguments = {"timeout": 2, "secret": "secret", "statistics": 1, **arguments}
    return ServerCache(cluster.urls, **arguments)


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


def test_one_node_of_a_cluster_is_not_the_cluster(cluster: Cluster) -> None:
    with ServerCache(cluster.nodes[0].url) as cache:
        stored = [cache.set(f"{number}", number) for number in range(100)]
        assert {True, False} == set(stored)
        assert cache.faults()["other"] == sum(cache.faults().values()) == stored.count(False)
        with pytest.raises(Fault, match="takes a list of nodes"):
            cache[f"{stored.index(False)}"]


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


def test_a_slot_that_moves(cache: ServerCache, cluster: Cluster) -> None:
    source, target = cluster.nodes[:2]
    key, slot = key_on(cache, source)
    with opened(cluster) as other:
        listening(cache)
        other.set(key, 1)

        cluster.begin_moving(slot, source, target)
        # What is asked for is sent on to where it will be.
        assert cache.get(key) == 1
        with opened(cluster, timeout=0.1) as hasty:  # its hints would be in the other place
            assert hasty.set(key, 5, tag="tag") is False
            assert hasty.faults()["down"] == sum(hasty.faults().values()) == 1
        cluster.move_keys(slot, source, target)
        assert cache.get(key) == 1
        assert cache.set(key, 2)
        assert cache.incr(key) == 3
        assert cache.get_many([key]) == {key: 3}
        assert cache.set_many({key: 4}) == []
        assert cache.add(key, 1) is False
        with opened(cluster, timeout=0.1) as hasty:  # its hints have nowhere to be meanwhile
            assert hasty.set(key, 5, tag="tag") is False
            assert hasty.faults()["down"] == sum(hasty.faults().values()) == 1
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


@pytest.mark.long
def test_a_node_that_comes_and_goes(tmp_path: Path) -> None:
    """It is asked from its first slot on, and left alone when its last one is gone."""
    required()
    with clustered(tmp_path) as cluster:
        first, new = cluster.nodes[0], cluster.add()
        name = f"valkey://127.0.0.1:{new.port}"
        with opened(cluster, timeout=1.0) as cache:
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
    with clustered(tmp_path) as cluster:
        replica = cluster.add(replica_of=cluster.nodes[0])
        with opened(cluster, timeout=0.5) as cache:
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
            assert cache.incr(key) == 2
            # The other nodes may not have heard of it yet, and say that they are down.
            until(lambda: cache.get(elsewhere) == 1, "the news of it")


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
