"""`cachecopy`: from a directory to a server and back, between two alike; what it refuses."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_diskcache import DjangoCache
from django_diskcache.engine.errors import TooLarge
from django_diskcache.management.shared import HELD, held
from django_diskcache.moving import copying
from tests.server.servers import Server, required, serving

from .conftest import FakeClock, patience

BACKEND = "django_diskcache.DjangoCache"
WAYS = (("default", "remote"), ("remote", "default"), ("default", "back"), ("remote", "other"))


@pytest.fixture
def site(tmp_path: Path, server: Server, clock: FakeClock) -> Iterator[Path]:
    """Two caches in directories and two on a server; the directory of the first two."""
    files = {"BACKEND": BACKEND, "OPTIONS": {"size_limit": "60MB", "shards": 2}}
    wait = {"database_timeout": patience()}
    remote = {"BACKEND": BACKEND, "LOCATION": server.url, "OPTIONS": wait}
    entries = {
        "default": {**files, "LOCATION": tmp_path / "default"},
        "back": {**files, "LOCATION": tmp_path / "back"},
        "remote": remote,
        "other": {**remote, "OPTIONS": {**wait, "server_name": "other", "compression": "zlib"}},
        "prefixed": {
            **remote,
            "KEY_PREFIX": "p",
            "OPTIONS": {**wait, "server_name": "prefixed"},
        },
        "away": {**remote, "LOCATION": "valkey://user:secret@127.0.0.1:1/0"},
    }
    with override_settings(CACHES=entries, SECRET_KEY="only for tests"):
        yield tmp_path


def cache(alias: str = "default") -> DjangoCache:
    found = caches[alias]
    assert isinstance(found, DjangoCache)
    return found


def copied(*arguments: str, **options: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("cachecopy", *arguments, stdout=out, **options)
    return out.getvalue()


def document(*arguments: str) -> dict[str, Any]:
    """The figures in the one JSON document that it prints."""
    text = copied(*arguments, "--json")
    assert text.count("\n") == 1
    (found,) = json.loads(text).values()
    return dict(found)


def fill(cache: DjangoCache) -> None:
    """One entry of each kind."""
    cache.set("text", "ä", timeout=60)
    cache.set("forever", {"a": [1, None]}, timeout=None, tag="one")
    cache.set("tagged", {1, 2}, timeout=100.5, tag=("one", 2, b"three"))
    cache.set("large", os.urandom(300_000), tag="one")
    cache.set("large-text", "ü" * 200_000)
    cache.set("large-pickle", list(range(100_000)))
    cache.set("number", 41, timeout=1000)
    cache.set("version", 1.5, version=2)
    cache._cache.set(("a", 1), None)
    cache._cache.set(7, "whole")
    cache._cache.set(b"bytes", b"bytes")
    cache.cache("sub").set("x", "y", expire=30, tag="t")
    cache.cache("deep/er").set("z", 1)


def entries(cache: Any) -> dict[Any, Any]:
    """All that a cache has, by key: value, expire time, tag."""
    return {key: cache.get(key, expire_time=True, tag=True) for key in cache}


# There and back


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_all_of_it(site: Path, source: str, target: str) -> None:
    fill(cache(source))
    expected = entries(cache(source)._cache)

    assert copied(source, target).startswith(f"{target}: 13 entries of {source} copied, ")

    assert len(expected) == 11
    assert entries(cache(target)._cache) == expected
    assert entries(cache(target).cache("sub")) == entries(cache(source).cache("sub")) != {}
    assert cache(target).cache("deep/er").get("z") == 1
    assert cache(target).incr("number") == 42
    assert cache(target)._cache.evict(2) == 1
    assert cache(target)._cache.evict("one") == 2
    assert entries(cache(source)._cache) == expected


def test_there_and_back_is_what_it_was(site: Path) -> None:
    fill(cache())
    copied("default", "remote")
    copied("remote", "back")
    assert entries(cache("back")._cache) == entries(cache()._cache)


@pytest.mark.parametrize("source", ["default", "remote"])
def test_a_copy_is_no_read(site: Path, source: str) -> None:
    cache(source).set("key", 1)
    copied(source, "back")
    assert cache(source).stats() == (0, 0)


def test_this_process_sees_what_was_copied_at_once(site: Path) -> None:
    cache("remote").set("key", "old")
    assert cache("remote").get("key") == "old"
    cache().set("key", "new")
    copied("default", "remote")
    assert cache("remote").get("key") == "new"


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_what_is_there_may_stay(site: Path, source: str, target: str) -> None:
    cache(source).set("a", "old")
    cache(source).set("b", "old")
    cache(source).set("c", "old", tag="tag")
    cache(target).set("a", "new", tag="mine")
    cache(target).set("c", "new")

    found = document(source, target, "--no-overwrite")

    assert (found["copied"], found["left"], found["refused"]) == (1, {"there already": 2}, 0)
    assert cache(target).get_many("abc") == {"a": "new", "b": "old", "c": "new"}
    assert cache(target)._cache.get(":1:a", tag=True) == ("new", "mine")
    assert document(source, target)["copied"] == 3
    assert cache(target).get_many("abc") == {"a": "old", "b": "old", "c": "old"}


@pytest.mark.parametrize(("source", "target"), WAYS[:2])
def test_what_is_stored_while_it_runs_stays(
    site: Path, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stores between the read of a page and its storing."""
    real = copying._put

    def late(page: Any, into: Any, overwrite: bool, *rest: Any) -> None:
        for entry in page.entries:
            cache(target)._cache.set(entry.key, "newer")
        real(page, into, overwrite, *rest)

    monkeypatch.setattr(copying, "_put", late)
    for key in "abc":
        cache(source).set(key, "older", tag="tag" if key == "b" else None)
    found = document(source, target, "--no-overwrite")
    assert (found["copied"], found["left"]) == (0, {"there already": 3})
    assert set(cache(target).get_many("abc").values()) == {"newer"}
    document(source, target)
    assert set(cache(target).get_many("abc").values()) == {"older"}


