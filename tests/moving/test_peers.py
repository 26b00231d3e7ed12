"""Directories that the real python-diskcache and its fork have made, and processes that end."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings

from django_diskcache import DjangoCache
from django_diskcache.moving import harmless
from django_diskcache.moving.predecessor import Source, collections, shards
from django_diskcache.opened import forget
from tests.django.test_import import state

pytestmark = pytest.mark.long
PEERS = ("diskcache", "diskcache_community")
SITE = """
    import sys
    from django.conf import settings
    settings.configure(
        SECRET_KEY="{secret}", INSTALLED_APPS=["django_diskcache"],
        CACHES={"default": {
            "BACKEND": "django_diskcache.DjangoCache", "LOCATION": sys.argv[1],
        }},
    )
    import django
    django.setup()
    from django.core.management import call_command
"""
IMPORTING = """
    print("begun", flush=True)
    call_command("cacheimport", sys.argv[2])
"""


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = pytest.importorskip(request.param)
    return module


@pytest.fixture
def new(tmp_path: Path) -> Iterator[DjangoCache]:
    cache = DjangoCache(tmp_path / "new", {})
    yield cache
    forget(cache._cache.engine)


def script(text: str, *arguments: Any, site: bool = True) -> list[str]:
    """The command of a process that runs `text`."""
    code = textwrap.dedent(text)
    if site:
        code = textwrap.dedent(SITE).replace("{secret}", settings.SECRET_KEY) + code
    return [sys.executable, "-c", code, *map(str, arguments)]


def run(text: str, *arguments: Any, site: bool = True) -> str:
    done = subprocess.run(
        script(text, *arguments, site=site), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backend_with_all_it_has(peer: ModuleType, tmp_path: Path, new: DjangoCache) -> None:
    backend = importlib.import_module(f"{peer.__name__}.djangocache").DjangoCache
    old = backend(str(tmp_path / "old"), {"SHARDS": 3})
    values: dict[str, Any] = {f"key-{n}": {"id": n, "title": "x" * n} for n in range(300)}
    values |= {"text": "äöü", "large": "line\n" * 50_000, "bytes": b"x" * 100_000, "float": 1.5}
    for key, value in values.items():
        old.set(key, value, timeout=1000, tag="t")
    old.set("ever", None, timeout=None)
    old.set("gone", 1, timeout=-1)
    old.set("range", range(3))
    with open(__file__, "rb") as source:
        old.set("file", source, read=True)
    deque, index = old.deque("tasks"), old.index("scores")
    deque.extend(range(100))
    deque.rotate(30)
    deque.appendleft({"first"})
    for name in ("z", "a", ("t", 1)):
        index[name] = name
    index["z"] = "again"
    sub = old.cache("sub")
    sub.set("key", [1], tag="s")
    sub.push("queued")
    expected = list(deque), list(index.items())
    for each in (sub, deque._cache, index._cache, old):
        each.close()
    before = state(tmp_path / "old")
    printed = run(
        'call_command("cacheimport", sys.argv[2])', tmp_path / "new", tmp_path / "old"
    )
    assert state(tmp_path / "old") == before
    assert "default: 412 entries taken" in printed
    assert "1 not trusted" in printed
    assert "builtins.range" in printed
    assert new.get_many(values) == values
    assert new.get("ever", "missing", expire_time=True) == (None, None)
    value, due, tag = new.get("key-1", expire_time=True, tag=True)
    assert tag == "t"
    assert 800 < due - time.time() <= 1000
    with new.read("file") as file:
        assert file.read() == Path(__file__).read_bytes()
    assert (list(new.deque("tasks")), list(new.index("scores").items())) == expected
    assert new.cache("sub").get("key", tag=True) == ([1], "s")
    assert new.cache("sub").pull()[1] == "queued"


def test_json_disk(peer: ModuleType, tmp_path: Path) -> None:
    with peer.Cache(str(tmp_path / "old"), disk=peer.JSONDisk, disk_compress_level=6) as old:
        old["key"] = {"a": [1, None]}
        old["t", 1] = "x" * 100_000
        with open(__file__, "rb") as file:
            old.set("file", file, read=True)
    source = Source(str(tmp_path / "old"), harmless.loads)
    found = {}
    for row in source.entries():
        key = source.key(row)
        found[key] = source.value(row)
    source.close()
    assert found == {
        "key": ({"a": [1, None]}, False),
        ("t", 1): ("x" * 100_000, False),
        "file": (Path(__file__).read_bytes(), False),
    }


def test_what_is_found_where(peer: ModuleType, tmp_path: Path) -> None:
    old = peer.FanoutCache(str(tmp_path / "old"), shards=11)
    old.set("a", 1)
    for name in ("one", "one/inner", "aa"):
        old.deque(name).append(1)
    assert len(shards(str(tmp_path / "old"))) == 11
    assert [place[1:] for place in collections(str(tmp_path / "old"))] == [
        ("deque", "aa"),
        ("deque", "one"),
        ("deque", "one/inner"),
    ]
    for name in ("one", "one/inner", "aa"):
        old.deque(name)._cache.close()
    old.close()


WRITING = """
    import importlib, sys, time
    cache = importlib.import_module(sys.argv[1]).FanoutCache(sys.argv[2], shards=2)
    for number in range(1000):
        cache.set(f":1:{number}", number)
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
        number += 1
        cache.set(f":1:{number}", number)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_directory_in_use(
    killed: bool, peer: ModuleType, tmp_path: Path, new: DjangoCache
) -> None:
    """What is only in the log is taken as well, and nothing is moved out of it."""
    command = script(WRITING, peer.__name__, tmp_path / "old", site=False)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            if killed:
                writer.kill()
                writer.wait()
            before = state(tmp_path / "old")
            run('call_command("cacheimport", sys.argv[2])', tmp_path / "new", tmp_path / "old")
            after = state(tmp_path / "old")
        finally:
            writer.kill()
    assert new.get_many(range(1000)) == {n: n for n in range(1000)}
    if killed:
        for path in before | after:
            assert path.endswith("-shm") or before[path] == after[path], path


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_is_ended_goes_on(
    sent: signal.Signals, tmp_path: Path, new: DjangoCache
) -> None:
    peer = pytest.importorskip("diskcache")
    old = peer.FanoutCache(str(tmp_path / "old"), shards=2)
    values = {f"{n}": {"id": n, "text": "x" * 200} for n in range(8000)}
    for key, value in values.items():
        old.set(f":1:{key}", value)
    index = old.index("i")
    index.update((n, [n]) for n in range(3000))
    index._cache.close()
    old.close()
    before = state(tmp_path / "old")
    reached = 0
    for least in (500, 4000, 8100):  # among the entries, and in the index
        command = script(IMPORTING, tmp_path / "new", tmp_path / "old")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as importing:
            assert importing.stdout is not None
            assert importing.stderr is not None
            assert importing.stdout.readline() == "begun\n"
            while importing.poll() is None and reached < min(least, 8000):
                reached = len(new)
            importing.send_signal(sent)
            error = importing.stderr.read()
        if sent == signal.SIGINT and importing.returncode:
            assert "run it again" in error or "KeyboardInterrupt" in error
    run('call_command("cacheimport", sys.argv[2])', tmp_path / "new", tmp_path / "old")
    assert new.get_many(values) == values
    assert list(new.index("i").items()) == [(n, [n]) for n in range(3000)]
    assert [each.message for each in new.check() if "unknown file" not in str(each)] == []
    assert state(tmp_path / "old") == before
    assert os.path.isdir(tmp_path / "new")
