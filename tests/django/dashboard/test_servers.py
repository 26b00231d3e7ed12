"""The pages of caches on servers: what those say, what they leave out, and servers away."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import caches
from django.test import Client

from django_diskcache import DjangoCache
from django_diskcache.dashboard import servers
from django_diskcache.engine.history import HOUR
from django_diskcache.server import browsing, gauges
from tests.django.dashboard.conftest import BASE, page, told
from tests.django.dashboard.test_actions import CONFIRMED
from tests.django.dashboard.test_pages import HOSTILE, Bomb, elements
from tests.django.dashboard.test_translation import po_texts
from tests.engines import remote_of
from tests.server.clusters import SLOTS, Cluster, clustered
from tests.server.servers import Server, required, serving

DASH = "\N{EN DASH}"
REMOTE = f"{BASE}remote/"
CACHE, KEYS, KEY = f"{REMOTE}change/", f"{REMOTE}keys/", f"{REMOTE}key/"
NOWHERE = "valkey://somebody:secret-word@127.0.0.1:1/0"  # nobody listens there
Use = Callable[..., DjangoCache]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(gauges, "PATIENCE", 20.0)
    monkeypatch.setattr(servers, "PATIENCE", 60.0)
    monkeypatch.setattr(browsing, "SECONDS", 60.0)


@pytest.fixture
def use(settings: Any) -> Use:
    """Makes the cache with the alias `remote`, at an address."""

    def make(location: Any, **options: Any) -> DjangoCache:
        entry = {
            "BACKEND": "django_diskcache.DjangoCache",
            "LOCATION": location,
            "OPTIONS": {"database_timeout": 20, **options},
        }
        settings.CACHES = {**settings.CACHES, "remote": entry}
        found = caches["remote"]
        assert isinstance(found, DjangoCache)
        return found

    return make


@pytest.fixture
def remote(server: Server, use: Use) -> DjangoCache:
    return use(server.url)


@contextmanager
def standing_still(server: Server) -> Iterator[None]:
    """A server that takes what is sent, and does not answer."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def store(remote: DjangoCache, keys: Iterable[str], tag: Any = None) -> None:
    """Many at once."""
    remote._cache.set_many({f":1:{key}": 1 for key in keys}, tag=tag)


# Overview


def test_both_kinds_side_by_side(viewer: Client, remote: DjangoCache, server: Server) -> None:
    caches["default"].set("key", 1)
    remote.set("key", "x" * 1000)
    for _ in range(3):
        remote.get("key")
    remote.get("missing")
    html = page(viewer, BASE)
    text = told(html)
    assert f"default Hit ratio {DASH} 0 of 0 reads Entries 1 " in text
    assert f" remote valkey://127.0.0.1:{server.port} reachable Hit ratio 75.0 % 3 of 4" in text
    assert re.search(r"Memory [\d.]+ [kM]B no limit: maxmemory is 0 Keys [1-4] ", text)
    assert "Hit ratio of remote" in html
    assert "Last 24 hours. 4 reads; at most 4 in one part." in html


def test_a_server_that_is_away_leaves_the_others(viewer: Client, use: Use) -> None:
    use(NOWHERE)
    html = page(viewer, BASE)
    text = told(html)
    assert "default Hit ratio" in text
    assert (
        "remote valkey://127.0.0.1:1 not reachable no connection valkey://127.0.0.1:1 Error"
        in text
    )
    assert f"Hit ratio {DASH} not known while the server is away Errors 0" in text
    assert "secret-word" not in html
    assert "Hit ratio of remote" not in html
    for path in (CACHE, KEYS, f"{KEY}?key=key"):
        assert "secret-word" not in page(viewer, path)


