"""The coroutines: they do what the methods do, on connections of their event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.engine.guard import raising
from django_diskcache.server import ServerCache
from django_diskcache.server.awaitedlink import NATIVE_FROM, AwaitedLink
from django_diskcache.server.board import BUCKETS
from django_diskcache.server.lines import MOST_LINES
from tests.conftest import FakeClock

from .clusters import Cluster
from .conftest import listening, patience
from .servers import PATIENCE, Server, until

Make = Callable[..., ServerCache]
Start = Callable[..., Server]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """In a loop of its own; what it leaves open is a warning, and so an error."""
    try:
        return asyncio.run(main)
    finally:
        gc.collect()


async def warm(cache: ServerCache) -> None:
    """Make the calls that go to a thread."""
    for _ in range(NATIVE_FROM):
        await cache.aget("a key that nobody stores")


async def soon(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for something that another process or thread does."""
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def every_method(cache: ServerCache) -> None:
    assert await cache.aget("key", "default") == "default"
    assert await cache.aset("key", {"a": 1}, expire=60, tag=("tag", 1)) is True
    assert await cache.aget("key") == {"a": 1}
    value, due, tag = await cache.aget("key", expire_time=True, tag=True)
    assert (value, tag) == ({"a": 1}, ("tag", 1))
    assert due is not None
    assert await cache.ahas("key") is True
    assert await cache.aadd("key", 2) is False
    assert await cache.aadd("new", b"2", tag="tag") is True
    with await cache.aget("new", read=True) as file:
        assert file.read() == b"2"
    assert await cache.atouch("key") is True
    assert await cache.aget("key", expire_time=True) == ({"a": 1}, None)
    assert await cache.aincr("count", 2) == 2
    assert await cache.aincr("count", 0.5) == 2.5
    assert await cache.adecr("count") == 1.5
    with pytest.raises(KeyError):
        await cache.aincr("missing", default=None)
    assert await cache.aupdate("count", lambda value: ("was", value + 1, None)) == "was"
    assert await cache.adecr("count") == 1.5
    claim = await cache.aclaim("key")
    assert claim is not None
    assert await cache.aclaim("key") is None
    claim.release()
    with pytest.raises(TypeError):
        await cache.aincr("key")
    assert await cache.apop("count") == 1.5
    assert await cache.apop("count", 7, expire_time=True, tag=True) == (7, None, None)
    items = {f"{number}": [number] for number in range(300)}
    assert await cache.aset_many(items, tag="many") == []
    assert await cache.aget_many([*items, "missing"]) == items
    assert await cache.aset_many({"a": 1, "b": 2}) == []
    assert await cache.adelete_many(["a", "b", "missing"]) == 2
    assert await cache.aevict(("many", "other"), match="all") == 0
    assert await cache.aevict("many") == 300
    assert await cache.adelete("key") is True
    assert await cache.adelete("key") is False
    assert await cache.aclear() == 1
    assert await cache.aget_many(["new"]) == {}


async def every_time(cache: ServerCache) -> None:
    await cache.aset("key", [1], expire=60, tag="tag")
    assert await cache.atags("key") == ("tag",)
    assert await cache.attl("key") == 60
    assert await cache.apersist("key") is True
    assert await cache.apersist("key") is False
    assert await cache.attl("key") is None
    assert await cache.aexpire_in("key", 50) is True
    assert await cache.apttl("key") == 50_000
    assert await cache.apexpire("key", 5_000) is True
    assert await cache.aget("key", touch=600) == [1]
    assert await cache.aget("key", touch=600, tag=True) == ([1], "tag")
    assert await cache.attl("key") == 600
    assert await cache.aexpire_at("key", cache.engine.clock() + 70) is True
    assert await cache.attl("key") == 70
    assert await cache.aget("key", touch=None) == [1]
    assert await cache.attl("key") is None
    assert await cache.apexpire_at("key", 1) is True
    assert await cache.aget("key", "gone", touch=60) == "gone"
    await cache.aset("key", 1)
    assert await cache.aget("key", touch=0) == 1
    assert await cache.attl("key") == 0
    items = {f"{number}": number for number in range(300)}
    assert await cache.aset_many(items, expire=60, spread=0.5) == []
    left = [await cache.attl(key) or 0 for key in items]
    assert 30 <= min(left) < 50 < max(left) <= 60


@pytest.mark.parametrize("near", [0, 10**6])
def test_every_time(server: Server, make_cache: Make, clock: FakeClock, near: int) -> None:
    cache = make_cache(server, clock=clock, near_cache_size=near)

    async def main() -> None:
        await warm(cache)
        await every_time(cache)

    run(main())


