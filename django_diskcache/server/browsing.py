"""Looks at single entries and pages of keys on a server, for who runs a site.

Nothing here changes, removes or unpickles anything, and nothing counts as a hit or a miss of
the cache. To the server a look is a use of the entry. Keys have no order there: a page goes on
where the server's own cursor was, and looks at a bounded number of names. What is stored or
removed meanwhile may be missing or come twice.
"""

from __future__ import annotations

import struct
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

from ..engine.compression import codec_of
from ..engine.disk import GARBAGE, MODE_RAW, MODE_SIGNED
from ..engine.errors import Fault, Foreign
from ..engine.integrity import MODES
from ..engine.patterns import Pattern
from ..engine.previews import Preview, described, form_of, read_for_preview
from ..engine.together import at_once
from . import envelope
from .board import BUCKETS
from .names import PAGE, escaped
from .node import Node
from .remote import Remote
from .scripts import LOOK

MOST = 20_000  # names that one page looks at
SECONDS = 1.0  # that it may take


class Entry(NamedTuple):
    """An entry without its value; times are in seconds since the epoch, sizes in bytes.

    :param name: on the server
    :param size: of the value as it is stored
    :param memory: that the server needs for it; None where it does not say
    :param idle: seconds since it was used last; None where the server counts uses
    :param uses: a counter that grows ever more slowly, at most 255; None where there is none
    """

    key: str
    name: bytes
    where: str
    size: int
    expire: float | None
    tags: Sequence[Any]
    kind: int
    mode: int
    memory: int | None
    idle: int | None
    uses: int | None
    stored: None = None  # the server does not know
    raw: bool = True

    @property
    def codec(self) -> str | None:
        """What the value is compressed with, as in `engine.inspection`."""
        return codec_of(self.mode & MODES) if self.kind == envelope.MADE else None


class Place(NamedTuple):
    """Where the next page begins: a source, the server's cursor, the last name there."""

    source: int
    cursor: int
    last: bytes

    @property
    def token(self) -> str:
        """As it stands in an address."""
        return f"{self.source}.{self.cursor}.{self.last.hex()}"

    @classmethod
    def read(cls, token: str) -> Place | None:
        """What `token` made this of; None for what is none."""
        try:
            source, cursor, last = token.split(".")
            found = cls(int(source), int(cursor), bytes.fromhex(last))
        except ValueError:
            return None
        return found if 0 <= found.source < 2**32 and 0 <= found.cursor < 2**64 else None


class Page(NamedTuple):
    """Some entries.

    :param next: where there may be more, if anywhere
    :param looked: how many names were looked at, about
    :param away: servers that did not answer, whose keys are missing
    """

    entries: list[Entry]
    next: Place | None
    looked: int
    away: list[Fault]


# A step of a scan from a cursor: the next cursor, names, how many were looked at.
Step: TypeAlias = "Callable[[int], tuple[int, list[bytes], int]]"


# One entry


def find(remote: Remote, key: str) -> tuple[Entry, Preview] | None:
    """The entry of a key, and the beginning of its value.

    :raises Fault: when the server does not answer
    """
    entry, value = _asked(remote, key, read_for_preview(0))
    if entry is not None and entry.codec is not None:
        entry, value = _asked(remote, key, read_for_preview(entry.mode))
    return None if entry is None else (entry, _preview(remote, entry, value))


def _asked(remote: Remote, key: str, length: int) -> tuple[Entry | None, bytes]:
    name, number, _ = remote.place(key)
    bucket = number & 255
    reply = remote.link.moving(bucket, "rerun", LOOK, (name,), b"%d" % length)
    where = remote.link.at(bucket).name
    found = _entry(remote, name, where, reply)
    return (None, b"") if found is None else (found, reply[3])


def _entry(remote: Remote, name: bytes, where: str, reply: Any) -> Entry | None:
    """What was found under a name; None for what is gone, or is none of ours."""
    if not isinstance(reply, list):
        return None
    left, size, head, _, idle, uses, memory = reply
    try:
        key = remote.key_of(name)
        kind, mode = envelope.kind_of(head)
        tags = envelope.tags_of(head)
    except (Foreign, *GARBAGE, struct.error):
        return None
    if type(key) is not str:
        return None
    return Entry(
        key,
        name,
        where,
        max(0, size - len(head)),
        remote.clock() + left / 1000 if left >= 0 else None,
        tuple(tags),
        kind,
        mode,
        _known(memory),
        _known(idle),
        _known(uses),
    )


def _known(number: int) -> int | None:
    return number if number >= 0 else None


def _preview(remote: Remote, entry: Entry, value: bytes) -> Preview:
    found: Any = value
    mode = MODE_RAW
    if entry.kind == envelope.MADE:
        mode = entry.mode
    elif entry.kind in (envelope.TEXT, envelope.INTEGER):
        found = value.decode(errors="replace")
        if entry.kind == envelope.INTEGER and found.lstrip("-").isdecimal():
            return Preview("number", found, True)
    elif entry.kind == envelope.FLOAT and len(value) == 8:
        (found,) = struct.unpack("<d", value)
    elif entry.kind != envelope.BYTES:
        return Preview("unknown", "", False)
    signed = form_of(mode) == MODE_SIGNED
    return described(remote.disk, mode, found, entry.size, signed)


# Pages of keys


