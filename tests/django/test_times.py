"""Times to live on the backend: versions, time zones, the default timeout, jitter, twins."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_diskcache import DjangoCache, opened

from .conftest import FakeClock, MakeCache

pytestmark = pytest.mark.usefixtures("clock")


def test_each_version_has_its_own_time(make_cache: MakeCache) -> None:
    cache = make_cache(KEY_PREFIX="site", TIMEOUT=100)
    cache.set("key", 1)
    cache.set("key", 2, timeout=50, version=2)

    assert (cache.ttl("key"), cache.ttl("key", version=2)) == (100, 50)
    assert cache.pttl("key", 2) == 50_000
    assert cache.persist("key", version=2) is True
    assert cache.expire_in("key", 7, version=1) is True
    assert cache.expire_at("key", 1_800_000_009, 2) is True
    assert (cache.ttl("key"), cache.ttl("key", version=2)) == (7, 9)
    assert cache.pexpire("key", 7_500) is True
    assert cache.pexpire_at("key", 1_800_000_009_250, 2) is True
    assert (cache.pttl("key"), cache.pttl("key", version=2)) == (7_500, 9_250)
    assert cache.ttl("key", version=3) == 0


@pytest.mark.parametrize("use_tz", [True, False])
def test_a_naive_datetime_is_in_the_zone_of_the_site(
    cache: DjangoCache, settings: Any, use_tz: bool
) -> None:
    settings.USE_TZ = use_tz
    settings.TIME_ZONE = "Asia/Kathmandu"
    cache.set("key", 1)
    when = datetime(2030, 6, 1, 12, tzinfo=ZoneInfo("Asia/Kathmandu"))

    assert cache.expire_at("key", when.replace(tzinfo=None)) is True
    assert cache.get("key", expire_time=True)[1] == when.timestamp()
    assert cache.persist("key") is True
    assert cache.pexpire_at("key", when.replace(tzinfo=None)) is True
    assert cache.get("key", expire_time=True)[1] == when.timestamp()
    assert cache.expire_at("key", when.astimezone(timezone.utc)) is True
    assert cache.get("key", expire_time=True)[1] == when.timestamp()


def test_sliding_by_the_default_timeout(make_cache: MakeCache, clock: FakeClock) -> None:
    cache = make_cache(TIMEOUT=100)
    cache.set("key", 1, timeout=20)
    assert cache.get("key", touch=True) == 1
    assert cache.ttl("key") == 100
    clock.advance(50)
    assert cache.get("key", touch=100) == 1
    assert cache.ttl("key") == 100
    assert cache.get("key", touch=0) == 1
    assert cache.get("key") is None


@pytest.mark.parametrize("expire", ["expire", "aexpire"])
def test_expire_takes_no_key(cache: DjangoCache, expire: str) -> None:
    cache.set("key", 1, timeout=5)

    async def wait(method: Any, *args: Any, **kwargs: Any) -> None:
        await method(*args, **kwargs)

    for args, kwargs in (
        (("key", 5), {}),
        (("key",), {}),
        ((), {"key": "key", "timeout": 5}),
    ):
        with pytest.raises(TypeError, match=r"takes no arguments: expire_in\(key, seconds\)"):
            if expire == "expire":
                cache.expire(*args, **kwargs)
            else:
                asyncio.run(wait(cache.aexpire, *args, **kwargs))
    assert cache.ttl("key") == 5


def test_a_key_that_is_not_portable_slides(cache: DjangoCache, clock: FakeClock) -> None:
    with pytest.warns(Warning, match="memcached"):
        cache.set("a key", 1, timeout=20)
    with pytest.warns(Warning, match="memcached"):
        assert cache.get("a key", touch=60) == 1
    with pytest.warns(Warning, match="memcached"):
        assert cache.ttl("a key") == 60


# Jitter


def left(cache: DjangoCache, count: int = 200) -> list[int]:
    """Milliseconds that the keys of `number` have left."""
    found = [cache.pttl(f"{number}") for number in range(count)]
    assert None not in found
    return found  # type: ignore[return-value]


def spread(times: list[int]) -> None:
    """Between nine tenths of 100 seconds and all of it, and not all the same."""
    assert 90_000 <= min(times) < 93_000
    assert 97_000 < max(times) <= 100_000


def test_jitter_shortens_each_timeout(make_cache: MakeCache) -> None:
    cache = make_cache(TIMEOUT=100, OPTIONS={"timeout_jitter": "0.1"})
    keys = [f"{number}" for number in range(200)]
    for key in keys:
        cache.set(key, 1)
    spread(left(cache))
    for key in keys:
        cache.touch(key, 100)
    spread(left(cache))
    cache.clear()
    for key in keys:
        cache.add(key, 1, timeout=100)
    spread(left(cache))
    cache.clear()
    for key in keys:
        cache.get_or_set(key, 1, timeout=100)
    spread(left(cache))
    cache.clear()
    assert cache.set_many(dict.fromkeys(keys, 1)) == []
    spread(left(cache))

    @cache.memoize()
    def double(number: int) -> int:
        return 2 * number

    for number in range(200):
        double(number)
    results = [cache.pttl(double.__cache_key__(n)) for n in range(200)]
    spread(results)  # type: ignore[arg-type]


def test_what_has_no_jitter(make_cache: MakeCache) -> None:
    cache = make_cache(TIMEOUT=None, TIMEOUT_JITTER=1)
    cache.set("ever", 1)
    cache.set("over", 1, timeout=0)
    cache.set("exact", 1)
    cache.expire_in("exact", 100)
    cache.set("sliding", 1)
    cache.get("sliding", touch=100)
    cache.set_many({"ever-too": 1})
    cache.set_many({"over-too": 1}, timeout=0)

    assert cache.ttl("ever") is cache.ttl("ever-too") is None
    assert not {"over", "over-too"} & set(cache.keys())
    assert cache.pttl("exact") == cache.pttl("sliding") == 100_000
    cache.set("some", 1, timeout=100)
    assert 0 < cache.pttl("some") <= 100_000  # type: ignore[operator]


def test_jitter_is_known_where_a_cache_opens_at_its_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "checks_are_to_tell", lambda: True)
    monkeypatch.setattr(opened.opened_unless_checked, "__defaults__", (lambda: True,))
    cache = DjangoCache(tmp_path / "c", {"TIMEOUT": 100, "OPTIONS": {"timeout_jitter": 0.5}})
    assert "_cache" not in vars(cache)
    for number in range(20):
        cache.set(f"{number}", 1)
    assert min(left(cache, 20)) < 90_000


@pytest.mark.parametrize("wrong", [-0.1, 1.1, "much", None, True, float("nan")])
def test_a_jitter_that_is_none(make_cache: MakeCache, wrong: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"timeout_jitter=.*a number from 0 to 1"):
        make_cache(OPTIONS={"timeout_jitter": wrong})


# Twins


def test_the_twins(make_cache: MakeCache, clock: FakeClock) -> None:
    cache = make_cache(TIMEOUT=100)

    async def main() -> None:
        assert await cache.attl("key") == 0
        await cache.aset("key", 1)
        assert (await cache.attl("key"), await cache.apttl("key")) == (100, 100_000)
        assert await cache.aexpire_in("key", timedelta(seconds=5)) is True
        assert await cache.attl("key", version=1) == 5
        assert await cache.aexpire_at("key", clock() + 9, version=1, retry=False) is True
        assert await cache.attl("key") == 9
        assert await cache.apexpire("key", 1_500, version=1) is True
        assert await cache.apttl("key") == 1_500
        assert await cache.apexpire_at("key", (clock() + 9) * 1000, retry=False) is True
        assert await cache.apttl("key") == 9_000
        assert await cache.aget("key", touch=60) == 1
        assert await cache.attl("key") == 60
        assert await cache.apersist("key") is True
        assert await cache.attl("key") is None
        assert await cache.apersist("key") is False

    asyncio.run(main())