def test_every_method(cache: ServerCache, server: Server) -> None:
    async def main() -> int:
        await warm(cache)
        before = threading.active_count()
        await every_method(cache)
        return before

    run(main())
    with server.client() as client:
        until(lambda: len(client.client_list()) <= 4, "the end of the loop's connections")


def test_calls_are_made_by_the_loop_itself(
    server: Server, cache: ServerCache, monkeypatch: Any
) -> None:
    async def main() -> None:
        await warm(cache)
        monkeypatch.setattr(asyncio, "to_thread", None)
        await cache.aset("key", 1)
        assert await cache.aget("key") == 1
        assert await cache.aget_many(["key"]) == {"key": 1}
        assert await cache.aincr("key") == 2

    run(main())


def test_the_first_calls_of_a_loop_go_to_a_thread(server: Server, cache: ServerCache) -> None:
    """So a loop for one call makes no connection of its own."""
    cache.set("key", 1)
    with server.client() as client:
        before = client.info("stats")["total_connections_received"]
        for _ in range(5):
            assert run(cache.aget("key")) == 1
        assert client.info("stats")["total_connections_received"] - before <= 2


def test_the_near_cache_serves_and_is_told(server: Server, make_cache: Make) -> None:
    cache, other = listening(make_cache(server)), make_cache(server)

    async def main() -> None:
        await warm(cache)
        await cache.aset("key", 1)
        assert await cache.aget("key") == 1
        assert cache.engine.near.knows("key")
        await cache.aset_many({"a": 1})
        assert await cache.aget_many(["a", "b"]) == {"a": 1}
        assert cache.engine.near.knows("a")
        assert cache.engine.near.knows("b") is False

        other.set_many({"key": 2, "a": 2})

        async def told() -> bool:
            return bool(await cache.aget_many(["key", "a"]) == {"key": 2, "a": 2})

        await soon(told)
        await cache.aset("key", 3)
        assert await cache.aget("key") == 3

    run(main())
    assert cache.get("key") == 3


