"""JSON and MessagePack instead of pickle: what comes back is what was stored, or is refused."""

from __future__ import annotations

import datetime
import decimal
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    integrity,
    memoize_stampede,
    throttle,
)
from django_diskcache.engine.disk import MODE_PICKLE, MODE_RAW, MODE_SIGNED
from django_diskcache.engine.nearcache import WARM
from django_diskcache.engine.serializers import (
    MODE_JSON,
    MODE_MSGPACK,
    SERIALIZERS,
    loads_json,
    loads_msgpack,
)

pytest.importorskip("msgspec")

MakeCache = Callable[..., Cache]
MODES = {"pickle": MODE_PICKLE, "json": MODE_JSON, "msgpack": MODE_MSGPACK}
LOADS = {"json": loads_json, "msgpack": loads_msgpack}
OTHERS = ["json", "msgpack"]
VALUES: list[Any] = [
    None,
    True,
    [],
    {},
    [1, 2.5, "three", None, False],
    {"a": {"b": [{"c": "ä"}]}},
    {"title": "x" * 200, "ids": [1, 2, 3]},
]


def modes(cache: Any) -> list[int]:
    rows = [s.database.run("SELECT mode FROM cache ORDER BY id") for s in cache.engine.stores]
    return [mode & integrity.MODES for each in rows for (mode,) in each]


@pytest.mark.parametrize("secret", [None, b"secret"])
@pytest.mark.parametrize("size", [0, 2**16])
@pytest.mark.parametrize("name", MODES)
def test_values_come_back(
    name: str, size: int, secret: bytes | None, make_cache: MakeCache
) -> None:
    cache = make_cache(serializer=name, secret=secret, disk_min_file_size=size)
    for value in VALUES:
        cache.set("key", value)
        for _ in range(WARM + 2):
            found = cache.get("key")
            assert found == value
            assert type(found) is type(value)
            if isinstance(found, list):
                found.append("of the caller")
        assert cache.get("key", tag=True) == (value, None)
        assert cache.get_many(["key"]) == {"key": value}
        expected = MODE_SIGNED if secret and name == "pickle" else MODES[name]
        assert modes(cache) == [expected]
        assert cache.pop("key") == value
    assert cache.check() == []


@pytest.mark.parametrize("name", OTHERS)
def test_what_sqlite_holds_stays_as_it_is(name: str, make_cache: MakeCache) -> None:
    cache = make_cache(serializer=name)
    for value in ("text", b"bytes", 5, 0.5):
        cache.set(value, value)
    assert modes(cache) == [MODE_RAW] * 4
    cache.set(("a", "tuple"), ["value"])  # keys stay as they are
    assert cache[("a", "tuple")] == ["value"]
    assert list(cache)[-1] == ("a", "tuple")


leaves = st.none() | st.booleans() | st.text() | st.floats(allow_nan=False) | st.integers()
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(json_values)
def test_any_json(value: Any) -> None:
    assert repr(loads_json(SERIALIZERS["json"].encode(value, "key"))) == repr(value)


numbers = st.integers(-(2**63), 2**64 - 1)
utf8 = st.text(st.characters(codec="utf-8"))
small = st.none() | utf8 | st.floats(allow_nan=False) | numbers | st.binary()


@given(
    st.recursive(
        small | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(small, inner)
    )
)
def test_any_messagepack(value: Any) -> None:
    assert repr(loads_msgpack(SERIALIZERS["msgpack"].encode(value, "key"))) == repr(value)


@given(st.text(st.characters(codec=None)))
def test_lone_surrogates_are_json(value: str) -> None:
    data = SERIALIZERS["json"].encode([value], "key")
    assert loads_json(data) == [value]
    data.decode()  # and readable elsewhere


