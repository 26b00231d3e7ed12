"""Processes that are killed at random moments, over and over, while others go on.

Nothing that a collection, a counter, an `add` or a lock was acknowledged is lost, no database
is damaged, and what the dead left is swept.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from .processes import Board, Child, Children, Ledger, in_child, noted, until
from .workers import ROLES, Place, lock_problems, lost_writes, unsound, work

LIVES = 0.02  # seconds that a worker has at most before it is killed
TAKES_LOCKS = [number for number, role in enumerate(ROLES) if role.__name__ == "lock"]


def _free_lock(place: Place, dead: int) -> None:
    """The lock of a holder that died inside is still held; free it as an operator would.

    Where it died before it wrote down that it had entered, there is no telling by the journal
    whose lock it is: the value says who took it.
    """
    name = f"lock-{dead}"
    cache = place.fanout()
    last = [line for line in noted(place.ledger("inside"), 10_000) if line[1] == name][-1:]
    inside = bool(last) and last[0][0] == "enter"
    holder = cache.get("the lock", retry=True)
    if inside:
        # Unless it died between its release and the note of the next try.
        assert holder == name, f"{name} died inside, and the lock is held by {holder}"
    if holder == name:
        Ledger(place.ledger("inside")).note("freed", name, last[0][2] if last else 0, last[0][3] if last else 0)
        cache.delete("the lock", retry=True)


@pytest.mark.parametrize(
    ("kills", "seed"),
    [
        (120, 1),
        pytest.param(3000, 2, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
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
            until(lambda: board[number] > before, f"a beat of {ROLES[number].__name__}")
            time.sleep(random.random() * LIVES)
            victim = running[number]
            assert victim.exitcode is None, victim.result()
            victim.kill()
            victim.close()
            children.all.remove(victim)
            killed[ROLES[number].__name__] += 1
            if number in TAKES_LOCKS:
                in_child(_free_lock, place, number)
            running[number] = start(number)
        board[len(ROLES)] = 1
        for child in running:
            child.result()
    problems = in_child(lost_writes, place, killed) + in_child(lock_problems, place)
    problems += in_child(unsound, place)
    assert problems == [], f"seed {seed}"
    assert sum(killed.values()) == kills
    assert min(board[number] for number in range(len(ROLES))) > 0
