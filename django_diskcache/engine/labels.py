"""The methods of a cache that go by tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import tagged, tagging
from .guard import MUCH, Guarded
from .keyed import KeyedCache
from .tagging import Match


class Labels(Guarded):
    """Those that every face has.

    Tags are compared as by SQLite: 1 and 1.0 are one tag, "1" is another.
    """

    def _tagged(self, tags: tuple[Any, ...], every: bool) -> Iterable[Any]:
        """The keys of what has any of these tags, or every one; of each face."""
        raise NotImplementedError

    def _evict(self, tags: tuple[Any, ...], every: bool, retry: bool) -> int:
        """Remove what has any of these tags, or every one; how many. Of each face."""
        raise NotImplementedError

    def keys_by_tag(self, tag: Any, match: Match = "any") -> list[Any]:
        """The keys of the entries that have this tag and have not expired.

        They come in the order in which they were stored first, shard by shard; on a server in
        none. On files and without the index on tags, all entries are looked at.

        :param tag: a tag, or a tuple, list or set of tags
        :param match: 'any' for the entries that have one of them, 'all' for those that have all
        :raises TypeError: for what is no tag
        :raises ValueError: for another `match`
        """
        every, tags = tagging.read_match(match), tagging.distinct(tag)
        return list(self._tagged(tags, every))

    def evict(self, tag: Any, retry: bool = False, match: Match = "any") -> int:
        """Remove the entries with this tag; how many.

        On files and without an index on tags, see `create_tag_index`, all entries are looked
        at. On a server it is one step in each of 256 buckets: what is stored meanwhile is
        removed or stays.

        :param tag: a tag, or a tuple, list or set of tags
        :param match: 'any' for the entries that have one of them, 'all' for those that have all
        :raises TypeError: for what is no tag
        :raises ValueError: for another `match`
        :raises Timeout: with the number removed so far
        """
        every, tags = tagging.read_match(match), tagging.distinct(tag)
        return self._evict(tags, every, retry)


class TagMethods(Labels, KeyedCache):
    """The same on files."""

    def tags(self, key: Any, retry: bool = False) -> tuple[Any, ...]:
        """The tags of `key`, in the order in which they were given.

        :return: an empty tuple where there are none, or no such entry
        """
        store, place = self._engine.place(key)
        return self._safely((), tagged.tags_of, store, place, self._wait(retry))

    def _tagged(self, tags: tuple[Any, ...], every: bool) -> Iterable[Any]:
        return self._from_each(lambda store: tagged.keys(store, tags, every), False)

    def _evict(self, tags: tuple[Any, ...], every: bool, retry: bool) -> int:
        wait = self._removal_wait(retry)
        return self._removed_from_each(
            lambda store: tagged.remove(store, tags, every, wait), MUCH
        )
