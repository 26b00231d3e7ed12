"""Writers that are killed: what they leave behind is right at once, or after `MAX_AGE`.

A writer is a fork of the *nursery*, a process that has the cache open, so that one is there in
milliseconds. It dies by SIGKILL, in one of two ways:

- At a *point* of one write: at a line of the engine that it is about to execute, or beside a
  stamp. Such a death can be repeated, and all of them gone through. At each point on the way
  all readers read all keys, so that whatever the write leaves open to be misread is misread.
- At a *moment*, amid other writers and a reader who does nothing but read: after some writes
  and some turns of an empty loop, wherever that is, inside SQLite as well.

The readers are this process and two more, on a clock that only the test moves. Before it moves
they may be wrong; after `MAX_AGE` each must see what is in SQLite.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import count
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NoReturn

import pytest

import django_diskcache.engine
from django_diskcache.engine import Cache, FanoutCache, nearcache
from django_diskcache.engine.segment import Segment
from django_diskcache.engine.sqlite import sqlite3
from tests.engine.processes import PATIENCE, Companion, SharedClock
from tests.engine.soundness import assert_sound

ENGINE = os.path.dirname(django_diskcache.engine.__file__)
MAX_AGE = nearcache.MAX_AGE
HOUR = 3600
AN_INSTANT = 0.001  # of the shared clock: enough to be another time, and no age
LOOKS = (
    32  # points before its death at which a writer is looked at: commit and stamp are nearer
)
OTHERS_LOOK = 4  # every so many looks, since messages take time
OWNERS = 2  # writers at once; each has its own keys, so that versions only grow

FACES: dict[str, Callable[..., Any]] = {
    "Cache": Cache,
    "FanoutCache": partial(FanoutCache, shards=2),
}
faces = pytest.mark.parametrize("face", FACES)


# Keys and values: a version is an increasing number, whatever it is wrapped in.

KEYS = ("number", "tagged", "mortal", "list", "file", "left", "right", "missing")


def name(owner: int, key: str) -> str:
    return f"{key} of {owner}"


def in_file(version: int) -> str:
    return str(version).zfill(200)


def version_of(value: Any) -> int | None:
    if value is None:
        return None
    return int(value[0] if isinstance(value, list) else value)


def begin(cache: Any, version: int, owner: int = 0) -> None:
    """Let the owner's keys hold this version, but for the missing one."""
    with cache.transact(retry=True):
        for key in ("number", "left", "right"):
            cache.set(name(owner, key), version, retry=True)
        cache.set(name(owner, "tagged"), version, tag=owner, retry=True)
        cache.set(name(owner, "mortal"), version, expire=HOUR, retry=True)
        cache.set(name(owner, "list"), [version], retry=True)
        cache.set(name(owner, "file"), in_file(version), retry=True)
        cache.delete(name(owner, "missing"), retry=True)


# The writes. Each leaves version `new` or nothing.


def pop_and_set(cache: Any, owner: int, new: int) -> None:
    cache.pop(name(owner, "number"), retry=True)
    cache.set(name(owner, "number"), new, retry=True)


def set_many(cache: Any, owner: int, new: int) -> None:
    items = {name(owner, key): new for key in ("number", "tagged", "left", "right")}
    cache.set_many({**items, name(owner, "file"): in_file(new)}, retry=True)


def transact(cache: Any, owner: int, new: int) -> None:
    with cache.transact(retry=True):
        cache.set(name(owner, "left"), new, retry=True)
        cache.set(name(owner, "right"), new, retry=True)
        cache.incr(name(owner, "number"), 1, new - 1, retry=True)
        cache.set(name(owner, "file"), in_file(new), retry=True)
        cache.delete(name(owner, "tagged"), retry=True)


def roll_back(cache: Any, owner: int, new: int) -> None:
    with suppress(ZeroDivisionError), cache.transact(retry=True):
        cache.set(name(owner, "number"), -1, retry=True)
        cache.set(name(owner, "file"), in_file(-1), retry=True)
        raise ZeroDivisionError


def make_room(cache: Any, owner: int, new: int) -> None:
    """One entry too many: the policy removes another."""
    cache.reset("max_entries", max(len(cache), 1), update=False)
    cache.set(name(owner, "missing"), new, retry=True)
    cache.reset("max_entries", None, update=False)


