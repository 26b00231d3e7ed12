"""What the pages show, of good entries and of hostile ones, and what that costs."""

from __future__ import annotations

import os
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.cache import CacheKeyWarning, caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_diskcache import DjangoCache
from django_diskcache.dashboard import pages
from django_diskcache.engine import faults, inspection
from django_diskcache.engine.connection import Database
from django_diskcache.engine.options import OPTIONS
from django_diskcache.engine.segment import EVICTED_SIZE, FAULT_COUNTS
from django_diskcache.faceoptions import FACE_OPTIONS
from tests.django.conftest import FakeClock
from tests.django.dashboard.conftest import BASE, DEFAULT, page, told
from tests.engines import engine_of

CACHE = f"{DEFAULT}change/"
KEYS = f"{DEFAULT}keys/"
KEY = f"{DEFAULT}key/"
DASH = "\N{EN DASH}"
HOSTILE = "<script>alert('1')</script>\"&\u202e\x00\n"


# Overview


def test_the_overview_has_each_of_our_caches(viewer: Client, cache: DjangoCache) -> None:
    cache.set("key", 1)
    for _ in range(3):
        cache.get("key")
    cache.get("missing")
    text = told(page(viewer, BASE))
    assert "default Hit ratio 75.0 % 3 of 4 reads Entries 1 " in text
    assert f" other Hit ratio {DASH} 0 of 0 reads Entries 0 " in text
    assert "memory" not in text
    assert "broken" not in text


