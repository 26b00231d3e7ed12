"""What a stored value says to who looks at it: its kind, and the beginning of it as a text.

Nothing is unpickled: of a pickle the opcodes are shown, and what is packed is unpacked no
further than what is shown of it.
"""

from __future__ import annotations

import io
import pickletools
import zlib
from typing import Any, NamedTuple

from .compression import PLAIN, Missing, codec_of, expanded
from .disk import (
    MODE_BINARY,
    MODE_PICKLE,
    MODE_RAW,
    MODE_SIGNED,
    MODE_TEXT,
    PINNED,
    Disk,
    JSONDisk,
)
from .integrity import MODES
from .serializers import MODE_JSON, MODE_MSGPACK
from .signing import LENGTH

BEGINNING = 4096  # bytes of a value that are read for a preview
MOST_PACKED = 2**18  # bytes of a compressed value that are: all of it, or nothing
SHOWN = 1000  # characters of them that are shown
MOST_STEPS = 60  # opcodes of a pickle that are shown
# Opcodes that say nothing of what is in a pickle.
PLUMBING = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"}
PLUMBING |= {"BINGET", "LONG_BINGET", "GET"}
# What a value of these modes is shown as; None is what it is in the database.
KINDS = {
    MODE_RAW: None,
    MODE_BINARY: None,
    MODE_TEXT: None,
    MODE_JSON: "json",
    MODE_MSGPACK: "msgpack",
}


class Preview(NamedTuple):
    """The beginning of a value: what `kind` it is, and `text` to show.

    Kinds are text, number, bytes, json, msgpack, pickle, lost (its file is gone) and unknown.
    """

    kind: str
    text: str
    whole: bool


def form_of(mode: int) -> int:
    """A mode without the seal, the mark of what is pinned, and the codec."""
    return mode & MODES & PLAIN & ~PINNED


def read_for_preview(mode: int) -> int:
    """Bytes of a stored value that are read for `described`."""
    return BEGINNING + LENGTH if codec_of(mode & MODES) is None else MOST_PACKED


def described(disk: Disk, mode: int, beginning: Any, size: int, signed: bool) -> Preview:
    """What the beginning of a stored value says, without unpickling anything.

    :param size: bytes of the whole
    :param signed: whether a signature stands before it
    """
    form = form_of(mode)
    length = read_for_preview(mode)
    if isinstance(disk, JSONDisk) and isinstance(beginning, bytes):
        return _unpacked(beginning)
    if signed and isinstance(beginning, bytes):
        beginning = beginning[LENGTH:]
    if codec_of(mode & MODES) is not None:
        try:
            beginning = expanded(mode, beginning)
        except (ValueError, Missing):  # too long to be read whole, perhaps
            return Preview("unknown", "", False)
        size, beginning = len(beginning), beginning[:BEGINNING]
    if form in (MODE_PICKLE, MODE_SIGNED) and isinstance(beginning, bytes):
        return _outline(beginning, size <= len(beginning) + LENGTH)
    if form in (MODE_TEXT, MODE_JSON) and isinstance(beginning, bytes):
        beginning = beginning.decode(errors="replace")
    if form not in KINDS:
        return Preview("unknown", repr(beginning)[:SHOWN], False)
    if isinstance(beginning, str):
        whole = len(beginning) <= SHOWN and size <= length
        return Preview(KINDS[form] or "text", beginning[:SHOWN], whole)
    if isinstance(beginning, bytes):
        shown = beginning[: SHOWN // 4]
        whole = len(shown) == size
        return Preview(KINDS[form] or "bytes", shown.hex(" "), whole)
    return Preview("number", repr(beginning), True)


def _unpacked(data: bytes) -> Preview:
    """JSON as `JSONDisk` packs it; however much it would unpack to."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, BEGINNING).decode(errors="replace")
    except zlib.error:
        return Preview("unknown", "", False)
    return Preview("json", text[:SHOWN], len(text) <= SHOWN and unpacker.eof)


def _outline(data: bytes, complete: bool) -> Preview:
    """The opcodes of a pickle with their arguments, one a line. They are not executed."""
    lines: list[str] = []
    whole = complete
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name in PLUMBING:
                continue
            if len(lines) == MOST_STEPS:
                whole = False
                break
            lines.append(opcode.name if argument is None else f"{opcode.name} {argument!r:.80}")
    except Exception:  # it ends here because only the beginning was read, or it is no pickle
        whole = False
    return Preview("pickle", "\n".join(lines), whole)