WRITES: dict[str, Callable[[Any, int, int], object]] = {
    "set": lambda cache, owner, new: cache.set(name(owner, "number"), new, retry=True),
    "set a list": lambda cache, owner, new: cache.set(name(owner, "list"), [new], retry=True),
    "set what is new": lambda cache, owner, new: cache.set(
        name(owner, "missing"), new, retry=True
    ),
    "set a file": lambda cache, owner, new: cache.set(
        name(owner, "list"), in_file(new), retry=True
    ),
    "set over a file": lambda cache, owner, new: cache.set(
        name(owner, "file"), new, retry=True
    ),
    "set a file over a file": lambda cache, owner, new: cache.set(
        name(owner, "file"), in_file(new), retry=True
    ),
    "add": lambda cache, owner, new: cache.add(name(owner, "missing"), new, retry=True),
    "incr": lambda cache, owner, new: cache.incr(name(owner, "number"), 1, new - 1, retry=True),
    "incr what is new": lambda cache, owner, new: cache.incr(
        name(owner, "missing"), 1, new - 1, retry=True
    ),
    "touch": lambda cache, owner, new: cache.touch(name(owner, "mortal"), -1, retry=True),
    "delete": lambda cache, owner, new: cache.delete(name(owner, "list"), retry=True),
    "pop": lambda cache, owner, new: cache.pop(name(owner, "number"), retry=True),
    "pop a file": lambda cache, owner, new: cache.pop(name(owner, "file"), retry=True),
    "pop and set": pop_and_set,
    "set_many": set_many,
    "delete_many": lambda cache, owner, new: cache.delete_many(
        [name(owner, key) for key in KEYS], retry=True
    ),
    "transact": transact,
    "roll back": roll_back,
    "evict": lambda cache, owner, new: cache.evict(owner, retry=True),
    "expire": lambda cache, owner, new: cache.expire(
        now=cache.engine.clock() + 2 * HOUR, retry=True
    ),
    "clear": lambda cache, owner, new: cache.clear(retry=True),
    "make room": make_room,
}
IN_STEPS = {"pop and set", "make room"}  # with one shard the others are whole or not at all


# What readers do.

Seen = dict[str, Any]


def open_cache(face: str, path: Path, clock: SharedClock) -> Any:
    return FACES[face](str(path), timeout=60, disk_min_file_size=100, clock=clock)


def look(cache: Any) -> Seen:
    """The versions of the first owner's keys."""
    return {key: version_of(cache.get(name(0, key), retry=True)) for key in KEYS}


def see(cache: Any) -> list[Seen]:
    """The versions by `get`, those by `get_many`, and which keys are there."""
    names = [name(owner, key) for owner in range(OWNERS) for key in KEYS]
    many = cache.get_many(names, retry=True)
    return [
        {each: version_of(cache.get(each, retry=True)) for each in names},
        {each: version_of(many.get(each)) for each in names},
        {each: each in cache for each in names},
    ]


def watch(cache: Any) -> list[str]:
    """Read until the clock moves; every version that is older than one seen before it."""
    clock = cache.engine.clock
    start = clock()
    newest: dict[str, int] = {}
    wrong = []
    while clock() == start:
        one_by_one, together, _ = see(cache)
        for seen in (together, one_by_one):
            for each, version in seen.items():
                if version is not None:
                    if version < newest.get(each, 0):
                        wrong.append(f"{each}: {version} after {newest[each]}")
                    newest[each] = version
    return wrong


def close(cache: Any) -> None:
    cache.close()


# Where writers are born and die.


class Nursery:
    """A cache that is open, and the end of a pipe on which writers ask for a look."""

    def __init__(self, face: str, path: Path, clock: SharedClock, looks: Any) -> None:
        self.face, self.path, self.clock, self.looks = face, path, clock, looks
        self.cache = open_cache(face, path, clock)

    def open_anew(self) -> Any:
        return open_cache(self.face, self.path, SharedClock(self.clock.path))


def writer(work: Callable[[], object]) -> int:
    """The process id of a fork that does the work."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    return pid


def end_of(pid: int) -> int:
    """The exit code: 0, or -9 of one that was killed; nothing else is as it should be."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), f"a writer ended with {code}"
    return code


def at_lines(point: Callable[[], object]) -> None:
    """Call `point` before each line of the engine."""

    def local(frame: Any, event: str, arg: Any) -> Any:
        if event == "line":
            point()
        return local

    sys.settrace(
        lambda frame, event, arg: local if frame.f_code.co_filename.startswith(ENGINE) else None
    )


def at_stamps(point: Callable[[], object]) -> None:
    """Call `point` before and after each call that puts stamps."""

    def pointed(original: Callable[..., None]) -> Callable[..., None]:
        def stamp(*args: Any) -> None:
            point()
            original(*args)
            point()

        return stamp

    for each in ("stamp", "stamp_each", "stamp_shard"):
        setattr(Segment, each, pointed(getattr(Segment, each)))


