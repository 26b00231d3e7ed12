"""The bytes of a cache on disk, and which part of `size_limit` is for what.

What counts is what ``du`` shows: databases with their free pages, logs and their indexes, value
files in whole blocks, the directories, the segment. A process that has written `step` bytes to
a shard looks at its database and log and leaves what it saw on the segment, where all others
find it; so a look costs two statements, whatever the number of shards. Value files are counted
there too, and before they are written: two processes that add theirs and then look at the sum
cannot both miss the other's.

Of the limit, `SLACK` is for what was written since somebody looked. The logs have a part, and a
small one is for free pages. The rest is for what is stored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import schema
from .segment import CELLS, FILES, FREE, LOG, PAGES

if TYPE_CHECKING:
    from .shard import Shard
    from .store import Store

BLOCK = 4096  # bytes in which a file system gives space away
NAME_BYTES = 64  # of a file's name in its directory
LOG_INDEX = 2**15  # bytes of the smallest index of a log
FRAME = 24  # bytes of a log beside each page in it

SLACK = 32  # one in so many bytes of the limit: written since somebody looked
MORE_SLACK = 2**19  # bytes beside, for the large values of a few writers; of a small limit less
SPARE = 64  # and for free pages: those that one shard has and another needs
DIRECTORIES = 64  # and at most for the directories of value files
MOST_DIRECTORIES = 256  # in a shard
STEPS = 512  # looks of all shards while the limit is written once
SHORTEST_STEP, LONGEST_STEP = 2**12, 2**14


def on_disk(size: int) -> int:
    """Bytes that a file of this size takes."""
    return -(-size // BLOCK) * BLOCK + NAME_BYTES


def directories(size_limit: int, shards: int) -> int:
    """How many directories of a shard value files are spread over: a power of two."""
    wanted = size_limit // DIRECTORIES // BLOCK // shards
    return 1 << min(max(wanted, 1).bit_length() - 1, MOST_DIRECTORIES.bit_length() - 1)


class Budget:
    """What the shards take, and what they may.

    :param settings: the engine's, read by `plan`
    """

    beside = 0  # bytes that are none of these: what the engine keeps in the directory

    def __init__(self, stores: Sequence[Store], settings: dict[str, Any]) -> None:
        self._stores = stores
        self._settings = settings
        self.plan()

    def plan(self) -> None:
        """Divide the limit; after every change of it, and of the segment."""
        limit = self._settings["size_limit"]
        shards = len(self._stores)
        self.segment = self._stores[0].segment
        spread = directories(limit, shards)
        self.limit: int = limit
        self.step = min(max(limit // STEPS // shards, SHORTEST_STEP), LONGEST_STEP)
        per_shard = LOG_INDEX + BLOCK * (spread + 1)
        self.fixed: int = self.segment.bytes + self.beside + BLOCK + shards * per_shard
        self.logs = sum(store.log_share for store in self._stores)
        slack = min(limit // SLACK + MORE_SLACK, limit // 8)
        self.most: int = limit - slack  # of all bytes
        self.full: int = self.most - self.logs - limit // SPARE  # of those in use, logs apart
        for store in self._stores:
            store.disk.directories = spread

    def look(self, store: Shard) -> None:
        """Note on the segment what a database and its log take now."""
        ((pages,),), ((free,),) = map(store.database.run, schema.PAGES)
        cells, cell = self.segment.cells, self.segment.cell
        cells[cell(PAGES, store.number)] = pages * store.page_size
        cells[cell(FREE, store.number)] = free * store.page_size
        cells[cell(LOG, store.number)] = log_bytes(store)

    def look_at_all(self) -> None:
        """`look` at each of them."""
        for store in self._stores:
            self.look(store)

    def of(self, kind: int, store: Shard) -> int:
        """Bytes of PAGES, FREE or LOG of a shard, as of the last look."""
        return self.segment.cells[self.segment.cell(kind, store.number)]

    def _sum(self, kind: int) -> int:
        return sum(self.segment.cells[kind::CELLS])

    def used(self) -> int:
        """Bytes in use: what is stored and cannot be used again, logs apart."""
        return self.fixed + self._sum(PAGES) - self._sum(FREE) + self.segment.whole(FILES)

    def taken(self) -> int:
        """Bytes on disk: those in use, free pages and logs."""
        return self.fixed + self._sum(PAGES) + self._sum(LOG) + self.segment.whole(FILES)


def log_bytes(store: Shard) -> int:
    """Bytes of a shard's log."""
    try:
        return os.stat(f"{store.path}-wal").st_size
    except OSError:
        return 0
