"""What the actions do, ask, say and log."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.messages import get_messages
from django.core.cache import caches
from django.test import Client
from django.utils.html import escape

from django_diskcache import DjangoCache
from django_diskcache.dashboard import pages
from tests.django.conftest import FakeClock
from tests.django.dashboard.conftest import DEFAULT, page, told

CONFIRMED = {"confirmed": "yes"}


def do(client: Client, action: str, **data: Any) -> list[str]:
    """Do something; the messages of it."""
    response = client.post(f"{DEFAULT}{action}/", data)
    assert response.status_code == 302
    assert response["Location"] == f"{DEFAULT}change/"
    return [str(message) for message in get_messages(response.wsgi_request)]


def logged() -> list[str]:
    return [entry.change_message for entry in LogEntry.objects.order_by("pk")]


def test_expire(manager: Client, cache: DjangoCache, clock: FakeClock) -> None:
    cache.set("short", 1, 1)
    cache.set("long", 1, 10)
    clock.advance(5)
    assert do(manager, "expire") == ["1 entry was removed."]
    assert len(cache) == 1
    assert logged() == ["1 entry was removed."]


def test_cull(manager: Client, settings: Any, tmp_path: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django_diskcache.DjangoCache",
            "LOCATION": str(tmp_path / "small"),
            "OPTIONS": {"size_limit": "2MB", "shards": 1, "cull_limit": 0},
        }
    }
    cache = caches["default"]
    for number in range(40):
        cache.set(f"{number}", b"x" * 100_000, None)
    (message,) = do(manager, "cull", **CONFIRMED)
    left = len(cache)  # type: ignore[arg-type]
    assert left < 20
    assert message == f"{40 - left} entries were removed."


def test_evict(manager: Client, cache: DjangoCache) -> None:
    cache.set_many({"a": 1, "b": 2}, tag="news")
    cache.set("c", 3, tag="other")
    messages = do(manager, "evict", tag="news", kind="text", **CONFIRMED)
    assert messages == ["2 entries with the tag news were removed."]
    assert cache.get_many("abc") == {"c": 3}


@pytest.mark.parametrize(
    ("tag", "typed", "kind"),
    [(7, "7", "integer"), (7.5, "7.5", "float"), (b"\xff", "ff", "bytes"), ("7", "7", "text")],
)
def test_tags_have_types(
    manager: Client, cache: DjangoCache, tag: Any, typed: str, kind: str
) -> None:
    for each in (7, 7.5, b"\xff", "7"):
        cache.set(repr(each), 1, tag=each)
    do(manager, "evict", tag=typed, kind=kind, **CONFIRMED)
    assert cache.get(repr(tag)) is None
    assert len(cache) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tag": "x", "kind": "integer"}, "This is no tag of that type."),
        ({"tag": "zz", "kind": "bytes"}, "This is no tag of that type."),
        ({"tag": "x", "kind": "pickle"}, "pickle is not one of the available choices."),
        ({"tag": "x"}, "This field is required."),
    ],
)
def test_a_tag_that_is_none(
    manager: Client, cache: DjangoCache, data: dict[str, str], message: str
) -> None:
    cache.set("key", 1, tag="x")
    (told_of,) = do(manager, "evict", **data, **CONFIRMED)
    assert message in told_of
    assert cache.get("key") == 1
    assert logged() == []


def test_delete(manager: Client, cache: DjangoCache) -> None:
    cache.set("key", 1)
    cache.set("key", 2, version=2)
    assert do(manager, "delete", stored='":1:key"', **CONFIRMED) == [
        "The entry :1:key was removed."
    ]
    assert (cache.get("key"), cache.get("key", version=2)) == (None, 2)
    messages = do(manager, "delete", stored='":1:key"', **CONFIRMED)
    assert messages[-1] == "There was no entry :1:key any more."


@pytest.mark.parametrize("stored", ["", ":1:key", "7", '"', '"\\ud800"'])
def test_a_key_that_is_none(manager: Client, cache: DjangoCache, stored: str) -> None:
    cache.set("key", 1)
    (message,) = do(manager, "delete", stored=stored, **CONFIRMED)
    assert message == ("This is no key." if stored else "This field is required.")
    assert cache.get("key") == 1


def test_keys_and_tags_with_control_characters(manager: Client, cache: DjangoCache) -> None:
    odd = "a\r\n\x00\u202eb "
    cache._cache.set(odd, 1, tag=odd)
    cache._cache.set("tagged", 1, tag=odd)
    html = page(manager, f"{DEFAULT}key/", stored=odd)
    (tag, kind) = re.findall(r'name="(?:tag|kind)" value="([^"]*)"', html)
    (stored,) = re.findall(r'name="stored" value="([^"]*)"', html)
    do(manager, "delete", stored=unescape(stored), **CONFIRMED)
    assert list(cache._cache) == ["tagged"]
    do(manager, "evict", tag=unescape(tag), kind=kind, **CONFIRMED)
    assert list(cache._cache) == []


def test_reset(manager: Client, cache: DjangoCache) -> None:
    cache.get("missing")
    do(manager, "reset", **CONFIRMED)
    found = cache.figures()
    assert (found.hits, found.misses) == (0, 0)


def test_clear(manager: Client, cache: DjangoCache) -> None:
    cache.set_many({"a": 1, "b": 2}, version=3)
    caches["other"].set("key", 1)
    assert do(manager, "clear", **CONFIRMED) == ["2 entries were removed."]
    assert len(cache) == 0
    assert caches["other"].get("key") == 1


def test_the_log_leads_to_the_cache(manager: Client) -> None:
    do(manager, "clear", **CONFIRMED)
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.action_flag) == ("default", CHANGE)
    assert entry.get_change_message() == "0 entries were removed."
    assert entry.get_admin_url() == f"{DEFAULT}change/"
    assert entry.user.username == "somebody"
    assert "default" in manager.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("action", "data", "question"),
    [
        ("cull", {}, "Evict entries of this cache until its size limit holds?"),
        ("evict", {"tag": "t", "kind": "text"}, "Remove all entries with this tag?"),
        ("delete", {"stored": '":1:key"'}, "Delete this entry?"),
        ("reset", {}, "Begin again at zero with all counts of this cache?"),
        ("clear", {}, "Remove every entry of this cache, of all versions and prefixes?"),
    ],
)
def test_what_cannot_be_undone_is_asked_first(
    manager: Client, cache: DjangoCache, action: str, data: dict[str, str], question: str
) -> None:
    cache.set("key", 1, tag="t")
    response = manager.post(f"{DEFAULT}{action}/", data)
    html = response.content.decode()
    assert response.status_code == 200
    assert question in told(html)
    assert "This cannot be undone." in told(html)
    for name, value in {**data, **CONFIRMED}.items():
        assert f'<input type="hidden" name="{name}" value="{escape(value)}">' in html
    assert cache.get("key") == 1
    assert logged() == []


def test_how_many_entries_it_concerns(
    manager: Client, cache: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(action: str, **data: str) -> str:
        return told(manager.post(f"{DEFAULT}{action}/", data).content.decode())

    cache.set_many(dict.fromkeys("abcd", 1), tag="t")
    assert "Entries 4 This" in asked("clear")
    assert "Entries" not in asked("evict", tag="t", kind="text")  # a scan would have to count
    cache.create_tag_index()
    assert "Tag t Entries 4 This" in asked("evict", tag="t", kind="text")
    monkeypatch.setattr(pages, "MOST_COUNTED", 3)
    assert "Entries 3 or more This" in asked("evict", tag="t", kind="text")


def test_hostile_targets_are_escaped(manager: Client) -> None:
    for action, name in (("evict", "tag"), ("delete", "stored")):
        bad = "\"><script>alert('x')</script>"
        data = {name: bad if name == "tag" else json.dumps(bad), "kind": "text"}
        html = manager.post(f"{DEFAULT}{action}/", data).content.decode()
        assert "<script>alert" not in html
        data["confirmed"] = "yes"
        html = manager.post(f"{DEFAULT}{action}/", data, follow=True).content.decode()
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html


def test_trouble_is_a_message(
    manager: Client, cache: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(type(cache), "expire", fail)
    assert do(manager, "expire") == ["the disk is gone"]
    assert logged() == []
