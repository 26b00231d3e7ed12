"""What all caches of a process share that are on the same server: the engine behind a face.

It has what the engine of a directory has for whoever stands on it: the near cache, the clock,
the settings, a triage of faults. An entry is one string on the server, under a name of four
parts: what the cache is called there, the number of the bucket in braces, a sign that says
what sort of key it is, and the key.
"""

from __future__ import annotations

import atexit
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from math import ceil, inf
from typing import Any, ClassVar
from zlib import crc32

from ..engine.clock import Clock
from ..engine.compression import compressor_of
from ..engine.disk import GARBAGE, Disk, key_bytes
from ..engine.errors import Fault, Foreign, Unreadable
from ..engine.faults import FAULTS
from ..engine.logs import Log
from ..engine.nearcache import NearCache
from ..engine.options import DEFAULT_SETTINGS
from ..engine.signing import LENGTH, MODE_KEY, Secrets
from .address import Address
from .board import BUCKETS, Tally, present
from .doorkeeper import Doorkeeper
from .envelope import Codec
from .link import begin_links, open_link
from .names import escaped
from .scripts import COUNT
from .traffic import ERRORS, HITS, MISSES, SumsOverTime, is_count
from .trouble import KINDS, REMEDIES

TEXT, NUMBER, BYTES, PICKLED, HINTS = b":", b"#", b"!", b"?", b"+"
ENTRIES = (TEXT, NUMBER, BYTES, PICKLED)
MOST_SECONDS = 10**10  # some 300 years: what lives longer does not end
NOTES = b"*hints"  # whether some may be gone (`doubts`), in the first bucket
COUNTS = b"*counts"  # of hits, misses and faults, in the first bucket
TELL_EVERY = 1.0  # seconds between two reports at the end of a request
IN_A_CLUSTER = 5.0  # seconds between two reports: all processes tell the same node


