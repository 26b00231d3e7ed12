"""Compression: large values take less space, and less of them has to be read.

What is compressed is a text, bytes or something serialised, of at least `least` bytes, and only
where that saves an eighth of it: below that, a read would pay for nothing. Which codec it was
stands in bits 9 to 11 of the mode, so entries of all kinds lie side by side and the settings
may change at any time. Numbers are never compressed, for SQL adds to them.

What comes out of an entry is bounded, since a few bytes that somebody has put there could stand
for any number of them: what is longer than `MOST` is neither compressed nor expanded.

zstd is in Python's standard library from 3.14 on; before that it takes a package, as lz4 does.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

MOST = 2**26  # bytes of a value that is compressed
WORTH = 8  # what saves less than this fraction is stored as it is
SHIFT = 9  # of the codec's number in a mode
PACKED = 1 << SHIFT  # what is compressed has a mode from here on
CODECS_MASK = 7 << SHIFT
PLAIN = PACKED - 1  # the mode without its codec
LZMA_MEMORY = 2**27  # bytes; preset 9 takes half of that


class Missing(Exception):
    """A package that a codec needs is not installed."""


class Loaded(NamedTuple):
    """A codec that can be used: bytes and level to bytes, and back.

    `expand` raises anything for what it cannot expand, or would not end within `MOST` bytes.
    """

    compress: Callable[[bytes, int], bytes]
    expand: Callable[[bytes], bytes]


def _zlib() -> Loaded:
    def expand(data: bytes) -> bytes:
        expander = zlib.decompressobj()
        return _ended(expander.decompress(data, MOST), expander)

    return Loaded(zlib.compress, expand)


def _lzma() -> Loaded:
    import lzma  # some builds of Python lack it

    def compress(data: bytes, level: int) -> bytes:
        # Damage is told by the seal or the signature.
        return lzma.compress(data, check=lzma.CHECK_NONE, preset=level)

    def expand(data: bytes) -> bytes:
        expander = lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY)
        return _ended(expander.decompress(data, MOST), expander)

    return Loaded(compress, expand)


def _ended(data: bytes, expander: Any) -> bytes:
    if not expander.eof or expander.unused_data:
        raise ValueError("what is compressed has no end, or more behind it")
    return data


def _zstd() -> Loaded:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd

    def compress(data: bytes, level: int) -> bytes:
        return zstd.compress(data, level)  # type: ignore[no-any-return, unused-ignore]

    def expand(data: bytes) -> bytes:
        # One frame that says how long it is, as we write them: with the size known, it is
        # expanded at once, in half the time.
        size = zstd.get_frame_info(data).decompressed_size
        if size is None or size > MOST or zstd.get_frame_size(data) != len(data):
            raise ValueError("not one frame of a known size")
        return zstd.decompress(data)  # type: ignore[no-any-return, unused-ignore]

    return Loaded(compress, expand)


def _lz4() -> Loaded:
    from lz4 import block  # type: ignore[import-untyped, unused-ignore]

    # Blocks and no frames: those cost ten times as much for small values.

    def compress(data: bytes, level: int) -> bytes:
        if level == 0:
            return bytes(block.compress(data))
        return bytes(block.compress(data, mode="high_compression", compression=level))

    def expand(data: bytes) -> bytes:
        if int.from_bytes(data[:4], "little") > MOST:  # its size, which it is checked against
            raise ValueError("longer than what is compressed")
        return bytes(block.decompress(data))

    return Loaded(compress, expand)


class Codec(NamedTuple):
    """A codec by its name as a setting, and its number in a mode.

    `levels` are those that it takes, `level` the one that is taken where none is set. `package`
    is what has to be installed for it, by the extra of the same name.
    """

    name: str
    number: int
    levels: range
    level: int
    package: str
    load: Callable[[], Loaded]


CODECS = {
    codec.name: codec
    for codec in (
        Codec("zlib", 1, range(1, 10), 1, "", _zlib),
        Codec("lzma", 2, range(10), 0, "", _lzma),
        Codec("zstd", 3, range(1, 23), 3, "backports.zstd", _zstd),
        Codec("lz4", 4, range(13), 0, "lz4", _lz4),
    )
}
BY_NUMBER = {codec.number: codec for codec in CODECS.values()}


@lru_cache(None)
def loaded(codec: Codec) -> Loaded:
    """The codec's functions.

    :raises Missing: when a package is not installed; the text names it
    """
    try:
        return codec.load()
    except ImportError:
        if not codec.package:
            raise Missing(f"this Python was built without {codec.name}") from None
        raise Missing(
            f"the package {codec.package}, which is not installed: "
            f'pip install "django-diskcache[{codec.name}]"'
        ) from None


class Compressor:
    """What compresses new values.

    :param level: the codec's own if None
    :param least: bytes from which on values are compressed
    :raises Missing: when a package is not installed
    """

    def __init__(self, codec: Codec, level: int | None, least: int) -> None:
        self.bits = codec.number << SHIFT
        self.level = codec.level if level is None else level
        self.least = max(least, 1)
        self._compress = loaded(codec).compress

    def pack(self, mode: int, data: bytes) -> tuple[int, bytes]:
        """The mode and bytes to be stored of a value with these; others if it is worth it."""
        if self.least <= len(data) <= MOST:
            packed = self._compress(data, self.level)
            if len(packed) <= len(data) - len(data) // WORTH:
                return mode | self.bits, packed
        return mode, data


def compressor_of(settings: Mapping[str, Any], disk: type) -> Compressor | None:
    """What the settings compress with, or None.

    :param disk: the class of the Disk whose `store` is to do so
    :raises ValueError: for a level that the codec does not take, a package that is missing,
        and a Disk that takes its values apart by itself
    """
    name = settings["compression"]
    if name is None:
        return None
    codec, level = CODECS[name], settings["compression_level"]
    if level is not None and level not in codec.levels:
        raise ValueError(
            f"compression_level={level!r}: expected a whole number from {codec.levels[0]} to "
            f"{codec.levels[-1]} for compression={name!r}, or None for {codec.level}"
        )
    if why := _refusal(disk):
        raise ValueError(
            f"compression={name!r}: {disk.__name__} {why}; or leave the option out"
        )
    try:
        return Compressor(codec, level, settings["compression_min_size"])
    except Missing as why_not:
        raise ValueError(f"compression={name!r}: expected {why_not}") from None


def _refusal(disk: type) -> str:
    """Why values of this class of Disk are not compressed; empty if they are."""
    for cls in disk.__mro__:
        own = vars(cls)
        if "compresses" in own:
            return "" if own["compresses"] else "compresses by itself"
        if "store" in own or "fetch" in own:
            break
    return (
        "has a `store` or `fetch` of its own: set `compresses = True` in it if that keeps the "
        "mode which Disk.store returns"
    )


def codec_of(mode: int) -> str | None:
    """The name of the codec in a mode, '?' if it is not known; None for no compression."""
    number = (mode & CODECS_MASK) >> SHIFT
    if number == 0:
        return None
    return BY_NUMBER[number].name if number in BY_NUMBER else "?"


def expanded(mode: int, data: Any) -> bytes:
    """What was compressed, from its mode and bytes.

    :raises ValueError: when it cannot be, or not within `MOST` bytes
    :raises Missing: when a package is not installed
    """
    codec = BY_NUMBER.get((mode & CODECS_MASK) >> SHIFT)
    if codec is None or type(data) is not bytes:
        raise ValueError("it is compressed in no way that is known here")
    expand = loaded(codec).expand
    try:
        return expand(data)
    except Exception as error:  # each codec has exceptions of its own
        raise ValueError(f"no {codec.name}: {error}") from error
