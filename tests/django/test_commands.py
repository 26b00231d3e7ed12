"""The commands by `call_command`: what they do, what they print, and to which caches."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.engine import selection
from django_diskcache.engine.engine import Engine
from django_diskcache.engine.errors import Fault
from django_diskcache.engine.segment import EVICTED_SIZE, EXPIRED, FREED, GHOST_HITS, REFUSED
from django_diskcache.engine.selection import Step
from django_diskcache.management.commands import cachestats
from django_diskcache.management.shared import bytes_text, entries_text, held, progress
from tests.engines import engine_of

from .conftest import FakeClock

BACKEND = "django_diskcache.DjangoCache"
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
COMMANDS = ("cachestats", "cacheexpire", "cachecull", "cacheevict", "cachecheck", "cacheclear")
TIDYING = ("cacheexpire", "cachecull", "cachecheck")


class Subclass(DjangoCache):
    """A backend of a site's own."""


@pytest.fixture
def site(tmp_path: Path, clock: FakeClock) -> Iterator[Path]:
    """Two caches of ours and another; the directory that ours are in."""
    options = {"size_limit": "8MB", "shards": 2}
    entries = {
        "default": {"BACKEND": BACKEND, "LOCATION": tmp_path / "default", "OPTIONS": options},
        "memory": LOCMEM,
        "second": {
            "BACKEND": f"{__name__}.Subclass",
            "LOCATION": str(tmp_path / "second"),
            "KEY_PREFIX": "p",
            "OPTIONS": options,
        },
    }
    with override_settings(CACHES=entries):
        yield tmp_path


def cache(alias: str = "default") -> DjangoCache:
    found = caches[alias]
    assert isinstance(found, DjangoCache)
    return found


def called(name: str, *arguments: str, **options: Any) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def document(name: str, *arguments: str, **options: Any) -> dict[str, Any]:
    """The one JSON document that a command prints."""
    text = called(name, *arguments, "--json", **options)
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def arguments(name: str) -> list[str]:
    """What a command cannot do without."""
    return {"cacheevict": ["tag"], "cacheclear": ["--no-input"]}.get(name, [])


def alias_arguments(name: str, *aliases: str) -> list[str]:
    if name == "cacheevict":
        return [part for alias in aliases for part in ("--cache", alias)]
    return list(aliases)


# Which caches


@pytest.mark.parametrize("name", COMMANDS)
def test_all_of_ours_by_default(site: Path, name: str) -> None:
    for alias in ("default", "second"):
        cache(alias).set("key", 1)
    assert list(document(name, *arguments(name))) == ["default", "second"]


@pytest.mark.parametrize("name", COMMANDS)
def test_only_those_that_are_named_and_each_once(site: Path, name: str) -> None:
    cache("second").set("key", 1)
    named = alias_arguments(name, "second", "second")
    assert list(document(name, *arguments(name), *named)) == ["second"]
    assert not (site / "default").exists()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("alias", "message"),
    [
        ("nope", "'nope' is not a cache of this site; those that are: default, second"),
        (
            "memory",
            "The backend of 'memory' is not DjangoCache; those that are: default, second",
        ),
    ],
)
def test_an_alias_that_is_not_ours(site: Path, name: str, alias: str, message: str) -> None:
    named = alias_arguments(name, "default", alias)
    with pytest.raises(CommandError, match=f"^{re.escape(message)}$"):
        called(name, *arguments(name), *named)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_site_without_a_cache_of_ours(name: str) -> None:
    with (
        override_settings(CACHES={"default": LOCMEM}),
        pytest.raises(CommandError, match="No cache of this site has the backend DjangoCache"),
    ):
        called(name, *arguments(name))


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("entry", [{"OPTIONS": {"size_limt": 1}}, {"LOCATION": None}])
def test_a_mistake_in_the_settings(tmp_path: Path, name: str, entry: dict[str, Any]) -> None:
    entry = {"BACKEND": BACKEND, "LOCATION": tmp_path, **entry}
    with (
        override_settings(CACHES={"default": entry}),
        pytest.raises(CommandError, match=r"did you mean 'size_limit'\?|LOCATION=None"),
    ):
        called(name, *arguments(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_where_no_directory_is_yet(tmp_path: Path, name: str) -> None:
    entry = {"BACKEND": BACKEND, "LOCATION": tmp_path / "new", "OPTIONS": {"size_limt": 1}}
    with (
        override_settings(CACHES={"default": entry}),
        pytest.raises(CommandError, match=r"did you mean 'size_limit'\?"),
    ):
        called(name, *arguments(name))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_in_the_place_of_the_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    entry = {"BACKEND": BACKEND, "LOCATION": tmp_path / "file"}
    with (
        override_settings(CACHES={"default": entry}),
        pytest.raises(CommandError, match="LOCATION takes a directory"),
    ):
        called(name, *arguments(name))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_directory_that_is_not_there_is_not_made(site: Path, name: str) -> None:
    text = called(name, *arguments(name), "-v", "1")
    assert f"{site / 'default'} is not there yet" in text
    assert called(name, *arguments(name), "-v", "0") == ""
    assert list(site.iterdir()) == []


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != "cachestats"])
def test_nothing_is_printed_without_verbosity(site: Path, name: str) -> None:
    cache().set("key", 1, tag="tag")
    assert called(name, *arguments(name), "-v", "0") == ""
    cache().set("key", 1, tag="tag")
    assert called(name, *arguments(name)) != ""


