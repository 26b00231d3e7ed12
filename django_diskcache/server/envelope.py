"""How an entry lies on the server: one string, of a small header, its tags and its value.

The header has a fixed form, little-endian, which scripts on the server read as well:

====== ======= ======================================================================
offset size    what
====== ======= ======================================================================
0      1       version of this form
1      1       kind: of a value that is what it is, or one that a `Disk` has made; in its
               upper half the number of the codec, where that is compressed
2      1       mode of the `Disk`, where it has
3      8       when it ends, seconds since the epoch as a double; infinity is never
11     2       bytes of the tags that follow
====== ======= ======================================================================

A tag is two bytes of length and its name. What is left is the value: UTF-8, bytes, a number in
decimal digits, a double, or a signature of 16 bytes and a pickle.

The server removes an entry by its own clock. The end in the header is for whoever asks when it
is, and for the near cache.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import inf
from typing import Any, Final, TypeAlias

from ..engine.compression import CODECS_MASK, SHIFT, Missing, expanded
from ..engine.copies import UNCHANGEABLE
from ..engine.disk import (
    GARBAGE,
    INT64_MAX,
    INT64_MIN,
    LOADS,
    MODE_BINARY,
    MODE_PICKLE,
    MODE_RAW,
    MODE_SIGNED,
    MODE_TEXT,
    Disk,
    chunks_of,
    is_text,
    key_bytes,
)
from ..engine.errors import Foreign, Unavailable, Unreadable
from ..engine.signing import LENGTH, Secrets, Signer
from ..engine.tagging import distinct
from ..engine.trust import EXPANDED, is_native, signed_mode

VERSION: Final = 1
HEAD: Final = struct.Struct("<BBBdH")
HEAD_SIZE: Final = HEAD.size
_unpack = HEAD.unpack_from
loads_pickle = LOADS[MODE_PICKLE]
_DOUBLE: Final = struct.Struct("<d")
END: Final = _DOUBLE  # of an entry, in its header
_LENGTH: Final = struct.Struct("<H")

# Kinds.
MADE, TEXT, BYTES, INTEGER, FLOAT = range(5)
PACKED: Final = 16  # what is compressed has a kind from here on

MOST_TAG_BYTES: Final = 2**16 - 1  # of all tags of an entry
MOST_NAME_BYTES: Final = MOST_TAG_BYTES // 4
# Names of tags of different types differ, but 1, 1.0 and True are one tag.
_TAG_TEXT, _TAG_NUMBER, _TAG_BYTES = b"t", b"n", b"b"

Key: TypeAlias = "tuple[Any, bool]"  # in its database form, and whether that is the key itself
Decoded: TypeAlias = "tuple[Any, float, Any, Any]"


class Codec:
    """Values to what the server keeps, and back.

    :param disk: what makes bytes of a value
    :param secrets: what is unpickled must be signed with one of these, if there are any
    :param name: of the cache on the server; a signature holds for no other
    """

    def __init__(self, disk: Disk, secrets: Secrets, name: str) -> None:
        self.disk = disk
        self.name = name
        identity = blake2b(name.encode(), digest_size=16).digest()
        self.signer = Signer(secrets, identity) if secrets else None
        self._native = is_native(disk)
        compressor = disk.compressor
        self._least = inf if compressor is None else compressor.least  # bytes to be compressed
        # Of a signed pickle that needs nothing else.
        plain = self._native and disk.pickles and self.signer is not None
        self._verify = self.signer.verify if plain and self.signer is not None else None
        self._sign = self.signer.sign if self._native and self.signer is not None else None

    def encode(self, value: Any, read: bool, key: Key, due: float, tags: bytes) -> bytes:
        """What is kept of a value.

        :param read: `value` is a binary file, or bytes
        :param due: when it ends, seconds since the epoch; infinity is never
        :param tags: as `tag_bytes` made them
        """
        kind = type(value)
        mode = 0
        body: bytes
        if (
            kind is str
            and not read
            and self._native
            and len(value) < self._least
            and is_text(value)
        ):
            kind_byte, body = TEXT, value.encode()
        elif read:
            kind_byte, body = BYTES, b"".join(chunks_of(value))
        else:
            _, mode, _, stored = self.disk.store(value, False, key=key[0])
            if mode == MODE_PICKLE and self._sign is not None:  # the common one, at less cost
                head = HEAD.pack(VERSION, MADE, MODE_SIGNED, due, len(tags))
                signature = self._sign(key[0], key[1], MODE_SIGNED, stored)
                return b"".join((head, tags, signature, stored))
            if mode != MODE_RAW:
                packed = mode & CODECS_MASK if self._least < inf else 0
                kind_byte, mode = packed >> SHIFT << 4, mode - packed
                body = bytes(stored)
                if mode == MODE_PICKLE and self.signer is not None:
                    mode = MODE_SIGNED
                    body = self.signer.sign(key[0], key[1], signed_mode(packed), body) + body
            elif type(stored) is bytes:
                kind_byte, body = BYTES, stored
            elif type(stored) is int:
                kind_byte, body = INTEGER, b"%d" % stored
            elif type(stored) is float:
                kind_byte, body = FLOAT, _DOUBLE.pack(stored)
            else:  # by a Disk of one's own
                kind_byte, body = TEXT, stored.encode()
        return HEAD.pack(VERSION, kind_byte, mode, due, len(tags)) + tags + body

    def decode(self, data: bytes, key: Key) -> Decoded:
        """(value, when it ends, what to remember of it, what loads that for each reader).

        The last is None for a value that nobody can change.

        :raises Foreign: when it would have to be unpickled and is not signed, or is not ours
        :raises Unavailable: when it is compressed in a way that nothing here can read
        """
        try:
            version, kind, mode, due, length = _unpack(data)
            if version != VERSION:
                raise Unreadable
            start = HEAD_SIZE + length
            if kind == MADE:
                if mode != MODE_SIGNED or self._verify is None:
                    return self._made(data[start:], mode, due, key)
                # The common one, at less cost.
                body = data[start + LENGTH :]
                signature = data[start : start + LENGTH]
                if not self._verify(signature, key[0], key[1], MODE_SIGNED, body):
                    raise Foreign
                value = loads_pickle(body)
                if type(value) in UNCHANGEABLE:
                    return value, due, value, None
                return value, due, body, loads_pickle
            body = data[start:]
            if kind >= PACKED:
                return self._expanded(body, kind >> 4 << SHIFT, mode, due, key)
            if kind == TEXT:
                value = body.decode()
            elif kind == BYTES:
                value = body
            elif kind == INTEGER:
                value = int(body)
            elif kind == FLOAT:
                (value,) = _DOUBLE.unpack(body)
            else:
                raise Unreadable
            if not self._native:
                return self._fetched(MODE_RAW, value, due)
            return value, due, value, None
        except GARBAGE as error:
            raise Unreadable from error

    def _made(self, body: bytes, mode: int, due: float, key: Key) -> Decoded:
        return self._fetched(*self._verified(body, mode, key), due)

    def _verified(self, body: bytes, mode: int, key: Key, packed: int = 0) -> tuple[int, bytes]:
        """The mode as the `Disk` has it, and the body without a signature.

        :param packed: the bits of the codec in a mode
        """
        if mode in (MODE_PICKLE, MODE_SIGNED) and not self.disk.pickles:
            raise Foreign
        if mode == MODE_SIGNED:
            signature, body = body[:LENGTH], body[LENGTH:]
            mode = MODE_PICKLE
            if self.signer is not None and not self.signer.verify(
                signature, key[0], key[1], signed_mode(packed), body
            ):
                raise Foreign
        elif mode == MODE_PICKLE and self.signer is not None:
            raise Foreign
        return mode, body

    def _expanded(self, body: bytes, packed: int, mode: int, due: float, key: Key) -> Decoded:
        """What is compressed is verified first."""
        mode, body = self._verified(body, mode, key, packed)
        try:
            data = expanded(packed, body)
        except Missing as why:  # nothing is wrong with the entry, so it stays
            what = f"there are values that cannot be read without {why}"
            raise Unavailable("other", self.name, what) from why
        if mode == MODE_TEXT:
            return self._fetched(MODE_RAW, data.decode(), due)
        if mode not in EXPANDED:
            raise Unreadable
        return self._fetched(MODE_RAW if mode == MODE_BINARY else mode, data, due)

    def _fetched(self, mode: int, body: Any, due: float) -> Decoded:
        disk = self.disk
        value = disk.fetch(mode, None, body, False)
        if type(value) in UNCHANGEABLE:
            return value, due, value, None
        loads = LOADS.get(mode) if self._native else None
        return value, due, body, loads or (lambda stored: disk.fetch(mode, None, stored, False))


def opened(value: Any) -> Any:
    """A value where an open file was asked for: bytes are one, anything else is not."""
    return io.BytesIO(value) if type(value) is bytes else value


def integer_head(due: float = inf) -> bytes:
    """The header of an untagged number, to which a script adds the digits."""
    return HEAD.pack(VERSION, INTEGER, 0, due, 0)


def is_counted(value: Any) -> bool:
    """Whether a value is kept in digits, to which a script can add."""
    return type(value) is int and INT64_MIN <= value <= INT64_MAX


def tag_names(tag: Any) -> Sequence[bytes]:
    """The names on the server of what is given as ``tag=``: one tag or several, each once.

    :raises TypeError: for what is no tag
    :raises ValueError: for NaN, a text that UTF-8 cannot say, and one that is too long
    :raises OverflowError: for a whole number of more than 64 bits
    """
    if type(tag) is str and tag.isascii():  # the common one, at less cost
        return (tag_name(tag),)
    return tuple(map(tag_name, distinct(tag)))


def tag_name(tag: Any) -> bytes:
    """The name of one tag, which is one; tags that are equal have the same.

    :raises ValueError: for one that is too long
    """
    if isinstance(tag, str):
        name = _TAG_TEXT + tag.encode()
    elif isinstance(tag, bytes):
        name = _TAG_BYTES + tag
    else:
        name = _TAG_NUMBER + key_bytes(int(tag) if isinstance(tag, int) else float(tag))
    if len(name) > MOST_NAME_BYTES:
        size, most = len(name) - 1, MOST_NAME_BYTES - 1  # of what the caller gave
        raise ValueError(f"a tag of {size} bytes: expected at most {most}")
    return name


def tag_bytes(names: Iterable[bytes]) -> bytes:
    """The tags of a header.

    :raises ValueError: when there are too many
    """
    data = b"".join(_LENGTH.pack(len(name)) + name for name in names)
    if len(data) > MOST_TAG_BYTES:
        raise ValueError(f"tags of {len(data)} bytes: expected at most {MOST_TAG_BYTES}")
    return data


def kind_of(head: bytes) -> tuple[int, int]:
    """The kind of an entry without its codec, and the mode with it as files have that.

    :raises struct.error: when there is no header
    """
    _, kind, mode, _, _ = HEAD.unpack_from(head)
    return kind % PACKED, mode | kind // PACKED << SHIFT


def end_of(data: bytes) -> float | None:
    """When an entry ends, by its header; infinity is never, None for what is none of ours."""
    if len(data) < HEAD.size:
        return None
    version, _, _, due, _ = HEAD.unpack_from(data)
    return due if version == VERSION and due == due else None


def tags_of(data: bytes) -> list[Any]:
    """The tags of an entry.

    :raises Unreadable: when it is none of ours
    """
    try:
        version, _, _, _, length = HEAD.unpack_from(data)
        if version != VERSION:
            raise Unreadable
        found = []
        place, end = HEAD.size, HEAD.size + length
        while place < end:
            (size,) = _LENGTH.unpack_from(data, place)
            found.append(_tag(data[place + 2 : place + 2 + size]))
            place += 2 + size
    except GARBAGE as error:
        raise Unreadable from error
    return found


def tag_of(data: bytes) -> Any:
    """The tag of an entry, which is None, one, or several in a tuple, as it was given.

    :raises Unreadable: when it is none of ours
    """
    tags = tags_of(data)
    return tuple(tags) if len(tags) > 1 else (tags or (None,))[0]


def _tag(name: bytes) -> Any:
    kind, rest = name[:1], name[1:]
    if kind == _TAG_TEXT:
        return rest.decode()
    if kind == _TAG_BYTES:
        return rest
    if len(rest) == 8:
        return int.from_bytes(rest, "big", signed=True)
    if len(rest) == 9:
        return struct.unpack("!dx", rest)[0]
    raise ValueError("no tag of ours")
