"""What the backend's `memoize` and `get_or_set` have of their own: models, versions, keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import override_settings

from django_diskcache import DjangoCache
from tests.django.conftest import FakeClock, MakeCache
from tests.engines import engine_of
from tests.locking import beside, locked


@pytest.fixture
def cache(make_cache: MakeCache) -> DjangoCache:
    return make_cache()


def make_method(cache: DjangoCache, calls: list[Any]) -> Any:
    class Mixin:
        pk: Any

        @cache.memoize(name="label", timeout=60)
        def label(self, suffix: str = "") -> str:
            calls.append(self.pk)
            return f"{self.pk}{suffix}"

    return Mixin


def saved(model: Any, **fields: Any) -> Any:
    instance = model(**fields)
    instance._state.adding = False
    return instance


def test_a_model_instance_counts_as_its_model_and_key(cache: DjangoCache) -> None:
    calls: list[Any] = []
    label = make_method(cache, calls).label
    first, same = saved(User, pk=1, username="ann"), saved(User, pk=1, username="bob")
    assert label(first) == label(same) == label(first, suffix="") == "1"
    assert label(saved(User, pk=2)) == "2"
    assert label(saved(Group, pk=1)) == "1"
    assert calls == [1, 2, 1]
    label(User(pk=1, username="new"))  # not saved: it counts as what it holds
    label(User(pk=1, username="other"))
    assert calls == [1, 2, 1, 1, 1]
    assert label.invalidate(same) is True


class ToPrimary:
    """A router that reads from replicas."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


def test_instances_of_two_databases_are_two(cache: DjangoCache) -> None:
    calls: list[Any] = []
    label = make_method(cache, calls).label
    one, other = saved(User, pk=1), saved(User, pk=1)
    one._state.db, other._state.db = "default", "replica"
    assert label.key_for(one) != label.key_for(other)
    label(one), label(other), label(one)
    assert calls == [1, 1]
    with override_settings(DATABASE_ROUTERS=[ToPrimary()]):
        assert label.key_for(one) == label.key_for(other)


def test_an_argument_counts_as_what_it_holds(cache: DjangoCache) -> None:
    calls: list[Any] = []

    @cache.memoize(timeout=60)
    def name(user: User) -> str:
        calls.append(user.username)
        return user.username

    assert name(saved(User, pk=1, username="ann")) == "ann"
    assert name(saved(User, pk=1, username="bob")) == "bob"


def test_a_key_that_is_a_short_text_can_be_read(cache: DjangoCache) -> None:
    @cache.memoize(name="profile", timeout=60, key=lambda user, **more: user)
    def profile(user: Any, theme: str = "") -> Any:
        return user

    decorated: Any = profile
    assert decorated.key_for("ann", theme="dark") == "profile:ann"
    assert profile("ann") == cache.get("profile:ann") == "ann"
    for other in ("a b", "x" * 200, 7, ("a", 1), {"a": 1}):
        key = decorated.key_for(other)
        assert key.startswith("profile:")
        assert len(key) == len("profile:") + 32
        assert profile(other) == cache.get(key) == other


def test_versions_are_apart(cache: DjangoCache, clock: FakeClock) -> None:
    assert cache.get_or_set("key", "one", 10, 1, stale=5, tag="tag") == "one"
    assert cache.get_or_set("key", "two", 10, version=2, stale=5) == "two"
    assert cache.get_or_set("key", "other", 10, stale=5) == "one"
    assert cache.get("key", expire_time=True, tag=True) == ("one", clock.now + 15, "tag")

    @cache.memoize(name="f", timeout=10, version=2)
    def function() -> int:
        return 1

    assert function() == 1
    decorated: Any = function
    key = decorated.key_for()
    assert (cache.get(key), cache.get(key, version=2)) == (None, 1)
    assert decorated.invalidate() is True


def test_the_default_timeout_gets_longer_too(make_cache: MakeCache, clock: FakeClock) -> None:
    cache = make_cache(TIMEOUT=20)
    cache.get_or_set("key", 1, stale=5)
    assert cache.get("key", expire_time=True)[1] == clock.now + 25


def test_jitter_shortens_the_time_in_which_a_value_is_fresh(
    make_cache: MakeCache, clock: FakeClock
) -> None:
    cache = make_cache(OPTIONS={"timeout_jitter": 0.5})
    keys = [f"key{number}" for number in range(20)]
    calls: list[Any] = []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    @cache.memoize(name="f", timeout=10, stale=100)
    def function(x: str) -> int:
        return compute()

    async def on_a_loop(key: str) -> None:
        await cache.aget_or_set(f"a{key}", compute, 10, stale=100)

    for _ in range(2):
        for key in keys:
            cache.get_or_set(key, compute, 10, stale=100)
            function(key)
            asyncio.run(on_a_loop(key))
        assert len(calls) == 60  # the second time all is fresh
    decorated: Any = function
    for made in (str, decorated.key_for, "a{}".format):
        ends = [cache.get(made(key), expire_time=True)[1] - clock.now for key in keys]
        assert 105 < min(ends) < max(ends) <= 110
        assert len(set(ends)) > 10  # each has its own
    clock.advance(10)
    for key in keys:
        cache.get_or_set(key, compute, 10, stale=100)
    assert len(calls) == 80
    assert cache.get_or_set("forever", 1, None, stale=5) == 1
    assert cache.get("forever", expire_time=True)[1] is None


def test_a_key_that_deserves_a_warning_gets_it_each_time(cache: DjangoCache) -> None:
    for stale in (0, 5):
        for _ in range(2):
            with pytest.warns(Warning, match="characters"):
                assert cache.get_or_set("a key", 1, 10, stale=stale) == 1
    with pytest.warns(Warning, match="characters"):
        assert cache.get("a key") == 1


def test_a_subclass_is_asked_in_its_own_way(tmp_path: Any) -> None:
    class Doubling(DjangoCache):
        def get(self, key: Any, default: Any = None, *args: Any, **kwargs: Any) -> Any:
            found = super().get(key, default, *args, **kwargs)
            return found if found is default else found * 2

    cache = Doubling(tmp_path / "cache", {})
    assert cache.get_or_set("key", lambda: [1]) == [1, 1]
    function = cache.memoize(name="f")(lambda: [3])
    assert [function(), function()] == [[3], [3, 3]]


def test_nothing_is_opened_by_a_decorator(tmp_path: Any, monkeypatch: Any) -> None:
    cache = DjangoCache(tmp_path / "cache", {})
    monkeypatch.delattr(cache, "_cache")
    cache.memoize(timeout=5, stale=5)(len)
    cache.throttle(3, 1)(len)
    assert "_cache" not in vars(cache)


def test_a_stale_value_that_finds_a_lock_leaves_the_loop_free(
    cache: DjangoCache, clock: FakeClock
) -> None:
    async def main() -> None:
        await cache.aget_or_set("key", "old", 10, stale=5)
        clock.advance(10)
        with locked(engine_of(cache)) as release:
            computing = cache.aget_or_set("key", lambda: "new", 10, stale=5)
            assert await beside(computing, release) == "new"

    asyncio.run(main())