@pytest.mark.parametrize("name", TIDYING)
def test_a_second_run_leaves_it_to_the_first(site: Path, name: str, clock: FakeClock) -> None:
    cache().set("key", 1, timeout=5)
    cache("second").set("key", 1, timeout=5)
    clock.advance(10)
    with held(str(site / "default")) as free:
        assert free
        found = document(name)
        assert found["default"] == {"skipped": "another run is at it"}
        assert "skipped" not in found["second"]
        assert "default: skipped, another run is at it\n" in called(name)
        assert called(name, "-v", "0") == ""
    assert len(cache()) == 1
    assert "skipped" not in document(name)["default"]


def test_a_fault_is_told_and_does_not_keep_others_from_their_turn(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for alias in ("default", "second"):
        cache(alias).set("key", 1)
    really = selection.remove_expired

    def broken(engine: Engine) -> Iterator[Step]:
        if engine.directory == str(site / "default"):
            raise Fault("full", engine.stores[0].path, "the disk is full")
        return really(engine)

    monkeypatch.setattr(selection, "remove_expired", broken)
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^default: .*the disk is full") as caught:
        call_command("cacheexpire", "--json", stdout=out)
    assert caught.value.returncode == 1
    found = json.loads(out.getvalue())
    assert "the disk is full" in found["default"]["error"]
    assert found["second"] == {"removed": 0, "freed": 0}
    assert cache().faults()["full"] == 1


# cacheexpire


def test_expire(site: Path, clock: FakeClock) -> None:
    for number in range(10):
        cache().set(f"key-{number}", "x" * 100, timeout=5 if number < 6 else None)
    clock.advance(10)
    assert document("cacheexpire", "default") == {"default": {"removed": 6, "freed": 6 * 100}}
    assert len(cache()) == 4
    assert called("cacheexpire", "default") == "default: 0 entries expired, 0 bytes freed\n"


# cachecull


@pytest.mark.parametrize(("to", "limit"), [("40%", 3_200_000), ("3MB", 3_000_000)])
def test_cull_to(site: Path, to: str, limit: int) -> None:
    for number in range(1000):
        cache().set(number, "x" * 5000)
    before = cache().volume()
    assert before > limit
    (found,) = document("cachecull", "default", "--to", to).values()
    assert found["target"] == limit
    assert found["reached"]
    assert found["volume"] == cache().volume() <= limit
    assert found["removed"] == 1000 - len(cache())
    assert found["freed"] == before - cache().volume()


def test_cull_to_the_size_limit(site: Path) -> None:
    for number in range(100):
        cache().set(number, "x" * 5000)
    (found,) = document("cachecull", "default").values()
    assert (found["removed"], found["target"], found["reached"]) == (0, 8_000_000, True)
    (found,) = document("cachecull", "default", "--to", "2GB").values()
    assert found["target"] == 8_000_000  # it is a limit, and not to be passed by this
    (found,) = document("cachecull", "default", to="1%").values()
    assert (found["target"], found["reached"]) == (80_000, False)
    assert re.fullmatch(
        r"default: 0 entries removed, 0 bytes freed; it takes [0-9.]+ kB, more than 80.0 kB\n",
        called("cachecull", "default", "--to=1%"),
    )


@pytest.mark.parametrize("to", ["101%", "-1", "much", "%"])
def test_cull_to_nonsense(site: Path, to: str) -> None:
    with pytest.raises(CommandError, match="is neither a share of the size limit"):
        called("cachecull", f"--to={to}")


# cacheevict


@pytest.fixture
def tagged(site: Path) -> None:
    for alias in ("default", "second"):
        for number in range(6):
            cache(alias).set(number, "x" * 50, tag="a" if number < 4 else "b")
        cache(alias).set("number", "x" * 50, tag=7)
        cache(alias).set("text", "x" * 50, tag="7")
        cache(alias).set("none", "x" * 50)


@pytest.mark.usefixtures("tagged")
def test_evict(site: Path) -> None:
    found = document("cacheevict", "a", "7", "no", "--cache", "default")
    assert {tag: each["removed"] for tag, each in found["default"]["tags"].items()} == {
        "a": 4,
        "7": 2,
        "no": 0,
    }
    assert found["default"]["removed"] == 6
    assert found["default"]["freed"] == 6 * 50
    assert sorted(cache()) == ["4", "5", "none"]
    assert len(cache("second")) == 9
    assert len(called("cacheevict", "a", "b").splitlines()) == 4
    assert len(cache("second")) == 3


@pytest.mark.usefixtures("tagged")
def test_evict_dry(site: Path) -> None:
    dry = document("cacheevict", "a", "7", "--dry-run")
    assert len(cache()) == len(cache("second")) == 9
    assert dry["default"]["dry_run"] is True
    assert "4 entries tagged 'a' would be removed, " in called("cacheevict", "a", "--dry-run")
    really = document("cacheevict", "a", "7")
    for alias in ("default", "second"):
        assert really[alias] == {**dry[alias], "dry_run": False}


def test_evict_of_several_tags(site: Path) -> None:
    backend = cache("default")
    backend.set_many({f"both-{n}": "x" * 50 for n in range(3)}, tag=("a", "7"))
    backend.set_many({f"all-{n}": "x" * 50 for n in range(2)}, tag=("a", 7.0, "b"))
    backend.set("only", "x" * 50, tag="a")
    arguments = ("cacheevict", "a", "7", "--cache", "default")

    dry = document(*arguments, "--dry-run")["default"]
    assert {tag: each["removed"] for tag, each in dry["tags"].items()} == {"a": 6, "7": 0}
    assert called(*arguments, "--dry-run").splitlines() == [
        "default: 6 entries tagged 'a' would be removed, 300 bytes would be freed",
        "default: 0 more entries tagged '7' would be removed, 0 bytes would be freed",
    ]
    dry = document(*arguments, "--all", "--dry-run")["default"]
    assert dry["tags"] == {"a, 7": {"removed": 5, "freed": 250}}
    assert document("cacheevict", "a", "b", "no", "--all")["default"]["removed"] == 0
    told_of = called(*arguments, "--all")
    assert told_of == "default: 5 entries tagged 'a' and '7' removed, 250 bytes freed\n"
    assert list(backend) == ["only"]
    assert "1 entry tagged 'a' removed" in called("cacheevict", "a", "--all")


@pytest.mark.usefixtures("tagged")
def test_evict_by_call_command(site: Path) -> None:
    call_command("cacheevict", "a", aliases=["second"], verbosity=0)
    assert (len(cache()), len(cache("second"))) == (9, 5)


# cachecheck


def test_check(site: Path) -> None:
    cache().set("file", b"x" * 100_000)
    cache("second").set("key", 1)
    assert called("cachecheck") == "default: nothing is wrong\nsecond: nothing is wrong\n"
    (path,) = (site / "default").rglob("*.val")
    path.unlink()
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^Something is wrong: 1 in default$") as caught:
        call_command("cachecheck", "-v0", stdout=out)
    assert caught.value.returncode == 1
    assert out.getvalue() == f"default: file not found: {path}\n"
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("cachecheck", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {
        "default": {
            "problems": [{"kind": "UserWarning", "text": f"file not found: {path}"}],
            "fixed": False,
            "left": 1,
        },
        "second": {"problems": [], "fixed": False, "left": 0},
    }
    assert document("cachecheck", "--fix")["default"]["left"] == 0
    assert document("cachecheck")["default"]["problems"] == []


def test_check_of_what_cannot_be_mended(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache().set("key", 1)

    def broken(*arguments: Any) -> list[Any]:
        raise PermissionError("no")

    monkeypatch.setattr("django_diskcache.engine.maintenance.check_all", broken)
    with pytest.raises(CommandError, match=r"^Something is still wrong: 2 in default$"):
        called("cachecheck", "default", "--fix")


# cacheclear


OF_VERSION_2 = {("page:1", 2), ("page:2", 2), ("other", 2)}


@pytest.fixture
def versions(site: Path) -> None:
    for alias in ("default", "second"):
        for version in (1, 2):
            for key in ("page:1", "page:2", "other"):
                cache(alias).set(key, "x" * 50, version=version)


@pytest.mark.usefixtures("versions")
def test_clear(site: Path) -> None:
    found = document("cacheclear", "default", "--no-input")
    assert found["default"]["removed"] == 6
    assert (len(cache()), len(cache("second"))) == (0, 6)


@pytest.mark.usefixtures("versions")
@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["--prefix", "page:"], {("other", 1), ("page:1", 2), ("page:2", 2), ("other", 2)}),
        (
            ["--prefix", "page:", "--version", "2"],
            {("page:1", 1), ("page:2", 1), ("other", 1), ("other", 2)},
        ),
        (["--pattern", "p*:[^1]"], {("page:1", 1), ("other", 1)} | OF_VERSION_2),
        (["--pattern", "*e*", "--prefix", "o"], {("page:1", 1), ("page:2", 1)} | OF_VERSION_2),
        (["--version", "2"], {("page:1", 1), ("page:2", 1), ("other", 1)}),
        (["--version", "3"], {(k, v) for k in ("page:1", "page:2", "other") for v in (1, 2)}),
    ],
)
def test_clear_some(site: Path, given: list[str], left: set[Any]) -> None:
    for alias in ("default", "second"):
        found = document("cacheclear", alias, "--no-input", *given)
        assert found[alias]["removed"] == 6 - len(left)
        keys = [(k, v) for k in ("page:1", "page:2", "other") for v in (1, 2)]
        assert {(k, v) for k, v in keys if cache(alias).has_key(k, version=v)} == left


