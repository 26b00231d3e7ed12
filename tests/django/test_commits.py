"""Changes of the cache on commit of a database's transaction, and eviction for models."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import InvalidCacheBackendError, caches
from django.db import connections, transaction
from django.test import TestCase, override_settings
from django.utils.connection import ConnectionDoesNotExist

from django_diskcache import evict_on_change
from tests.django.myapp.models import Article, Page, Person, Story, Topic

pytestmark = pytest.mark.django_db(transaction=True)
two_databases = pytest.mark.django_db(transaction=True, databases=["default", "second"])
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


class Undone(Exception):
    """Ends a transaction that is to be rolled back."""


@pytest.fixture(autouse=True)
def _site(located: Callable[[str], dict[str, Any]]) -> Iterator[None]:
    aliases = {"default": located("c"), "memory": {"BACKEND": LOCMEM}}
    with override_settings(CACHES=aliases):
        yield


@pytest.fixture
def cache() -> Any:
    return caches["default"]


def test_all_is_done_after_the_commit(cache: Any) -> None:
    cache.set_many({"old": 1, "tagged": 1, "both": 1}, tag=("a", "b"))
    with transaction.atomic():
        cache.set_on_commit("key", [1], timeout=60, tag=("a", "c"))
        cache.set_on_commit("second", 2, version=2)
        cache.delete_on_commit("old")
        cache.delete_on_commit("second", version=1)
        cache.evict_on_commit("b")
        assert cache.get("key") is None
        assert cache.get("old") == 1
        assert cache.get("tagged") == 1
    assert cache.get("key", expire_time=True)[1] is not None
    assert cache.tags("key") == ("a", "c")
    assert cache.get("second", version=2) == 2
    assert cache.get("old") is None
    assert cache.get("tagged") is None


def test_nothing_is_done_after_a_rollback(cache: Any) -> None:
    cache.set("old", 1, tag="a")
    with pytest.raises(Undone), transaction.atomic():
        cache.set_on_commit("key", 1)
        cache.delete_on_commit("old")
        cache.evict_on_commit("a")
        raise Undone
    assert cache.get_many(["old", "key"]) == {"old": 1}

    with transaction.atomic():
        with pytest.raises(Undone), transaction.atomic():
            cache.set_on_commit("key", 1)
            cache.evict_on_commit("a")
            raise Undone
        cache.set_on_commit("outer", 1)
    assert cache.get_many(["old", "key", "outer"]) == {"old": 1, "outer": 1}


def test_outside_of_a_transaction_it_is_done_at_once(cache: Any) -> None:
    cache.set_on_commit("key", 1, tag=("a", "b"))
    assert cache.get("key") == 1
    cache.evict_on_commit(("a", "no"), match="all")
    assert cache.get("key") == 1
    cache.evict_on_commit(("a", "b"), match="all")
    assert cache.get("key") is None
    cache.set_on_commit("key", 1)
    cache.delete_on_commit("key")
    assert cache.get("key") is None


@two_databases
def test_the_database_that_is_meant(cache: Any) -> None:
    with transaction.atomic(using="second"):
        cache.set_on_commit("second", 1, using="second")
        cache.set_on_commit("default", 1)
        cache.set("here", 1, tag="a")
        cache.evict_on_commit("a", using="second")
        cache.delete_on_commit("default", using="second")
        assert cache.get_many(["second", "default", "here"]) == {"default": 1, "here": 1}
    assert cache.get_many(["second", "default", "here"]) == {"second": 1}
    with pytest.raises(ConnectionDoesNotExist):
        cache.evict_on_commit("a", using="third")


def test_a_mistake_is_told_at_once(cache: Any) -> None:
    with transaction.atomic():
        with pytest.raises(TypeError, match="expected a str"):
            cache.set_on_commit("key", 1, tag=["a", None])
        with pytest.raises(TypeError, match="expected"):
            cache.evict_on_commit(object())
        with pytest.raises(ValueError, match="match='both'"):
            cache.evict_on_commit("a", match="both")
        with pytest.warns(match="memcached"):
            cache.set_on_commit("a key", 1)
        assert len(transaction.get_connection().run_on_commit) == 1
        transaction.get_connection().run_on_commit.clear()


def test_what_fails_after_the_commit_breaks_nothing(
    cache: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set("old", 1, tag="a")
    with transaction.atomic():
        Group.objects.create(name="kept")
        cache.set_on_commit("key", lambda: 1)  # no pickle
        cache.evict_on_commit("a")
    assert Group.objects.filter(name="kept").exists()
    assert "Error calling" in caplog.text
    assert cache.get("old") is None


def test_a_broken_directory_breaks_nothing(cache: Any, tmp_path: Path) -> None:
    with transaction.atomic():
        Group.objects.create(name="kept")
        cache.set_on_commit("key", 1)
        cache.evict_on_commit("a")
        for path in (tmp_path / "c").rglob("cache.db*"):
            path.write_bytes(b"garbage" * 1000)
    assert Group.objects.filter(name="kept").exists()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of each eviction from now on."""
    seen: list[Any] = []
    cls: Any = type(caches["default"])
    real = cls.evict

    def evicted(self: Any, tag: Any, match: str = "any") -> int:
        assert not connections["default"].in_atomic_block
        seen.append(tag)
        return int(real(self, tag, match))

    monkeypatch.setattr(cls, "evict", evicted)
    return seen


