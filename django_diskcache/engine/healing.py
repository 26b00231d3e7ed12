"""Healing: a shard whose database is damaged is put aside and begun anew, empty.

This happens once for each incident, under the directory's lock: the first process that finds
the damage renames the files, makes new ones, and changes the shard's generation on the segment.
All others see that at their next look and open the new file. What they remember of the shard
is invalid from then on, because its slots are stamped after the generation has changed: a look
that notes such a stamp goes to the new file.

The files that were put aside are kept for whoever wants to know what happened, as long as they
are few and small: they take space that the cache could use.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import suppress

from . import files
from .errors import Fault
from .faults import KINDS, named
from .locking import BRIEFLY, directory_lock
from .segment import FAULT_COUNTS, Segment
from .store import Store

KEPT = 2  # damaged databases that stay in it
SHARE = 16  # they take at most this fraction of the size limit


def count_fault(segment: Segment, shard: int, kind: str) -> None:
    """One more of this kind."""
    segment.add(FAULT_COUNTS + KINDS.index(kind), shard, 1)


def create(store: Store, root: str, limit: int) -> None:
    """Make the shard's file, or put aside what is damaged in its place.

    The caller holds the lock of the cache's directory `root`.

    :param limit: the size limit, bytes
    :raises Fault: when neither is possible
    """
    try:
        store.create()
    except Fault as fault:
        if fault.kind != "corrupt":
            raise
        orphans = _begin_anew(store, root, limit, fault)
        store.damage = fault.to_keep()
        count_fault(store.segment, store.number, fault.kind)
        for name in orphans:
            files.remove(store.directory, name)


def heal(store: Store, root: str, limit: int, fault: Fault) -> bool:
    """Begin a damaged shard anew; whether it was this call that did.

    :param limit: the size limit, bytes
    :raises Fault: when that is not possible
    :raises Timeout: when another process has been at it for too long
    """
    with named(root), directory_lock(root, BRIEFLY):
        if store.database.renewed(fault.epoch):
            return False  # another has done it
        orphans = _begin_anew(store, root, limit, fault)
    for name in orphans:
        files.remove(store.directory, name)
    return True


def _begin_anew(store: Store, root: str, limit: int, fault: Fault) -> list[str]:
    """Make the shard anew; the names of the value files that nothing refers to any more."""
    kept = put_aside(store, root, limit)
    orphans = files.names(store.directory)
    store.database.close()
    store.create()
    renew(store, store.segment)
    where = f"put aside as {kept}" if kept else "removed, being too large to keep"
    text = "%s. The database was %s, and the shard begins anew, empty."
    store.says.error("healed", text, fault, where)
    return orphans


def value_files_of_none(store: Store) -> list[str]:
    """The names of all value files, if the shard's database is gone; the lock is held."""
    if not os.path.exists(store.path):
        with suppress(OSError):
            return files.names(store.directory)
    return []


def renew(store: Store, segment: Segment) -> None:
    """Let all processes open the shard's file anew, and trust nothing that they remember."""
    segment.forget_shard(store.number)
    segment.counters[segment.generation(store.number)] = secrets.randbits(62)
    segment.stamp_shard(store.number)


def put_aside(store: Store, root: str, limit: int) -> str | None:
    """Move the shard's database away; where to, or None if it was removed."""
    directory = os.path.join(root, files.QUARANTINE)
    if os.path.islink(directory):  # planted: what it leads to is not ours to clean up
        os.remove(directory)
    files.make_directory(directory)
    name = f"{store.number:03d}-{time.time_ns()}.sqlite3"
    target = os.path.join(directory, name)
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.replace(store.path + suffix, target + suffix)
    for suffix in ("-shm", "-journal"):
        with suppress(FileNotFoundError):
            _remove(store.path + suffix)
    _keep_few(directory, limit)
    return target if os.path.exists(target) else None


def _keep_few(directory: str, limit: int) -> None:
    """Remove the oldest of what was put aside, until it is few and small enough."""
    sizes: dict[str, int] = {}
    for name in os.listdir(directory):
        size = os.lstat(os.path.join(directory, name)).st_size
        database = name.removesuffix("-wal")
        sizes[database] = sizes.get(database, 0) + size
    size = 0
    # Newest first, by the time that is the second part of the name.
    for rank, name in enumerate(sorted(sizes, key=lambda name: name[4:], reverse=True)):
        size += sizes[name]
        if rank >= KEPT or size * SHARE > limit:
            for suffix in ("", "-wal"):
                with suppress(OSError):
                    _remove(os.path.join(directory, name + suffix))


def _remove(path: str) -> None:
    """Remove a file, or a directory that somebody made in its place."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def quarantined(root: str) -> int:
    """Bytes of what was put aside."""
    size = 0
    with suppress(OSError):
        for entry in os.scandir(os.path.join(root, files.QUARANTINE)):
            with suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_size
    return size
