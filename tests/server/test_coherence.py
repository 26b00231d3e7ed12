"""The near cache against a server that other processes change as well."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from django_diskcache.server import ServerCache
from django_diskcache.server.awaitedlink import NATIVE_FROM
from django_diskcache.server.board import Board
from tests.conftest import FakeClock

from .conftest import listening, patience
from .servers import PATIENCE, Server, until

Make = Callable[..., ServerCache]


@pytest.fixture
def make_cache(make_cache: Make, clock: FakeClock) -> Make:
    """On a clock that stands still: nothing is read again because it is old."""
    return partial(make_cache, clock=clock)


def remembers(cache: ServerCache, key: str) -> bool:
    """Whether a get of the key would not go to the server."""
    return cache.engine.near.knows(key) is not None


def test_what_was_read_is_remembered(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set("key", {"a": 1})
    assert not remembers(cache, "key")

    assert cache.get("key") == {"a": 1}

    assert remembers(cache, "key")
    with server.client() as client:
        before = client.info("commandstats")["cmdstat_get"]["calls"]
        for _ in range(50):
            assert cache.get("key") == {"a": 1}
        assert client.info("commandstats")["cmdstat_get"]["calls"] == before


def test_a_miss_is_remembered(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    assert cache.get("key") is None
    assert remembers(cache, "key")
    assert cache.has("key") is False

    make_cache(server).set("key", 1)

    until(lambda: cache.get("key") == 1, "an invalidation")


def test_every_change_by_another_is_told(server: Server, make_cache: Make) -> None:
    cache, other = listening(make_cache(server)), make_cache(server)
    changes: list[tuple[Callable[[], Any], Any]] = [
        (lambda: other.set("key", 2), 2),
        (lambda: other.set("key", 3, tag="tag"), 3),
        (lambda: other.incr("key"), 4),
        (lambda: other.incr("key", 0.5), 4.5),
        (lambda: other.set_many({"key": 5}), 5),
        (lambda: other.set_many({"key": 6}, tag="tag"), 6),
        (lambda: other.evict("tag"), None),
        (lambda: other.add("key", 7), 7),
        (lambda: other.delete("key"), None),
        (lambda: other.add("key", 8, tag="tag"), 8),
        (lambda: other.pop("key"), None),
        (lambda: other.set("key", 9), 9),
        (lambda: other.touch("key", -1), None),
        (lambda: other.set("key", 10), 10),
        (lambda: other.delete_many(["key"]), None),
        (lambda: other.set("key", 11), 11),
        (other.clear, None),
    ]
    for number, (change, after) in enumerate(changes):
        cache.get("key")
        assert remembers(cache, "key"), number
        change()
        until(lambda: not remembers(cache, "key"), f"invalidation {number}")
        assert cache.get("key") == after, number


def test_own_changes_are_seen_at_once(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    for number in range(200):
        cache.get("key")
        cache.set("key", number)
        assert cache.get("key") == number
        assert cache.incr("key") == number + 1
        assert cache.get("key") == number + 1
        cache.set_many({"key": -1, "other": -1})
        assert cache.get_many(["key", "other"]) == {"key": -1, "other": -1}
        cache.delete("key")
        assert cache.get("key") is None


def test_a_value_that_changes_while_it_is_read_is_not_kept(
    server: Server, make_cache: Make, monkeypatch: Any
) -> None:
    """The change is told before the reader remembers: what he remembers is known to be old."""
    cache, other = listening(make_cache(server)), make_cache(server)
    cache.set("key", "old")
    stamps = cache.engine.board.stamps
    (node,) = cache.engine.link.nodes()
    look = node.look

    def slowly(*command: Any) -> Any:
        reply = look(*command)
        before = list(stamps)
        other.set("key", "new")
        until(lambda: stamps != before, "an invalidation")
        return reply

    monkeypatch.setattr(node, "look", slowly)
    assert cache.get("key") == "old"
    monkeypatch.undo()

    assert not remembers(cache, "key")
    assert cache.get("key") == "new"


def test_a_flush_of_the_server_empties_it(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set_many({"a": 1, "b": 2})
    assert cache.get_many(["a", "b"]) == {"a": 1, "b": 2}
    assert remembers(cache, "a")

    with server.client() as client:
        client.flushall()

    until(lambda: not remembers(cache, "a"), "an invalidation")
    assert cache.get_many(["a", "b"]) == {}


def test_what_is_evicted_by_what_is_stored_here_is_told(
    own_server: Callable[..., Server], make_cache: Make
) -> None:
    server = own_server("--maxmemory-policy", "allkeys-random")
    cache = listening(make_cache(server))
    keys = [f"key{number}" for number in range(100)]
    cache.set_many(dict.fromkeys(keys, "old"))
    names = {key: cache.engine.place(key)[0] for key in keys}
    for key in keys:
        assert cache.get(key) == "old"
        assert remembers(cache, key)

    with server.client() as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 100_000)

        def gone() -> list[str]:
            return [key for key in keys if not client.exists(names[key])]

        def evicts() -> bool:
            for number in range(50):
                cache.set(f"fill{number}", b"x" * 10_000)
            return len(gone()) > 20

        until(evicts, "an eviction")
        until(lambda: not any(remembers(cache, key) for key in gone()), "invalidations")


def test_what_the_server_will_tell_no_more_is_told(
    own_server: Callable[..., Server], make_cache: Make
) -> None:
    """It drops keys of its table while it handles a read of ours."""
    server = own_server("--tracking-table-max-keys", "10")
    cache = listening(make_cache(server))
    keys = [f"key{number}" for number in range(200)]
    for key in keys:
        cache.get(key)

    until(lambda: sum(remembers(cache, key) for key in keys) <= 20, "invalidations")


def test_a_lost_listener_empties_it(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set("key", 1)
    cache.get("key")
    (node,) = cache.engine.link.nodes()
    assert node.listener is not None
    first = node.generation

    with server.client() as client:
        client.client_kill_filter(_id=node.listener[0].decode())
    until(lambda: node.generation not in (0, first), "another listener")
    assert not remembers(cache, "key")

    # The connections that are there are told of the new one.
    assert cache.get("key") == 1
    assert remembers(cache, "key")
    make_cache(server).set("key", 2)
    until(lambda: cache.get("key") == 2, "an invalidation")


def test_a_lost_connection_empties_it(server: Server, make_cache: Make) -> None:
    """The server no longer tells of what was read on it."""
    cache = listening(make_cache(server))
    cache.set("key", 1)
    cache.get("key")
    assert remembers(cache, "key")

    kill_others(cache, server)
    assert cache.get("other") is None

    assert not remembers(cache, "key")


def kill_others(cache: ServerCache, server: Server) -> None:
    """Let the server close all connections but that of the listener."""
    (node,) = cache.engine.link.nodes()
    with server.client() as client:
        own = [client.client_id(), int(node.listener[0]) if node.listener else 0]
        for each in client.client_list():
            if int(each["id"]) not in own:
                client.client_kill_filter(_id=each["id"])


def test_a_lost_connection_is_noticed_before_it_is_used(
    server: Server, make_cache: Make
) -> None:
    cache = listening(make_cache(server, statistics=0))  # nothing to tell
    cache.set("key", 1)
    cache.get("key")
    assert remembers(cache, "key")

    kill_others(cache, server)

    until(lambda: not remembers(cache, "key"), "a look at the connections")


def test_a_lost_connection_of_a_loop_is_noticed_before_it_is_used(
    server: Server, make_cache: Make
) -> None:
    cache = listening(make_cache(server))
    cache.set("key", 1)

    async def main() -> None:
        for number in range(NATIVE_FROM + 1):
            await cache.aget(f"{number}")
        cache.engine.near.clear()
        for node in cache.engine.link.nodes():
            node.close()
        assert await cache.aget("key") == 1
        assert remembers(cache, "key")
        await asyncio.to_thread(kill_others, cache, server)
        deadline = time.monotonic() + PATIENCE
        while remembers(cache, "key"):
            assert time.monotonic() < deadline, "nobody noticed"
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_what_is_old_is_read_again(server: Server, make_cache: Make, clock: FakeClock) -> None:
    """The net under a change that nobody told of."""
    cache = listening(make_cache(server))
    cache.set("key", 1)
    cache.get("key")
    assert remembers(cache, "key")

    clock.advance(5.1)

    assert not remembers(cache, "key")


def test_what_expires_is_not_remembered_beyond_that(
    server: Server, make_cache: Make, clock: FakeClock
) -> None:
    cache = listening(make_cache(server))
    cache.set("key", 1, expire=4)  # less than it takes until what is remembered is old
    cache.get("key")
    assert remembers(cache, "key")

    clock.advance(4)

    assert not remembers(cache, "key")


def test_without_a_near_cache_nobody_listens(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    cache.set("key", 1)
    assert cache.get("key") == cache.get("key") == 1
    assert not cache.engine.listening
    assert len(cache.engine.near) == 0


def test_a_closed_cache_listens_no_more_and_can_be_used(
    server: Server, make_cache: Make
) -> None:
    cache = listening(make_cache(server))
    cache.set("key", 1)
    cache.get("key")

    cache.close()
    assert not cache.engine.listening
    assert not remembers(cache, "key")
    assert not [t for t in threading.enumerate() if str(server.port) in t.name]

    assert cache.get("key") == 1
    listening(cache)


def test_caches_of_one_process_share_connections_and_see_each_other_at_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two aliases of a site do, and a collection beside its cache."""
    wait = patience()
    with ServerCache(server.url, wait) as one, ServerCache(server.url, wait, secret="x") as two:
        listening(one)
        for each in (one, two):  # what is told once a second may need another connection
            monkeypatch.setattr(each.engine, "tick", lambda: None)
        with server.client() as client:
            before = client.info("stats")["total_connections_received"]
            for number in range(50):
                one.set("key", number)
                assert one.get("key") == two.get("key") == number
                two.set("key", -number)
                assert one.get("key") == two.get("key") == -number
            assert client.info("stats")["total_connections_received"] == before
        assert one.engine.link is two.engine.link
        assert one.engine.near is not two.engine.near
    with ServerCache(server.url, patience()) as three:
        assert three.engine.link is not one.engine.link


