"""The magazine's pages over HTTP, while other processes change what is on them.

A change by `update` sends no signal and so evicts nothing: what a page shows afterwards tells
what is cached. Each test has an article of its own.
"""

from __future__ import annotations

import re

import pytest

from .conftest import Site, Visitor


def heading(page: str) -> str:
    """The heading, which is inside the cached fragment."""
    match = re.search(r"<h1>(.*?)</h1>", page)
    assert match
    return match[1]


def title(page: str) -> str:
    """The title of the window, which is outside of the fragment."""
    match = re.search(r"<title>(.*?) \| The Cached Magazine</title>", page)
    assert match
    return match[1]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/category/music/",
        "/category/music/?page=99",
        "/ranking/",
        "/article/1/",
        "/article/1/download/",
        "/admin/login/",
        "/static/magazine/magazine.css",
        "/static/magazine/icon.svg",
        "/static/admin/css/base.css",
    ],
)
def test_pages_are_there(site: Site, path: str) -> None:
    visitor = Visitor(site.url)
    assert [visitor.status(path) for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "path", ["/nothing/", "/category/nothing/", "/article/999/", "/article/999/download/"]
)
def test_what_is_not_there_is_a_404(site: Site, path: str) -> None:
    assert Visitor(site.url).status(path) == 404


def test_no_page_has_inline_style_or_script(site: Site) -> None:
    visitor = Visitor(site.url)
    for path in ("/", "/category/music/", "/ranking/", "/article/1/"):
        assert not re.search(r"<style|<script|\sstyle=|\son\w+=", visitor.get(path))


def test_a_save_evicts_the_fragment_and_the_file_of_its_article(site: Site) -> None:
    visitor = Visitor(site.url)
    site.code("Article.objects.filter(pk=2).update(title='Before')")
    site.code("Article.objects.get(pk=2).save()")
    assert heading(visitor.get("/article/2/")) == "Before"
    assert visitor.get("/article/2/download/").startswith("Before\n======\n")

    site.code("Article.objects.filter(pk=2).update(title='Silent')")
    page = visitor.get("/article/2/")
    assert (title(page), heading(page)) == ("Silent", "Before")
    assert visitor.get("/article/2/download/").startswith("Before\n")

    site.code("found = Article.objects.get(pk=2); found.title = 'After'; found.save()")
    assert heading(visitor.get("/article/2/")) == "After"
    assert visitor.get("/article/2/download/").startswith("After\n")


def test_a_save_that_is_rolled_back_evicts_nothing(site: Site) -> None:
    visitor = Visitor(site.url)
    before = heading(visitor.get("/article/3/"))
    site.code("Article.objects.filter(pk=3).update(title='Silent')")
    site.code(
        "from django.db import transaction\n"
        "with transaction.atomic():\n"
        "    Article.objects.get(pk=3).save()\n"
        "    transaction.set_rollback(True)"
    )
    assert heading(visitor.get("/article/3/")) == before


def test_saves_of_comments_and_names_evict_the_articles_they_stand_on(site: Site) -> None:
    visitor = Visitor(site.url)
    visitor.get("/article/4/")
    site.code("Comment.objects.create(article_id=4, name='Ada', text='A new comment.')")
    assert "A new comment." in visitor.get("/article/4/")
    site.code("Comment.objects.get(text='A new comment.').delete()")
    assert "A new comment." not in visitor.get("/article/4/")
    site.code("author = Article.objects.get(pk=4).author; author.name = 'Zoe'; author.save()")
    assert "Zoe" in visitor.get("/article/4/")


def test_a_deleted_article_is_gone(site: Site) -> None:
    visitor = Visitor(site.url)
    assert visitor.status("/article/5/download/") == 200
    site.code("Article.objects.get(pk=5).delete()")
    assert visitor.status("/article/5/") == 404
    assert visitor.status("/article/5/download/") == 404


def test_the_front_page_is_cached_whole(site: Site) -> None:
    visitor = Visitor(site.url)
    before = visitor.get("/")
    site.code("Category.objects.filter(slug='travel').update(name='Journeys')")
    assert visitor.get("/") == before
    assert "Journeys" in visitor.get("/?fresh")


def test_each_reader_counts(site: Site) -> None:
    counts = []
    for _ in range(3):
        match = re.search(r"Read ([0-9]+) times?\.", Visitor(site.url).get("/article/6/"))
        assert match
        counts.append(int(match[1]))
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]


def test_the_ranking_is_new_after_a_save(site: Site) -> None:
    visitor = Visitor(site.url)
    for _ in range(200):
        visitor.get("/article/7/")
    site.code("found = Article.objects.get(pk=7); found.title = 'Favourite'; found.save()")
    match = re.search(r"<ol>\s*<li>(.*?)</li>", visitor.get("/ranking/"), re.DOTALL)
    assert match
    assert "Favourite" in match[1]


def test_a_session_remembers_what_its_visitor_read(site: Site) -> None:
    visitor = Visitor(site.url)
    assert "You read before" not in visitor.get("/article/8/")
    page = visitor.get("/article/9/")
    assert "You read before" in page
    assert 'href="/article/8/"' in page
    assert "You read before" not in Visitor(site.url).get("/article/9/")


def test_a_download_is_a_file_of_the_cache(site: Site) -> None:
    visitor = Visitor(site.url)
    text = visitor.get("/article/10/download/")
    lines = (
        "from example_project.magazine.caching import cache\n"
        "with cache.read('text:10') as file:\n"
        "    print(file.name.endswith('.val'), len(file.read()))"
    )
    assert site.code(lines) == f"True {len(text.encode())}"
    assert visitor.get("/article/10/download/") == text
