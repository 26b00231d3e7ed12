"""Commands as bytes: with hiredis alone, without it, and where the client looks at more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.server import ServerCache, packing

from .servers import Server

Make = Callable[..., ServerCache]


def use(cache: ServerCache) -> None:
    items = {f"{number}": [number, "x" * 10] for number in range(50)}
    assert cache.set("key", {"a b": "c\r\nd"}, tag=("one", "two"))
    assert cache.set_many(items) == []
    assert cache.get_many(items) == items
    assert cache.incr("number") == 1
    assert cache.get("key") == {"a b": "c\r\nd"}
    assert cache.evict("two") == 1
    assert sum(cache.faults().values()) == 0


def test_without_hiredis_the_client_packs(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "packed", None)
    use(make_cache(server))


def test_much_is_not_copied_into_one(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST", 100)
    assert len(packing.together(None, [(b"GET", b"x" * 60)] * 2)) == 2
    assert len(packing.together(None, [(b"GET", b"x")] * 2)) == 1
    use(make_cache(server))


def test_a_client_that_looks_at_its_health_sends_itself() -> None:
    class Connection:
        health_check_interval = 0

        def send_command(self, *command: Any) -> str:
            return "looked"

        def send_packed_command(self, command: Any, check_health: bool) -> str:
            assert not check_health
            return "sent"

    connection = Connection()
    assert packing.sender(connection)(b"PING") == "sent"
    connection.health_check_interval = 30
    assert packing.sender(connection)(b"PING") == "looked"