def test_stamps_never_repeat() -> None:
    board = Board()
    seen = set()
    for _ in range(3):
        board.stamp_all()
        seen.add(board.stamps[7])
        board.stamp(7)
        seen.add(board.stamps[7])
    assert len(seen) == 6
    board.stamp(2**32 - 1)
    board.stamp_each([2**31, 5])
    assert board.stamps[-1] == max(seen) + 1
    assert board.stamps[0] == board.stamps[5] == max(seen) + 2


WRITER = """
import sys
from django_diskcache.server import ServerCache
cache = ServerCache(sys.argv[1], timeout=10, secret="secret")
for number in range(1, int(sys.argv[2]) + 1):
    cache.set("key", number)
    print(number, flush=True)
    sys.stdin.readline()
"""


def test_two_processes_and_no_stale_read_after_the_message(
    server: Server, make_cache: Make
) -> None:
    """A reader that waits for the change sees it, and never goes back to what was before."""
    cache = listening(make_cache(server, timeout=10))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, server.url, "100"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for line in writer.stdout:
            written = int(line)
            deadline = time.monotonic() + PATIENCE
            while (seen := cache.get("key", 0)) != written:
                assert seen == written - 1
                assert time.monotonic() < deadline, "the change was not told"
            for _ in range(5):
                assert cache.get("key") == written
            writer.stdin.write("\n")
            writer.stdin.flush()
    assert writer.returncode == 0


def test_a_forked_child_has_connections_of_its_own(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set("key", "value")
    assert cache.get("key") == "value"
    parent = cache.engine.link.nodes()[0].listener

    child = os.fork()
    if child == 0:
        status = 1
        try:
            fine = not cache.engine.listening and not remembers(cache, "key")
            fine = fine and cache.get("key") == "value" and cache.incr("count") == 1
            until(lambda: cache.engine.listening, "a listener of the child")
            fine = fine and cache.engine.link.nodes()[0].listener != parent
            fine = fine and cache.get("key") == "value" and remembers(cache, "key")
            cache.set("from the child", 1)
            status = 0 if fine else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert cache.get("from the child") == 1
    assert remembers(cache, "key")
    make_cache(server).set("key", "new")
    until(lambda: cache.get("key") == "new", "an invalidation")
