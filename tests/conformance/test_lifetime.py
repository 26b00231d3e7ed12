"""What goes, when, and how one finds out: expiry, tags, culling, statistics, memoizing."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Face


@pytest.mark.parametrize("large", [False, True], ids=["row", "file"])
def test_expiry(face: Face, large: bool) -> None:
    value = b"v" * (2000 if large else 2)
    face.set("key", value, expire=10)

    face.clock.advance(9.99)
    assert face.get("key") == value
    assert "key" in face

    face.clock.advance(0.02)
    assert face.get("key") is None
    assert face.get("key", expire_time=True, tag=True) == (None, None, None)
    assert "key" not in face
    assert face.touch("key") is False


@pytest.mark.parametrize("expire", [0, -1, -0.5, -(10**9)])
def test_what_expires_at_once_is_not_there(face: Face, expire: float) -> None:
    face.set("key", "old")
    face.set("key", "value", expire=expire)
    face.add("other", "value", expire=expire)

    assert face.get("key") is None
    assert face.get("other") is None
    assert "key" not in face
    assert face.add("other", "new") is True


def test_none_never_expires(face: Face) -> None:
    face.set("key", "value", expire=None)
    face.clock.advance(10**10)

    assert face.get("key", expire_time=True) == ("value", None)


def test_expire_removes_what_has_expired(face: Face) -> None:
    for number in range(20):
        face.set(f"short-{number}", b"v" * (2000 if number % 2 else 2), expire=number + 1)
        face.set(f"long-{number}", b"v", expire=1000)
        face.set(f"ever-{number}", b"v")
    assert face.expire() == 0

    face.clock.advance(10)
    assert face.expire() == 10
    assert len(face) == 50
    assert face.holds_files(5)
    assert face.expire() == 0


def test_writes_sweep_what_has_expired(face: Face) -> None:
    for number in range(100):
        face.set(f"old-{number}", number, expire=1)
    face.clock.advance(2)

    # Each shard's sweep moves with the writes to it; this is several rounds for all of them.
    for number in range(4000):
        face.set(f"new-{number % 100}", number)

    assert len(face) == 100


def test_evict(face: Face) -> None:
    for number in range(30):
        face.set(f"{number}", b"v" * (number * 100), tag=("even", "odd")[number % 2])
    face.set("untagged", 1)

    assert face.evict("even") == 15
    assert face.evict("even") == 0
    assert face.evict("unknown") == 0
    assert {key for key in face if key != "untagged"} == {str(n) for n in range(1, 30, 2)}
    assert face.get("1", tag=True)[1] == "odd"
    assert face.holds_files(sum(n * 100 >= 1000 for n in range(1, 30, 2)))


def test_evict_with_an_index(face: Face) -> None:
    face.create_tag_index()
    face.create_tag_index()
    face.set("a", 1, tag="tag")
    face.set("b", 2, tag="tag")
    assert face.evict("tag") == 2

    face.set("a", 1, tag="tag")
    face.drop_tag_index()
    face.drop_tag_index()
    assert face.evict("tag") == 1


@pytest.mark.parametrize("tag", ["text", "", b"bytes", 1, 1.5, 0])
def test_tags_of_every_type(face: Face, tag: Any) -> None:
    face.set("key", 1, tag=tag)
    face.set("other", 1)

    assert face.get("key", tag=True) == (1, tag)
    assert face.evict(tag) == 1
    assert list(face) == ["other"]


def test_clear(face: Face) -> None:
    for number in range(50):
        face.set(f"{number}", b"v" * (number * 50), expire=number, tag="tag")

    face.clear()

    assert len(face) == 0
    assert list(face) == []
    assert face.holds_files(0)
    assert face.get("7") is None
    face.set("again", 1)
    assert list(face) == ["again"]


def test_iteration_gives_every_key_once(face: Face) -> None:
    keys = {f"key-{number}" for number in range(500)}
    for key in keys:
        face.set(key, 1)

    found = list(face)

    assert len(found) == len(keys) == len(face)
    assert set(found) == keys


def test_iteration_while_others_write(face: Face) -> None:
    for number in range(400):
        face.set(f"key-{number}", 1)

    seen = []
    for number, key in enumerate(face):
        seen.append(key)
        face.delete(f"key-{number}")
        face.set(key, 2)

    # It ends, although every key was stored anew, and gives what was there to begin with.
    assert len(seen) == len(set(seen))
    assert set(seen) <= {f"key-{number}" for number in range(400)}


def test_statistics(face: Face) -> None:
    face.stats(reset=True)
    face.set("key", 1)
    for _ in range(3):
        face.get("key")
    face.get("missing")
    face.get_many(["key", "missing"])
    assert face.stats() == (4, 2)
    assert face.stats(reset=True) == (4, 2)
    assert face.stats(enable=False) == (0, 0)

    face.get("key")
    assert face.stats(enable=True) == (0, 0)
    face.get("key")
    assert face.stats() == (1, 0)


def test_expired_is_a_miss_in_the_statistics(face: Face) -> None:
    face.set("key", 1, expire=1)
    face.clock.advance(1)
    face.stats(reset=True)
    face.get("key")

    assert face.stats() == (0, 1)


def test_volume_counts_rows_and_files(face: Face) -> None:
    empty = face.volume()
    for number in range(20):
        face.set(f"row-{number}", b"v" * 999)
        face.set(f"file-{number}", b"v" * 100_000)
    full = face.volume()

    assert full - empty >= 20 * (999 + 100_000)

    face.clear()
    assert face.volume() < full - 1_000_000  # logs have grown


def test_cull(face: Face) -> None:
    limit = 20_000_000
    face.engine.reset("size_limit", limit)
    face.engine.reset("cull_limit", 0)
    for number in range(50):
        face.set(f"old-{number}", 1, expire=1)
        face.set(f"{number}", b"v" * 600_000)
        face.clock.advance(2)
    assert face.volume() > limit

    before = len(face)

    removed = face.cull()

    assert face.volume() <= limit
    assert removed == before - len(face)
    kept = sorted(map(int, face))
    assert kept == list(range(50 - len(kept), 50))
    assert kept
    assert face.cull() == 0


def test_memoize(face: Face) -> None:
    calls = []

    @face.memoize(expire=10, tag="results")
    def double(x: Any, y: Any = 0, /, **named: Any) -> Any:
        """Doubles."""
        calls.append((x, y, named))
        return None if x is None else x * 2

    assert [double(2), double(2), double(2, 1), double(2, z=3)] == [4, 4, 4, 4]
    assert calls == [(2, 0, {}), (2, 1, {}), (2, 0, {"z": 3})]
    assert double(None) is double(None) is None
    assert len(calls) == 4
    assert double.__name__ == "double"
    assert double.__doc__ == "Doubles."
    decorated: Any = double
    assert decorated.__wrapped__(4) == 8

    key = decorated.__cache_key__(2)
    assert face.get(key, tag=True) == (4, "results")
    face.clock.advance(10)
    double(2)
    assert len(calls) == 6
    face.clear()
    double(2)
    assert face.evict("results") == 1


def test_memoize_typed_and_named(face: Face) -> None:
    calls = []

    @face.memoize(name="shared", typed=True)
    def first(x: Any) -> Any:
        calls.append(x)
        return x

    @face.memoize(name="shared", typed=True)
    def second(x: Any) -> Any:
        raise AssertionError("the first function's result is there")

    assert [first(3), first(3.0), second(3), second(3.0)] == [3, 3.0, 3, 3.0]
    assert len(calls) == 2


def test_memoize_ignore(face: Face) -> None:
    calls = []

    @face.memoize(ignore={1, "debug"})
    def work(x: Any, connection: Any, debug: bool = False) -> Any:
        calls.append(x)
        return x

    work(1, object())
    work(1, object(), debug=True)
    work(2, object())
    assert calls == [1, 2]


def test_memoize_of_unhashable_arguments(face: Face) -> None:
    calls = []

    @face.memoize()
    def total(values: list[int]) -> int:
        calls.append(values)
        return sum(values)

    assert [total([1, 2]), total([1, 2]), total([1, 3])] == [3, 3, 4]
    assert len(calls) == 2


def test_memoize_that_keeps_nothing(face: Face) -> None:
    calls = []

    @face.memoize(expire=0)
    def work(x: int) -> int:
        calls.append(x)
        return x

    work(1)
    work(1)
    assert calls == [1, 1]
    assert len(face) == 0


def test_memoize_wants_parentheses(face: Face) -> None:
    with pytest.raises(TypeError, match="parentheses"):
        face.cache.memoize(len)


@pytest.mark.parametrize("face", ["FanoutCache", "DjangoCache"], indirect=True)
def test_sub_collections_are_apart(face: Face) -> None:
    users = face.cache.cache("users")
    tasks = face.deque("tasks", maxlen=2)
    words = face.index("words")
    users["key"] = "user"
    tasks.extend([1, 2, 3])
    words["key"] = "word"
    face.set("key", "face")

    assert (users["key"], list(tasks), words["key"]) == ("user", [2, 3], "word")
    face.clear()
    assert (users["key"], list(tasks), words["key"]) == ("user", [2, 3], "word")
    assert face.cache.cache("users").engine is users.engine
