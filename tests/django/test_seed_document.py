"""The integration document: its signatures, the return values it states, and its examples.

The examples stand here as the document has them, down to their names and comments; around
them is only what they take for granted, and what must hold after each.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import cache, caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.test import RequestFactory, override_settings
from django.views.decorators.cache import cache_page

import django_diskcache
from django_diskcache import Cache, Deque, DjangoCache, Index
from tests.engines import engine_of

from .conftest import FakeClock
from .myapp.models import Article, invalidate_article_cache

BACKEND = "django_diskcache.DjangoCache"


def settings_configuration(root: Path) -> dict[str, Any]:
    """The document's 'Settings Configuration', under `root`."""
    return {
        "default": {
            "BACKEND": BACKEND,
            "LOCATION": f"{root}/tmp/django_cache",
            "SHARDS": 8,
            "DATABASE_TIMEOUT": 0.010,
            "OPTIONS": {
                "size_limit": 2**32,  # 4GB
                "eviction_policy": "least-recently-used",
                "statistics": 1,
                "tag_index": 1,
            },
        },
        "session": {
            "BACKEND": BACKEND,
            "LOCATION": f"{root}/tmp/django_sessions",
            "SHARDS": 4,
            "OPTIONS": {
                "size_limit": 2**28,  # 256MB
                "eviction_policy": "least-recently-stored",
            },
        },
    }


