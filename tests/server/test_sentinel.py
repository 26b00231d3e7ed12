"""Sentinels: the primary is who they say, and a failover is followed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from django_diskcache.engine.errors import Fault
from django_diskcache.server import ServerCache, awaitedlines, resolving
from django_diskcache.server.lines import MOST_LINES

from .conftest import listening, patience
from .servers import HOST, Server, free_port, until

CONFIGURATION = """
port {port}
bind {host}
sentinel monitor main {host} {primary} 1
sentinel down-after-milliseconds main 600000
sentinel failover-timeout main 3000
"""


class Sentinel(Server):
    """One that watches a primary."""

    def __init__(self, directory: Path, primary: Server, more: str = "") -> None:
        self.primary = primary
        self.more = more
        super().__init__(directory)

    def choose(self) -> None:
        super().choose()
        text = CONFIGURATION.format(port=self.port, host=HOST, primary=self.primary.port)
        (self.directory / "sentinel.conf").write_text(text + self.more)

    def command(self) -> list[str]:
        program, *_ = super().command()
        return [program, str(self.directory / "sentinel.conf"), "--sentinel"]

    def give_up_soon(self) -> None:
        """Take a primary for dead that is silent for half a second; before, none ever is."""
        with self.client() as client:
            command = ("SENTINEL", "SET", "main", "down-after-milliseconds", "500")
            client.execute_command(*command)

    def fails_over(self) -> bool:
        """Begin a failover, if it can be done now."""
        try:
            with self.client() as client:
                client.execute_command("SENTINEL", "FAILOVER", "main")
        except redis.ResponseError:
            return False
        return True


def is_primary(server: Server) -> bool:
    try:
        with server.client() as client:
            return bool(client.info("replication")["role"] == "master")
    except redis.ConnectionError:  # it closes all connections when it becomes one
        return False


@pytest.fixture
def watched(
    own_server: Callable[..., Server], tmp_path: Path
) -> Iterator[tuple[Sentinel, Server, Server]]:
    primary = own_server()
    with primary.client() as client:
        client.config_set("repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", HOST, str(primary.port))
    with replica.client() as client:
        until(lambda: client.info("replication")["master_link_status"] == "up")
    sentinel = Sentinel(tmp_path / "sentinel", primary)
    try:
        with sentinel.client() as client:
            until(lambda: client.sentinel_slaves("main"), "the sight of the replica")
        yield sentinel, primary, replica
    finally:
        sentinel.stop()


def test_sentinels_that_are_down_are_named() -> None:
    ports = [free_port(), free_port()]
    location = f"sentinel://{HOST}:{ports[0]},{HOST}:{ports[1]}/main"
    with ServerCache(location, strict=True) as cache:
        for _ in range(2):  # the second time they are not asked
            with pytest.raises(Fault, match="'main'; sentinels that do not answer: ") as raised:
                cache.get("key")
            assert len(str(raised.value)) < 300
            assert str(raised.value).count(f"{HOST}:{ports[0]}") == 2


@pytest.mark.parametrize("on_a_loop", [False, True], ids=["thread", "loop"])
def test_a_sentinel_that_does_not_answer_leaves_time_for_the_next(
    own_server: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_a_loop: bool,
) -> None:
    monkeypatch.setattr("django_diskcache.server.awaiting.NATIVE_FROM", 1)
    sentinel = Sentinel(tmp_path / "sentinel", own_server())
    try:
        with socket.create_server((HOST, 0)) as silent:  # it is connected to, and says nothing
            first = f"{HOST}:{silent.getsockname()[1]}"
            location = f"sentinel://{first},{HOST}:{sentinel.port}/main"
            with ServerCache(location, patience(4.0), near_cache_size=0, statistics=0) as cache:
                link = cache.engine.link
                make: Any = link.table[0].make

                async def at_once() -> None:
                    nonlocal make
                    stored = await asyncio.gather(*(cache.aset(f"{n}", n) for n in range(4)))
                    # In redis-py 6.2 the others connect to the silent one after that.
                    assert stored[0]
                    assert await cache.aset("key", 1)
                    make = link.loops[asyncio.get_running_loop()].of(link.table[0]).make

                if on_a_loop:
                    asyncio.run(at_once())
                else:
                    with ThreadPoolExecutor(4) as threads:
                        assert all(threads.map(cache.set, range(4), range(4)))
                    assert sum(cache.faults().values()) == 0
                order = make.__self__.sentinel_manager.sentinels
                ports = [each.connection_pool.connection_kwargs["port"] for each in order]
                assert ports == [sentinel.port, silent.getsockname()[1]]  # none is lost
    finally:
        sentinel.stop()


def test_tasks_that_ask_sentinels_at_once_do_not_disturb_each_other(
    own_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Who has his answer closes connections to sentinels; others are just taking them."""
    primary = own_server()
    sentinel = Sentinel(tmp_path / "sentinel", primary)
    location = f"sentinel://{HOST}:{sentinel.port}/main"

    async def main() -> None:
        (node,) = cache.engine.link.nodes()
        make: Any = cache.engine.link.awaited(node)
        pool = make.__self__

        async def ask(later: int) -> None:
            for _ in range(later):
                await asyncio.sleep(0)
            assert await awaitedlines._primary(pool) == (HOST, primary.port)

        await asyncio.gather(*(ask(number) for number in range(MOST_LINES)))

    try:
        with ServerCache(location, patience(), near_cache_size=0, statistics=0) as cache:
            asyncio.run(main())
    finally:
        sentinel.stop()


