"""Processes that are killed at random moments, over and over, while others go on.

Nothing that a collection, a counter, an `add` or a lock was acknowledged is lost, no database
is damaged, and what the dead left is swept.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

import pytest

from .processes import Board, Child, Children, in_child, until
from .workers import ROLES, Place, lost_writes, raised, unsound, work

LIVES = 0.02  # seconds that a worker has at most before it is killed


def _has_beaten(board: Board, number: int, before: int) -> bool:
    return board[number] > before


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (8, 1),
        pytest.param(50, 3, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
        pytest.param(3000, 2, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_nothing_acknowledged_is_lost_and_no_shard_is_damaged(
    tmp_path: Path, kills: int, seed: int
) -> None:
    random = Random(seed)
    place = Place(tmp_path)
    board = Board(len(ROLES) + 1)
    born = [0] * len(ROLES)
    killed: Counter[str] = Counter()
    with Children() as children:

        def start(number: int) -> Child:
            born[number] += 1
            return children.start(work, place, number, born[number], board)

        running = [start(number) for number in range(len(ROLES))]
        for _ in range(kills):
            number = random.randrange(len(ROLES))
            before = board[number]
            until(partial(_has_beaten, board, number, before), ROLES[number].__name__)
            time.sleep(random.random() * LIVES)
            victim = running[number]
            assert victim.exitcode is None, victim.result()
            victim.kill()
            victim.close()
            children.all.remove(victim)
            killed[ROLES[number].__name__] += 1
            running[number] = start(number)
        board[len(ROLES)] = 1
        for child in running:
            child.result()
    problems = in_child(lost_writes, place, killed)
    problems += in_child(unsound, place)
    assert problems == [], f"seed {seed}"
    assert raised(place) == {}
    assert sum(killed.values()) == kills
    assert min(board[number] for number in range(len(ROLES))) > 0
