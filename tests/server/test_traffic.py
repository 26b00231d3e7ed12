"""Traffic over time on a server, and figures, whoever tells and whoever is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.history import DAY, HOUR, MINUTE
from django_diskcache.server import ServerCache, gauges, remote
from django_diskcache.server.node import Node
from tests.conftest import FakeClock

from .clusters import SLOTS, Cluster
from .conftest import listening, patience
from .servers import PATIENCE, Server, until

Make = Callable[..., ServerCache]
HEAD = "django_diskcache{00}*"


def reads(cache: ServerCache, hits: int, misses: int) -> None:
    """Count so many, and tell the server."""
    counts = cache.engine.near.counts
    counts[0] += hits
    counts[1] += misses
    cache.engine.tick()


def parts(cache: ServerCache, span: int, step: int) -> dict[int, tuple[int, int]]:
    """Hits and misses of the parts that have any, by how many parts ago they were."""
    traffic = cache.engine.history.traffic(span, step)
    assert {part.seconds for part in traffic} == {step}
    assert [part.start for part in traffic] == [
        traffic[0].start + step * n for n in range(span // step)
    ]
    return {
        len(traffic) - 1 - n: (part.hits, part.misses)
        for n, part in enumerate(traffic)
        if part.reads
    }


def test_all_processes_add_to_each_minute(
    server: Server, make_cache: Make, clock: FakeClock
) -> None:
    one, other = (make_cache(server, clock=clock) for _ in range(2))
    clock.now = 1_700_000_000 - 1_700_000_000 % DAY + 2 * HOUR - MINUTE
    reads(one, 3, 1)
    reads(other, 10, 0)
    assert parts(one, HOUR, MINUTE) == {0: (13, 1)}
    clock.advance(MINUTE)  # and so another hour
    reads(other, 0, 5)
    clock.advance(2 * MINUTE)
    assert parts(one, HOUR, MINUTE) == {3: (13, 1), 2: (0, 5)}
    assert parts(other, DAY, 15 * MINUTE) == {1: (13, 1), 0: (0, 5)}
    assert parts(one, 30 * DAY, 6 * HOUR) == {0: (13, 6)}
    clock.advance(DAY)
    assert parts(one, DAY, 15 * MINUTE) == {}
    assert parts(one, 30 * DAY, 6 * HOUR) == {4: (13, 6)}
    assert one.stats() == (13, 6)
    one.stats(reset=True)  # which leaves the history as it is
    assert parts(one, 30 * DAY, 6 * HOUR) == {4: (13, 6)}


def test_it_is_one_step_and_none_without_traffic(server: Server, make_cache: Make) -> None:
    cache = make_cache(server)
    reads(cache, 1, 0)

    def commands() -> int:
        with server.client() as client:
            told = client.info("commandstats")
        return sum(int(told.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ASKED)

    before = commands()
    reads(cache, 2, 2)
    assert commands() == before + 1
    reads(cache, 0, 0)
    assert commands() == before + 1


def test_sums_have_what_is_being_told(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(server, near_cache_size=0)
    cache.get("missing")
    begun, go = threading.Event(), threading.Event()
    moving = cache.engine.link.moving

    def slowly(bucket: int, method: str, *arguments: Any) -> Any:
        if method == "run":
            begun.set()
            assert go.wait(PATIENCE)
        return moving(bucket, method, *arguments)

    monkeypatch.setattr(cache.engine.link, "moving", slowly)
    found: list[tuple[int, int]] = []
    telling = threading.Thread(target=cache.engine.tick)
    asking = threading.Thread(target=lambda: found.append(cache.stats()))
    telling.start()
    assert begun.wait(PATIENCE)
    asking.start()
    asking.join(0.1)
    go.set()
    asking.join()
    telling.join()
    assert found == [(0, 1)]


ASKED = ("eval", "evalsha", "get", "hgetall", "hmget")


def test_it_does_not_stay_for_ever(server: Server, make_cache: Make) -> None:
    reads(make_cache(server), 1, 1)
    with server.client() as client:
        names = [name.decode() for name in client.scan_iter(f"{HEAD}history*")]
        lives = sorted(client.ttl(name) for name in names)
    assert len(names) == 2
    assert DAY < lives[0] <= DAY + HOUR
    assert 31 * DAY < lives[1] <= 32 * DAY


def test_clear_leaves_it(server: Server, make_cache: Make) -> None:
    cache = make_cache(server)
    reads(cache, 1, 1)
    cache.clear()
    assert parts(cache, HOUR, MINUTE) == {0: (1, 1)}


def test_what_is_none_of_ours_is_left_out(
    server: Server, make_cache: Make, clock: FakeClock
) -> None:
    cache = make_cache(server, clock=clock)
    reads(cache, 1, 1)
    with server.client() as client:
        (minutes,) = client.scan_iter(f"{HEAD}history:60:*")
        for field, value in (
            ("x", 1),
            ("x:hits", 1),
            ("1:hits", "many"),
            (b"\xff:\xff", 1),
            ("2:hits", "9" * 5000),
        ):
            client.hset(minutes, field, value)
        client.hset(minutes, "9999:hits", 5)
        client.hset(f"{HEAD}counts", "hits", "many")
    assert parts(cache, HOUR, MINUTE) == {0: (1, 1)}
    assert cache.stats() == (0, 1)


def test_faults_of_all_processes(own_server: Callable[..., Server], make_cache: Make) -> None:
    server = own_server()
    one, other = make_cache(server), make_cache(server)
    one.get("key")
    server.kill()
    assert one.get("key") is None
    assert one.set("key", 1) is False
    found = other.figures()
    assert not found.told
    assert found.errors["lost"] == 1  # its own: that of this look
    server.start()
    until(lambda: one.set("key", 1), "the server")
    until(lambda: other.set("key", 1), "the server")
    met = sum((*one.faults().values(), *other.faults().values()))
    assert met >= 3
    one.engine.tick()
    found = other.figures()
    assert found.told
    assert sum(found.errors.values()) == met
    assert sum(part.errors for part in other.engine.history.traffic(HOUR, MINUTE)) == met
    other.figures(reset=True)
    assert set(one.figures().errors.values()) == {0}


def test_without_a_near_cache_the_end_of_a_request_tells(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(server, near_cache_size=0)
    now = time.monotonic()
    stands = SimpleNamespace(monotonic=lambda: now)  # for this module only
    monkeypatch.setattr("django_diskcache.server.remote.time", stands)
    for wait, told in ((0.0, 1), (0.5, 1), (1.5, 3)):
        cache.get("missing")
        now += wait
        cache.engine.tidy()
        assert parts(cache, HOUR, MINUTE) == {0: (0, told)}


def test_several_listeners_tell_once_a_second(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = make_cache(server).engine
    link = remote.link
    assert set(link.remotes) == {remote}
    now = time.monotonic() + 60
    stands = SimpleNamespace(monotonic=lambda: now)  # for this module only
    monkeypatch.setattr("django_diskcache.server.link.time", stands)
    ticks: list[float] = []
    monkeypatch.setattr(remote, "tick", lambda: ticks.append(now))
    for wait in (0.0, 0.3, 0.3, 0.4, 0.3):  # three listeners, one after the other
        now += wait
        link._tick()
    assert [round(tick - ticks[0], 1) for tick in ticks] == [0.0, 1.0]


# Figures


def test_in_a_cluster_each_process_tells_every_five_seconds(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tell the same node."""
    now = [1000.0]
    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=lambda: now[0]))
    arguments: Any = {"near_cache_size": 0, "statistics": 1}  # nobody ticks by himself
    with ServerCache(cluster.urls, patience(), **arguments) as cache:

        def told() -> int:
            with ServerCache(cluster.urls, patience(), **arguments) as other:
                return other.stats()[0]

        reads(cache, 1, 0)
        assert told() == 1
        for seconds, hits in ((1, 1), (3, 1), (1, 4)):
            now[0] += seconds
            reads(cache, 1, 0)
            assert told() == hits
        cache.engine.tidy()
        now[0] += 5
        reads(cache, 1, 0)
        assert told() == 5
        assert cache.stats()[0] == 5


