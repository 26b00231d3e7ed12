"""Finding keys by what they look like: the methods of all faces that list and remove them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from . import matching, patterns
from .guard import MUCH, Guarded
from .keyed import KeyedCache
from .matching import Around, Wanted

NOTHING_AROUND = ("", "")
ORDERS = (None, "newest", "oldest")
Order: TypeAlias = Literal["newest", "oldest"]


class Finding(Guarded):
    """The methods of a cache about keys that are texts; other keys are passed over.

    `within` is the texts that stand before and after each key in the store. What is asked for
    and what is returned is what stands between.
    """

    def _found(self, wanted: Wanted, page: int, order: Order | None) -> Iterator[str]:
        """The keys that are wanted, read `page` at a time; of each face."""
        raise NotImplementedError

    def _remove_found(self, wanted: Wanted, page: int, retry: bool) -> int:
        """Remove the entries that are wanted; how many. Of each face."""
        raise NotImplementedError

    def keys(
        self,
        pattern: str = "*",
        *,
        prefix: str | None = None,
        tag: object = None,
        order: Order | None = None,
        within: Around = NOTHING_AROUND,
    ) -> list[str]:
        """The keys that match a pattern and have not expired; otherwise like `iter_keys`."""
        return list(self.iter_keys(pattern, prefix=prefix, tag=tag, order=order, within=within))

    def iter_keys(
        self,
        pattern: str = "*",
        *,
        prefix: str | None = None,
        tag: object = None,
        order: Order | None = None,
        itersize: int | None = None,
        within: Around = NOTHING_AROUND,
    ) -> Iterator[str]:
        """Keys that are texts, match a pattern and have not expired, one after the other.

        Others may write meanwhile: no key comes twice, and none that is there all the time is
        left out.

        :param pattern: as in Redis: ``*`` is any text, ``?`` one character, ``[ae]``, ``[^a]``
            and ``[a-c]`` are one of some; a backslash takes what is special from the next. What
            stands before the first of these makes it fast
        :param prefix: only keys that begin with this text
        :param tag: only keys with this tag, or with any of several in a tuple, list or set
        :param order: None is that of the keys, shard by shard; 'newest' and 'oldest' go by
            when they were stored last, and read all of them first
        :param itersize: how many keys to read at a time
        :param within: texts that stand before and after each key in the store, which
            are no part of what is asked for and returned
        :raises TypeError: when pattern or prefix is no text, or the tag is of a wrong type
        :raises ValueError: for another order, and an itersize below 1
        :raises NotImplementedError: for an order, on a server
        """
        wanted = matching.wanted(pattern, prefix, tag, within)
        page = matching.page_size(itersize)
        if order not in ORDERS:
            raise ValueError(f"order={order!r}: expected None, 'newest' or 'oldest'")
        return self._found(wanted, page, order)

    def delete_pattern(
        self,
        pattern: str,
        *,
        prefix: str | None = None,
        itersize: int | None = None,
        within: Around = NOTHING_AROUND,
        retry: bool = False,
    ) -> int:
        """Remove the keys that match a pattern; how many there were that had not expired.

        They are found without a lock, and removed in batches of a few milliseconds each.

        :param pattern: see `iter_keys`, as for the other arguments
        :param retry: wait for a lock as long as it takes
        :raises Timeout: with the number removed so far
        """
        wanted = matching.wanted(pattern, prefix, None, within)
        return self._remove_found(wanted, matching.page_size(itersize), retry)

    def delete_prefix(
        self, prefix: str, *, within: Around = NOTHING_AROUND, retry: bool = False
    ) -> int:
        """Remove the keys that begin with a text; otherwise like `delete_pattern`."""
        patterns.beginning(prefix)  # or else a TypeError: None would remove all of them
        return self.delete_pattern("*", prefix=prefix, within=within, retry=retry)


class FindingMethods(Finding, KeyedCache):
    """The same on files."""

    def _found(self, wanted: Wanted, page: int, order: Order | None) -> Iterator[str]:
        if order is not None:
            return self._by_age(wanted, page, order == "newest")
        return self._from_each(lambda store: matching.keys(store, wanted, page), False)

    def _by_age(self, wanted: Wanted, page: int, newest: bool) -> Iterator[str]:
        found = self._from_each(lambda store: matching.dated(store, wanted, page), False)
        for _, key in sorted(found, reverse=newest):
            yield key

    def _remove_found(self, wanted: Wanted, page: int, retry: bool) -> int:
        wait = self._removal_wait(retry)
        return self._removed_from_each(
            lambda store: matching.remove(store, wanted, page, wait), MUCH
        )
