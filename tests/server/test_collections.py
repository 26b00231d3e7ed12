"""Deques and indexes on a server: what those on files do not have to prove.

What both have to is in tests/engine/test_collections.py, and in test_stateful.py beside this.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache import DjangoCache
from django_diskcache.engine import (
    Averager,
    Deque,
    Disk,
    Fault,
    Index,
    JSONDisk,
    RLock,
    memoize_stampede,
)
from django_diskcache.engine.errors import Timeout
from django_diskcache.engine.impatient import impatient
from django_diskcache.engine.queues import ORIGIN
from django_diskcache.opened import forget
from django_diskcache.server import ServerCache
from django_diskcache.server.listed import ServerDeque
from django_diskcache.server.node import Node

from .servers import Server, until

Make = Callable[..., ServerCache]


def names(server: Server) -> list[bytes]:
    with server.client() as client:
        return sorted(client.keys())


def fill(server: Server) -> None:
    """Let the server have no memory left, and evict nothing."""
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)


# Where they are


def test_a_name_is_one_collection(cache: ServerCache) -> None:
    queue, index = cache.deque("a/b"), cache.index("a/b")
    queue.append(1)
    index["key"] = 2

    assert cache.deque("a/b") is queue
    assert cache.index("a/b") is index
    assert cache.deque("a/b", maxlen=3) is not queue
    assert list(cache.deque("a/b", maxlen=3)) == [1]
    assert isinstance(queue, Deque)
    assert isinstance(index, Index)
    assert queue.directory == f"{cache.directory}#django_diskcache/deque/a/b"
    assert repr(index) == f"ServerIndex('{cache.directory}#django_diskcache/index/a/b')"
    assert len(cache) == 0
    assert list(cache.deque("a")) == list(cache.cache("a").deque("b")) == []


@pytest.mark.parametrize("kind", ["deque", "index", "cache"])
def test_names_are_those_on_files(cache: ServerCache, kind: str) -> None:
    make: Any = getattr(cache, kind)
    for name in ("", "/", "a/", "a//b", ".", "a/..", "a\0", 7, None):
        with pytest.raises(ValueError, match="is no name for an? " + kind):
            make(name)
    for name in ("a{b}", "a%7Bb%7D", "ünï", "{}", "*"):
        assert make(name) is make(name)
    if kind == "deque":
        cache.deque("a{b}").append(1)
        assert list(cache.deque("a%7Bb%7D")) == []


def test_all_of_a_collection_is_in_one_slot(cache: ServerCache, server: Server) -> None:
    queue, index = cache.deque("{of}/one"), cache.index("of/one")
    queue.extend(range(5))
    queue.popleft()
    index.update({"a": 1})
    index.push("value")

    for kind in (b"deque", b"index"):
        mine = [name for name in names(server) if name.startswith(b"django_diskcache/" + kind)]
        assert len(mine) == (2 if kind == b"deque" else 3)
        assert len({name[name.index(b"{") : name.index(b"}")] for name in mine}) == 1
    queue.clear()
    index.clear()
    assert names(server) == []


def test_clear_leaves_the_collections_beside_a_cache(cache: ServerCache) -> None:
    part = cache.cache("part")
    for each in (cache, part):
        each.set("key", 1)
        each.deque("d").append(2)
        each.index("i")["key"] = 3

    assert part.clear() == 1
    assert cache.clear() == 1
    for each in (cache, part):
        assert list(each.deque("d")) == [2]
        assert dict(each.index("i")) == {"key": 3}
    assert cache.deque("d").cache.clear() == 1
    assert len(cache.deque("d")) == 0


def test_the_arguments_of_a_cache_beside_another(cache: ServerCache) -> None:
    part = cache.cache("c", timeout=7, disk=JSONDisk, near_cache_size=0)
    assert part is cache.cache("c", timeout=7, disk=JSONDisk, near_cache_size=0)
    assert (part.timeout, type(part.disk)) == (7, JSONDisk)
    assert part.engine.settings["near_cache_size"] == 0
    assert cache.cache("c") is cache.cache("c") is not part
    assert (cache.cache("c").timeout, type(cache.cache("c").disk)) == (cache.timeout, Disk)
    with pytest.raises(TypeError, match="size"):
        cache.cache("c", sizes=1)


def test_they_are_made_by_their_cache(cache: ServerCache) -> None:
    with pytest.raises(TypeError, match=r"is on a server: use deque\(name\) of it"):
        Deque.fromcache(cache)
    with pytest.raises(TypeError, match=r"is on a server: use index\(name\) of it"):
        Index.fromcache(cache)
    with pytest.raises(TypeError, match="is made by the deque"):
        ServerDeque()
    with pytest.raises(TypeError, match="is made by the index"):
        type(cache.index("i"))()


def test_pickles(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, secret=None, disk=JSONDisk)
    queue, index = cache.deque("d", maxlen=2), cache.index("i")
    queue.extend([1, 2])
    index["key"] = [1]

    other = pickle.loads(pickle.dumps(queue))
    assert (type(other), list(other), other.maxlen) == (type(queue), [1, 2], 2)
    assert pickle.loads(pickle.dumps(index)) == {"key": [1]}
    again = pickle.loads(pickle.dumps(cache.cache("part")))
    assert (again.directory, again.engine.name) == (
        cache.directory,
        "django_diskcache/cache/part",
    )
    assert type(again.disk) is JSONDisk
    for twin in (queue.copy(), copy.copy(queue)):
        twin.append(3)
        assert queue.pop() == 3
        queue.appendleft(1)
    assert copy.copy(index) == index
    assert copy.copy(cache).engine is cache.engine


def test_no_secret_and_no_password_is_pickled(cache: ServerCache, server: Server) -> None:
    for thing in (cache, cache.deque("d"), cache.index("i")):
        with pytest.raises(TypeError, match="with a secret cannot be pickled"):
            pickle.dumps(thing)
    url = server.url.replace("://", "://:hidden@")
    with ServerCache(url) as locked, pytest.raises(TypeError, match="password") as caught:
        pickle.dumps(locked.deque("d"))
    assert "hidden" not in str(caught.value)
    assert copy.copy(cache).get("missing") is None


def test_arithmetic_makes_collections_of_this_machine(
    cache: ServerCache, server: Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    queue, index = cache.deque("d"), cache.index("i")
    queue.extend("ab")
    index.update(a=1)
    before = names(server)
    made: list[Any] = [queue + deque("c"), queue * 1, index | {"b": 2}, index.copy()]
    assert [list(each) for each in made] == [["a", "b", "c"], ["a", "b"], ["a", "b"], ["a"]]
    assert [type(each) for each in made] == [Deque, Deque, Index, Index]
    assert names(server) == before
    for each in made:
        assert each.cache.engine.secrets == cache.engine.secrets
        each.cache.close()


def test_they_are_those_of_the_django_cache(server: Server) -> None:
    one, other = (DjangoCache(server.url, {}) for _ in range(2))
    one.deque("tasks").append("send mail")
    one.index("names")["a"] = ["b"]
    one.cache("part").set("key", 1)
    assert other.deque("tasks").popleft() == "send mail"
    assert other.index("names") == {"a": ["b"]}
    assert other.cache("part").get("key") == 1
    forget(one._cache.engine)


# How much it asks


def test_one_round_trip_whatever_the_length(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, index = cache.deque("d", maxlen=5000), cache.index("i")
    queue.extend(range(5000))
    index.update((f"{number}", number) for number in range(5000))
    asked: list[Any] = []
    here = threading.current_thread()
    for method in ("ask", "once", "_run"):
        original = getattr(Node, method)

        def counted(self: Node, *command: Any, original: Any = original) -> Any:
            if threading.current_thread() is here:  # else it is a listener, once a second
                asked.append(command[0])
            return original(self, *command)

        monkeypatch.setattr(Node, method, counted)

    for call in (
        lambda: queue.append(1),
        lambda: queue.appendleft(1),
        queue.pop,
        queue.popleft,
        queue.peek,
        queue.peekleft,
        lambda: len(queue),
        lambda: queue[2500],
        lambda: queue.insert(100, 1),
        lambda: queue.__delitem__(100),
        lambda: queue.rotate(100),
        lambda: queue.extend(range(400)),
        lambda: index["77"],
        lambda: index.__setitem__("new", 1),
        lambda: index.pop("new", None),
        lambda: index.setdefault("77", 1),
        lambda: len(index),
        index.popitem,
        index.peekitem,
        lambda: index.move_to_end("77"),
    ):
        call()  # the server learns its script
        asked.clear()
        call()
        assert len(asked) == 1
    for each in (queue, index):
        asked.clear()
        assert len(list(each)) > 4900
        assert 20 < len(asked) < 30


def test_long_ones(cache: ServerCache) -> None:
    """More than a script handles at a time."""
    queue, model = cache.deque("d"), deque(range(3500))
    queue.extend(range(3500))
    queue.rotate(2**70)
    model.rotate(2**70 % 3500)
    for steps in (1700, -1100, 3499, -7):
        queue.rotate(steps)
        model.rotate(steps)
    queue.reverse()
    model.reverse()
    queue *= 2
    model *= 2
    assert list(queue) == list(model)
    queue.maxlen = 1234
    assert list(reversed(queue)) == list(model)[-1234:][::-1]
    queue *= 3
    assert list(queue) == list(deque(list(model)[-1234:] * 3, 1234))
    large = ["x" * 400_000] * 6
    queue.extend(large)
    assert list(queue)[-6:] == large


# Others at the same time


def test_iteration_while_others_use_the_ends(cache: ServerCache, make_cache: Make) -> None:
    queue = cache.deque("d")
    queue.extend(range(1000))
    seen = []
    for value in queue:
        seen.append(value)
        if value < 300:
            queue.popleft()
            queue.appendleft(-1)
            queue.popleft()
            queue.pop()
    assert seen == list(range(700))

    seen = []
    for value in reversed(queue):
        seen.append(value)
        if len(queue) > 200:
            queue.pop()
            queue.appendleft(value)
            queue.popleft()
    assert seen == list(range(300, 700))[::-1]


def test_who_removes_what_he_sees_misses_nothing(cache: ServerCache) -> None:
    queue = cache.deque("d")
    queue.extend(range(700))
    seen = []
    for value in queue:
        seen.append(value)
        if value % 3:
            queue.remove(value)
    assert seen == list(range(700))
    assert list(queue) == list(range(0, 700, 3))


def test_iteration_ends_though_the_loop_stores(cache: ServerCache) -> None:
    index = cache.index("i")
    index.update((number, number) for number in range(500))
    for key in index:
        index[key + 1000] = key
        if key % 2:
            del index[key]
    assert len(index) == 750
    assert list(index.items())[:2] == [(0, 0), (2, 2)]
    for key in reversed(index):
        index.move_to_end(key, last=False)
    assert next(iter(index)) == 0


def test_each_value_is_taken_once(server: Server, make_cache: Make) -> None:
    caches = [make_cache(server, timeout=10) for _ in range(4)]
    taken: list[Any] = []
    ends = threading.Barrier(4)

    def work(number: int) -> None:
        queue = caches[number].deque("d")
        index = caches[number].index("i")
        bounded = caches[number].deque("bounded", maxlen=3)
        for n in range(50):
            queue.append((number, n))
            index[number, n] = n
            bounded.append(n)
            assert len(bounded) <= 3
            index.push(n, prefix="queue")
        ends.wait()
        while queue:
            try:
                taken.append(queue.popleft())
            except IndexError:
                break
        while True:
            key, _ = index.pull(prefix="queue")
            if key is None:
                break
            taken.append(key)
        ends.wait()
        while True:
            try:
                taken.append(index.popitem()[0])
            except KeyError:
                break

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    pairs = [(number, n) for number in range(4) for n in range(50)]
    assert sorted(each for each in taken if type(each) is tuple) == sorted(pairs * 2)
    texts = [each for each in taken if type(each) is str]
    assert len(set(texts)) == len(texts) == 200


def test_one_of_several_sets_the_default(server: Server, make_cache: Make) -> None:
    caches = [make_cache(server, timeout=10) for _ in range(4)]
    found: list[Any] = []

    def work(number: int) -> None:
        index = caches[number].index("i")
        found.extend((n, index.setdefault(n, number)) for n in range(50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 50


def test_what_another_changed_is_seen_at_once(server: Server, make_cache: Make) -> None:
    one, other = make_cache(server), make_cache(server)
    for number in range(50):
        one.deque("d").append(number)
        one.index("i")["key"] = number
        assert other.deque("d").peek() == other.index("i")["key"] == number


# Trouble


def test_a_server_that_is_away(own_server: Any, make_cache: Make) -> None:
    server = own_server()
    told: list[Exception] = []
    cache = make_cache(server, error_handler=told.append)
    queue, index = cache.deque("d"), cache.index("i")
    queue.append(1)
    index["key"] = 1
    server.kill()

    calls: list[Callable[[], Any]] = [
        lambda: queue.append(2),
        lambda: queue.extend([2, 3]),
        queue.pop,
        queue.peek,
        lambda: len(queue),
        lambda: list(queue),
        lambda: queue[0],
        lambda: 1 in queue,
        queue.clear,
        lambda: index["key"],
        lambda: index.get("key"),
        lambda: index.update(a=1),
        lambda: index.setdefault("key"),
        lambda: "key" in index,
        lambda: list(index.items()),
        lambda: index.push(1),
        index.popitem,
    ]
    for number, call in enumerate(calls):
        with pytest.raises(Fault):
            call()
        assert len(told) == number + 1
    assert sum(cache.faults().values()) == len(calls)
    assert cache.push(1) is None
    assert cache.pull(default="default") == "default"
    assert cache.peek() == (None, None)

    server.start()
    until(lambda: cache.set("key", 1), "recovery")
    queue.append(3)
    assert list(queue) == [3]


def test_what_was_pulled_is_not_lost_with_its_place(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        cache.push(number)
    original = Node.ask

    def failing(self: Node, *command: Any) -> Any:
        if command[0] == b"ZREM":
            raise Fault("lost", self.name, "a test")
        return original(self, *command)

    with monkeypatch.context() as patch:
        patch.setattr(Node, "ask", failing)
        assert cache.pull() == (ORIGIN, 0)
        assert cache.pull(side="back") == (ORIGIN + 2, 2)
    assert cache.peek() == cache.peek(side="back") == (ORIGIN + 1, 1)


def test_what_has_no_place_gets_one(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Node.ask

    def failing(self: Node, *command: Any) -> Any:
        if command[0] == b"ZADD":
            raise Fault("lost", self.name, "a test")
        return original(self, *command)

    with monkeypatch.context() as patch:
        patch.setattr(Node, "ask", failing)
        assert cache.push("first") is None
    assert cache.peek() == (None, None)
    assert cache.push("second") == ORIGIN + 1
    assert cache.pull() == (ORIGIN, "first")
    assert cache.pull() == (ORIGIN + 1, "second")
    assert cache.pull() == (None, None)


def test_a_full_server(own_server: Any, make_cache: Make) -> None:
    server = own_server()
    cache = make_cache(server, timeout=10)
    queue, index = cache.deque("d", maxlen=10), cache.index("i")
    queue.extend(range(10))
    index.update(a=1, b=2)
    index.push("c")
    fill(server)

    for call in (
        lambda: queue.append(10),
        lambda: queue.appendleft(10),
        lambda: queue.__setitem__(3, 10),
        lambda: queue.__imul__(2),
        lambda: index.__setitem__("c", 3),
        lambda: index.push("d"),
    ):
        with pytest.raises(Fault) as caught:
            call()
        assert caught.value.kind == "full"
    # What gives memory back is done, and nothing is done by half.
    assert list(queue) == list(range(10))
    assert (queue.popleft(), queue.pop()) == (0, 9)
    queue.rotate(2)
    queue.reverse()
    assert list(queue) == [6, 5, 4, 3, 2, 1, 8, 7]
    del queue[2]
    queue.remove(1)
    assert list(queue) == [6, 5, 3, 2, 8, 7]
    assert (index.pop("a"), index.pull()[1], index.popitem()) == (1, "c", ("b", 2))
    assert len(index) == 0


def test_a_replica(own_server: Any, make_cache: Make) -> None:
    primary, replica = own_server("--repl-diskless-sync-delay", "0"), own_server()
    make_cache(primary).deque("d").append(1)
    with replica.client() as client:
        client.replicaof("127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up", "a replica")
        until(lambda: client.dbsize() == 1, "its data")
    cache = make_cache(replica)
    with pytest.raises(Fault) as caught:
        cache.deque("d").append(2)
    assert caught.value.kind == "readonly"
    assert list(cache.deque("d")) == [1]


def test_a_server_that_was_restarted_knows_no_scripts(
    server: Server, cache: ServerCache
) -> None:
    queue = cache.deque("d")
    queue.append(1)
    with server.client() as client:
        client.script_flush()
    queue.append(2)
    assert queue.pop() == 2


class Trap:
    """Its pickle does harm."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was loaded",)


