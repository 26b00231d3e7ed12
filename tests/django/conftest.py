"""Caches for the tests of the Django face, each in a directory of its own.

The backend keeps an engine for as long as the process lives. Here each test's engines are
closed and forgotten at its end: else hundreds of them would hold their files open.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache

from django_diskcache import DjangoCache, opened

MakeCache: TypeAlias = Callable[..., DjangoCache]
MakeAny: TypeAlias = Callable[..., BaseCache]


class FakeClock:
    """What `time.time` returns; it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The time of day, for our backend and for Django's alike."""
    fake = FakeClock()
    monkeypatch.setattr("time.time", fake)
    return fake


@pytest.fixture(autouse=True)
def _forgotten_engines() -> Iterator[None]:
    before = opened.engines()
    yield
    for engine in opened.engines() - before:
        opened.forget(engine)


@pytest.fixture
def make_cache(tmp_path: Path) -> MakeCache:
    """Makes a `DjangoCache` of the given parameters, in one directory unless told otherwise."""

    def make(directory: Any = None, **params: Any) -> DjangoCache:
        return DjangoCache(
            tmp_path / "django_diskcache" if directory is None else directory, params
        )

    return make


@pytest.fixture
def cache(make_cache: MakeCache) -> DjangoCache:
    return make_cache()


_names = itertools.count()


@pytest.fixture(params=["DjangoCache", "LocMemCache"])
def make_any(request: pytest.FixtureRequest, make_cache: MakeCache) -> MakeAny:
    """Makes our backend, or Django's own: what is expected of both is Django's contract.

    Caches made in one test share their entries, as aliases with one LOCATION do.
    """
    if request.param == "DjangoCache":
        return make_cache
    name = f"contract-{next(_names)}"
    return lambda **params: LocMemCache(name, params)


@pytest.fixture
def any_cache(make_any: MakeAny) -> BaseCache:
    return make_any()


def warned(call: Callable[[], object]) -> list[tuple[type[Warning], str]]:
    """Category and text of each warning that the call gives."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [(each.category, str(each.message)) for each in found]
