"""What an entry of CACHES with the option ``signals`` tells, and that others tell nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.cache import CacheKeyWarning, caches
from django.core.exceptions import ImproperlyConfigured

from django_diskcache import DjangoCache, Timeout, signals
from django_diskcache.observing import OBSERVED
from tests.django.conftest import FakeClock, MakeCache
from tests.engines import engine_of
from tests.locking import beside, locked

NAMES = ("hit", "miss", "set", "deleted", "evicted", "error")
# What needs no signal of its own: it reads no value and changes none, or it is made of others.
QUIET = {
    *("check", "close", "create_tag_index", "cull", "decr", "decr_version"),
    *("drop_tag_index", "evictions", "expire", "faults", "figures", "get_backend_timeout"),
    *("get_or_set", "has_key", "make_and_validate_key", "make_key", "memoize"),
    *("read", "shutdown", "stats", "touch", "validate_key", "volume"),
    *("cache", "deque", "index"),  # caches of their own
    *("iter_keys", "keys", "keys_by_tag", "persist", "pexpire", "pexpire_at", "pttl", "tags"),
    *("ttl", "transact", "set_on_commit", "delete_on_commit", "evict_on_commit"),
    *("allow", "lock", "once_per", "semaphore", "throttle"),
}


class Told(NamedTuple):
    name: str
    sender: Any
    arguments: dict[str, Any]


@pytest.fixture
def told() -> Iterator[list[Told]]:
    """All signals that are sent during a test."""
    found: list[Told] = []

    def receiver(name: str) -> Callable[..., None]:
        def receive(sender: Any, signal: Any, **arguments: Any) -> None:
            found.append(Told(name, sender, arguments))

        return receive

    receivers = {name: receiver(name) for name in NAMES}
    for name, each in receivers.items():
        getattr(signals, f"cache_{name}").connect(each)
    yield found
    for name, each in receivers.items():
        assert getattr(signals, f"cache_{name}").disconnect(each)


@pytest.fixture
def cache(make_cache: MakeCache) -> DjangoCache:
    return make_cache(OPTIONS={"signals": True, "shards": 2})


def taken(told: list[Told]) -> list[tuple[str, Any]]:
    """Name and keys of what was told since the last time."""
    found = [(each.name, each.arguments.get("keys")) for each in told]
    told.clear()
    return found


def test_others_send_nothing(make_cache: MakeCache, told: list[Told]) -> None:
    cache = make_cache()
    cache.set("key", 1)
    cache.get_many(["key", "other"])
    cache.clear()
    assert type(cache) is DjangoCache
    assert told == []


@pytest.mark.parametrize("value", [True, "true", 1])
@pytest.mark.parametrize("name", ["signals", "SIGNALS"])
def test_the_option_in_any_form(
    make_cache: MakeCache, told: list[Told], name: str, value: Any
) -> None:
    cache = make_cache(OPTIONS={name: value})
    assert isinstance(cache, DjangoCache)
    assert type(cache) is type(make_cache(OPTIONS={name: value}))
    cache.set("key", 1)
    assert taken(told) == [("set", ["key"])]
    with pytest.raises(ImproperlyConfigured, match="signals='perhaps': expected"):
        make_cache(OPTIONS={name: "perhaps"})


def test_hits_and_misses(cache: DjangoCache, told: list[Told]) -> None:
    cache.set("key", None, tag="tag")
    told.clear()
    for default in (None, 7):
        assert cache.get("key", default) is None
        assert cache.get("missing", default) == default
    assert cache.get("key", tag=True) == (None, "tag")
    assert cache.get("missing", 7, None, False, True, True) == (7, None, None)
    assert cache.get("missing", default=7, version=3, tag=True) == (7, None)
    assert told[-1].arguments["version"] == 3
    assert cache.read("missing") is None
    key, missing = ("hit", ["key"]), ("miss", ["missing"])
    assert taken(told) == [key, missing, key, missing, key, missing, missing, missing]
    assert cache.get_many(name for name in ("key", "one", "two")) == {"key": None}
    assert taken(told) == [key, ("miss", ["one", "two"])]
    assert cache.get_many(keys=["key"], version=1) == {"key": None}
    assert taken(told) == [key]
    assert cache.has_key("key")
    assert cache.touch("key")
    assert taken(told) == []


def test_looks_for_what_may_be_stale(cache: DjangoCache, told: list[Told]) -> None:
    @cache.memoize("double", timeout=60, stale=60)
    def double(number: int) -> int:
        return 2 * number

    assert (double(3), double(3)) == (6, 6)
    assert {each.arguments["method"] for each in told} == {"get", "set"}
    names = [name for name, _ in taken(told)]
    assert (names[0], names[-1]) == ("miss", "hit")
    assert names.count("set") == names.count("hit") == 1
    with pytest.warns(CacheKeyWarning):
        assert cache.get_or_set("a key", 1, 60, stale=60) == 1
    with pytest.warns(CacheKeyWarning):
        assert cache.get_or_set("a key", 2, 60, stale=60) == 1
    assert taken(told)[-1] == ("hit", ["a key"])


class Vague:
    """Something whose comparisons have no truth, as arrays have none."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_values_are_not_compared(cache: DjangoCache, told: list[Told]) -> None:
    cache.set("key", (Vague(), 1))
    assert cache.get("key")[1] == 1
    assert type(cache.pop("key")[0]) is Vague
    assert [name for name, _ in taken(told)] == ["set", "hit", "deleted"]