def die_at(
    nursery: Nursery, points: Callable[..., None], last: int | None, kind: str, new: int
) -> bool:
    """Whether a writer was killed at point number `last` of a write; it may have fewer.

    :param last: None to let it live, and say how many it had
    """

    def work() -> None:
        left = count(0)
        len(nursery.cache)  # opens the connections, which are not what this is about

        def point() -> None:
            number = next(left)
            if number == last:
                os.kill(os.getpid(), signal.SIGKILL)
            if last is not None and number >= last - LOOKS:
                nursery.looks.send_bytes(b"look")
                nursery.looks.recv_bytes()

        points(point)
        WRITES[kind](nursery.cache, 0, new)
        sys.settrace(None)
        if last is None:
            nursery.looks.send_bytes(b"%d" % next(left))

    try:
        return end_of(writer(work)) != 0
    finally:
        nursery.looks.send_bytes(b"")


def raid(nursery: Nursery, seed: int, version: int) -> None:
    """Let writers write, with versions greater than this one, and kill each at its moment."""
    chooser = random.Random(seed)
    running = []
    for owner in range(OWNERS):
        ours, theirs = os.pipe()
        anew = chooser.random() < 0.2  # then it may die while it opens the cache
        seed = chooser.getrandbits(32)
        pid = writer(partial(write_for_ever, nursery, anew, owner, version, seed, theirs))
        os.close(theirs)
        running.append((pid, ours, int(not anew)))
    for pid, acknowledged, least in running:
        for _ in range(chooser.randrange(least, 8)):
            assert os.read(acknowledged, 1), "a writer ended by itself"
        for _ in range(chooser.randrange(20_000)):
            pass
        os.kill(pid, signal.SIGKILL)
        os.close(acknowledged)
    for pid, _, _ in running:
        assert end_of(pid) == -signal.SIGKILL


def write_for_ever(
    nursery: Nursery, anew: bool, owner: int, version: int, seed: int, acknowledged: int
) -> NoReturn:
    cache = nursery.open_anew() if anew else nursery.cache
    chooser = random.Random(seed)
    kinds = list(WRITES)
    for new in count(version + 1):
        WRITES[chooser.choice(kinds)](cache, owner, new)
        os.write(acknowledged, b".")
    raise AssertionError


# The scene.


class Scene:
    """A cache with readers and a nursery on it, and versions that grow."""

    def __init__(self, face: str, directory: Path, stack: ExitStack) -> None:
        self.one_shard = face == "Cache"
        self.clock = SharedClock(directory / "clock")
        path = directory / "cache"
        self.reader = open_cache(face, path, self.clock)
        self.direct = open_cache(face, path, SharedClock(self.clock.path))
        self.direct.reset("near_cache_size", 0, update=False)
        self.looks, theirs = Pipe()
        self.version = 0
        self.completed: dict[str, Seen] = {}  # what writes leave that nobody kills
        companion = partial(Companion, open_cache, face, path, self.clock)
        self.others = [stack.enter_context(companion()) for _ in range(2)]
        nursery = Companion(Nursery, face, path, self.clock, theirs)
        self.nursery = stack.enter_context(nursery)
        stack.callback(self.looks.close)
        stack.callback(theirs.close)
        stack.callback(self.reader.close)
        stack.callback(self.direct.close)

    def all_see(self) -> list[list[Seen]]:
        """What each reader sees: this process, then the others."""
        for other in self.others:
            other.ask(see)
        return [see(self.reader), *(other.answer() for other in self.others)]

    def stale(self) -> int:
        """How many readers see something else than what is in SQLite."""
        truth = see(self.direct)
        return sum(seen != truth for seen in self.all_see())

    def age(self) -> None:
        self.clock.advance(MAX_AGE)

    def kill(
        self, points: Callable[..., None], last: int | None, kind: str, every: int = OTHERS_LOOK
    ) -> bool:
        """Whether the writer was killed at that point.

        :param every: at every so many looks the other processes look as well
        """
        before, new = self._begun()
        self.nursery.ask(die_at, points, last, kind, new)
        for number in self._looks():
            seen = [look(self.reader)]
            if number % every == 0:
                for other in self.others:
                    other.ask(look)
                seen += [other.answer() for other in self.others]
            for each in seen:
                assert_among(each, before, new)
        killed: bool = self.nursery.answer()
        left = look(self.direct)
        assert_among(left, before, new)
        if self.one_shard and kind not in IN_STEPS:
            assert relative(left, new) in (relative(before, new), self.completed[kind])
        return killed

    def complete(self, points: Callable[..., None], kind: str) -> int:
        """Let a writer live; how many points it passed."""
        _, new = self._begun()
        self.nursery.ask(die_at, points, None, kind, new)
        passed = self._heard()
        assert not passed or not self._heard()
        assert not self.nursery.answer()
        self.completed[kind] = relative(look(self.direct), new)
        assert self.stale() == 0
        return int(passed)

    def _begun(self) -> tuple[Seen, int]:
        """What all have seen before a write, and the version that the write is to leave."""
        self.version += 2
        begin(self.reader, self.version - 1)
        assert self.stale() == 0
        return look(self.direct), self.version

    def _looks(self) -> Iterator[int]:
        """Numbers the writer's pauses, until it has ended."""
        for number in count():
            if not self._heard():
                return
            yield number
            self.looks.send_bytes(b"seen")

    def _heard(self) -> bytes:
        assert self.looks.poll(PATIENCE), "the nursery says nothing"
        received: bytes = self.looks.recv_bytes()
        return received

    def assert_sound(self) -> None:
        """Nothing damaged, nothing miscounted; leaked files are all that there is to mend."""
        entries = 0
        for store in self.direct.engine.stores:
            with sqlite3.connect(store.path) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                entries += connection.execute("SELECT COUNT(*) FROM cache").fetchone()[0]
            connection.close()
            for file in Path(store.directory).rglob("*.val"):
                os.utime(file, (0, 0))  # else it may belong to a set in progress
        assert len(self.reader) == entries
        found = {str(warning.message).split(":")[0] for warning in self.direct.check(fix=True)}
        assert found <= {"unknown file", "empty directory"}
        assert_sound(self.direct)


