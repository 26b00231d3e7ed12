"""Keys by pattern, beginning and tag: to list them and to remove them.

The caller's keys are between what KEY_FUNCTION puts before and after them. What has special
characters there is no pattern. Names, arguments and results are those of django-redis, where it
has the method; its `prefix` is a KEY_PREFIX, here it is the beginning of keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

from ..engine.finding import Order
from .base import Methods, in_thread

PAGE = 1000  # keys that an event loop takes from a thread at a time


class Keys(Methods):
    """Methods of `DjangoCache` that find keys, and their twins."""

    def __iter__(self) -> Iterator[str]:
        """The keys of this cache's prefix and version, as the caller wrote them.

        :raises NotImplementedError: when KEY_FUNCTION does not keep the key in what it makes
        """
        return self.iter_keys()

    def keys(
        self,
        pattern: str = "*",
        version: int | None = None,
        *,
        prefix: str | None = None,
        tag: Any = None,
        order: Order | None = None,
    ) -> list[str]:
        """The keys that match a pattern and have not expired; otherwise like `iter_keys`."""
        return self._cache.keys(
            pattern, prefix=prefix, tag=tag, order=order, within=self._around_keys(version)
        )

    def iter_keys(
        self,
        pattern: str = "*",
        itersize: int | None = None,
        version: int | None = None,
        *,
        prefix: str | None = None,
        tag: Any = None,
        order: Order | None = None,
    ) -> Iterator[str]:
        """The keys of this KEY_PREFIX that match a pattern, as the caller wrote them.

        Others may write meanwhile: no key comes twice, and none that is there all the time is
        left out. What has expired is.

        :param pattern: as in Redis: ``*`` is any text, ``?`` one character, ``[ae]``, ``[^a]``
            and ``[a-c]`` are one of some; a backslash takes what is special from the next. What
            stands before the first of these makes it fast
        :param itersize: how many keys to read at a time
        :param prefix: only keys that begin with this text
        :param tag: only keys with this tag, or with any of several in a tuple, list or set
        :param order: None is that of the keys, shard by shard; 'newest' and 'oldest' go by
            when they were stored last, and read all of them first
        :raises TypeError: when pattern or prefix is no text, or the tag is of a wrong type
        :raises ValueError: for another order, and an itersize below 1
        :raises NotImplementedError: when KEY_FUNCTION does not keep the key in what it makes
        """
        return self._cache.iter_keys(
            pattern,
            prefix=prefix,
            tag=tag,
            order=order,
            itersize=itersize,
            within=self._around_keys(version),
        )

    def delete_pattern(
        self,
        pattern: str,
        version: int | None = None,
        prefix: str | None = None,
        itersize: int | None = None,
    ) -> int:
        """Remove the keys that match a pattern; how many there were that had not expired.

        They are found without a lock, and removed in batches of a few milliseconds each. The
        arguments are those of `iter_keys`.
        """
        return self._cache.delete_pattern(
            pattern, prefix=prefix, itersize=itersize, within=self._around_keys(version)
        )

    def delete_prefix(self, prefix: str, version: int | None = None) -> int:
        """Remove the keys that begin with a text; otherwise like `delete_pattern`."""
        return self._cache.delete_prefix(prefix, within=self._around_keys(version))

    def clear(self, version: int | None = None, prefix: str | None = None) -> None:
        """Remove all entries, those of other versions and KEY_PREFIXes in the directory too.

        With an argument, only keys of this KEY_PREFIX.

        :param version: those of this version; with `prefix`, instead of the cache's
        :param prefix: those that begin with this text
        :raises NotImplementedError: with an argument, when KEY_FUNCTION does not keep the key
            in what it makes
        """
        if version is None and prefix is None:
            self._cache.clear()
        else:
            within = self._around_keys(version)
            self._cache.delete_pattern("*", prefix=prefix, within=within)

    async def akeys(
        self, pattern: str = "*", version: int | None = None, **kwargs: Any
    ) -> list[str]:
        return await in_thread(self.keys, pattern, version, **kwargs)

    async def aiter_keys(
        self,
        pattern: str = "*",
        itersize: int | None = None,
        version: int | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        found = self.iter_keys(pattern, itersize, version, **kwargs)
        size = itersize or PAGE

        def page() -> list[str]:
            return list(islice(found, size))

        while keys := await in_thread(page):
            for key in keys:
                yield key

    async def adelete_pattern(
        self, pattern: str, version: int | None = None, **kwargs: Any
    ) -> int:
        return await in_thread(self.delete_pattern, pattern, version, **kwargs)

    async def adelete_prefix(self, prefix: str, version: int | None = None) -> int:
        return await in_thread(self.delete_prefix, prefix, version)

    async def aclear(self, version: int | None = None, prefix: str | None = None) -> None:
        await in_thread(self.clear, version, prefix)
