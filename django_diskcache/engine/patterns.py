"""Patterns of keys as Redis has them, and what they are to SQLite.

``*`` is any text, ``?`` one character, ``[ae]``, ``[^a]`` and ``[a-c]`` are one of some, or of
all but some, and a backslash takes what is special from the next one; upper and lower case
differ. Where a pattern is not well-formed, Redis makes something of it (see ``stringmatchlen``
in its util.c), and so does this: a class that is not closed ends with the pattern, and a
backslash at the end stands for itself.

SQLite's ``GLOB`` means nearly the same by other rules: it has no backslash, ``]`` stands first
in a class and ``^`` does not, and a key ends at a NUL character. So a pattern is read once, and
from that comes a ``GLOB``, the literal *head* by which the index on keys is entered, and
`Pattern.matches` for the few keys that ``GLOB`` cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

STAR = None  # any text
NOTHING = "[^\x01-\U0010ffff]"  # to GLOB: no character


class OneOf(NamedTuple):
    """One character: of these ranges, which are in order and apart, or not of them."""

    ranges: tuple[tuple[int, int], ...]
    inverted: bool = False

    def has(self, character: str) -> bool:
        """Whether it is this one."""
        point = ord(character)
        return any(low <= point <= high for low, high in self.ranges) is not self.inverted


# A literal character is a text, so that most of a pattern is compared as such.
Token: TypeAlias = "str | OneOf | None"


class Pattern(NamedTuple):
    """A pattern that was read."""

    tokens: tuple[Token, ...]

    @property
    def head(self) -> str:
        """The text that whatever matches begins with."""
        literal: list[str] = []
        for token in self.tokens:
            if not isinstance(token, str):
                break
            literal.append(token)
        return "".join(literal)

    @property
    def open(self) -> bool:
        """Whether it is its head and a star: what begins with that matches."""
        return self.tokens[-1:] == (STAR,) and len(self.head) == len(self.tokens) - 1

    @property
    def glob(self) -> str:
        """The same for SQLite, but for NUL characters."""
        return "".join(map(_glob, self.tokens))

    def matches(self, text: str) -> bool:
        """Whether the whole text does.

        A star takes as little as it can, and when that fails the last one takes one more: to go
        back to those before it would change nothing.
        """
        tokens = self.tokens
        place = at = 0
        star = -1  # the place after the last star, and where in the text it ends
        end = 0
        while at < len(text):
            if place < len(tokens) and (token := tokens[place]) is STAR:
                place += 1
                star, end = place, at
            elif place < len(tokens) and (
                token == text[at] if isinstance(token, str) else _has(token, text[at])
            ):
                place += 1
                at += 1
            elif star >= 0:
                end += 1
                place, at = star, end
            else:
                return False
        return all(token is STAR for token in tokens[place:])


def _has(token: Token, character: str) -> bool:
    return isinstance(token, OneOf) and token.has(character)


def read(text: str) -> Pattern:
    """The pattern that a text is.

    :raises TypeError: when it is no text
    """
    if not isinstance(text, str):
        raise TypeError(f"pattern={text!r}: expected a text, such as 'user:*'")
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        character = text[place]
        place += 1
        if character == "*":
            if tokens[-1:] != [STAR]:  # two are no more than one
                tokens.append(STAR)
        elif character == "?":
            tokens.append(OneOf((), True))
        elif character == "[":
            token, place = _class(text, place)
            tokens.append(token)
        elif character == "\\" and place < len(text):
            tokens.append(text[place])
            place += 1
        else:
            tokens.append(character)
    return Pattern(tuple(tokens))


def within(head: str, pattern: Pattern, tail: str) -> Pattern:
    """The pattern between two literal texts."""
    return Pattern((*head, *pattern.tokens, *tail))


def beginning(text: str) -> Pattern:
    """The pattern of all that begins with a literal text.

    :raises TypeError: when it is no text
    """
    if not isinstance(text, str):
        raise TypeError(f"prefix={text!r}: expected a text")
    return Pattern((*text, STAR))


def _class(text: str, place: int) -> tuple[OneOf, int]:
    """The class whose bracket stands before this place, and the place after it."""
    inverted = text[place : place + 1] == "^"
    place += inverted
    ranges: list[tuple[int, int]] = []
    while place < len(text):
        if text[place] == "\\" and place + 1 < len(text):
            place += 1
        elif text[place] == "]":
            place += 1
            break
        elif text[place + 1 : place + 2] == "-" and place + 2 < len(text):
            ends = ord(text[place]), ord(text[place + 2])
            ranges.append((min(ends), max(ends)))
            place += 3
            continue
        ranges.append((ord(text[place]), ord(text[place])))
        place += 1
    return OneOf(_apart(ranges), inverted), place


def _apart(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same characters in ranges that are in order and do not touch."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def _glob(token: Token) -> str:
    if token is STAR:
        return "*"
    if isinstance(token, str):
        return f"[{token}]" if token in "*?[" else token
    if not token.ranges:
        return "?" if token.inverted else NOTHING
    # In a class of GLOB a bracket stands first, then the hyphen, and the caret last; so these
    # are no ends of ranges.
    firsts = {each: token.has(each) is not token.inverted for each in "]-^"}
    ranges = [part for each in token.ranges for part in _trimmed(each, firsts)]
    parts = [chr(low) if low == high else f"{chr(low)}-{chr(high)}" for low, high in ranges]
    inner = "".join(each for each in "]-" if firsts[each]) + "".join(parts)
    if firsts["^"]:
        if not inner and not token.inverted:
            return "^"
        inner += "^"
    return f"[{'^' * token.inverted}{inner}]"


def _trimmed(ends: tuple[int, int], special: Iterable[str]) -> Iterator[tuple[int, int]]:
    """The range without special characters at its ends, if anything is left of it."""
    low, high = ends
    points = set(map(ord, special))
    while low <= high and low in points:
        low += 1
    while low <= high and high in points:
        high -= 1
    if low <= high:
        yield low, high