def test_many_tasks_share_few_connections(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, timeout=10, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        tasks = [cache.aincr("count") for _ in range(500)]
        assert sorted(await asyncio.gather(*tasks)) == list(range(1, 501))
        with server.client() as client:
            assert len(client.client_list()) <= MOST_LINES + 5

    run(main())


def node_here(cache: ServerCache) -> Any:
    """The server, for the running loop."""
    link = cache.engine.link
    return link.loops[asyncio.get_running_loop()].of(link.table[0])


def test_all_of_many_calls_at_once_have_their_turn(server: Server, make_cache: Make) -> None:
    """The deadline of each begins when it has its connection."""
    cache = make_cache(server, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        await asyncio.gather(*(cache.aset(f"{n}", n) for n in range(MOST_LINES)))
        node = node_here(cache)
        assert len(node._idle) == MOST_LINES  # to connect is not what is to be in time
        node.node.patience = 3.0
        for line in node._idle:
            line.deadline.seconds = 3.0
        exchange = node._exchange
        calls = 10 * MOST_LINES

        async def slowly(*arguments: Any) -> Any:
            reply = await exchange(*arguments)
            await asyncio.sleep(0.4)  # all in turn take longer than the deadline
            return reply

        node._exchange = slowly
        stored = await asyncio.gather(*(cache.aset(f"{n}", n) for n in range(calls)))
        node._exchange = exchange
        assert stored == [True] * calls
        found = await asyncio.gather(*(cache.aget(f"{n}") for n in range(calls)))
        assert found == list(range(calls))

    run(main())
    assert not any(cache.faults().values())


def test_who_waits_for_a_connection_does_not_wait_for_ever(
    own_server: Start, make_cache: Make
) -> None:
    server = own_server()
    cache = make_cache(server, timeout=0.25, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        await asyncio.gather(*(cache.aset(f"{n}", n) for n in range(MOST_LINES)))
        server.freeze()
        began = time.monotonic()
        stored = await asyncio.gather(*(cache.aset(f"{n}", n) for n in range(1000)))
        assert stored == [False] * 1000
        assert time.monotonic() - began < 10
        server.thaw()
        tasks = [asyncio.ensure_future(cache.aset(f"{n}", n)) for n in range(1000)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        deadline = time.monotonic() + 10
        while not await cache.aset("key", "after"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        node = node_here(cache)
        assert len(node._lines) == len(node._idle)

    run(main())


def test_who_comes_later_does_not_take_the_room_of_who_waits(
    server: Server, make_cache: Make
) -> None:
    """A connection is given up, and who waits may make one: he has not run yet."""
    cache = make_cache(server, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        node = node_here(cache)
        lines = [await node._borrow() for _ in range(MOST_LINES)]
        served: list[str] = []

        async def borrow(name: str) -> None:
            lines.append(await node._borrow())
            served.append(name)

        tasks = []
        for name in ("first", "second"):
            tasks.append(asyncio.ensure_future(borrow(name)))
            while len(node._waiting) < len(tasks):
                await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(borrow("later")))  # it runs before the first
        await node._drop(lines.pop())
        await tasks[0]
        assert served == ["first"]
        assert len(node._waiting) == 2
        assert len(node._lines) == MOST_LINES

        tasks.append(asyncio.ensure_future(borrow("last")))
        await node._drop(lines.pop())
        tasks[1].cancel()  # in the same moment: the room is the next one's
        await tasks[2]
        assert served == ["first", "later"]
        node._give(lines.pop())
        await tasks[3]
        assert (len(node._lines), len(node._waiting), node._promised) == (MOST_LINES, 0, 0)
        for line in lines:
            node._give(line)

    run(main())


def test_a_fork_in_a_running_loop_leaves_it_its_connections(
    server: Server, make_cache: Make
) -> None:
    cache = make_cache(server, timeout=5, near_cache_size=0)

    def child() -> None:
        status = 1
        try:
            cache.get("key")
            gc.collect()
            status = 0
        finally:
            os._exit(status)

    async def main() -> None:
        await warm(cache)
        assert await cache.aset("key", 1)
        pid = os.fork()
        if pid == 0:
            child()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert await asyncio.wait_for(cache.aincr("key"), 4) == 2

    run(main())
    assert not any(cache.faults().values())


def test_a_cancelled_call_leaves_no_answer_behind(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, timeout=10, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        for number in range(50):
            await cache.aset(f"{number}", number)
        for number in range(50):
            call = cache.aget(f"{number}") if number % 2 else cache.aincr("count")
            task = asyncio.ensure_future(call)
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):  # or it was done already
                await task
            assert await cache.aget(f"{number}") == number

    run(main())


def test_a_server_in_trouble(own_server: Start, make_cache: Make) -> None:
    server = own_server()
    cache = make_cache(server)
    hasty = make_cache(server, timeout=0.2, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        await cache.aset("key", 1)
        server.kill()
        assert await cache.aget("other", "default") == "default"
        assert await cache.aset("key", 1) is False
        assert await cache.aadd("new", 1) is False
        assert await cache.apop("key", 7) == 7
        assert await cache.aget_many(["other"]) == {}
        assert await cache.aset_many({"key": 1}) == ["key"]
        assert await cache.adelete_many(["key"]) == 0
        for call in (cache.aincr("count"), raising(cache).aadd("lock", 1)):
            with pytest.raises(Fault):
                await call
        assert cache.faults()["lost"] == sum(cache.faults().values()) == 9

        server.start()
        await soon(lambda: cache.aset("key", 2))
        assert await cache.aincr("key") == 3

        await warm(hasty)
        await soon(lambda: hasty.aset("key", 4))
        met = hasty.faults()["slow"]
        server.freeze()
        try:
            began = time.monotonic()
            assert await hasty.aget("other") is None
            assert time.monotonic() - began > 0.15
            assert hasty.faults()["slow"] == met + 1
        finally:
            server.thaw()

    run(main())


def test_a_restart_that_nobody_noticed_costs_nothing(
    own_server: Start, make_cache: Make
) -> None:
    """What may be done twice is, and the rest looks at its connection first."""
    server = own_server()
    cache = make_cache(server, near_cache_size=0)

    async def main() -> None:
        await warm(cache)
        await cache.aset("warm", 1)
        for call in (
            cache.aget("key"),
            cache.aset("key", 1),
            cache.aincr("count"),
            cache.aset_many({"a": 1}),
            cache.aset("key", 1, tag="tag"),
        ):
            server.kill()
            server.start()
            await call

    run(main())
    assert sum(cache.faults().values()) == 0


def test_no_loop_stays_when_it_has_ended(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    loops: list[weakref.ref[Any]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await warm(cache)
        await cache.aclose()  # the loop has others from now on
        await warm(cache)

    for _ in range(20):
        run(main())
    assert [loop for loop in loops if loop() is not None] == []
    assert len(cache.engine.link.loops) == 0


# What such a loop leaves open is closed with it, and Python says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_loop_stays_that_does_not_tell_of_its_end(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(warm(cache))
        loop.close()  # its asynchronous generators were not shut down
    ended = weakref.ref(loop)
    del loop

    run(warm(cache))
    gc.collect()
    assert ended() is None
    with server.client() as client:
        until(lambda: len(client.client_list()) <= 4, "the end of their connections")


class Met(weakref.ref[Any]):
    """What a loop is known by; whoever looks whether it is there sees another one begin."""

    begin: Callable[[], object]

    def __call__(self) -> Any:
        self.begin()
        return super().__call__()


def test_loops_that_begin_while_all_are_looked_through(
    server: Server, make_cache: Make
) -> None:
    """The listener's thread looks whether connections were closed, once a second."""
    link = make_cache(server, near_cache_size=0).engine.link
    loops: Any = link.loops
    looked = threading.Event()
    others: list[Any] = []

    def begin() -> None:
        if not others:
            others.append(asyncio.new_event_loop())
            loops[others[0]] = AwaitedLink(link)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        known = Met(loop)
        known.begin = begin
        loops.data[known] = SimpleNamespace(look_around=looked.set)
        link._ticked = -PATIENCE
        await asyncio.to_thread(link._tick)
        await asyncio.to_thread(looked.wait, PATIENCE)

    try:
        run(main())
        assert looked.is_set()
        assert len(others) == 1
    finally:
        for other in others:
            other.close()


def test_close(server: Server, make_cache: Make) -> None:
    cache = make_cache(server)

    async def main() -> None:
        await warm(cache)
        await cache.aset("key", 1)
        await cache.aclose()
        with server.client() as client:
            until(lambda: len(client.client_list()) == 1, "the end of all connections")
        assert await cache.aget("key") == 1

    run(main())


def test_a_cluster(cluster: Cluster) -> None:
    with ServerCache(cluster.urls, timeout=patience(), secret="secret") as cache:

        async def main() -> None:
            await warm(cache)
            await every_method(cache)

        run(main())
        assert sum(cache.faults().values()) == 0


def test_a_slot_of_a_cluster_that_moves(cluster: Cluster) -> None:
    source, target = cluster.nodes[:2]
    with ServerCache(cluster.urls, timeout=patience(), secret="secret") as cache:
        key = next(
            f"{number}"
            for number in range(10_000)
            if cache.engine.link.at(cache.engine.place(f"{number}")[1] & 255).name.endswith(
                f":{source.port}"
            )
        )
        with source.client() as client:
            slot = client.execute_command("CLUSTER KEYSLOT", cache.engine.place(key)[0])

        async def main() -> None:
            await warm(cache)
            await cache.aset(key, 1)
            cluster.begin_moving(slot, source, target)
            assert await cache.aget(key) == 1
            cluster.move_keys(slot, source, target)
            assert await cache.aget(key, expire_time=True) == (1, None)
            assert await cache.aincr(key) == 2
            assert await cache.aget_many([key]) == {key: 2}
            assert await cache.aset_many({key: 3}) == []
            cluster.end_moving(slot, target)
            assert await cache.aincr(key) == 4
            assert await cache.aget_many([key]) == {key: 4}
            assert await cache.adelete_many([key]) == 1

        run(main())
        assert sum(cache.faults().values()) == 0


def test_nodes_that_have_left_a_cluster_are_left_alone(cluster: Cluster) -> None:
    with ServerCache(cluster.urls, timeout=2, secret="secret", near_cache_size=0) as cache:
        link = cache.engine.link
        first = link.at(cache.engine.place("key")[1] & 255)

        async def main() -> None:
            await warm(cache)
            await cache.aget_many([f"{number}" for number in range(100)])
            known = cache.engine.link.loops[asyncio.get_running_loop()]
            others = [known.of(node) for node in link.nodes() if node is not first]
            assert all(other.used for other in others)
            busy = await others[0]._borrow()

            link.table = [first] * BUCKETS
            assert await cache.aset("key", 1)
            assert [other.used for other in others] == [True, False]
            others[0]._idle.append(busy)
            assert await cache.aget("key") == 1
            assert not any(other.used for other in others)
            assert list(known._nodes) == [first]

        run(main())
        assert sum(cache.faults().values()) == 0


def test_a_socket(own_server: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    own_server("--unixsocket", str(path))
    with ServerCache(f"unix://{path}?db=1", timeout=10, secret="secret") as cache:
        listening(cache)
        cache.set("key", 1)

        async def main() -> None:
            await warm(cache)
            assert await cache.aget("key") == 1
            assert cache.engine.near.knows("key")
            await cache.aclear()
            await every_method(cache)

        run(main())
        assert cache.get("key") is None
