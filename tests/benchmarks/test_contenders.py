from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache

from benchmarks import Refused, contenders
from benchmarks.contenders import FILEBASED, LOCMEM, OURS, Contender, find, running


class Small(LocMemCache):
    """A backend that replay does not know, of a kind that it does."""


def test_names_and_dotted_paths() -> None:
    assert find("locmem") is LOCMEM
    assert find("django.core.cache.backends.locmem.LocMemCache") is LOCMEM
    assert find("django.core.cache.backends.dummy.DummyCache").backend() is DummyCache


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("locmen", "there is no backend 'locmen'; it is one of django_diskcache,"),
        ("no.such.Cache", "cannot import the backend no.such.Cache: No module named 'no'"),
        ("os.path.join", "os.path.join is no cache backend"),
    ],
)
def test_a_backend_that_is_not_there(name: str, complaint: str) -> None:
    with pytest.raises(Refused) as caught:
        find(name).backend()
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("contender", [LOCMEM, FILEBASED])
def test_all_keys_fit_into_djangos_backends(contender: Contender, tmp_path: Path) -> None:
    with running(contender, tmp_path / "cache", keys=400) as run:
        assert run.limits == "MAX_ENTRIES 401 (room for all keys; Django's default is 300)"
        for key in range(400):
            run.cache.set(str(key), b"value")
        assert all(run.cache.get(str(key)) for key in range(400))


def test_all_keys_fit_into_a_backend_made_from_djangos(tmp_path: Path) -> None:
    path = f"{__name__}.Small"
    with running(find(path), tmp_path / "cache", keys=400) as run:
        assert run.limits.startswith("MAX_ENTRIES 401 ")


def test_the_limit_asked_for_is_in_force(tmp_path: Path) -> None:
    with running(LOCMEM, tmp_path / "locmem", keys=400, capacity=50) as run:
        assert run.limits == "MAX_ENTRIES 50"
    with running(LOCMEM, tmp_path / "locmem", keys=400, options={"MAX_ENTRIES": 60}) as run:
        assert run.limits == "MAX_ENTRIES 60"
    with running(OURS, tmp_path / "ours", keys=400, capacity=50) as run:
        assert run.limits == "MAX_ENTRIES 50, size_limit 1.07 GB"
        for key in range(400):
            run.cache.set(str(key), b"value")
        assert sum(run.cache.get(str(key)) is not None for key in range(400)) <= 50


def test_ours_by_its_options(tmp_path: Path) -> None:
    with running(OURS, tmp_path / "ours", keys=1, options={"size_limit": "64MB"}) as run:
        assert run.limits == "no limit on entries, size_limit 64.00 MB"
        assert run.version


def test_an_option_that_ours_does_not_take(tmp_path: Path) -> None:
    with (
        pytest.raises(Refused, match=r"django_diskcache cannot be opened: .*size_limt"),
        running(OURS, tmp_path / "ours", keys=1, options={"size_limt": 5}),
    ):
        pass


def test_a_timeout_is_passed_on(tmp_path: Path) -> None:
    def default_timeout(timeout: float | None) -> object:
        with running(LOCMEM, tmp_path, keys=1, timeout=timeout) as run:
            assert isinstance(run.cache, BaseCache)
            return run.cache.default_timeout

    assert default_timeout(None) is None
    assert default_timeout(60) == 60


def test_the_volume_is_what_the_directory_takes(tmp_path: Path) -> None:
    with running(OURS, tmp_path / "ours", keys=1) as run:
        run.cache.set("key", os.urandom(100_000))
        volume = run.volume()
        assert volume is not None
        assert volume > 100_000
    with running(LOCMEM, tmp_path / "locmem", keys=1) as run:
        assert run.volume() is None


def test_disk_usage_counts_blocks_of_files_and_directories(tmp_path: Path) -> None:
    before = contenders.disk_usage(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(20_000))
    expected = sum(path.lstat().st_blocks * 512 for path in (tmp_path, *tmp_path.rglob("*")))
    assert contenders.disk_usage(tmp_path) == expected >= before + 20_000


def test_a_directory_that_holds_something_is_warm(tmp_path: Path) -> None:
    with running(OURS, tmp_path / "ours", keys=1) as run:
        assert not run.warm
        run.cache.set("key", b"value")
    with running(OURS, tmp_path / "ours", keys=1) as run:
        assert run.warm
        assert run.cache.get("key") == b"value"


def test_what_is_in_memory_is_gone_afterwards(tmp_path: Path) -> None:
    with running(LOCMEM, tmp_path, keys=1) as run:
        run.cache.set("key", b"value")
    with running(LOCMEM, tmp_path, keys=1) as run:
        assert run.cache.get("key") is None
