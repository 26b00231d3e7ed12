"""`cachecopy` of deques and indexes: whole, in their order, and never twice."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_diskcache.engine import outgoing
from django_diskcache.engine.errors import Fault
from django_diskcache.management.commands.cachecopy import care_for
from django_diskcache.moving import ordered
from django_diskcache.moving.copying import Part
from django_diskcache.moving.sides import Side
from django_diskcache.server import carrying
from tests.server.clusters import clustered
from tests.server.servers import required, serving, until

from .conftest import patience
from .test_copy import BACKEND, WAYS, cache, copied, document, site

__all__ = ["site"]

VALUES = ["text", {"a": [1, None]}, b"bytes", 41, 1.5, None, (1, 2), "large" * 20_000, 41]
ITEMS = [("b", 1), ("a", {2}), (("t", 1), [3]), (7, "seven"), ("ä{}", b"4" * 100_000)]


def fill(alias: str) -> None:
    """A deque that was used at both ends, and an index that was moved about and has a queue."""
    deque = cache(alias).deque("tasks")
    deque.extend(["gone", *VALUES[3:]])
    deque.popleft()
    deque.extendleft(reversed(VALUES[:3]))
    index = cache(alias).index("in/dex")
    index.update(ITEMS[1:] + ITEMS[:1])
    index.move_to_end(ITEMS[0][0], last=False)
    index.push("first", "queue")
    index.push("second", "queue")


def items(alias: str) -> list[Any]:
    return list(cache(alias).index("in/dex").items())


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_all_of_it_in_order(site: Path, source: str, target: str) -> None:
    fill(source)
    cache(source).set("key", 1)

    text = copied(source, target)

    lines = text.splitlines()
    assert lines[0].startswith(f"{target}: 1 entry of {source} copied, ")
    assert lines[1].startswith(f"{target}: 9 values of deque 'tasks' copied, 1")
    assert lines[2].startswith(f"{target}: 7 items of index 'in/dex' copied, 1")
    assert len(lines) == 3
    for alias in (source, target):
        assert list(cache(alias).deque("tasks")) == VALUES
        assert items(alias)[:5] == ITEMS
    assert items(target) == items(source)
    assert cache(target).deque("tasks").popleft() == VALUES[0]
    assert cache(target).index("in/dex").pull("queue")[1] == "first"
    assert cache(source).deque("tasks").peekleft() == VALUES[0]


def test_there_and_back_through_a_cluster(site: Path, tmp_path: Path) -> None:
    required()
    with clustered(tmp_path / "cluster") as cluster:
        wait = {"database_timeout": patience()}
        entry = {"BACKEND": BACKEND, "LOCATION": cluster.urls, "OPTIONS": wait}
        with override_settings(CACHES={**settings.CACHES, "cluster": entry}):
            fill("default")
            for number in range(10):  # on all nodes
                cache().deque(f"deque-{number}").append(number)
            copied("default", "cluster")
            copied("cluster", "back")
            assert items("cluster") == items("back") == items("default")
            for alias in ("cluster", "back"):
                assert list(cache(alias).deque("tasks")) == VALUES
                found = [list(cache(alias).deque(f"deque-{n}")) for n in range(10)]
                assert found == [[n] for n in range(10)]
            cache("cluster").shutdown()


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_a_second_run_doubles_nothing(site: Path, source: str, target: str) -> None:
    fill(source)
    copied(source, target)
    cache(target).deque("tasks").append("mine")
    assert document(source, target)["elements"] == 16
    assert list(cache(target).deque("tasks")) == VALUES
    assert items(target) == items(source)


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_what_is_there_may_stay(site: Path, source: str, target: str) -> None:
    fill(source)
    cache(source).deque("other").append(1)
    cache(target).deque("tasks").append("mine")
    index = cache(target).index("in/dex")
    index["mine"] = index["a"] = "new"

    text = copied(source, target, "--no-overwrite")

    assert (
        f"{target}: 9 values of deque 'tasks' left out: 9 there already; {target} has one with "
        "values, which stays as it is\n"
    ) in text
    assert f"{target}: 1 value of deque 'other' copied, " in text
    assert f"{target}: 1 item of index 'in/dex' left out: 1 there already\n" in text
    assert list(cache(target).deque("tasks")) == ["mine"]
    assert list(cache(target).deque("other")) == [1]
    expected = [item for item in items(source) if item[0] != "a"]
    assert items(target) == [("mine", "new"), ("a", "new"), *expected]


@pytest.mark.parametrize("target", ["remote", "back"])
def test_what_is_added_while_it_runs_stays(
    site: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another adds to a deque of the target after the copy has looked."""
    real = ordered._refilling

    def late(*arguments: Any) -> Any:
        cache(target).deque("tasks").append("mine")
        return real(*arguments)

    monkeypatch.setattr(ordered, "_refilling", late)
    fill("default")
    found = document("default", target, "--no-overwrite")
    assert found["collections"][0]["left"] == {"there already": 9}
    assert list(cache(target).deque("tasks")) == ["mine"]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_nothing_in_a_deque_takes_nothing_away(site: Path, source: str, target: str) -> None:
    cache(source).deque("tasks").append(1)
    cache(source).deque("tasks").pop()
    cache(target).deque("tasks").append("mine")
    assert document(source, target)["elements"] == 0
    assert list(cache(target).deque("tasks")) == ["mine"]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_dry(site: Path, source: str, target: str) -> None:
    fill(source)
    cache(target).index("in/dex")["a"] = "mine"
    text = copied(source, target, "--dry-run")
    assert f"{target}: 9 values of deque 'tasks' would be copied, " in text
    assert f"{target}: 7 items of index 'in/dex' would be copied, " in text
    found = document(source, target, "--dry-run", "--no-overwrite")
    assert found["elements"] == 15
    assert items(target) == [("a", "mine")]
    assert not len(cache(target).deque("tasks"))


