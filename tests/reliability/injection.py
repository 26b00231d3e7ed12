"""The faults of the soak, each a function of the running `Soak`.

It returns when the fault is over; what is left is to heal. How long one lasts is counted by
what the servers do meanwhile, with a bound, since some faults leave them little to do.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .damage import DAMAGES, MAPPED, TARGETS, TOO_LATE, victim
from .faces import fill_in, open_django
from .places import fill
from .processes import Child, in_child
from .serving import FORK, INTERRUPT, SERVERS
from .workers import ROLES

if TYPE_CHECKING:
    from .soak import Soak

LONGEST = 1.0  # seconds that a fault lasts which has to end
SOME = 60  # calls that each server makes meanwhile, if it can
JUMPS = (-86400, -3600, -10, 10, 3600, 86400)  # seconds
BURST = 4  # signals in a row


def fill_backup(directory: Path) -> None:
    """What a directory is restored from."""
    fill_in(open_django(directory, size_limit=2**24))


def _meanwhile(soak: Soak) -> None:
    """Let the servers make some calls."""
    operations = [soak.bulletin.of(number, "operations") + SOME for number in range(SERVERS)]
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and not all(
        soak.bulletin.of(number, "operations") >= goal for number, goal in enumerate(operations)
    ):
        time.sleep(0.002)


def _pause(soak: Soak) -> None:
    time.sleep(soak.random.random() * 0.02)


def kill_a_server(soak: Soak) -> None:
    for _ in range(BURST):
        _pause(soak)
        soak.replace(soak.random.choice(soak.servers))


def kill_a_worker(soak: Soak) -> None:
    for _ in range(BURST):
        _pause(soak)
        soak.replace(soak.random.choice(soak.workers))


def kill_a_checkpoint(soak: Soak) -> None:
    for _ in range(BURST):
        _pause(soak)
        names = [role.__name__ for role in ROLES]
        soak.replace(soak.workers[names.index("checkpoint")])


def kill_everybody(soak: Soak) -> None:
    for child in [*soak.servers, *soak.workers]:
        child.signal(signal.SIGKILL)
    for child in [*soak.servers, *soak.workers]:
        soak.replace(child)


def interrupt(soak: Soak) -> None:
    for _ in range(BURST * 5):
        _pause(soak)
        soak.random.choice(soak.servers).signal(INTERRUPT)


def fork(soak: Soak) -> None:
    for _ in range(BURST):
        _pause(soak)
        soak.random.choice(soak.servers).signal(FORK)


def stop_and_continue(soak: Soak) -> None:
    child: Child = soak.random.choice([*soak.servers, *soak.workers])
    child.signal(signal.SIGSTOP)
    time.sleep(0.1)
    child.signal(signal.SIGCONT)


def damage(target: str, soak: Soak) -> None:
    path = victim(soak.cache, target, soak.random)
    if path is not None:
        name = soak.random.choice(list(MAPPED.get(target, DAMAGES)))
        soak.detail = f"{name}: {path.relative_to(soak.cache)}"
        with suppress(*TOO_LATE):
            DAMAGES[name](path, soak.random)


def remove_directory(soak: Soak) -> None:
    shutil.rmtree(soak.cache, ignore_errors=True)


def move_directory_away(soak: Soak) -> None:
    with suppress(FileNotFoundError):
        away = soak.disk / "away"
        soak.cache.rename(away)
        shutil.rmtree(away)


def remove_a_shard(soak: Soak) -> None:
    shutil.rmtree(soak.cache / f"{soak.random.randrange(3):03d}", ignore_errors=True)


def restore_a_backup(soak: Soak) -> None:
    with suppress(FileNotFoundError):
        away = soak.disk / "away"
        shutil.copytree(soak.backup, soak.disk / "restored")
        soak.cache.rename(away)
        try:
            (soak.disk / "restored").rename(soak.cache)
        except OSError:  # a process was quicker to make it anew
            shutil.rmtree(soak.disk / "restored")
        shutil.rmtree(away)


def fill_the_disk(soak: Soak) -> None:
    filler = fill(soak.disk)
    try:
        _meanwhile(soak)
        fill(soak.disk)
        _meanwhile(soak)
    finally:
        filler.unlink()


def use_up_descriptors(soak: Soak) -> None:
    child: Child = soak.random.choice([*soak.servers, *soak.workers])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ProcessLookupError):
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            _meanwhile(soak)
        finally:
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, before)


def set_the_clock(soak: Soak) -> None:
    soak.bulletin.put("clock", soak.bulletin.get("clock") + soak.random.choice(JUMPS))


def cut_the_power(soak: Soak) -> None:
    """Stop everybody, take a copy of all files, and look at it elsewhere."""
    everybody = [*soak.servers, *soak.workers]
    copy = soak.top / "copy"
    for child in everybody:
        child.signal(signal.SIGSTOP)
    try:
        for child in everybody:
            _wait_for_state(child.pid, "T")
        shutil.copytree(soak.place.top, copy)
        shutil.copytree(soak.place.ledgers, soak.top / "ledgers")
    finally:
        for child in everybody:
            child.signal(signal.SIGCONT)
    try:
        problems = in_child(_look_at_copy, copy, soak.top / "ledgers")
        soak.report.lost += [f"in a copy: {text}" for text in problems]
    finally:
        shutil.rmtree(copy)
        shutil.rmtree(soak.top / "ledgers")


def _wait_for_state(pid: int, state: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return
        if text.rsplit(")", 1)[1].split()[0] in (state, "Z"):
            return
        time.sleep(0.001)


def _look_at_copy(copy: Path, ledgers: Path) -> list[str]:
    from collections import Counter

    from .workers import Place, lost_writes, raised, unsound

    place = Place(copy, ledgers)
    everybody = Counter(role.__name__ for role in ROLES)  # each has something in its hands
    return lost_writes(place, everybody + raised(place)) + unsound(place)


Fault = Callable[["Soak"], None]


def available(small: bool) -> dict[str, Fault]:
    """The faults by their names.

    :param small: whether the disk is one that may be filled
    """
    found: dict[str, Fault] = {
        each.__name__.replace("_", " "): each
        for each in (
            kill_a_server,
            kill_a_worker,
            kill_a_checkpoint,
            kill_everybody,
            interrupt,
            fork,
            stop_and_continue,
            remove_directory,
            move_directory_away,
            remove_a_shard,
            restore_a_backup,
            set_the_clock,
            cut_the_power,
        )
    }
    found |= {f"damage a {target}": partial(damage, target) for target in TARGETS}
    if hasattr(resource, "prlimit") and os.path.exists("/proc/self/fd"):
        found["use up descriptors"] = use_up_descriptors
    if small:
        found["fill the disk"] = fill_the_disk
    return found