def test_what_expires_does_not_come(site: Path, clock: FakeClock) -> None:
    cache().set("short", 1, timeout=5)
    cache().set("long", 1, timeout=50)
    clock.advance(10)
    assert document("default", "remote")["left"] == {"expired": 1}
    assert entries(cache("remote")._cache) == {":1:long": (1, clock() + 40, None)}


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_dry(site: Path, source: str, target: str) -> None:
    cache(source).set("a", 1)
    cache(source).set("b", 2)
    cache(source).cache("sub").set("c", 3)
    cache(target).set("a", "there", timeout=None)
    text = copied(source, target, "--dry-run")
    assert text.startswith(f"{target}: 3 entries of {source} would be copied, ")
    assert document(source, target, "--dry-run", "--no-overwrite")["copied"] == 2
    assert entries(cache(target)._cache) == {":1:a": ("there", None, None)}
    assert entries(cache(target).cache("sub")) == {}


def test_a_dry_run_makes_no_directory(site: Path) -> None:
    cache("remote").set("a", 1)
    assert document("remote", "back", "--dry-run")["copied"] == 1
    assert not (site / "back").exists()


# What does not come along


@pytest.mark.parametrize(("source", "target"), WAYS[:2])
def test_what_another_has_signed_is_told_and_stays(
    site: Path, source: str, target: str
) -> None:
    cache(source).set("pickle", [1])
    cache(source).set("text", "t")
    with override_settings(SECRET_KEY="another"):
        del caches[source]
        with pytest.raises(CommandError, match=f"^{target}: 1 entry could not be copied$"):
            copied(source, target)
        out = io.StringIO()
        with pytest.raises(CommandError) as error:
            call_command("cachecopy", source, target, "--json", stdout=out)
        assert error.value.returncode == 1
        assert json.loads(out.getvalue())[target]["left"] == {"not signed by this site": 1}
    del caches[source]
    assert cache(source).get("pickle") == [1]
    assert list(cache(target)._cache) == [":1:text"]


@pytest.mark.parametrize("source", ["default", "remote"])
def test_locks_stay_and_limits_come(site: Path, source: str) -> None:
    assert cache(source).lock("lock").acquire()
    assert cache(source).once_per("job", 100)
    cache(source).set("lock:ing", 5)
    text = copied(source, "back")
    assert "back: 1 entry left out: 1 of locks\n" in text
    assert f"back: who holds a lock gives it back in {source}\n" in text
    assert not cache("back").lock("lock").locked()
    assert not cache("back").once_per("job", 100)
    assert cache("back").get("lock:ing") == 5


def test_what_is_too_large_for_a_directory(site: Path) -> None:
    cache("remote").set("large", bytes(3_000_000))
    cache("remote").set("small", 1)
    small = {"BACKEND": BACKEND, "LOCATION": site / "small", "OPTIONS": {"size_limit": "2MB"}}
    with override_settings(CACHES={**settings.CACHES, "small": small}):
        out = io.StringIO()
        with pytest.raises(CommandError, match="1 entry could not be copied"):
            call_command("cachecopy", "remote", "small", stdout=out)
        assert "left out: 1 too large\n" in out.getvalue()
        assert f"small: refused ':1:large': {TooLarge.__name__}: " in out.getvalue()
        assert cache("small").get("small") == 1


def test_what_is_evicted_meanwhile_is_told(site: Path) -> None:
    for number in range(100):
        cache("remote").set(f"{number}", os.urandom(50_000))
    small = {"BACKEND": BACKEND, "LOCATION": site / "small", "OPTIONS": {"size_limit": "2MB"}}
    with override_settings(CACHES={**settings.CACHES, "small": small}):
        lines = copied("remote", "small").splitlines()
        gone = 100 - len(cache("small")._cache)
    assert gone > 0
    assert lines[1] == (
        f"small: {gone} entries evicted meanwhile: its size_limit is too small for all"
    )


