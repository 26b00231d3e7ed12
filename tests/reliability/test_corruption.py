"""Files that are damaged, before a start and under running processes.

Each case is drawn from a seed, which is in the name of the test and in what it says when it
fails. No value may be wrong, whether it is signed, as pickles are, or has a checksum.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from django_diskcache.engine.segment import HEADER_BYTES

from .damage import DAMAGES, MAPPED, TARGETS, TOO_LATE, victim, zeroed
from .faces import (
    KEYS,
    Outcome,
    Watch,
    exercise,
    fill_in,
    logged,
    open_django,
    works,
)
from .processes import Board, Child, Children, in_child, until

QUICK = 2  # seeds that are tried each time
SEEDS = [
    *range(QUICK),
    *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(QUICK, 100)),
]


def _prepare(top: Path) -> None:
    """A filled cache as processes leave it that are killed: with its logs."""
    cache = open_django(top / "open")
    fill_in(cache)
    shutil.copytree(top / "open", top / "killed", symlinks=True)
    cache.shutdown()
    shutil.copytree(top / "open", top / "closed", symlinks=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("prepared")
    in_child(_prepare, top)
    return top


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, symlinks=True)
    return target


def _use(directory: Path) -> tuple[Any, list[str]]:
    cache = open_django(directory)
    return exercise(cache), works(cache)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", TARGETS)
def test_damaged_before_the_start(
    prepared: Path, tmp_path: Path, target: str, seed: int
) -> None:
    for name, damage in DAMAGES.items():
        random = Random(f"{seed} {target} {name}")
        state = random.choice(("killed", "closed"))
        if target in ("log", "shared memory"):  # a closed cache has none
            state = "killed"
        case = f"{name}, {target}, {state}, seed {seed}"
        directory = _copy(prepared / state, tmp_path / name)
        path = victim(directory, target, random)
        assert path is not None, case
        damage(path, random)
        outcome, broken = in_child(_use, directory)
        assert outcome.raised == [], f"{case}: {outcome.raised[0]}"
        assert outcome.wrong == [], case
        assert broken == [], case
        shutil.rmtree(directory)


# While processes run

STOP, FIRST = 0, 1  # on the board: whether to stop, and how often each child went around
RUNNERS = 2
ROUNDS = 2  # that each child goes around after the damage


def _run(directory: Path, board: Board, number: int) -> tuple[Outcome, list[str]]:
    cache = open_django(directory)
    total = Watch()
    while not board[STOP]:
        outcome = exercise(cache, 2 + board[FIRST + number])
        total.wrong += outcome.wrong
        total.raised += outcome.raised
        board[FIRST + number] += 1
    return total.outcome(), works(cache)


def _all_went_around(running: list[Child], board: Board, case: str, rounds: int) -> bool:
    for child in running:
        assert child.exitcode is None, (case, child.exitcode, child.result())
    return all(board[FIRST + number] >= rounds for number in range(len(running)))


@pytest.mark.parametrize("seed", SEEDS[:1] + SEEDS[QUICK:30])
@pytest.mark.parametrize("target", TARGETS)
def test_damaged_while_running(prepared: Path, tmp_path: Path, target: str, seed: int) -> None:
    names = list(MAPPED.get(target, DAMAGES))
    for name in names if seed else names[::3]:  # a quick run takes a few
        random = Random(f"{seed} {target} {name}")
        case = f"{name}, {target}, seed {seed}"
        directory = _copy(prepared / "killed", tmp_path / name)
        board = Board(FIRST + RUNNERS)
        with Children() as children:
            running = [children.start(_run, directory, board, n) for n in range(RUNNERS)]

            all_are = partial(_all_went_around, running, board, case)
            until(partial(all_are, 1), case)
            path = until(partial(victim, directory, target, random), case)
            try:
                DAMAGES[name](path, random)
            except TOO_LATE:
                continue  # such as a value file that was just overwritten
            goal = max(board[FIRST + n] for n in range(RUNNERS)) + ROUNDS
            until(partial(all_are, goal), case)
            board[STOP] = 1
            for child in running:
                outcome, _ = child.result()
                assert outcome.raised == [], f"{case}: {outcome.raised[0]}"
                assert outcome.wrong == [], case
        assert in_child(_works, directory) == [], case
        shutil.rmtree(directory)


def _works(directory: Path) -> list[str]:
    return works(open_django(directory))


# What healing leaves alone, and what it leaves behind


def _shard_keys(directory: Path) -> dict[str, set[str]]:
    """The keys of each shard, by what is missing when it is damaged."""
    found = {}
    for shard in sorted(path.name for path in directory.glob("0*")):
        copy = directory.with_name(f"without-{shard}")
        shutil.copytree(directory, copy)
        zeroed(copy / shard / "cache.sqlite3", Random(1))
        found[shard] = set(KEYS) - set(open_django(copy).get_many(KEYS))
    return found


def _found(directory: Path) -> dict[str, Any]:
    return dict(open_django(directory).get_many(KEYS))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["garbage_written", "header_flipped", "zeroed", "deleted"])
def test_the_other_shards_are_untouched(
    prepared: Path, tmp_path: Path, name: str, seed: int
) -> None:
    random = Random(f"{seed} {name}")
    directory = _copy(prepared / "closed", tmp_path / "cache")
    before = in_child(_found, directory)
    keys = in_child(_shard_keys, directory)
    assert set().union(*keys.values()) == before.keys() == set(KEYS)
    path = victim(directory, "database", random)
    assert path is not None
    DAMAGES[name](path, random)
    files = {
        other: other.read_bytes()
        for other in sorted(directory.rglob("*.val"))
        if path.parent not in other.parents
    }
    found = in_child(_found, directory)
    for shard, own in keys.items():
        if shard != path.parent.name:
            assert {key: found.get(key) for key in own} == {key: before[key] for key in own}
    assert {other: other.read_bytes() for other in files} == files


def _incidents(
    directory: Path, incidents: int, seed: int
) -> list[tuple[list[Path], list[str]]]:
    """What was put aside after each of several incidents, and what the log said meanwhile."""
    random = Random(seed)
    cache = open_django(directory, near_cache_size=0)
    outcomes = []
    for _ in range(incidents):
        fill_in(cache)
        known = _put_aside(directory)
        cache.shutdown()
        damaged = directory / f"{random.randrange(3):03d}" / "cache.sqlite3"
        zeroed(damaged, random)
        with Children() as children:  # several find it at once
            finders = [children.start(_find, directory) for _ in range(3)]
            said = [line for finder in finders for line in finder.result()]
        outcomes.append(([p for p in _put_aside(directory) if p not in known], said))
    return outcomes


def _find(directory: Path) -> list[str]:
    lines = logged()
    outcome = exercise(open_django(directory, near_cache_size=0))
    assert outcome.raised == []
    return lines


def _put_aside(directory: Path) -> list[Path]:
    """Files that are no part of the cache."""
    own = {"lock", "segment", "reserve"}
    return sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and path.name not in own
        and path.suffix != ".val"
        and not path.name.startswith("cache.sqlite3")
        and not path.name.endswith(("-wal", "-shm"))
    )


def test_a_damaged_database_is_put_aside_once_and_few_are_kept(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    incidents = 6
    outcomes = in_child(_incidents, directory, incidents, 1)
    for number, (files, lines) in enumerate(outcomes):
        assert len(files) == 1, f"incident {number}: {files}"
        naming = [line for line in lines if str(files[0]) in line]
        assert len(naming) == 1, f"incident {number}: {lines}"
    assert len(_put_aside(directory)) <= 3


GARBAGE: dict[str, Callable[[int], bytes]] = {
    "ones": lambda size: b"\xff" * size,
    "most": lambda size: (b"\xff" * 7 + b"\x7f") * (size // 8),  # the largest numbers
    "random": Random(1).randbytes,
    "zeros": bytes,
}


def _use_twice(directory: Path) -> tuple[Outcome, list[str]]:
    cache = open_django(directory)
    outcome = exercise(cache)
    works(cache)  # what is wrong may be found out by this
    return outcome, works(cache)


@pytest.mark.parametrize("name", GARBAGE)
def test_a_segment_of_garbage(prepared: Path, tmp_path: Path, name: str) -> None:
    """All of it is derived: whatever is there, entries are stored, found and kept."""
    directory = _copy(prepared / "closed", tmp_path / "cache")
    segment = directory / "segment"
    size = segment.stat().st_size - HEADER_BYTES
    with segment.open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(GARBAGE[name](size))
    outcome, broken = in_child(_use_twice, directory)
    assert outcome.raised == []
    assert outcome.wrong == []
    assert broken == []
    assert len(in_child(_found, directory)) == len(KEYS)
