"""The dashboard in a real browser: its main paths, its looks, and what it does without."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import django
import pytest

from tests.browser.conftest import PATIENCE, Browser, MakeSite, Site, needed

BASE = "/admin/django_diskcache/cache/"
CACHE = f"{BASE}default/change/"
PAGES = {
    "overview": BASE,
    "cache": CACHE,
    "keys": f"{BASE}default/keys/?key=article",
    "entry": f"{BASE}default/key/?key=article:7",
}
NARROW = 360  # pixels
TEXTS = [".dc-note", ".dc a", ".dc th", ".dc td", ".dc h2", ".dc button"]
TEXTS += [".dc-where", ".dc-dead", ".dc-good", ".dc-alert", ".dc summary"]
MakeBrowser = Callable[..., Browser]

# The contrast of an element's text with what is behind it, by the formulas of WCAG 2.2.
CONTRAST = """
    const canvas = document.createElement("canvas").getContext("2d");
    function rgba(color) {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data;
    }
    function luminance(color) {
        const parts = [0, 1, 2].map(i => color[i] / 255).map(
            c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    }
    let worst = 21;
    for (const element of document.querySelectorAll(arguments[0])) {
        let behind = element;
        while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] < 255) {
            behind = behind.parentElement;
        }
        const one = luminance(rgba(getComputedStyle(element).color));
        const other = luminance(behind ? rgba(getComputedStyle(behind).backgroundColor)
                                       : [255, 255, 255]);
        worst = Math.min(worst, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
    }
    return worst;