def test_clear_some_of_two_caches_in_one_directory(tmp_path: Path) -> None:
    entry = {"BACKEND": BACKEND, "LOCATION": tmp_path / "cache"}
    entries = {"default": entry, "p": {**entry, "KEY_PREFIX": "p"}}
    with override_settings(CACHES=entries):
        cache().set("key", 1)
        cache("p").set("key", 1)
        assert document("cacheclear", "p", "--version", "1", "--no-input")["p"]["removed"] == 1
        assert (cache().get("key"), cache("p").get("key")) == (1, None)


def test_clear_where_keys_cannot_be_told(tmp_path: Path) -> None:
    entry = {
        "BACKEND": BACKEND,
        "LOCATION": tmp_path,
        "KEY_FUNCTION": lambda *of: str(hash(of)),
    }
    with override_settings(CACHES={"default": entry}):
        cache().set("key", 1)
        for some in ("--prefix", "--pattern"):
            with pytest.raises(CommandError, match="default: its KEY_FUNCTION makes keys"):
                called("cacheclear", some, "k", "--no-input")
        assert len(cache()) == 1


@pytest.mark.parametrize(("answer", "cleared"), [("yes", True), ("no", False), ("", False)])
def test_clear_asks(
    site: Path, monkeypatch: pytest.MonkeyPatch, answer: str, cleared: bool
) -> None:
    cache().set("key", 1)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    out = io.StringIO()
    if cleared:
        call_command("cacheclear", "default", stdout=out)
    else:
        with pytest.raises(CommandError, match=r"^Nothing was removed$"):
            some = ["--prefix", "k", "--pattern", "*y", "--version=1"]
            call_command("cacheclear", "default", *some, stdout=out)
        assert "all keys that begin with 'k' that match '*y' of version 1 of:" in out.getvalue()
    assert f"\n  default in {site / 'default'}\n" in out.getvalue()
    assert len(cache()) == (not cleared)


