"""Relief: how entries are removed from a cache on a full disk.

To remove a row takes space: SQLite writes the pages that change to its log first. So a cache
has a *reserve*, a file of zeros that is given up when a removal finds the disk full. Then the
logs are moved into the databases and truncated, and the removal is tried again. A cache that
may evict has a last resort, since a key that was deleted must not be found again: the shard is
dropped, with all that is in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from . import files, healing, maintenance
from .errors import Fault
from .faults import FAULTS, named
from .locking import BRIEFLY, directory_lock
from .store import Store

T = TypeVar("T")

NAME = "reserve"
FEWEST = 2**17  # bytes
VACUUM = 64  # pages given back with each removal
SHARE = 16  # of what is free on the disk, it takes at most this fraction


class Reserve:
    """The file in the cache's directory.

    :param size: bytes; as much as the log of one shard, for a checkpoint may make its database
        larger by that before it can truncate the log
    """

    def __init__(self, directory: str, size: int) -> None:
        self.path = os.path.join(directory, NAME)
        self.given_up = False  # the disk is full, or was a second ago
        self.size = max(size, FEWEST)

    def keep(self) -> None:
        """Have it, if there is space for it: a small part of what is free."""
        with suppress(OSError):
            self.given_up = not os.path.exists(self.path)
            if not self.given_up:
                return
            disk = os.statvfs(os.path.dirname(self.path))
            size = min(self.size, disk.f_bavail * disk.f_frsize // SHARE)
            if size < FEWEST:
                return
            descriptor = os.open(self.path, files.WRITE, 0o600)
            try:
                os.fchmod(descriptor, files.ONLY_OURS)  # whatever the umask
                os.posix_fallocate(descriptor, 0, size)
                self.given_up = False
            except (AttributeError, OSError):
                os.remove(self.path)  # half of one is of no use
            finally:
                os.close(descriptor)

    @property
    def taken(self) -> int:
        """Bytes that it takes."""
        try:
            return os.stat(self.path).st_size
        except OSError:
            return 0

    def give_up(self) -> None:
        """Free its space."""
        self.given_up = True
        with suppress(OSError):
            os.remove(self.path)


def removing(
    reserve: Reserve,
    stores: Iterable[Store],
    store: Store,
    root: str,
    remove: Callable[[], T],
    settle: Callable[[], object],
) -> T:
    """What `remove` returns, which takes entries from `store`, on a full disk as well.

    :param root: the cache's directory
    :param settle: is called when the shard was dropped, for what its new file has to have
    :raises Fault: when there is no space for it at all
    """
    try:
        result = remove()
        if reserve.given_up:
            _give_back(store)
        return result
    except Fault as fault:
        if fault.kind != "full" or store.database.current() is not None:
            raise
    reserve.give_up()
    # What it frees is for this first: a checkpoint would take all of it to make the database
    # larger, and may still not be done.
    try:
        return remove()
    except Fault as fault:
        if fault.kind != "full":
            raise
    for each in (store, *(other for other in stores if other is not store)):
        with suppress(*FAULTS):
            maintenance.checkpoint(each)
    try:
        return remove()
    except Fault as fault:
        if fault.kind != "full" or not store.policy.evicts:
            raise
        drop_shard(store, root, fault)
        with suppress(*FAULTS):
            settle()
        return remove()


def _give_back(store: Store) -> None:
    """Give the disk what was removed: there is nothing else to store anything in."""
    if store.database.current() is not None:
        return
    with suppress(*FAULTS):
        maintenance.checkpoint(store)
        maintenance.vacuum(store, VACUUM)
        maintenance.checkpoint(store)


def drop_shard(store: Store, root: str, fault: Fault) -> None:
    """Begin the shard anew, whatever is in it.

    :raises Fault: when there is no space even for an empty one
    :raises Timeout: when another process has been changing the directory for too long
    """
    with named(root), directory_lock(root, BRIEFLY):
        if store.database.renewed(fault.epoch):
            return  # another has done it
        for name in files.names(store.directory):
            files.remove(store.directory, name)
        store.database.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                os.remove(store.path + suffix)
        store.create()
        healing.renew(store, store.segment)
    text = "%s. There is no space left to remove entries one by one: the shard was dropped, "
    store.says.error("dropped", text + "with all its entries.", fault)
