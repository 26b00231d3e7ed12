"""Locks whose holders were killed, and locks in a cache that evicts everything else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache import BoundedSemaphore, FanoutCache, Lock, RLock
from tests.engine.processes import SharedClock

from .processes import Board, Children, in_child, until

RECIPES: dict[str, Callable[..., Any]] = {
    "Lock": Lock,
    "RLock": RLock,
    "BoundedSemaphore": BoundedSemaphore,
}
recipes = pytest.mark.parametrize("recipe", RECIPES)


def _cache(directory: Path, clock: Any) -> FanoutCache:
    options: dict[str, Any] = {"size_limit": 2**20, "sqlite_synchronous": 0}  # no power fails
    return FanoutCache(str(directory), shards=2, timeout=60, clock=clock, **options)


def _hold_and_die(directory: Path, clock: Any, recipe: str, expire: float | None) -> None:
    RECIPES[recipe](_cache(directory, clock), "the lock", expire=expire).acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def _acquire(directory: Path, clock: Any, recipe: str, board: Board) -> None:
    board[0] += 1
    RECIPES[recipe](_cache(directory, clock), "the lock").acquire()
    board[1] += 1


def _dead_holder(directory: Path, clock: Any, recipe: str, expire: float | None) -> None:
    with Children() as children:
        child = children.start(_hold_and_die, directory, clock, recipe, expire)
        until(lambda: child.exitcode is not None, "the end of the holder")
        assert child.exitcode == -signal.SIGKILL


def _press(directory: Path, clock: Any) -> tuple[int, int]:
    """Store eight times as much as is kept; how many entries, and how many are left."""
    cache = _cache(directory, clock)
    for number in range(400):
        cache.set(number, bytes(20_000))
    cache.cull()
    return 400, len(cache)


@recipes
def test_it_stays_taken_until_it_expires(tmp_path: Path, recipe: str) -> None:
    clock = SharedClock(tmp_path / "clock")
    directory = tmp_path / "cache"
    _dead_holder(directory, clock, recipe, 60)
    board = Board(2)
    with Children() as children:
        waiting = children.start(_acquire, directory, clock, recipe, board)
        until(lambda: board[0], "somebody waits for the lock")
        clock.advance(59)
        in_child(_press, directory, clock)
        assert board[1] == 0
        assert waiting.exitcode is None
        clock.advance(2)
        waiting.result()
    assert board[1] == 1


@recipes
def test_without_an_expiry_it_stays_taken_whatever_is_evicted(
    tmp_path: Path, recipe: str
) -> None:
    clock = SharedClock(tmp_path / "clock")
    directory = tmp_path / "cache"
    _dead_holder(directory, clock, recipe, None)
    board = Board(2)
    with Children() as children:
        waiting = children.start(_acquire, directory, clock, recipe, board)
        until(lambda: board[0], "somebody waits for the lock")
        stored, left = in_child(_press, directory, clock)
        assert left < stored / 2
        clock.advance(10 * 365 * 86400)
        in_child(_press, directory, clock)
        assert board[1] == 0
        in_child(_free, directory, clock, recipe)  # as an operator would
        waiting.result()
    assert board[1] == 1


def _free(directory: Path, clock: Any, recipe: str) -> None:
    _cache(directory, clock).delete("the lock", retry=True)