def test_figures_of_a_cluster(
    cluster: Cluster, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = listening(clustered(cluster, make_cache))
    found = cache.figures()
    assert not found.away
    ranges = [slots for node in found.nodes for slots in node.slots]
    slots = [slot for first, last in ranges for slot in range(first, last + 1)]
    assert sorted(slots) == list(range(SLOTS))  # other tests may have moved some
    assert sum(node.slot_count for node in found.nodes) == SLOTS
    counts = cache.engine.link.at(0).name
    away = next(node.name for node in found.nodes if node.name != counts)
    ask = Node.ask

    def asked(self: Node, *command: Any) -> Any:
        if self.name == away:
            raise Fault("slow", self.name, "it stands still")
        return ask(self, *command)

    monkeypatch.setattr(Node, "ask", asked)
    left = cache.figures()
    assert [(each.name, each.fault.kind) for each in left.away] == [(away, "slow")]
    assert left.told
    assert len(left.nodes) == len(found.nodes) - 1
    assert cache.faults()["slow"] == 1


def test_figures_are_of_who_answers_where_faults_are_raised(
    cluster: Cluster, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "PATIENCE", 20.0)
    cache = clustered(cluster, make_cache, strict=True)
    counts = cache.engine.link.at(0).name
    one = next(node.name for node in cache.engine.link.nodes() if node.name != counts)
    away = {one}
    ask = Node.ask

    def asked(self: Node, *command: Any) -> Any:
        if self.name in away:
            raise Fault("slow", self.name, "it stands still")
        if self.name == counts and command[0] == b"HGETALL":
            raise Fault("other", self.name, "it knows no counts")
        return ask(self, *command)

    monkeypatch.setattr(Node, "ask", asked)
    found = cache.figures()
    assert len(found.nodes) == 2
    assert [each.name for each in found.away] == [one]
    assert not found.told

    away.update(node.name for node in cache.engine.link.nodes())
    with pytest.raises(Fault, match="stands still"):
        cache.figures()


def clustered(cluster: Cluster, make_cache: Make, **arguments: Any) -> ServerCache:
    class Urls:
        url: Any = cluster.urls

    return make_cache(Urls(), timeout=10.0, **arguments)


def test_a_look_at_a_server_does_not_wait_as_long_as_a_call(
    own_server: Callable[..., Server], make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lfu")
    cache = make_cache(server, timeout=600.0)
    (node,) = cache.figures().nodes
    assert (node.memory_limit, node.policy) == (50 * 2**20, "allkeys-lfu")
    assert node.filled is not None
    assert 0 < node.filled < 1
    monkeypatch.setattr(gauges, "PATIENCE", 0.1)
    server.freeze()
    begun = time.monotonic()
    try:
        found = cache.figures()
    finally:
        server.thaw()
    assert time.monotonic() - begun < 100
    assert [each.fault.kind for each in found.away] == ["slow"]
