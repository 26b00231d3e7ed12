"""What `reference/exceptions.md` says becomes of a fault, call by call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_diskcache import Cache, DjangoCache, FanoutCache, Fault, Timeout
from django_diskcache.engine import faults
from django_diskcache.engine.connection import Database

from .test_docs import DOCS

TEXT = (DOCS / "reference" / "exceptions.md").read_text()
FAULT = Fault("other", "somewhere", "disk I/O error")
LOCKED = Timeout("locked")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[FanoutCache]:
    with FanoutCache(tmp_path / "fanout", shards=1, near_cache_size=0) as cache:
        cache["key"] = 1
        yield cache


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every statement of every database fail in this way."""

    def brake(error: Exception) -> None:
        def fail(*args: Any, **options: Any) -> Any:
            raise error

        for name in ("run", "transact"):
            monkeypatch.setattr(Database, name, fail)

    return brake


def answers(cache: Any, key: str = "key") -> dict[str, Any]:
    """What each call returns, or the type of what it raises."""
    calls = {
        "get": lambda: cache.get(key, "default"),
        "pop": lambda: cache.pop(key, "default"),
        "peek": lambda: cache.peek(default="default"),
        "pull": lambda: cache.pull(default="default"),
        "get_many": lambda: cache.get_many([key]),
        "set": lambda: cache.set(key, 2),
        "add": lambda: cache.add("other", 2),
        "touch": lambda: cache.touch(key, 5),
        "delete": lambda: cache.delete(key),
        "push": lambda: cache.push(1),
        "set_many": lambda: cache.set_many({key: 1}),
        "evict": lambda: cache.evict("tag"),
        "expire": cache.expire,
        "cull": cache.cull,
        "clear": cache.clear,
        "len": lambda: len(cache),
        "iteration": lambda: list(cache),
        "stats": lambda: cache.stats()[1] >= 0,
        "figures": lambda: cache.figures().entries,
        "incr": lambda: cache.incr(key),
        "decr": lambda: cache.decr(key),
        "get_or_set": lambda: cache.get_or_set("third", lambda: 4),
        "memoize": lambda: cache.memoize()(len)("four"),
        "lock": lambda: cache.lock("name").acquire(),
        "allow": lambda: cache.allow("name", 1, 1),
        "once_per": lambda: cache.once_per("name", 1),
        "cache[key]": lambda: cache[key],
        "key in cache": lambda: key in cache,
    }
    found: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            found[name] = call()
        except faults.FAULTS as error:
            found[name] = type(error)
    return found


MISSES: dict[str, Any] = {
    **dict.fromkeys(("get", "pop", "peek", "pull"), "default"),
    "get_many": {},
    **dict.fromkeys(("set", "add", "touch", "delete"), False),
    "push": None,
    "set_many": ["key"],
    **dict.fromkeys(("evict", "expire", "cull", "clear", "len", "figures"), 0),
    "iteration": [],
    "stats": True,
    "get_or_set": 4,
    "memoize": 4,
}
LOCKS = ("lock", "allow", "once_per")


def test_a_fault(cache: FanoutCache, broken: Any) -> None:
    broken(FAULT)
    raised = dict.fromkeys(("incr", "decr", "cache[key]", "key in cache", *LOCKS), Fault)
    assert answers(cache) == MISSES | raised
    with pytest.raises(Fault), cache.transact():
        pass


def test_a_wait_in_vain(cache: FanoutCache, broken: Any) -> None:
    broken(LOCKED)
    found = answers(cache)
    waits = ("evict", "expire", "cull", "clear", "cache[key]", "key in cache", *LOCKS)
    told = {name: value for name, value in found.items() if name not in waits}
    expected = MISSES | {"incr": None, "decr": None}
    assert told == {name: value for name, value in expected.items() if name not in waits}


def test_the_operators_and_the_removals_wait(cache: FanoutCache) -> None:
    assert cache._removal_wait(False) is None


def test_collections_raise(cache: FanoutCache, broken: Any) -> None:
    deque, index = cache.deque("tasks"), cache.index("words")
    broken(FAULT)
    for call in (lambda: deque.append(1), deque.popleft, lambda: index.update(a=1)):
        with pytest.raises(Fault):
            call()


def test_a_plain_cache_raises_what_it_waited_for_in_vain(tmp_path: Path, broken: Any) -> None:
    with Cache(tmp_path / "cache", near_cache_size=0) as cache:
        broken(LOCKED)
        assert set(answers(cache).values()) >= {Timeout}
        with pytest.raises(Timeout):
            cache.set("key", 1)
        broken(FAULT)
        assert cache.set("key", 1) is False


def test_the_backend(tmp_path: Path, broken: Any) -> None:
    cache = DjangoCache(tmp_path / "backend", {"OPTIONS": {"SHARDS": 1, "near_cache_size": 0}})
    cache.set("key", 1)
    broken(FAULT)
    assert "key" not in cache
    assert cache.has_key("key") is False
    assert cache.get("key", "default") == "default"
    with pytest.raises(Fault):
        cache.incr("key")
    cache.shutdown()


def test_strict(tmp_path: Path, broken: Any) -> None:
    with FanoutCache(tmp_path / "strict", 1, strict=True, size_limit="4MB") as cache:
        with pytest.raises(ValueError, match="limit"):
            cache.set("large", b"x" * 5_000_000)
        broken(FAULT)
        for call in (lambda: cache.get("a"), lambda: cache.set("a", 1), cache.clear):
            with pytest.raises(Fault):
                call()


def test_each_kind_has_its_row_and_each_call_too() -> None:
    for kind in faults.KINDS:
        assert f"\n| `{kind}` | " in TEXT
    table = TEXT.partition("| call | with a fault |")[2].partition("\n\n")[0]
    for name in [*MISSES, "incr", "decr", "cache[key]", "key in cache"]:
        assert name in table
