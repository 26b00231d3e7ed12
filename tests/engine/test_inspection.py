"""What is shown of entries: right, bounded, and nothing is unpickled, changed or counted."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import (
    Cache,
    FanoutCache,
    JSONDisk,
    Lock,
    inspection,
    previews,
    schema,
)
from django_diskcache.engine.disk import MODE_RAW
from django_diskcache.engine.inspection import Access, Entry
from django_diskcache.engine.previews import Preview
from django_diskcache.engine.store import Store
from tests.conftest import FakeClock

MakeFanout = Callable[..., FanoutCache]


def stores_of(cache: Cache | FanoutCache) -> list[Store]:
    return cache._engine.stores


def find(cache: Cache | FanoutCache, key: Any) -> Entry | None:
    store, place = cache._engine.place(key)
    return inspection.find(store, place)


def entry_of(cache: Cache | FanoutCache, key: Any) -> Entry:
    entry = find(cache, key)
    assert entry is not None
    return entry


def preview(cache: Cache | FanoutCache, key: Any) -> Preview:
    entry = entry_of(cache, key)
    return inspection.preview(stores_of(cache)[entry.shard], entry)


def counts(cache: FanoutCache) -> list[int]:
    return [store.database.run(schema.COUNT)[0][0] for store in stores_of(cache)]


def sample(cache: FanoutCache) -> inspection.Sample:
    return inspection.sample(stores_of(cache), counts(cache))


# One entry


def test_an_entry(cache: Cache, clock: FakeClock) -> None:
    cache.set("key", "välue", expire=60, tag="news")
    clock.advance(5)
    entry = entry_of(cache, "key")
    assert entry.form == MODE_RAW
    assert entry._replace(mode=1) == Entry(
        0, 1, "key", 1, clock.now + 55, clock.now - 5, "news", 1, 0, None, 6
    )
    cache.set("key", "other")
    assert entry_of(cache, "key").updates == 1
    assert find(cache, "missing") is None


def test_an_expired_entry_is_found(cache: Cache, clock: FakeClock) -> None:
    cache.set("key", 1, expire=1)
    clock.advance(2)
    assert entry_of(cache, "key").expire == clock.now - 1


def test_where_the_value_lies(cache: Cache) -> None:
    cache.set("row", b"1")
    cache.set("file", b"1" * 80_000)
    store = stores_of(cache)[0]
    assert inspection.path_of(store, entry_of(cache, "row")) == store.path
    path = inspection.path_of(store, entry_of(cache, "file"))
    assert os.path.getsize(path) == 80_000 == entry_of(cache, "file").size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", Preview("text", "text", True)),
        ("ä" * 2000, Preview("text", "ä" * 1000, False)),
        ("ä" * 80_000, Preview("text", "ä" * 1000, False)),
        (7, Preview("number", "7", True)),
        (7.5, Preview("number", "7.5", True)),
        (b"\x00\xff", Preview("bytes", "00 ff", True)),
        (b"a" * 5000, Preview("bytes", " ".join(["61"] * 250), False)),
        (b"a" * 100_000, Preview("bytes", " ".join(["61"] * 250), False)),
    ],
)
def test_previews(cache: Cache, value: Any, expected: Preview) -> None:
    cache["key"] = value
    assert preview(cache, "key") == expected


@pytest.mark.parametrize("secret", [None, b"s" * 32])
def test_a_pickle_is_shown_by_its_opcodes(
    make_cache: Callable[..., Cache], secret: Any
) -> None:
    cache = make_cache(secret=secret)
    cache["key"] = {"title": "Title", "id": 5}
    shown = preview(cache, "key")
    assert (shown.kind, shown.whole) == ("pickle", True)
    assert shown.text.splitlines()[:2] == ["EMPTY_DICT", "MARK"]
    assert "SHORT_BINUNICODE 'title'" in shown.text
    assert "BININT1 5" in shown.text


@pytest.mark.parametrize("secret", [None, b"s" * 32])
def test_a_large_pickle_is_cut(make_cache: Callable[..., Cache], secret: Any) -> None:
    cache = make_cache(secret=secret)
    cache["row"] = list(range(5000))
    cache["file"] = [f"{number}" * 10 for number in range(5000)]
    cache["long"] = ["x" * 20_000]
    for key in ("row", "file"):
        shown = preview(cache, key)
        assert shown.kind == "pickle"
        assert not shown.whole
        assert len(shown.text.splitlines()) == previews.MOST_STEPS
    assert preview(cache, "long") == Preview("pickle", "EMPTY_LIST", False)


class Bomb:
    """What would be executed by loading it."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def test_nothing_is_unpickled(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache["row"] = Bomb()
    cache["file"] = [Bomb(), "x" * 100_000]
    cache["garbage"] = 1
    run = stores_of(cache)[0].database.run
    run("UPDATE cache SET mode = 4, value = ? WHERE key = 'garbage'", (b"L" + b"9" * 3000,))
    assert "'mkdir'" in preview(cache, "row").text
    assert preview(cache, "file").kind == "pickle"
    assert preview(cache, "garbage") == Preview("pickle", "", False)
    cache[(Bomb,)] = 1
    run("UPDATE cache SET key = ? WHERE raw = 0", (pickle.dumps(Bomb()),))
    (foreign,) = [
        entry for entry in inspection.sample(stores_of(cache), [4]).entries if not entry.raw
    ]
    inspection.access(stores_of(cache)[0], foreign)
    assert not (tmp_path / "exploded").exists()