def test_what_nobody_of_ours_stored(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, secret="secret")
    queue, index = cache.deque("d"), cache.index("i")
    make_cache(server, secret=None).deque("d").extend([Trap(), "text"])
    make_cache(server, secret="other").index("i").update(a=Trap(), b=[1])
    cache.deque("other").append(["other"])
    with server.client() as client:
        (name,) = [name for name in names(server) if b"deque/other{" in name]
        moved = client.lindex(name, 0)
        (mine,) = [name for name in names(server) if b"deque/d{" in name]
        client.rpush(mine, moved)  # signed, but for another deque
        client.rpush(mine, b"no entry at all")
    queue.append(["mine"])

    assert list(queue) == ["text", ["mine"]]
    assert len(queue) == 2
    assert "a" in index
    assert index.get("a") is None
    assert index.setdefault("b", 2) == 2
    assert list(index.items()) == [("b", 2)]

    make_cache(server, secret=None).deque("e").extend([Trap(), Trap()])
    with pytest.raises(IndexError):
        cache.deque("e").pop()
    make_cache(server, secret=None).index("j").update(a=Trap(), b=Trap())
    with pytest.raises(KeyError):
        cache.index("j").popitem()


def fails(call: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(KeyError):
        call(*arguments)


@pytest.mark.parametrize("part", ["values", "order"])
@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.update(new=1),
        lambda index: index.pop("new", None),
        lambda index: index.pull(),
        lambda index: fails(index.popitem),
        lambda index: fails(index.move_to_end, "1"),
        lambda index: index.setdefault("new", 1),
    ],
    ids=["update", "pop", "pull", "popitem", "move", "setdefault"],
)
def test_an_index_of_which_a_part_was_evicted_is_empty(
    part: str, change: Callable[[Any], Any], cache: ServerCache, server: Server
) -> None:
    index = cache.index("i")
    index.update((f"{number}", number) for number in range(10))
    index.push("in the queue")
    with server.client() as client:
        (name,) = [each for each in names(server) if each.endswith(part.encode())]
        client.delete(name)

    assert len(index) == 0
    assert list(index) == list(index.items()) == list(reversed(index)) == []
    with pytest.raises(KeyError):
        index.peekitem()
    change(index)

    assert list(index.items()) == [("new", 1)] * len(index)
    index["1"] = 1
    assert list(index)[-1] == "1"
    assert len(index) == len(list(index))
    assert index.pull() == (None, None)


