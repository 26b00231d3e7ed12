"""Ways to damage a file: those that hardware, file systems and people have.

Everything is drawn from the generator that is passed in, so that a seed tells the whole case.
Files are changed in place, as seen by processes that have them open, but for `deleted`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

# What a damage raises on a file that its owner removes or empties at this moment.
TOO_LATE = (OSError, ValueError)


def _size(path: Path) -> int:
    return path.stat().st_size


def _has_something(path: Path) -> bool:
    try:
        return path.is_file() and _size(path) > 0
    except OSError:
        return False


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)


def bits_flipped(path: Path, random: Random) -> None:
    """Single bits, here and there."""
    for _ in range(random.choice((1, 3, 30))):
        offset = random.randrange(_size(path))
        with path.open("rb") as file:
            file.seek(offset)
            (byte,) = file.read(1)
        _overwrite(path, offset, bytes([byte ^ 1 << random.randrange(8)]))


def header_flipped(path: Path, random: Random) -> None:
    """Bytes among the first hundred, where formats say what they are."""
    for _ in range(random.choice((1, 8))):
        offset = random.randrange(min(100, _size(path)))
        _overwrite(path, offset, random.randbytes(1))


def garbage_written(path: Path, random: Random) -> None:
    """Some blocks are somebody else's."""
    for _ in range(random.choice((1, 4))):
        block = random.choice((512, 2048, 4096))
        _overwrite(
            path, random.randrange(_size(path) // block + 1) * block, random.randbytes(block)
        )


def zeros_written(path: Path, random: Random) -> None:
    """Some blocks are zeros, as after a power cut."""
    for _ in range(random.choice((1, 4))):
        block = random.choice((512, 2048, 4096))
        offset = random.randrange(_size(path) // block + 1) * block
        _overwrite(path, offset, bytes(min(block, max(_size(path) - offset, 1))))


def zeroed(path: Path, random: Random) -> None:
    """All of it is zeros."""
    _overwrite(path, 0, bytes(_size(path)))


def truncated(path: Path, random: Random) -> None:
    """The end is gone."""
    os.truncate(path, random.randrange(_size(path)))


def emptied(path: Path, random: Random) -> None:
    """Nothing is left but the name."""
    os.truncate(path, 0)


def extended(path: Path, random: Random) -> None:
    """There is more than there was."""
    with path.open("ab") as file:
        file.write(random.randbytes(random.choice((1, 100, 5000))))


def deleted(path: Path, random: Random) -> None:
    """It is not there any more."""
    path.unlink()


def made_a_directory(path: Path, random: Random) -> None:
    """Something else has its name."""
    path.unlink()
    path.mkdir()


Damage = Callable[[Path, Random], None]

DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (
        bits_flipped,
        header_flipped,
        garbage_written,
        zeros_written,
        zeroed,
        truncated,
        emptied,
        extended,
        deleted,
        made_a_directory,
    )
}

# Files of one shard in `directory`, by what they are.
TARGETS: dict[str, Callable[[Path], list[Path]]] = {
    "database": lambda top: sorted(top.glob("0*/cache.sqlite3")),
    "log": lambda top: sorted(top.glob("0*/cache.sqlite3-wal")),
    "shared memory": lambda top: sorted(top.glob("0*/cache.sqlite3-shm")),
    "segment": lambda top: [top / "segment"],
    "value file": lambda top: sorted(top.glob("0*/??/*.val")),
}

# What truncates a mapping that a process is looking at kills it by SIGBUS: SQLite maps its -shm
# file, the cache its segment. And a -shm file that is changed under those who use it is as if
# their memory were. So while processes run, only this is done to them.
MAPPED = {"segment": ("deleted", "bits_flipped", "zeroed"), "shared memory": ("deleted",)}


def victim(top: Path, target: str, random: Random) -> Path | None:
    """One of the files that are `target`s and have something in them."""
    found = [path for path in TARGETS[target](top) if _has_something(path)]
    return random.choice(found) if found else None
