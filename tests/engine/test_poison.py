"""What an attacker who can write to the directory leaves there, apart from pickles.

Rows that no cache of ours would write, links that lead elsewhere, settings and segments of
nonsense: nothing is executed, nothing outside the directory is written, and a call that meets
it answers as if nothing were there.
"""

from __future__ import annotations

import logging
import os
import pickle
import random
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, Deque, FanoutCache, Index, JSONDisk, Lock, files
from django_diskcache.engine.disk import MODE_PICKLE, MODE_SIGNED, PINNED
from django_diskcache.engine.segment import HEADER_BYTES
from django_diskcache.engine.serializers import MODE_JSON, MODE_MSGPACK
from django_diskcache.engine.sqlite import sqlite3
from django_diskcache.engine.trust import text
from tests.conftest import FakeClock
from tests.engine.processes import run_all

MakeCache = Callable[..., Cache]
MakeFanout = Callable[..., FanoutCache]

BROKEN = b"\xff\xfe\x80"  # no UTF-8
BROKEN_TEXT = f"CAST(x'{BROKEN.hex()}' AS TEXT)"
NESTED = b"[" * 100_000

# What an UPDATE of a row does to it.
ROWS: dict[str, str] = {
    "broken text": f"mode = 1, value = {BROKEN_TEXT}",
    "no value": "mode = 1, value = NULL",
    "mode 0": "mode = 0",
    "mode of a file without one": "mode = 2",
    "text of a file without one": "mode = 3",
    "negative mode": "mode = -7",
    "unknown mode": "mode = 99",
    "mode like a flag": "mode = 65540",
    "huge mode": "mode = 9223372036854775807",
    "least mode": "mode = -9223372036854775808",
    "broken mode": f"mode = {BROKEN_TEXT}",
    "text as mode": "mode = 'pickle'",
    "blob as mode": "mode = x'04'",
    "fraction as mode": "mode = 4.5",
    "pinned nonsense": f"mode = {PINNED}",
    "pickle that is a number": f"mode = {MODE_PICKLE}, value = 7",
    "pickle that is a text": f"mode = {MODE_PICKLE}, value = 'text'",
    "pickle that is NULL": f"mode = {MODE_PICKLE}, value = NULL",
    "pickle that is none": f"mode = {MODE_PICKLE}, value = x'80049500'",
    "empty pickle": f"mode = {MODE_PICKLE}, value = x''",
    "signed number": f"mode = {MODE_SIGNED}, value = 7",
    "signed text": f"mode = {MODE_SIGNED}, value = 'text'",
    "signed NULL": f"mode = {MODE_SIGNED}, value = NULL",
    "signed nothing": f"mode = {MODE_SIGNED}, value = x'00'",
    "JSON that is none": f"mode = {MODE_JSON}, value = x'7b'",
    "JSON that is no UTF-8": f"mode = {MODE_JSON}, value = x'22ff22'",
    "JSON that is a number": f"mode = {MODE_JSON}, value = 7",
    "JSON too deep": f"mode = {MODE_JSON}, value = x'{NESTED.hex()}'",
    "MessagePack that is none": f"mode = {MODE_MSGPACK}, value = x'c1'",
    "MessagePack of 4 GB": f"mode = {MODE_MSGPACK}, value = x'ddffffffff'",
    "MessagePack too deep": f"mode = {MODE_MSGPACK}, value = x'{'91' * 100_000}'",
    "text as expiry": "expire = 'never'",
    "broken expiry": f"expire = {BROKEN_TEXT}",
    "blob as expiry": "expire = x'ff'",
    "number as file": "filename = 7",
    "blob as file": "filename = x'ff'",
    "broken file": f"filename = {BROKEN_TEXT}",
    "empty file name": "filename = ''",
    "directory as file": "filename = '.'",
    "zero byte in a file": "filename = 'a' || char(0)",
    "long file name": "filename = replace(hex(zeroblob(3000)), '0', 'x')",
    "JSON in no file": f"mode = {MODE_JSON}, filename = '3f/none.val'",
}
# Of these a read sees nothing; they must not trouble what looks at other columns.
UNSEEN: dict[str, str] = {
    "broken tag": f"tag = {BROKEN_TEXT}",
    "huge size": "size = 9223372036854775807, filename = '3f/none.val'",
    "negative size": "size = -9223372036854775807, filename = '3f/none.val'",
    "text as size": "size = 'large', filename = '3f/none.val'",
    "broken size": f"size = {BROKEN_TEXT}, filename = '3f/none.val'",
    "text as time": "store_time = 'now'",
    "broken time": f"store_time = {BROKEN_TEXT}",
    "text as updates": "updates = 'often'",
    "broken signature": f"signature = {BROKEN_TEXT}",
}


