"""Fresh caches: empty, elsewhere, with the options of their entries, and gone afterwards."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.core.cache import InvalidCacheBackendError, cache, caches
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings

from django_diskcache import DjangoCache, opened
from django_diskcache.engine.clock import wall_clock
from django_diskcache.entries import entries
from django_diskcache.methods.base import lasting
from django_diskcache.testing import CacheClock, fresh_caches
from tests.server.servers import Server

BACKEND = "django_diskcache.DjangoCache"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture(autouse=True)
def _site(settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": BACKEND,
            "LOCATION": tmp_path / "site",
            "KEY_PREFIX": "site",
            "TIMEOUT": 60,
            "SHARDS": 4,
            "OPTIONS": {"SIZE_LIMIT": "1GB", "eviction_policy": "least-recently-used"},
        },
        "same": {"BACKEND": BACKEND, "LOCATION": tmp_path / "site"},
        "memory": {"BACKEND": LOCMEM, "KEY_PREFIX": "memory"},
    }


def made(alias: str = "default") -> Any:
    """The cache of an alias: Django's stubs know none with our methods."""
    return caches[alias]


def test_they_are_empty_elsewhere_and_gone_afterwards(tmp_path: Path) -> None:
    places = []
    for _ in range(2):
        with fresh_caches():
            assert cache.get("key") is None
            cache.set("key", 1)
            made("same").set("other", 2)
            assert made("same").directory == made().directory
            places.append(Path(made().directory))
            assert places[-1].is_dir()
            assert places[-1].stat().st_mode & 0o077 == 0
    assert places[0] != places[1]
    assert not any(place.parent.exists() for place in places)
    assert not (tmp_path / "site").exists()
    assert not any(engine.directory in map(str, places) for engine in opened.engines())
    assert site.CACHES["default"]["LOCATION"] == tmp_path / "site"
    assert made("memory") is made("memory")


def test_the_options_of_the_entry_but_made_for_speed() -> None:
    with fresh_caches(max_entries=10):
        fresh = made()
        assert (fresh.key_prefix, fresh.default_timeout) == ("site", 60)
        face = fresh._cache
        assert face.eviction_policy == "least-recently-used"
        assert face.max_entries == 10
        assert len(face.engine.stores) == 1
        assert (face.sqlite_synchronous, face.size_limit) == (0, 2**23)
        assert face.absorbs == ()  # strict
        assert [entry.mistakes for entry in entries()] == [[], []]


@pytest.mark.parametrize("given", [{"strict": False}, {"STRICT": "no"}])
def test_what_an_entry_says_of_faults_and_a_smaller_limit(given: Any) -> None:
    site.CACHES["default"]["OPTIONS"] = {**given, "size_limit": "4MB"}
    with fresh_caches():
        face = made()._cache
        assert face.absorbs
        assert face.size_limit == 4_000_000
    with fresh_caches(strict=True, size_limit="20MB"):
        assert made()._cache.size_limit == 20_000_000


def test_mistakes_of_entries_stay_mistakes() -> None:
    site.CACHES["default"]["OPTIONS"] = {"size_limit": "plenty"}
    with fresh_caches(), pytest.raises(ImproperlyConfigured, match="'plenty'"):
        made().get("key")


def test_named_aliases_whatever_their_backend() -> None:
    with fresh_caches(["memory"]):
        assert isinstance(made("memory"), DjangoCache)
        assert made("memory").key_prefix == "memory"
        assert site.CACHES["default"]["KEY_PREFIX"] == "site"
        made("memory").set("key", 1, tag="tag")
        assert made("memory").evict("tag") == 1
    assert not isinstance(made("memory"), DjangoCache)


def test_names_that_are_not_there() -> None:
    with (
        pytest.raises(InvalidCacheBackendError, match=r"'defalt' .* did you mean 'default'"),
        fresh_caches(["defalt"]),
    ):
        pass
    site.CACHES = {"default": {"BACKEND": LOCMEM}}
    with pytest.raises(ValueError, match=r"aliases=\['default'\]"), fresh_caches():
        pass


def test_the_clock() -> None:
    with fresh_caches() as clock:
        cache.set("key", 1, timeout=60)
        queue = made().deque("queue")
        assert queue.cache.engine.clock is clock
        clock.advance(50)
        assert cache.get("key") == 1
        clock.advance(10)
        assert cache.get("key") is None
        assert abs(time.time() + 60 - clock()) < 30  # as far as it goes by itself
        clock.stop()
        now = clock()
        cache.set("key", 1, timeout=0.001)
        assert (clock(), cache.get("key")) == (now, 1)
        clock.advance(0.001)
        assert cache.get("key") is None
    assert opened.clock is wall_clock


def test_a_clock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 100.0)
    clock = CacheClock()
    clock.advance(5)
    assert clock() == 105
    clock.stop()
    monkeypatch.setattr("time.time", lambda: 200.0)
    assert clock() == 105
    clock.advance(-10)
    assert clock() == 95


def test_functions_that_were_memoized_before(tmp_path: Path) -> None:
    calls = []

    @made().memoize()  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert (double(1), double(1), calls) == (2, 2, [1])
    for _ in range(2):
        with fresh_caches():
            assert (double(1), double(1)) == (2, 2)
            assert len(made()) == 1
    assert calls == [1, 1, 1]
    assert double(1) == 2  # as it was
    assert calls == [1, 1, 1]
    assert made().directory == str(tmp_path / "site")