class Remote:
    """The engine of one address, an `engine.interface.AnyEngine`.

    :param name: of the cache on the server, which others may use for other things
    :param patience: seconds that a call may wait
    :param disk: how values are serialised
    """

    in_files: ClassVar[bool] = False
    coroutines: ClassVar[bool] = True

    def __init__(
        self,
        address: Address,
        name: str,
        patience: float,
        disk: type[Disk],
        settings: Mapping[str, Any],
        clock: Clock,
        secrets: Secrets,
    ) -> None:
        self.address = address
        self.name = name
        self.secrets = secrets
        self.clock = clock
        self.settings: dict[str, Any] = {**DEFAULT_SETTINGS, **settings}
        self.disk_type = disk
        self.disk = self._make_disk()
        self.codec = Codec(self.disk, secrets, name)
        self.link = open_link(address, patience)
        self.link.remotes.add(self)
        self.board = self.link.board
        self.tally = Tally(self.board)
        tally: Any = self.tally  # it has of a segment what is needed
        self.near = NearCache(tally, self.settings["near_cache_size"], clock)
        self.near.counting = bool(self.settings["statistics"])
        self.doorkeeper = Doorkeeper()
        self.triage = Triage(address.text, clock)
        self.heads = [b"%s{%02x}" % (name.encode(), bucket) for bucket in range(BUCKETS)]
        # Patterns of the server: of all names, and of what those of text keys begin with.
        self.any_name = escaped(name.encode()) + b"{??}*"
        self.any_text = escaped(name.encode()) + b"{??}" + TEXT
        self.text_heads = [head + TEXT for head in self.heads]
        self._body = len(self.text_heads[0])
        self._counts = self.heads[0] + COUNTS
        self.history = SumsOverTime(self.heads[0], clock, self.link.moving)
        self._reporting = threading.RLock()
        self._told = 0.0  # when it was reported last, by a clock that never goes back
        self._pause = IN_A_CLUSTER if address.kind == "cluster" else 0.0
        self.chores: list[Callable[[Remote], object]] = []  # done once a second
        _remotes.add(self)

    def _make_disk(self) -> Disk:
        arguments = {
            name[len("disk_") :]: value
            for name, value in self.settings.items()
            if name.startswith("disk_")
        }
        arguments["min_file_size"] = 2**62  # there are no files
        disk = self.disk_type("", **arguments)
        disk.serializer = self.settings["serializer"]
        disk.compressor = compressor_of(self.settings, self.disk_type)
        return disk

    # Places

    def place(self, key: Any) -> tuple[bytes, int, tuple[Any, bool]]:
        """The name of a key on the server, its hash, and its database form.

        :raises TypeError: when it is not hashable
        """
        if type(key) is str and key.isascii():  # the common key, at less cost
            body = key.encode()
            number = crc32(body)
            return self.text_heads[number & 255] + body, number, (key, True)
        form, raw = self.disk.put(key)
        body = key_bytes(form)
        if not raw and self.codec.signer is not None:  # who lists keys loads them
            body = self.codec.signer.sign(form, False, MODE_KEY, b"") + body
        number = crc32(body)
        if not raw:
            sign = PICKLED
        elif type(form) is str:
            sign = TEXT
        else:
            sign = BYTES if type(form) is bytes else NUMBER
        return self.heads[number & 255] + sign + body, number, (form, raw)

    def places(self, keys: Sequence[Any]) -> list[tuple[bytes, int, tuple[Any, bool]]]:
        """`place` of each."""
        if not _common(keys):
            return [self.place(key) for key in keys]
        names, numbers = self._common_names(keys)
        return list(zip(names, numbers, zip(keys, repeat(True)), strict=True))

    def names(self, keys: Sequence[Any]) -> tuple[Sequence[bytes], Sequence[int]]:
        """Of each, as of `places`, only the name and the hash."""
        if _common(keys):
            return self._common_names(keys)
        places = [self.place(key) for key in keys]
        return [name for name, _, _ in places], [number for _, number, _ in places]

    def _common_names(self, keys: Sequence[str]) -> tuple[list[bytes], list[int]]:
        heads, bodies = self.text_heads, list(map(str.encode, keys))
        numbers = list(map(crc32, bodies))
        return [heads[n & 255] + body for n, body in zip(numbers, bodies, strict=True)], numbers

    def key_of(self, name: bytes) -> Any:
        """The key that an entry's name is made of.

        :raises Foreign: for one that is pickled and not signed, and for what is no key
        """
        sign, body = name[self._body - 1 : self._body], name[self._body :]
        try:
            if sign == TEXT:
                return self.disk.get(body.decode(), True)
            if sign == BYTES:
                return self.disk.get(body, True)
            if sign == NUMBER:
                return number_of(body)
        except GARBAGE as error:
            raise Unreadable from error
        if sign != PICKLED or not self.disk.pickles:
            raise Foreign
        if (signer := self.codec.signer) is not None:
            signature, body = body[:LENGTH], body[LENGTH:]
            if not signer.verify(signature, body, False, MODE_KEY, b""):
                raise Foreign
        try:
            return self.disk.get(body, False)
        except GARBAGE as error:
            raise Unreadable from error

    def hints(self, bucket: int, tag: bytes) -> bytes:
        """The name of the set of hints of a tag in a bucket."""
        return self.heads[bucket] + HINTS + tag

    # Time

    def due(self, expire: float | None) -> float:
        """When something ends that does so in `expire` seconds; infinity is never."""
        if expire is None or expire > MOST_SECONDS:
            return inf
        return self.clock() + expire

    # Remembering

    def listen(self) -> None:
        """See to it that changes are told; until then nothing is remembered."""
        if self.settings["near_cache_size"]:
            self.link.listen()

    @property
    def listening(self) -> bool:
        """Whether all servers tell of changes."""
        nodes = self.link.known()
        return bool(nodes) and all(node.generation for node in nodes)

    def tick(self) -> None:
        """What is done once a second beside the calls; a mistake in it ends nothing else."""
        for chore in (Remote._tell, *self.chores):
            try:
                chore(self)
            except Exception as error:
                self.triage.mistaken(error)

    def _tell(self) -> None:
        self.near.flush()
        if time.monotonic() - self._told >= self._pause:
            self.report()

    # Counts

    def report(self) -> None:
        """Tell the server what was counted, if anything was; not now if it is away.

        It is one round trip: the sums, and the same of this minute and hour. Who asks for the
        sums meanwhile waits for it, or what is on its way would be in neither.
        """
        with self._reporting:
            self._report()

    def _report(self) -> None:
        tally = self.tally
        hits, misses = tally.hits, tally.misses
        faults = self.triage.take()
        if not hits and not misses and not faults:
            return
        self._told = time.monotonic()
        tally.hits -= hits
        tally.misses -= misses
        kinds = {kind.encode(): number for kind, number in faults.items()}
        more = {HITS: hits, MISSES: misses, ERRORS: sum(faults.values()), **kinds}
        keys, arguments = [self._counts], []
        for name, part, kept in self.history.places():
            keys.append(name)
            arguments += [part, kept]
        for kind, number in more.items():
            if number:
                arguments += [kind, b"%d" % number]
        try:
            self.link.moving(0, "run", COUNT, keys, *arguments)
        except FAULTS:
            tally.hits += hits
            tally.misses += misses
            self.triage.give_back(faults)

    def counts(self) -> tuple[int, int]:
        """(hits, misses) of all processes, as far as they have told."""
        found = self.counted()
        return found.get(HITS, 0), found.get(MISSES, 0)

    def counted(self) -> dict[bytes, int]:
        """Hits, misses, and faults by their kind, of all processes, as far as they have told.

        :raises Fault: when the server does not tell
        """
        self.near.flush()
        self.report()
        found = self.link.moving(0, "ask", b"HGETALL", self._counts)
        pairs = zip(found[::2], found[1::2], strict=True)
        return {name: int(number) for name, number in pairs if is_count(number)}

    def forget_counts(self) -> None:
        """Begin to count at zero."""
        self.link.moving(0, "ask", b"UNLINK", self._counts)
        self.triage.reset()

    # What is known of its hints, by all processes

    def noted(self) -> dict[bytes, int]:
        """What was noted.

        :raises Fault: when the server does not tell
        """
        found = self.link.moving(0, "browse", b"HGETALL", self.heads[0] + NOTES)
        pairs = zip(found[::2], found[1::2], strict=True)
        return {name: int(number) for name, number in pairs if is_count(number)}

    def note(self, notes: Mapping[bytes, int], alone: bool = False) -> None:
        """Note more; or these `alone`.

        :raises Fault: when the server cannot
        """
        name = self.heads[0] + NOTES
        if alone:
            self.link.moving(0, "ask", b"UNLINK", name)
        parts = [part for each, number in notes.items() for part in (each, b"%d" % number)]
        if parts:
            self.link.moving(0, "ask", b"HSET", name, *parts)

    # Life

    @property
    def directory(self) -> str:
        """The address, without its password: where an engine on files has its path."""
        return self.address.text

    @property
    def in_use(self) -> bool:
        """Whether there may be something to `tidy`."""
        return bool(self.link.known())

    def transacting(self) -> bool:
        """Whether this thread is in a transaction: there are none."""
        return False

    def look(self) -> None:
        """Notice that a directory was replaced: there is none."""

    def tidy(self) -> None:
        """The end of a request: what was counted goes to where the listener finds it.

        Where nothing is remembered there is no listener, and it is told here, as often.
        """
        self.near.flush()
        if (
            not self.settings["near_cache_size"]
            and time.monotonic() - self._told >= max(TELL_EVERY, self._pause)
            and not self.link.in_trouble
        ):
            self.report()

    def close(self) -> None:
        """Close the connections, of other caches there as well; the next call makes others."""
        self.near.flush()
        self.report()
        self.link.close()

    def begin(self) -> None:
        """In a child after a fork: what was counted is the parent's to tell."""
        self._reporting = threading.RLock()
        self.tally.hits = self.tally.misses = 0
        self.triage.take()


