"""Changes of the cache that belong to a transaction: its own, or one of Django's databases.

What is computed inside a transaction of the database must not be seen before the commit, nor
after a rollback; and what is evicted before the commit may be computed again from what is about
to be old. So these methods wait for `django.db.transaction.on_commit`. There a fault of the
cache must not break what is committed already: Django logs it, and it goes no further.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.utils.asyncio import async_unsafe

from ..engine.tagging import Match, distinct, read_match, stored
from .base import Methods


class Eviction:
    """An eviction after a commit; it takes along those that directly follow it.

    So a transaction that saves a thousand objects does not look for one tag a thousand times.
    What follows was registered at the same depth of savepoints: it is not there to be taken
    along where it was rolled back.
    """

    def __init__(
        self, cache: Any, tags: tuple[Any, ...], match: Match, depth: set[str]
    ) -> None:
        self.cache = cache
        self.tags = tags
        self.match = match
        self.depth = depth
        self.following: Eviction | None = None
        self.done = False

    def joins(self, other: Eviction) -> bool:
        """Whether it may take the other one along."""
        return (
            self.match == other.match == "any"
            and self.depth == other.depth
            and self.cache is other.cache
        )

    def __call__(self) -> None:
        tags: dict[Any, None] = {}
        each: Eviction | None = self
        while each is not None and not each.done:
            tags.update(dict.fromkeys(each.tags))
            each.done = True
            each = each.following
        if tags:
            self.cache.evict(tuple(tags), self.match)


def _on_commit(action: Callable[[], object], using: str | None) -> None:
    from django.db import transaction  # at start-up it would cost some milliseconds

    transaction.on_commit(action, using=using, robust=True)


class Commits(Methods):
    """Methods around transactions."""

    @async_unsafe(
        "You cannot use transact() in an async context: other tasks of the event loop would "
        "run inside the transaction. Use a thread or sync_to_async."
    )
    def transact(self, retry: bool = True) -> AbstractContextManager[None]:
        """A context in which all changes of this cache happen together, or on an error none.

        It belongs to the thread, may be nested, and has nothing to do with transactions of
        Django's databases. It locks **all** shards: every other writer waits until its end, so
        keep it short. Inside it a fault of the store is raised, whatever the method.

        :param retry: wait for the locks as long as it takes; else `database_timeout`
        :raises Timeout: when they are not free in time
        :raises SynchronousOnlyOperation: on an event loop
        """
        return self._cache.transact(retry)

    def set_on_commit(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        tag: Any = None,
        using: str | None = None,
    ) -> None:
        """`set`, when the transaction of a database has been committed, and not if it is not.

        Outside of a transaction it is done at once. The timeout counts from the commit.

        :param using: alias of the database; None is the default one
        :raises TypeError: for what is no tag
        """
        self.make_and_validate_key(key, version)
        stored(tag)  # a mistake is told to who makes it: later there is nobody to tell
        cache: Any = self

        def action() -> None:
            cache.set(key, value, timeout, version, tag=tag)

        _on_commit(action, using)

    def delete_on_commit(
        self, key: Any, version: int | None = None, using: str | None = None
    ) -> None:
        """`delete`, when the transaction of a database has been committed.

        :param using: alias of the database; None is the default one
        """
        self.make_and_validate_key(key, version)
        _on_commit(lambda: self.delete(key, version), using)

    def evict_on_commit(self, tag: Any, match: Match = "any", using: str | None = None) -> None:
        """`evict`, when the transaction of a database has been committed.

        :param using: alias of the database; None is the default one
        :raises TypeError: for what is no tag
        :raises ValueError: for another `match`
        """
        from django.db import DEFAULT_DB_ALIAS, connections  # as in `_on_commit`

        read_match(match)
        connection = connections[DEFAULT_DB_ALIAS if using is None else using]
        depth = {each for each in connection.savepoint_ids if each is not None}
        eviction = Eviction(self, distinct(tag), match, depth)
        waiting = connection.run_on_commit
        last = waiting[-1][1] if waiting else None
        _on_commit(eviction, using)
        if isinstance(last, Eviction) and last.joins(eviction):
            last.following = eviction