def test_a_cache_that_cannot_be_opened_leaves_the_others(
    viewer: Client, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    entry = {"BACKEND": "django_diskcache.DjangoCache", "LOCATION": str(tmp_path / "file")}
    settings.CACHES = {**settings.CACHES, "bad": entry}
    text = told(page(viewer, BASE))
    assert "default Hit ratio" in text
    assert f"bad The cache at '{tmp_path}/file'" in text
    html = page(viewer, f"{BASE}bad/change/")
    assert "This cache cannot be shown:" in told(html)


def test_without_a_cache_of_ours(viewer: Client, settings: Any) -> None:
    settings.CACHES = {"default": settings.CACHES["memory"]}
    text = told(page(viewer, BASE))
    assert "No entry of CACHES uses django_diskcache.DjangoCache." in text


# One cache


def test_the_page_of_a_cache(viewer: Client, cache: DjangoCache, clock: FakeClock) -> None:
    cache.set("short", "x", 60, tag="news")
    clock.advance(10)
    cache.set("long", "x" * 100_000, 7200, tag="news")
    cache.set("ever", b"1234", None)
    html = page(viewer, CACHE)
    text = told(html)
    assert "All entries were looked at." in text
    assert " news 2 100.0 kB " in text
    assert "Largest Key Size Stored Expires Tags :1:long 100.0 kB 0 seconds ago in 2 hours" in (
        text.replace("\xa0", " ")
    )
    assert "Oldest Key Size Stored Expires Tags :1:short 1 byte 10 seconds ago" in text
    assert "Next to expire Key Size Stored Expires Tags :1:short" in text
    assert "size_limit 64000000 64.0 MB not the default" in text
    policy = cache._cache.engine.settings["eviction_policy"]
    assert f"eviction_policy {policy}" in text


def test_every_option_in_force(viewer: Client, settings: Any) -> None:
    options = settings.CACHES["default"]["OPTIONS"]
    options |= {"error_handler": "builtins.print", "strict": True, "statistics": False}
    text = told(page(viewer, CACHE))
    for name in {*FACE_OPTIONS, *OPTIONS} - {"server_name"}:
        assert f" {name} " in text
    assert "shards 4 not the default" in text
    assert "database_timeout 0.01 disk django_diskcache.engine.disk.Disk signing True" in text
    assert "error_handler builtins.print not the default strict True not the default" in text
    assert "statistics 0 not the default" in text
    assert "statistics 1 tag_index 0 " in told(page(viewer, f"{BASE}other/change/"))


@pytest.mark.parametrize("name", ["hour", "day", "month", "nonsense"])
def test_ranges(viewer: Client, cache: DjangoCache, name: str) -> None:
    cache.get("missing")
    html = page(viewer, CACHE, range=name)
    shown = name if name != "nonsense" else "day"
    assert f'<a href="?range={shown}" aria-current="true">' in html
    assert html.count('aria-current="true"') == 1


def test_traffic_is_drawn_and_told(
    viewer: Client, cache: DjangoCache, clock: FakeClock
) -> None:
    cache.set("key", 1)
    cache.close()
    for name in ["key"] * 3 + ["missing"]:
        cache.get(name)
    cache.close()
    html = page(viewer, CACHE, range="hour")
    assert '<title id="dc-t' in html
    assert "Last hour. Over the whole time: 75.0 %." in html
    assert "Last hour. 4 reads; at most 4 in one part." in html
    assert re.search(r'<path class="dc-line" d="M\d+ 25.0H\d+"/>', html)
    assert re.search(r"<td[^>]*>75.0 %</td><td[^>]*>3</td><td[^>]*>1</td>", html)


def test_errors_and_evictions_by_their_kinds(viewer: Client, cache: DjangoCache) -> None:
    segment = engine_of(cache).segment
    for index, kind in enumerate(faults.KINDS):
        segment.add(FAULT_COUNTS + index, 1, index)
        assert kind in pages.ERRORS
    segment.add(EVICTED_SIZE, 0, 1234)
    text = told(page(viewer, CACHE))
    assert "Errors 15 1 disk full, 2 damaged, 3 access denied, 4 lost, 5 of another" in text
    assert "Evictions 1,234 1,234 by the size limit" in text


def test_complaints_of_the_checks(viewer: Client, settings: Any) -> None:
    settings.CACHES["default"]["OPTIONS"]["size_limit"] = "100kB"
    settings.CACHES = {**settings.CACHES}
    assert "django_diskcache.W001" in page(viewer, CACHE)
    assert "django_diskcache.W001" not in page(viewer, f"{BASE}other/change/")


def test_a_page_costs_the_same_whatever_is_in_the_cache(
    viewer: Client, cache: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "FEW", 500)
    monkeypatch.setattr(inspection, "SAMPLE", 200)
    looks: list[int] = []
    run = Database.run

    def watched(self: Database, sql: str, *arguments: Any) -> Any:
        found = run(self, sql, *arguments)
        looks.append(len(found) if isinstance(found, list) else 0)
        return found

    monkeypatch.setattr(Database, "run", watched)
    costs = []
    for thousands in (2, 8):
        cache.set_many({f"{thousands}:{n}": n for n in range(thousands * 1000)}, tag="t")
        page(viewer, CACHE)  # opens what it needs
        looks.clear()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page(viewer, CACHE)
        costs.append((len(looks), sum(looks), len(queries)))
        assert "A random sample of" in told(page(viewer, CACHE))
    small, large = costs
    assert large[0] <= small[0] * 1.2
    assert large[1] <= small[1] * 1.2
    assert small[2] == large[2] <= 5


# Keys


def test_keys_by_their_beginning(viewer: Client, cache: DjangoCache) -> None:
    cache.set_many({f"a{number:03d}": 1 for number in range(60)})
    cache.set("b", 1)
    cache.set("a-of-two", 1, version=2)
    html = page(viewer, KEYS, key="a")
    assert re.findall(r">:1:(\w+)</a>", html) == [f"a{number:03d}" for number in range(50)]
    (following,) = re.findall(r'href="\?([^"]*)" rel="next"', html)
    html = page(viewer, f"{KEYS}?{following.replace('&amp;', '&')}")
    assert re.findall(r">:1:(\w+)</a>", html) == [f"a{number:03d}" for number in range(50, 60)]
    assert 'rel="next"' not in html
    assert "First page" in html
    (before,) = re.findall(r'href="\?([^"]*)" rel="prev"', html)
    html = page(viewer, f"{KEYS}?{before.replace('&amp;', '&')}")
    assert re.findall(r">:1:(\w+)</a>", html) == [f"a{number:03d}" for number in range(50)]
    assert 'rel="prev"' not in html
    assert f'href="?{following}" rel="next"' in html
    assert re.findall(r">(:2:[\w-]+)</a>", page(viewer, KEYS, key="a", version=2)) == [
        ":2:a-of-two"
    ]
    assert len(re.findall(r"\?stored=", page(viewer, KEYS))) == 50
    assert ":2:a-of-two" in page(viewer, KEYS, all=1, after=":1:z")


def test_pages_of_keys_lead_to_each_other(viewer: Client, cache: DjangoCache) -> None:
    cache.set_many({f"{number:03d}": 1 for number in range(230)})

    def walk(html: str, way: str) -> list[list[str]]:
        found = []
        while True:
            found.append(re.findall(r">:1:(\w+)</a>", html))
            links = re.findall(rf'href="\?([^"]*)" rel="{way}"', html)
            if not links:
                return found
            last.append(links[0].replace("&amp;", "&"))
            html = page(viewer, f"{KEYS}?{last[-1]}")

    last: list[str] = []
    forth = walk(page(viewer, KEYS), "next")
    assert [len(each) for each in forth] == [50, 50, 50, 50, 30]
    back = walk(page(viewer, f"{KEYS}?{last[-1]}"), "prev")
    assert back == forth[::-1]


def test_pages_of_keys_that_are_gone(viewer: Client, cache: DjangoCache) -> None:
    cache.set_many({f"{number:03d}": 1 for number in range(120)})
    html = page(viewer, KEYS, after=":1:999")
    (before,) = re.findall(r'href="\?([^"]*)" rel="prev"', html)
    html = page(viewer, f"{KEYS}?{before.replace('&amp;', '&')}")
    assert re.findall(r">:1:(\w+)</a>", html) == [f"{number:03d}" for number in range(70, 120)]
    html = page(viewer, KEYS, before=":1:000")
    assert "rel=" not in html.partition("dc-pages")[2]
    assert "First page" in html


def test_keys_of_an_own_prefix(viewer: Client, cache: DjangoCache, settings: Any) -> None:
    settings.CACHES["default"]["KEY_PREFIX"] = "site"
    settings.CACHES = {**settings.CACHES}
    caches["default"].set("key", 1)
    assert ">site:1:key</a>" in page(viewer, KEYS)
    assert ">site:1:key</a>" in page(viewer, KEYS, key="k")
    assert "There is no entry" not in page(viewer, KEY, key="key")
    assert "There is no entry" in page(viewer, KEY, key="key", key_prefix="")


def test_a_version_that_is_none(viewer: Client) -> None:
    assert "Enter a whole number." in page(viewer, KEYS, version="x")
    assert "Enter a whole number." in page(viewer, KEY, key="k", version="x")


# One entry


def test_an_entry(viewer: Client, cache: DjangoCache, clock: FakeClock) -> None:
    cache.set("key", {"id": 5}, 120, tag="news")
    clock.advance(30)
    text = told(page(viewer, KEY, key="key")).replace("\xa0", " ")
    assert "State live" in text
    assert "Stored 30 seconds ago" in text
    assert "Expires in 1 minute" in text
    assert "Tag news" in text
    assert "A pickle, shown by its instructions. It was not loaded." in text
    assert "SHORT_BINUNICODE 'id' BININT1 5" in text
    assert "There is no entry with this key." in told(page(viewer, KEY, key="other"))
    assert "This field is required." in page(viewer, KEY)


def test_an_entry_with_several_tags(manager: Client, cache: DjangoCache) -> None:
    cache.set("key", 1, tag=("news", "author:7", 7, "more"))
    text = told(page(manager, KEY, key="key"))
    assert "Tags news author:7 7 more" in text
    assert ":1:key" in page(manager, KEYS)
    assert "news author:7 7 …" in told(page(manager, KEYS))
    html = page(manager, KEY, key="key")
    assert "Evict all with the tag author:7</button>" in html
    assert html.count('name="kind" value="text"') == 3
    assert '<input type="hidden" name="tag" value="7">' in html
    assert "news 1 " in told(page(manager, f"{DEFAULT}change/"))


def test_an_entry_with_forty_tags(manager: Client, cache: DjangoCache) -> None:
    cache.set("key", 1, tag=[f"tag-{number:02d}" for number in range(40)])
    html = page(manager, KEY, key="key")
    assert html.count("<details>") == 2
    before, folded, behind, buttons = re.split(r"</?details>", html)[:4]
    assert len(re.findall(r'class="dc-tag">tag-\d\d<', before)) == 5
    assert len(re.findall(r'class="dc-tag">tag-\d\d<', folded)) == 35
    assert "<summary>and 35 more</summary>" in folded
    assert behind.count("Evict all with the tag") == 5
    assert "<summary>Evict by 35 more tags</summary>" in buttons
    assert buttons.count("Evict all with the tag") == buttons.count("csrfmiddlewaretoken") == 35


def test_an_expired_entry(viewer: Client, cache: DjangoCache, clock: FakeClock) -> None:
    cache.set("key", 7, 10)
    clock.advance(60)
    text = told(page(viewer, KEY, stored=":1:key"))
    assert "State expired, a miss" in text
    assert "A number 7" in text
    assert "expired 50 seconds ago" in told(page(viewer, KEYS))


def test_a_value_in_a_file(viewer: Client, cache: DjangoCache) -> None:
    cache.set("key", b"\x00" * 80_000)
    text = told(page(viewer, KEY, key="key"))
    assert "80.0 kB 80,000 bytes" in text
    assert re.search(r"Kept in a file \S+/default/\d{3}/[0-9a-f]{2}/[0-9a-f]{30}\.val ", text)
    assert f"Bytes, as hexadecimal digits {DASH} only its beginning 00 00" in text


class Bomb:
    """What would be executed by loading it."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def test_no_page_unpickles(
    viewer: Client, cache: DjangoCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache.set("key", Bomb())
    for path in (BASE, CACHE, KEYS, f"{KEY}?key=key"):
        page(viewer, path)
    assert "mkdir" in page(viewer, KEY, key="key")
    assert not (tmp_path / "exploded").exists()


def test_looking_counts_nothing(viewer: Client, cache: DjangoCache) -> None:
    cache.set("key", "value")
    for path in (BASE, CACHE, KEYS, f"{KEY}?key=key"):
        page(viewer, path)
    assert cache.stats() == (0, 0)


# Hostile contents, and HTML as it should be


class Tags(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    return parser.found


@pytest.fixture
def hostile(cache: DjangoCache) -> list[str]:
    """Addresses of pages of a cache with hostile contents."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheKeyWarning)
        cache.set(HOSTILE, HOSTILE, 60, tag=HOSTILE)
        cache.set("a" * 5000, "x", tag="b" * 5000)
    cache.set("number_tag", 1, tag=-1.5)
    cache._cache.set(b"<b>bytes</b>", 1, tag=b"<i>")
    cache._cache.set(("<i>tuple</i>",), 1)
    cache._cache.set(10**30, 1)
    cache._cache.set(-5, 1, expire=1e300)
    return [BASE, CACHE, KEYS, f"{KEYS}?all=1", KEY]


def test_hostile_contents_are_escaped(manager: Client, hostile: list[str]) -> None:
    for path in hostile:
        html = page(manager, path)
        for bad in ("<script>alert", "\u202e", "\x00", "<b>bytes", "<i>"):
            assert bad not in html, path
    html = page(manager, CACHE)
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&quot;&amp;\\u202e\\x00\\n" in html
    (address,) = re.findall(r'href="([^"]*\?stored=%3A1%3A%3Cscript[^"]*)"', html)[:1]
    entry = page(manager, address.replace("&amp;", "&"))
    assert "There is no entry" not in entry
    assert "<script>alert" not in entry


def test_pages_fit_a_strict_policy(manager: Client, hostile: list[str]) -> None:
    for path in [*hostile, f"{KEY}?key=number_tag"]:
        content = page(manager, path).partition('id="diskcache-page"')[2]
        for tag, attributes in elements(f"<div {content}"):
            assert tag not in ("script", "style", "iframe"), path
            assert not [name for name in attributes if name == "style" or name[:2] == "on"]
            assert not (attributes.get("href") or "").startswith("javascript:")


def test_pages_can_be_read_out(manager: Client, hostile: list[str]) -> None:
    for path in [*hostile, f"{KEY}?key=number_tag"]:
        html = page(manager, path)
        found = elements(html)
        ids = [attributes["id"] for _, attributes in found if attributes.get("id")]
        assert len(ids) == len(set(ids)), path
        for tag, attributes in found:
            for name in ("aria-labelledby", "for"):
                for each in (attributes.get(name) or "").split():
                    assert each in ids, (path, each)
            if attributes.get("role") == "region" or tag == "nav":
                assert attributes.get("aria-label") or attributes.get("aria-labelledby")
        content = html.partition('id="diskcache-page"')[2]
        assert content.count("<table") == content.count("<caption")
        assert "<th>" not in content
        fields = [a for tag, a in elements(content) if tag in ("input", "select")]
        for attributes in fields:
            hidden = attributes.get("type") == "hidden" or attributes["id"] == "dc-refresh-on"
            assert hidden or f'for="{attributes["id"]}"' in content


@pytest.mark.parametrize("path", [BASE, CACHE, KEYS, f"{KEY}?key=x"])
def test_breadcrumbs_as_this_django_has_them(manager: Client, path: str) -> None:
    html = page(manager, path)
    crumbs = re.search(r'<(ol|div) class="breadcrumbs">(.*?)</\1>', html, re.DOTALL)
    assert crumbs is not None
    assert crumbs[1] == ("ol" if django.VERSION >= (6, 1) else "div")
    assert "/admin/django_diskcache/" in crumbs[2]


def test_no_page_is_kept_by_browsers(viewer: Client) -> None:
    assert "no-store" in viewer.get(CACHE)["Cache-Control"]


# Other admins


def test_another_admin_site_keeps_to_itself(manager: Client, cache: DjangoCache) -> None:
    cache.set("key", 1, tag="t")
    own = BASE.replace("/admin/", "/own/")
    for path in ("", "default/change/", "default/keys/", "default/key/?key=key"):
        html = page(manager, own + path)
        assert "Own site" in html
        assert 'href="/admin/django' not in html
        assert 'action="/admin/django' not in html
    response = manager.post(f"{own}default/clear/", {"confirmed": "yes"})
    assert response["Location"] == f"{own}default/change/"
    assert len(cache) == 0


def test_a_compressed_entry(viewer: Client, cache: DjangoCache) -> None:
    engine_of(cache).configure({"compression": "zlib"})
    cache.set("page", "<li>an entry</li>" * 1000)
    text = told(page(viewer, f"{BASE}default/key/?key=page"))
    assert "compressed by zlib" in text
    assert "<li>an entry</li><li>" in text
