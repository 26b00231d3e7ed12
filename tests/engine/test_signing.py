"""What an attacker who can write to the directory gets with a secret in place: misses.

He writes rows and files with plain sqlite3 and open. Everything that he pickles would make a
directory when it is loaded, and none is ever made.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import operator
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_diskcache.engine import (
    Averager,
    BoundedSemaphore,
    Cache,
    Deque,
    Disk,
    FanoutCache,
    Index,
    JSONDisk,
    Lock,
    RLock,
    files,
    memoize_stampede,
)
from django_diskcache.engine.disk import MODE_PICKLE, MODE_SIGNED, pickle_key
from django_diskcache.engine.errors import Foreign
from django_diskcache.engine.signing import LENGTH, MODE_KEY, Secrets, Signer, read_secrets
from django_diskcache.engine.sqlite import sqlite3
from django_diskcache.engine.store import Store
from tests.conftest import FakeClock
from tests.engine.soundness import assert_sound

MakeCache: TypeAlias = Callable[..., Cache]
MakeFanout: TypeAlias = Callable[..., FanoutCache]

SECRET = b"known to the site"
IDENTITY = bytes(16)


class Exploit:
    """Loading its pickle makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (self.path, 0o700, True)


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """The directory that an exploit would make; there must be none at the end."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


@pytest.fixture
def signed(make_cache: MakeCache) -> Cache:
    return make_cache(secret=SECRET, disk_min_file_size=500)


def write(store: Store, sql: str, parameters: Any = ()) -> list[Any]:
    """What anybody can do who can write to the file; this process then looks again."""
    with closing(sqlite3.connect(store.path)) as connection, connection:
        rows = connection.execute(sql, parameters).fetchall()
    store.near.clear()
    return rows


def poison(cache: Any, row: tuple[int, str | None, Any]) -> None:
    """Put this mode, file and value into every row."""
    for store in cache.engine.stores:
        write(store, "UPDATE cache SET mode = ?, filename = ?, value = ?", row)


def plant(cache: Any, form: str, evil: object) -> tuple[int, str | None, Any]:
    """The mode, filename and value of a row that would load the exploit."""
    data = pickle.dumps(evil)
    if form == "unsigned":
        return MODE_PICKLE, None, data
    if form == "signed by nobody":
        return MODE_SIGNED, None, bytes(LENGTH) + data
    if form == "signed with another secret":
        signature = Signer([b"other"], IDENTITY).sign("key", True, MODE_SIGNED, data)
        return MODE_SIGNED, None, signature + data
    for store in cache.engine.stores:
        path = Path(store.directory, "3f", "evil.val")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    if form == "in a file":
        return MODE_PICKLE, "3f/evil.val", None
    return MODE_SIGNED, "3f/evil.val", bytes(LENGTH)


FORMS = [
    "unsigned",
    "signed by nobody",
    "signed with another secret",
    "in a file",
    "in a file with a signature",
]

Read: TypeAlias = Callable[[Any], Any]
MISSES: dict[str, tuple[Read, Any]] = {
    "get": (lambda c: c.get("key", "miss"), "miss"),
    "get, all of it": (lambda c: c.get("key", 0, expire_time=True, tag=True), (0, None, None)),
    "get, a file": (lambda c: c.get("key", "miss", read=True), "miss"),
    "get of a tuple": (lambda c: c.get(("pickled", "key"), "miss"), "miss"),
    "get_many": (lambda c: c.get_many(["key", ("pickled", "key"), "other"]), {}),
    "pop": (lambda c: c.pop("key", "miss"), "miss"),
    "pop of a tuple": (lambda c: c.pop(("pickled", "key"), "miss"), "miss"),
    "incr": (lambda c: c.incr("key", 5), 5),
    "decr": (lambda c: c.decr("key", 5), -5),
    "add": (lambda c: (c.add("key", "new"), c.get("key")), (True, "new")),
    "add of a file": (lambda c: c.add("key", b"new", read=True), True),
    "peek": (lambda c: c.peek(), (None, None)),
    "peek at the back": (lambda c: c.peek(side="back"), (None, None)),
    "pull": (lambda c: c.pull(), (None, None)),
    "pull of a prefix": (lambda c: c.pull(prefix="q"), (None, None)),
    "transaction": (lambda c: _transacted(c, lambda: c.get("key", "miss")), "miss"),
    "Deque": (lambda c: list(Deque.fromcache(c)), []),
    "Deque, backwards": (lambda c: list(reversed(Deque.fromcache(c))), []),
    "Deque.count": (lambda c: Deque.fromcache(c).count(7), 0),
    "Index.items": (lambda c: list(Index.fromcache(c).items()), []),
    "Index.setdefault": (lambda c: Index.fromcache(c).setdefault("key", 7), 7),
    "Index ==": (lambda c: Index.fromcache(c) == {"key": 7}, False),
    "Index.pop": (lambda c: Index.fromcache(c).pop("key", "miss"), "miss"),
    "Averager": (lambda c: Averager(c, "key").get(), None),
    "Averager.add": (lambda c: _averaged(c, 2), 2),
    "Lock": (lambda c: Lock(c, "key").acquire(), None),
    "RLock": (lambda c: RLock(c, "key").acquire(), None),
    "BoundedSemaphore": (lambda c: BoundedSemaphore(c, "key").acquire(), None),
    "memoize": (lambda c: c.memoize(name="f")(abs)(-1), 1),
    "memoize_stampede": (lambda c: memoize_stampede(c, 60, name="f")(abs)(-1), 1),
    "memoize, async": (lambda c: asyncio.run(c.memoize(name="f")(_absolute)(-1)), 1),
}
ERRORS: dict[str, tuple[Read, type[Exception]]] = {
    "[]": (lambda c: c["key"], KeyError),
    "read": (lambda c: c.read("key"), KeyError),
    "incr without a default": (lambda c: c.incr("key", default=None), KeyError),
    "peekitem": (lambda c: c.peekitem(), KeyError),
    "peekitem, first": (lambda c: c.peekitem(last=False), KeyError),
    "Index.popitem": (lambda c: Index.fromcache(c).popitem(), KeyError),
    "Deque[]": (lambda c: Deque.fromcache(c)[0], IndexError),
    "Deque.pop": (lambda c: Deque.fromcache(c).pop(), IndexError),
    "Deque.peekleft": (lambda c: Deque.fromcache(c).peekleft(), IndexError),
    "Deque.remove": (lambda c: Deque.fromcache(c).remove(7), ValueError),
}


def _averaged(cache: Any, value: float) -> float | None:
    averager = Averager(cache, "key")
    averager.add(value)
    return averager.get()


async def _absolute(number: int) -> int:
    return abs(number)


def _transacted(cache: Any, read: Callable[[], Any]) -> Any:
    with cache.transact():
        return read()


def fill(cache: Any) -> None:
    """An entry for every read; all of their rows are then replaced."""
    for key in ("key", "other", ("pickled", "key"), ("f", -1, None)):
        cache.set(key, ["fine"], tag="tag")
    cache.push(["fine"])
    cache.push(["fine"], prefix="q")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MISSES)
def test_no_read_loads_what_an_attacker_pickled(
    name: str, form: str, signed: Cache, marker: Path
) -> None:
    fill(signed)
    poison(signed, plant(signed, form, Exploit(marker)))

    read, expected = MISSES[name]
    assert read(signed) == expected
    assert not marker.exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ERRORS)
def test_no_read_that_raises_loads_it_either(
    name: str, form: str, signed: Cache, marker: Path
) -> None:
    fill(signed)
    poison(signed, plant(signed, form, Exploit(marker)))

    read, error = ERRORS[name]
    with pytest.raises(error):
        read(signed)


@pytest.mark.parametrize("form", FORMS)
def test_nor_does_anything_else(form: str, make_fanout: MakeFanout, marker: Path) -> None:
    fanout = make_fanout(secret=SECRET, eviction_policy="least-recently-used")
    fill(fanout)
    poison(fanout, plant(fanout, form, Exploit(marker)))

    assert len(list(fanout)) == len(list(fanout.iterkeys())) == 6
    assert fanout.touch("key", 60)
    fanout.check(fix=True)
    fanout.cull()
    fanout.reset("size_limit", 1)
    fanout.cull()
    fanout.expire()
    fanout.evict("tag")
    fanout.delete("key")
    fanout.clear()


def test_the_exploit_works_where_nothing_is_signed(make_cache: MakeCache, marker: Path) -> None:
    cache = make_cache()
    fill(cache)
    poison(cache, plant(cache, "unsigned", Exploit(marker)))
    with suppress(TypeError):
        cache.get("key")
    marker.rmdir()


# Keys

KEY_SIGNATURES: list[Any] = [None, b"", bytes(LENGTH), "text", 7]


class OwnHash(Disk):
    """With a hash of one's own, of the key itself."""

    def hash(self, key: Any) -> int:
        return super().hash(key) // 3