def test_what_is_stored(cache: DjangoCache, told: list[Told]) -> None:
    assert cache.set("key", 1, 60, 2)
    assert told[0].arguments["version"] == 2
    assert cache.add("new", 1)
    assert not cache.add("new", 2)
    assert taken(told) == [("set", ["key"]), ("set", ["new"])]
    assert cache.set_many({"a": 1, "b": 2}, version=2) == []
    assert told[0].arguments["version"] == 2
    assert cache.incr("new") == 2
    assert cache.decr("new", 2) == 0
    assert taken(told) == [("set", ["a", "b"]), ("set", ["new"]), ("set", ["new"])]
    with pytest.raises(ValueError, match="missing"):
        cache.incr("missing")
    assert taken(told) == []
    assert cache.get_or_set("computed", lambda: 3) == 3
    assert taken(told)[:2] == [("miss", ["computed"]), ("set", ["computed"])]
    assert cache.incr_version("new") == 2
    assert [each.arguments["version"] for each in told] == [2, 1]
    assert taken(told) == [("set", ["new"]), ("deleted", ["new"])]


def test_what_is_refused_is_not_told_as_stored(
    make_cache: MakeCache, told: list[Told], caplog: Any
) -> None:
    cache = make_cache(OPTIONS={"signals": True, "size_limit": 2_000_000})
    assert not cache.set("large", b"x" * 3_000_000)
    assert cache.set_many({"large": b"x" * 3_000_000, "small": 1}) == ["large"]
    assert taken(told)[-1] == ("set", ["small"])


def test_what_is_deleted(cache: DjangoCache, told: list[Told]) -> None:
    cache.set_many({"a": 1, "b": 2, "c": 3, "d": 4}, tag="tag")
    told.clear()
    assert cache.delete("a")
    assert not cache.delete("a")
    assert cache.pop("b") == 2
    assert cache.pop("b", 7) == 7
    assert cache.pop("b", default=7, tag=True) == (7, None)
    assert [each.arguments["count"] for each in told] == [1, 1]
    assert taken(told) == [("deleted", ["a"]), ("deleted", ["b"])]
    cache.delete_many(key for key in ("c", "missing"))
    assert taken(told) == [("deleted", ["c", "missing"])]
    assert cache.evict("tag") == 1
    cache.clear()
    evicted, cleared = (each.arguments for each in told)
    assert (evicted["keys"], evicted["count"], evicted["what"]) == (None, 1, "tag")
    assert (cleared["method"], cleared["keys"]) == ("clear", None)


def test_what_is_removed_by_version_prefix_and_pattern(
    cache: DjangoCache, told: list[Told]
) -> None:
    def removed() -> list[tuple[Any, ...]]:
        names = ("method", "keys", "count", "what", "version")
        found = [tuple(each.arguments[name] for name in names) for each in told]
        told.clear()
        return found

    cache.clear(prefix="page:")
    assert removed() == [("clear", None, None, "page:", 1)]
    cache.clear(2)
    assert removed() == [("clear", None, None, "*", 2)]
    cache.clear(prefix="page:", version=2)
    assert removed() == [("clear", None, None, "page:", 2)]
    cache.clear()
    asyncio.run(cache.aclear())
    assert removed() == [("clear", None, None, None, 1)] * 2
    cache.delete_pattern("a*")
    cache.delete_prefix("a", 2)
    assert removed() == [
        ("delete_pattern", None, 0, "a*", 1),
        ("delete_prefix", None, 0, "a", 2),
    ]
    cache.evict(("a", "b"))
    assert removed() == [("evict", None, 0, ("a", "b"), 1)]


