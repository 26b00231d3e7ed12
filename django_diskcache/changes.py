"""Evicts tags when objects of a model are saved or deleted, by Django's signals.

Tags are computed when the signal comes, for afterwards a deleted object is gone; what has them
is evicted when the transaction is committed. What sends no signal is not noticed: `update()`,
`bulk_create()`, `bulk_update()` and SQL of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps
from django.core.cache import InvalidCacheBackendError, caches
from django.db.models import Model, signals

from .engine.tagging import distinct


def evict_on_change(
    model: type[Model] | str,
    tags: Any,
    cache: str = "default",
) -> Callable[[], None]:
    """Evict what has one of these tags whenever an object of the model changes.

    That is when it is saved, deleted, or what a many-to-many field of it refers to is added,
    removed or cleared, from either side. It is done when the transaction of the database that
    was written to is committed, and never when that is rolled back. Call it in
    `AppConfig.ready`; a second call with the same arguments changes nothing.

    :param model: the class, or a text like ``"app.Model"``; proxies and subclasses have
        signals of their own
    :param tags: a tag, or a tuple, list or set of tags, or a callable which returns such of an
        object, as it is now
    :param cache: alias of the cache; one whose backend has no tags, as in tests, is left alone
    :return: a function that ends it
    :raises LookupError: for a text that names no model
    :raises InvalidCacheBackendError: for an alias that is not in CACHES
    :raises TypeError: for what is no model, and what is no tag
    """
    found: type[Model] = apps.get_model(model) if isinstance(model, str) else model
    if not (isinstance(found, type) and issubclass(found, Model)):
        raise TypeError(f'model={model!r}: expected a model, or a text like "app.Model"')
    if cache not in caches.settings:
        raise InvalidCacheBackendError(f"The connection {cache!r} doesn't exist.")
    if not callable(tags):
        tags = distinct(tags)
    watcher = _Watcher(found, tags, cache)
    senders: list[tuple[Any, Any, Any]] = [
        (signals.post_save, found, watcher.changed),
        (signals.post_delete, found, watcher.changed),
    ]
    for field in found._meta.many_to_many:
        senders.append((signals.m2m_changed, field.remote_field.through, watcher.related))
    identity = ("django_diskcache.evict_on_change", found, cache, tags)
    for signal, sender, receiver in senders:
        signal.connect(receiver, sender=sender, weak=False, dispatch_uid=identity)

    def end() -> None:
        for signal, sender, _ in senders:
            signal.disconnect(sender=sender, dispatch_uid=identity)

    return end


class _Watcher:
    """Receives the signals for one model."""

    def __init__(self, model: type[Model], tags: Any, cache: str) -> None:
        self.model = model
        self.tags = tags
        self.cache = cache

    def evict(self, instances: Iterable[Model], using: str) -> None:
        backend: Any = caches[self.cache]
        if not hasattr(backend, "evict_on_commit"):
            return
        wanted = self.tags
        if callable(wanted):
            wanted = [tag for each in instances for tag in distinct(self.tags(each))]
        if wanted:
            backend.evict_on_commit(wanted, using=using)

    def changed(self, instance: Model, using: str, **kwargs: Any) -> None:
        self.evict([instance], using)

    def related(
        self,
        sender: Any,
        instance: Model,
        action: str,
        reverse: bool,
        pk_set: set[Any] | None,
        using: str,
        **kwargs: Any,
    ) -> None:
        fields = [
            each
            for each in self.model._meta.many_to_many
            if each.remote_field.through is sender
        ]
        # A field that refers to its own model both ways sends nothing for the other side.
        both = any(each.remote_field.symmetrical for each in fields)
        clearing = action == "pre_clear" and (reverse or both)
        if action.startswith("pre_") and not clearing:
            return
        if pk_set is not None and not pk_set:  # it was all there already
            return
        if clearing:  # afterwards nobody knows which they were
            for field in fields:
                self.evict(self._objects(using, **{field.name: instance}), using)
            return
        if not reverse:
            self.evict(self._ours(instance, using), using)
        if pk_set is not None and (reverse or both):
            self.evict(self._objects(using, pk__in=pk_set), using)

    def _ours(self, instance: Model, using: str) -> Iterable[Model]:
        """The object as one of the model; none if it is only one of the parent of the field."""
        if isinstance(instance, self.model):
            return [instance]
        return self._objects(using, **{instance._meta.pk.name: instance.pk})

    def _objects(self, using: str, **which: Any) -> Iterable[Model]:
        if not callable(self.tags):
            return ()  # they are not asked
        return self.model._base_manager.using(using).filter(**which)
