"""Bytes on disk as ``du`` shows them, in as many looks as there are shards.

The file system says of each file how many blocks it takes. Of value files, which may be a
million, nobody asks it: the segment has their sum, in whole blocks, with a little for what each
adds to its directory. Nor of the directories that they are in: how many there are shows in the
links of the shard's directory, and each is taken to be as large as that one, but no larger than
a block.

Collections in subdirectories are caches of their own, and not counted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from . import files
from .budget import BLOCK
from .segment import FILES, files_of

if TYPE_CHECKING:
    from .store import Store

UNIT = 512  # bytes, in which stat counts; whatever the file system does


def taken(path: str) -> int:
    """Bytes that a file or directory takes by itself; 0 if there is none."""
    try:
        return os.lstat(path).st_blocks * UNIT
    except OSError:
        return 0


def of_shard(directory: str, in_files: int) -> int:
    """Of a shard with all that is in its directory.

    :param in_files: bytes of its value files
    """
    total = in_files
    with suppress(OSError):
        status = os.lstat(directory)
        own = status.st_blocks * UNIT
        # A directory has a link from each in it, beside its own two; or one, where the file
        # system does not count.
        total += own + max(0, status.st_nlink - 2) * min(own, BLOCK)
    database = os.path.join(directory, files.DATABASE)
    return total + sum(taken(database + suffix) for suffix in ("", "-wal", "-shm"))


def beside(root: str, sharded: bool) -> int:
    """Of what is in a cache's directory and belongs to no shard.

    :param sharded: whether shards have directories of their own
    """
    total = taken(os.path.join(root, "segment")) + taken(os.path.join(root, "reserve"))
    quarantine = os.path.join(root, files.QUARANTINE)
    with suppress(OSError):
        total += sum(taken(entry.path) for entry in os.scandir(quarantine))
    return total + (taken(root) + taken(quarantine) if sharded else 0)


def of_store(store: Store) -> int:
    """`of_shard` of one that is open."""
    return of_shard(store.directory, store.segment.total(FILES, store.number))


def beside_stores(stores: Sequence[Store]) -> int:
    """`beside` of those that are open: all of a cache."""
    root = os.path.dirname(stores[0].segment.path)
    return beside(root, stores[0].directory != root)


def of_cache(root: str, shards: int) -> int:
    """Of a cache that is not open, whose shards have directories of their own."""
    in_files = files_of(os.path.join(root, "segment"))
    directories = (os.path.join(root, f"{number:03d}") for number in range(shards))
    return beside(root, True) + in_files + sum(of_shard(each, 0) for each in directories)