def test_clear_has_nobody_to_ask(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache().set("key", 1)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="--no-input does not ask"):
        called("cacheclear")
    with pytest.raises(CommandError, match="give --no-input as well"):
        called("cacheclear", "--json")
    assert len(cache()) == 1


# cachestats


@pytest.fixture
def traffic(site: Path) -> None:
    for number in range(10):
        cache().set(number, "x" * 100)
        cache().get(number)
        cache().get(f"no-{number % 5}")
    segment = engine_of(cache()).segment
    for number, kind in enumerate((EVICTED_SIZE, EXPIRED, REFUSED, FREED, GHOST_HITS), 1):
        segment.add(kind, 1, number)


@pytest.mark.usefixtures("traffic")
def test_stats_as_json(site: Path) -> None:
    found = document("cachestats")
    assert list(found) == ["default"]  # the other one is not there yet
    whole = found["default"]
    assert (whole["entries"], whole["hits"], whole["misses"]) == (10, 10, 10)
    assert whole["hit_ratio"] == 0.5
    assert whole["evictions"] == {"size": 1, "entries": 0, "expired": 2, "refused": 3}
    assert (whole["freed"], whole["ghost_hits"], whole["expired_pending"]) == (4, 5, 0)
    assert whole["volume"] == cache().volume()
    assert whole["size_limit"] == 8_000_000
    assert whole["near"]["budget"] == 16 * 2**20
    assert [each["number"] for each in whole["shards"]] == [0, 1]
    assert sum(each["hits"] for each in whole["shards"]) == 10
    assert found == document("cachestats", "--format", "json")
    assert found == json.loads(called("cachestats", json=True))


