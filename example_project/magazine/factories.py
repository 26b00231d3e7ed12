"""Articles, authors and comments out of thin air.

`ArticleFactory.create_batch(3)` makes three in the database, as factory-boy does; `fill` makes
thousands in reasonable time.
"""

# mypy: allow-untyped-calls
# (factory-boy has types for factories, not yet for their declarations)

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta, timezone

from django.db import transaction
from django.utils.text import slugify
from factory.declarations import Iterator as Cycle
from factory.declarations import LazyAttribute, SubFactory
from factory.django import DjangoModelFactory
from factory.faker import Faker

from .models import Article, Author, Category, Comment

CATEGORIES = ("Cooking", "Gardening", "History", "Music", "Science", "Travel")
ARTICLES_PER_AUTHOR = 10
MOST_COMMENTS = 12
BATCH = 50


class CategoryFactory(DjangoModelFactory[Category]):
    class Meta:
        model = Category
        django_get_or_create = ("name",)

    name = Cycle(CATEGORIES)
    slug = LazyAttribute(lambda category: slugify(category.name))


class AuthorFactory(DjangoModelFactory[Author]):
    class Meta:
        model = Author

    name = Faker("name")


class ArticleFactory(DjangoModelFactory[Article]):
    class Meta:
        model = Article

    class Params:
        paragraphs = Faker("paragraphs", nb=8)

    title = Faker("catch_phrase")
    body = LazyAttribute(lambda article: "\n\n".join(article.paragraphs))
    category = SubFactory(CategoryFactory)
    author = SubFactory(AuthorFactory)
    published = Faker("date_time_between", start_date="-1y", tzinfo=timezone.utc)


class CommentFactory(DjangoModelFactory[Comment]):
    class Meta:
        model = Comment

    article = SubFactory(ArticleFactory)
    name = Faker("first_name")
    text = Faker("paragraph")
    written = LazyAttribute(
        lambda comment: comment.article.published + timedelta(hours=random.random() * 48)
    )


def fill(missing: int) -> Iterator[Article]:
    """Make so many articles with comments, in batches.

    They are inserted in bulk, so no signal is sent: what is new is in no cache yet.
    """
    categories = CategoryFactory.create_batch(len(CATEGORIES))
    authors = list(Author.objects.all())
    for begin in range(0, missing, BATCH):
        size = min(BATCH, missing - begin)
        with transaction.atomic():
            authors += AuthorFactory.create_batch(-(-size // ARTICLES_PER_AUTHOR))
            articles = [
                ArticleFactory.build(
                    category=random.choice(categories), author=random.choice(authors)
                )
                for _ in range(size)
            ]
            Article.objects.bulk_create(articles)
            Comment.objects.bulk_create(
                CommentFactory.build(article=article)
                for article in articles
                for _ in range(random.randint(0, MOST_COMMENTS))
            )
        yield from articles