def multiple_cache_configuration(root: Path) -> dict[str, Any]:
    """The document's 'Multiple Cache Configuration', under `root`."""
    return {
        "default": {
            "BACKEND": BACKEND,
            "LOCATION": f"{root}/var/cache/django/default",
            "SHARDS": 16,
            "OPTIONS": {
                "size_limit": 2**30,  # 1GB
                "eviction_policy": "least-recently-used",
                "statistics": 1,
            },
        },
        "sessions": {
            "BACKEND": BACKEND,
            "LOCATION": f"{root}/var/cache/django/sessions",
            "SHARDS": 4,
            "OPTIONS": {
                "size_limit": 2**28,  # 256MB
                "eviction_policy": "least-recently-stored",
            },
        },
        "database": {
            "BACKEND": BACKEND,
            "LOCATION": f"{root}/var/cache/django/database",
            "SHARDS": 32,
            "OPTIONS": {
                "size_limit": 2**32,  # 4GB
                "eviction_policy": "least-frequently-used",
                "statistics": 1,
                "tag_index": 1,
            },
        },
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "django_diskcache"


@pytest.fixture
def configured(root: Path) -> Iterator[None]:
    """The document's configuration of several caches."""
    with override_settings(CACHES=multiple_cache_configuration(root)):
        yield


@pytest.fixture
def own(configured: None) -> DjangoCache:
    """The object behind `cache`, which is a proxy."""
    default = caches["default"]
    assert isinstance(default, DjangoCache)
    return default


# Signatures

D = DEFAULT_TIMEOUT
SIGNATURES: dict[str, dict[str, Any]] = {
    "add": {"timeout": D, "version": None, "read": False, "tag": None, "retry": True},
    "get": {
        "default": None,
        "version": None,
        "read": False,
        "expire_time": False,
        "tag": False,
        "retry": False,
    },
    "set": {"timeout": D, "version": None, "read": False, "tag": None, "retry": True},
    "delete": {"version": None, "retry": True},
    "touch": {"timeout": D, "version": None, "retry": True},
    "incr": {"delta": 1, "version": None, "default": None, "retry": True},
    "decr": {"delta": 1, "version": None, "default": None, "retry": True},
    "has_key": {"version": None},
    "clear": {},
    "read": {"version": None},
    "pop": {
        "default": None,
        "version": None,
        "expire_time": False,
        "tag": False,
        "retry": True,
    },
    "cache": {},
    "deque": {"maxlen": None},
    "index": {},
    "expire": {},
    "stats": {"enable": True, "reset": False},
    "create_tag_index": {},
    "drop_tag_index": {},
    "evict": {},
    "cull": {},
    "memoize": {
        "name": None,
        "timeout": D,
        "version": None,
        "typed": False,
        "tag": None,
        "ignore": (),
    },
    "get_backend_timeout": {"timeout": D},
}
# What came later stands behind what the document has, and changes nothing for its callers.
ADDED: dict[str, dict[str, Any]] = {
    "get": {"touch": False},
    "clear": {"version": None, "prefix": None},
    "evict": {"match": "any"},
}
REQUIRED: dict[str, list[str]] = {
    "add": ["key", "value"],
    "set": ["key", "value"],
    "cache": ["name"],
    "deque": ["name"],
    "index": ["name"],
    "evict": ["tag"],
    **{name: ["key"] for name in ("get", "delete", "touch", "incr", "decr", "has_key")},
    **{name: ["key"] for name in ("read", "pop")},
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    parameters = [
        each
        for each in inspect.signature(getattr(DjangoCache, name)).parameters.values()
        if each.kind is not inspect.Parameter.KEYWORD_ONLY  # what the document does not have
    ]
    required = REQUIRED.get(name, [])
    defaults = {**SIGNATURES[name], **ADDED.get(name, {})}
    assert [each.name for each in parameters] == ["self", *required, *defaults]
    for each in parameters:
        assert each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    for each in parameters[: 1 + len(required)]:
        assert each.default is inspect.Parameter.empty
    for each in parameters[1 + len(required) :]:
        assert type(each.default) is type(defaults[each.name])
        assert each.default == defaults[each.name]


def test_signatures_of_construction_and_close() -> None:
    assert [*inspect.signature(DjangoCache.__init__).parameters] == [
        "self",
        "directory",
        "params",
    ]
    _, kwargs = inspect.signature(DjangoCache.close).parameters.values()
    assert (kwargs.name, kwargs.kind) == ("kwargs", inspect.Parameter.VAR_KEYWORD)
    assert isinstance(inspect.getattr_static(DjangoCache, "directory"), property)


def test_the_backend_is_where_the_settings_say() -> None:
    assert "DjangoCache" in django_diskcache.__all__
    assert django_diskcache.DjangoCache is DjangoCache


# Return values, method by method


def test_returns_of_the_constructor(root: Path) -> None:
    assert DjangoCache(str(root), {}).directory == str(root)


def test_returns_of_storing(own: DjangoCache) -> None:
    assert own.add("key", 1) is True
    assert own.add("key", 2) is False
    assert own.set("key", 3) is True
    assert own.touch("key") is True
    assert own.touch("missing") is False
    assert own.has_key("key") is True
    assert own.has_key("missing") is False
    assert own.delete("key") is True
    assert own.delete("key") is False
    own.set("key", 1)
    assert own.clear() is None  # type: ignore[func-returns-value]
    assert own.get("key") is None


def test_returns_of_get_and_pop(own: DjangoCache, clock: FakeClock) -> None:
    due = clock.now + 60
    for method in (own.get, own.pop):
        for wanted, found, missing in (
            ((), "value", 0),
            (("expire_time",), ("value", due), (0, None)),
            (("tag",), ("value", "t"), (0, None)),
            (("expire_time", "tag"), ("value", due, "t"), (0, None, None)),
        ):
            arguments: dict[str, Any] = dict.fromkeys(wanted, True)
            own.set("key", "value", timeout=60, tag="t")
            assert method("key", **arguments) == found
            assert ("key" in own) == (method == own.get)
            own.delete("key")
            assert method("key", 0, **arguments) == missing
        assert method("key") is None


def test_returns_of_get_with_read(own: DjangoCache) -> None:
    own.set("key", b"bytes", read=True)
    with own.get("key", read=True) as file:
        assert file.read() == b"bytes"
    with own.read("key") as file:
        assert file.read() == b"bytes"
    assert own.read("missing") is None
    assert own.get("missing", read=True) is None


def test_returns_of_incr_and_decr(own: DjangoCache) -> None:
    assert own.incr("up", default=10) == 11
    assert own.incr("up", 2) == 13
    assert own.decr("up", 3) == 10
    assert own.decr("down", default=10) == 9
    for method in (own.incr, own.decr):
        with pytest.raises(ValueError):
            method("missing")


def test_returns_of_sub_collections(own: DjangoCache) -> None:
    directory = Path(own.directory)
    named = own.cache("users")
    assert type(named) is Cache
    assert Path(named.directory).is_relative_to(directory)
    queue = own.deque("tasks", maxlen=3)
    assert type(queue) is Deque
    assert queue.maxlen == 3
    assert Path(queue.directory).is_relative_to(directory)
    index = own.index("search")
    assert type(index) is Index
    assert Path(index.directory).is_relative_to(directory)
    own.shutdown()


def test_returns_of_management(own: DjangoCache, clock: FakeClock) -> None:
    own.set_many({"a": 1, "b": 2}, timeout=5)
    clock.advance(5)
    assert own.expire() == 2
    own.set("a", 1, tag="t")
    own.get("a")
    own.get("b")
    assert own.stats() == (1, 1)
    assert own.stats(reset=True) == (1, 1)
    assert own.stats() == (0, 0)
    assert own.create_tag_index() is None  # type: ignore[func-returns-value]
    assert own.evict("t") == 1
    assert own.drop_tag_index() is None  # type: ignore[func-returns-value]
    assert own.cull() == 0
    assert own.close() is None  # type: ignore[func-returns-value]
    assert own.get_backend_timeout() == 300
    assert own.get_backend_timeout(None) is None
    assert own.get_backend_timeout(2.5) == 2.5


# Django Configuration


def test_settings_configuration(root: Path) -> None:
    with override_settings(CACHES=settings_configuration(root)):
        for alias, count in (("default", 8), ("session", 4)):
            made = caches[alias]
            assert isinstance(made, DjangoCache)
            made.set("key", alias)
            assert made.get("key") == alias
            wanted = settings_configuration(root)[alias]
            engine = engine_of(made)
            assert len(engine.stores) == count
            assert made.directory == wanted["LOCATION"]
            assert made._cache.timeout == 0.010
            for name, value in wanted["OPTIONS"].items():
                assert engine.settings[name] == value


def test_multiple_cache_configuration(root: Path, configured: None) -> None:
    for alias, wanted in multiple_cache_configuration(root).items():
        made = caches[alias]
        assert isinstance(made, DjangoCache)
        assert len(engine_of(made).stores) == wanted["SHARDS"]
        for name, value in wanted["OPTIONS"].items():
            assert made._cache.engine.settings[name] == value


# Usage Examples

extended = cast(DjangoCache, cache)  # a proxy, whose type does not know what we add


def test_basic_django_cache_usage(configured: None, clock: FakeClock) -> None:
    # Basic cache operations
    cache.set("user_count", 1250, timeout=300)  # 5 minutes
    user_count = cache.get("user_count", default=0)

    # Add only if doesn't exist
    cache.add("unique_visitor", True, timeout=86400)  # 24 hours

    # Atomic operations
    cache.set("page_views", 1000)
    up = cache.incr("page_views")  # Now 1001
    down = cache.decr("page_views", 10)  # Now 991

    assert (user_count, up, down) == (1250, 1001, 991)
    clock.advance(300)
    assert cache.get("user_count", default=0) == 0
    assert cache.get("unique_visitor") is True
    clock.advance(86400 - 300)
    assert cache.get("unique_visitor") is None
    cache.set("left", 1)

    # Delete operations
    cache.delete("temp_data")
    cache.clear()  # Remove all items

    assert cache.get("left") is None
    assert len(caches["default"]) == 0  # type: ignore[arg-type]


def test_django_cache_with_versioning(configured: None) -> None:
    user_data, updated_data = {"name": "old"}, {"name": "new"}

    # Use versioning for cache invalidation
    cache.set("user_profile", user_data, version=1)
    profile = cache.get("user_profile", version=1)
    assert profile == user_data

    # Invalidate by changing version
    cache.set("user_profile", updated_data, version=2)
    old_profile = cache.get("user_profile", version=1)
    new_profile = cache.get("user_profile", version=2)  # updated_data

    assert new_profile == updated_data
    # The document's comment says None here, which contradicts Django's contract: versions
    # are entries apart, and a set of one leaves the others alone. Readers move on to the new
    # version; the old one is None as soon as it has expired or is deleted.
    assert old_profile == user_data
    cache.delete("user_profile", version=1)
    assert cache.get("user_profile", version=1) is None


def test_using_multiple_caches(configured: None, clock: FakeClock) -> None:
    config_data, session_data, query_data = {"a": 1}, {"b": 2}, [3]

    # Access different cache backends
    default_cache = caches["default"]
    session_cache = caches["sessions"]
    db_cache = caches["database"]

    # Use each for different purposes
    default_cache.set("site_config", config_data)
    session_cache.set("user_session", session_data, timeout=1800)
    db_cache.set("query_result", query_data, timeout=3600)

    keys = ["site_config", "user_session", "query_result"]
    assert default_cache.get_many(keys) == {"site_config": config_data}
    assert session_cache.get_many(keys) == {"user_session": session_data}
    assert db_cache.get_many(keys) == {"query_result": query_data}
    clock.advance(1800)
    assert session_cache.get("user_session") is None
    assert db_cache.get("query_result") == query_data


def test_diskcache_specific_features(
    configured: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cache = extended
    post_data, other_post, user_data = {"id": 1}, {"id": 2}, {"id": 3}
    monkeypatch.chdir(tmp_path)
    Path("large_file.pdf").write_bytes(b"%PDF" * 50_000)

    # Use tags for grouped invalidation
    cache.set("post_1", post_data, tag="posts", timeout=3600)
    cache.set("post_2", other_post, tag="posts", timeout=3600)
    cache.set("user_1", user_data, tag="users", timeout=1800)

    # Evict all posts
    evicted = cache.evict("posts")  # Removes post_1 and post_2, keeps user_1

    assert evicted == 2
    assert cache.get_many(["post_1", "post_2", "user_1"]) == {"user_1": user_data}

    # File-based storage for large items
    with open("large_file.pdf", "rb") as f:
        file_data = f.read()
    cache.set("large_document", file_data, read=True)

    # Get file handle instead of loading into memory
    file_handle = cache.read("large_document")
    content = None
    if file_handle:
        content = file_handle.read()
        file_handle.close()

    assert content == file_data
    cache.stats(reset=True)
    cache.get_many(["user_1", "large_document", "missing"])

    # Statistics
    hits, misses = cache.stats()
    print(f"Cache hit ratio: {hits / (hits + misses):.2%}")

    assert (hits, misses) == (2, 1)
    assert capsys.readouterr().out == "Cache hit ratio: 66.67%\n"


def test_sub_collections_in_django(configured: None, own: DjangoCache) -> None:
    cache = extended
    user_data = {"name": "Ann"}

    # Create specialized data structures
    user_cache = cache.cache("users")
    task_queue = cache.deque("tasks")
    search_index = cache.index("search")

    # Use sub-collections independently
    user_cache.set("user:123", user_data)
    task_queue.append({"task": "send_email", "user_id": 123})
    search_index["keyword:python"] = ["doc1", "doc2", "doc3"]

    # These don't interfere with main cache
    cache.set("global_setting", "value")  # Different namespace

    assert len(own) == 1
    cache.clear()
    assert user_cache.get("user:123") == user_data
    assert list(task_queue) == [{"task": "send_email", "user_id": 123}]
    assert dict(search_index) == {"keyword:python": ["doc1", "doc2", "doc3"]}
    own.shutdown()


# Use DiskCache as Django session backend
@override_settings(
    SESSION_ENGINE="django.contrib.sessions.backends.cache", SESSION_CACHE_ALIAS="sessions"
)
def test_session_backend(configured: None) -> None:
    # Sessions will be stored in DiskCache automatically
    session = SessionStore()
    session["cart"] = [1, 2]
    session.save()
    assert session.session_key is not None
    assert SessionStore(session.session_key)["cart"] == [1, 2]
    assert len(caches["sessions"]) == 1  # type: ignore[arg-type]
    assert len(caches["default"]) == 0  # type: ignore[arg-type]


@pytest.fixture
def templates(tmp_path: Path) -> Iterator[Path]:
    """A directory of templates, found by Django's loader."""
    folder = tmp_path / "templates"
    folder.mkdir()
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [folder]}
    with override_settings(TEMPLATES=[engine]):
        yield folder


def test_caching_views_and_templates(configured: None, templates: Path) -> None:
    cache = extended
    (templates / "template.html").write_text("data: {{ data }}")
    (templates / "fragment.html").write_text("fragment: {{ data }}")
    calls: list[int] = []

    def perform_complex_calculation() -> int:
        calls.append(1)
        return len(calls)

    # Cache entire view for 15 minutes
    @cache_page(60 * 15, cache="default")
    def expensive_view(request: HttpRequest) -> HttpResponse:
        # Expensive computation
        data = perform_complex_calculation()
        return render(request, "template.html", {"data": data})

    # Manual template caching
    def cached_template_fragment(context_data: dict[str, Any]) -> str:
        cache_key = f"template_fragment_{hash(str(context_data))}"
        rendered: str | None = cache.get(cache_key)
        if rendered is None:
            rendered = render_to_string("fragment.html", context_data)
            cache.set(cache_key, rendered, timeout=3600, tag="templates")
        return rendered

    # Invalidate template cache when data changes
    def invalidate_template_cache() -> None:
        cache.evict("templates")  # Remove all cached templates

    request = RequestFactory().get("/page")
    pages = [expensive_view(request).content for _ in range(3)]
    assert pages == [b"data: 1"] * 3
    assert cached_template_fragment({"data": 1}) == "fragment: 1"
    (templates / "fragment.html").write_text("changed: {{ data }}")
    assert cached_template_fragment({"data": 1}) == "fragment: 1"
    invalidate_template_cache()
    assert cached_template_fragment({"data": 1}).endswith(": 1")
    assert expensive_view(request).content == b"data: 1"


@pytest.mark.django_db
def test_database_query_caching(configured: None, django_assert_num_queries: Any) -> None:
    Article.objects.create(title="One", content="…", published=True)
    two = Article.objects.create(title="Two", content="…")

    # Usage
    with django_assert_num_queries(1):
        published_articles = Article.objects.cached_filter(published=True, timeout=1800)
    with django_assert_num_queries(0):
        again = Article.objects.cached_filter(published=True, timeout=1800)

    assert [article.title for article in published_articles] == ["One"]
    assert again == published_articles
    assert again[0].content == "…"
    two.published = True
    two.save()
    assert len(Article.objects.cached_filter(published=True, timeout=1800)) == 1
    assert Article.objects.cached_filter(published=False) == []
    invalidate_article_cache()
    assert len(Article.objects.cached_filter(published=True, timeout=1800)) == 2


@pytest.mark.django_db
def test_memoization_in_django(
    configured: None, templates: Path, django_assert_num_queries: Any
) -> None:
    cache = extended
    (templates / "dashboard.html").write_text("{{ permissions|length }} {{ result }}")
    calls: list[tuple[int, int, int]] = []

    def perform_expensive_operation(x: int, y: int, z: int) -> int:
        calls.append((x, y, z))
        return x + y + z

    # Memoize expensive functions
    @cache.memoize(timeout=3600, tag="calculations")
    def expensive_calculation(x: int, y: int, z: int) -> int:
        # Complex computation
        result = perform_expensive_operation(x, y, z)
        return result  # noqa: RET504 (as the document has it)

    # Memoize with versioning
    @cache.memoize(name="user_permissions", timeout=1800, version=1)
    def get_user_permissions(user_id: int) -> set[str]:
        # Database queries to get permissions
        return User.objects.get(id=user_id).get_all_permissions()

    # Use in views
    def user_dashboard(request: Any) -> HttpResponse:
        permissions = get_user_permissions(request.user.id)
        calculation_result = expensive_calculation(1, 2, 3)
        return render(
            request,
            "dashboard.html",
            {"permissions": permissions, "result": calculation_result},
        )

    # Invalidate memoized functions
    def invalidate_calculations() -> None:
        cache.evict("calculations")

    request: Any = RequestFactory().get("/dashboard")
    request.user = User.objects.create_superuser("ann")
    first = user_dashboard(request).content
    with django_assert_num_queries(0):
        assert user_dashboard(request).content == first
    assert first.endswith(b" 6")
    assert int(first.split()[0]) > 0
    assert calls == [(1, 2, 3)]
    invalidate_calculations()
    with django_assert_num_queries(0):
        assert user_dashboard(request).content == first
    assert len(calls) == 2


# Best Practices


def test_cache_key_management(configured: None) -> None:
    user_data = {"name": "Ann"}

    # Use consistent key naming
    CACHE_KEY_PATTERNS = {
        "user_profile": "user:profile:{user_id}",
        "article_list": "articles:list:{category}:{page}",
        "search_results": "search:{query_hash}",
    }

    def get_cache_key(pattern: str, **kwargs: Any) -> str:
        return CACHE_KEY_PATTERNS[pattern].format(**kwargs)

    # Usage
    cache_key = get_cache_key("user_profile", user_id=123)
    cache.set(cache_key, user_data)

    assert cache.get("user:profile:123") == user_data
    assert list(caches["default"]) == ["user:profile:123"]  # type: ignore[call-overload]


def test_timeout_strategies(configured: None, clock: FakeClock) -> None:
    data = {"theme": "dark"}

    # Different timeouts for different data types
    CACHE_TIMEOUTS = {
        "static_content": 86400,  # 24 hours
        "user_sessions": 1800,  # 30 minutes
        "api_responses": 300,  # 5 minutes
        "database_queries": 3600,  # 1 hour
        "template_fragments": 7200,  # 2 hours
    }

    cache.set("config", data, timeout=CACHE_TIMEOUTS["static_content"])

    for kind, timeout in CACHE_TIMEOUTS.items():
        assert extended.set(kind, data, timeout=timeout) is True
        assert extended.get(kind, expire_time=True) == (data, clock.now + timeout)
    clock.advance(86399)
    assert cache.get("config") == data
    clock.advance(1)
    assert cache.get("config") is None


def test_error_handling(configured: None, caplog: pytest.LogCaptureFixture) -> None:
    def safe_cache_get(key: str, default: Any = None) -> Any:
        try:
            return cache.get(key, default)
        except Exception as e:
            logging.error(f"Cache get error for key {key}: {e}")
            return default

    def safe_cache_set(key: str, value: Any, timeout: int = 300) -> Any:
        try:
            return extended.set(key, value, timeout=timeout)
        except Exception as e:
            logging.error(f"Cache set error for key {key}: {e}")
            return False

    assert safe_cache_set("key", {"a": 1}) is True
    assert safe_cache_get("key") == {"a": 1}
    assert safe_cache_get("missing", "default") == "default"
    assert caplog.records == []
    assert safe_cache_set("key", lambda: None) is False
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "Cache set error for key key"
    ]
    assert safe_cache_get("key") == {"a": 1}


def test_monitoring_and_maintenance(configured: None, clock: FakeClock) -> None:
    cache = extended

    # Management command for cache monitoring
    class Command(BaseCommand):
        help = "Monitor cache statistics"

        def handle(self, *args: Any, **options: Any) -> None:
            hits, misses = cache.stats()
            total = hits + misses
            if total > 0:
                hit_ratio = hits / total
                self.stdout.write("Cache Statistics:")
                self.stdout.write(f"  Hits: {hits}")
                self.stdout.write(f"  Misses: {misses}")
                self.stdout.write(f"  Hit Ratio: {hit_ratio:.2%}")

            # Cleanup expired items
            expired = cache.expire()
            self.stdout.write(f"Expired {expired} items")

            # Show cache size
            volume = cache.volume() if hasattr(cache, "volume") else "Unknown"
            self.stdout.write(f"Cache Size: {volume} bytes")

    def output() -> list[str]:
        out = StringIO()
        call_command(Command(), stdout=out)
        return out.getvalue().splitlines()

    assert output()[0] == "Expired 0 items"
    cache.set_many({"a": 1, "b": 2, "c": 3}, timeout=60)
    cache.get_many(["a", "b", "c", "missing"])
    clock.advance(60)
    lines = output()
    assert lines[:-1] == [
        "Cache Statistics:",
        "  Hits: 3",
        "  Misses: 1",
        "  Hit Ratio: 75.00%",
        "Expired 3 items",
    ]
    assert lines[-1] == f"Cache Size: {cache.volume()} bytes"
