"""Where calls of threads and loops go while a cluster moves buckets or loses nodes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import MovedError, RedisClusterException, TimeoutError, TryAgainError

from django_diskcache.engine.errors import Fault
from django_diskcache.server import topology
from django_diskcache.server.address import read_address
from django_diskcache.server.awaitedlink import AwaitedLink
from django_diskcache.server.board import BUCKETS
from django_diskcache.server.following import MOST_MOVES
from django_diskcache.server.link import Link

from .servers import PATIENCE, until

Asks = Callable[[Link, str], Any]


class OtherNode:
    """What it raises, as long as there is something, and then 1."""

    name = "valkey://127.0.0.1:1"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def run(self) -> int:
        if self.errors:
            raise self.errors.pop()
        return 1

    rerun = run


def link_to(node: OtherNode, patience: float = PATIENCE) -> Any:
    link: Any = Link(read_address(["valkey://127.0.0.1:1"]), patience)
    link.table = [node] * BUCKETS
    return link


def by_thread(link: Link, method: str) -> Any:
    return link.moving(0, method)


def by_loop(link: Link, method: str) -> Any:
    awaited: Any = AwaitedLink(link)

    class AwaitedOther:
        def __init__(self, node: Any) -> None:
            self.node = node

        async def run(self) -> Any:
            return self.node.run()

        rerun = run

    awaited.of = AwaitedOther
    return asyncio.run(awaited.answer(0, method, ()))


@pytest.fixture(params=[by_thread, by_loop])
def asks(request: pytest.FixtureRequest) -> Asks:
    found: Asks = request.param
    return found


def test_what_is_half_moved_is_waited_for(asks: Asks) -> None:
    node = OtherNode(*[TryAgainError("x")] * (MOST_MOVES * 3))
    assert asks(link_to(node), "rerun") == 1
    assert node.errors == []


def test_what_stays_half_moved_is_given_up(asks: Asks) -> None:
    node = OtherNode(*[TryAgainError("x")] * 1000)
    with pytest.raises(Fault) as caught:
        asks(link_to(node, 0.05), "rerun")
    assert caught.value.kind == "down"


def test_what_moves_for_ever_is_given_up(asks: Asks) -> None:
    node = OtherNode(*[MovedError("1 127.0.0.1:1")] * (MOST_MOVES + 2))
    link = link_to(node)
    link.moved = lambda bucket, error: None
    with pytest.raises(Fault) as caught:
        asks(link, "rerun")
    assert caught.value.kind == "down"
    assert len(node.errors) == 1


@pytest.mark.parametrize("kind", ["lost", "slow", "down"])
def test_what_is_not_done_twice_learns_of_a_failover(asks: Asks, kind: str) -> None:
    """Beside the call, which has had its time."""
    old, new = OtherNode(*[Fault(kind, "x", "y")] * 1000), OtherNode()
    link = link_to(old)
    looked, go_on = [], threading.Event()

    def look(deadline: float | None = None) -> None:
        looked.append(deadline)
        assert go_on.wait(PATIENCE)
        link.table = [new] * BUCKETS

    link.look = look
    for _ in range(3):
        with pytest.raises(Fault):
            asks(link, "run")
    go_on.set()
    until(lambda: link.table[0] is new, "a look")
    assert asks(link, "run") == 1
    assert looked == [None]


def test_what_may_be_done_twice_is_done_by_who_has_taken_over(asks: Asks) -> None:
    old, new = OtherNode(Fault("lost", "x", "y")), OtherNode()
    link = link_to(old)

    def look(deadline: float) -> None:
        link.table = [new] * BUCKETS

    link.look = look
    assert asks(link, "rerun") == 1


def test_a_table_that_another_thread_empties() -> None:
    node: Any = OtherNode()
    link = link_to(node)

    class Table(list[Any]):
        def __len__(self) -> int:  # by which it is seen whether it is empty
            link.table = []
            return super().__len__()

    link.table = Table([node] * BUCKETS)
    assert link.at(3) is node


# Looks


class Unanswered:
    """A connection to a node that stands still."""

    def __init__(self, clock: Any, patience: float) -> None:
        self.clock, self.patience = clock, patience

    def connect(self) -> None:
        self.clock.advance(self.patience)
        raise TimeoutError("it stands still")

    def disconnect(self) -> None:
        pass


@pytest.mark.parametrize("nodes", [1, 2, 3, 100])
def test_a_look_takes_no_longer_than_it_may(
    nodes: int, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_diskcache.server.topology.time.monotonic", clock)
    begun, asked = clock(), []

    def connect(host: str, port: int, patience: float) -> Unanswered:
        asked.append(port)
        return Unanswered(clock, patience)

    with pytest.raises(RedisClusterException, match="it stands still"):
        places = [("127.0.0.1", port) for port in range(nodes)]
        topology.owners(connect, places, BUCKETS, begun + 3.0)
    assert clock() - begun == pytest.approx(3.0)
    assert asked == list(range(min(nodes, topology.MOST_ASKED)))


def test_a_node_that_does_not_tell_its_name_and_slots_that_nobody_has() -> None:
    class Answers(Unanswered):
        def connect(self) -> None:
            pass

        def send_command(self, *command: bytes) -> None:
            assert command == (b"CLUSTER", b"SLOTS")

        def read_response(self) -> Any:
            return slots

    def connect(*place: Any) -> Answers:
        return Answers(None, 0)

    slots = [[8192, 16383, [b"other", 2, b"id"], [b"replica", 3, b"id"]], [0, 8191, [None, 1]]]
    found = topology.owners(connect, [("asked", 1)], BUCKETS, 2**40)
    assert set(found) == {("asked", 1), ("other", 2)}
    slots = slots[:1]
    with pytest.raises(RedisClusterException, match="no node of the cluster has slot"):
        topology.owners(connect, [("asked", 1)], BUCKETS, 2**40)
