"""Articles by category, with authors and comments."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils import timezone


class Category(models.Model):
    """What an article is about."""

    name = models.CharField(max_length=50, unique=True)
    slug = models.SlugField(unique=True)

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("magazine:category", args=[self.slug])


class Author(models.Model):
    """Who writes."""

    name = models.CharField(max_length=100)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    """A text, its paragraphs parted by empty lines."""

    title = models.CharField(max_length=200)
    body = models.TextField()
    category = models.ForeignKey(Category, models.PROTECT, related_name="articles")
    author = models.ForeignKey(Author, models.PROTECT, related_name="articles")
    published = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-published", "-pk")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("magazine:article", args=[self.pk])

    @property
    def tag(self) -> str:
        """Marks all that the cache keeps of this article."""
        return article_tag(self.pk)


def article_tag(pk: int) -> str:
    """The tag of the article with this primary key."""
    return f"article:{pk}"


class Comment(models.Model):
    """What a reader has to say."""

    article = models.ForeignKey(Article, models.CASCADE, related_name="comments")
    name = models.CharField(max_length=100)
    text = models.TextField()
    written = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("written", "pk")

    def __str__(self) -> str:
        return f"{self.name} on {self.article}"