def test_servers_that_do_not_answer_are_waited_for_together(
    viewer: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    required()
    monkeypatch.setattr(gauges, "PATIENCE", 1.0)
    with serving(tmp_path / "frozen") as server:
        entry = {"BACKEND": "django_diskcache.DjangoCache", "LOCATION": server.url}
        names = [f"frozen-{number}" for number in range(6)]
        settings.CACHES |= {
            name: {**entry, "OPTIONS": {"server_name": name, "database_timeout": 600}}
            for name in names
        }
        settings.CACHES = {**settings.CACHES}
        with standing_still(server):
            begun = time.monotonic()
            text = told(page(viewer, BASE))
            assert time.monotonic() - begun < 110  # that is what they have together
        for name in names:
            assert f"{name} valkey://127.0.0.1:{server.port} not reachable" in text
        assert "no answer within 1 s" in text


def test_more_time_than_there_is(
    viewer: Client, remote: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 0.0)
    seen = threading.Event()
    monkeypatch.setattr(servers, "_look", lambda *args: seen.wait(60))
    try:
        text = told(page(viewer, BASE))
        assert "default Hit ratio" in text
        assert "no answer in time" in text
        assert "no answer in time" in told(page(viewer, CACHE))
    finally:
        seen.set()


def test_two_caches_on_one_server_are_told_apart(
    viewer: Client, use: Use, server: Server, settings: Any
) -> None:
    use(server.url)
    assert "server_name" not in told(page(viewer, BASE))
    options = {"server_name": "shop", "database_timeout": 20}
    other = {**settings.CACHES["remote"], "OPTIONS": options}
    settings.CACHES = {**settings.CACHES, "other": other}
    where = f"valkey://127.0.0.1:{server.port} reachable server_name"
    text = told(page(viewer, BASE))
    assert f"remote {where} django_diskcache Hit ratio" in text
    assert f"other {where} shop Hit ratio" in text
    assert f"{where} django_diskcache Hit ratio" in told(page(viewer, CACHE))
    use(server.url, server_name="alone")
    settings.CACHES = {name: settings.CACHES[name] for name in ("default", "remote")}
    assert f"{where} alone Hit ratio" in told(page(viewer, BASE))


def test_a_node_of_a_cluster_that_was_meant_to_be_a_server(
    viewer: Client, use: Use, shared_cluster: Cluster
) -> None:
    """It is there, and does not know the counts: the page says why."""
    first, second, _ = shared_cluster.urls
    for url in (first, second):
        use(url)
        text = told(page(viewer, BASE))
        if "LOCATION takes a list of nodes then" in text:
            where = url.removesuffix("/0")
            assert f"{where} reachable of another kind {where} it is a node of a" in text
            assert f"Hit ratio {DASH} not known Memory" in text
            assert "away" not in text
            break
    else:
        raise AssertionError("both have the slot of the counts")


# One cache


def test_the_page_of_a_cache(viewer: Client, remote: DjangoCache, server: Server) -> None:
    remote.set("key", "value", tag="t")
    html = page(viewer, CACHE)
    text = told(html)
    assert f"valkey://127.0.0.1:{server.port}" in text
    assert re.search(r"(redis|valkey) \d+\.\d+\.\d+, primary", text)
    assert "noeviction" in text
    assert re.search(r" \d+\.\d\d ms ", text)
    for absent in (
        "Shard",
        "Largest",
        "Oldest",
        "quarantine",
        "Slots",
        "sqlite_",
        "size_limit",
    ):
        assert absent not in text
    assert "Over time" in text
    assert "From Hit ratio Hits Misses Errors None." in text
    assert "Listening no" in text  # nothing was read yet
    assert "expire/" not in html
    assert "W108" not in html  # it is about SQLite
    assert "check" not in html.partition('aria-labelledby="dc-actions"')[2]


def test_settings_and_those_that_mean_nothing(viewer: Client, use: Use, server: Server) -> None:
    use(server.url, shards=4, size_limit="1GB", cull_limit=5, server_name="shop", strict=True)
    text = told(page(viewer, CACHE))
    nothing = f" {DASH} given, and means nothing on a server"
    for name in ("shards", "size_limit", "cull_limit"):
        assert f" {name}{nothing}" in text
    assert " server_name shop not the default" in text
    assert " database_timeout 20.0 not the default" in text
    assert " strict True not the default" in text
    assert " near_cache_size " in text
    assert "eviction_policy" not in text


def test_memory_against_its_limit(viewer: Client, use: Use, tmp_path: Path) -> None:
    required()
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    with serving(tmp_path / "limited", *options) as server:
        use(server.url)
        text = told(page(viewer, CACHE))
        assert re.search(r"Memory [\d.]+ [kM]B [\d.]+ % of 52.4 MB", text)
        assert re.search(r"[\d.]+ [kM]B of 52.4 MB allkeys-lru", text)
        html = page(viewer, BASE)
        assert "of 52.4 MB" in html


def test_a_cluster(viewer: Client, use: Use, tmp_path: Path) -> None:
    required()
    with clustered(tmp_path / "cluster") as cluster:
        remote = use(cluster.urls)
        store(remote, [f"{number:03d}" for number in range(200)], tag="t")
        text = told(page(viewer, CACHE))
        slots = re.findall(r"(\d,\d{3})\s+(\d+)\N{EN DASH}(\d+)", text)
        assert sum(int(last) - int(first) + 1 for _, first, last in slots) == SLOTS
        assert "reachable" in text
        seen: list[str] = []
        for html in walk(viewer, KEYS, key="*"):
            seen += keys_of(html)
        assert sorted(seen) == [f":1:{number:03d}" for number in range(200)]
        seen = [key for html in walk(viewer, KEYS, tag="t") for key in keys_of(html)]
        assert len(seen) == len(set(seen)) == 200
        away = cluster.nodes[2]
        away.kill()
        text = told(page(viewer, CACHE))
        assert "2 of 3 servers answer" in text
        assert f"valkey://127.0.0.1:{away.port} does not answer" in text
        text = told(page(viewer, BASE))
        assert "2 of 3 servers answer" in text
        assert "A server does not answer; its keys are missing here:" in told(
            page(viewer, KEYS, key="00")
        )


def test_traffic_is_drawn_and_told(viewer: Client, remote: DjangoCache) -> None:
    remote.set("key", 1)
    for name in ["key"] * 3 + ["missing"]:
        remote.get(name)
    html = page(viewer, CACHE, range="hour")
    assert "Last hour. Over the whole time: 75.0 %." in html
    assert re.search(r'<path class="dc-line" d="M\d+ 25.0H\d+"/>', html)
    assert re.search(r"<td[^>]*>75.0 %</td><td[^>]*>3</td><td[^>]*>1</td><td[^>]*>0</td>", html)


def test_looking_counts_nothing(viewer: Client, remote: DjangoCache) -> None:
    remote.set("key", "value", tag="t")
    for path in (BASE, CACHE, KEYS, f"{KEYS}?tag=t", f"{KEY}?key=key"):
        page(viewer, path)
    assert remote.stats() == (0, 0)
    assert sum(part.reads for part in remote._cache.engine.history.traffic(HOUR, 60)) == 0
    assert set(remote.faults().values()) == {0}


# Keys


def keys_of(html: str) -> list[str]:
    return [unescape(key) for key in re.findall(r'\?stored=[^"]*">([^<]*)</a>', html)]


def walk(client: Client, path: str, **query: Any) -> Iterator[str]:
    """All pages, from one link to the next."""
    html = page(client, path, **query)
    while True:
        yield html
        links = re.findall(r'href="\?([^"]*)" rel="next"', html)
        if not links:
            return
        html = page(client, f"{path}?{unescape(links[0])}")


def test_keys_by_their_beginning(viewer: Client, remote: DjangoCache) -> None:
    store(remote, [f"a{number:04d}" for number in range(330)])
    store(remote, [f"b{number:04d}" for number in range(1300)])
    remote.set("a-of-two", 1, version=2)
    pages = [keys_of(html) for html in walk(viewer, KEYS, key="a")]
    found = [key for keys in pages for key in keys]
    assert sorted(found) == [f":1:a{number:04d}" for number in range(330)]
    assert {len(keys) for keys in pages[:-1]} == {50}
    html = next(walk(viewer, KEYS, key="a", **{"from": "0.0."}))
    assert "First page" in html
    assert keys_of(page(viewer, KEYS, key="a", version=2)) == [":2:a-of-two"]
    assert ":2:a-of-two" in [k for html in walk(viewer, KEYS, all=1) for k in keys_of(html)]


def test_keys_like_a_pattern(viewer: Client, remote: DjangoCache) -> None:
    store(remote, ("user:1", "user:2", "user:31", "users", "uśer:1", "[x]"))
    for pattern, keys in {
        "user:?": ["user:1", "user:2"],
        "*1": ["user:1", "user:31", "uśer:1"],
        "u?er:1": ["user:1", "uśer:1"],
        "user:[^1]*": ["user:2", "user:31"],
        "\\[x]": ["[x]"],
        "\\[*": ["[x]"],
        "user": ["user:1", "user:2", "user:31", "users"],
        "nothing*": [],
    }.items():
        assert sorted(keys_of(page(viewer, KEYS, key=pattern))) == [f":1:{k}" for k in keys]


def test_keys_by_tag(viewer: Client, remote: DjangoCache) -> None:
    store(remote, [f"a{number:03d}" for number in range(120)], tag=("news", 7))
    remote.set("b", 1, tag="news")
    remote.set("c", 1, tag="7")
    remote.set("gone", 1, tag="news")
    remote.set("gone", 1)  # its hint stays
    found = [key for html in walk(viewer, KEYS, tag="news") for key in keys_of(html)]
    assert sorted(found) == [*(f":1:a{number:03d}" for number in range(120)), ":1:b"]
    assert len(keys_of(page(viewer, KEYS, tag="7", kind="integer"))) == 50
    assert keys_of(page(viewer, KEYS, tag="7")) == [":1:c"]
    assert keys_of(page(viewer, KEYS, tag="news", key="b")) == [":1:b"]
    assert keys_of(page(viewer, KEYS, tag="other")) == []
    assert "This is no tag of that type." in page(viewer, KEYS, tag="x", kind="integer")
    assert "expected at most" in page(viewer, KEYS, tag="x" * 20_000)
    text = told(page(viewer, KEYS, tag="news", key="a00"))
    assert "Key Size Expires Tags :1:a00" in text
    assert "news 7" in text


def test_a_page_looks_at_so_many_names(
    viewer: Client, remote: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "MOST", 1000)
    store(remote, map(str, range(5000)))
    remote.set("needle", 1)
    pages = list(walk(viewer, KEYS, key="needle"))
    assert len(pages) > 3
    assert [key for html in pages for key in keys_of(html)] == [":1:needle"]
    empty = next(html for html in pages if not keys_of(html))
    assert "about 1,000 names on the server were looked at" in empty
    assert "Nothing was found among them; the next page looks further." in empty


def test_how_many_names_were_looked_at(viewer: Client, remote: DjangoCache) -> None:
    """It claims no more than there are, and counts one as one."""
    store(remote, "abc")
    remote.set("d", 1, tag="alone")
    assert "all names on the server were looked at" in told(page(viewer, KEYS, key="b"))
    text = told(page(viewer, KEYS, tag="alone"))
    assert "1 name with this tag was looked at" in text
    assert "0 names with this tag were looked at" in told(page(viewer, KEYS, tag="none"))
    assert "looked at" not in told(page(viewer, KEYS, tag="x", kind="integer"))
    store(remote, map(str, range(3000)))
    *_, last = walk(viewer, KEYS, key="")
    assert "the rest of the names on the server was looked at" in last


@pytest.mark.parametrize(
    "place", ["", "x", "0.0", "0.0.zz", "-1.0.", "0.-5.", "9.0.", f"{2**40}.0.", f"0.{2**70}."]
)
def test_a_page_that_there_is_not(viewer: Client, remote: DjangoCache, place: str) -> None:
    remote.set("key", 1)
    page(viewer, KEYS, **{"from": place})
    page(viewer, KEYS, **{"from": place, "tag": "t"})


# One entry


def test_an_entry(viewer: Client, remote: DjangoCache, server: Server) -> None:
    remote.set("key", {"id": 5}, 150, tag=("news", 7))
    text = told(page(viewer, KEY, key="key")).replace("\xa0", " ")
    assert "State live" in text
    assert "Expires in 2 minutes" in text
    assert "Tags news 7" in text
    assert f"Kept in valkey://127.0.0.1:{server.port} Name there django_diskcache{{" in text
    assert "}::1:key" in text
    assert re.search(r"Use last \d seconds ago", text)
    assert re.search(r"Memory \d+ bytes", text)
    assert "A pickle, shown by its instructions. It was not loaded." in text
    assert "SHORT_BINUNICODE 'id' BININT1 5" in text
    for absent in ("Stored", "Shard", "overwritten"):
        assert absent not in text
    assert "There is no entry with this key." in told(page(viewer, KEY, key="other"))


@pytest.mark.parametrize(
    ("value", "told_of"),
    [
        (-17, "A number -17"),
        (1.5, "A number 1.5"),
        (True, "A pickle, shown by its instructions. It was not loaded. NEWTRUE"),
        ("<b>", "A text <b>"),
        ("é" * 5000, f"A text {DASH} only its beginning éé"),
        (b"\x00\xff", "Bytes, as hexadecimal digits 00 ff"),
        (b"\x00" * 9000, f"Bytes, as hexadecimal digits {DASH} only its beginning 00 00"),
    ],
)
def test_kinds_of_values(viewer: Client, remote: DjangoCache, value: Any, told_of: str) -> None:
    remote.set("key", value, None)
    text = told(page(viewer, KEY, key="key"))
    assert told_of in text
    assert "Expires never" in text


def test_uses_that_the_server_counts(viewer: Client, use: Use, tmp_path: Path) -> None:
    required()
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lfu")
    with serving(tmp_path / "lfu", *options) as server:
        use(server.url).set("key", 1)
        text = told(page(viewer, KEY, key="key"))
        assert re.search(r"Use \d+ on the server.s counter, which ends at 255", text)


def test_no_page_unpickles(
    viewer: Client, remote: DjangoCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    remote.set("key", Bomb())
    for path in (BASE, CACHE, KEYS, f"{KEY}?key=key"):
        page(viewer, path)
    assert "mkdir" in page(viewer, KEY, key="key")
    assert not (tmp_path / "exploded").exists()


@pytest.fixture
def hostile(remote: DjangoCache, server: Server) -> list[str]:
    """Addresses of pages of a cache with hostile contents, ours and those of others."""
    cache: Any = remote._cache
    cache.set(f":1:{HOSTILE}", HOSTILE, 60, tag=HOSTILE)
    cache.set(":1:" + "a" * 5000, "x", tag="b" * 5000)
    cache.set(":1:number_tag", 1, tag=-1.5)
    cache.set(b"<b>bytes</b>", 1, tag=b"<i>")
    cache.set(("<i>tuple</i>",), 1)
    head = "django_diskcache{zz}:"
    with server.client() as client:
        client.set(f"{head}:1:<b>no bucket", b"x")
        for name in (b":1:\xff\xfe<b>bytes", b":1:empty", b":1:short"):
            client.set(b"django_diskcache{00}:" + name, b"" if name == b":1:empty" else b"\x01")
        client.set("django_diskcache{00}::1:garbage", b"\x01\x09\xff" + b"\xff" * 40)
        client.rpush("django_diskcache{00}::1:list", "<b>bytes")
        client.sadd(b"django_diskcache{00}+tlisted", b"django_diskcache{00}::1:list", b"<b>")
    return [BASE, CACHE, KEYS, f"{KEYS}?all=1", f"{KEYS}?tag=listed", KEY]


def test_hostile_contents_are_escaped(
    manager: Client, remote: DjangoCache, hostile: list[str]
) -> None:
    for path in hostile:
        html = page(manager, path)
        for bad in ("<script>alert", "\u202e", "\x00", "<b>bytes", "<i>", "<b>no"):
            assert bad not in html, path
    html = page(manager, KEYS)
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&quot;&amp;\\u202e\\x00\\n" in html
    (address,) = re.findall(r'href="([^"]*\?stored=%3A1%3A%3Cscript[^"]*)"', html)
    entry = page(manager, unescape(address))
    assert "There is no entry" not in entry
    assert "<script>alert" not in entry
    for bad in ("empty", "short", "garbage", "list"):
        assert f":1:{bad}</a>" not in html
    for key in ("empty", "short", "garbage", "list"):
        name = remote_of(remote).place(f":1:{key}")[0]
        with_client(remote, name)
        assert "There is no entry" in page(manager, KEY, key=key)


def with_client(remote: DjangoCache, name: bytes) -> None:
    """Put what is no entry of ours where one would be."""
    remote_of(remote).link.moving(0, "ask", b"SET", name, b"\x01")


def test_texts_of_the_server_are_escaped(
    viewer: Client, remote: DjangoCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django_diskcache.server.node import Node

    def lied(self: Node, commands: Any) -> list[Any]:
        lines = ("redis_version:<script>alert(1)</script>", "maxmemory_policy:<i>x</i>")
        return ["\r\n".join((*lines, "used_memory:many", "role:<b>")).encode(), 1]

    monkeypatch.setattr(Node, "ask_many", lied)
    html = page(viewer, CACHE)
    assert "&lt;script&gt;alert(1)" in html
    assert "&lt;i&gt;x" in html
    for bad in ("<script>alert", "<i>x"):
        assert bad not in html


def test_pages_fit_a_strict_policy_and_can_be_read_out(
    manager: Client, hostile: list[str], use: Use
) -> None:
    paths = [*hostile, f"{KEY}?key=number_tag"]
    pages = [page(manager, path) for path in paths]
    use(NOWHERE)
    pages += [page(manager, path) for path in paths]
    for html in pages:
        content = html.partition('id="diskcache-page"')[2]
        found = elements(html)
        ids = [attributes["id"] for _, attributes in found if attributes.get("id")]
        assert len(ids) == len(set(ids))
        for tag, attributes in elements(f"<div {content}"):
            assert tag not in ("script", "style", "iframe")
            assert not [name for name in attributes if name == "style" or name[:2] == "on"]
            if attributes.get("role") == "region" or tag == "nav":
                assert attributes.get("aria-label") or attributes.get("aria-labelledby")
            for name in ("aria-labelledby", "for"):
                for each in (attributes.get(name) or "").split():
                    assert each in ids
        assert content.count("<table") == content.count("<caption")
        assert "<th>" not in content


def test_pages_are_german(viewer: Client, remote: DjangoCache) -> None:
    remote.set("k", 1, 90, tag=[f"{number}" for number in range(9)])
    viewer.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    for path in (BASE, CACHE, KEYS, f"{KEY}?key=k"):
        content = page(viewer, path).partition('id="diskcache-page"')[2]
        for text, (translated, *_) in po_texts().items():
            if len(text) > 12 and text != translated:  # as in test_translation
                assert text not in content, path


# Actions


def do(client: Client, action: str, **data: Any) -> list[str]:
    """Do something; the messages of it."""
    from django.contrib.messages import get_messages

    response = client.post(f"{REMOTE}{action}/", data)
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_only_what_there_is_to_do_is_offered(manager: Client, remote: DjangoCache) -> None:
    html = page(manager, CACHE)
    offered = re.findall(rf'method="post" action="{REMOTE}(\w+)/"', html)
    assert offered == ["evict", "reset", "clear"]
    for action in ("expire", "cull"):
        assert manager.post(f"{REMOTE}{action}/", CONFIRMED).status_code == 404
    html = page(manager, f"{BASE}default/change/")
    assert {"expire", "cull"} <= set(re.findall(rf'action="{BASE}default/(\w+)/"', html))


def test_evict_delete_reset_clear(manager: Client, remote: DjangoCache) -> None:
    store(remote, "abc", tag="t")
    store(remote, "de")
    remote.get("a")
    html = manager.post(f"{REMOTE}evict/", {"tag": "t", "kind": "text"}).content.decode()
    assert "Tag t Entries ≈ 3 This cannot be undone." in told(html)
    *_, message = do(manager, "evict", tag="t", kind="text", **CONFIRMED)
    assert message == "3 entries with the tag t were removed."
    *_, message = do(manager, "delete", stored=json.dumps(":1:d"), **CONFIRMED)
    assert message == "The entry :1:d was removed."
    *_, message = do(manager, "reset", **CONFIRMED)
    assert remote.stats() == (0, 0)
    html = manager.post(f"{REMOTE}clear/").content.decode()
    assert "Entries" not in told(html)
    *_, message = do(manager, "clear", **CONFIRMED)
    assert message == "1 entry was removed."
    assert LogEntry.objects.count() == 4
    assert len(remote._cache) == 0


def test_what_is_not_done_is_told(manager: Client, use: Use) -> None:
    use(NOWHERE)
    for action, data in {
        "evict": {"tag": "t", "kind": "text"},
        "delete": {"stored": '":1:key"'},
        "reset": {},
        "clear": {},
    }.items():
        *_, message = do(manager, action, **data, **CONFIRMED)
        assert "valkey://127.0.0.1:1: " in message
        assert "secret-word" not in message
    *_, message = do(manager, "evict", tag="t", kind="text")  # it cannot even be counted
    assert "valkey://127.0.0.1:1: " in message
    *_, message = do(manager, "evict", tag="t" * 20_000, kind="text", **CONFIRMED)
    assert "expected at most" in message
    assert LogEntry.objects.count() == 0


def test_what_is_not_done_is_told_to_who_asked_and_to_nobody_else(
    manager: Client, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    remote = use(NOWHERE)
    *_, message = do(manager, "clear", **CONFIRMED)
    assert "valkey://127.0.0.1:1: " in message
    assert [each.name for each in caplog.records if each.name == "django_diskcache"] == []
    assert sum(remote.faults().values()) == 0


def test_permissions_are_those_of_all_caches(
    client_with: Callable[..., Client], remote: DjangoCache
) -> None:
    nobody = client_with()
    for path in (CACHE, KEYS, KEY):
        assert nobody.get(path).status_code == 403
    assert nobody.post(f"{REMOTE}clear/", CONFIRMED).status_code == 403


def test_who_only_views_cannot_act(viewer: Client, remote: DjangoCache) -> None:
    remote.set("key", 1, tag="t")
    assert viewer.post(f"{REMOTE}clear/", CONFIRMED).status_code == 403
    for path in (CACHE, f"{KEY}?key=key"):
        html = page(viewer, path).partition('id="diskcache-page"')[2]
        assert 'method="post"' not in html
    assert "no-store" in viewer.get(CACHE)["Cache-Control"]