def test_an_order_that_names_what_is_not_there(cache: ServerCache, server: Server) -> None:
    index = cache.index("i")
    index.update(a=1, b=2)
    with server.client() as client:
        (name,) = [each for each in names(server) if each.endswith(b"values")]
        client.hdel(name, b":b")

    assert index.peekitem() == ("a", 1)
    assert list(index) == ["a"]


def test_places_that_were_evicted_come_back(cache: ServerCache, server: Server) -> None:
    index = cache.index("i")
    keys = [index.push(number) for number in range(3)]
    with server.client() as client:
        (name,) = [each for each in names(server) if each.endswith(b"queues")]
        client.delete(name)

    assert index.push(3) == keys[-1] + 1
    assert [index.pull()[1] for _ in range(4)] == [0, 1, 2, 3]


# On event loops


def test_memoized_coroutines(cache: ServerCache) -> None:
    index = cache.index("i")
    calls: list[int] = []

    @index.memoize(name="double")
    async def double(x: int) -> int:
        calls.append(x)
        return x * 2

    async def main() -> list[int]:
        return [await double(2), await double(2), await double(3)]

    assert asyncio.run(main()) == [4, 4, 6]
    assert calls == [2, 3]
    assert list(index.values()) == [4, 6]
    with pytest.raises(Timeout):
        impatient(index.cache).get("key")


def test_a_stampede_of_coroutines_is_computed_early(
    cache: ServerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("random.random", lambda: 0.0)

    @memoize_stampede(cache, 1000, name="work")
    async def work(x: int) -> int:
        calls.append(x)
        return len(calls)

    async def main() -> None:
        assert await work(1) == 1
        key = work.__cache_key__(1)  # type: ignore[attr-defined]
        await asyncio.to_thread(cache.set, key, [1, 5000.0], expire=1000)
        assert await work(1) == 1
        assert calls == [1]
        monkeypatch.setattr("random.random", lambda: 0.5)  # it is time, then
        before = asyncio.all_tasks()
        assert await work(1) == 1  # it waits for nobody
        assert await work(1) in (1, 2)  # the task may have done it by now
        await asyncio.gather(*asyncio.all_tasks() - before)
        assert calls == [1, 1]
        assert await work(1) == 2

    asyncio.run(main())


def test_a_recipe_raises(own_server: Any, make_cache: Make) -> None:
    server = own_server()
    cache = make_cache(server)
    lock, average = RLock(cache, "lock"), Averager(cache, "average")
    lock.acquire()
    server.kill()
    for call in (lock.acquire, lock.release, lambda: average.add(1)):
        with pytest.raises(Fault):
            call()
