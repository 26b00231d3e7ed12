"""Evict what a save or a deletion makes stale: when it is committed, never before.

A page rendered between the eviction and the commit would put the old state back. Bulk
operations send no signals: whoever runs one evicts by hand.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from .caching import evict_article
from .models import Article, Author, Category, Comment


def evict_on_commit(pk: int) -> None:
    """Evict the article once the transaction around is through, at once if there is none."""
    transaction.on_commit(partial(evict_article, pk))


@receiver([post_save, post_delete], sender=Article)
def article_changed(instance: Article, **kwargs: Any) -> None:
    evict_on_commit(instance.pk)


@receiver([post_save, post_delete], sender=Comment)
def comment_changed(instance: Comment, **kwargs: Any) -> None:
    evict_on_commit(instance.article_id)


@receiver(post_save, sender=Author)
@receiver(post_save, sender=Category)
def name_changed(instance: Author | Category, created: bool, **kwargs: Any) -> None:
    if not created:
        for pk in instance.articles.values_list("pk", flat=True):
            evict_on_commit(pk)
