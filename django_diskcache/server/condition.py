"""What is wrong with the servers of a cache, asked of themselves: for who runs a site.

Each look is a few commands to each server. One entry is stored, read and removed, which no site
looks for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..engine.clock import Clock
from ..engine.errors import Fault
from ..engine.faults import FAULTS
from .gauges import NodeFigures, of_node
from .node import Node

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
MOST_APART = 1.0  # seconds between two clocks
PROBE = "manage.py cachecheck"
FORGETFUL = "allkeys-"  # policies that may evict hints of tags, and locks


class Condition(NamedTuple):
    """Of one server.

    :param told: what was looked at, for people; '' where it does not answer
    :param problems: (kind, text) of what is wrong
    :param notes: what is not wrong and should be known
    """

    told: str
    problems: list[tuple[str, str]]
    notes: list[str]


def conditions(face: Any) -> list[Condition]:
    """Those of all servers of a cache, and whether it can be written to.

    :param face: one that raises its faults
    :raises Fault: when it is not known which servers there are
    """
    engine = face.engine
    found = [condition(node, engine.clock) for node in engine.link.nodes()]
    if not any(each.problems for each in found):
        try:
            face.set(PROBE, "x", expire=60)
            there = face.has(PROBE)  # which is counted as no hit
            face.delete(PROBE)
            if not there:
                problem = ("lost", f"{engine.directory}: what was just stored is not there")
                found[0].problems.append(problem)
        except FAULTS as error:
            found[0].problems.append(_problem(error))
    return found


def condition(node: Node, clock: Clock) -> Condition:
    """That of one server.

    :param clock: ours, seconds since the epoch
    """
    try:
        began = clock()
        seconds, micros = node.ask(b"TIME")
        ended = clock()
        figures = of_node(node)
    except FAULTS as error:
        return Condition("", [_problem(error)], [])
    now = int(seconds) + int(micros) / 1e6
    problems = [(kind, f"{node.name}: {text}") for kind, text in _wrong(figures)]
    apart = max(began - now, now - ended, 0.0)
    if apart > MOST_APART:
        text = (
            f"{node.name}: its clock is {apart:,.1f} seconds off that of this machine, and so "
            "are the ends of entries; set both by NTP"
        )
        problems.append(("clock", text))
    told = (
        f"{node.name}, {figures.program}, {figures.policy}, "
        f"answers in {(ended - began) * 1000:.1f} ms"
    )
    return Condition(told, problems, [f"{node.name}: {text}" for text in _notes(figures)])


def _wrong(figures: NodeFigures) -> list[tuple[str, str]]:
    found = []
    program, _, version = figures.program.partition(" ")
    oldest = OLDEST.get(program, (0, 0))
    if _numbers(version) < oldest:
        least = ".".join(map(str, oldest))
        found.append(("version", f"it is {figures.program}; {program} does from {least} on"))
    if not figures.primary:
        text = "it is a replica, which takes no writes; LOCATION must lead to the primary"
        found.append(("readonly", text))
    if figures.policy == "noeviction" and 0 < figures.memory_limit <= figures.memory:
        text = "its memory is used up, and maxmemory-policy noeviction lets nothing go"
        found.append(("full", text))
    return found


def _notes(figures: NodeFigures) -> list[str]:
    found = []
    if not figures.memory_limit:
        found.append("it has no maxmemory, so it takes what it can get")
    if figures.policy.startswith(FORGETFUL):
        found.append(
            f"maxmemory-policy {figures.policy} may evict what tags are found by, and locks; "
            "volatile-ttl does not"
        )
    return found


def _problem(error: Exception) -> tuple[str, str]:
    return (error.kind if isinstance(error, Fault) else "slow"), str(error)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