class Triage:
    """Counts the faults of one server, and says them, once a minute for each kind."""

    def __init__(self, where: str, clock: Clock) -> None:
        self._where = where
        self._says = Log(clock)
        self._counts = dict.fromkeys(KINDS, 0)
        self._untold = dict.fromkeys(KINDS, 0)

    def met(self, error: Exception) -> None:
        """Count a fault, and say so."""
        kind = error.kind if isinstance(error, Fault) else "slow"
        self._counts[kind] += 1
        self._untold[kind] += 1
        self._says.warn(kind, "%s. %s", error, REMEDIES[kind])

    def foreign(self, why: Foreign) -> None:
        """Say that there is an entry that may not be loaded."""
        self._says.warn("foreign", "%s: %s", self._where, why.reason)

    def unhinted(self, where: str) -> None:
        """Say that an eviction by tag had to look at all entries."""
        self._says.warn(
            "unhinted",
            "%s may have evicted keys, and sets of tags among them: evict() looks at every "
            "entry there, and gives the others their sets again unless its memory is nearly "
            "full. Set its maxmemory-policy to noeviction, with room enough, and watch its "
            "memory.",
            where,
        )

    def mistaken(self, error: Exception) -> None:
        """Say that something that is done once a second has failed."""
        text = "%s: what is done once a second has failed: %r"
        self._says.error(("mistaken", type(error)), text, self._where, error)

    def counts(self) -> dict[str, int]:
        """How many of each kind this process has met since the last reset."""
        return dict(self._counts)

    def take(self) -> dict[str, int]:
        """How many of each kind the server has not been told of, and now will be."""
        taken = {kind: number for kind, number in self._untold.items() if number}
        for kind, number in taken.items():
            self._untold[kind] -= number
        return taken

    def give_back(self, taken: Mapping[str, int]) -> None:
        """It was not told."""
        for kind, number in taken.items():
            self._untold[kind] += number

    def reset(self) -> None:
        """Begin to count at zero."""
        self._counts = dict.fromkeys(KINDS, 0)
        self._untold = dict.fromkeys(KINDS, 0)


def _common(keys: Sequence[Any]) -> bool:
    """Whether all of these are texts in ASCII."""
    try:
        return "".join(keys).isascii() and set(map(type, keys)) == {str}
    except TypeError:
        return False


def milliseconds(expire: float) -> bytes:
    """Milliseconds that the server is to keep what lives `expire` seconds, more than 0."""
    return b"%d" % max(1, ceil(expire * 1000))


def number_of(body: bytes) -> int | float:
    """The number that `key_bytes` made these of."""
    if len(body) == 8:
        return int.from_bytes(body, "big", signed=True)
    found: float = struct.unpack("!dx", body)[0]
    return found


_remotes: weakref.WeakSet[Remote] = weakref.WeakSet()


def _after_fork() -> None:
    begin_links()
    for remote in list(_remotes):
        remote.begin()


def _at_exit() -> None:
    for remote in present(_remotes):
        remote.near.flush()
        remote.report()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