def test_names_of_files_do_not_lead_out(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    cache["key"] = b"x" * 100_000
    stores_of(cache)[0].database.run("UPDATE cache SET filename = '../secret'")
    assert preview(cache, "key") == Preview("lost", "", True)


def test_a_file_that_is_gone(cache: Cache) -> None:
    cache["key"] = b"x" * 100_000
    entry = entry_of(cache, "key")
    os.remove(inspection.path_of(stores_of(cache)[0], entry))
    assert preview(cache, "key").kind == "lost"


def test_json_is_unpacked_within_bounds(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache(disk=JSONDisk)
    cache["key"] = {"a": 1}
    cache["bomb"] = "x" * 10_000_000
    assert preview(cache, "key") == Preview("json", '{"a": 1}', True)
    shown = preview(cache, "bomb")
    assert (shown.kind, len(shown.text), shown.whole) == ("json", previews.SHOWN, False)


def test_serialized_values(make_cache: Callable[..., Cache]) -> None:
    cache = make_cache("json", serializer="json")
    cache["key"] = {"a": 1}
    cache["long"] = ["x" * 100_000]
    assert preview(cache, "key") == Preview("json", '{"a":1}', True)
    assert preview(cache, "long") == Preview("json", '["' + "x" * 998, False)
    pytest.importorskip("msgspec")
    cache = make_cache("msgpack", serializer="msgpack")
    cache["key"] = {"a": 1}
    assert preview(cache, "key") == Preview("msgpack", "81 a1 61 01", True)


def test_an_unknown_mode(cache: Cache) -> None:
    cache["key"] = "value"
    stores_of(cache)[0].database.run("UPDATE cache SET mode = 77")
    assert preview(cache, "key") == Preview("unknown", "'value'", False)


def test_access_by_policy(make_cache: Callable[..., Cache], clock: FakeClock) -> None:
    expected = {
        "least-recently-stored": Access(),
        "least-recently-used": Access(last=clock.now),
        "least-frequently-used": Access(hits=3),
        "s3-fifo": Access(hits=3, more=True),
    }
    for policy, access in expected.items():
        cache = make_cache(policy, eviction_policy=policy)
        cache["key"] = 1
        for _ in range(3):
            cache.get("key")
        store = stores_of(cache)[0]
        clock.advance(10)
        found = inspection.access(store, entry_of(cache, "key"))
        assert (found.hits, found.more) == (access.hits, access.more)
        assert found.last == pytest.approx(access.last, abs=1)
        clock.advance(-10)


def test_pinned_entries(cache: Cache) -> None:
    lock = Lock(cache, "lock")
    cache["key"] = 1
    with lock:
        assert entry_of(cache, "lock").pinned
        assert preview(cache, "lock").kind != "unknown"
    assert not entry_of(cache, "key").pinned


GARBAGE = ["'text'", "x'ff00'", "NULL", "1.5", "-7", "9e999", "1 << 62"]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_rows_that_are_none_of_ours(
    fanout: FanoutCache, clock: FakeClock, garbage: str
) -> None:
    store = stores_of(fanout)[0]
    columns = ("raw", "expire", "tag", "mode", "size", "updates", "filename", "value")
    for column in columns:
        names = (f"{column}-{number}" for number in range(99))
        name = next(name for name in names if fanout._engine.place(name)[0] is store)
        fanout[name] = "value"
        sql = f"UPDATE cache SET {column} = {garbage} WHERE key = ?"
        with contextlib.suppress(Exception):  # what no row can have
            store.database.run(sql, (name,))
    looked_at = sample(fanout)
    assert len(looked_at.entries) == len(columns)
    stores = stores_of(fanout)
    for entry in looked_at.entries:
        inspection.preview(store, entry)
        inspection.access(store, entry)
        inspection.path_of(store, entry)
        hash(entry.tag)
    inspection.largest(stores, looked_at, 5)
    inspection.oldest(inspection.front(stores), 5)
    inspection.soonest(looked_at, inspection.front(stores), clock.now, 5)
    inspection.expired(looked_at, clock.now)
    inspection.tags(looked_at, 5)
    store.database.run("UPDATE cache SET key = CAST(x'61ff' AS TEXT) WHERE key LIKE 'tag-%'")
    inspection.keys(stores, "", 50)
    inspection.keys(stores, "", 50, before="k")


def test_a_look_is_no_access(make_fanout: MakeFanout) -> None:
    cache = make_fanout(statistics=1, eviction_policy="least-frequently-used")
    cache["key"] = [1]
    store = stores_of(cache)[entry_of(cache, "key").shard]
    preview(cache, "key")
    sample(cache)
    assert inspection.access(store, entry_of(cache, "key")) == Access(hits=0)
    assert cache.stats() == (0, 0)


# Keys


def names(entries: list[Entry]) -> list[Any]:
    return [entry.key for entry in entries]


def test_keys_by_prefix_in_pages(fanout: FanoutCache) -> None:
    fanout.set_many({f"a:{number:03d}": number for number in range(250)})
    fanout.set_many({"b:1": 1, "": 2, 5: 3, ("a:", 1): 4, b"a:": 5})
    stores = stores_of(fanout)
    got: list[str] = []
    while page := inspection.keys(stores, "a:", 40, after=got[-1] if got else ""):
        got += names(page)
    assert got == [f"a:{number:03d}" for number in range(250)]
    back: list[str] = []
    while page := inspection.keys(stores, "a:", 40, before=back[0] if back else "b"):
        back = names(page) + back
    assert back == got
    assert names(inspection.keys(stores, "a:", 9, before="a:002")) == ["a:000", "a:001"]
    assert names(inspection.keys(stores, "", 2)) == ["", "a:000"]
    assert names(inspection.keys(stores, "b", 9)) == ["b:1"]
    assert inspection.keys(stores, "c", 9) == []


def test_hostile_keys_have_their_page(fanout: FanoutCache) -> None:
    hostile = ["a", "a\0", "a\0b", "a'b", "a%", "a_", "aä", "a\U0010ffff", "a\U0010ffff!"]
    fanout.set_many(dict.fromkeys(hostile, 1))
    got: list[str] = []
    while page := inspection.keys(stores_of(fanout), "a", 2, after=got[-1] if got else ""):
        got += names(page)
    assert got == sorted(hostile)
    back: list[str] = []
    while page := inspection.keys(stores_of(fanout), "a", 2, before=back[0] if back else "b"):
        back = names(page) + back
    assert back == got


def test_a_page_of_keys_is_an_index_look(fanout: FanoutCache) -> None:
    store = stores_of(fanout)[0]
    plan = store.database.run(f"EXPLAIN QUERY PLAN {schema.DETAILS_BY_KEY}", ("a", "b", 10))
    assert len(plan) == 1
    assert "USING INDEX cache_key (key>? AND key<?)" in plan[0][-1]
    back = store.database.run(
        f"EXPLAIN QUERY PLAN {schema.DETAILS_BACK_BY_KEY}", ("a", "b", 10)
    )
    assert back[0][-1] == plan[0][-1]
    assert len(back) == 1


# Samples


def test_a_small_cache_is_looked_at_whole(fanout: FanoutCache, clock: FakeClock) -> None:
    for number in range(300):
        fanout.set(number, b"x" * number, expire=1000 - number, tag=number % 3)
    fanout.set("untagged", "x" * 100_000)
    looked_at = sample(fanout)
    assert looked_at.whole
    assert looked_at.total == 301
    stores = stores_of(fanout)
    ranking = inspection.largest(stores, looked_at, 3)
    assert names(ranking.entries) == ["untagged", 299, 298]
    assert ranking.exact
    assert names(
        inspection.soonest(looked_at, inspection.front(stores), clock.now, 2).entries
    ) == [299, 298]
    assert sorted(inspection.tags(looked_at, 9)) == [
        (0, 100, 14850),
        (1, 100, 14950),
        (2, 100, 15050),
    ]
    assert len(inspection.tags(looked_at, 2)) == 2
    clock.advance(800)
    assert inspection.expired(looked_at, clock.now) == 100
    assert names(
        inspection.soonest(looked_at, inspection.front(stores), clock.now, 1).entries
    ) == [199]


def test_tags_of_different_types_are_apart(fanout: FanoutCache) -> None:
    for key, tag in enumerate(["1", 1, b"1"]):
        fanout.set(key, "value", tag=tag)
    assert {tag.tag for tag in inspection.tags(sample(fanout), 9)} == {"1", 1, b"1"}


def test_the_oldest_are_those_stored_first(fanout: FanoutCache, clock: FakeClock) -> None:
    for number in range(100):
        fanout.set(number, 1)
        clock.advance(1)
    assert names(inspection.oldest(inspection.front(stores_of(fanout)), 5).entries) == [
        0,
        1,
        2,
        3,
        4,
    ]


@pytest.fixture
def large(make_fanout: MakeFanout, monkeypatch: pytest.MonkeyPatch) -> FanoutCache:
    """A cache that is too large to be looked at whole."""
    monkeypatch.setattr(inspection, "FEW", 200)
    monkeypatch.setattr(inspection, "SAMPLE", 400)
    cache = make_fanout()
    cache.set_many(dict.fromkeys(range(3000), "x" * 100), expire=60, tag="common")
    cache.set_many({-number: "x" * 100 for number in range(1, 1001)}, tag="rare")
    return cache


def test_where_all_live_equally_long_the_next_to_expire_are_seen(
    make_fanout: MakeFanout, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "FEW", 100)
    monkeypatch.setattr(inspection, "SAMPLE", 10)
    cache = make_fanout()
    for number in range(500):
        clock.advance(1)
        cache.set(number, "x", expire=3600)
    ranking = inspection.soonest(
        sample(cache), inspection.front(stores_of(cache)), clock.now, 10
    )
    assert names(ranking.entries) == list(range(10))
    assert not ranking.exact


def test_of_a_large_cache_some_stand_for_all(large: FanoutCache, clock: FakeClock) -> None:
    looked_at = sample(large)
    assert not looked_at.whole
    assert looked_at.total == 4000
    assert 200 < len(looked_at.entries) <= 400 + 4 * inspection.RUN
    common, rare = inspection.tags(looked_at, 9)
    assert (common.tag, rare.tag) == ("common", "rare")
    assert common.entries == pytest.approx(3000, rel=0.25)
    assert common.bytes == pytest.approx(300_000, rel=0.25)
    clock.advance(61)
    assert inspection.expired(looked_at, clock.now) == pytest.approx(3000, rel=0.25)
    assert not inspection.largest(stores_of(large), looked_at, 3).exact
    front = inspection.front(stores_of(large))
    assert not inspection.soonest(looked_at, front, clock.now, 3).exact


def test_large_values_are_found_by_their_index(large: FanoutCache) -> None:
    for number in range(10):
        large.set(f"file {number}", b"x" * (80_000 + number))
    ranking = inspection.largest(stores_of(large), sample(large), 3)
    assert names(ranking.entries) == ["file 9", "file 8", "file 7"]
    assert ranking.exact
    for number in range(300):
        large.set(f"more {number}", b"x" * 80_000)
    ranking = inspection.largest(stores_of(large), sample(large), 3)
    assert not ranking.exact
    assert all(entry.size >= 80_000 for entry in ranking.entries)


def test_a_count_of_a_tag_is_bounded(large: FanoutCache) -> None:
    large.create_tag_index()
    assert inspection.tagged(stores_of(large), "rare", 5000) == 1000
    assert inspection.tagged(stores_of(large), "rare", 300) == 300
    assert inspection.tagged(stores_of(large), "none", 300) == 0


def test_several_tags_count_with_each(fanout: FanoutCache) -> None:
    fanout.set_many(dict.fromkeys("abcde", "value"), tag=("news", 7))
    fanout.set_many(dict.fromkeys("fg", "value"), tag="news")
    stores = stores_of(fanout)
    found = {tag.tag: (tag.entries, tag.bytes) for tag in inspection.tags(sample(fanout), 9)}
    assert found == {"news": (7, 35), 7: (5, 25)}
    assert inspection.tagged(stores, "news", 100) == 7
    assert inspection.tagged(stores, "news", 4) == 4
    assert inspection.tagged(stores, 7.0, 100) == 5
    fanout.set_many(dict.fromkeys("abc", "value"))
    assert inspection.tagged(stores, 7, 100) == 2


def test_an_empty_cache(fanout: FanoutCache, clock: FakeClock) -> None:
    looked_at = sample(fanout)
    stores = stores_of(fanout)
    assert looked_at.whole
    assert looked_at.weight == 1
    assert inspection.largest(stores, looked_at, 3).entries == []
    assert inspection.oldest(inspection.front(stores), 3).entries == []
    assert inspection.soonest(looked_at, inspection.front(stores), clock.now, 3).entries == []
    assert inspection.tags(looked_at, 3) == []
    assert inspection.keys(stores, "", 3) == []