NAMED = """
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor named localhost {port} 1
"""


def test_an_event_loop_resolves_only_the_name_that_sentinels_tell(
    own_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_diskcache.server.awaiting.NATIVE_FROM", 1)
    asked: list[str] = []

    def nobody(host: str, family: int) -> list[str]:
        asked.append(host)
        raise OSError("Name or service not known")

    monkeypatch.setattr(resolving, "asked", nobody)
    primary = own_server()
    sentinel = Sentinel(tmp_path / "sentinel", primary, NAMED.format(port=primary.port))
    try:
        for service, stored, names in (("main", True, []), ("named", False, ["localhost"])):
            location = f"sentinel://{HOST}:{sentinel.port}/{service}"
            with ServerCache(location, patience(), near_cache_size=0, statistics=0) as cache:
                assert asyncio.run(cache.aset("key", 1)) is stored
                assert asked == names
                assert cache.faults()["lost"] == len(names)
    finally:
        sentinel.stop()


@pytest.mark.long
@pytest.mark.parametrize("killed", [False, True], ids=["asked for", "killed"])
def test_a_failover_is_followed(watched: tuple[Sentinel, Server, Server], killed: bool) -> None:
    sentinel, primary, replica = watched
    location = f"sentinel://{HOST}:{sentinel.port}/main/0"
    with (
        ServerCache(location, timeout=10, secret="secret") as cache,
        ServerCache(location, timeout=11, secret="secret", near_cache_size=0) as other,
    ):
        listening(cache)
        assert cache.set("key", 1)
        assert cache.get("key") == 1
        assert cache.engine.near.knows("key")
        with primary.client() as client:
            assert client.wait(1, 5000) == 1

        if killed:
            primary.kill()
            sentinel.give_up_soon()
        else:
            until(sentinel.fails_over, "the readiness of the replica")
        until(lambda: is_primary(replica), "a failover")

        until(lambda: other.set("key", 2), "a set on the new primary")
        until(lambda: cache.get("key") == 2, "a read from the new primary")
        until(lambda: cache.get("key") and cache.engine.near.knows("key"), "a listener there")
        assert other.set("key", 3)
        until(lambda: cache.get("key") == 3, "an invalidation")
        with replica.client() as client:
            assert client.exists(cache.engine.place("key")[0])