def test_stats_of_one(site: Path) -> None:
    cache().set("a", 1)
    cache().get("a")
    cache().get("b")
    line = called("cachestats", "default", "-v", "0")
    assert line.startswith("default: 1 entry, ")
    assert "; 1 hit, 1 miss, hit ratio 50.0%" in line


@pytest.mark.usefixtures("traffic")
def test_stats_for_people(site: Path) -> None:
    lines = called("cachestats").splitlines()
    assert re.fullmatch(
        r"default: 10 entries, [0-9.]+ kB of 8.0 MB \([0-9]%\); 10 hits, 10 misses, hit ratio "
        "50.0%",
        lines[0],
    )
    assert lines[1] == (
        "  evicted: 1 by size, 0 by number; 2 expired, 3 refused as too large; 4 bytes freed, "
        "5 evicted keys written again"
    )
    assert lines[5].split()[:3] == ["shard", "entries", "volume"]
    assert [line.split()[0] for line in lines[6:8]] == ["000", "001"]
    assert lines[8] == f"second: {site / 'second'} is not there yet"
    assert called("cachestats", "-v", "0").splitlines() == lines[:1]


@pytest.mark.usefixtures("traffic")
def test_stats_reset(site: Path) -> None:
    before = document("cachestats", "default", "--reset")["default"]
    after = document("cachestats", "default")["default"]
    assert (before["hits"], before["evictions"]["expired"]) == (10, 2)
    assert (after["hits"], after["misses"], after["hit_ratio"]) == (0, 0, None)
    assert set(after["evictions"].values()) == {0}
    assert after["entries"] == 10


# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
SAMPLE = re.compile(
    r'(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\{(?P<labels>([a-z_]+="([^"\\\n]|\\["\\n])*",?)+)\} '
    r"(?P<value>[0-9]+)"
)


@pytest.mark.usefixtures("traffic")
def test_stats_for_prometheus(site: Path) -> None:
    text = called("cachestats", "--format", "prometheus")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    kinds: dict[str, str] = {}
    helped = set()
    values: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split(" ", 3)
        if words[1] == "TYPE":
            assert words[2] not in kinds
            kinds[words[2]] = words[3]
        elif words[1] == "HELP":
            helped.add(words[2])
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert list(kinds)[-1] == match["name"]  # a metric's lines are one group
            assert line not in values
            values[f"{match['name']}{{{match['labels']}}}"] = int(match["value"])
    assert set(kinds) == helped
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items())
    assert values['django_diskcache_size_limit_bytes{cache="default"}'] == 8_000_000
    volume = cache().volume()
    assert values['django_diskcache_volume_bytes{cache="default"}'] == volume
    shards = [n for name, n in values.items() if name.startswith("django_diskcache_shard_vol")]
    assert 0 < sum(shards) < volume
    hits = [n for name, n in values.items() if name.startswith("django_diskcache_hits_total{")]
    assert (len(hits), sum(hits)) == (2, 10)
    labels = 'cache="default",shard="1",reason="expired"'
    assert values[f"django_diskcache_evictions_total{{{labels}}}"] == 2


