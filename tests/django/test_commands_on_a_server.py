"""The commands where a cache is on a server: what they do there, what they leave to it."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.engine.errors import Fault
from django_diskcache.management.commands import cachestats
from django_diskcache.management.shared import HELD
from django_diskcache.server import condition, gauges
from django_diskcache.server.gauges import Away
from tests.engines import remote_of
from tests.server.clusters import clustered
from tests.server.servers import Server, required, serving

from .conftest import patience
from .test_commands import called, document

BACKEND = "django_diskcache.DjangoCache"
# The second call of a process need not try it again.
AWAY = r"valkey://127\.0\.0\.1:1: .*Connection refused\. \(lost\)"
ASKING = ("cachestats", "cacheexpire", "cacheevict", "cachecheck", "cacheclear")
LEAVING = {  # which ask no server
    "cachecull": "its server evicts by itself, by its maxmemory and maxmemory-policy",
}


def remote(server: Server) -> dict[str, Any]:
    """An entry of CACHES."""
    options = {"database_timeout": patience()}
    return {"BACKEND": BACKEND, "LOCATION": server.url, "OPTIONS": options}


@pytest.fixture
def site(tmp_path: Path, server: Server) -> Iterator[Path]:
    """One cache in a directory, and one on a server."""
    entries = {
        "default": {"BACKEND": BACKEND, "LOCATION": tmp_path / "default"},
        "remote": remote(server),
    }
    with override_settings(CACHES=entries, SECRET_KEY="only for tests"):
        yield tmp_path


@pytest.fixture
def away(site: Path) -> Iterator[None]:
    """And one on a server that does not run."""
    location = "valkey://user:secret@127.0.0.1:1/0"
    options = {"database_timeout": patience()}
    entry = {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}
    with override_settings(CACHES={**settings.CACHES, "away": entry}):
        yield


def cache(alias: str = "remote") -> DjangoCache:
    found = caches[alias]
    assert isinstance(found, DjangoCache)
    return found


def arguments(name: str, alias: str) -> list[str]:
    if name == "cacheevict":
        return ["tag", "--cache", alias]
    return [alias, "--no-input"] if name == "cacheclear" else [alias]


def failing(message: str, *given: str) -> str:
    """What a command prints that ends with this error."""
    out = io.StringIO()
    with pytest.raises(CommandError, match=message):
        call_command(*given, stdout=out)
    return out.getvalue()


# Which caches, and trouble


@pytest.mark.parametrize("name", [*ASKING, *LEAVING])
def test_both_kinds_in_one_run(site: Path, name: str) -> None:
    cache("default").set("key", 1)
    more = {"cacheevict": ["tag"], "cacheclear": ["--no-input"]}.get(name, [])
    assert list(document(name, *more)) == ["default", "remote"]


@pytest.mark.parametrize("name", ASKING)
def test_a_server_that_is_away(away: None, name: str, caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command(name, *arguments(name, "away"), stdout=out, verbosity=0)
    text = f"{error.value}{out.getvalue()}"
    assert re.search(AWAY, text)
    assert error.value.returncode == 1
    assert "secret" not in text
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["cachestats", "cacheevict"])
def test_a_server_that_is_away_does_not_keep_others_from_their_turn(
    away: None, name: str
) -> None:
    cache().set("key", 1, tag="tag")
    out = io.StringIO()
    with pytest.raises(CommandError, match=f"^away: {AWAY}$"):
        call_command(name, *(["tag"] if name == "cacheevict" else []), "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert re.fullmatch(AWAY, found["away"].pop("error"))
    assert found["away"] == {}
    assert "error" not in found["remote"]


@pytest.mark.parametrize(("name", "why"), LEAVING.items())
def test_what_is_left_to_the_server(away: None, name: str, why: str) -> None:
    assert called(name, "remote", "away") == f"remote: skipped, {why}\naway: skipped, {why}\n"
    assert document(name, "remote") == {"remote": {"skipped": why}}
    assert called(name, "remote", "-v", "0") == ""


@pytest.mark.parametrize("name", [*ASKING, *LEAVING])
def test_a_mistake_in_the_settings(site: Path, name: str) -> None:
    for entry, message in (
        ({"LOCATION": "valkey://host:port"}, "LOCATION='valkey://host:port': "),
        ({"OPTIONS": {"server_nam": 1}}, r"did you mean 'server_name'\?"),
    ):
        wrong = {**settings.CACHES["remote"], **entry}
        with (
            override_settings(CACHES={**settings.CACHES, "wrong": wrong}),
            pytest.raises(CommandError, match=message),
        ):
            called(name, *arguments(name, "wrong"))


# Hints of tags


def test_expire_drops_hints(site: Path) -> None:
    for number in range(30):
        cache().set(f"{number}", 1, timeout=None, tag="tag")
    cache().delete_many([f"{number}" for number in range(29)])
    said = "dropped; its server removes by itself what has expired\n"

    assert called("cacheexpire", "remote") == f"remote: 29 hints of tags {said}"
    assert called("cacheexpire", "remote") == f"remote: 0 hints of tags {said}"
    cache().delete("29")
    assert document("cacheexpire", "remote") == {
        "remote": {"removed": 0, "freed": None, "hints": 1}
    }
    assert called("cacheexpire", "remote", "-v", "0") == ""


# Statistics


def test_stats_for_people(site: Path, server: Server) -> None:
    cache().set("key", 1)
    cache().get("key")
    cache().get("nope")
    lines = called("cachestats", "remote").splitlines()
    assert re.fullmatch(
        rf"remote: 1 hit, 1 miss, hit ratio 50\.0%; valkey://127\.0\.0\.1:{server.port}, "
        r"\d.* in memory",
        lines[0],
    )
    assert lines[1] == "  errors: none"
    assert lines[2].startswith("  near cache of this process: ")
    assert lines[3].split()[:2] == ["server", "version"]
    assert lines[4].split()[:1] == [f"valkey://127.0.0.1:{server.port}"]
    assert "primary" in lines[4]
    (line,) = called("cachestats", "remote", "-v", "0").splitlines()
    assert line.startswith("remote: 1 hit, 1 miss, ")


def test_stats_as_json(site: Path) -> None:
    cache("default").set("key", 1)
    cache().get("nope")
    found = document("cachestats")
    assert list(found) == ["default", "remote"]
    remote = found["remote"]
    assert (remote["hits"], remote["misses"], remote["hit_ratio"]) == (0, 1, 0)
    (node,) = remote["nodes"]
    assert node["primary"] is True
    assert remote["memory"] == node["memory"] > 0
    called("cachestats", "remote", "--reset")
    assert document("cachestats", "remote")["remote"]["misses"] == 0


def test_stats_of_nodes_that_are_away(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = cache().figures()
    away = (Away("valkey://b:1", Fault("slow", "valkey://b:1", "no answer")),)
    figures = dataclasses.replace(known, away=away, errors={"slow": 3, "lost": 0})
    monkeypatch.setattr(DjangoCache, "figures", lambda self, reset: figures)
    lines = called("cachestats", "remote").splitlines()
    assert lines[1] == "  errors: 3 slow"
    assert lines[-1] == "  valkey://b:1: no answer (slow)"
    found = document("cachestats", "remote")["remote"]
    assert found["away"] == {"valkey://b:1": "valkey://b:1: no answer (slow)"}
    lines = called("cachestats", "remote", "--format", "prometheus").splitlines()
    assert 'django_diskcache_errors_total{cache="remote",kind="slow"} 3' in lines


def test_stats_for_prometheus(site: Path, server: Server) -> None:
    cache("default").set("key", 1)
    cache().set("key", 1)
    cache().get("key")
    lines = called("cachestats", "--format", "prometheus").splitlines()
    named = f'cache="remote",server="valkey://127.0.0.1:{server.port}"'
    assert 'django_diskcache_hits_total{cache="remote"} 1' in lines
    assert 'django_diskcache_misses_total{cache="remote"} 0' in lines
    assert f"django_diskcache_server_primary{{{named}}} 1" in lines
    assert f"django_diskcache_server_memory_limit_bytes{{{named}}} 0" in lines
    entries = [line for line in lines if line.startswith("django_diskcache_entries{")]
    assert sum(int(line.split()[-1]) for line in entries) == 1
    assert "# TYPE django_diskcache_server_evicted_total counter" in lines
    heads = [line for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    assert not [line for line in lines if "remote" in line and "shard" in line]


def test_stats_watched(away: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(seconds: float) -> None:
        if seconds == 5:
            pauses.append(seconds)
        if len(pauses) > 1:
            raise KeyboardInterrupt
        cache().get("nope")

    pauses: list[float] = []
    monkeypatch.setattr(cachestats.Command, "pause", staticmethod(pause))
    monkeypatch.setattr(cachestats.Command, "clock", staticmethod(iter((0, 10)).__next__))
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^away: "):
        call_command("cachestats", "remote", "away", "--watch", "5", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("remote: 0 reads/s, hit ratio 0.0%, 0 evicted or expired, ")
    assert re.fullmatch(r".*; \d+ keys?, \S+ MB", lines[0])
    assert re.fullmatch(f"away: {AWAY}", lines[1])


def test_stats_of_two_caches_on_one_server(site: Path, server: Server) -> None:
    where = f"valkey://127.0.0.1:{server.port}"
    assert f"; {where}, " in called("cachestats", "remote")
    assert "server_name" not in called("cachestats")
    entry = {**settings.CACHES["remote"], "OPTIONS": {"server_name": "shop"}}
    with override_settings(CACHES={**settings.CACHES, "other": entry}):
        lines = called("cachestats", "remote", "other", "-v", "0").splitlines()
        assert f"; {where}, server_name 'django_diskcache', " in lines[0]
        assert f"; {where}, server_name 'shop', " in lines[1]
        names = [
            each["server_name"] for each in document("cachestats", "remote", "other").values()
        ]
        assert names == ["django_diskcache", "shop"]
    with override_settings(CACHES={"other": entry}):
        assert f"; {where}, server_name 'shop', " in called("cachestats", "other")


def test_stats_of_a_node_of_a_cluster(site: Path, tmp_path: Path) -> None:
    """Where a list of nodes was meant: it is there, and does not know the counts."""
    required()
    with clustered(tmp_path / "cluster", nodes=2) as cluster:
        entries = {n.url: {"BACKEND": BACKEND, "LOCATION": n.url} for n in cluster.nodes}
        with override_settings(CACHES=entries, SECRET_KEY="only for tests"):
            out = failing("LOCATION takes a list of nodes then", "cachestats")
    assert sorted(out.count(text) for text in ("0 hits", "hits and misses are not known")) == [
        1,
        1,
    ]


def test_stats_that_are_off(site: Path) -> None:
    """To look at them does not begin to count."""
    entry = {**settings.CACHES["remote"], "OPTIONS": {"statistics": False}}
    with override_settings(CACHES={"remote": entry}):
        off = "hit ratio - (not counted: statistics are off)"
        assert off in called("cachestats", "remote")
        assert off in called("cachestats", "remote")


def test_a_node_that_is_away_is_named_and_the_others_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    required()
    monkeypatch.setattr(gauges, "PATIENCE", 60.0)
    with clustered(tmp_path / "cluster") as cluster:
        for node in cluster.nodes:  # whoever is away, the others go on
            with node.client() as client:
                client.execute_command("CONFIG SET", "cluster-require-full-coverage", "no")
        options = {"database_timeout": patience()}
        entry = {"BACKEND": BACKEND, "LOCATION": cluster.urls, "OPTIONS": options}
        with override_settings(CACHES={"many": entry}, SECRET_KEY="only for tests"):
            for number in range(50):
                assert cache("many").set(str(number), number, tag="tag")
            counting = remote_of(cache("many")).link.table[0].name  # it has the counts
            (node,) = (each for each in cluster.nodes if str(each.port) in counting)
            node.kill()
            fault = rf"valkey://127\.0\.0\.1:{node.port}: .*\(lost\)"
            out = failing(f"^many: {fault}$", "cachestats", "many")
            assert "many: hits and misses are not known; " in out
            assert out.count(" primary ") == 2
            assert re.search(f"^  {fault}$", out, re.MULTILINE)
            found = json.loads(failing(fault, "cachestats", "many", "--json"))["many"]
            assert (len(found["nodes"]), list(found["away"])) == (2, [counting])
            assert re.fullmatch(fault, found["error"])
            out = failing(fault, "cachestats", "many", "--format", "prometheus")
            assert out.count("django_diskcache_server_keys{") == 2
            assert "hits_total{" not in out

            out = failing(f"^many: {fault}$", "cacheevict", "tag", "--dry-run")
            number = int(out.split()[1])
            assert 0 < number < 50
            found = json.loads(failing(fault, "cacheevict", "tag", "--json"))["many"]
            assert found["removed"] == found["tags"]["tag"]["removed"] == number
            assert re.fullmatch(fault, found["error"])
            cache("many").set_many({str(n): n for n in range(50)})
            caplog.clear()
            out = failing(f"^many: {fault}$", "cacheclear", "many", "--no-input")
            assert out == f"many: {number} entries removed\n"
            assert caplog.messages == []


# Removal


def test_clear(site: Path) -> None:
    cache().set("key", 1)
    cache().set("key", 1, version=2)
    assert cache().get("key") == 1
    assert called("cacheclear", "remote", "--no-input") == "remote: 2 entries removed\n"
    assert cache().get("key") is None
    assert document("cacheclear", "remote", "--no-input") == {
        "remote": {"removed": 0, "freed": None}
    }


def test_clear_names_the_server(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    out = io.StringIO()
    with pytest.raises(CommandError, match="Nothing was removed"):
        call_command("cacheclear", "remote", stdout=out)
    assert "\n  remote in valkey://127.0.0.1:" in out.getvalue()


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (["--prefix", "a"], {":1:b1", ":2:a1"}),
        (["--pattern", "?1"], {":1:a2", ":2:a1"}),
        (["--pattern", "*2", "--prefix", "a"], {":1:a1", ":1:b1", ":2:a1"}),
        (["--version", "2"], {":1:a1", ":1:a2", ":1:b1"}),
    ],
)
def test_clear_some(site: Path, given: list[str], left: set[str]) -> None:
    for key in ("a1", "a2", "b1"):
        cache().set(key, 1)
    cache().set("a1", 1, version=2)
    found = document("cacheclear", "remote", "--no-input", *given)["remote"]
    assert found == {"removed": 4 - len(left), "freed": None}
    assert set(cache()._cache) == left


def test_evict(site: Path) -> None:
    cache("default").set("a", 1, tag="tag")
    cache().set("a", 1, tag=("tag", "other"))
    cache().set("b", 1, tag="other")
    cache().set("c", 1, tag=7)
    cache().set("d", 1, tag="7")
    lines = called("cacheevict", "tag", "other", "7").splitlines()
    assert lines[0] == "default: 1 entry tagged 'tag' removed, 0 bytes freed"
    assert lines[3:] == [
        "remote: 1 entry tagged 'tag' removed",
        "remote: 1 more entry tagged 'other' removed",
        "remote: 2 more entries tagged '7' removed",
    ]
    assert document("cacheevict", "tag", "--cache", "remote")["remote"] == {
        "removed": 0,
        "freed": None,
        "dry_run": False,
        "tags": {"tag": {"removed": 0, "freed": None}},
    }


def test_evict_of_all_tags_and_dry(site: Path) -> None:
    cache().set("a", 1, tag=("x", 7))
    cache().set("b", 1, tag=("x", "7", "z"))
    cache().set("c", 1, tag="x")
    one = ("--cache", "remote")
    assert document("cacheevict", "x", "7", "--dry-run", *one)["remote"]["tags"] == {
        "x": {"removed": 3, "freed": None},
        "7": {"removed": 0, "freed": None},
    }
    assert len(cache()) == 3
    text = called("cacheevict", "x", "7", "--all", "--dry-run", *one)
    assert text == "remote: 2 entries tagged 'x' and '7' would be removed\n"
    assert document("cacheevict", "x", "7", "--all", *one)["remote"]["removed"] == 2
    assert list(cache()._cache) == [":1:c"]


# Check


def test_check(site: Path, server: Server) -> None:
    lines = called("cachecheck", "remote", "--fix").splitlines()
    where = re.escape(f"remote: looked at valkey://127.0.0.1:{server.port}, ")
    assert re.fullmatch(
        rf"{where}(redis|valkey) [\d.]+, noeviction, answers in \d+\.\d\d ms", lines[1]
    )
    assert lines[2] == "remote: nothing is wrong with its server, which takes writes"
    assert called("cachecheck", "remote", "-v", "0") == ""
    found = document("cachecheck", "remote")["remote"]
    assert (found["problems"], found["left"], found["fixed"]) == ([], 0, False)
    assert "it has no maxmemory" in found["notes"][0]
    assert len(cache()) == 0
    assert cache().stats() == (0, 0)


def test_a_command_names_the_alias_of_what_cannot_be_opened(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"BACKEND": BACKEND, "LOCATION": "redis:/h:7910/0"}
    with (
        override_settings(CACHES={**settings.CACHES, "wrong": wrong}),
        pytest.raises(CommandError, match=r"^wrong: LOCATION='redis:/h:7910/0': expected "),
    ):
        call_command("cachestats", "wrong")
    missing = {"BACKEND": BACKEND, "LOCATION": "valkey://nowhere.invalid"}
    monkeypatch.setitem(__import__("sys").modules, "django_diskcache.server.address", None)
    with (
        override_settings(CACHES={**settings.CACHES, "missing": missing}),
        pytest.raises(CommandError, match=r"^missing: LOCATION is .*diskcache.valkey.'$"),
    ):
        call_command("cachecheck", "missing")


def test_check_says_how_long_an_answer_takes(site: Path) -> None:
    (line,) = document("cachecheck", "remote")["remote"]["servers"]
    assert float(line.partition("answers in ")[2].partition(" ms")[0]) > 0


def checked(
    options: tuple[str, ...], directory: Path
) -> tuple[list[dict[str, str]], list[str]]:
    """What is wrong with a server that was started with these options, and its notes."""
    required()
    with serving(directory / "own", *options) as server:
        entry = remote(server)
        with override_settings(CACHES={**settings.CACHES, "own": entry}):
            out = io.StringIO()
            with suppress(CommandError):
                call_command("cachecheck", "own", "--json", stdout=out)
            found = json.loads(out.getvalue())["own"]
            cache("own").shutdown()
    return found["problems"], found["notes"]


def test_check_of_a_replica(site: Path, server: Server, tmp_path: Path) -> None:
    problems, _ = checked(("--replicaof", "127.0.0.1", str(server.port)), tmp_path)
    assert [each["kind"] for each in problems] == ["readonly"]
    assert "LOCATION must lead to the primary" in problems[0]["text"]


def test_check_of_a_full_server(site: Path, tmp_path: Path) -> None:
    problems, _ = checked(("--maxmemory", "100kb"), tmp_path)
    assert [each["kind"] for each in problems] == ["full"]


def test_check_of_a_policy_that_evicts_tags(site: Path, tmp_path: Path) -> None:
    policy = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    problems, notes = checked(policy, tmp_path)
    assert problems == []
    assert len(notes) == 1
    assert "allkeys-lru: when it is full, it may evict what entries" in notes[0]


def test_check_of_one_that_may_not_write(site: Path, server: Server) -> None:
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "reader", "on", ">pass", "~*", "&*", "+@all", "-set"
        )
    location = f"valkey://reader:pass@127.0.0.1:{server.port}"
    entry = {**remote(server), "LOCATION": location}
    out = io.StringIO()
    with (
        override_settings(CACHES={**settings.CACHES, "reader": entry}),
        pytest.raises(CommandError, match="Something is wrong: 1 in reader"),
    ):
        call_command("cachecheck", "reader", "--json", stdout=out)
    problems = json.loads(out.getvalue())["reader"]["problems"]
    assert [each["kind"] for each in problems] == ["denied"]


def test_check_of_clocks_and_versions(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache()._cache.engine, "clock", lambda: 1e9)
    monkeypatch.setattr(condition, "OLDEST", {"redis": (99, 2), "valkey": (99, 2)})
    out = io.StringIO()
    with pytest.raises(CommandError, match="Something is wrong: 2 in remote"):
        call_command("cachecheck", "remote", stdout=out)
    assert "Install 99.2 or a newer one" in out.getvalue()
    assert "seconds ahead of that of this machine" in out.getvalue()


# Import


def old(directory: Path) -> Path:
    """A directory of Django's FileBasedCache, and the keys in it."""
    from django.core.cache.backends.filebased import FileBasedCache

    cache = FileBasedCache(str(directory), {})
    cache.set("a", [1], timeout=100)
    cache.set("b", "text")
    keys = directory.parent / "keys"
    keys.write_text("a\nb\n")
    return keys


def test_import(site: Path, tmp_path: Path) -> None:
    given = (str(tmp_path / "old"), "--keys", str(old(tmp_path / "old")), "--alias", "remote")
    assert document("cacheimport", *given, "--dry-run")["remote"]["taken"] == 2
    assert len(cache()) == 0
    found = document("cacheimport", *given)["remote"]
    assert (found["taken"], found["evicted"], found["unfound"]) == (2, 0, 0)
    assert (cache().get("a"), cache().get("b")) == ([1], "text")
    assert document("cacheimport", *given)["remote"]["left"] == {"there already": 2}
    claim = cache()._cache.claim(HELD)
    with claim:
        assert document("cacheimport", *given)["remote"] == {"skipped": "another run is at it"}


def test_import_where_the_server_is_away(away: None, tmp_path: Path) -> None:
    given = (str(tmp_path / "old"), "--keys", str(old(tmp_path / "old")), "--alias", "away")
    with pytest.raises(CommandError, match=f"^away: {AWAY}$"):
        called("cacheimport", *given)