@pytest.mark.parametrize("signature", KEY_SIGNATURES)
@pytest.mark.parametrize("disk", [Disk, OwnHash])
def test_no_key_of_an_attacker_is_loaded(
    disk: type[Disk], signature: Any, make_cache: MakeCache, marker: Path
) -> None:
    cache = make_cache(secret=SECRET, disk=disk, eviction_policy="least-recently-used")
    good = {"text": 1, ("a", "tuple"): 2, b"bytes": 3, 7: 4, None: 5}
    (store,) = cache.engine.stores

    def planted(first: bool) -> None:
        key = pickle.dumps(Exploit(marker))
        write(store, "DELETE FROM cache")
        if not first:
            cache.set_many(good)
        sql = "INSERT INTO cache (key, raw, store_time, mode, signature, value) "
        write(store, sql + "VALUES (?, 0, 1, 1, ?, 'evil')", (key, signature))
        if first:
            cache.set_many(good)
        assert len(cache) == 6

    for read, expected in (
        (set, set(good)),
        (lambda c: {*reversed(c)}, set(good)),
        (lambda c: set(c.iterkeys()), set(good)),
        (lambda c: set(c.iterkeys(reverse=True)), set(good)),
        (lambda c: dict(Index.fromcache(c).items()), good),
    ):
        planted(first=True)
        assert read(cache) == expected
        assert len(cache) == 5
    planted(first=False)
    assert cache.peekitem() == (None, 5)
    planted(first=True)
    assert cache.peekitem(last=False) == ("text", 1)
    planted(first=True)
    cache.reset("cull_limit", 10)
    cache.reset("size_limit", 1)
    cache.cull()
    assert len(cache) == 0