def test_evictions_that_follow_one_another_are_one(
    cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    with transaction.atomic():
        for number in range(2000):
            cache.evict_on_commit(f"tag-{number % 3}")
    assert seen == [("tag-0", "tag-1", "tag-2")]

    seen.clear()
    with transaction.atomic():  # what is stored in between is evicted by what comes after it
        cache.evict_on_commit("a")
        cache.set_on_commit("key", 1, tag="a")
        cache.evict_on_commit(["a", "b"])
        cache.evict_on_commit("c", match="all")
        cache.evict_on_commit("d")
    assert seen == [("a",), ("a", "b"), ("c",), ("d",)]
    assert cache.get("key") is None

    seen.clear()
    with transaction.atomic():
        cache.evict_on_commit("a")
        with pytest.raises(Undone), transaction.atomic():
            cache.evict_on_commit("b")
            raise Undone
        with transaction.atomic():
            cache.evict_on_commit("c")
    assert seen == [("a",), ("c",)]


def test_django_s_test_case_sees_each_commit(
    cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(type(cache), "evict", lambda self, tag, match: seen.append(tag))
    with transaction.atomic():
        cache.evict_on_commit("before")
        for tag in ("first", "second"):
            with TestCase.captureOnCommitCallbacks(execute=True):
                cache.evict_on_commit(tag)
                cache.evict_on_commit(tag)
        assert seen == [("first",), ("second",)]


# Models


@pytest.fixture
def watch() -> Iterator[Callable[..., None]]:
    """`evict_on_change`, ended with the test."""
    ends = []

    def watch(*args: Any, **kwargs: Any) -> None:
        ends.append(evict_on_change(*args, **kwargs))

    yield watch
    for end in ends:
        end()


def test_a_model_that_is_saved_or_deleted(cache: Any, watch: Callable[..., None]) -> None:
    watch(Article, ("articles", "front"))
    gc.collect()  # nobody else holds what receives the signals
    article = Article.objects.create(title="t", content="c")

    def evicted() -> bool:
        gone = cache.get("list") is None
        cache.set("list", 1, tag=("articles", "other"))
        return gone

    evicted()
    assert not evicted()
    article.save()
    assert evicted()
    Article.objects.create(title="u", content="c")
    assert evicted()
    with transaction.atomic():
        article.save()
        assert not evicted()
    assert evicted()
    with pytest.raises(Undone), transaction.atomic():
        article.save()
        article.delete()
        raise Undone
    assert not evicted()
    Article.objects.get(title="t").delete()
    assert evicted()
    Article.objects.all().delete()
    assert evicted()
    Article.objects.filter(title="no").update(title="x")  # what sends no signal
    Article.objects.bulk_create([Article(title="b", content="c")])
    assert not evicted()
    Group.objects.create(name="another model")
    assert not evicted()


def test_tags_by_the_object(cache: Any, watch: Callable[..., None]) -> None:
    watch("myapp.Article", lambda article: ("all", f"article:{article.pk}"))
    one, two = (Article.objects.create(title=t, content="c") for t in "ab")
    cache.set("one", 1, tag=f"article:{one.pk}")
    cache.set("two", 2, tag=f"article:{two.pk}")
    one.save()
    assert cache.get_many(["one", "two"]) == {"two": 2}
    two.delete()  # its key is gone afterwards
    assert cache.get("two") is None


def test_many_saves_evict_once(
    cache: Any, watch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(Article, "articles")
    seen = counted(monkeypatch)
    with transaction.atomic():
        for number in range(20):
            Article.objects.create(title=str(number), content="c")
    assert seen == [("articles",)]


@two_databases
def test_the_database_that_was_written_to(cache: Any, watch: Callable[..., None]) -> None:
    watch(Article, "articles")
    cache.set("list", 1, tag="articles")
    with transaction.atomic(using="second"):
        Article(title="t", content="c").save(using="second")
        with transaction.atomic():
            assert cache.get("list") == 1
        assert cache.get("list") == 1
    assert cache.get("list") is None


def test_many_to_many(cache: Any, watch: Callable[..., None]) -> None:
    watch(User, lambda user: f"user:{user.username}")
    users = [User.objects.create(username=name) for name in "abc"]
    groups = [Group.objects.create(name=name) for name in "xy"]

    def evicted() -> str:
        gone = "".join(name for name in "abc" if cache.get(name) is None)
        for name in "abc":
            cache.set(name, 1, tag=(f"user:{name}", "users"))
        return gone

    evicted()
    users[0].groups.add(groups[0])
    assert evicted() == "a"
    users[0].groups.add(groups[0])  # again
    assert evicted() == ""
    groups[0].user_set.add(users[1], users[2])
    assert evicted() == "bc"
    groups[1].user_set.clear()
    assert evicted() == ""
    groups[0].user_set.remove(users[0])
    assert evicted() == "a"
    with pytest.raises(Undone), transaction.atomic():
        groups[0].user_set.clear()
        raise Undone
    assert evicted() == ""
    groups[0].user_set.clear()
    assert evicted() == "bc"
    users[0].groups.set(groups)
    assert evicted() == "a"
    users[0].groups.clear()
    assert evicted() == "a"


def test_connected_twice_it_is_one(
    cache: Any, watch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tags(article: Article) -> str:
        return f"article:{article.pk}"

    for _ in range(2):
        watch(Article, tags)
        watch(Article, ["a", "b"])
        watch(Article, ("a", "b"))
        watch(Article, "c")
    seen = counted(monkeypatch)
    article = Article.objects.create(title="t", content="c")
    assert sorted(seen) == [("a", "b"), (f"article:{article.pk}",), ("c",)]


def test_a_field_of_a_parent(cache: Any, watch: Callable[..., None]) -> None:
    watch(Story, lambda story: f"story {story.title}")
    page, story = Page.objects.create(), Story.objects.create(title="t")
    topic = Topic.objects.create(name="n")

    def evicts(change: Callable[..., Any], *args: Any) -> bool:
        cache.set("page", 1, tag="story t")
        change(*args)
        return cache.get("page") is None

    assert not evicts(page.topics.add, topic)  # it is no story
    assert not evicts(topic.pages.remove, page)
    assert evicts(story.topics.add, topic)
    assert evicts(Page.objects.get(pk=story.pk).topics.clear)
    assert evicts(topic.pages.add, story)
    assert evicts(topic.pages.clear)


def test_a_field_to_the_same_model(cache: Any, watch: Callable[..., None]) -> None:
    watch(Person, lambda person: f"person {person.pk}")
    one, other = Person.objects.create(), Person.objects.create()

    def evicts(change: Callable[..., Any], *args: Any) -> list[bool]:
        for each in (one, other):
            cache.set(f"page{each.pk}", 1, tag=f"person {each.pk}")
        change(*args)
        return [cache.get(f"page{each.pk}") is None for each in (one, other)]

    assert evicts(one.friends.add, other) == [True, True]
    assert evicts(other.friends.remove, one) == [True, True]
    one.friends.add(other)
    assert evicts(one.friends.clear) == [True, True]


def test_it_can_be_ended(cache: Any) -> None:
    cache.set("list", 1, tag="articles")
    end = evict_on_change(Article, "articles")
    end()
    end()
    Article.objects.create(title="t", content="c")
    assert cache.get("list") == 1


def test_a_cache_without_tags_is_left_alone(watch: Callable[..., None]) -> None:
    watch(Article, "articles", cache="memory")
    Article.objects.create(title="t", content="c")


def test_arguments_that_are_wrong(watch: Callable[..., None]) -> None:
    with pytest.raises(InvalidCacheBackendError, match="'caches' doesn't exist"):
        watch(Article, "articles", cache="caches")
    with pytest.raises(LookupError, match="nothing"):
        watch("nothing.Article", "articles")
    for wrong in (object, Article(), None):
        with pytest.raises(TypeError, match=r"model=.*: expected a model, or a text like"):
            watch(wrong, "articles")
    with pytest.raises(TypeError, match="expected a str"):
        watch(Article, {"a": 1})
