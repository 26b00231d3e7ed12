"""Methods that go by tags."""

from __future__ import annotations

from typing import Any

from ..engine.tagging import Match
from .base import Methods, in_thread


class Tags(Methods):
    """A tag is a str, bytes, int or float. Where tags are compared, 1 and 1.0 are one tag."""

    def tags(
        self, key: Any, version: int | None = None, retry: bool = False
    ) -> tuple[Any, ...]:
        """The tags of `key`, in the order in which they were given.

        :param retry: wait for a lock as long as it takes
        :return: an empty tuple where there are none, or no such entry
        """
        return self._cache.tags(self.make_and_validate_key(key, version), retry)

    async def atags(
        self, key: Any, version: int | None = None, retry: bool = False
    ) -> tuple[Any, ...]:
        """`tags`, on an event loop."""
        found: tuple[Any, ...] = await self._run("tags", key, version, retry)
        return found

    def keys_by_tag(
        self, tag: Any, version: int | None = None, match: Match = "any"
    ) -> list[str]:
        """The keys with this tag, as the caller wrote them, that have not expired.

        They are those of this cache's prefix and version. Without `tag_index`, all entries of
        the directory are looked at.

        :param tag: a tag, or a tuple, list or set of tags
        :param match: 'any' for the keys that have one of them, 'all' for those that have all
        :raises TypeError: for what is no tag
        :raises ValueError: for another `match`
        :raises NotImplementedError: when KEY_FUNCTION does not keep the key in what it makes
        """
        head, tail = self._around_keys(version)
        found = self._cache.keys_by_tag(tag, match)
        return [
            key[len(head) : len(key) - len(tail)]
            for key in found
            if isinstance(key, str) and key.startswith(head) and key.endswith(tail)
        ]

    async def akeys_by_tag(
        self, tag: Any, version: int | None = None, match: Match = "any"
    ) -> list[str]:
        """`keys_by_tag`, in a thread."""
        return await in_thread(self.keys_by_tag, tag, version, match)

    def evict(self, tag: Any, match: Match = "any") -> int:
        """Remove the entries with this tag, of all versions and prefixes; how many.

        :param tag: a tag, or a tuple, list or set of tags
        :param match: 'any' for the entries that have one of them, 'all' for those that have all
        :raises TypeError: for what is no tag
        :raises ValueError: for another `match`
        """
        return self._cache.evict(tag, match=match)

    async def aevict(self, tag: Any, match: Match = "any") -> int:
        """`evict`, in a thread."""
        return await in_thread(self.evict, tag, match)
