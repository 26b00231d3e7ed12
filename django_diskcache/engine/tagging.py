"""Tags as they stand in a row: one as it is, several as one blob.

The blob is `HEAD`, and then each tag as a letter for its type and its text, ended by a zero
byte, which occurs in no tag: zeros and ones are escaped there. So SQL can ask whether a row has
a tag, by `instr`, and is never wrong; and nothing has to be unpickled. Tags compare as they do
in SQLite: 1 and 1.0 are one tag, "1" and b"1" are others.

A single tag of bytes that begins like such a blob is kept as one, with itself as all there is.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Literal, TypeAlias

from .disk import INT64_MAX, INT64_MIN, is_text

HEAD = b"\0tags\0"  # its letter is that of no type: a tag is never found in it
END = b"\0"
MARK_BITS = 24  # of a mark: so narrow that a mark and an id go into one integer

ONE = (str, bytes, int, float)  # what a tag may be
SEVERAL = (tuple, list, set, frozenset)  # what holds several

MATCHES = ("any", "all")
Match: TypeAlias = Literal["any", "all"]


def read_match(match: Any) -> bool:
    """Whether all tags are wanted, and not any.

    :raises ValueError: when it is neither 'any' nor 'all'
    """
    if match not in MATCHES:
        raise ValueError(f"match={match!r}: expected 'any' or 'all'")
    return bool(match == "all")


def stored(tag: Any) -> Any:
    """What stands in the row for a tag or several, each once: None where there are none.

    :raises TypeError: for what is no tag
    :raises ValueError: for NaN, and a text that UTF-8 cannot say
    :raises OverflowError: for a whole number of more than 64 bits
    """
    if tag is None or (type(tag) is str and tag.isascii()):  # the common ones
        return tag
    if isinstance(tag, ONE) and not _begins_like_several(tag):
        _check(tag)
        return tag
    tags = distinct(tag)
    if len(tags) == 1 and not isinstance(tag, bytes):
        return stored(_whole(_part(*tags)))
    return HEAD + b"".join(_part(each) + END for each in tags) if tags else None


def distinct(tag: Any) -> tuple[Any, ...]:
    """The tags in what a caller gives for one or several, each once.

    They are in their order, and those of a set are sorted.

    :raises TypeError: for what is no tag
    :raises ValueError: for NaN, and a text that UTF-8 cannot say
    :raises OverflowError: for a whole number of more than 64 bits
    """
    given: Any = (tag,)
    if tag is None:
        given = ()
    elif isinstance(tag, SEVERAL):
        given = tag
    for each in given:
        if not isinstance(each, ONE):
            raise TypeError(
                f"tag={tag!r}: expected a str, bytes, int, float or None, or several of them "
                "in a tuple, list or set"
            )
        _check(each)
    found: dict[bytes, Any] = {}
    for each in sorted(given, key=_part) if isinstance(tag, (set, frozenset)) else given:
        found.setdefault(_canonical(_part(each)), each)
    return tuple(found.values())


def _check(tag: Any) -> None:
    """Whether SQLite can hold a tag, which is of one of the types of `ONE`; errors say so."""
    if isinstance(tag, str):
        if not is_text(tag):
            raise ValueError(f"tag={tag!r}: a lone surrogate is no character")
    elif isinstance(tag, float):
        if math.isnan(tag):  # to SQLite it is NULL
            raise ValueError(f"tag={tag!r}: this is no tag, for nothing equals it")
    elif isinstance(tag, int) and not INT64_MIN <= tag <= INT64_MAX:
        raise OverflowError(f"tag={int(tag):#x}: a whole number must have at most 64 bits")


def several(column: Any) -> bool:
    """Whether what stands in a row is a blob of tags."""
    return type(column) is bytes and column.startswith(HEAD)


def given(column: Any) -> Any:
    """The tag or the tuple of tags that a caller gave, of what stands in a row.

    :raises ValueError: when it is a blob that we have not made
    """
    if not several(column):
        return column
    tags = all_of(column)
    return tags if len(tags) > 1 else tags[0]


def all_of(column: Any) -> tuple[Any, ...]:
    """The tags of what stands in a row.

    :raises ValueError: when it is a blob that we have not made
    """
    if several(column):
        return tuple(_whole(part) for part in _parts(column))
    return () if column is None else (column,)


def is_sound(column: Any) -> bool:
    """Whether `given` returns something."""
    try:
        given(column)
    except ValueError:
        return False
    return True


def needles(tag: Any) -> tuple[bytes, ...]:
    """What is in a blob, one or the other, that has this tag."""
    part = _part(tag)
    forms = {part}
    if isinstance(tag, float):
        if tag.is_integer() and INT64_MIN <= tag <= INT64_MAX:
            forms.add(b"i%d" % int(tag))
    elif isinstance(tag, int) and float(tag) == tag:
        forms.add(_part(float(tag)))
    return tuple(END + form + END for form in sorted(forms))


def mark(tag: Any) -> int:
    """A short hash of a tag; equal tags have equal ones."""
    return _mark(_part(tag))


def marks(column: bytes) -> set[int]:
    """The marks of all tags in a blob, which is one of ours."""
    return {_mark(part) for part in _parts(column)}


def _mark(part: bytes) -> int:
    return zlib.crc32(_canonical(part)) & ((1 << MARK_BITS) - 1)


def _begins_like_several(tag: Any) -> bool:
    return isinstance(tag, bytes) and tag.startswith(HEAD)


def _part(tag: Any) -> bytes:
    if isinstance(tag, str):
        return b"s" + _escaped(tag.encode())
    if isinstance(tag, bytes):
        return b"b" + _escaped(tag)
    if isinstance(tag, float):
        return b"f" + float.__repr__(tag + 0.0).encode()  # of the two zeros, one
    return b"i%d" % int(tag)


def _canonical(part: bytes) -> bytes:
    """The same for equal tags."""
    if part[:1] == b"f":
        number = float(part[1:])
        if number.is_integer():
            return b"i%d" % int(number)
    return part


def _parts(column: bytes) -> list[bytes]:
    if not column.endswith(END) or len(column) <= len(HEAD):
        raise ValueError("no tags of ours")
    return column[len(HEAD) : -len(END)].split(END)


def _whole(part: bytes) -> Any:
    letter, rest = part[:1], part[1:]
    if letter == b"s":
        return _unescaped(rest).decode()
    if letter == b"b":
        return _unescaped(rest)
    if letter == b"i" and INT64_MIN <= (number := int(rest)) <= INT64_MAX:
        return number
    if letter == b"f":
        return float(rest)
    raise ValueError("no tag of ours")


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def _unescaped(text: bytes) -> bytes:
    # A one is always the first of two bytes, so none of these is found across two pairs.
    return text.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")
