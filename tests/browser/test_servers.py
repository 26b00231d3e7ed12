"""The dashboard of caches on servers, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import django
import pytest

from tests.browser.conftest import Browser, MakeSite, Site
from tests.browser.test_dashboard import (
    BASE,
    can_be_read,
    confirm,
    fit_into_a_narrow_window,
    section,
)
from tests.server.clusters import clustered
from tests.server.servers import required, serving

CACHE = f"{BASE}remote/change/"
PAGES = {
    "servers-overview": BASE,
    "server-cache": CACHE,
    "cluster-cache": f"{BASE}cluster/change/",
    "away-cache": f"{BASE}away/change/",
    "server-keys": f"{BASE}remote/keys/?key=article",
    "server-tag": f"{BASE}remote/keys/?tag=news",
    "away-keys": f"{BASE}away/keys/",
    "server-entry": f"{BASE}remote/key/?key=article:7",
    "server-many-tags": f"{BASE}remote/key/?key=%3Cscript%3Ealert(1)%3C/script%3E",
}


@pytest.fixture(scope="module")
def locations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server, a cluster of three, and an address where nobody listens."""
    required()
    with (
        serving(tmp_path_factory.mktemp("one"), "--maxmemory", "20mb") as one,
        clustered(tmp_path_factory.mktemp("three") / "nodes") as three,
    ):
        away = "valkey://somebody:secret-word@127.0.0.1:1/0"
        yield json.dumps({"remote": one.url, "cluster": three.urls, "away": away})


@pytest.fixture
def served(make_site: MakeSite, locations: str) -> Site:
    return make_site(SITE_SERVERS=locations)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, served: Site, scheme: str) -> None:
    can_be_read(browser, served, PAGES, scheme)


def test_a_narrow_window(browser: Browser, served: Site) -> None:
    fit_into_a_narrow_window(browser, served, PAGES)


def test_pages_of_keys_and_many_tags(browser: Browser, served: Site) -> None:
    browser.log_in(served)
    browser.visit(served, PAGES["server-keys"])
    shown = []
    while True:
        shown += [each.text for each in browser.all(".dc-table th a")]
        following = browser.all("a[rel=next]")
        if not following:
            break
        browser.go(following[0])
    assert sorted(shown) == sorted(f":1:article:{number}" for number in range(400))
    browser.visit(served, PAGES["server-many-tags"])
    assert len([each for each in browser.all("button") if each.is_displayed()]) < 20
    browser.all("summary")[-1].click()
    assert browser.button("Evict all with the tag author:39").is_displayed()


def test_it_is_there_under_a_strict_policy(
    browser: Browser, make_site: MakeSite, locations: str
) -> None:
    csp = {"SITE_CSP": "1"} if django.VERSION >= (6, 1) else {}  # as the admin's own pages
    site = make_site(SITE_SERVERS=locations, SITE_NAME="csp", **csp)
    browser.log_in(site)
    for path in PAGES.values():
        browser.visit(site, path)
        assert browser.console() == []
        assert "secret-word" not in browser.driver.page_source
    browser.visit(site, CACHE)
    browser.one("#dc-refresh-on").click()
    browser.until(lambda: "Updated" in browser.one("#dc-refresh-status").text)
    assert "noeviction" in section(browser, "nodes")
    browser.one("section[aria-labelledby=dc-actions] [name=tag]").send_keys("science")
    browser.go(browser.button("Evict a tag"))
    assert "≈ 47" in browser.text()
    confirm(browser, "Evict a tag")
    assert "47 entries with the tag science were removed." in browser.text()
    assert not [
        each for each in browser.all("button") if each.text in ("Cull", "Remove expired")
    ]
    assert browser.console() == []