"""


def confirm(browser: Browser, button: str) -> None:
    """Say yes on the page that asks."""
    browser.until(lambda: "This cannot be undone." in browser.text())
    browser.go(browser.button(button))


def section(browser: Browser, name: str) -> str:
    """The text of a section of the page of a cache."""
    return str(browser.one(f"section[aria-labelledby=dc-{name}]").text)


def test_the_way_from_the_index(browser: Browser, site: Site) -> None:
    browser.log_in(site)
    browser.go(browser.one(f"#content a[href='{BASE}']"))
    assert "default" in browser.text()
    browser.go(browser.one(f"#content a[href='{CACHE}']"))
    assert "Configuration in force" in browser.text()
    browser.go(browser.one("a[href$='?stored=%3A1%3Aarticle%3A0']"))
    assert "A pickle, shown by its instructions. It was not loaded." in browser.text()
    browser.one("[name=key]").clear()
    browser.one("[name=key]").send_keys("front page")
    browser.go(browser.button("Look up"))
    assert "<h1>The front page</h1>" in browser.text()
    browser.go(browser.all(".breadcrumbs a")[-1])
    assert browser.driver.current_url == site.url + CACHE


def test_the_ratio_moves_while_traffic_runs(browser: Browser, make_site: MakeSite) -> None:
    site = make_site(SITE_NAME="traffic")
    browser.log_in(site)
    browser.visit(site, CACHE)

    def ratio() -> float:
        shown = browser.one("#diskcache-page .dc-figures dd").text
        return float(shown.removesuffix(" %"))

    before = ratio()
    browser.driver.execute_script("window.sameDocument = true")
    browser.one("#dc-refresh-on").click()
    moved = False
    deadline = time.monotonic() + PATIENCE
    while not moved and time.monotonic() < deadline:
        for number in range(200):
            assert site.read(f"missing-{number}") == "miss"
        moved = ratio() < before
    assert moved
    assert browser.driver.execute_script("return window.sameDocument") is True
    assert browser.one("#dc-refresh-status").text.startswith("Updated ")
    plot = browser.one("[data-live=plots] .dc-line").get_attribute("d")
    assert plot.startswith("M")
    browser.visit(site)
    assert browser.one("#dc-refresh-on").is_selected()  # it is remembered


def test_evict_a_tag(browser: Browser, make_site: MakeSite) -> None:
    site = make_site(SITE_NAME="evict")
    browser.log_in(site)
    browser.visit(site, CACHE)
    assert "science" in section(browser, "entries")
    browser.go(browser.button("Evict science"))
    assert "science" in browser.text()
    confirm(browser, "Evict a tag")
    assert "47 entries with the tag science were removed." in browser.text()
    assert "science" not in section(browser, "entries")
    browser.go(browser.button("Evict <b>bold</b>"))
    confirm(browser, "Evict a tag")
    assert "1 entry with the tag <b>bold</b> was removed." in browser.text()
    browser.visit(site, "/admin/")
    assert "default" in browser.one("#recent-actions-module").text


def test_clear_with_confirmation(browser: Browser, make_site: MakeSite) -> None:
    site = make_site(SITE_NAME="clear")
    browser.log_in(site)
    browser.visit(site, CACHE)
    browser.go(browser.button("Clear"))
    browser.photograph("confirm-light")
    browser.go(browser.one("#diskcache-page a.dc-quiet"))
    assert site.read("article:1") == "hit"
    browser.go(browser.button("Clear"))
    confirm(browser, "Clear")
    assert "414 entries were removed." in browser.text()
    assert site.read("article:1") == "miss"
    assert "None." in section(browser, "entries")


def can_be_read(browser: Browser, site: Site, pages: dict[str, str], scheme: str) -> None:
    """Look at the pages in a colour scheme, and at the contrast of their texts."""
    browser.log_in(site)
    browser.prefer(scheme)
    for name, path in pages.items():
        browser.visit(site, path)
        for selector in TEXTS:
            contrast = browser.driver.execute_script(CONTRAST, selector)
            assert contrast >= 4.5, (name, selector)
        browser.photograph(f"{name}-{scheme}")


def fit_into_a_narrow_window(browser: Browser, site: Site, pages: dict[str, str]) -> None:
    """None of the pages is wider than the window."""
    browser.log_in(site)
    browser.resize(NARROW)
    for name, path in pages.items():
        browser.visit(site, path)
        assert browser.overflow() <= 0, name
        browser.photograph(f"{name}-narrow")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, site: Site, scheme: str) -> None:
    can_be_read(browser, site, PAGES, scheme)


def test_a_narrow_window(browser: Browser, site: Site) -> None:
    fit_into_a_narrow_window(browser, site, PAGES)


def test_by_keyboard(browser: Browser, site: Site) -> None:
    from selenium.webdriver import Keys

    browser.log_in(site)
    browser.visit(site, CACHE)
    reached = []
    for _ in range(80):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.driver.switch_to.active_element
        if browser.driver.execute_script(
            "return document.getElementById('diskcache-page').contains(arguments[0])", active
        ):
            outline = active.value_of_css_property("outline-style")
            assert outline == "solid", active.get_attribute("outerHTML")
            reached.append(active.get_attribute("name") or active.tag_name)
    assert "key" in reached
    assert "summary" in reached
    browser.one("[name=key]").send_keys("article:7", Keys.ENTER)
    browser.until(lambda: ":1:article:7" in browser.text())


def test_without_javascript(make_browser: MakeBrowser, make_site: MakeSite) -> None:
    site = make_site(SITE_NAME="noscript")
    blocked = {"profile.managed_default_content_settings.javascript": 2}
    browser = make_browser(**blocked)
    browser.log_in(site)
    for path in PAGES.values():
        browser.visit(site, path)
    shown: list[list[str]] = []
    browser.visit(site, PAGES["keys"])
    for link in ("Next page", "Next page", "Previous page", "Previous page"):
        shown.append([each.text for each in browser.all(".dc-table th a")])
        browser.go(browser.driver.find_element("link text", link))
    assert [each.text for each in browser.all(".dc-table th a")] == shown[0]
    assert shown[1] == shown[3]
    assert len({*shown[0], *shown[1], *shown[2]}) == 150
    browser.visit(site, CACHE)
    assert not browser.one("#dc-refresh").is_displayed()
    assert browser.one(".dc-line").is_displayed()
    browser.one("#dc-time summary, section[aria-labelledby=dc-time] summary").click()
    assert "Hit ratio" in section(browser, "time")
    browser.one("section[aria-labelledby=dc-actions] [name=tag]").send_keys("news")
    browser.go(browser.button("Evict a tag"))
    confirm(browser, "Evict a tag")
    assert "71 entries with the tag news were removed." in browser.text()


@pytest.mark.skipif(django.VERSION < (6, 1), reason="the admin's own pages need Django 6.1")
def test_under_a_strict_content_security_policy(browser: Browser, make_site: MakeSite) -> None:
    site = make_site(SITE_CSP="1")
    browser.log_in(site)
    for path in PAGES.values():
        browser.visit(site, path)
        assert browser.console() == []
    browser.visit(site, CACHE)
    assert browser.one("#dc-refresh").is_displayed()
    browser.one("#dc-refresh-on").click()
    browser.until(lambda: "Updated" in browser.one("#dc-refresh-status").text)
    browser.go(browser.button("Reset statistics"))
    confirm(browser, "Reset statistics")
    assert "The statistics begin again at zero." in browser.text()
    assert browser.console() == []
    browser.driver.execute_script("document.body.setAttribute('style', 'color: red')")
    assert any("Content Security Policy" in line for line in browser.console())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_inside_unfold(browser: Browser, make_site: MakeSite, scheme: str) -> None:
    needed(importlib.util.find_spec("unfold"), "the package django-unfold")
    site = make_site(SITE_UNFOLD="1")
    browser.log_in(site)
    browser.prefer(scheme)
    for name, path in PAGES.items():
        browser.visit(site, path)
        assert browser.one(".dc .dc-button, .dc .dc-card").is_displayed()
        assert browser.overflow() <= 0, name
        for selector in TEXTS:
            contrast = browser.driver.execute_script(CONTRAST, selector)
            assert contrast >= 4.5, (name, selector)
        browser.photograph(f"{name}-unfold-{scheme}")
    browser.visit(site, CACHE)
    browser.go(browser.button("Cull"))
    confirm(browser, "Cull")
    assert "0 entries were removed." in browser.text()


def test_in_german(make_browser: MakeBrowser, site: Site) -> None:
    preferences: dict[str, Any] = {"intl.accept_languages": "de"}
    browser = make_browser(**preferences)
    browser.log_in(site)
    browser.visit(site, CACHE)
    assert "Trefferquote" in browser.text()
    assert browser.overflow() <= 0
    browser.photograph("cache-german")