def test_the_signature_of_a_key_is_of_that_key(make_cache: MakeCache, marker: Path) -> None:
    cache = make_cache(secret=SECRET)
    (store,) = cache.engine.stores
    cache[("a", "tuple")] = 1
    cache[("b", "tuple")] = ["a list"]
    assert list(cache) == [("a", "tuple"), ("b", "tuple")]

    write(store, "UPDATE cache SET key = ? WHERE value = 1", (pickle.dumps(Exploit(marker)),))
    assert list(cache) == [("b", "tuple")]
    # The signature of a value is not that of a key, with which it shares all other bytes.
    ((value,),) = write(store, "SELECT value FROM cache")
    write(store, "UPDATE cache SET signature = ?", (value[:LENGTH],))
    assert list(cache) == []


# Moves


def swap(store: Store, one: Any, other: Any) -> None:
    """Let the entries of two keys have one another's values."""
    with closing(sqlite3.connect(store.path)) as connection, connection:
        rows = [
            connection.execute(
                "SELECT mode, filename, value FROM cache WHERE key = ?", (key,)
            ).fetchone()
            for key in (one, other)
        ]
        for key, row in zip((other, one), rows, strict=True):
            sql = "UPDATE cache SET mode = ?, filename = ?, value = ? WHERE key = ?"
            connection.execute(sql, (*row, key))
    store.near.clear()


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "b"),
        ("a", b"a"),
        (1, 2),
        (1.5, int.from_bytes(Disk("").put(1.5)[0].hex().encode()[:7], "big")),
        (1.5, 0x3FF8000000000000),
        (2.0**70, 0x4450000000000000),
        (1, (1).to_bytes(8, "big")),
        ("a", "a\0"),
    ],
)
def test_a_value_moved_to_another_key(one: Any, other: Any, size: int, signed: Cache) -> None:
    signed[one] = ["one"] * size
    signed[other] = ["other"] * size
    swap(signed.engine.stores[0], one, other)

    assert signed.get(one) is signed.get(other) is None
    assert len(signed) == 0
    assert_sound(signed)


