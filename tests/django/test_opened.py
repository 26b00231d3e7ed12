"""Backend objects of one entry in CACHES share what it stands for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import CacheKeyWarning

from django_diskcache import DjangoCache, opened
from tests.django.conftest import FakeClock


def shared(first: DjangoCache, second: DjangoCache) -> bool:
    return first._cache is second._cache


@pytest.mark.parametrize("kind", [str, Path])
def test_one_entry_is_read_once(tmp_path: Path, kind: Any) -> None:
    location = kind(tmp_path / "c")
    params: dict[str, Any] = {"TIMEOUT": 5, "OPTIONS": {"shards": 2}}
    first = DjangoCache(location, dict(params))
    assert shared(first, DjangoCache(location, dict(params)))
    assert not shared(first, DjangoCache(location, {**params, "TIMEOUT": 6}))
    assert not shared(first, DjangoCache(location, {**params, "OPTIONS": {"shards": 3}}))
    assert not shared(first, DjangoCache(kind(tmp_path / "d"), dict(params)))


def test_settings_that_change_in_place(tmp_path: Path) -> None:
    options: dict[str, Any] = {"statistics": 0}
    first = DjangoCache(str(tmp_path), {"OPTIONS": options})
    options["statistics"] = 1
    second = DjangoCache(str(tmp_path), {"OPTIONS": options})
    assert not shared(first, second)
    assert second._cache.engine.settings["statistics"] == 1


def test_a_relative_location_is_that_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert DjangoCache("c", {}).directory == str(tmp_path / name / "c")
    monkeypatch.setenv("SITE", str(tmp_path / "three"))
    assert DjangoCache("$SITE/c", {}).directory == str(tmp_path / "three" / "c")
    monkeypatch.setenv("SITE", str(tmp_path / "four"))
    assert DjangoCache("$SITE/c", {}).directory == str(tmp_path / "four" / "c")


def test_a_new_object_notices_a_lost_directory(tmp_path: Path, clock: FakeClock) -> None:
    location = tmp_path / "c"
    first = DjangoCache(str(location), {})
    first.set("key", 1)
    location.rename(tmp_path / "elsewhere")
    clock.advance(1)
    second = DjangoCache(str(location), {})
    assert second.get("key") is None
    second.set("key", 2)
    assert (location / "segment").exists()
    assert first.get("key") == 2


def test_an_engine_can_be_forgotten(tmp_path: Path) -> None:
    first = DjangoCache(str(tmp_path), {})
    engine = first._cache.engine
    assert engine in opened.engines()
    opened.forget(engine)
    assert engine not in opened.engines()
    assert not shared(first, DjangoCache(str(tmp_path), {}))


def test_a_key_that_warns_does_so_each_time(tmp_path: Path) -> None:
    cache = DjangoCache(str(tmp_path), {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cache.set("a key", 1)
    for _ in range(3):
        with pytest.warns(CacheKeyWarning):
            assert cache.get("a key") == 1
        with pytest.warns(CacheKeyWarning):
            assert cache.get_many(["a key", "other"]) == {"a key": 1}