def test_a_dry_run_makes_no_collection(site: Path) -> None:
    fill("remote")
    cache("back").set("key", 1)
    assert document("remote", "back", "--dry-run")["elements"] == 16
    assert not (site / "back" / "deque").exists()
    assert not (site / "back" / "index").exists()


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_json(site: Path, source: str, target: str) -> None:
    cache(source).set("key", 1)
    cache(source).deque("tasks").extend("abc")
    found = document(source, target)
    size = found["collections"][0]["bytes"]
    assert found["copied"] == 1
    assert found["elements"] == 3
    assert size > 0
    assert found["collections"] == [
        {
            "kind": "deque",
            "name": "tasks",
            "cache": "",
            "complete": True,
            "copied": 3,
            "bytes": size,
            "left": {},
        }
    ]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_pages(site: Path, source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (outgoing, carrying):
        monkeypatch.setattr(module, "PAGE", 7)
        monkeypatch.setattr(module, "PAGE_BYTES", 1000)
    values = [f"{n}" * 100 if n % 5 else n for n in range(100)]
    cache(source).deque("tasks").extend(values)
    cache(source).index("in/dex").update((n, value) for n, value in enumerate(values))
    copied(source, target)
    assert list(cache(target).deque("tasks")) == values
    assert items(target) == list(enumerate(values))


# What does not come along


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_what_another_has_signed_is_told_and_stays(
    site: Path, source: str, target: str
) -> None:
    cache(source).deque("tasks").extend([[1], "text"])
    cache(source).index("in/dex").update({"pickle": [1], "text": "t"})
    with override_settings(SECRET_KEY="another"):
        del caches[source]
        cache(source).deque("tasks").append([2])
        out = io.StringIO()
        message = f"^{target}: 2 values of deques and indexes could not be copied$"
        with pytest.raises(CommandError, match=message) as error:
            call_command("cachecopy", source, target, stdout=out)
        assert error.value.returncode == 1
        line = f"{target}: 1 value of deque 'tasks' left out: 1 not signed by this site\n"
        assert line in out.getvalue()
        assert list(cache(target).deque("tasks")) == ["text", [2]]
        assert items(target) == [("text", "t")]
    del caches[source]
    assert cache(source).deque("tasks").peekleft() == [1]
    assert cache(source).index("in/dex")["pickle"] == [1]


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_what_is_all_foreign_takes_nothing_away(site: Path, source: str, target: str) -> None:
    cache(source).deque("tasks").append([1])
    with override_settings(SECRET_KEY="another"):
        del caches[source]
        cache(target).deque("tasks").append("mine")
        with pytest.raises(CommandError, match="1 value of deques and indexes could not be"):
            copied(source, target)
        assert list(cache(target).deque("tasks")) == ["mine"]


@pytest.mark.parametrize("target", ["json", "json on a server"])
def test_what_the_target_cannot_serialise_is_named(site: Path, target: str) -> None:
    options = {"serializer": "json", "server_name": "json", "database_timeout": patience()}
    places = {
        "json": site / "json",
        "json on a server": settings.CACHES["remote"]["LOCATION"],
    }
    made = {
        alias: {"BACKEND": BACKEND, "LOCATION": place, "OPTIONS": options}
        for alias, place in places.items()
    }
    with override_settings(CACHES={**settings.CACHES, **made}):
        cache().deque("tasks").extend([1, {2}, [3]])
        cache().index("in/dex").update({"a": 1, "b": {2}})
        out = io.StringIO()
        with pytest.raises(CommandError, match="2 values of deques and indexes could not be"):
            call_command("cachecopy", "default", target, stdout=out)
        assert f"{target}: refused value 1 of deque 'tasks': TypeError: " in out.getvalue()
        assert f"{target}: refused 'b' of index 'in/dex': TypeError: " in out.getvalue()
        assert list(cache(target).deque("tasks")) == [1, [3]]
        assert items(target) == [("a", 1)]


@pytest.mark.parametrize("source", ["default", "remote"])
def test_locks_in_an_index_stay(site: Path, source: str) -> None:
    index = cache(source).index("in/dex")
    index["lock:x"] = [1, [["holder", None]]]
    index["key"] = 1
    assert "1 item of index 'in/dex' left out: 1 of locks\n" in copied(source, "back")
    assert items("back") == [("key", 1)]


def test_what_expires_in_a_directory_goes_to_no_server(site: Path) -> None:
    """A collection on a server has nothing that ends; only by its cache can one be given it."""
    cache().index("in/dex").cache.set("key", 1, expire=60)
    cache().deque("tasks").cache.push(1, expire=60)
    with pytest.raises(CommandError, match="2 values of deques and indexes could not be"):
        copied("default", "remote", "-v", "0")
    assert document("default", "back")["elements"] == 2
    assert cache("back").index("in/dex").cache.get("key", expire_time=True)[1] is not None
    assert cache("back").deque("tasks").cache.peek(expire_time=True)[1] is not None


def test_a_name_that_no_directory_can_have(site: Path) -> None:
    cache("remote").deque("n" * 300).extend("ab")
    cache("remote").deque("tasks").append(1)
    with pytest.raises(CommandError, match="2 values of deques and indexes could not be"):
        copied("remote", "back", "-v", "0")
    assert list(cache("back").deque("tasks")) == [1]


def test_those_of_a_cache_in_it(site: Path) -> None:
    """Only on a server have caches in a cache any."""
    inner = cache("remote").cache("one")
    inner.deque("tasks").extend("ab")
    inner.index("in/dex")["a"] = 1
    copied("remote", "other")
    assert list(cache("other").cache("one").deque("tasks")) == ["a", "b"]
    assert dict(cache("other").cache("one").index("in/dex")) == {"a": 1}
    out = io.StringIO()
    for arguments in ([], ["--dry-run"]):
        with pytest.raises(CommandError, match="3 values of deques and indexes could not be"):
            call_command("cachecopy", "remote", "back", *arguments, stdout=out)
        assert (
            "back: refused all of deque 'tasks' of cache 'one': ValueError: a cache in a "
            "directory has no deque of its own\n"
        ) in out.getvalue()


def test_many_of_them_are_summed_up(site: Path) -> None:
    for number in range(25):
        cache("remote").deque(f"{number:02d}").extend("ab")
    lines = copied("remote", "other").splitlines()
    assert len(lines) == 22
    assert lines[-1] == "other: 10 of 5 more deques and indexes copied"
    lines = copied("remote", "other", "--no-overwrite").splitlines()
    assert len(lines) == 22
    assert lines[-1] == ("other: 10 of 5 more deques and indexes left out: 10 there already")


def test_many_of_them_keep_no_files_open(site: Path) -> None:
    for number in range(30):
        cache("remote").deque(f"{number:02d}").append(number)
    cache("back").set("key", 1)
    before = len(os.listdir("/dev/fd"))
    copied("remote", "back")
    copied("back", "remote")
    assert len(os.listdir("/dev/fd")) < before + 30


def test_those_that_are_passed_over_keep_no_files_open(site: Path) -> None:
    """The other side has refused them, so nothing is copied before the next is opened."""
    parts = [Part("deque", f"{number:02d}") for number in range(30)]
    for each in parts:
        cache().deque(each.name).append(1)
    cache().shutdown()
    with closing(Side(cache()._cache, True)) as side:
        before = len(os.listdir("/dev/fd"))
        known = []  # so that none is closed just because nobody knows it any more
        for each in parts:
            known.append(side.part(each))
            assert known[-1].engine.count() == 1
        # One file of each may be open as long as it is known, but not those of its database.
        assert len(os.listdir("/dev/fd")) < before + 2 * len(known)


# Trouble


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Has the copy of a deque end by an exception, after its first page."""

    def after_one(kind: type[BaseException]) -> None:
        real = ordered._pages

        def pages(source: Any) -> Iterator[Any]:
            yield next(real(source))
            raise kind

        monkeypatch.setattr(ordered, "_pages", pages)

    monkeypatch.setattr(outgoing, "PAGE", 3)
    monkeypatch.setattr(carrying, "PAGE", 3)
    return after_one


@pytest.mark.parametrize(("source", "target"), WAYS)
@pytest.mark.parametrize("there", [["mine"], []])
def test_an_interrupt_leaves_a_deque_as_it_was(
    site: Path,
    source: str,
    target: str,
    there: list[str],
    interrupted: Callable[[type], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(source)
    cache(target).deque("tasks").extend(there)
    with monkeypatch.context():
        interrupted(KeyboardInterrupt)
        with pytest.raises(CommandError, match=r"^Interrupted; run it again, with") as error:
            copied(source, target)
    assert error.value.returncode == 130
    assert list(cache(target).deque("tasks")) == there
    monkeypatch.undo()
    copied(source, target, "--no-overwrite")
    assert list(cache(target).deque("tasks")) == (there or VALUES)
    assert items(target) == items(source)


def test_nothing_of_an_interrupted_run_is_left_on_a_server(
    site: Path, interrupted: Callable[[type], None]
) -> None:
    cache().deque("tasks").extend(VALUES)
    interrupted(KeyboardInterrupt)
    with pytest.raises(CommandError, match=r"^Interrupted"):
        copied("default", "remote")
    assert cache("remote")._cache.collections() == []  # type: ignore[attr-defined]
    names = cache("remote")._cache.names()  # type: ignore[attr-defined]
    assert names == 0


def test_a_damaged_deque_is_told_put_aside_and_passed_over_next_time(site: Path) -> None:
    cache().set("key", 1)
    cache().deque("bad").extend(range(1000))
    cache().deque("tasks").extend("abc")
    cache().deque("bad").cache.close()
    (path,) = (site / "default" / "deque" / "bad").glob("*.sqlite3")
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(CommandError, match=r"bad.*\(corrupt\); see to that and run it again"):
        copied("default", "remote")
    found = document("default", "remote")
    assert found["elements"] == 3
    assert list(cache("remote").deque("tasks")) == list("abc")


def test_a_deque_that_is_damaged_when_it_is_opened_is_told(site: Path) -> None:
    """It begins anew then, empty: nobody is to take that for all there was.

    What comes before it is copied all the same.
    """
    cache().set("key", 1)
    cache().deque("all").extend("ab")
    cache().deque("bad").extend(range(10))
    cache().deque("tasks").extend("abc")
    cache().shutdown()
    # This process still knows those that it has made. Of what is elsewhere it knows nothing.
    shutil.copytree(site / "default", site / "moved")
    (path,) = (site / "moved" / "deque" / "bad").glob("*.sqlite3")
    path.write_bytes(os.urandom(20_000))
    moved = {**settings.CACHES["default"], "LOCATION": site / "moved"}
    with override_settings(CACHES={**settings.CACHES, "moved": moved}):
        told = r"moved.deque.bad.*\(corrupt\); see to that and run it again"
        with pytest.raises(CommandError, match=told):
            copied("moved", "remote")
        assert cache("remote").get("key") == 1
        assert list(cache("remote").deque("all")) == list("ab")
        assert cache("moved").deque("bad").cache.faults()["corrupt"] == 1
        assert document("moved", "remote")["elements"] == 5
        assert list(cache("remote").deque("tasks")) == list("abc")


def test_a_fault_is_counted_where_it_was_met(site: Path) -> None:
    """And not by another cache, whose directory has a name that the other's begins with."""
    longer = {**settings.CACHES["default"], "LOCATION": site / "default2"}
    with override_settings(CACHES={**settings.CACHES, "longer": longer}):
        both = cache(), cache("longer")
        faces = [each._cache for each in both]
        for path in (site / "default2" / "000" / "cache.sqlite3", site / "default2"):
            care_for(faces, Fault("lost", str(path), "it is gone"))
        assert [each._cache.faults()["lost"] for each in both] == [0, 2]


def test_a_server_that_is_full_keeps_what_it_had(site: Path, tmp_path: Path) -> None:
    required()
    cache().deque("tasks").extend(bytes(40_000) + bytes([n % 256]) for n in range(500))
    limit = ("--maxmemory", "12mb", "--maxmemory-policy", "noeviction")
    with serving(tmp_path / "full", *limit) as server:
        wait = {"database_timeout": patience()}
        full = {"BACKEND": BACKEND, "LOCATION": server.url, "OPTIONS": wait}
        with override_settings(CACHES={**settings.CACHES, "full": full}):
            cache("full").deque("tasks").append("mine")
            with pytest.raises(CommandError, match=r"\(full\)$"):
                copied("default", "full")
            assert list(cache("full").deque("tasks")) == ["mine"]
            assert cache("full")._cache.names() < 4  # type: ignore[attr-defined]
            cache("full").shutdown()


@pytest.mark.parametrize(("source", "target"), [("default", "own"), ("own", "back")])
def test_a_server_that_is_killed_meanwhile(
    site: Path,
    tmp_path: Path,
    source: str,
    target: str,
    interrupted: Callable[[type], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    required()
    with serving(tmp_path / "own") as server:
        options = {"database_timeout": patience()}
        own = {"BACKEND": BACKEND, "LOCATION": server.url, "OPTIONS": options}
        with override_settings(CACHES={**settings.CACHES, "own": own}):
            fill(source)
            if target == "back":
                cache("back").deque("tasks").append("mine")
            real = ordered._pages

            def pages(source: Any) -> Iterator[Any]:
                found = real(source)
                yield next(found)
                server.kill()
                yield from found

            with monkeypatch.context() as patched:
                patched.setattr(ordered, "_pages", pages)
                out = io.StringIO()
                with pytest.raises(CommandError, match=r"\(lost\)$") as error:
                    call_command("cachecopy", source, target, stdout=out)
            where = server.url.removesuffix("/0")
            assert str(error.value).startswith(f"{target}: {where}: ")
            assert out.getvalue() == (
                f"{target}: 0 entries of {source} copied, 0 bytes\n"
                f"{target}: deque 'tasks' of {source} is not complete, and stays as it was "
                "there\n"
            )
            if target == "back":
                assert list(cache("back").deque("tasks")) == ["mine"]
            else:
                server.start()
                until(lambda: _is_there("own"), "the server")
                copied("default", "own", "--no-overwrite")
                assert list(cache("own").deque("tasks")) == VALUES
            cache("own").shutdown()


def _is_there(alias: str) -> bool:
    """Whether the server of an alias is asked again."""
    return cache(alias).set("key", 1)