def test_a_pickled_key_and_its_bytes_are_two_keys(signed: Cache) -> None:
    data = pickle_key(("tuple",), 5)
    signed[("tuple",)] = [1]
    signed[data] = [2]
    (store,) = signed.engine.stores
    write(store, "UPDATE cache SET raw = 2 WHERE raw = 1")
    write(store, "UPDATE cache SET raw = 1 - raw WHERE raw < 2")
    write(store, "UPDATE cache SET raw = 0 WHERE raw = 2")

    assert signed.get(("tuple",)) is signed.get(data) is None


def test_numbers_that_are_one_key(signed: Cache) -> None:
    signed[1] = [1]
    signed.engine.near.clear()
    for key in (1.0, True, 1):
        assert signed[key] == [1]
        signed.engine.near.clear()
    signed[-0.0] = [0]
    signed.engine.near.clear()
    assert signed[0] == [0]


@pytest.mark.parametrize("size", [1, 1000])
def test_an_entry_of_another_cache(size: int, make_cache: MakeCache, marker: Path) -> None:
    one = make_cache("one", secret=SECRET, disk_min_file_size=500)
    other = make_cache("other", secret=SECRET, disk_min_file_size=500)
    one["key"] = ["one"] * size
    other["key"] = ["other"] * size
    (row,) = write(one.engine.stores[0], "SELECT mode, filename, value FROM cache")
    if row[1] is not None:
        target = Path(other.directory, row[1])
        target.parent.mkdir(exist_ok=True)
        shutil.copy(Path(one.directory, row[1]), target)
    poison(other, row)

    assert other.get("key") is None
    assert one.get("key") == ["one"] * size


def test_an_entry_of_another_shard(make_fanout: MakeFanout) -> None:
    fanout = make_fanout(secret=SECRET, shards=2)
    keys = [str(number) for number in range(20)]
    fanout.set_many({key: [key] for key in keys})
    first, second = fanout.engine.stores
    columns = "key, raw, store_time, mode, value"
    rows = write(first, f"SELECT {columns} FROM cache")
    write(second, "DELETE FROM cache")
    for row in rows:
        write(second, f"INSERT INTO cache ({columns}) VALUES (?, ?, ?, ?, ?)", row)
    write(first, "DELETE FROM cache")

    with pytest.raises(KeyError, match="empty"):
        fanout.peekitem()


def test_an_entry_of_the_same_key_may_be_put_back(signed: Cache) -> None:
    signed["key"] = ["old"]
    (row,) = write(signed.engine.stores[0], "SELECT mode, filename, value FROM cache")
    signed["key"] = ["new"]
    poison(signed, row)
    assert signed["key"] == ["old"]  # as the documentation says


# Damage

DAMAGE: list[Callable[[bytes], Any]] = [
    lambda data: b"",
    lambda data: data[:1],
    lambda data: data[: LENGTH - 1],
    lambda data: data[:LENGTH],
    lambda data: data[:-1],
    lambda data: data + b"x",
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    lambda data: bytes([data[0] ^ 128]) + data[1:],
    lambda data: data[LENGTH:],
    lambda data: None,
    lambda data: 7,
    lambda data: 1.5,
    lambda data: "text",
]


@pytest.mark.parametrize("number", range(len(DAMAGE)))
@pytest.mark.parametrize("size", [1, 1000])
def test_damage_is_a_miss(number: int, size: int, signed: Cache) -> None:
    signed["key"] = ["value"] * size
    (store,) = signed.engine.stores
    ((value,),) = write(store, "SELECT value FROM cache")
    write(store, "UPDATE cache SET value = ?", (DAMAGE[number](value),))
    if size > 1 and number == 3:
        return  # in a row with a file the signature is all there is
    assert signed.get("key", "miss") == "miss"
    assert len(signed) == 0
    assert_sound(signed)


@pytest.mark.parametrize("number", [0, 1, 4, 5, 6, 7])
def test_damage_of_a_file_is_a_miss(number: int, signed: Cache) -> None:
    signed["key"] = ["value"] * 1000
    (path,) = Path(signed.directory).rglob("*.val")
    path.write_bytes(DAMAGE[number](path.read_bytes()))

    assert signed.get_many(["key"]) == {}
    assert len(signed) == 0
    assert_sound(signed)