def test_an_expiry_that_leaves_no_time_is_a_removal(
    cache: DjangoCache, told: list[Told], clock: FakeClock, settings: Any
) -> None:
    settings.TIME_ZONE = "Etc/GMT-5"  # where a time without a zone is over sooner than in UTC
    now = datetime.fromtimestamp(clock(), timezone.utc)
    over: list[Callable[[], bool]] = [
        lambda: cache.expire_in("key", 0),
        lambda: cache.expire_in("key", timedelta(seconds=-1)),
        lambda: cache.expire_at("key", clock()),
        lambda: cache.expire_at("key", now, 1),
        lambda: cache.expire_at("key", now.replace(tzinfo=None) + timedelta(hours=4)),
        lambda: asyncio.run(cache.aexpire_in("key", 0)),
    ]
    for call in over:
        cache.set("key", 1)
        told.clear()
        assert call()
        assert cache.has_key("key") is False
        assert [each.arguments["count"] for each in told] == [1]
        assert taken(told) == [("deleted", ["key"])]
        assert not call()  # it is gone
        assert taken(told) == []
    cache.set("key", 1)
    told.clear()
    assert cache.expire_in("key", 5)
    assert cache.expire_at("key", clock() + 5)
    assert cache.expire_at("key", now.replace(tzinfo=None) + timedelta(hours=6))
    assert cache.has_key("key")
    assert taken(told) == []


def test_locks_and_rates_send_nothing(cache: DjangoCache, told: list[Told]) -> None:
    with cache.lock("name"):
        assert not cache.lock("name", blocking=False).acquire()
    assert cache.allow("rate", 1, 60)
    assert cache.once_per("name", 60)
    assert told == []


def test_who_sends_what_and_how_long_it_took(settings: Any, tmp_path: Path, told: Any) -> None:
    entry = {"BACKEND": "django_diskcache.DjangoCache", "OPTIONS": {"signals": True}}
    settings.CACHES = {
        "other": {**entry, "LOCATION": tmp_path / "other"},
        "pages": {**entry, "LOCATION": tmp_path / "pages"},
    }
    caches["pages"].set("key", 1)
    ((_, sender, arguments),) = told
    assert sender is DjangoCache
    assert 0 <= arguments.pop("seconds") < 60
    assert arguments == {
        "alias": "pages",
        "directory": str(tmp_path / "pages"),
        "keys": ["key"],
        "version": 1,
        "method": "set",
    }
    unnamed = DjangoCache(tmp_path / "unnamed", {"OPTIONS": {"signals": True}})
    unnamed.get("key")
    assert told[-1].arguments["alias"] is None


def test_a_subclass_of_the_backend(tmp_path: Path, told: list[Told]) -> None:
    class Own(DjangoCache):
        def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
            return super().get(key, *args, **kwargs)

        def delete(self, *args: Any, **kwargs: Any) -> bool:
            return super().delete(*args, **kwargs)

    own = Own(tmp_path / "own", {"OPTIONS": {"signals": True}})
    own.set("key", 1)
    assert own.get("key", 7) == 1
    assert own.get("missing", 7) == 7
    assert own.delete("key")
    assert isinstance(own, Own)
    assert {each.sender for each in told} == {Own}
    assert [name for name, _ in taken(told)] == ["set", "hit", "miss", "deleted"]


def test_every_method_sends_or_needs_not() -> None:
    names = {name for name in dir(DjangoCache) if not name.startswith("_")}
    twins = {f"a{name}" for name in names}
    methods = {name for name in names - twins if callable(getattr(DjangoCache, name))}
    assert methods - QUIET - set(OBSERVED) == set()
    assert not QUIET & set(OBSERVED)


def test_evictions_and_expiry(
    make_cache: MakeCache, told: list[Told], clock: FakeClock
) -> None:
    options = {"signals": True, "shards": 1, "max_entries": 20, "cull_frequency": 10}
    cache = make_cache(OPTIONS=options)
    twin = make_cache(OPTIONS=options, KEY_PREFIX="twin")  # of the same engine
    for number in range(25):
        cache.set(number, "x" * 100)
    evicted = [each.arguments for each in told if each.name == "evicted"]
    assert {each["reason"] for each in evicted} == {"entries"}
    assert sum(each["count"] for each in evicted) == cache.evictions()["entries"]
    assert {each["directory"] for each in evicted} == {cache.directory}
    told.clear()
    twin.set("soon", 1, timeout=5)
    clock.advance(10)
    told.clear()
    assert cache.expire() == 1
    ((name, sender, arguments),) = told
    assert (name, sender, arguments["reason"], arguments["count"]) == (
        *("evicted", None),
        *("expired", 1),
    )


