"""The shared segment: a memory-mapped file that all processes of one cache share.

It holds what other caches write into their tables at every read, so that a read of ours
writes nothing to SQLite: counters (hits, misses, entries) and one access field per slot. And
it holds one stamp per slot, by which a process knows that what it remembers of a key is still
so (see `nearcache`). A key maps to a slot of its shard by its portable hash; two keys on one
slot share access field and stamp, which makes eviction a little less exact, forgets one when
the other changes, and makes nothing wrong.

Everything in it is derived state. A file that is missing, short or foreign is replaced; what
is lost with it are statistics, access times, and what the eviction policy remembers.

Layout: a header page; counters as int64, [kind][shard][stripe], and their base lines,
[kind][shard]; cells as int64, [shard][cell]; stamps as uint64, access fields as uint32 and the
ghost table as uint32, one of each per slot and shard. Each process counts in a stripe of its
own (its pid, modulo their number), because an increment is a read and a write: two processes on
one counter would lose some. Within a process the interpreter's lock makes it whole. A reset
moves a base line instead of writing zeros into the stripes of others. A cell is what one
process sets and all read: how far a hand has come, or what was measured last.

The file's blocks are reserved when it is made: a store into a hole on a full disk would kill
the process with SIGBUS.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
import weakref
from array import array
from collections.abc import Iterable
from itertools import count
from typing import IO, Any, Final, Literal

MAGIC: Final = b"ddcacheS"
VERSION: Final = 4
HEADER: Final = struct.Struct("<8sIII")  # magic, version, shards, slots
HEADER_BYTES: Final = 4096
STRIPES: Final = 64

# Kinds of counters.
HITS: Final = 0
MISSES: Final = 1
ENTRIES: Final = 2
# Entries that are gone, by the reason: the size limit, the limit on entries, their expiry;
# and those that were refused, being larger than the whole cache may be.
EVICTED_SIZE: Final = 4
EVICTED_ENTRIES: Final = 5
EXPIRED: Final = 6
REFUSED: Final = 7
FREED: Final = 8  # bytes of all that
GHOST_HITS: Final = 9  # sets of a key that was evicted lately
FAULT_COUNTS: Final = 10  # the first of the kinds of faults, in the order of `faults.KINDS`
GENERATION: Final = 20  # not a count: which file of the shard is in use, in stripe 0
FILES: Final = 30  # not a count: bytes of value files, of those being written as well
WRITTEN: Final = 31  # bytes of all value files ever
KINDS: Final = 32

# Why entries have gone, in words.
WHY: Final = {EVICTED_SIZE: "size", EVICTED_ENTRIES: "entries", EXPIRED: "expired"}

# Cells.
SWEEP: Final = 0  # the id that the expiry sweep has reached
PAGES: Final = 1  # of the database, when somebody looked last
FREE: Final = 2  # those of them that hold nothing
LOG: Final = 3  # bytes of the log, then
COUNTED: Final = 4  # entries, when somebody counted last
UNCOUNTED: Final = 5  # changes since then that call for another count
POLICY: Final = 6  # a number for the policy that the access fields are written by
HINTS: Final = 7  # the hint of a tag that the sweep has reached
HANDS: Final = 8  # the first of those that are the policy's own
CELLS: Final = 16

ABSURD: Final = 2**52  # no count and no bytes of ours are as many
MOST_SHARDS: Final = 999
MIN_SLOTS: Final = 2**9
MAX_SLOTS: Final = 2**22
BYTES_PER_SLOT: Final = 4096  # of the size limit: so the segment is 0.4 % of it


def slots_for(size_limit: int, shards: int, evicts: bool) -> int:
    """How many slots each shard of a cache of this size gets: a power of two.

    A cache that evicts nothing is a collection, mostly small, and needs no access fields.
    """
    wanted = size_limit // BYTES_PER_SLOT // shards if evicts else MIN_SLOTS
    return 1 << (min(max(wanted, MIN_SLOTS), MAX_SLOTS) - 1).bit_length()


class Segment:
    """The mapped file at `path`; made new when it is not one for `shards` shards.

    Call it with the directory's lock held: two processes must not make it at once.
    """

    def __init__(self, path: str, shards: int, slots: int) -> None:
        self.path = path
        self.shards = shards
        existing = _slots_of(path, shards)
        self.created = existing is None
        self.slots = slots if existing is None else existing
        if existing is None:
            _create(path, shards, slots)
        with _opened(path, "r+b") as file:
            self.inode = os.fstat(file.fileno()).st_ino
            self._mmap = mmap.mmap(file.fileno(), _size(shards, self.slots))
        self.bytes = len(self._mmap)
        view = memoryview(self._mmap)
        parts = {}
        start = HEADER_BYTES
        for name, form, size in _parts(shards, self.slots):
            parts[name] = view[start : start + size].cast(form)
            start += size
        self.counters, self.bases = parts["counters"], parts["bases"]
        self.cells = parts["cells"]
        self.stamps, self.access, self.ghost = parts["stamps"], parts["access"], parts["ghost"]
        self.begin()
        _segments.add(self)

    def begin(self) -> None:
        """Count in this process's stripe, and stamp with numbers that no other will use."""
        self.stripe = os.getpid() % STRIPES
        self._fresh = count(secrets.randbits(62))

    def slot(self, number: int) -> int:
        """The slot of a portable hash; the shard is its remainder."""
        shard = number % self.shards
        return shard * self.slots + (number // self.shards & self.slots - 1)

    def stamp(self, slot: int) -> None:
        """Let nobody trust what they remember of the slot's keys."""
        self.stamps[slot] = next(self._fresh)

    def stamp_each(self, slots: Iterable[int]) -> None:
        """`stamp` these slots."""
        stamp = next(self._fresh)  # one serves for all: each slot is compared with itself
        for slot in slots:
            self.stamps[slot] = stamp

    def stamp_shard(self, shard: int) -> None:
        """`stamp` every slot of a shard."""
        start = shard * self.slots
        stamp = array("Q", [next(self._fresh)])
        self.stamps[start : start + self.slots] = memoryview(stamp * self.slots)

    def add(self, kind: int, shard: int, number: int) -> None:
        """Count `number` more of `kind` in `shard`."""
        place = (kind * self.shards + shard) * STRIPES + self.stripe
        try:
            self.counters[place] += number
        except ValueError:  # more than 64 bits: the file was damaged
            self.counters[place] = number

    def total(self, kind: int, shard: int) -> int:
        """The sum over all processes since the last `rebase`."""
        place = kind * self.shards + shard
        start = place * STRIPES
        total = sum(self.counters[start : start + STRIPES]) - self.bases[place]
        if -ABSURD < total < ABSURD:
            return total
        # The file was damaged: it is only mapped, and a power cut may do that.
        self.counters[start : start + STRIPES] = memoryview(bytes(8 * STRIPES)).cast("q")
        self.bases[place] = 0
        return 0

    def whole(self, kind: int) -> int:
        """`total` of all shards."""
        start, end = kind * self.shards, (kind + 1) * self.shards
        counted = sum(self.counters[start * STRIPES : end * STRIPES])
        total = counted - sum(self.bases[start:end])
        if -ABSURD < total < ABSURD:
            return total
        return sum(self.total(kind, shard) for shard in range(self.shards))

    def rebase(self, kind: int, shard: int, value: int = 0) -> None:
        """Let `total` be `value` from now on."""
        total = self.total(kind, shard)  # it may set the base to zero
        self.bases[kind * self.shards + shard] += total - value

    def generation(self, shard: int) -> int:
        """Index into `counters` of the number that changes when `shard` is made anew."""
        return (GENERATION * self.shards + shard) * STRIPES

    def cell(self, kind: int, shard: int) -> int:
        """Index into `cells`."""
        return shard * CELLS + kind

    def hands(self, shard: int) -> memoryview[int]:
        """The cells of a shard that are the policy's own."""
        return self.cells[shard * CELLS + HANDS : (shard + 1) * CELLS]

    def forget_shard(self, shard: int) -> None:
        """A shard is empty, and its rows are numbered anew."""
        for kind in (ENTRIES, FILES):
            self.rebase(kind, shard)
        start = shard * CELLS  # the policy's own stay: what they say of shards goes for all
        self.cells[start : start + POLICY] = memoryview(bytes(POLICY * 8)).cast("q")

    def forget_access(self) -> None:
        """Zero what one policy has noted; it means something else under another."""
        for fields in (self.access, self.ghost):
            fields[:] = memoryview(bytes(len(fields) * 4)).cast("I")
        for shard in range(self.shards):
            self.hands(shard)[:] = memoryview(bytes((CELLS - HANDS) * 8)).cast("q")

    def lost(self) -> bool:
        """Whether the file at the path is no longer the one that is mapped."""
        try:
            return os.stat(self.path).st_ino != self.inode
        except OSError:
            return True


def _parts(shards: int, slots: int) -> tuple[tuple[str, Literal["q", "Q", "I"], int], ...]:
    """What follows the header: its name, the form of its numbers, and its bytes."""
    counters = KINDS * shards
    return (
        ("counters", "q", counters * STRIPES * 8),
        ("bases", "q", counters * 8),
        ("cells", "q", shards * CELLS * 8),
        ("stamps", "Q", shards * slots * 8),
        ("access", "I", shards * slots * 4),
        ("ghost", "I", shards * slots * 4),
    )


def _size(shards: int, slots: int) -> int:
    return HEADER_BYTES + sum(size for _, _, size in _parts(shards, slots))


def _dimensions(path: str) -> tuple[int, int]:
    """The shards and slots of a good segment, or zeros."""
    try:
        with _opened(path, "rb") as file:
            magic, version, shards, slots = HEADER.unpack(file.read(HEADER.size))
            size = os.fstat(file.fileno()).st_size
    except (OSError, struct.error):
        return 0, 0
    known = (magic, version) == (MAGIC, VERSION) and 1 <= shards <= MOST_SHARDS
    sane = MIN_SLOTS <= slots <= MAX_SLOTS and slots & (slots - 1) == 0
    return (shards, slots) if known and sane and size == _size(shards, slots) else (0, 0)


def shards_of(path: str) -> int:
    """For how many shards a segment is; 0 if there is no good one."""
    return _dimensions(path)[0]


def files_of(path: str) -> int:
    """Bytes of value files, as the segment at `path` has them; 0 if there is no good one."""
    shards, _ = _dimensions(path)
    counted, bases = FILES * shards * STRIPES, FILES * shards
    try:
        with _opened(path, "rb") as file:
            numbers = array("q")
            for start, count in (
                (counted, shards * STRIPES),
                (KINDS * shards * STRIPES + bases, shards),
            ):
                file.seek(HEADER_BYTES + 8 * start)
                numbers.frombytes(file.read(8 * count))
    except OSError:
        return 0
    total = sum(numbers[: shards * STRIPES]) - sum(numbers[shards * STRIPES :])
    return total if 0 <= total < ABSURD else 0


def _slots_of(path: str, shards: int) -> int | None:
    """The slots of a good segment for so many shards, or None."""
    known, slots = _dimensions(path)
    return slots if known == shards else None


def _opened(path: str, mode: str) -> IO[Any]:
    """The file, unless it is a link; opening a pipe does not wait."""
    hard = os.O_NOFOLLOW | os.O_NONBLOCK
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | hard))


def _create(path: str, shards: int, slots: int) -> None:
    """A complete file under another name first, so that nobody maps half of one."""
    temporary = f"{path}.new"  # of whoever holds the lock; perhaps left by one that was killed
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # it may be a link
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask
        size = _size(shards, slots)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except (AttributeError, OSError):  # not on this system or filesystem: write zeros
            for _ in range(0, size, 2**20):
                os.write(descriptor, bytes(2**20))
            os.ftruncate(descriptor, size)
        os.pwrite(descriptor, HEADER.pack(MAGIC, VERSION, shards, slots), 0)
        if os.path.isdir(path) and not os.path.islink(path):  # nothing of ours
            os.rename(path, f"{path}.{secrets.token_hex(4)}")
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
    finally:
        os.close(descriptor)


_segments: weakref.WeakSet[Segment] = weakref.WeakSet()


def _after_fork() -> None:
    for segment in list(_segments):
        segment.begin()


os.register_at_fork(after_in_child=_after_fork)
