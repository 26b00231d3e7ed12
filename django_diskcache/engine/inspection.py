"""Looks into the shards for who runs a site: single entries, pages of keys, samples.

Nothing here changes, removes or unpickles anything, and nothing counts as an access. And
nothing scans a large table: each look is by an index, or at a bounded number of entries, and
says which. Up to `FEW` entries are looked at all; of more than that a random sample stands for
the rest.
"""

from __future__ import annotations

import heapq
import os
import random
import secrets
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from . import files, schema, tagging, tagsql
from .compression import codec_of
from .disk import INT64_MIN, MODE_SIGNED, PINNED, Disk, Place
from .fifo import MOST_HITS
from .integrity import MODES
from .ordering import after_prefix
from .policies import LAP, TICKS
from .previews import Preview, described, form_of, read_for_preview
from .store import Store

FEW = 3000  # entries that are looked at one and all
SAMPLE = 1000  # entries that stand for the others, of all shards together
RUN = 2  # neighbours at each random place; more would have the same tag all too often
FRONT = 32  # entries at the beginning of each shard


class Entry(NamedTuple):
    """An entry without its value; times are in seconds since the epoch, `size` in bytes."""

    shard: int
    id: int
    key: Any  # in its database form
    raw: int  # whether that is the key itself
    expire: float | None
    stored: float
    tag: Any  # as it stands in the row
    mode: int
    updates: int  # how often it was overwritten
    filename: str | None  # of its value, relative to the directory of the shard
    size: int

    @property
    def tags(self) -> tuple[Any, ...]:
        """Its tags; what is no tag of ours is one."""
        try:
            return tagging.all_of(self.tag)
        except ValueError:
            return (self.tag,)

    @property
    def pinned(self) -> bool:
        """Whether it is not evicted."""
        return bool(self.mode & PINNED)

    @property
    def form(self) -> int:
        """The mode without the seal, the mark of what is pinned, and the codec."""
        return form_of(self.mode)

    @property
    def codec(self) -> str | None:
        """What the value is compressed with: a name, '?' if it is not known, or None."""
        return codec_of(self.mode & MODES)


class Access(NamedTuple):
    """What the eviction policy knows of an entry's use: the last, or how many, or nothing."""

    last: float | None = None  # when it was read or stored last
    hits: int | None = None  # about how often it was read
    more: bool = False  # or more often: it is not counted further


class Sample(NamedTuple):
    """Entries that were looked at, and how many there are in the cache."""

    entries: list[Entry]
    total: int

    @property
    def whole(self) -> bool:
        """Whether every entry was looked at."""
        return len(self.entries) >= self.total

    @property
    def weight(self) -> float:
        """How many entries of the cache each of these stands for."""
        return max(1.0, self.total / len(self.entries)) if self.entries else 1.0


class Tag(NamedTuple):
    """A tag with how many entries and bytes of values have it."""

    tag: Any
    entries: int
    bytes: int


class Ranking(NamedTuple):
    """The first entries in some order; exact, or the first of those that were looked at."""

    entries: list[Entry]
    exact: bool


# One entry


def find(store: Store, place: Place) -> Entry | None:
    """The entry of a placed key, expired or not."""
    rows = store.database.run(schema.DETAILS_OF, place[:2])
    return Entry(store.number, *rows[0]) if rows else None


def path_of(store: Store, entry: Entry) -> str:
    """Where the value lies: the path of its file, or of the database."""
    if entry.filename is None:
        return store.path
    return os.path.join(store.directory, str(entry.filename))


def access(store: Store, entry: Entry) -> Access:
    """How the entry has been used, as far as the policy in force notes that."""
    policy = store.policy
    if not policy.tracks or not (entry.raw or type(store.disk).hash is Disk.hash):
        return Access()  # the second is a key that would have to be unpickled
    slot = store.slot(entry.key, entry.raw, None)
    field = store.segment.access[slot]
    if policy.name == "least-recently-used":
        now = store.clock()
        ago = (int(now * TICKS) - field) % LAP / TICKS
        return Access(last=now - ago) if field else Access()
    if policy.name == "least-frequently-used":
        return Access(hits=field)
    if policy.name == "s3-fifo":
        hits = field & MOST_HITS
        return Access(hits=hits, more=hits == MOST_HITS)
    return Access()  # what one of another's means only that knows


def preview(store: Store, entry: Entry) -> Preview:
    """The beginning of an entry's value, without unpickling anything."""
    length = read_for_preview(entry.mode)
    try:
        if entry.filename is not None:
            with files.opened(store.directory, entry.filename) as file:
                beginning: Any = file.read(length)
        else:
            rows = store.database.run(schema.BEGINNING, (length, entry.id))
            if not rows:
                return Preview("lost", "", True)
            ((beginning,),) = rows
    except OSError:
        return Preview("lost", "", True)
    signed = entry.form == MODE_SIGNED and entry.filename is None
    return described(store.disk, entry.mode, beginning, entry.size, signed)


# Keys in their order


