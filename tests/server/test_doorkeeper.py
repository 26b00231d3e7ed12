"""What a read of many keys remembers, and what the server is asked to tell of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from django_diskcache.engine.nearcache import MAX_AGE
from django_diskcache.server import ServerCache
from django_diskcache.server.doorkeeper import LONG, MOST, Doorkeeper
from tests.conftest import FakeClock

from .conftest import listening
from .servers import Server, until

Make = Callable[..., ServerCache]
KEYS = [f"key:{n}" for n in range(LONG)]


@pytest.fixture
def make_cache(make_cache: Make, clock: FakeClock) -> Make:
    """On a clock that stands still: what was asked for is not forgotten."""
    return partial(make_cache, clock=clock)


def remembered(cache: ServerCache) -> set[str]:
    return {key for key in KEYS if cache.engine.near.knows(key)}


def tracked(server: Server) -> int:
    with server.client() as client:
        return int(client.info()["tracking_total_keys"])


def test_many_keys_are_remembered_when_they_are_asked_for_again(
    own_server: Callable[..., Server], make_cache: Make
) -> None:
    server = own_server()
    cache = listening(make_cache(server))
    cache.set_many(dict.fromkeys(KEYS, 1))
    before = tracked(server)

    assert cache.get_many(KEYS) == dict.fromkeys(KEYS, 1)
    assert not remembered(cache)
    assert tracked(server) == before  # nobody is told of them

    assert cache.get_many(KEYS) == dict.fromkeys(KEYS, 1)
    assert remembered(cache) == set(KEYS)
    assert tracked(server) == before + len(KEYS)


def test_of_a_mixed_list_those_are_remembered_that_were_asked_for(
    server: Server, make_cache: Make
) -> None:
    cache = listening(make_cache(server))
    other = make_cache(server, near_cache_size=0)
    cache.set_many({key: n for n, key in enumerate(KEYS)})
    assert cache.get(KEYS[3]) == 3
    other.set(KEYS[3], "new")
    until(lambda: not cache.engine.near.knows(KEYS[3]), "the message")  # it is out of date

    found = {**{key: n for n, key in enumerate(KEYS)}, KEYS[3]: "new"}
    assert cache.get_many([*KEYS, "missing"]) == found
    assert remembered(cache) == {KEYS[3]}

    assert cache.get_many([*KEYS, "missing"]) == found
    assert remembered(cache) == set(KEYS)
    assert cache.engine.near.knows("missing") is False


def test_few_keys_are_remembered_at_once(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set_many(dict.fromkeys(KEYS, 1))
    some = KEYS[: LONG - 1]
    assert cache.get_many(some) == dict.fromkeys(some, 1)
    assert remembered(cache) == set(some)


def test_what_is_read_a_second_time_is_told_of(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    other = make_cache(server, near_cache_size=0)
    cache.set_many(dict.fromkeys(KEYS, 1))
    for _ in range(2):
        cache.get_many(KEYS)

    assert other.set(KEYS[0], 2)
    until(lambda: cache.get(KEYS[0]) == 2, "the message")


def test_the_same_on_an_event_loop(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server))
    cache.set_many(dict.fromkeys(KEYS, 1))
    asyncio.run(twice(cache))


async def twice(cache: ServerCache) -> None:
    for _ in range(3):  # the first calls go to a thread
        await cache.aget("another")
    assert await cache.aget_many(KEYS) == dict.fromkeys(KEYS, 1)
    assert not remembered(cache)
    more = [*KEYS, "more"]
    assert await cache.aget_many(more) == dict.fromkeys(KEYS, 1)
    assert remembered(cache) == set(KEYS)
    assert cache.engine.near.knows("more") is None
    await cache.aclose()


def test_what_was_asked_for_long_ago_is_forgotten() -> None:
    keeper = Doorkeeper()
    assert keeper.known([1, 2], 100.0) == set()
    assert keeper.known([2, 3], 100.0) == {2}
    assert keeper.known([3], 100.0 + MAX_AGE) == {3}  # in the period before
    assert keeper.known([1], 100.0 + MAX_AGE) == {1}
    assert keeper.known([2], 100.0 + 4 * MAX_AGE) == set()
    assert keeper.known([2], 50.0) == set()  # the clock was set back


def test_it_does_not_grow_without_end() -> None:
    keeper = Doorkeeper()
    for first in range(0, 10 * MOST, 100):
        keeper.known(range(first, first + 100), 100.0)
    assert len(keeper._recent) + len(keeper._before) < 3 * MOST
