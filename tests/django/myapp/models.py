"""The document's model, whose manager caches queries."""

from __future__ import annotations

from hashlib import md5
from typing import Any, cast

from django.core.cache import cache as django_cache
from django.db import models

from django_diskcache import DjangoCache

cache = cast(DjangoCache, django_cache)  # a proxy, whose type does not know what we add


class CachedQueryManager(models.Manager[Any]):
    def cached_filter(self, timeout: int = 3600, **kwargs: Any) -> list[Any]:
        # Create cache key from query parameters
        key_data = str(sorted(kwargs.items()))
        cache_key = f"query_{self.model._meta.label}_{md5(key_data.encode()).hexdigest()}"

        # Try cache first
        result: list[Any] | None = cache.get(cache_key)
        if result is None:
            result = list(self.filter(**kwargs))
            cache.set(cache_key, result, timeout=timeout, tag=f"model_{self.model._meta.label}")
        return result


class Article(models.Model):
    title = models.CharField(max_length=200)
    content = models.TextField()
    published = models.BooleanField(default=False)

    objects = CachedQueryManager()


# Invalidate when models change
def invalidate_article_cache() -> None:
    cache.evict("model_myapp.Article")


class Topic(models.Model):
    name = models.CharField(max_length=9)
    objects: models.Manager[Any] = models.Manager()


class Page(models.Model):
    topics = models.ManyToManyField(Topic, related_name="pages")
    objects: models.Manager[Any] = models.Manager()


class Story(Page):
    title = models.CharField(max_length=9)
    objects: models.Manager[Any] = models.Manager()


class Person(models.Model):
    friends = models.ManyToManyField("self")
    objects: models.Manager[Any] = models.Manager()
