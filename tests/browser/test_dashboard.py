"""The dashboard in a real browser."""

from __future__ import annotations

from tests.browser.conftest import Browser, Site

CACHE = "/admin/django_diskcache/cache/default/change/"


def test_pages_are_photographed(browser: Browser, site: Site) -> None:
    browser.log_in(site)
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.visit(site)
        browser.photograph(f"overview-{scheme}")
        browser.visit(site, CACHE)
        browser.photograph(f"cache-{scheme}")
        browser.visit(site, f"{CACHE}../keys/?key=article")
        browser.photograph(f"keys-{scheme}")
        browser.visit(site, f"{CACHE}../key/?key=article:7")
        browser.photograph(f"entry-{scheme}")