def test_errors(make_cache: MakeCache, told: list[Told], make_any: Any) -> None:
    met: list[Exception] = []
    cache = make_cache(OPTIONS={"signals": True, "shards": 1, "error_handler": met.append})
    cache.set("key", 1)
    told.clear()
    locked, done = threading.Event(), threading.Event()

    def keep_locked() -> None:
        with cache._cache.transact():
            locked.set()
            done.wait(60)

    thread = threading.Thread(target=keep_locked)
    thread.start()
    try:
        assert locked.wait(60)
        assert not cache.set("key", 2, retry=False)
    finally:
        done.set()
        thread.join()
    ((name, _, arguments),) = told
    assert name == "error"
    assert isinstance(arguments["error"], Timeout)
    assert met == [arguments["error"]]


def test_asynchronous_methods(cache: DjangoCache, told: list[Told]) -> None:
    waited: list[Any] = []

    async def wait(sender: Any, signal: Any, **arguments: Any) -> None:
        await asyncio.sleep(0)
        waited.append(arguments["keys"])

    signals.cache_hit.connect(wait)

    async def use() -> None:
        await cache.aset("key", 1)
        assert await cache.aget("key") == 1
        assert await cache.aget("key", 7, 1) == 1  # from the near cache
        assert await cache.aget("missing", 7) == 7
        await cache.aget_many(["key", "missing"])
        await cache.aget_or_set("key", 2)
        await cache.aclear()

    try:
        asyncio.run(use())
    finally:
        signals.cache_hit.disconnect(wait)
    key, missing = ("hit", ["key"]), ("miss", ["missing"])
    assert waited == [["key"]] * 4
    assert taken(told) == [
        ("set", ["key"]),
        *(key, key, missing, key, missing, key),
        ("deleted", None),
    ]


def test_a_call_that_goes_to_a_thread_sends_once(cache: DjangoCache, told: list[Told]) -> None:
    with locked(engine_of(cache)) as release:
        assert asyncio.run(beside(cache.aset("key", 1), release))
    assert taken(told) == [("set", ["key"])]


def test_what_a_receiver_raises_reaches_nobody(
    cache: DjangoCache, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**arguments: Any) -> None:
        raise RuntimeError("broken")

    async def never(**arguments: Any) -> None:
        raise AssertionError("not to be awaited here")

    async def use() -> None:
        cache.set("key", 2)  # a synchronous call on the event loop

    caplog.set_level(logging.ERROR)
    for receiver in (fail, never):
        signals.cache_set.connect(receiver)
    try:
        assert cache.set("key", 1)
        asyncio.run(cache.aset("key", 1))
        signals.cache_set.disconnect(fail)
        asyncio.run(use())
    finally:
        for receiver in (fail, never):
            signals.cache_set.disconnect(receiver)
    assert cache.get("key") == 2
    assert "broken" in caplog.text
    assert "a signal could not be sent" in caplog.text


def test_a_receiver_may_use_the_cache(cache: DjangoCache, told: list[Told]) -> None:
    def count(**arguments: Any) -> None:
        cache.incr("count", default=0)

    signals.cache_set.connect(count)
    try:
        cache.set("key", 1)
        asyncio.run(cache.aset("key", 1))
    finally:
        signals.cache_set.disconnect(count)
    assert cache.get("count") == 2
    assert taken(told) == [("set", ["key"]), ("set", ["key"]), ("hit", ["count"])]


def test_an_object_that_waits_for_the_checks(
    tmp_path: Path, told: list[Told], monkeypatch: Any
) -> None:
    monkeypatch.setattr("django_diskcache.backend.opened_unless_checked", lambda *_: None)
    cache = DjangoCache(tmp_path / "later", {"OPTIONS": {"signals": "yes"}})
    assert not (tmp_path / "later").exists()
    cache.set("key", 1)
    assert taken(told) == [("set", ["key"])]
    mistaken = DjangoCache(tmp_path / "never", {"OPTIONS": {"signals": "perhaps"}})
    with pytest.raises(ImproperlyConfigured, match="signals"):
        mistaken.get("key")