def keys(
    stores: Sequence[Store], head: str, count: int, *, after: str = "", before: str = ""
) -> list[Entry]:
    """Up to `count` entries whose text keys begin with `head`, in the order of the keys.

    :param after: only keys that come after this one
    :param before: only keys that come before this one: the last of them
    """
    first = max(head, f"{after}\0") if after else head
    end = after_prefix(head)
    back = bool(before)
    if back:
        end = min(end, before) if type(end) is str else before
    sql = schema.DETAILS_BACK_BY_KEY if back else schema.DETAILS_BY_KEY
    pages = [_from(store, sql, first, end, count) for store in stores]
    # A text that is no UTF-8 comes as bytes, and is no key of ours.
    texts = ([entry for entry in page if type(entry.key) is str] for page in pages)
    merged = heapq.merge(*texts, key=lambda entry: entry.key, reverse=back)
    found = list(islice(merged, count))
    return found[::-1] if back else found


# All entries, or some that stand for them


def sample(stores: Sequence[Store], counts: Sequence[int]) -> Sample:
    """Every entry of a small cache, or some of a large one, at random.

    :param counts: how many entries each shard has
    """
    total = sum(counts)
    if total <= FEW:
        found = [_from(store, schema.DETAILS_FROM, INT64_MIN, FEW) for store in stores]
        entries = [entry for each in found for entry in each]
        return Sample(entries, len(entries))
    entries = []
    for store, count in zip(stores, counts, strict=True):
        entries += _some(store, max(RUN, SAMPLE * count // total))
    return Sample(entries, total)


def _some(store: Store, wanted: int) -> Iterable[Entry]:
    ((first, last),) = store.database.run(schema.ID_BOUNDS)
    if first is None:
        return ()
    runs = -(-wanted // RUN)
    starts = [random.randint(first, last) for _ in range(runs)]
    found = _from(store, schema.details_from_each(runs), *starts, RUN)
    return {entry.id: entry for entry in found}.values()


def _from(store: Store, sql: str, *values: Any) -> list[Entry]:
    return [Entry(store.number, *row) for row in store.database.run(sql, values)]


def largest(stores: Sequence[Store], looked_at: Sample, count: int) -> Ranking:
    """The entries with the largest values.

    Large values are in files, and of those there is an index: up to `FEW` of them are looked
    at all, in addition to the sample.
    """
    each = max(count, FEW // len(stores))
    exact = True
    found: list[tuple[int, int, int]] = []
    for store in stores:
        rows = store.database.run(schema.FILES_FROM, ("", each + 1))
        if len(rows) > each:  # their names are random, so this is as good as any other choice
            exact = False
            rows = store.database.run(schema.FILES_FROM, (secrets.token_hex(1), each)) or rows
        found += [(size, store.number, number) for number, size in rows]
    known = {(entry.shard, entry.id): entry for entry in looked_at.entries}
    for _, shard, number in heapq.nlargest(count, found):
        for entry in _from(stores[shard], schema.DETAILS_BY_ID, number):
            known[shard, number] = entry
    entries = heapq.nlargest(count, known.values(), key=lambda entry: entry.size)
    in_files = len(entries) == count and all(
        entry.filename is not None and entry.size >= stores[0].disk.min_file_size
        for entry in entries
    )
    return Ranking(entries, looked_at.whole or (exact and in_files))


def front(stores: Sequence[Store]) -> list[Entry]:
    """The first entries of each shard in order of insertion, up to `FRONT`."""
    return [
        entry
        for store in stores
        for entry in _from(store, schema.DETAILS_FROM, INT64_MIN, FRONT)
    ]


def oldest(front: Sequence[Entry], count: int) -> Ranking:
    """The entries that came into the cache first; to overwrite one does not make it newer.

    :param count: at most `FRONT`
    """
    # Of each shard the first by its own order; between shards the time of storing decides.
    return Ranking(heapq.nsmallest(count, front, key=lambda entry: entry.stored), True)


def soonest(looked_at: Sample, front: Sequence[Entry], now: float, count: int) -> Ranking:
    """The live entries that expire next, among those looked at.

    Where all live equally long these are at the `front`.
    """
    known = {(entry.shard, entry.id): entry for entry in (*looked_at.entries, *front)}
    due = [
        (entry.expire, entry)
        for entry in known.values()
        if entry.expire is not None and entry.expire > now
    ]
    chosen = heapq.nsmallest(count, due, key=lambda pair: pair[0])
    return Ranking([entry for _, entry in chosen], looked_at.whole)


def expired(looked_at: Sample, now: float) -> int:
    """How many entries have expired and are not yet removed; of a sample, about."""
    dead = sum(e.expire is not None and e.expire <= now for e in looked_at.entries)
    return round(dead * looked_at.weight)


def tags(looked_at: Sample, count: int) -> list[Tag]:
    """The tags with most entries; of a sample, about how many."""
    found: dict[tuple[type, Any], list[int]] = {}
    for entry in looked_at.entries:
        for tag in entry.tags:
            sums = found.setdefault((type(tag), tag), [0, 0])
            sums[0] += 1
            sums[1] += entry.size
    weight = looked_at.weight
    most = heapq.nlargest(count, found.items(), key=lambda item: item[1][0])
    return [
        Tag(tag, round(number * weight), round(size * weight))
        for (_, tag), (number, size) in most
    ]


def tagged(stores: Sequence[Store], tag: Any, most: int) -> int:
    """How many entries have this tag, counted up to `most`; by the index on tags."""
    needles = tagging.needles(tag)
    sql = tagsql.count_hinted(tagsql.has_tags((len(needles),)))
    number = 0
    for store in stores:
        if not tagging.several(tag):
            number += store.database.run(schema.TAGGED, (tag, most - number))[0][0]
        values = (tagging.mark(tag), *needles, most - number)
        number += store.database.run(sql, values)[0][0]
        if number >= most:
            break
    return number
