"""The pages, and one way of caching in each.

Pages that are the same for everybody are cached whole. The article page is different for each
visitor, who is reminded of what was read before; there the costly part is a cached fragment.
"""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_page

from . import caching
from .models import Article, Category

PAGE_SECONDS = 15 * 60
PER_CATEGORY = 5
PER_PAGE = 30
REMEMBERED = 5


@cache_page(PAGE_SECONDS)
def front(request: HttpRequest) -> HttpResponse:
    """The latest articles of each category."""
    latest = Article.objects.select_related("author")[:PER_CATEGORY]
    categories = Category.objects.prefetch_related(
        Prefetch("articles", latest, to_attr="latest")
    )
    return render(request, "magazine/front.html", {"categories": categories})


@cache_page(PAGE_SECONDS)
def category(request: HttpRequest, slug: str) -> HttpResponse:
    """All articles of one category, the latest first."""
    found = get_object_or_404(Category, slug=slug)
    pages = Paginator(found.articles.select_related("author"), PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    return render(request, "magazine/category.html", {"category": found, "page": page})


def article(request: HttpRequest, pk: int) -> HttpResponse:
    """An article with its comments; it counts who reads it and remembers what each has read."""
    found = get_object_or_404(Article, pk=pk)
    before = [known for known in request.session.get("read", []) if known != pk]
    request.session["read"] = [pk, *before][:REMEMBERED]
    titles = Article.objects.in_bulk(before)
    context = {
        "article": found,
        "reads": caching.count_read(found),
        "before": [titles[known] for known in before if known in titles],
    }
    return render(request, "magazine/article.html", context)


def ranking(request: HttpRequest) -> HttpResponse:
    """What is read most, of all and by category."""
    lists = [("All categories", caching.most_read(10))]
    for found in Category.objects.all():
        lists.append((found.name, caching.most_read(5, found.slug)))
    return render(request, "magazine/ranking.html", {"lists": lists})


def download(request: HttpRequest, pk: int) -> FileResponse:
    """An article as a text file."""
    try:
        file = caching.text_file(pk)
    except Article.DoesNotExist:
        raise Http404("No article has this number.") from None
    return FileResponse(
        file,
        as_attachment=True,
        filename=f"article-{pk}.txt",
        content_type="text/plain; charset=utf-8",
    )