def test_what_is_signed_is_what_was_pickled(
    signed: Cache, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Somebody overwrites the file at the moment that it is there.
    honest = files.write

    def overtaken(path: str, chunks: Any) -> tuple[int, int]:
        written = honest(path, chunks)
        Path(path).write_bytes(pickle.dumps(Exploit(marker)))
        return written

    monkeypatch.setattr(files, "write", overtaken)
    signed.set("key", ["value"] * 1000)
    signed.set_many({"other": ["value"] * 1000})
    assert signed.get_many(["key", "other"]) == {}
    assert len(signed) == 0


# Secrets


def test_fallbacks_verify_and_the_new_secret_signs(make_cache: MakeCache) -> None:
    values = {"row": [1], "file": ["x"] * 1000, ("pickled", "key"): [2]}
    settings = {"disk_min_file_size": 500}
    make_cache(secret="old", **settings).set_many(values)

    both = make_cache(secret="new", secret_fallbacks=["oldest", b"old"], **settings)
    assert both.get_many(values) == values
    assert list(both) == list(values)
    both["later"] = [3]

    new = make_cache(secret="new", **settings)
    assert new.get_many([*values, "later"]) == {"later": [3]}
    assert list(new) == ["later"]


def test_signing_turned_on_and_off(make_cache: MakeCache, clock: FakeClock) -> None:
    plain: dict[Any, Any] = {"text": "text", "number": 7, "bytes": b"b", "long": "x" * 1000}
    pickled: dict[Any, Any] = {"list": [1], "file": ["x"] * 1000, ("pickled", "key"): 5}
    settings = {"disk_min_file_size": 500}
    unsigned = make_cache(**settings)
    unsigned.set_many({**plain, **pickled})

    signed = make_cache(secret=SECRET, **settings)
    assert signed.get_many([*plain, "list", "file"]) == plain
    assert list(signed) == list(plain)
    signed.set_many(pickled)
    assert signed.get_many([*plain, *pickled]) == {**plain, **pickled}

    assert unsigned.get_many([*plain, *pickled]) == {**plain, **pickled}
    assert list(unsigned) == [*plain, *pickled]
    assert unsigned.get("list") == [1]
    unsigned["list"] = [2]
    assert signed.get("list") is None


def test_two_secrets_are_two_engines(make_cache: MakeCache) -> None:
    one, same, other = (
        make_cache(secret="one"),
        make_cache(secret=b"one"),
        make_cache(secret="other"),
    )
    assert one.engine is same.engine
    assert one.engine is not other.engine
    one["key"] = [1]
    assert other.get("key") is None
    other["key"] = [2]
    assert one.get("key") is None


@pytest.mark.parametrize("secret", ["", b""])
@pytest.mark.parametrize("face", [Cache, FanoutCache])
def test_an_empty_secret(face: Any, secret: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a secret is empty"):
        face(tmp_path / "c", secret=secret)
    with pytest.raises(ValueError, match="a secret is empty"):
        face(tmp_path / "c", secret="fine", secret_fallbacks=[secret])
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"secret": 7}, TypeError, "bytes or str, not int"),
        ({"secret": ["a"]}, TypeError, "bytes or str, not list"),
        ({"secret": "a", "secret_fallbacks": "b"}, TypeError, "a list of secrets"),
        ({"secret": "a", "secret_fallbacks": [7]}, TypeError, "bytes or str, not int"),
        ({"secret_fallbacks": ["a"]}, ValueError, "without a secret"),
    ],
)
def test_mistakes(arguments: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        Cache(tmp_path / "c", **arguments)


def test_the_secret_is_nowhere_to_be_seen(make_fanout: MakeFanout) -> None:
    fanout = make_fanout(secret="xyzzy-plugh", secret_fallbacks=["xyzzy-old"])
    fanout["key"] = ["value"]
    fanout.deque("d").append([1])
    assert not hasattr(fanout, "secret")
    for each in (fanout, fanout.engine, fanout.engine.secrets, fanout.deque("d")):
        assert "xyzzy" not in repr(each)
    assert "xyzzy" not in repr(vars(fanout.engine))
    fanout.close()
    for path in Path(fanout.directory).rglob("*"):
        assert path.is_dir() or b"xyzzy" not in path.read_bytes()


def test_what_has_a_secret_is_not_pickled(make_fanout: MakeFanout) -> None:
    fanout = make_fanout(secret=SECRET)
    things = [fanout, fanout.cache("c"), fanout.deque("d"), fanout.index("i")]
    for thing in things:
        with pytest.raises(TypeError, match=r"secret.* open it there"):
            pickle.dumps(thing)
    twin = copy.copy(fanout)
    twin["key"] = [1]
    assert fanout["key"] == [1]
    queue = copy.copy(fanout.deque("d"))
    queue.append([1])
    assert fanout.deque("d")[0] == [1]
    index = copy.copy(fanout.index("i"))
    index["key"] = [1]
    assert fanout.index("i")["key"] == [1]
    fanout.close()


# Sub-collections


def test_collections_are_signed_like_their_cache(
    make_fanout: MakeFanout, clock: FakeClock, marker: Path
) -> None:
    fanout = make_fanout(secret=SECRET)
    cache, queue, index = fanout.cache("c"), fanout.deque("d"), fanout.index("i")
    cache["key"], index["key"] = ["c"], ["i"]
    queue.append(["d"])
    for each in (cache, queue.cache, index.cache):
        assert each.engine.clock is clock
        poison(each, plant(each, "unsigned", Exploit(marker)))
    assert cache.get("key") is None
    assert list(queue) == []
    assert list(index.items()) == []
    fanout.close()


def test_collections_made_of_signed_ones_are_signed(
    make_fanout: MakeFanout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fanout = make_fanout(secret=SECRET)
    queue, index = fanout.deque("d"), fanout.index("i")
    queue.append([1])
    index["key"] = [1]
    for made, expected in (
        (operator.add(queue, [[2]]), [[1], [2]]),
        (queue * 2, [[1], [1]]),
        (queue.copy(), [[1]]),
    ):
        assert list(made) == expected
        assert made.cache.engine.secrets == fanout.engine.secrets
    for made, items in (
        (index.copy(), {"key": [1]}),
        (index | {"b": 2}, {"key": [1], "b": 2}),
        ({"b": 2} | index, {"b": 2, "key": [1]}),
    ):
        assert made == items
        assert made.cache.engine.secrets == fanout.engine.secrets
    fanout.close()


# What happens to a foreign row


def test_it_is_logged_once_in_a_minute_for_each_shard(
    make_fanout: MakeFanout, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    fanout = make_fanout(secret=SECRET, shards=2)
    keys = [str(number) for number in range(20)]

    def read_foreign() -> list[str]:
        caplog.clear()
        fanout.set_many({key: [key] for key in keys})
        poison(fanout, (MODE_PICKLE, None, pickle.dumps(7)))
        assert fanout.get_many(keys) == {}
        records = [each for each in caplog.records if each.name == "django_diskcache"]
        assert {each.levelno for each in records} <= {logging.WARNING}
        return sorted(each.getMessage() for each in records)

    messages = read_foreign()
    assert len(messages) == 2
    for store, message in zip(fanout.engine.stores, messages, strict=True):
        assert message.startswith(store.path)
    assert read_foreign() == []
    clock.advance(59)
    assert read_foreign() == []
    clock.advance(1)
    assert read_foreign() == messages


@pytest.mark.parametrize("form", FORMS)
def test_the_row_goes(form: str, make_cache: MakeCache) -> None:
    cache = make_cache(secret=SECRET, max_entries=100, statistics=1)
    cache["key"] = ["value"]
    poison(cache, plant(cache, form, 7))
    assert len(cache) == 1
    assert cache.get("key") is None
    assert len(cache) == cache.engine.limits.entries() == 0
    assert_sound(cache)
    assert cache.stats()[1] == 1


def test_what_took_its_place_stays(signed: Cache) -> None:
    (store,) = signed.engine.stores
    _, place = signed.engine.place("key")
    signed["key"] = ["old"]
    poison(signed, (MODE_PICKLE, None, pickle.dumps(7)))
    row = store._live(place, None)
    assert row is not None
    signed["key"] = ["new"]
    store._refuse(place, row, None, Foreign())
    assert signed["key"] == ["new"]


def test_a_lock_keeps_it_and_the_read_is_a_miss(signed: Cache) -> None:
    signed["key"] = ["value"]
    poison(signed, (MODE_PICKLE, None, pickle.dumps(7)))
    with closing(sqlite3.connect(signed.engine.stores[0].path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        cache = copy.copy(signed)
        cache._timeout = 0
        assert cache.get("key") is None
        assert len(cache) == 1
        connection.rollback()
    assert signed.get("key") is None
    assert len(signed) == 0


def test_what_looks_at_no_value_sees_it_until_it_is_read(signed: Cache) -> None:
    signed["key"] = ["value"]
    poison(signed, (MODE_PICKLE, None, pickle.dumps(7)))
    assert "key" in signed  # as the documentation says
    assert signed.touch("key")
    assert signed.get("key") is None
    assert "key" not in signed
    assert signed.add("key", 1)


def test_a_failed_add_is_one(signed: Cache) -> None:
    signed["row"], signed["file"] = ["value"], ["value"] * 1000
    assert not signed.add("row", 1)
    assert not signed.add("file", 1)
    assert not signed.add("file", b"1", read=True)
    assert (signed["row"], signed["file"]) == (["value"], ["value"] * 1000)


# Directories


def test_a_directory_may_be_moved_and_copied(make_cache: MakeCache) -> None:
    cache = make_cache("old", secret=SECRET, disk_min_file_size=500)
    values = {"row": [1], "file": ["x"] * 1000, ("pickled", "key"): [2]}
    cache.set_many(values)
    cache.close()
    shutil.copytree(cache.directory, Path(cache.directory).parent / "new")

    assert make_cache("new", secret=SECRET).get_many(values) == values


def test_each_shard_has_an_identity_that_stays(
    make_fanout: MakeFanout, clock: FakeClock
) -> None:
    def identities(cache: FanoutCache) -> list[Any]:
        sql = "SELECT value FROM settings WHERE key = 'identity'"
        return [write(store, sql) for store in cache.engine.stores]

    found = identities(make_fanout())
    assert len({identity for ((identity,),) in found}) == 4
    assert identities(make_fanout(secret=SECRET)) == found
    with pytest.raises(KeyError):
        make_fanout().reset("identity")


@pytest.mark.parametrize("identity", [None, "", "zz", 7, b"\0" * 16, "ab" * 16])
def test_an_identity_that_was_changed(
    identity: Any, make_cache: MakeCache, clock: FakeClock
) -> None:
    cache = make_cache(secret=SECRET)
    cache["key"] = [1]
    sql = "UPDATE settings SET value = ? WHERE key = 'identity'"
    write(cache.engine.stores[0], sql, (identity,))
    if identity is None:
        write(cache.engine.stores[0], "DELETE FROM settings WHERE key = 'identity'")

    later = make_cache(secret=SECRET, clock=lambda: clock.now)
    assert later.get("key") is None
    later["key"] = [2]
    assert later["key"] == [2]
    later.engine.near.clear()
    assert later["key"] == [2]
    # Who had it open before learns of it.
    assert cache["key"] == [2]
    cache["key"] = [3]
    assert later["key"] == [3]


def test_a_lost_shard_makes_no_other_foreign(make_fanout: MakeFanout) -> None:
    fanout = make_fanout(secret=SECRET)
    keys = [str(number) for number in range(40)]
    fanout.set_many({key: [key] for key in keys})
    kept = [key for key in keys if fanout.engine.place(key)[0].number != 2]
    fanout.close()
    for path in Path(fanout.directory, "002").iterdir():
        path.unlink()

    again = make_fanout(secret=SECRET)
    assert again.get_many(keys) == {key: [key] for key in kept}
    again.set_many({key: [key] for key in keys})
    again.engine.near.clear()
    assert len(again.get_many(keys)) == 40


# Disks


def test_json_unpickles_nothing(make_cache: MakeCache, marker: Path) -> None:
    for secret in (None, SECRET):
        cache = make_cache(str(secret), disk=JSONDisk, secret=secret)
        for form in FORMS:
            fill(cache)
            poison(cache, plant(cache, form, Exploit(marker)))
            assert cache.get("key") is None
            assert cache.get_many(["key", "other"]) == {}
            assert cache.pop(("pickled", "key")) is None
            assert cache.pull() == (None, None)


class Turned(Disk):
    """Values the other way round, whatever they become then."""

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        return super().store(value[::-1], read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        return super().fetch(mode, filename, value, read)[::-1]


class OwnFiles(Disk):
    """Writes its files itself."""

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        name, path = self.filename(key, value)
        size, _ = files.write(path, [pickle.dumps(value)])
        return size, MODE_PICKLE, name, None


def test_disks_of_ones_own_are_signed(make_cache: MakeCache, marker: Path) -> None:
    cache = make_cache(secret=SECRET, disk=Turned, disk_min_file_size=500)
    values = {"row": [1, 2], "file": [*range(1000)], "text": "text"}
    cache.set_many(values)
    assert cache.get_many(values) == values
    poison(cache, plant(cache, "unsigned", Exploit(marker)))
    assert cache.get_many(values) == {}


def test_a_disk_whose_files_cannot_be_signed(make_cache: MakeCache) -> None:
    assert make_cache("plain", disk=OwnFiles).set("key", [1])
    cache = make_cache(secret=SECRET, disk=OwnFiles)
    with pytest.raises(TypeError, match=r"OwnFiles .* Disk\.store"):
        cache.set("key", [1])
    assert list(Path(cache.directory).rglob("*.val")) == []
    assert len(cache) == 0


# The signature itself

messages = st.tuples(
    st.text() | st.binary() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    st.booleans(),
    st.sampled_from([MODE_KEY, MODE_SIGNED]),
    st.binary(max_size=40),
)


def signature(message: Any, secret: bytes = SECRET, identity: bytes = IDENTITY) -> bytes:
    return Signer([secret], identity).sign(*message)


@given(messages, messages)
def test_different_messages_have_different_signatures(one: Any, other: Any) -> None:
    same = one == other and (type(one[0]) is type(other[0]) or one[0] == other[0])
    assert (signature(one) == signature(other)) is same


@given(messages)
def test_everything_is_signed(message: Any) -> None:
    found = signature(message)
    assert len(found) == LENGTH
    assert found != signature(message, secret=b"other")
    assert found != signature(message, identity=b"1" * 16)
    assert Signer([b"new", SECRET], IDENTITY).verify(found, *message)
    assert not Signer([b"new"], IDENTITY).verify(found, *message)
    for wrong in (None, "", b"", found[:-1], found + b"x", found.hex(), bytearray(found)):
        assert not Signer([SECRET], IDENTITY).verify(wrong, *message)


@pytest.mark.parametrize("text", [("a", b"bc"), ("ab", b"c"), ("abc", b"")])
def test_no_byte_can_change_sides(text: tuple[str, bytes]) -> None:
    others = {("a", b"bc"), ("ab", b"c"), ("abc", b"")} - {text}
    sign = partial(Signer([SECRET], IDENTITY).sign, raw=True, mode=MODE_SIGNED)
    mine = sign(key=text[0], pickled=text[1])
    assert mine not in {sign(key=key, pickled=data) for key, data in others}


def test_secrets_that_are_read_are_read_again() -> None:
    secrets: Secrets = read_secrets("a", [b"b"])
    assert list(secrets) == [b"a", b"b"]
    assert read_secrets(secrets, ()) == secrets
    assert type(read_secrets(secrets, ["c"])) is Secrets
    assert repr(secrets) == "<2 secrets>"
    assert not read_secrets(None, ())


def test_a_setting_in_the_directory_changes_nothing_else_of_a_disk(
    make_cache: MakeCache, tmp_path: Path
) -> None:
    cache = make_cache(disk_min_file_size=500, disk_pickle_protocol=4)
    (store,) = cache.engine.stores
    sql = "INSERT INTO settings VALUES (?, ?)"
    for name in ("disk__directory", "disk_directory", "disk_store", "disk_pickles"):
        write(store, sql, (name, str(tmp_path)))
    later = make_cache(clock=lambda: 0.0)
    later["key"] = b"x" * 1000
    assert later["key"] == b"x" * 1000
    assert later.disk_pickle_protocol == 4
    assert vars(later.disk)["_directory"] == later.directory
    assert later.disk.pickles is True
    assert_sound(later)
