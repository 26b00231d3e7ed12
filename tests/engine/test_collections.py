"""`Deque` and `Index`, on files and on a server: what the stateful tests do not do."""

from __future__ import annotations

import copy
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Deque, Fault, Index
from django_diskcache.server import ServerCache
from tests.engine.soundness import assert_sound


@pytest.fixture(autouse=True)
def _temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Temporary directories under the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


MakeDeque = Callable[..., Deque]
MakeIndex = Callable[..., Index]


@pytest.fixture(params=["files", "server"])
def remote(request: pytest.FixtureRequest) -> Iterator[ServerCache | None]:
    """The cache on a server whose collections a test is about; None for those on files."""
    if request.param == "files":
        yield None
        return
    url = request.getfixturevalue("server").url
    with ServerCache(url, timeout=10) as cache:
        yield cache


@pytest.fixture
def make_deque(remote: ServerCache | None) -> MakeDeque:
    """Makes deques, each of values and `maxlen`."""

    def make(iterable: Iterable[Any] = (), maxlen: int | None = None) -> Deque:
        if remote is None:
            return Deque(iterable, maxlen=maxlen)
        queue = remote.deque(f"made/{next(numbers)}", maxlen)
        queue.extend(iterable)
        return queue

    numbers = count()
    return make


@pytest.fixture
def make_index(remote: ServerCache | None) -> MakeIndex:
    """Makes indexes, each of a mapping, pairs or keyword arguments."""

    def make(*args: Any, **items: Any) -> Index:
        if remote is None:
            return Index(*args, **items)
        index = remote.index(f"made/{next(numbers)}")
        index.update(*args, **items)
        return index

    numbers = count()
    return make


def test_deque_is_a_sequence(make_deque: MakeDeque) -> None:
    queue = make_deque("abc")
    assert isinstance(queue, MutableSequence)
    assert (queue.index("b"), "c" in queue, len(queue), bool(queue)) == (1, True, 3, True)
    assert not make_deque()
    with pytest.raises(TypeError):
        hash(queue)
    with pytest.raises(TypeError):
        queue[0:2]
    with pytest.raises(ValueError):
        queue.index("z")
    with pytest.raises(TypeError, match="integer"):
        queue.rotate(1.5)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="ends"):
        queue.pop(0)


@pytest.mark.parametrize(
    ("one", "other"), [("abc", "abc"), ("abc", "abd"), ("ab", "abc"), ("b", "abc"), ("", "")]
)
def test_deque_comparison(one: str, other: str, make_deque: MakeDeque) -> None:
    mine, model = make_deque(one), deque(one)
    theirs, others = deque(other), make_deque(other)
    for that in (theirs, others):
        assert (mine == that) is (model == theirs)
        assert (mine != that) is (model != theirs)
        assert (mine < that) is (model < theirs)
        assert (mine <= that) is (model <= theirs)
        assert (mine > that) is (model > theirs)
        assert (mine >= that) is (model >= theirs)
    assert mine == one  # as 5.6.3 compares: with any sequence
    assert mine != 7
    with pytest.raises(TypeError):
        _ = mine < 7


def test_deque_arithmetic_makes_new_ones(make_deque: MakeDeque) -> None:
    queue = make_deque([1, 2], maxlen=3)

    for other in (deque([3, 4]), [3, 4], (3, 4)):
        made = queue + other
        assert list(made) == list(deque([1, 2], 3) + deque([3, 4])) == [2, 3, 4]
        assert made.maxlen == 3
        assert made.directory != queue.directory
    assert list(queue * 2) == list(2 * queue) == [2, 1, 2]
    assert list(queue * 0) == []
    assert list(queue) == [1, 2]
    with pytest.raises(TypeError):
        queue + 7


def test_deque_extended_by_itself(make_deque: MakeDeque) -> None:
    queue, model = make_deque("ab"), deque("ab")
    queue.extend(queue)
    model.extend(model)
    queue.extendleft(queue)
    model.extendleft(model)
    queue += queue
    model += model
    assert list(queue) == list(model)


def test_deque_copies_are_of_the_same_values(tmp_path: Path) -> None:
    queue = Deque("abc", tmp_path / "d", maxlen=5)
    for twin in (queue.copy(), copy.copy(queue)):
        twin.append("d")
        assert queue.pop() == "d"
        assert (twin.directory, twin.maxlen) == (queue.directory, 5)


@pytest.mark.parametrize(
    ("maxlen", "error"), [(-1, ValueError), (1.5, TypeError), ("3", TypeError)]
)
def test_deque_with_a_wrong_maxlen(
    maxlen: Any, error: type[Exception], make_deque: MakeDeque
) -> None:
    with pytest.raises(error, match="maxlen"):
        make_deque(maxlen=maxlen)
    queue = make_deque("abc")
    with pytest.raises(error, match="maxlen"):
        queue.maxlen = maxlen
    assert list(queue) == ["a", "b", "c"]


def test_deque_maxlen_may_be_infinite(make_deque: MakeDeque) -> None:
    assert make_deque(maxlen=float("inf")).maxlen is None