def by_pattern(remote: Remote, pattern: Pattern, after: Place | None, most: int) -> Page:
    """Up to `most` entries whose text keys are like a pattern.

    :raises Fault: when it is not known which servers there are
    """
    glob = remote.any_text + escaped(pattern.head.encode(errors="replace")) + b"*"
    nodes = {crc32(node.name.encode()): node for node in remote.link.nodes()}
    steps = {number: _scanning(nodes[number], glob) for number in sorted(nodes)}
    return _page(remote, steps, after, most, pattern)


def _scanning(node: Node, glob: bytes) -> Step:
    def step(cursor: int) -> tuple[int, list[bytes], int]:
        found = node.ask(b"SCAN", b"%d" % cursor, b"MATCH", glob, b"COUNT", b"%d" % PAGE)
        return int(found[0]), found[1], PAGE

    return step


def by_tag(remote: Remote, tag: Any, pattern: Pattern, after: Place | None, most: int) -> Page:
    """Up to `most` entries that have a tag, and whose text keys are like a pattern.

    :raises Fault: when it is not known which servers there are
    :raises TypeError, ValueError: for what is no tag
    """
    name = envelope.tag_name(tag)
    hinted, away = _hinted(remote, name)
    steps = {bucket: _hints(remote, bucket, name) for bucket in sorted(hinted)}

    page = _page(remote, steps, after, most, pattern, name)
    return page._replace(away=[*away, *page.away])


def _hints(remote: Remote, bucket: int, name: bytes) -> Step:
    def step(cursor: int) -> tuple[int, list[bytes], int]:
        command = b"SSCAN", remote.hints(bucket, name), b"%d" % cursor, b"COUNT", b"%d" % PAGE
        found = remote.link.moving(bucket, "browse", *command)
        return int(found[0]), found[1], len(found[1])

    return step


def tagged(remote: Remote, tag: Any) -> int:
    """How many entries have a tag, or had it and are gone: about, and at least as many.

    :raises Fault: when a server does not answer
    """
    hinted, away = _hinted(remote, envelope.tag_name(tag))
    if away:
        raise away[0]
    return sum(hinted.values())


def _hinted(remote: Remote, name: bytes) -> tuple[dict[int, int], list[Fault]]:
    """How many hints of a tag there are in those buckets that have some."""
    found: dict[int, int] = {}
    away = []
    parts = remote.link.each(range(BUCKETS))

    def ask(node: Node) -> list[Any] | Fault:
        try:
            return node.browse_many([(b"SCARD", remote.hints(n, name)) for n in parts[node]])
        except Fault as error:
            return error

    answers = at_once([partial(ask, node) for node in parts])
    for buckets, replies in zip(parts.values(), answers, strict=True):
        if isinstance(replies, Fault):
            away.append(replies)
            continue
        for bucket, reply in zip(buckets, replies, strict=True):
            if isinstance(reply, int) and reply:
                found[bucket] = reply
    return found, away


def _page(
    remote: Remote,
    sources: dict[int, Step],
    after: Place | None,
    most: int,
    pattern: Pattern,
    tag: bytes | None = None,
) -> Page:
    def likely(name: bytes) -> bool:
        """Whether it may be wanted, as far as its name tells."""
        if name[:body] not in heads or not name.startswith(beginning, body):
            return False
        return pattern.open or pattern.matches(name[body:].decode(errors="replace"))

    def wanted(entry: Entry) -> bool:
        return tag is None or tag in map(envelope.tag_name, entry.tags)

    page = Page([], None, 0, [])
    end = time.monotonic() + SECONDS
    numbers = list(sources)
    begin = 0 if after is None else bisect_left(numbers, after.source)
    heads = frozenset(remote.text_heads)
    beginning = pattern.head.encode(errors="replace")
    body = len(remote.text_heads[0])
    for place, number in enumerate(numbers[begin:], begin):
        cursor, last = 0, b""
        if after is not None and number == after.source:
            cursor, last = after.cursor, after.last
        while True:
            if page.looked >= MOST or time.monotonic() > end:
                return page._replace(next=Place(number, cursor, last))
            try:
                following, names, looked = sources[number](cursor)
                rest = sorted({name for name in names if name > last and likely(name)})
                page = page._replace(looked=page.looked + looked)
                while rest and len(page.entries) < most:
                    some = rest[: most - len(page.entries)]
                    del rest[: len(some)]
                    page.entries.extend(filter(wanted, _looks(remote, some)))
                    last = some[-1]
            except Fault as error:
                page.away.append(error)
                break
            if rest:
                return page._replace(next=Place(number, cursor, last))
            cursor, last = following, b""
            if len(page.entries) == most and cursor:
                return page._replace(next=Place(number, cursor, last))
            if not cursor:
                break
        if len(page.entries) == most:
            more = numbers[place + 1 :]
            return page._replace(next=Place(more[0], 0, b"") if more else None)
    return page


def _looks(remote: Remote, names: Sequence[bytes]) -> Iterator[Entry]:
    """The entries with these names that are there."""
    body = len(remote.text_heads[0])
    buckets = [int(name[body - 4 : body - 2], 16) for name in names]
    found: dict[int, Entry] = {}
    for node, places in remote.link.each(buckets).items():
        calls = [((names[place],), (b"0",)) for place in places]
        replies = node.run_many(LOOK, calls, untold=True)
        for place, reply in zip(places, replies, strict=True):
            entry = _entry(remote, names[place], node.name, reply)
            if entry is not None:
                found[place] = entry
    return (found[place] for place in sorted(found))