def test_they_are_there_for_other_threads_and_commands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with fresh_caches():
        cache.set("key", 1)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(cache.get("key")))
        thread.start()
        thread.join()
        assert found == [1]
        call_command("cacheclear", "default", "--no-input")
        assert cache.get("key") is None
    assert not (tmp_path / "site").exists()


def test_settings_that_are_changed_within_and_go_back_later() -> None:
    before = site.CACHES
    within = override_settings(DEBUG=True)
    with fresh_caches():
        within.enable()
        cache.set("key", 1)
    within.disable()
    assert site.CACHES is before
    assert made().get("key") is None


def test_settings_that_are_changed_around() -> None:
    before = site.CACHES
    with override_settings(DEBUG=True):
        with fresh_caches():
            cache.set("key", 1)
        assert site.CACHES is before
        assert made().get("key") is None


def test_one_inside_another() -> None:
    with fresh_caches() as outer:
        cache.set("key", "outer")
        with fresh_caches() as inner:
            assert cache.get("key") is None
            assert outer is not inner
        assert cache.get("key") == "outer"
        assert opened.clock is outer


def memoized(alias: str = "default", **options: Any) -> Any:
    """A function as the import of a module would decorate it now."""

    @made(alias).memoize(f"{alias}.double", **options)  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        return 2 * number

    return double


def test_functions_that_were_memoized_in_a_test(tmp_path: Path) -> None:
    """A URLconf is imported at the first request, often that of a test."""
    site.CACHES["same"]["OPTIONS"] = {"timeout_jitter": 0.5}
    others = set(lasting)
    with fresh_caches():
        double, same = memoized(), memoized("same")
        assert (double(1), same(1), len(made())) == (2, 2, 2)
        with fresh_caches():
            inner = memoized()
            assert (double(1), inner(1), len(made())) == (2, 2, 1)
        assert (inner(1), len(made())) == (2, 2)
    for _ in range(2):
        with fresh_caches():
            assert (double(2), inner(2), same(2), len(made())) == (4, 4, 4, 2)
    assert not (tmp_path / "site").exists()
    assert (double(3), same(3)) == (6, 6)
    assert (made().directory, len(made())) == (str(tmp_path / "site"), 2)
    # Each has the options of its alias again.
    objects: Any = set(lasting) - others
    own = {each._jitter: each._entry for each in objects}
    for jitter, alias in ((0.0, "default"), (0.5, "same")):
        assert own[jitter][1]["OPTIONS"] == site.CACHES[alias]["OPTIONS"]


def test_functions_that_were_memoized_for_another_backend() -> None:
    with fresh_caches(["memory"]):
        double = memoized("memory")
        assert (double(1), len(made("memory"))) == (2, 1)
    with pytest.raises(ImproperlyConfigured, match="LOCATION"):
        double(1)
    for _ in range(2):
        with fresh_caches(["memory"]):
            assert (double(1), len(made("memory"))) == (2, 1)
            with fresh_caches():
                assert (double(2), len(made("memory"))) == (4, 1)
            assert len(made("memory")) == 1


def test_functions_that_were_throttled_before(tmp_path: Path) -> None:
    calls = []

    @made().throttle(5, 60)  # type: ignore[untyped-decorator]
    def work() -> None:
        calls.append(len(made()))

    with fresh_caches():
        work()
    assert calls == [1]
    assert len(made()) == 0


# For caches on a server


def on_a_server(**more: Any) -> dict[str, Any]:
    """An entry that nobody can reach: who asked would be told so."""
    return {"BACKEND": BACKEND, "LOCATION": "valkey://:xyzzy@127.0.0.1:1/0", **more}


def test_those_of_a_server_are_in_a_directory() -> None:
    nodes = ["valkey://127.0.0.1:1", "valkey://127.0.0.1:2"]
    site.CACHES.update(
        default=on_a_server(KEY_PREFIX="a", OPTIONS={"server_name": "a", "tag_index": True}),
        same=on_a_server(OPTIONS={"SERVER_NAME": "a"}),
        other=on_a_server(SERVER_NAME="b"),
        cluster={"BACKEND": BACKEND, "LOCATION": nodes},
    )
    with fresh_caches() as clock:
        for alias in ("default", "other", "cluster"):
            assert made(alias)._cache.engine.in_files
            assert made(alias).set("key", alias, timeout=10)
        assert made().directory == made("same").directory
        assert len({made(alias).directory for alias in ("default", "other", "cluster")}) == 3
        assert made("other").get("key") == "other"
        assert made("same").get("key") is None  # it has another prefix
        clock.advance(10)
        assert made("cluster").get("key") is None
    assert site.CACHES["default"]["LOCATION"].startswith("valkey:")


def test_lasting_objects_of_a_server_are_fresh_as_well(server: Server) -> None:
    site.CACHES["default"] = {
        "BACKEND": BACKEND,
        "LOCATION": server.url,
        "OPTIONS": {"database_timeout": 30},
    }
    calls = []

    cache: DjangoCache = made()

    @cache.memoize()
    def double(number: int) -> int:
        calls.append(number)
        return number * 2

    assert double(2) == 4
    with fresh_caches():
        assert double(2) == double(2) == 4
        assert len(calls) == 2
    assert double(2) == 4
    assert len(calls) == 2
    engine = made()._cache.engine
    assert not engine.in_files
    opened.forget(engine)