def test_what_a_server_does_not_take(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_diskcache.server.bulk.LARGEST", 1000)
    cache().set("large", bytes(3000))
    cache().set("tags", 1, tag=["t" * 1000 + str(n) for n in range(100)])
    cache().set("small", 1)
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 entries could not be copied"):
        call_command("cachecopy", "default", "remote", stdout=out)
    assert "left out: 1 too large, 1 refused\n" in out.getvalue()
    assert list(cache("remote")._cache) == [":1:small"]


def test_keys_that_are_not_looked_for(site: Path) -> None:
    cache("remote").set("a", 1)
    line = "keys stay as they are, ':1:KEY' for remote, and prefixed looks for 'p:1:KEY'"
    assert line in copied("remote", "prefixed")
    assert document("remote", "prefixed")["warning"].startswith(line)
    assert document("remote", "back")["warning"] == ""


# What makes no sense, and trouble


def test_the_same_cache_twice(site: Path, server: Server) -> None:
    with pytest.raises(CommandError, match=r"^FROM and TO are both 'remote': there is nothing"):
        copied("remote", "remote")
    (site / "default").mkdir()
    (site / "link").symlink_to(site / "default")
    same = {
        "link": {"BACKEND": BACKEND, "LOCATION": site / "link"},
        "by name": {"BACKEND": BACKEND, "LOCATION": f"redis://localhost:{server.port}"},
    }
    with override_settings(CACHES={**settings.CACHES, **same}):
        for one, other in (("default", "link"), ("remote", "by name")):
            message = f"^'{one}' and '{other}' are the same cache, at "
            with pytest.raises(CommandError, match=message):
                copied(one, other)


def test_an_alias_that_is_not_ours(site: Path) -> None:
    for given in (("nope", "remote"), ("remote", "nope")):
        with pytest.raises(CommandError, match=r"^'nope' is not a cache of this site; those "):
            copied(*given)


def test_a_source_that_is_not_there(site: Path) -> None:
    assert copied("back", "remote") == f"remote: skipped, {site / 'back'} is not there yet\n"
    assert not (site / "back").exists()


@pytest.mark.parametrize("given", [("away", "default"), ("default", "away")])
def test_a_server_that_is_away(
    site: Path, given: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    cache().set("key", 1)
    out = io.StringIO()
    message = re.escape(f"{given[1]}: valkey://127.0.0.1:1: ")
    with pytest.raises(CommandError, match=f"^{message}.*refused.* \\(lost\\)$"):
        call_command("cachecopy", *given, stdout=out)
    assert (out.getvalue(), caplog.messages) == ("", [])


def test_a_server_that_is_full(site: Path, tmp_path: Path) -> None:
    required()
    cache().set_many({f"{n}": os.urandom(40_000) for n in range(500)})
    limit = ("--maxmemory", "12mb", "--maxmemory-policy", "noeviction")
    with serving(tmp_path / "full", *limit) as server:
        wait = {"database_timeout": patience()}
        full = {"BACKEND": BACKEND, "LOCATION": server.url, "OPTIONS": wait}
        with override_settings(CACHES={**settings.CACHES, "full": full}):
            out = io.StringIO()
            with pytest.raises(CommandError, match=r"\(full\); see to that and run it again"):
                call_command("cachecopy", "default", "full", stdout=out)
            assert 0 < len(cache("full")._cache) < 500
            assert re.match(r"full: \d+ entries of default copied", out.getvalue())
            cache("full").shutdown()


def test_one_run_at_a_time(site: Path) -> None:
    cache().set("key", 1)
    cache("remote").set("other", 1)
    claim = cache("remote")._cache.claim(HELD)
    with claim:
        assert document("default", "remote") == {"skipped": "another run is at it"}
    assert document("default", "remote")["copied"] == 1
    cache("back").set("key", 1)
    with held(str(site / "back")):
        assert copied("remote", "back") == "back: skipped, another run is at it\n"


def test_an_interrupt(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache().set_many({f"{n}": n for n in range(50)})
    real = copying.copy

    def interrupted(*arguments: Any) -> Iterator[Any]:
        yield next(real(*arguments))  # one shard of two
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(copying, "copy", interrupted)
        with pytest.raises(CommandError, match=r"^Interrupted; run it again, with") as error:
            copied("default", "remote")
    assert error.value.returncode == 130
    there = len(cache("remote")._cache)
    assert 0 < there < 50
    found = document("default", "remote", "--no-overwrite")
    assert (found["copied"], found["left"]) == (50 - there, {"there already": there})