def assert_among(seen: Seen, before: Seen, new: int) -> None:
    """Each version is the one before the write, the new one, or none."""
    for each, version in seen.items():
        assert version in (before[each], new, None)


def relative(seen: Seen, new: int) -> Seen:
    return {each: None if version is None else version - new for each, version in seen.items()}


@contextmanager
def scene(face: str, directory: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(face, directory, stack)


# The tests.


def sweep(it: Scene, lines: int) -> list[int]:
    """Kill writers at so many lines of each kind of write; how many readers were wrong then."""
    chooser = random.Random(lines)
    wrong = []
    for kind in WRITES:
        total = it.complete(at_lines, kind)
        for line in sorted(chooser.sample(range(total), min(lines, total))):
            it.kill(at_lines, line, kind)  # it may live: a directory less to make, a line less
            wrong.append(it.stale())
            it.age()
            assert it.stale() == 0
        it.assert_sound()
    return wrong


@faces
def test_killed_at_a_line(face: str, tmp_path: Path) -> None:
    with scene(face, tmp_path) as it:
        sweep(it, 1)


@pytest.mark.long
@pytest.mark.parametrize(("face", "lines"), [("Cache", 40), ("FanoutCache", 20)])
def test_killed_at_a_thousand_lines(face: str, lines: int, tmp_path: Path) -> None:
    with scene(face, tmp_path) as it:
        wrong = sweep(it, lines)
    assert any(wrong)  # else it proves nothing: some lines are between commit and stamp


def storm(it: Scene, rounds: int) -> list[int]:
    """Two writers killed at moments in each round; how many readers were wrong each time."""
    chooser = random.Random(rounds)
    wrong = []
    for number in range(rounds):
        it.version += 1000
        for owner in range(OWNERS):
            begin(it.reader, it.version, owner)
        assert it.stale() == 0
        alone = chooser.random() < 0.1  # then the next who opens it finds a log to recover
        watcher = it.others[0]
        if alone:
            for other in it.others:
                other.call(close)
            it.reader.close()
            it.direct.close()
        else:
            watcher.ask(watch)
        it.nursery.call(raid, chooser.getrandbits(32), it.version)
        it.clock.advance(AN_INSTANT)
        if not alone:
            assert watcher.answer() == []
        wrong.append(it.stale())
        it.age()
        assert it.stale() == 0
        if it.one_shard:
            (seen, *_) = see(it.direct)
            for owner in range(OWNERS):
                pair = {seen[name(owner, key)] for key in ("left", "right")}
                assert len(pair - {None}) < 2
        if number % 20 == 0:
            it.assert_sound()
    it.assert_sound()
    return wrong


@faces
def test_killed_at_a_moment(face: str, tmp_path: Path) -> None:
    with scene(face, tmp_path) as it:
        storm(it, 10)


@pytest.mark.long
@faces
def test_killed_at_hundreds_of_moments(face: str, tmp_path: Path) -> None:
    with scene(face, tmp_path) as it:
        storm(it, 200)


STAMPED = ("set", "add", "incr", "touch", "pop", "set_many", "transact", "evict", "clear")


def test_without_the_age_bound_a_kill_between_commit_and_stamp_is_seen_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearcache, "MAX_AGE", math.inf)  # in this process
    with scene("Cache", tmp_path) as it:
        for kind in STAMPED:
            before_the_last = it.complete(at_stamps, kind) - 2
            assert it.kill(at_stamps, before_the_last, kind, 1)
            assert it.stale() == 1 + len(it.others)
            it.clock.advance(100 * MAX_AGE)
            assert it.stale() == 1  # the others have the bound
        it.assert_sound()