def test_deque_of_a_cache(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(eviction_policy="none", disk_min_file_size=5)
    queue = Deque.fromcache(cache, ["short", "longer value"], maxlen=4)
    queue.appendleft("front")

    assert queue.cache is cache
    assert [cache[key] for key in cache.iterkeys()] == ["front", "short", "longer value"]
    queue.remove("longer value")
    assert_sound(cache)


def test_a_value_whose_file_is_gone(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(eviction_policy="none", disk_min_file_size=5)
    queue = Deque.fromcache(cache, ["a", "in a file", "b"])
    (path,) = Path(cache.directory).rglob("*.val")
    path.unlink()

    assert queue[1] == "b"
    assert list(queue) == ["a", "b"]
    index = Index.fromcache(make_cache("index", disk_min_file_size=5), key="in a file")
    (path,) = Path(index.directory).rglob("*.val")
    path.unlink()
    assert index.setdefault("key", "default") == "default"
    assert index == {"key": "default"}


def test_deque_iteration_while_it_changes(make_deque: MakeDeque) -> None:
    queue = make_deque(range(250))
    seen = []
    for value in queue:
        seen.append(value)
        if value % 2 == 0 and value < 200:
            queue.popleft()
    assert seen == sorted(set(seen))
    assert seen[-1] == 249


def test_index_begins_with_what_it_is_given(tmp_path: Path) -> None:
    assert Index() == {}
    assert Index({"a": 1}, b=2) == {"a": 1, "b": 2}
    assert Index([("a", 1)]) == {"a": 1}
    assert Index(None, {"a": 1}) == {"a": 1}
    for directory in (str(tmp_path / "i"), tmp_path / "i"):
        assert Index(directory, a=1) == {"a": 1}
        assert Index(directory).directory == str(tmp_path / "i")
    assert Index.fromkeys("ab", 7) == {"a": 7, "b": 7}
    with pytest.raises(TypeError):
        Index(tmp_path / "i", {}, {})


def test_index_views(make_index: MakeIndex) -> None:
    index = make_index([("b", 1), ("a", 2), ((3,), 3)])
    assert isinstance(index, MutableMapping)
    keys, values, items = index.keys(), index.values(), index.items()
    index["new"] = 4

    assert list(keys) == ["b", "a", (3,), "new"]
    assert list(values) == [1, 2, 3, 4]
    assert list(items) == [("b", 1), ("a", 2), ((3,), 3), ("new", 4)]
    assert list(reversed(keys)) == ["new", (3,), "a", "b"]
    assert list(reversed(values)) == [4, 3, 2, 1]
    assert next(reversed(items)) == ("new", 4)
    assert (len(keys), "b" in keys, 3 in values, ("a", 2) in items) == (4, True, True, True)
    assert keys & {"a", "z"} == {"a"}
    with pytest.raises(TypeError):
        hash(index)


def test_index_comparison(make_index: MakeIndex) -> None:
    index = make_index([("a", 1), ("b", 2)])
    turned = [("b", 2), ("a", 1)]
    assert index == {"b": 2, "a": 1}
    assert index == OrderedDict([("a", 1), ("b", 2)])
    assert index != OrderedDict(turned)
    assert index != make_index(turned)
    assert index == make_index(index)
    assert index != {"a": 1}
    assert index != {"a": 1, "b": 3}
    assert index != {"a": 1, "c": 2}
    assert index != [("a", 1), ("b", 2)]


def test_index_merging(make_index: MakeIndex) -> None:
    index = make_index({"a": 1, "b": 2})
    assert list((index | {"b": 3, "c": 4}).items()) == [("a", 1), ("b", 3), ("c", 4)]
    assert list(({"z": 0, "a": 9} | index).items()) == [("z", 0), ("a", 1), ("b", 2)]
    index |= [("d", 5)]
    assert index == {"a": 1, "b": 2, "d": 5}
    assert index.copy() == index
    assert index.copy().directory != index.directory
    with pytest.raises(TypeError):
        index | 7


def test_index_queues(make_index: MakeIndex) -> None:
    index = make_index()
    key = index.push("a", prefix="queue")
    index.push("b", prefix="queue", side="front")
    assert index[key] == "a"
    assert index.pull(prefix="queue")[1] == "b"
    assert index.pull(prefix="queue", side="back") == (key, "a")
    assert index.pull(prefix="queue", default=7) == 7
    assert index == {}


def test_index_memoize(make_index: MakeIndex) -> None:
    index = make_index()
    calls = []

    @index.memoize(name="double", typed=True, ignore={1})
    def double(x: int, noise: object = None) -> int:
        calls.append(x)
        return x * 2

    assert [double(2), double(2, object()), double(3)] == [4, 4, 6]
    assert calls == [2, 3]
    assert len(index) == 2


def test_index_transaction() -> None:
    index = Index({"a": 1})
    with pytest.raises(RuntimeError), index.transact():
        index.clear()
        index["b"] = 2
        raise RuntimeError
    assert index == {"a": 1}
    assert_sound(index.cache)


def test_a_damaged_value_that_cannot_be_removed(
    make_cache: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(eviction_policy="none")
    queue = Deque.fromcache(cache, ["a", "b"])
    (store,) = cache.engine.stores
    store.database.run("UPDATE cache SET value = 'other' WHERE value = 'a'")

    def refuse(*args: Any) -> None:
        raise Fault("denied", store.path, "a read-only file system")

    monkeypatch.setattr(store, "_remove_foreign", refuse)
    with pytest.raises(Fault, match="damaged"):
        queue[0]
    assert queue[1] == "b"
    monkeypatch.undo()
    assert queue[0] == "b"
