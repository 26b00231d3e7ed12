"""What Django builds on a cache, with ours below it: sessions, pages, fragments, requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.sessions.backends import cache as cache_sessions
from django.contrib.sessions.backends import cached_db as cached_db_sessions
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.cache.utils import make_template_fragment_key
from django.template import Context, Engine
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.utils import timezone, translation
from django.utils.cache import get_cache_key, learn_cache_key

from django_diskcache import DjangoCache

from . import urls
from .conftest import FakeClock

MIDDLEWARE = [
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
]


@pytest.fixture(autouse=True)
def _site(located: Callable[[str], dict[str, Any]]) -> Iterator[None]:
    """The site of `urls`, with two caches."""
    aliases = {name: {**located(name), "SHARDS": 2} for name in ("default", "other")}
    with override_settings(
        CACHES=aliases, ROOT_URLCONF=urls.__name__, LANGUAGES=[("en", "E"), ("de", "D")]
    ):
        yield


def alias(name: str = "default") -> DjangoCache:
    return cast(DjangoCache, caches[name])


def page(path: str, **headers: str) -> bytes:
    response = Client(headers=headers).get(path)
    assert response.status_code == 200
    return response.content


# Sessions

SESSION_ENGINES = pytest.mark.parametrize(
    "engine", [cache_sessions, cached_db_sessions], ids=["cache", "cached_db"]
)


@SESSION_ENGINES
@pytest.mark.django_db
def test_a_session_is_saved_and_loaded(engine: Any) -> None:
    session = engine.SessionStore()
    session["cart"] = [1, {"two": 2}]
    session.save()
    assert session.exists(session.session_key)
    again = engine.SessionStore(session.session_key)
    assert again["cart"] == [1, {"two": 2}]
    again["cart"] = []
    again.save()
    assert engine.SessionStore(session.session_key)["cart"] == []
    again.delete()
    assert not again.exists(session.session_key)
    assert engine.SessionStore(session.session_key).get("cart") is None


@SESSION_ENGINES
@pytest.mark.django_db
def test_a_new_session_never_takes_the_key_of_another(engine: Any) -> None:
    keys = set()
    for number in range(20):
        session = engine.SessionStore()
        session.create()
        session["number"] = number
        session.save()
        keys.add(session.session_key)
    assert len(keys) == 20
    old = engine.SessionStore(keys.pop())
    old.cycle_key()
    assert old["number"] in range(20)
    assert old.session_key not in keys
    old.flush()
    assert old.session_key is None


@pytest.mark.django_db
def test_cached_db_finds_a_session_whose_cache_was_lost(django_assert_num_queries: Any) -> None:
    session = cached_db_sessions.SessionStore()
    session["name"] = "Ann"
    session.save()
    with django_assert_num_queries(0):
        assert cached_db_sessions.SessionStore(session.session_key)["name"] == "Ann"
    alias().clear()
    with django_assert_num_queries(1):
        assert cached_db_sessions.SessionStore(session.session_key)["name"] == "Ann"
    with django_assert_num_queries(0):
        assert cached_db_sessions.SessionStore(session.session_key)["name"] == "Ann"
    assert Session.objects.count() == 1


def test_a_session_expires(clock: FakeClock) -> None:
    session = cache_sessions.SessionStore()
    session["name"] = "Ann"
    session.set_expiry(60)
    session.save()
    clock.advance(59)
    assert cache_sessions.SessionStore(session.session_key).get("name") == "Ann"
    clock.advance(1)
    assert cache_sessions.SessionStore(session.session_key).get("name") is None


def test_sessions_in_an_alias_of_their_own() -> None:
    with override_settings(SESSION_CACHE_ALIAS="other"):
        session = cache_sessions.SessionStore()
        session["name"] = "Ann"
        session.save()
        assert len(alias()) == 0
        assert len(alias("other")) == 1


def test_sessions_asynchronously() -> None:
    async def visit() -> Any:
        session = cache_sessions.SessionStore()
        await session.aset("name", "Ann")
        await session.asave()
        again = cache_sessions.SessionStore(session.session_key)
        found = await again.aget("name")
        assert session.session_key is not None
        await again.adelete(session.session_key)
        return found, await again.aexists(session.session_key)

    assert asyncio.run(visit()) == ("Ann", False)


@override_settings(
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
)
def test_each_browser_has_its_session() -> None:
    ann, bob = Client(), Client()
    assert [ann.get("/visits/").content for _ in range(3)] == [
        b"visit 1",
        b"visit 2",
        b"visit 3",
    ]
    assert bob.get("/visits/").content == b"visit 1"
    alias().shutdown()  # as a restart of the server would
    assert ann.get("/visits/").content == b"visit 4"


# Pages


def test_cache_page(clock: FakeClock) -> None:
    first = page("/cached/")
    assert page("/cached/") == first
    assert page("/cached/?page=2") != first
    clock.advance(59)
    assert page("/cached/") == first
    clock.advance(1)
    assert page("/cached/") != first


def test_a_cached_page_keeps_its_headers() -> None:
    first, second = Client().get("/cached/"), Client().get("/cached/")
    kept = {name: value for name, value in second.headers.items() if name != "Age"}
    assert kept == dict(first.headers)  # newer versions of Django add the age
    assert "max-age=60" in second["Cache-Control"]


def test_cache_page_in_another_alias() -> None:
    first = page("/apart/")
    assert page("/apart/") == first
    assert len(alias()) == 0
    keys = list(alias("other"))
    assert len(keys) == 2  # the page, and the headers that it varies on
    assert all(".apart." in key for key in keys)
    alias("other").clear()
    assert page("/apart/") != first


def test_cache_page_answers_head_from_what_get_left() -> None:
    first = page("/cached/")
    response = Client().head("/cached/")
    assert response.status_code == 200
    assert response.content == b""
    assert page("/cached/") == first


def test_cache_page_keeps_variants_apart() -> None:
    red, blue = page("/varied/", x_kind="red"), page("/varied/", x_kind="blue")
    assert red != blue
    assert page("/varied/", x_kind="red") == red
    assert page("/varied/", x_kind="blue") == blue


def test_private_pages_are_not_cached() -> None:
    assert page("/private/") != page("/private/")
    assert len(alias()) == 0


@pytest.mark.parametrize("prefix", ["", "site"])
def test_cache_middleware(clock: FakeClock, prefix: str) -> None:
    with override_settings(
        MIDDLEWARE=MIDDLEWARE,
        CACHE_MIDDLEWARE_SECONDS=30,
        CACHE_MIDDLEWARE_KEY_PREFIX=prefix,
    ):
        first = page("/numbered/")
        assert page("/numbered/") == first
        assert all(f".{prefix}." in key for key in alias())
        assert page("/never/") != page("/never/")
        assert Client().post("/numbered/").content != first
        short = page("/short/")
        clock.advance(5)
        assert page("/short/") != short
        assert page("/numbered/") == first
        clock.advance(25)
        assert page("/numbered/") != first


@override_settings(
    MIDDLEWARE=MIDDLEWARE, CACHE_MIDDLEWARE_ALIAS="other", CACHE_MIDDLEWARE_SECONDS=30
)
def test_cache_middleware_in_another_alias() -> None:
    assert page("/numbered/") == page("/numbered/")
    assert len(alias()) == 0
    assert len(alias("other")) == 2


# Language and time zone are part of a page's key


@override_settings(
    USE_I18N=True, MIDDLEWARE=["django.middleware.locale.LocaleMiddleware", *MIDDLEWARE]
)
def test_pages_are_cached_by_language() -> None:
    english = page("/localised/", accept_language="en")
    german = page("/localised/", accept_language="de")
    assert english.startswith(b"en ")
    assert german.startswith(b"de ")
    assert page("/localised/", accept_language="en") == english
    assert page("/localised/", accept_language="de") == german


@override_settings(USE_TZ=True)
def test_pages_are_cached_by_time_zone() -> None:
    found = {}
    for name in ("Europe/Berlin", "Asia/Tokyo"):
        with timezone.override(name):
            found[name] = page("/localised/")
            assert page("/localised/") == found[name]
    assert b" 01:00 " in found["Europe/Berlin"]
    assert b" 09:00 " in found["Asia/Tokyo"]


@pytest.mark.parametrize(
    ("i18n", "tz", "ending"),
    [
        (False, False, ""),
        (True, False, ".de"),
        (False, True, ".Asia/Tokyo"),
        (True, True, ".de.Asia/Tokyo"),
    ],
)
def test_page_keys_name_language_and_time_zone(
    i18n: bool, tz: bool, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Django asks for USE_I18N once in a process, and goes by that from then on.
    kind = type(vars(translation)["_trans"])
    monkeypatch.setattr(translation, "_trans", kind())
    request = RequestFactory().get("/numbered/")
    with (
        override_settings(USE_I18N=i18n, USE_TZ=tz, CACHE_MIDDLEWARE_SECONDS=60),
        translation.override("de"),
        timezone.override("Asia/Tokyo"),
    ):
        assert get_cache_key(request) is None
        key = learn_cache_key(request, urls.numbered(request))
        assert key.endswith(ending)
        assert get_cache_key(request) == key
        if ending:
            with translation.override("en"), timezone.override("Europe/Berlin"):
                assert get_cache_key(request) is None


# Conditional requests


@override_settings(MIDDLEWARE=MIDDLEWARE, CACHE_MIDDLEWARE_SECONDS=60)
def test_a_cached_page_answers_conditional_requests() -> None:
    first = Client().get("/numbered/")
    tag = first["ETag"]
    fresh = Client().get("/numbered/", headers={"If-None-Match": tag})
    assert fresh.status_code == 304
    assert fresh.content == b""
    assert fresh["ETag"] == tag
    stale = Client().get("/numbered/", headers={"If-None-Match": '"another"'})
    assert stale.status_code == 200
    assert stale.content == first.content


@override_settings(MIDDLEWARE=MIDDLEWARE)
def test_a_page_with_its_own_etag_is_cached_whole() -> None:
    fresh = Client().get("/tagged/", headers={"If-None-Match": '"fixed"'})
    assert fresh.status_code == 304
    first = Client().get("/tagged/")
    assert first.status_code == 200
    assert first.content
    again = Client().get("/tagged/")
    assert (again.content, again["ETag"]) == (first.content, '"fixed"')
    assert Client().get("/tagged/", headers={"If-None-Match": '"fixed"'}).status_code == 304


# Template fragments


def rendered(source: str, **context: Any) -> str:
    engine = Engine(libraries={"cache": "django.templatetags.cache"})
    return engine.from_string("{% load cache %}" + source).render(Context(context))


def test_template_fragment(clock: FakeClock) -> None:
    source = "{% cache 60 sidebar %}{{ value }}{% endcache %}"
    assert rendered(source, value="one") == "one"
    assert rendered(source, value="two") == "one"
    key = make_template_fragment_key("sidebar")
    assert alias().get(key) == "one"
    assert alias().delete(key) is True
    assert rendered(source, value="three") == "three"
    clock.advance(60)
    assert rendered(source, value="four") == "four"


def test_template_fragment_that_varies() -> None:
    source = "{% cache 60 sidebar user lang %}{{ value }}{% endcache %}"
    assert rendered(source, user="ann", lang="en", value=1) == "1"
    assert rendered(source, user="ann", lang="de", value=2) == "2"
    assert rendered(source, user="bob", lang="en", value=3) == "3"
    assert rendered(source, user="ann", lang="en", value=4) == "1"
    assert alias().get(make_template_fragment_key("sidebar", ["ann", "de"])) == "2"


def test_template_fragment_for_ever_and_in_another_alias(clock: FakeClock) -> None:
    source = '{% cache None footer using="other" %}{{ value }}{% endcache %}'
    assert rendered(source, value=1) == "1"
    clock.advance(10**9)
    assert rendered(source, value=2) == "1"
    assert list(alias("other")) == [make_template_fragment_key("footer")]


def test_template_fragments_prefer_an_alias_of_that_name(tmp_path: Path) -> None:
    backend = "django_diskcache.DjangoCache"
    aliases = {
        name: {"BACKEND": backend, "LOCATION": tmp_path / name, "SHARDS": 1}
        for name in ("default", "template_fragments")
    }
    with override_settings(CACHES=aliases):
        rendered("{% cache 60 header %}x{% endcache %}")
        assert len(alias()) == 0
        assert alias("template_fragments").get(make_template_fragment_key("header")) == "x"


# Asynchronous views


def test_asynchronous_requests() -> None:
    async def visits() -> list[bytes]:
        client = AsyncClient()
        return [(await client.get("/asynchronous/")).content for _ in range(3)]

    assert asyncio.run(visits()) == [b"visit 1", b"visit 2", b"visit 3"]
    assert alias().get("visits") == 3
    assert asyncio.run(visits())[-1] == b"visit 6"


def test_simultaneous_asynchronous_requests_lose_nothing() -> None:
    async def visits() -> set[bytes]:
        client = AsyncClient()
        answers = await asyncio.gather(*(client.get("/asynchronous/") for _ in range(20)))
        return {answer.content for answer in answers}

    assert asyncio.run(visits()) == {b"visit %d" % number for number in range(1, 21)}
