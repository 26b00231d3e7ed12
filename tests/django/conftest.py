"""Caches for the tests of the Django face, each in a directory of its own, or on a server.

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
from tests.server.servers import Server

from . import on_a_server

MakeCache: TypeAlias = Callable[..., DjangoCache]
MakeAny: TypeAlias = Callable[..., BaseCache]


_names = itertools.count()


class FakeClock:
    """What `time.time` returns; it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class ServedClock(FakeClock):
    """The same for a server, where entries end by its own clock."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        on_a_server.end(self.server, self.now)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what Django or we promise over both engines, and the former over Django's own."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if not {"make_cache", "located"} & set(metafunc.fixturenames):
        return
    places: list[Any] = ["DjangoCache"]
    if module in on_a_server.MODULES:
        reason = on_a_server.NO_MEANING.get(metafunc.function.__name__)
        marks = [pytest.mark.skip(reason=reason)] if reason else []
        places.append(pytest.param("server", marks=marks))
    if "make_any" in metafunc.fixturenames:
        places.append("LocMemCache")
    if len(places) > 1:
        metafunc.parametrize("place", places, indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """Where caches are: in a directory ('DjangoCache'), on a 'server', or in 'LocMemCache'."""
    return str(getattr(request, "param", "DjangoCache"))


@pytest.fixture
def clock(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, place: str
) -> FakeClock:
    """The time of day, for our backend and for Django's alike."""
    on_server = place == "server"
    fake = ServedClock(request.getfixturevalue("server")) if on_server else FakeClock()
    monkeypatch.setattr("time.time", fake)
    return fake


@pytest.fixture(autouse=True)
def _forgotten_engines() -> Iterator[None]:
    before = opened.engines()
    yield
    for engine in opened.engines() - before:
        opened.forget(engine)


@pytest.fixture
def make_cache(tmp_path: Path, place: str, request: pytest.FixtureRequest) -> MakeCache:
    """Makes a `DjangoCache` of the given parameters, in one directory unless told otherwise.

    On a server, another directory is another name there.
    """
    if place == "server":
        return _maker_of(request.getfixturevalue("server").url)

    def make(directory: Any = None, **params: Any) -> DjangoCache:
        return DjangoCache(
            tmp_path / "django_diskcache" if directory is None else directory, params
        )

    return make


@pytest.fixture
def located(
    tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> Callable[[str], dict[str, Any]]:
    """An entry of CACHES by the name of its directory, which on a server is its name there."""
    backend = {"BACKEND": "django_diskcache.DjangoCache"}
    if place != "server":
        return lambda name: {**backend, "LOCATION": tmp_path / name}
    url = request.getfixturevalue("server").url
    seconds = patience()
    return lambda name: {
        **backend,
        "LOCATION": url,
        "OPTIONS": {"database_timeout": seconds, "server_name": name},
    }


def patience() -> float:
    """Seconds that calls of a test wait, which a slow machine takes a good part of.

    No other test has as many: caches that wait as long share their connections and a listener.
    """
    return 30 + next(_names) * 1e-6


def _maker_of(url: str) -> MakeCache:
    seconds = patience()

    def make(directory: Any = None, **params: Any) -> DjangoCache:
        options = {"database_timeout": seconds, **(params.pop("OPTIONS", None) or {})}
        for name in [name for name in params if name.lower() == "database_timeout"]:
            options["database_timeout"] = params.pop(name)
        if directory is not None:
            options["server_name"] = Path(directory).name
        return DjangoCache(url, {**params, "OPTIONS": options})

    return make


@pytest.fixture
def cache(make_cache: MakeCache) -> DjangoCache:
    return make_cache()


@pytest.fixture
def make_any(place: str, make_cache: MakeCache) -> MakeAny:
    """Makes our backend, or Django's own: what is expected of both is Django's contract.

    Caches made in one test share their entries, as aliases with one LOCATION do.
    """
    if place != "LocMemCache":
        return make_cache
    name = f"contract-{next(_names)}"
    return lambda **params: LocMemCache(name, params)


@pytest.fixture
def any_cache(make_any: MakeAny) -> BaseCache:
    return make_any()


def in_files(cache: DjangoCache) -> bool:
    """Whether its engine is the one on files."""
    return bool(cache._cache.engine.in_files)


def warned(call: Callable[[], object]) -> list[tuple[type[Warning], str]]:
    """Category and text of each warning that the call gives."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [(each.category, str(each.message)) for each in found]
