"""A power cut, as far as copies of the files can stand for one.

What the disk has after a power cut is what was written up to then, less some of what was not
yet synced. The copies here are of three kinds. *Frozen*: all processes are stopped, so that the
copy is what the operating system knows, as after the death of all processes; nothing that was
acknowledged may be missing. *Torn*: of that, the end of the logs is lost or zeros, as are young
value files, and so is what is only mapped. *Running*: files are copied one after the other
while processes write, as a careless backup does; such a copy may be damaged.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from .faces import KEYS, exercise, fill_in, kind, open_django, works
from .processes import Board, Child, Children, Ledger, in_child, noted, until
from .values import make, version_of

WRITERS = 2
STOP = WRITERS  # on the board


def _write(directory: Path, ledger: Path, number: int, board: Board) -> None:
    """Set own keys to ever new versions, and count; noted before and after."""
    cache = open_django(directory)
    notes = Ledger(ledger)
    version = 0
    while not board[STOP]:
        version += 1
        for key in KEYS[number::WRITERS]:
            notes.note("begin", key, version)
            if cache.set(key, make(key, version, kind(key)), tag="some"):
                notes.note("done", key, version)
            notes.note("begin", f"count-{number}", 1)
            cache.incr(f"count-{number}", default=0)
            notes.note("done", f"count-{number}", 1)
        board[number] += 1


def _read_copy(directory: Path) -> dict[str, Any]:
    cache = open_django(directory)
    found = {key: cache.get(key) for key in [*KEYS, *(f"count-{n}" for n in range(WRITERS))]}
    messages = [str(warning.message) for warning in cache.check()]
    return {
        "found": found,
        "messages": [text for text in messages if not text.startswith("unknown file")],
        "outcome": exercise(cache, 10**5),
        "broken": works(cache),
    }


def _between(ledgers: list[list[list[Any]]], key: str, value: Any) -> str | None:
    """What is wrong with the value, by what was acknowledged and begun when it was copied."""
    lines = [line for lines in ledgers for line in lines if line[1] == key]
    if key.startswith("count"):
        done = sum(line[0] == "done" for line in lines)
        begun = sum(line[0] == "begin" for line in lines)
        return None if done <= (value or 0) <= begun else f"{key}: {done} {value} {begun}"
    done = max((line[2] for line in lines if line[0] == "done"), default=0)
    begun = max((line[2] for line in lines), default=0)
    version = 0 if value is None else version_of(key, value)
    fine = version is not None and done <= version <= begun
    return None if fine else f"{key}: acknowledged {done}, begun {begun}, is {version}"


def _stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "T"


def _frozen_copies(tmp_path: Path, copies: int, seed: int, see: Callable[..., None]) -> None:
    """Call `see` with the copies, and the ledgers as they were when each was made."""
    random = Random(seed)
    directory = tmp_path / "cache"
    paths = [tmp_path / f"ledger-{number}" for number in range(WRITERS)]
    in_child(_fill, directory)
    board = Board(WRITERS + 1)
    with Children() as children:
        writers = [
            children.start(_write, directory, path, number, board)
            for number, path in enumerate(paths)
        ]
        until(lambda: all(board[number] for number in range(WRITERS)), "the first round")
        for number in range(copies):
            time.sleep(random.random() * 0.05)
            for writer in writers:
                writer.signal(signal.SIGSTOP)
            until(lambda: all(_stopped(writer.pid) for writer in writers), "all are stopped")
            copy = tmp_path / f"copy-{number}"
            shutil.copytree(directory, copy)
            ledgers = [noted(path) for path in paths]
            for writer in writers:
                writer.signal(signal.SIGCONT)
            see(copy, ledgers, random)
            shutil.rmtree(copy)
        board[STOP] = 1
        for writer in writers:
            writer.result()


def _fill(directory: Path) -> None:
    fill_in(open_django(directory), 0)


COPIES = [(6, 1), pytest.param(150, 2, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]


@pytest.mark.parametrize(("copies", "seed"), COPIES)
def test_frozen_nothing_acknowledged_is_missing(tmp_path: Path, copies: int, seed: int) -> None:
    def see(copy: Path, ledgers: Any, random: Random) -> None:
        outcome = in_child(_read_copy, copy)
        wrong = [_between(ledgers, key, value) for key, value in outcome["found"].items()]
        assert [text for text in wrong if text] == []
        assert outcome["messages"] == []
        assert outcome["broken"] == []
        assert outcome["outcome"].raised == []
        assert outcome["outcome"].wrong == []

    _frozen_copies(tmp_path, copies, seed, see)


def _synced(log: Path) -> int:
    """Bytes at the beginning of a log that were synced, since the database has some of them.

    The index of the log says how far somebody has begun to move it into the database
    (``nBackfillAttempted`` in https://www.sqlite.org/walformat.html).
    """
    index = Path(str(log).removesuffix("wal") + "shm").read_bytes()
    (frames,) = struct.unpack_from("=I", index, 128)
    (page,) = struct.unpack_from(">I", log.read_bytes(), 8)
    return int(32 + frames * (24 + page)) if frames else 0


def _tear(copy: Path, random: Random) -> None:
    """Lose what a disk may lose that was not synced."""
    for path in copy.rglob("*-wal"):
        size = path.stat().st_size
        synced = _synced(path) if size else 0
        if synced >= size:
            continue
        cut = random.randrange(synced, size)
        if random.random() < 0.5:
            os.truncate(path, cut)
        else:  # the length had been written, the blocks had not
            with path.open("r+b") as file:
                start = max(cut // 512 * 512, synced)
                file.seek(start)
                file.write(bytes(size - start))
    for path in copy.rglob("*-shm"):
        path.unlink()
    values = sorted(copy.rglob("*.val"), key=lambda path: path.stat().st_mtime)
    for path in values[-5:]:
        if random.random() < 0.5:
            os.truncate(path, 0)
    segment = copy / "segment"
    with segment.open("r+b") as file:  # pages that were stored into long ago and now
        for _ in range(10):
            file.seek(4096 + random.randrange(segment.stat().st_size // 4096 - 1) * 4096)
            file.write(random.choice((bytes(4096), random.randbytes(4096))))


@pytest.mark.parametrize(("copies", "seed"), COPIES)
def test_torn_no_value_is_wrong(tmp_path: Path, copies: int, seed: int) -> None:
    def see(copy: Path, ledgers: Any, random: Random) -> None:
        _tear(copy, random)
        outcome = in_child(_read_copy, copy)
        wrong = [
            (key, value)
            for key, value in outcome["found"].items()
            if key in KEYS and value is not None and version_of(key, value) is None
        ]
        assert wrong == [], seed
        # The databases are sound; a value file that lost its content is told by its size.
        assert [text for text in outcome["messages"] if "wrong file size" not in text] == []
        assert outcome["broken"] == []
        assert outcome["outcome"].raised == []
        assert outcome["outcome"].wrong == []

    _frozen_copies(tmp_path, copies, seed, see)


def _copy_carelessly(source: Path, target: Path, random: Random) -> None:
    """File by file, in any order; what vanishes meanwhile is left out."""
    paths = [path for path in source.rglob("*") if path.is_file()]
    random.shuffle(paths)
    for path in paths:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.copy(path, place)


@pytest.mark.parametrize(("copies", "seed"), COPIES)
def test_a_careless_copy_of_a_running_cache_opens(
    tmp_path: Path, copies: int, seed: int
) -> None:
    random = Random(seed)
    directory = tmp_path / "cache"
    in_child(_fill, directory)
    board = Board(WRITERS + 1)
    with Children() as children:
        writers: list[Child] = [
            children.start(_write, directory, tmp_path / f"ledger-{number}", number, board)
            for number in range(WRITERS)
        ]
        until(lambda: all(board[number] for number in range(WRITERS)), "the first round")
        for number in range(copies):
            copy = tmp_path / f"copy-{number}"
            _copy_carelessly(directory, copy, random)
            outcome = in_child(_read_copy, copy)
            assert outcome["outcome"].raised == [], f"copy {number}, seed {seed}"
            assert outcome["outcome"].wrong == [], f"copy {number}, seed {seed}"
            assert outcome["broken"] == [], f"copy {number}, seed {seed}"
            shutil.rmtree(copy)
        board[STOP] = 1
        for writer in writers:
            writer.result()