class Text(str):
    """Would come back as a text."""


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
NOWHERE: list[Any] = [
    (1, 2),
    {"a": (1, 2)},
    [[{"a": {1}}]],
    {("a",): 1},
    Text("text"),
    [Text("text")],
    {Text("key"): 1},
    OrderedDict(a=1),
    object(),
    CIRCLE,
    1j,
    decimal.Decimal(1),
    datetime.date(2026, 1, 1),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    bytearray(b"bytes"),
]
NOT_JSON = [{1: "a", "1": "b"}, {None: 1}, b"bytes", [b"bytes"]]
NOT_MSGPACK = [[2**64], ["\ud800"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [("json", value) for value in [*NOWHERE, *NOT_JSON[:2], NOT_JSON[3]]]
    + [("msgpack", value) for value in [*NOWHERE, *NOT_MSGPACK]],
    ids=lambda value: type(value).__name__,
)
def test_what_would_come_back_as_something_else(
    name: str, value: Any, make_cache: MakeCache
) -> None:
    cache = make_cache(serializer=name, disk_min_file_size=10)
    cache.set("key", ["old"])
    for write in (cache.set, cache.add, cache.push):
        args = (value,) if write == cache.push else ("key", value)
        if write == cache.add:
            args = ("new", value)
        with pytest.raises(TypeError, match=rf"serializer='{name}' cannot hold a .*'pickle'"):
            write(*args)
    with pytest.raises(TypeError, match="the value for 'bad': "):
        cache.set_many({"good": 1, "bad": value})

    assert cache["key"] == ["old"]  # nothing is lost
    assert len(cache) == 1
    assert cache.check() == []


def test_changing_it_needs_no_clear(make_cache: MakeCache) -> None:
    cache = make_cache(secret=b"secret")
    for name in MODES:
        assert cache.reset("serializer", name) == name
        cache.set(name, ["value of", name])
        cache.engine.near.clear()
        for other in list(cache):
            assert cache[other] == ["value of", other]
    assert modes(cache) == [MODE_SIGNED, MODE_JSON, MODE_MSGPACK]


def test_the_directory_keeps_it(make_cache: MakeCache, tmp_path: Path) -> None:
    make_cache(serializer="json").close()
    assert make_cache().serializer == "json"
    assert FanoutCache(str(tmp_path / "other"), serializer="JSON").serializer == "json"


def test_collections_have_that_of_their_cache(
    make_fanout: Callable[..., FanoutCache],
) -> None:
    cache = make_fanout(serializer="json")
    deque, index = cache.deque("deque"), cache.index("index")
    part = cache.cache("part")
    deque.append([1])
    index["key"] = {"a": 1}
    part["key"] = [1]
    assert modes(deque.cache) == modes(index.cache) == modes(part) == [MODE_JSON]
    assert list(deque) == [[1]]
    assert dict(index) == {"key": {"a": 1}}
    with pytest.raises(TypeError, match="cannot hold"):
        deque.append((1, 2))
    assert modes((deque * 2).cache) == [MODE_JSON] * 2


@pytest.mark.parametrize("name", MODES)
def test_recipes(name: str, make_cache: MakeCache) -> None:
    cache = make_cache(serializer=name)
    for lock in (Lock(cache, "l"), RLock(cache, "r"), BoundedSemaphore(cache, "s")):
        with lock:
            pass
    averager = Averager(cache, "average")
    averager.add(1)
    averager.add(2)
    assert averager.get() == 1.5
    assert throttle(cache, 5, 1, name="throttle")(abs)(-1) == 1
    stampede = memoize_stampede(cache, 60, name="stampede")(abs)
    assert [stampede(-1), stampede(-1)] == [1, 1]
    assert MODE_PICKLE not in modes(cache) or name == "pickle"
    assert Deque.fromcache(make_cache("d", serializer=name), [[1]])[0] == [1]
    assert Index.fromcache(make_cache("i", serializer=name), a=[1])["a"] == [1]


@pytest.mark.parametrize("name", OTHERS)
def test_json_disk_stays(name: str, make_cache: MakeCache) -> None:
    cache = make_cache(disk=JSONDisk, serializer=name)
    cache["key"] = {"a": (1,)}
    assert cache["key"] == {"a": [1]}
    assert modes(cache) == [MODE_RAW]


class Twice(Disk):
    """A disk of one's own that goes on to `Disk`."""

    def store(self, value: Any, read: bool, key: Any = None) -> Any:
        return super().store([value], read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        return super().fetch(mode, filename, value, read)[0]


@pytest.mark.parametrize("name", OTHERS)
def test_a_disk_of_ones_own(name: str, make_cache: MakeCache) -> None:
    cache = make_cache(disk=Twice, serializer=name, secret=b"secret")
    cache["key"] = {"a": 1}
    assert [cache["key"], cache["key"]] == [{"a": 1}] * 2
    assert modes(cache) == [MODES[name]]


def test_without_msgspec(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make_cache(serializer="msgpack")
    cache["key"] = ["value"]
    cache.engine.near.clear()

    def missing() -> Any:
        raise ImportError("msgspec")

    monkeypatch.setattr("django_diskcache.engine.serializers._msgpack", missing)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"msgspec.*pip install .django-diskcache\[msgpack\]"):
        make_cache("other", serializer="msgpack")
    assert cache.get("key") is None  # a miss, not a crash
    assert "cannot be read here" in caplog.text


def test_a_wrong_one(make_cache: MakeCache) -> None:
    with pytest.raises(ValueError, match=r"serializer='jsn'.*did you mean 'json'"):
        make_cache(serializer="jsn")


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_unpickled(name: str, make_cache: MakeCache) -> None:
    cache = make_cache(serializer=name, secret=b"secret")
    cache["key"] = ["value"]
    (store,) = cache.engine.stores
    data = pickle.dumps(["evil"])
    for mode in (MODE_PICKLE, MODE_SIGNED, MODES[name]):
        cache["key"] = ["value"]
        store.database.run("UPDATE cache SET mode = ?, value = ?", (mode, data))
        cache.engine.near.clear()
        assert cache.get("key") is None
