"""Nodes of a cluster are asked at the same time, and one that is away costs its own part."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.guard import raising
from django_diskcache.server import ServerCache, abreast, browsing, doubts
from django_diskcache.server.awaitedlink import NATIVE_FROM
from django_diskcache.server.lines import MOST_LINES, Lines
from django_diskcache.server.scripts import EVICT

from .clusters import Cluster
from .conftest import doubting, patience
from .servers import PATIENCE, Server, until

NUMBERS = range(300)
FIRST = "0"  # of these, so its node is the first that many keys would ask
ITEMS = {f"{number}": number for number in NUMBERS}
ENDLESS = 300.0  # seconds: longer than a test waits for anything


@pytest.fixture
def frozen(cluster: Cluster) -> Iterator[Callable[..., Server]]:
    """Lets a node stand still until the end of the test.

    That is the one of a key; by default neither the first nor the last.
    """
    still: list[Server] = []

    def freeze(cache: ServerCache, key: str | None = None) -> Server:
        link = cache.engine.link
        which = link.nodes()[1] if key is None else link.at(bucket_of(cache, key))
        node = server_of(cluster, which.name)
        still.append(node)
        node.freeze()
        return node

    yield freeze
    for node in still:
        node.thaw()


def server_of(cluster: Cluster, name: str) -> Server:
    return next(each for each in cluster.nodes if each.url == f"{name}/0")


def bucket_of(cache: ServerCache, key: str) -> int:
    return cache.engine.place(key)[1] & 255


def opened(cluster: Cluster, seconds: float, **arguments: Any) -> ServerCache:
    """A cache that has nobody who listens."""
    arguments = {"secret": "secret", "statistics": 1, "near_cache_size": 0, **arguments}
    return ServerCache(cluster.urls, patience(seconds), **arguments)


def filled(cache: ServerCache) -> None:
    assert cache.set_many(ITEMS, tag="tag") == []


def others(cluster: Cluster, node: Server) -> list[Server]:
    return [each for each in cluster.nodes if each is not node]


def asked(node: Server, *commands: str) -> bool:
    """Whether one of these came since the statistics of a node began anew."""
    with node.client() as client:
        found = client.info("commandstats")
    return any(f"cmdstat_{command}" in found for command in commands)


CALLS: dict[str, tuple[Callable[[ServerCache], Any], Any, str]] = {
    "get_many": (lambda cache: cache.get_many(ITEMS), ITEMS, "get"),
    "set_many": (lambda cache: cache.set_many(ITEMS), [], "set"),
    "delete_many": (lambda cache: cache.delete_many(ITEMS), 300, "unlink"),
    "evict": (lambda cache: cache.evict("tag"), 300, "evalsha"),
    "keys_by_tag": (lambda cache: len(cache.keys_by_tag("tag")), 300, "evalsha"),
    "tagged": (lambda cache: browsing.tagged(cache.engine, "tag"), 300, "scard"),
    "clear": (lambda cache: cache.clear(), 300, "unlink"),
    "delete_pattern": (lambda cache: cache.delete_pattern("?"), 10, "unlink"),
    "expire": (lambda cache: cache.expire(), 0, "scan"),
    "len": (len, 300, "scan"),
}


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("name", CALLS)
def test_the_others_are_asked_while_one_stands_still(
    name: str, connected: bool, cluster: Cluster, frozen: Callable[..., Server]
) -> None:
    call, wanted, command = CALLS[name]
    with opened(cluster, 10.0) as cache:
        filled(cache)
    with opened(cluster, ENDLESS) as cache:
        cache.engine.link.look()
        if connected:
            for each in cache.engine.link.nodes():
                each.ask(b"PING")
        # Who asks one node after the other would wait for this one before the last.
        node = frozen(cache, FIRST if name.endswith("_many") else None)
        for other in others(cluster, node):
            with other.client() as client:
                client.config_resetstat()
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(call(cache)))
        thread.start()

        until(
            lambda: all(asked(other, command) for other in others(cluster, node)),
            "a question to the others",
        )

        assert thread.is_alive()
        node.thaw()
        thread.join(ENDLESS)
        assert found == [wanted]
        assert sum(cache.faults().values()) == 0


def test_a_look_at_all_entries_does_not_wait_either(
    cluster: Cluster, frozen: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(cluster, ENDLESS) as cache:
        filled(cache)
        told = {node: doubts.ask(node) for node in cache.engine.link.nodes()}
        doubting(monkeypatch)
        monkeypatch.setattr(doubts, "ask", told.__getitem__)
        monkeypatch.setattr(cache, "_evict_hinted", lambda *_: ([], set()))
        monkeypatch.setattr(cache.engine, "noted", dict)
        monkeypatch.setattr(cache.engine, "note", lambda *_, **__: None)
        node = frozen(cache)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(cache.evict("tag")))
        thread.start()

        for other in others(cluster, node):
            with other.client() as client:
                until(lambda client=client: not list(client.scan_iter("*}:*")), "its part")

        assert thread.is_alive()
        node.thaw()
        thread.join(ENDLESS)
        assert found == [300]


@pytest.mark.parametrize("name", ["aget_many", "aset_many", "adelete_many"])
def test_on_an_event_loop(name: str, cluster: Cluster, frozen: Callable[..., Server]) -> None:
    _, wanted, command = CALLS[name[1:]]
    with opened(cluster, ENDLESS) as cache:
        filled(cache)

        async def main() -> Any:
            for _ in range(NATIVE_FROM):
                await cache.aget_many(ITEMS)
            node = frozen(cache, FIRST)
            for other in others(cluster, node):
                with other.client() as client:
                    client.config_resetstat()
            task = asyncio.create_task(getattr(cache, name)(ITEMS))
            while not all(asked(other, command) for other in others(cluster, node)):
                await asyncio.sleep(0.001)
            assert not task.done()
            node.thaw()
            return await task

        assert asyncio.run(asyncio.wait_for(main(), ENDLESS)) == wanted
        assert sum(cache.faults().values()) == 0


def test_the_others_do_their_part(cluster: Cluster, frozen: Callable[..., Server]) -> None:
    with opened(cluster, 10.0) as cache:
        filled(cache)
    with opened(cluster, 1.0) as cache:
        until(lambda: len(cache.get_many(ITEMS)) == 300, "an answer of all")
        node = frozen(cache)
        lost = {
            key
            for key in ITEMS
            if node is server_of(cluster, cache.engine.link.at(bucket_of(cache, key)).name)
        }
        there = {key: number for key, number in ITEMS.items() if key not in lost}
        assert 50 < len(lost) < 150

        until(lambda: cache.get_many(ITEMS) == there, "the part of the others")
        until(lambda: set(cache.set_many(ITEMS, tag="tag")) == lost, "the part of the others")
        until(lambda: evicted(cache, others(cluster, node)), "the part of the others")
        assert sum(cache.faults().values()) > 0
        calls: list[Callable[[ServerCache], Any]] = [
            lambda cache: cache.evict("tag"),
            lambda cache: cache.get_many(ITEMS),
            lambda cache: cache.clear(),
        ]
        for call in calls:
            with pytest.raises(Fault):
                call(raising(cache))


def test_clear_begins_with_the_first_and_goes_on_with_the_others(
    cluster: Cluster, frozen: Callable[..., Server]
) -> None:
    with opened(cluster, 10.0) as cache:
        filled(cache)
    with opened(cluster, 1.0) as cache:
        until(lambda: len(cache.get_many(ITEMS)) == 300, "an answer of all")
        link = cache.engine.link
        first = next(key for key in ITEMS if link.at(bucket_of(cache, key)) is link.at(0))
        others_left = others(cluster, frozen(cache, first))

        until(lambda: cache.clear() > 0, "the part of the others")

        until(lambda: evicted(cache, others_left), "the rest of it")


def evicted(cache: ServerCache, nodes: list[Server]) -> bool:
    """Whether an eviction leaves nothing on these."""
    cache.evict("tag")
    left = []
    for node in nodes:
        with node.client() as client:
            left += list(client.scan_iter("django_diskcache{??}:*"))
    return not left


class Still:
    """A node whose answers do not come; it notes how long it was waited for."""

    def __init__(self, clock: Callable[[float], None]) -> None:
        self.clock = clock
        self.waited: list[float | None] = []

    def ahead(self, method: str, arguments: Any) -> Callable[[float | None], Any]:
        def answers(seconds: float | None) -> Any:
            self.waited.append(seconds)
            self.clock(10.0 if seconds is None else seconds)
            raise Fault("slow", "somewhere", "no answer in time")

        return answers


def test_all_that_stand_still_cost_one_deadline(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    with opened(cluster, 10.0) as cache:
        monkeypatch.setattr(abreast, "time", Time)
        monkeypatch.setattr(cache.engine.link, "patience", 10.0)
        nodes: list[Any] = [Still(passes) for _ in range(3)]

        found = cache._on_groups(
            {node: [n] for n, node in enumerate(nodes)},
            "nothing",
            lambda positions: cache._operations.running(EVICT, []),
        )

        assert found == [([n], "nothing") for n in range(3)]
        assert [node.waited for node in nodes] == [[None], [0.0], [0.0]]
        assert cache.faults()["slow"] == 3


def ready_nodes(cache: ServerCache) -> list[Any]:
    """The nodes, each of which has a connection that nobody uses."""
    cache.engine.link.look()
    nodes = cache.engine.link.nodes()
    for node in nodes:
        node.ask(b"PING")
    return nodes


@pytest.mark.parametrize("name", ["get_many", "set_many", "delete_many"])
def test_who_queues_for_one_keeps_no_connection_to_another(name: str, cluster: Cluster) -> None:
    call, wanted, command = CALLS[name]
    with opened(cluster, ENDLESS) as cache:
        filled(cache)
        busy, *free = ready_nodes(cache)
        lines = [busy._borrow() for _ in range(MOST_LINES)]
        for node in free:
            with server_of(cluster, node.name).client() as client:
                client.config_resetstat()
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(call(cache)))
        thread.start()

        until(lambda: len(busy._waiting) == 1, "a thread in the queue")
        for node in free:
            until(lambda node=node: asked(server_of(cluster, node.name), command), "its part")
            until(lambda node=node: len(node._idle) == len(node._lines), "a connection back")

        assert thread.is_alive()
        for line in lines:
            busy._give(line)
        thread.join(PATIENCE)
        assert found == [wanted]
        assert sum(cache.faults().values()) == 0


def test_who_has_to_queue_twice_does_so_without_threads(cluster: Cluster) -> None:
    """There are too many just then."""
    with opened(cluster, ENDLESS) as cache:
        filled(cache)
        busy = ready_nodes(cache)[:2]
        lines = {node: [node._borrow() for _ in range(MOST_LINES)] for node in busy}
        queued_in: list[str] = []
        for node in busy:

            def wait(begun: float, waits: Any = node._wait) -> Any:
                queued_in.append(threading.current_thread().name)
                return waits(begun)

            node._wait = wait
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(cache.get_many(ITEMS)))
        thread.start()
        for number in (1, 2):
            until(lambda number=number: len(queued_in) == number, "a thread in the queue")
            until(lambda: any(node._waiting for node in busy), "a thread in the queue")
            (node,) = [node for node in busy if node._waiting]
            for line in lines.pop(node):
                node._give(line)
        thread.join(PATIENCE)
        assert found == [ITEMS]
        assert queued_in == [thread.name] * 2


def test_who_has_connections_to_some_does_not_push_in_elsewhere(cluster: Cluster) -> None:
    """What is given back is for the first in the queue."""
    with opened(cluster, ENDLESS) as cache:
        node = ready_nodes(cache)[0]
        assert node.ahead("ask_many", ([(b"PING",)],))(None) == [b"PONG"]
        node._waiting.append(None)

        assert node.ahead("ask_many", ([(b"PING",)],)) is None

        node._waiting.clear()


def test_connections_that_were_closed_are_made_anew_at_the_same_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(cluster, ENDLESS) as cache:
        filled(cache)
        nodes = ready_nodes(cache)
        for node in nodes:
            for line in node._idle:
                line.connection._sock.shutdown(socket.SHUT_RDWR)
        all_of_them = threading.Barrier(len(nodes), timeout=PATIENCE / 4)
        connected = Lines._connected

        def slowly(node: Lines, line: Any) -> Any:
            all_of_them.wait()  # breaks where one comes after the other
            return connected(node, line)

        monkeypatch.setattr(Lines, "_connected", slowly)

        assert cache.get_many(ITEMS) == ITEMS


def test_to_ask_to_be_told_of_changes_is_not_waited_for_one_by_one(
    cluster: Cluster, frozen: Callable[..., Server]
) -> None:
    with opened(cluster, ENDLESS) as cache:
        for node in ready_nodes(cache):
            node.generation += 1  # there is a new listener
        frozen(cache)

        for node in cache.engine.link.nodes():
            assert node.ahead("look_many", ([(b"GET", b"key")],)) is None
            assert len(node._idle) == len(node._lines)


def test_the_wait_for_another_node_is_none_for_this_one(cluster: Cluster) -> None:
    """Its answer may take as long to come as if it had been asked alone."""
    with opened(cluster, 10.0) as cache:
        node = ready_nodes(cache)[0]
        (line,) = node._idle
        answers = node.ahead("ask_many", ([(b"PING",)],))
        line.deadline.begun -= ENDLESS  # what the other took

        assert answers(5.0) == [b"PONG"]

        assert line.deadline.left() > 5.0
