"""The methods of a cache on a server that look for keys: by pattern, beginning and tag.

The server gives the names that a pattern of its own is like, which lets through all that are
wanted and some more: its patterns go by bytes. Ours then decides, so that a pattern means what
it means on files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..engine.disk import is_text
from ..engine.finding import Finding, Order
from ..engine.matching import Wanted
from ..engine.patterns import Token
from .names import escaped
from .remote import TEXT
from .whole import WholeCache

MOST_STARS = 8  # of what the server is asked: each may cost it another look at a name


def like(tokens: Iterable[Token]) -> bytes:
    """A pattern of the server that the bytes of all texts are like which match these."""
    found = b""
    stars = 0
    for token in tokens:
        if isinstance(token, str) and stars < MOST_STARS:
            found += escaped(token.encode())
        elif not found.endswith(b"*") or found.endswith(b"\\*"):
            found += b"*"
            stars += 1
    return found


def wanting(wanted: Wanted) -> Callable[[str], bool]:
    """Whether a key matches all patterns; those that only ask for a beginning are quick."""
    heads = [each.head for each in wanted.asked if each.open]
    others = [each for each in wanted.asked if not each.open]
    if not others:
        return lambda key: all(map(key.startswith, heads))
    return lambda key: (
        all(map(key.startswith, heads)) and all(each.matches(key) for each in others)
    )


class SearchedCache(Finding, WholeCache):
    """Mixed into the face."""

    def tags(self, key: Any, retry: bool = False) -> tuple[Any, ...]:
        """The tags of `key`, in the order in which they were given.

        :return: an empty tuple where there are none, or no such entry
        """
        found: tuple[Any, ...] = self._remotely((), self._operations.tags(key))
        return found

    def _found(self, wanted: Wanted, page: int, order: Order | None) -> Iterator[str]:
        if order is not None:
            raise NotImplementedError(
                f"order={order!r}: the cache at {self._engine.address.text} does not know when "
                "entries were stored; leave it out, or keep the keys in the order that you need"
            )
        return self._searched(wanted, page)

    def _searched(self, wanted: Wanted, page: int) -> Iterator[str]:
        if wanted.tags:
            names = self._names_tagged(wanted.tags, False)
        else:
            pattern = self._pattern(wanted)
            names = iter(()) if pattern is None else self._names(pattern, page)
        wants = wanting(wanted)
        for name in names:
            key = self._text(name)
            if key is not None and wants(key):
                yield wanted.inner(key)

    def _remove_found(self, wanted: Wanted, page: int, retry: bool) -> int:
        wants = wanting(wanted)

        def chosen(name: bytes) -> bool:
            key = self._text(name)
            return key is not None and wants(key)

        pattern = self._pattern(wanted)
        return 0 if pattern is None else self._removed_by(pattern, page, chosen)

    def _pattern(self, wanted: Wanted) -> bytes | None:
        """What the server is asked for; None where no key is like that."""
        narrowest = max(wanted.asked, key=lambda each: len(each.head))
        if not all(is_text(token) for token in narrowest.tokens if isinstance(token, str)):
            return None
        return self._engine.any_text + like(narrowest.tokens)

    def _text(self, name: bytes) -> str | None:
        """The key in a name, if it is a text."""
        if self._sign(name) != TEXT:
            return None
        try:
            return name[self._engine._body :].decode()
        except UnicodeDecodeError:  # none of ours
            return None