def test_prometheus_escapes(tmp_path: Path) -> None:
    entry = {"BACKEND": BACKEND, "LOCATION": tmp_path / "cache"}
    with override_settings(CACHES={'a"\\\n': entry}):
        cache('a"\\\n').set("key", 1)
        text = called("cachestats", "--format", "prometheus")
    assert r'django_diskcache_size_limit_bytes{cache="a\"\\\n"} ' in text
    assert all(line[0] == "#" or SAMPLE.fullmatch(line) for line in text.splitlines())


class Watching(cachestats.Command):
    """Looks three times; hits happen while it pauses, and each pause takes two seconds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.now = 0.0
        self.clock = lambda: self.now
        self.pause = self.go_on

    def go_on(self, seconds: float) -> None:
        if self.now >= 6:
            raise KeyboardInterrupt
        self.now += seconds
        for _ in range(30):
            cache().get(0)
        for _ in range(10):
            cache().get("no-0")


@pytest.mark.usefixtures("traffic")
def test_stats_watched(site: Path) -> None:
    out = io.StringIO()
    call_command(Watching(), "default", watch=2.0, stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    for line in lines[:3]:
        assert line.startswith(
            "default: 20 reads/s, hit ratio 75.0%, 0 evicted or expired, 0 errors; 10 entries, "
        )
    assert lines[3] == ""
    out = io.StringIO()
    call_command(Watching(), "default", "--json", watch=2.0, stdout=out)
    documents = [json.loads(line) for line in out.getvalue().splitlines()[:3]]
    assert [each["default"]["hits"] for each in documents] == [130, 160, 190]


@pytest.mark.parametrize("given", ["0", "-1", "soon"])
def test_stats_watched_at_no_pace(site: Path, given: str) -> None:
    with pytest.raises(CommandError, match="--watch"):
        called("cachestats", f"--watch={given}")
    with pytest.raises(CommandError, match="for prometheus run it anew"):
        called("cachestats", "--watch=1", "--format=prometheus")


# Shared parts


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steps(clock: Callable[[], float], fake: FakeClock, seconds: float) -> Iterator[Step]:
    for number in range(1, 5):
        fake.advance(seconds)
        yield Step(1, 1, number / 4)


@pytest.mark.parametrize(
    ("out", "wanted", "seconds", "drawn"),
    [
        (Terminal(), True, 1.0, 4),
        (Terminal(), True, 0.01, 0),
        (Terminal(), False, 1.0, 0),
        (io.StringIO(), True, 1.0, 0),
    ],
)
def test_a_bar_on_a_terminal(out: Any, wanted: bool, seconds: float, drawn: int) -> None:
    from django.core.management.base import OutputWrapper

    fake = FakeClock()
    made = list(progress(steps(fake, fake, seconds), "x", OutputWrapper(out), wanted, fake))
    assert len(made) == 4
    text = out.getvalue()
    assert text.count("\rx ") == drawn
    if drawn:
        assert "█" * 15 + "░" * 15 + "  50%" in text
        assert text.endswith("\r\x1b[K")
    else:
        assert text == ""


def test_an_interrupt_finishes_the_line_of_the_bar() -> None:
    from django.core.management.base import OutputWrapper

    def interrupted() -> Iterator[Step]:
        yield from islice(steps(fake, fake, 1.0), 2)
        raise KeyboardInterrupt

    fake, out = FakeClock(), Terminal()
    with pytest.raises(KeyboardInterrupt):
        list(progress(interrupted(), "x", OutputWrapper(out), True, fake))
    assert out.getvalue().endswith(" 50%\r\x1b[K")


def test_the_lock_is_free_again_after_its_process(tmp_path: Path) -> None:
    with held(str(tmp_path)) as first:
        assert first
        with held(str(tmp_path)) as second:
            assert not second
        with held(str(tmp_path)) as second:  # the failed one has not let go of it
            assert not second
    with held(str(tmp_path)) as again:
        assert again
    assert os.listdir(tmp_path) == []


def test_numbers_for_people() -> None:
    assert [bytes_text(n) for n in (0, 999, 1000, 1_250_000, 4 * 10**9, 10**13)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "1.2 MB", "4.0 GB", "10.0 TB"),
    ]
    assert [entries_text(n) for n in (0, 1, 12345)] == [
        "0 entries",
        "1 entry",
        "12,345 entries",
    ]
