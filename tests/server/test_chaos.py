"""Harm to servers while processes use them: nothing wrong is read, and all recovers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from django_diskcache.server import ServerCache

from .clusters import Cluster, clustered
from .servers import HOST, Server, required, until
from .test_sentinel import Sentinel, is_primary, watched  # noqa: F401
from .workers import DEADLINE, KEYS, LONGEST, SPARE, WRITERS, Crowd, Report, crowd

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
Start = Callable[..., Server]
SMALL = 60_000  # bytes more than what it has: some hundred entries


def well(reports: list[Report]) -> None:
    """What must hold whatever was done."""
    for report in reports:
        assert report.wrong == []
        assert report.hits > 0
        assert report.longest < LONGEST
        descriptors, threads = report.before
        assert report.after[0] <= descriptors + SPARE
        assert report.after[1] <= threads


def killed(server: Server, workers: Crowd) -> None:
    for pause in (0.0, 1.5, 0.3):
        server.kill()
        workers.works(20)
        time.sleep(pause)  # so that breakers open
        server.start()
        workers.works()


def stopped(server: Server, workers: Crowd) -> None:
    for pause in (3 * DEADLINE, 0.1):
        server.freeze()
        time.sleep(pause)
        server.thaw()
        workers.works()


def disconnected(server: Server, workers: Crowd) -> None:
    with server.client() as client:
        for kind in ("normal", "pubsub", "normal", "pubsub"):
            client.execute_command("CLIENT", "KILL", "TYPE", kind)
            workers.works(30)


def full(server: Server, workers: Crowd) -> None:
    with server.client() as client:
        client.config_set("maxmemory", client.info()["used_memory"] - SMALL)
        workers.works()
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", client.info()["used_memory"] + SMALL)
        workers.works()
        client.config_set("maxmemory", 0)
        workers.works()


def flushed(server: Server, workers: Crowd) -> None:
    with server.client() as client:
        for _ in range(3):
            client.flushall()
            client.script_flush()
            workers.works(50)


@pytest.mark.parametrize("harm", [killed, stopped, disconnected, full, flushed])
def test_a_server(own_server: Start, harm: Callable[[Server, Crowd], None]) -> None:
    server = own_server()
    with crowd(server.url) as workers:
        workers.works()
        harm(server, workers)
        well(workers.settled())


def test_a_failover(watched: tuple[Sentinel, Server, Server]) -> None:  # noqa: F811
    sentinel, _, replica = watched
    with crowd(f"sentinel://{HOST}:{sentinel.port}/main/0") as workers:
        workers.works()
        until(sentinel.fails_over, "the readiness of the replica")
        until(lambda: is_primary(replica), "a failover")
        workers.works()
        replica.kill()  # the new one; nobody has it for a while
        workers.works(5)
        replica.start()
        workers.works()
        well(workers.settled())


def test_slots_that_move(tmp_path: Path) -> None:
    required()
    with clustered(tmp_path) as cluster, crowd(cluster.urls) as workers:
        workers.works()
        for number in range(16):
            move_bucket_of(f"key:{number % WRITERS}:{number % KEYS}", cluster, workers)
        well(workers.settled())


def move_bucket_of(key: str, cluster: Cluster, workers: Crowd) -> None:
    """Let the next node have the slot of a key."""
    with ServerCache(cluster.urls) as cache:
        bucket = cache.engine.place(key)[1] & 255
        name = cache.engine.link.at(bucket).name
    source = next(n for n, node in enumerate(cluster.nodes) if f"{name}/0" == node.url)
    target = cluster.nodes[(source + 1) % len(cluster.nodes)]
    with target.client() as client:
        slot = client.execute_command("CLUSTER KEYSLOT", f"{{{bucket:02x}}}")
    cluster.begin_moving(slot, cluster.nodes[source], target)
    workers.works(10)
    cluster.move_keys(slot, cluster.nodes[source], target)
    workers.works(10)
    cluster.end_moving(slot, target)
