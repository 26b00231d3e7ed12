"""`cacheimport`: what it takes over, what it leaves out and why, and what it never does."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.engine.errors import Fault
from django_diskcache.engine.sqlite import sqlite3
from django_diskcache.moving import takeover
from tests.moving.old import OldCache, Pickled
from tests.server.servers import Server

from .conftest import FakeClock, patience

BACKEND = "django_diskcache.djangocache.DjangoCache"


class Own:
    """A class of the site."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def site(tmp_path: Path, clock: FakeClock) -> Iterator[Path]:
    """A site with a cache of ours; the directory that it is to be in."""
    options = {"shards": 2, "sqlite_synchronous": 0}
    entry = {"BACKEND": BACKEND, "LOCATION": tmp_path / "new", "OPTIONS": options}
    with override_settings(CACHES={"default": entry, "other": {**entry, "KEY_PREFIX": "p"}}):
        yield tmp_path


def cache(alias: str = "default") -> DjangoCache:
    found = caches[alias]
    assert isinstance(found, DjangoCache)
    return found


def told(*arguments: Any, **options: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("cacheimport", *map(str, arguments), stdout=out, **options)
    return out.getvalue()


def taken(*arguments: Any) -> dict[str, Any]:
    """What it counts."""
    found: dict[str, Any] = json.loads(told(*arguments, "--json"))["default"]
    return found


def state(directory: Path) -> dict[str, str]:
    """A digest of each file."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def old(site: Path) -> Path:
    """A directory of a `FanoutCache` with what there can be in it."""
    top = site / "old"
    first, second = OldCache(top / "000"), OldCache(top / "001")
    now = FakeClock()()
    first.put(":1:text", "ä\r\n", tag="t")
    first.put(":1:number", 7, expire=now + 60)
    first.put(":1:dict", {"a": [1, 2]})
    first.put(":1:gone", 1, expire=now - 1)
    second.put(":1:file", b"x" * 70_000)
    second.put(":1:page", "line\r\n" * 1000)
    second.put(":1:rows", [{"id": n} for n in range(100)], large=100)
    second.put(("not", "a text"), None)
    second.put(":1:own", Own())
    second.put(":1:broken", Pickled(b"garbage"))
    second.put(":1:lost", "x" * 2000)
    (top / "001" / f"ab/cd/{second.files:028x}.val").unlink()
    deque = OldCache(top / "deque" / "a" / "b")
    for key, value in ((500, "second"), (501, [3]), (499, "first")):
        deque.put(key, value)
    index = OldCache(top / "index" / "i")
    for name in ("z", (1, 2), "a"):
        index.put(name, [name])
    OldCache(top / "cache" / "c").put("key", "value", tag=3)
    return top


LEFT = {"expired": 1, "not trusted": 1, "without their file": 1, "damaged": 1}


def test_all_of_a_directory_is_taken(old: Path) -> None:
    before = state(old)
    found = taken(old)
    assert found["taken"] == 7 + 3 + 3 + 1
    assert found["left"] == LEFT
    assert found["needs"] == {f"{__name__}.Own": 1}
    assert found["collections"] == ["cache 'c'", "deque 'a/b'", "index 'i'"]
    assert found["problems"] == []
    assert found["refusals"] == {}
    assert found["bytes"] > 76_000
    assert state(old) == before

    ours = cache()
    assert ours.get("text", tag=True) == ("ä\r\n", "t")
    assert ours.get("number", expire_time=True) == (7, FakeClock()() + 60)
    assert ours.get_many(["dict", "page"]) == {"dict": {"a": [1, 2]}, "page": "line\r\n" * 1000}
    with ours.read("file") as file:
        assert file.read() == b"x" * 70_000
    assert ours.get("rows") == [{"id": n} for n in range(100)]
    assert ours.get("gone") is ours.get("own") is ours.get("lost") is None
    assert ours._cache.get(("not", "a text"), 1) is None
    assert list(ours.deque("a/b")) == ["first", "second", [3]]
    assert list(ours.index("i").items()) == [("z", ["z"]), ((1, 2), [(1, 2)]), ("a", ["a"])]
    assert ours.cache("c").get("key", tag=True) == ("value", 3)
    assert ours.evict("t") == 1


def test_a_second_run_goes_on(old: Path) -> None:
    taken(old)
    cache().set("text", "newer")
    cache().delete("dict")
    found = taken(old)
    assert found["taken"] == 1
    assert found["left"] == {**LEFT, "there already": 7}
    assert [line.partition(" has ")[0] for line in found["problems"]] == [
        "deque 'a/b'",
        "index 'i'",
    ]
    assert cache().get("text") == "newer"
    assert len(cache().deque("a/b")) == 3


def test_with_trust_everything_is_loaded(old: Path) -> None:
    assert taken(old, "--trust")["left"] == {
        k: n for k, n in LEFT.items() if k != "not trusted"
    }
    assert cache().get("own") == Own()


@pytest.fixture
def remote(server: Server) -> Iterator[str]:
    """The alias of a cache on a server."""
    options = {"database_timeout": patience()}
    entry = {"BACKEND": BACKEND, "LOCATION": server.url, "OPTIONS": options}
    with override_settings(CACHES={**django_settings.CACHES, "remote": entry}):
        yield "remote"


def taken_by(alias: str, *arguments: Any) -> dict[str, Any]:
    """What it counts of the cache with this alias."""
    found: dict[str, Any] = json.loads(told(*arguments, "--alias", alias, "--json"))[alias]
    return found


def test_all_of_a_directory_is_taken_to_a_server(old: Path, remote: str) -> None:
    dry = taken_by(remote, old, "--dry-run")
    found = taken_by(remote, old)
    for each in (dry, found):
        assert each["taken"] == 7 + 3 + 3 + 1
        assert each["left"] == LEFT
        assert each["collections"] == ["cache 'c'", "deque 'a/b'", "index 'i'"]
        assert each["problems"] == []
    ours = cache(remote)
    assert ours.get("text", tag=True) == ("ä\r\n", "t")
    assert list(ours.deque("a/b")) == ["first", "second", [3]]
    assert list(ours.index("i").items()) == [("z", ["z"]), ((1, 2), [(1, 2)]), ("a", ["a"])]
    assert ours.cache("c").get("key", tag=True) == ("value", 3)

    del ours.index("i")["z"]
    again = taken_by(remote, old)
    assert again["taken"] == 1
    assert again["left"] == {**LEFT, "there already": 7 + 1 + 2}
    assert again["problems"] == ["deque 'a/b' has values already, so nothing was added to it"]
    assert len(ours.deque("a/b")) == 3
    assert list(ours.index("i")) == [(1, 2), "a", "z"]


def test_a_deque_is_taken_to_a_server_whole_or_not_at_all(site: Path, remote: str) -> None:
    old = OldCache(site / "old")
    for key in range(20):
        old.put(key, [key])
    old.put(20, b"x" * 70_000)  # in a file
    old.put(21, Own())
    found = taken_by(remote, site / "old", "--into", "deque:d")
    assert (found["taken"], found["left"]) == (0, {"not trusted": 1})
    assert found["problems"] == ["deque 'd' was left out whole: 1 in it not trusted"]
    assert len(cache(remote).deque("d")) == 0
    found = taken_by(remote, site / "old", "--into", "deque:d", "--trust")
    assert (found["taken"], found["left"]) == (22, {})
    assert list(cache(remote).deque("d"))[19:] == [[19], b"x" * 70_000, Own()]


def test_a_deque_that_others_fill_meanwhile_stays(
    site: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = OldCache(site / "old")
    old.put(1, "old")
    real = takeover._refilled

    def late(*arguments: Any) -> Any:
        cache(remote).deque("d").append("mine")
        return real(*arguments)

    monkeypatch.setattr(takeover, "_refilled", late)
    found = taken_by(remote, site / "old", "--into", "deque:d")
    assert (found["taken"], found["collections"]) == (0, [])
    assert found["problems"] == ["deque 'd' has values already, so nothing was added to it"]
    assert list(cache(remote).deque("d")) == ["mine"]


def test_what_expires_is_no_item_on_a_server(site: Path, remote: str) -> None:
    old = OldCache(site / "old")
    old.put("a", 1, expire=FakeClock()() + 60)
    old.put("b", b"x" * 70_000)
    found = taken_by(remote, site / "old", "--into", "index:i")
    assert (found["taken"], found["left"]) == (1, {"refused": 1})
    assert dict(cache(remote).index("i")) == {"b": b"x" * 70_000}


def test_a_dry_run_changes_nothing(old: Path, site: Path) -> None:
    before = state(site)
    found = taken(old, "--dry-run")
    assert (found["taken"], found["left"]) == (14, LEFT)
    assert state(site) == before
    cache().set("text", "there")
    before = state(site / "new")
    assert taken(old, "--dry-run")["left"] == {**LEFT, "there already": 1}
    assert not (site / "new" / "deque").exists()


def test_what_is_printed(old: Path) -> None:
    lines = told(old).splitlines()
    assert re.match(r"default: 14 entries taken, 76\.\d kB$", lines[0])
    assert "default: deque 'a/b' taken" in lines
    assert (
        "default: 4 entries left out: 1 expired, 1 not trusted, 1 without their file, 1 damaged"
        in lines
    )
    assert f"default: not trusted, 1 pickle: {__name__}.Own" in lines
    assert lines[-1].startswith("default: --trust loads these pickles as well")
    assert "would be taken" in told(old, "--dry-run")


def test_a_collection_is_taken_whole_or_not_at_all(site: Path) -> None:
    index = OldCache(site / "old" / "index" / "i")
    for key in range(200):
        index.put(key, [key])
    index.put("last", Own())
    for arguments in ([], ["--dry-run"]):
        found = taken(site / "old", *arguments)
        assert (found["taken"], found["collections"]) == (0, [])
        assert found["problems"] == ["index 'i' was left out whole: 1 in it not trusted"]
        assert found["needs"] == {f"{__name__}.Own": 1}
    assert len(cache().index("i")) == 0
    assert taken(site / "old", "--trust")["taken"] == 201


@pytest.mark.parametrize("at", [2, 5])  # among the entries, and in a collection
def test_an_interrupt_leaves_what_was_taken(
    at: int, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = OldCache(old / "index" / "long")
    for key in range(50):
        index.put(key, [key])
    calls = 0

    def interrupted(value: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return pickle.loads(value)

    with monkeypatch.context() as patch:
        patch.setattr("django_diskcache.moving.harmless.loads", interrupted)
        with pytest.raises(CommandError, match="run it again") as caught:
            told(old)
    assert caught.value.returncode == 130
    assert cache().get("dict") == {"a": [1, 2]}
    taken(old, "--trust")
    assert list(cache().index("long").values()) == [[key] for key in range(50)]
    assert list(cache().deque("a/b")) == ["first", "second", [3]]
    assert cache().get("own") == Own()


def test_a_fault_of_the_target_is_told(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache()

    def full(*args: Any, **kwargs: Any) -> Any:
        raise Fault("full", "path", "no space")

    monkeypatch.setattr("django_diskcache.engine.store.Store.add", full)
    with pytest.raises(CommandError, match=r"no space.*run it again"):
        told(old)


def test_what_the_cache_refuses_is_told(site: Path, settings: Any) -> None:
    old = OldCache(site / "old" / "000")
    old.put(":1:large", b"x" * 3_000_000)
    old.put(":1:tagged", 1, tag=None)
    old.put(":1:set", {1})
    settings.CACHES["default"]["OPTIONS"] |= {"size_limit": "2MB", "serializer": "json"}
    found = taken(site / "old")
    assert found["taken"] == 1
    assert found["left"] == {"refused": 2}
    assert sorted(text.partition(":")[0] for text in found["refusals"]) == [
        "TooLarge",
        "TypeError",
    ]


def test_evictions_are_told(site: Path, settings: Any) -> None:
    old = OldCache(site / "old" / "000")
    for number in range(80):
        old.put(f":1:{number}", b"x" * 50_000, large=10**9)
    settings.CACHES["default"]["OPTIONS"] |= {"size_limit": "2MB"}
    assert re.search(r"\d+ entries evicted meanwhile", told(site / "old"))


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_the_site_will_not_find_is_told(dry: list[str], site: Path) -> None:
    old = OldCache(site / "old" / "000")
    for key in (":1:found", ":2:version", "p:1:prefix", "plain", ("a", "tuple")):
        old.put(key, 1)
    old.put(":1:gone", 1, expire=FakeClock()() - 1)
    OldCache(site / "old" / "index" / "i").put("not its own", 1)
    would = "would be " if dry else ""
    (line,) = [
        line for line in told(site / "old", *dry).splitlines() if "will not find" in line
    ]
    assert line.startswith(f"default: 4 entries {would}taken that the site will not find")
    assert "':1:KEY', and a key of theirs is ('a', 'tuple')" in line
    assert "Set KEY_PREFIX, VERSION and KEY_FUNCTION" in line
    document = json.loads(told(site / "old", "--alias", "other", "--dry-run", "--json"))
    # Aliases share the place: what is there already is not taken.
    assert document["other"]["unfound"] == (5 - 1 if dry else 0)


def test_what_the_site_may_find_is_not_told(site: Path, settings: Any) -> None:
    settings.CACHES["default"]["KEY_FUNCTION"] = lambda key, *_: hashlib.md5(key.encode())
    OldCache(site / "old" / "000").put("any", 1)
    OldCache(site / "single").put(("any", 2), 1)
    assert taken(site / "old")["unfound"] == 0
    del settings.CACHES["default"]["KEY_FUNCTION"]
    assert taken(site / "single")["unfound"] == 0


# A single cache


def test_keys_of_a_single_cache_are_made(site: Path) -> None:
    old = OldCache(site / "old")
    old.put("key", 1)
    old.put(7, "seven")
    assert taken(site / "old", "--alias", "default")["taken"] == 2
    assert cache().get_many(["key", 7]) == {"key": 1, 7: "seven"}
    told(site / "old", "--alias", "other")
    assert cache("other").get("key") == 1
    assert ":1:key" in cache("other")._cache
    assert "p:1:key" in cache("other")._cache


@pytest.mark.parametrize("kind", ["cache", "deque", "index"])
def test_a_single_cache_becomes_a_collection(kind: str, site: Path) -> None:
    old = OldCache(site / "old")
    for key in (5, 3):
        old.put(key, [key])
    found = taken(site / "old", "--into", f"{kind}:some/name")
    assert found["collections"] == [f"{kind} 'some/name'"]
    ours = getattr(cache(), kind)("some/name")
    assert list(ours) == {"cache": [5, 3], "deque": [[3], [5]], "index": [5, 3]}[kind]
    assert len(cache()) == 0


def test_json(site: Path) -> None:
    old = OldCache(site / "old" / "000", as_json=True)
    old.put(":1:key", {"a": [1]})
    old.put(":1:large", list(range(1000)), large=10)
    old.put([1, [2]], None)
    old.run("UPDATE Cache SET value = ? WHERE rowid = 3", zlib.compress(b"null" * 10))
    found = taken(site / "old")
    assert (found["taken"], found["left"]) == (2, {"damaged": 1})
    assert cache().get_many(["key", "large"]) == {"key": {"a": [1]}, "large": list(range(1000))}


# Damage


def test_what_is_damaged_is_passed_over(site: Path) -> None:
    old = OldCache(site / "old" / "000")
    for number in range(500):
        old.put(f":1:{number}", "x" * 100)
    path = site / "old" / "000" / "cache.db"
    with closing(sqlite3.connect(path)) as connection:
        ((page,),) = connection.execute("PRAGMA page_size").fetchall()
        ((table,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'Cache'"
        ).fetchall()
    data = bytearray(path.read_bytes())
    # Leaves of the table: pages that hold rows. Three in a row in the middle are overwritten.
    leaves = [
        n for n in range(len(data) // page) if data[n * page] == 13 and n + 1 not in (1, table)
    ]
    for number in leaves[5:8]:
        data[number * page : (number + 1) * page] = b"\xff" * page
    path.write_bytes(data)
    found = taken(site / "old")
    assert 300 < found["taken"] < 500
    assert found["problems"] == [f"{site}/old/000 is damaged at a place"]
    assert cache().get("0") == cache().get("499") == "x" * 100
    # Each row that is not in those leaves is there.
    lost = {n for n in range(500) if cache().get(str(n)) is None}
    assert len(lost) == 500 - found["taken"]
    assert max(lost) - min(lost) == len(lost) - 1


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_a_shard_that_cannot_be_opened_costs_no_other(content: bytes, site: Path) -> None:
    OldCache(site / "old" / "000").put(":1:key", 1)
    (site / "old" / "001").mkdir()
    (site / "old" / "001" / "cache.db").write_bytes(content)
    found = taken(site / "old")
    assert found["taken"] == 1
    (problem,) = found["problems"]
    assert problem.startswith(f"not opened: {site}/old/001/cache.db")


@pytest.mark.parametrize(
    "change",
    [
        "key = CAST(x'ff' AS TEXT)",
        "raw = 7",
        "mode = 9",
        "value = CAST(x'ff' AS TEXT)",
        "mode = 4",
        "mode = 2",
        "mode = 2, filename = '../../../new/x'",
        "mode = 2, filename = 'cache.db'",
    ],
)
def test_rows_of_garbage_are_left_out(change: str, site: Path) -> None:
    old = OldCache(site / "old" / "000")
    old.put(":1:key", "text")
    old.run(f"UPDATE Cache SET {change}")
    found = taken(site / "old")
    assert found["taken"] == 0
    assert sum(found["left"].values()) == 1


def test_files_outside_are_not_read(site: Path) -> None:
    old = OldCache(site / "old" / "000")
    old.put(":1:key", b"x" * 2000)
    secret = site / "secret"
    secret.write_bytes(b"y" * 2000)
    (site / "old" / "000" / f"ab/cd/{1:028x}.val").unlink()
    (site / "old" / "000" / f"ab/cd/{1:028x}.val").symlink_to(secret)
    assert taken(site / "old")["left"] == {"without their file": 1}


def test_a_writer_that_comes_meanwhile_is_told(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OldCache(site / "old" / "000").put(":1:key", [1])

    def write(data: bytes) -> Any:
        (site / "old" / "000" / "cache.db-wal").touch()
        return pickle.loads(data)

    monkeypatch.setattr("django_diskcache.moving.harmless.loads", write)
    found = taken(site / "old")
    assert found["problems"] == [f"{site}/old/000 has been written to: run it once more"]
    assert taken(site / "old")["problems"] == []


# In place


def test_a_location_of_the_old_cache(
    old: Path, site: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """BACKEND is the only line that was changed."""
    settings.CACHES["default"]["LOCATION"] = old
    before = state(old)
    assert cache().get("text") is None
    assert "cacheimport" in caplog.text
    cache().clear()
    cache().cull()
    cache().check(fix=True)
    assert {path: digest for path, digest in state(old).items() if path in before} == before
    assert taken(old)["taken"] == 14
    assert cache().get("text") == "ä\r\n"
    assert list(cache().deque("a/b")) == ["first", "second", [3]]
    assert {path: digest for path, digest in state(old).items() if path in before} == before
    for path in old.rglob("cache.db"):
        path.unlink()
    cache().check(fix=True)
    assert not [path for path in (old / "001").rglob("*.val") if len(path.name) == 32]
    assert cache().get("text") == "ä\r\n"


# Django's FileBasedCache


def test_files_of_django(site: Path) -> None:
    from django.core.cache.backends.filebased import FileBasedCache

    files: Any = FileBasedCache(str(site / "files"), {})
    files.set("plain", {"a": 1}, 1000)
    files.set("made", [2], None)
    files.set("gone", 1, 1000)
    files.set("own", Own())
    files.set("unknown", 1)
    files.set("damaged", 1)
    gone, damaged = (Path(files._key_to_file(key)) for key in ("gone", "damaged"))
    gone.write_bytes(pickle.dumps(1.0) + zlib.compress(pickle.dumps(1)))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    keys = site / "keys"
    keys.write_text("plain\n:1:made\ngone\nown\ndamaged\nmissing\nplain\n\n")
    before = state(site / "files")
    found = taken(site / "files", "--keys", keys)
    assert found["taken"] == 2
    assert found["left"] == {"expired": 1, "not trusted": 1, "damaged": 1, "without a key": 1}
    assert found["needs"] == {f"{__name__}.Own": 1}
    assert cache().get_many(["plain", "made"]) == {"plain": {"a": 1}, "made": [2]}
    assert cache().get("made", expire_time=True)[1] is None
    left = cache().get("plain", expire_time=True)[1] - cache()._cache.engine.clock()
    assert 0 < left <= 1000
    assert taken(site / "files", "--keys", keys)["left"]["there already"] == 2
    assert state(site / "files") == before


# What makes no sense


def test_wrong_calls(site: Path) -> None:
    OldCache(site / "single").put("a", 1)
    OldCache(site / "shards" / "000").put("a", 1)
    (site / "files").mkdir()
    (site / "files" / "a.djcache").touch()
    (site / "empty").mkdir()
    cache().set("a", 1)
    calls: list[tuple[list[Any], str]] = [
        (["missing"], "is no directory"),
        (["empty"], "Nothing to take over"),
        (["new"], "Nothing to take over"),
        (["files"], "--keys FILE"),
        (["single", "--keys", site / "none"], "--keys is for"),
        (["files", "--keys", site / "none"], "No such file"),
        (["shards", "--into", "index:a"], "--into is for"),
        (["single", "--into", "index"], "expected one of cache:NAME, deque:NAME, index:NAME"),
        (["single", "--into", "set:a"], "expected one of"),
        (["single", "--into", "index:../a"], r"'\.\./a' is no name for an index"),
        (["single", "--into", "deque:a//b", "--dry-run"], "'a//b' is no name for a deque"),
        (["single", "--alias", "no"], "'no' is not a cache"),
    ]
    for arguments, text in calls:
        with pytest.raises(CommandError, match=text):
            told(site / arguments[0], *arguments[1:])


DEEP = b")" + b"\x85" * 100_000 + b"."
DOUBLED = b")" + b"2\x86" * 40 + b"."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (DEEP, None),
        (DOUBLED, None),
        (None, b"\x8e" + (2**40).to_bytes(8, "little") + b"."),
        (None, b"Nr" + (2**28).to_bytes(4, "little") + b"."),
        (None, b"}" + DEEP[:-1] + b"Ns."),
    ],
)
def test_a_row_that_would_end_it_is_damaged(
    site: Path, key: bytes | None, value: bytes | None
) -> None:
    old = OldCache(site / "old")
    old.put("bad", Pickled(value) if value else 1)
    old.put("good", 2)
    with closing(sqlite3.connect(site / "old" / "cache.db")) as db:
        if key:
            db.execute("UPDATE Cache SET key = ?, raw = 0 WHERE rowid = 1", (key,))
        db.commit()
    found = taken(site / "old")
    assert (found["taken"], found["left"]) == (1, {"damaged": 1})
    assert cache().get("good") == 2


def test_a_table_that_computes_its_values_is_not_read(site: Path) -> None:
    OldCache(site / "old").put(":1:k", 1)
    with closing(sqlite3.connect(site / "old" / "cache.db")) as db:
        db.execute("ALTER TABLE Cache RENAME COLUMN value TO stored")
        db.execute("ALTER TABLE Cache ADD value AS (zeroblob(400000000))")
        db.commit()
    found = taken(site / "old")
    assert found["taken"] == 0
    assert "computes" in found["problems"][0]