def run(cache: Any, *statements: str) -> None:
    """What anybody can do who can write to the files; this process then looks again."""
    for store in cache.engine.stores:
        with closing(sqlite3.connect(store.path)) as connection, connection:
            for sql in statements:
                connection.execute(sql)
    cache.engine.near.clear()


def rows(cache: Any) -> int:
    return sum(s.database.run("SELECT COUNT(*) FROM cache")[0][0] for s in cache.engine.stores)


@pytest.fixture(params=[None, b"secret"], ids=["unsigned", "signed"])
def cache(request: pytest.FixtureRequest, make_cache: MakeCache) -> Cache:
    return make_cache(secret=request.param, disk_min_file_size=500)


Call = Callable[[Any], Any]
READS: dict[str, tuple[Call, Any]] = {
    "get": (lambda c: c.get("key", "miss"), "miss"),
    "get of all": (lambda c: c.get("key", 0, expire_time=True, tag=True), (0, None, None)),
    "get of a file": (lambda c: c.get("key", "miss", read=True), "miss"),
    "get_many": (lambda c: c.get_many(["key", "none"]), {}),
    "pop": (lambda c: c.pop("key", "miss"), "miss"),
    "incr": (lambda c: c.incr("key", 5), 5),
    "add": (lambda c: (c.add("key", "new"), c.get("key")), (True, "new")),
    "set": (lambda c: (c.set("key", "new"), c.get("key")), (True, "new")),
    "get and add": (lambda c: (c.get("key"), c.add("key", [1]), c["key"]), (None, True, [1])),
    "Lock": (lambda c: Lock(c, "key").acquire(), None),
    "items": (lambda c: list(Index.fromcache(c).items()), []),
    "peekitem": (lambda c: Index.fromcache(c).setdefault("key", 7), 7),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_garbage_is_a_miss(row: str, cache: Cache) -> None:
    for name, (read, expected) in READS.items():
        cache.clear()
        cache["key"] = ["fine"]
        run(cache, f"UPDATE cache SET {ROWS[row]}")
        assert read(cache) == expected, name


def test_a_broken_tag(cache: Cache) -> None:
    reads: list[Call] = [
        lambda c: c.get("key", tag=True),
        lambda c: c.pop("key", tag=True),
        lambda c: c.peek(),
    ]
    for read in reads:
        cache["key"] = ["fine"]
        run(cache, f"UPDATE cache SET tag = {BROKEN_TEXT}")
        assert read(cache) == (None, None)
    assert rows(cache) <= 1


@pytest.mark.parametrize("row", ROWS)
def test_it_is_logged_and_removed(
    row: str, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    cache["key"] = ["fine"]
    run(cache, f"UPDATE cache SET {ROWS[row]}")
    with caplog.at_level(logging.WARNING):
        assert cache.get("key") is None
    assert rows(cache) == 0
    if "file" not in ROWS[row]:  # a file that is not there is no garbage
        assert len(caplog.records) == 1
        assert "counts as missing and is removed" in caplog.text


@pytest.mark.parametrize("row", [*ROWS, *UNSEEN])
def test_nothing_else_raises(row: str, cache: Cache, clock: FakeClock) -> None:
    calls: dict[str, Call] = {
        "in": lambda c: "key" in c,
        "touch": lambda c: c.touch("key", 10),
        "delete": lambda c: c.delete("key"),
        "delete_many": lambda c: c.delete_many(["key", "other"]),
        "set_many": lambda c: c.set_many({"key": [1], "other": "x" * 1000}),
        "set of a file": lambda c: c.set("key", b"x" * 1000, read=True),
        "keys": list,
        "keys, backwards": lambda c: list(reversed(c)),
        "iterkeys": lambda c: list(c.iterkeys()),
        "iterkeys, backwards": lambda c: list(c.iterkeys(reverse=True)),
        "len": len,
        "volume": lambda c: c.volume(),
        "expire": lambda c: c.expire(),
        "evict": lambda c: c.evict("tag"),
        "check": lambda c: c.check(fix=True),
        "stats": lambda c: c.stats(),
        "peek": lambda c: c.peek(),
        "push": lambda c: c.push("value"),
        "clear": lambda c: c.clear(),
    }

    def fill() -> None:
        cache.clear()
        cache["key"], cache["other"] = ["fine"], "x" * 1000
        run(cache, f"UPDATE cache SET {({**ROWS, **UNSEEN})[row]}")

    for call in calls.values():
        fill()
        call(cache)
        clock.advance(1)
    for policy in ("least-recently-used", "least-frequently-used", "least-recently-stored"):
        cache.reset("eviction_policy", policy)
        cache.reset("size_limit", 2**30)
        fill()
        cache.cull()
        cache.reset("size_limit", 0)
        cache.set("third", "x" * 1000)
        cache.cull()
        assert rows(cache) == (2 if row == "pinned nonsense" else 0)
    assert cache.set("key", ["new"])


KEYS = [
    f"key = {BROKEN_TEXT}",
    "raw = 2",
    "raw = -1",
    "raw = 'raw'",
    f"raw = {BROKEN_TEXT}",
    "raw = x'00'",
    "raw = 0",  # a text as the pickle of a key
    "key = 7, raw = 0",
    "key = 0.5, raw = 0",
    "key = x'80', raw = 0",
    f"key = {BROKEN_TEXT}, raw = 0",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_that_are_none(key: str, cache: Cache) -> None:
    def plant() -> None:
        cache.clear()
        cache["a"], cache["key"] = 1, ["fine"]
        run(cache, f"UPDATE cache SET {key} WHERE key = 'key'")
        cache["z"] = 2

    calls: list[tuple[Call, Any]] = [
        (list, ["a", "z"]),
        (lambda c: list(reversed(c)), ["z", "a"]),
        (lambda c: list(c.iterkeys()), ["a", "z"]),
        (lambda c: list(c.iterkeys(reverse=True)), ["z", "a"]),
        (lambda c: (c.peekitem(), c.popped(), c.peekitem()), None),
        (lambda c: dict(Index.fromcache(c)), {"a": 1, "z": 2}),
        (lambda c: list(Deque.fromcache(c)), [1, 2]),
    ]
    for call, expected in calls:
        plant()
        if expected is None:
            assert cache.peekitem() == ("z", 2)
            del cache["z"]
            assert cache.peekitem() == ("a", 1)
        else:
            assert call(cache) == expected
            assert rows(cache) == 2 or call is calls[-1][0]
    plant()
    cache.cull()
    assert cache.check() == []
    assert cache.clear() == 3


@pytest.mark.parametrize("prefix", [None, "q"])
@pytest.mark.parametrize("side", ["front", "back"])
def test_a_queue_with_a_broken_key(side: str, prefix: str | None, cache: Cache) -> None:
    cache.push("value", prefix=prefix)
    broken = f"CAST(x'{b'q-5'.hex()}ff' AS TEXT)"
    run(
        cache,
        "INSERT INTO cache (key, raw, store_time, mode, value) "
        f"VALUES ({broken}, 1, 0, 1, 'evil')",
    )
    assert cache.push("other", prefix=prefix, side=side) is not None
    values = [cache.pull(prefix=prefix)[1] for _ in range(2)]
    assert sorted(values) == ["other", "value"]
    assert cache.pull(prefix=prefix) == (None, None)


def test_a_text_that_is_none() -> None:
    assert text("ä".encode()) == "ä"
    assert text(BROKEN) == BROKEN
    assert type(text(BROKEN)) is not bytes


# Settings


SETTINGS = [
    ("size_limit", "large"),
    ("size_limit", -1),
    ("eviction_policy", b"\x80"),
    ("cull_limit", 0.5),
    ("sqlite_cache_size", "1; DROP TABLE cache"),
    ("sqlite_journal_mode", "off; DROP TABLE cache"),
    ("sqlite_mmap_size", 2**63 - 1),
    ("serializer", "marshal"),
    ("disk_min_file_size", None),
    ("disk_pickle_protocol", 99),
    ("disk_compress_level", "no level"),
    ("disk_fetch", 7),
    ("disk_serializer", 7),
    ("statistics", "perhaps"),
    ("unknown", 7),
    ("identity", 7),
]


@pytest.mark.parametrize("disk", ["Disk", "JSONDisk"])
def test_settings_of_nonsense(disk: str, make_cache: MakeCache, tmp_path: Path) -> None:
    kwargs: dict[str, Any] = {"disk": JSONDisk} if disk == "JSONDisk" else {}
    path = tmp_path / "cache"
    cache = Cache(str(path), secret=b"secret", **kwargs)
    cache["key"] = ["value"]
    cache.close()
    with closing(sqlite3.connect(path / files.DATABASE)) as connection, connection:
        sql = "INSERT OR REPLACE INTO settings VALUES (?, ?)"
        connection.executemany(sql, SETTINGS)
        connection.execute(f"INSERT INTO settings VALUES ({BROKEN_TEXT}, {BROKEN_TEXT})")
        connection.execute(f"INSERT INTO settings VALUES (x'ff', {BROKEN_TEXT})")
        update = f"UPDATE settings SET value = {BROKEN_TEXT} WHERE key = 'tag_index'"
        connection.execute(update)
    del cache

    again = make_cache(secret=b"secret", **kwargs)
    assert again.get("key") is None or disk == "JSONDisk"  # the identity is another
    again["key"] = ["value", "x" * 100_000]
    again.engine.near.clear()
    assert again["key"] == ["value", "x" * 100_000]
    assert again.reset("size_limit") == 2**30


def test_a_trigger_computes_at_most(make_cache: MakeCache, tmp_path: Path) -> None:
    cache = make_cache()
    cache["key"] = "value"
    marker = tmp_path / "executed"
    run(
        cache,
        "CREATE TRIGGER evil AFTER UPDATE ON cache BEGIN "
        "SELECT load_extension('evil'), writefile('x', 'y'); END",
    )
    cache.close()
    for store in cache.engine.stores:
        assert store.database.run("PRAGMA trusted_schema") == [(0,)]
    assert not marker.exists()


# The segment


def test_a_segment_of_nonsense(make_fanout: MakeFanout) -> None:
    for seed in range(10):
        chaos = random.Random(seed)
        cache = make_fanout(
            f"cache {seed}", max_entries=50, size_limit=10**6, statistics=1, secret=b"secret"
        )
        path = Path(cache.directory, "segment")
        size = path.stat().st_size - HEADER_BYTES
        with path.open("r+b") as file:
            file.seek(HEADER_BYTES)
            if seed % 2:
                file.write(b"\xff" * 7 + b"\x7f" if seed == 1 else b"\xff" * size)
                file.seek(HEADER_BYTES)
                file.write((2**63 - 1).to_bytes(8, "little") * (size // 8))
            else:
                file.write(chaos.randbytes(size))
        for number in range(200):
            assert cache.set(str(number), [number])
            assert cache.get(str(number)) == [number]
            cache.get("missing")
        cache.stats(reset=True)
        cache.cull()
        cache.clear()
        assert cache.set("key", 1)


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"ddcacheS" + b"\xff" * 5000])
def test_a_segment_that_is_none(content: bytes, make_cache: MakeCache) -> None:
    path = Path(make_cache().directory, "segment")
    make_cache().close()
    path.with_name("planted").write_bytes(content)
    path.with_name("planted").replace(path)
    cache = make_cache()
    cache.engine.refresh()
    assert cache.set("key", 1)
    assert cache["key"] == 1


# Links and the like


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody else's directory, with a file in it."""
    path = tmp_path / "victim"
    path.mkdir()
    (path / "file").write_text("of somebody else")
    return path


def assert_untouched(victim: Path) -> None:
    assert [each.name for each in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "of somebody else"


@pytest.mark.parametrize("planted", ["link", "dangling link", "file"])
def test_a_directory_of_value_files(
    planted: str, make_cache: MakeCache, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(disk_min_file_size=10)
    cache["key"] = "warm"
    path = Path(cache.directory, "3f")
    monkeypatch.setattr(files, "new_name", lambda *_: "3f/planted.val")
    if planted == "file":
        path.write_text("in the way")
    else:
        path.symlink_to(victim if planted == "link" else victim / "nowhere")

    assert cache.set("key", "x" * 100)
    assert cache["key"] == "x" * 100
    assert_untouched(victim)
    assert path.is_dir()
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_value_file_that_is_there(
    make_cache: MakeCache, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(disk_min_file_size=10)
    path = Path(cache.directory, "3f")
    path.mkdir()
    (path / "planted.val").symlink_to(victim / "file")
    monkeypatch.setattr(files, "new_name", lambda *_: "3f/planted.val")
    # A name of 120 random bits, so nobody knows it.
    assert cache.set("key", "x" * 100) is False
    assert_untouched(victim)


NAMES = ["lock", "reserve", "segment", "segment.new", "cache.sqlite3"]
NAMES += [f"cache.sqlite3{end}" for end in ("-wal", "-shm", "-journal")]


@pytest.mark.parametrize("to", ["file", "nowhere"])
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_link(
    name: str, to: str, make_cache: MakeCache, victim: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    (directory / name).symlink_to(victim / to)
    cache = make_cache()
    cache["key"] = ["value"]
    assert cache["key"] == ["value"]
    assert_untouched(victim)
    cache.close()
    assert_untouched(victim)
    # Nobody opens a reserve that is there: it takes space, and is removed to free it.
    assert name == "reserve" or not (directory / name).is_symlink()


def test_a_link_to_the_segment_of_another_cache(make_cache: MakeCache, tmp_path: Path) -> None:
    other = make_cache("other")
    (tmp_path / "cache").mkdir()
    path = tmp_path / "cache" / "segment"
    path.symlink_to(Path(other.directory, "segment"))
    cache = make_cache()
    cache["key"] = 1
    assert not path.is_symlink()
    assert cache.engine.segment.inode != other.engine.segment.inode


def test_a_pipe_as_segment(make_cache: MakeCache, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    os.mkfifo(tmp_path / "cache" / "segment")
    cache = make_cache()
    cache["key"] = 1
    assert cache["key"] == 1


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_link_planted_in_a_cache_that_was_used(
    name: str, make_fanout: MakeFanout, victim: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "fanout"
    cache = FanoutCache(str(directory), shards=4)
    cache["key"] = ["value"]
    cache.close()
    del cache
    path = directory / name if "segment" in name else directory / "001" / name
    path.unlink(missing_ok=True)
    path.symlink_to(victim / "file")
    again = make_fanout("fanout")
    for number in range(20):
        again[number] = [number]
    assert [again[number] for number in range(20)] == [[number] for number in range(20)]
    assert_untouched(victim)


def test_a_shard_or_collection_that_leads_elsewhere(
    make_fanout: MakeFanout, victim: Path, tmp_path: Path
) -> None:
    cache = make_fanout("one")
    for kind in ("cache", "deque", "index"):
        Path(cache.directory, kind).symlink_to(victim)
        with pytest.raises(OSError, match="symbolic link"):
            getattr(cache, kind)("name")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "002").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        make_fanout("other")
    assert_untouched(victim)


def test_a_directory_that_is_a_link_is_the_sites_own_affair(
    make_fanout: MakeFanout, make_cache: MakeCache, tmp_path: Path
) -> None:
    for name, make in (("one", make_fanout), ("two", make_cache)):
        (tmp_path / f"real {name}").mkdir()
        (tmp_path / name).symlink_to(tmp_path / f"real {name}")
        cache: Any = make(name, disk_min_file_size=10)
        cache["key"] = "x" * 100
        assert cache["key"] == "x" * 100


class Exploit:
    """Loading its pickle makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (self.path, 0o700, True)


def test_a_planted_collection(make_fanout: MakeFanout, tmp_path: Path) -> None:
    """A whole one, made by the attacker with our own code and his own secret or none."""
    marker = tmp_path / "executed"
    evil = Cache(str(tmp_path / "evil"), eviction_policy="none")
    Deque.fromcache(evil, [Exploit(marker)])
    evil["key"] = Exploit(marker)
    evil[("pickled", "key")] = 1
    evil.close()
    cache = make_fanout(secret=b"secret")
    for kind in ("cache", "deque", "index"):
        shutil.copytree(tmp_path / "evil", Path(cache.directory, kind, "name"))
    deque, index, part = cache.deque("name"), cache.index("name"), cache.cache("name")
    assert part.get("key") is None
    assert list(deque) == []
    assert "key" not in dict(index.items())
    deque.append([1])
    index["key"] = [1]
    assert deque[-1] == index["key"] == [1]
    assert not marker.exists()


# Modes


def make_everything(directory: str, mask: int) -> dict[str, int]:
    """The modes of all that a cache makes under this umask, by relative path."""
    os.umask(mask)
    cache = FanoutCache(os.path.join(directory, "above", "cache"), shards=2, secret=b"secret")
    for number in range(50):
        cache.set(number, "x" * 100_000)
        cache.set(str(number), ["x"])
    with cache.transact():
        cache.set("key", ["x"])
    cache.deque("deque").append("x" * 100_000)
    cache.index("index")["key"] = "x" * 100_000
    cache.cache("part")["key"] = "x" * 100_000
    found = {}
    for top, directories, names in os.walk(os.path.join(directory, "above")):
        for name in ("", *directories, *names):
            path = os.path.join(top, name)
            found[os.path.relpath(path, directory)] = os.stat(path).st_mode
    assert cache[7] == "x" * 100_000
    cache.close()
    return found


@pytest.mark.parametrize("mask", [0, 0o777, 0o077, 0o277])
def test_directories_are_0700_and_files_0600_whatever_the_umask(
    mask: int, tmp_path: Path
) -> None:
    (found,) = run_all("spawn", make_everything, [(str(tmp_path), mask)])
    names = {os.path.basename(path) for path in found}
    assert names >= {
        "lock",
        "segment",
        "cache.sqlite3",
        "cache.sqlite3-wal",
        "cache.sqlite3-shm",
    }
    assert any(name.endswith(".val") for name in names)
    wrong = {
        path: oct(mode)
        for path, mode in found.items()
        if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600)
    }
    assert wrong == {}


def test_modes_that_are_there_are_left(make_cache: MakeCache, tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    directory.mkdir()
    directory.chmod(0o755)
    (directory / "lock").touch()
    (directory / "lock").chmod(0o644)
    make_cache()["key"] = pickle.dumps(1)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert stat.S_IMODE((directory / "lock").stat().st_mode) == 0o644


@pytest.mark.parametrize("planted", ["dangling link", "pipe", "directory"])
@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_what_takes_the_place_of_a_database_is_put_aside(
    end: str, planted: str, make_cache: MakeCache
) -> None:
    cache = make_cache()
    cache["key"] = 1
    cache.close()
    path = Path(f"{cache.engine.stores[0].path}{end}")
    path.unlink(missing_ok=True)
    if planted == "dangling link":
        path.symlink_to(path.parent / "nowhere")
    elif planted == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()

    cache.set("key", 2)  # it meets what is there
    cache.set("key", 3)
    assert cache["key"] == 3
    assert path.is_file()
    assert not path.is_symlink()


@pytest.mark.parametrize("size", ["'large'", "x'00'", "1e300", str(2**62), str(-(2**62))])
def test_sizes_of_nonsense_do_not_keep_rows_from_being_removed(
    size: str, make_cache: MakeCache, clock: FakeClock
) -> None:
    cache = make_cache(size_limit=1_500_000)
    (store,) = cache.engine.stores

    def fill(name: str, expire: float | None = None) -> None:
        for number in range(100):
            cache.set((name, number), "x" * 1000, expire)
        store.database.run(f"UPDATE cache SET size = {size}")

    fill("swept", expire=1)
    clock.advance(2)
    fill("expired", expire=1)  # these writes sweep
    clock.advance(2)
    cache.expire()
    assert len(cache) == 0
    fill("evicted")
    for number in range(2000):
        assert cache.set(number, "x" * 1000)
    assert len(cache) < 1500


def test_a_directory_in_place_of_the_lock(make_cache: MakeCache) -> None:
    cache = make_cache()
    lock = Path(cache.directory, "lock")
    lock.unlink()
    lock.mkdir()
    Path(cache.directory, "segment").unlink()
    cache.engine.refresh()  # it takes the lock
    assert lock.is_file()


@pytest.mark.parametrize("opened", [True, False])
def test_a_schema_that_sqlite_quotes_and_python_cannot_decode(
    opened: bool, make_fanout: MakeFanout, clock: FakeClock
) -> None:
    cache = make_fanout(shards=1)
    cache["key"] = 1
    (store,) = cache.engine.stores
    cache.close()
    with closing(sqlite3.connect(store.path)) as raw, raw:
        raw.execute("PRAGMA writable_schema=ON")
        raw.execute(f"UPDATE sqlite_master SET name = {BROKEN_TEXT}, sql = 'nonsense'")
    if not opened:
        cache = make_fanout(shards=1, clock=lambda: clock.now)

    cache.set("key", 2)
    assert cache.set("key", 3)
    assert cache["key"] == 3
