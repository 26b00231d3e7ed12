"""Counters, rankings and files in the cache; `views` keeps pages and `templatetags` fragments.

Entries made from one article carry that article's tag, and a save evicts the tag (receivers).
They have a timeout all the same: who read the article just before the save may store what it
made of it just after the eviction.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from django.core.cache import cache as default_cache

from .models import Article, article_tag

if TYPE_CHECKING:
    from django_diskcache import DjangoCache

# Django's stand-in for the cache named "default": each thread gets an object of its own.
cache = cast("DjangoCache", default_cache)

DAY = 24 * 60 * 60
RANKING_SECONDS = 10
RANKED = 30  # latest articles: a ranking costs the same however many there are
RANKING_TAG = "ranking"


# A counter: one step, however many processes count. A cache may lose it when it is full, so
# numbers that somebody is paid by belong into the database.


def _counter(pk: int) -> str:
    return f"reads:{pk}"


def count_read(article: Article) -> int:
    """Count that the article was read; how often by now."""
    return int(cache.incr(_counter(article.pk), default=0))


# A memoized function: arguments make the key.


class Ranked(NamedTuple):
    """A line of the ranking."""

    pk: int
    title: str
    reads: int


@cache.memoize(timeout=RANKING_SECONDS, tag=RANKING_TAG)
def most_read(count: int, category: str | None = None) -> list[Ranked]:
    """The most read of the latest articles, of all or of the category with this slug."""
    articles = Article.objects.all()
    if category is not None:
        articles = articles.filter(category__slug=category)
    titles = dict(articles.values_list("pk", "title")[:RANKED])
    reads = cache.get_many(map(_counter, titles))
    lines = (Ranked(pk, title, reads.get(_counter(pk), 0)) for pk, title in titles.items())
    return sorted((line for line in lines if line.reads), key=lambda line: -line.reads)[:count]


# A file: made once, then handed from disk to socket without a copy in memory.


def text_file(pk: int) -> BinaryIO:
    """The article as an open text file.

    :raises Article.DoesNotExist: when there is no such article
    """
    key = f"text:{pk}"
    file: BinaryIO | None = cache.read(key)
    if file is None:
        article = Article.objects.select_related("author", "category").get(pk=pk)
        text = as_text(article).encode()
        cache.set(key, text, timeout=DAY, read=True, tag=article.tag)
        file = cache.read(key) or BytesIO(text)
    return file


def as_text(article: Article) -> str:
    """The article for those who read it without a browser."""
    head = f"{article.title}\n{'=' * len(article.title)}\n"
    byline = f"{article.author}, {article.published:%d %B %Y} ({article.category})"
    comments = [f"{c.name}, {c.written:%d %B %Y}:\n{c.text}" for c in article.comments.all()]
    return "\n\n".join([head + byline, article.body, "Comments", *comments]) + "\n"


def evict_article(pk: int) -> None:
    """Drop what was made from the article: its fragment, its file, and the rankings."""
    cache.evict(article_tag(pk))
    cache.evict(RANKING_TAG)
