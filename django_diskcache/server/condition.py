"""What is wrong with a server and what is risky about it, asked of itself: for who runs a site.

`manage.py check --deploy` and `cachecheck` look at the same things, and say them in the same
words. Each server is asked on a connection of its own, all of them at the same time. What a
user may not ask is left out, and no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from ..engine.clock import Clock
from ..engine.errors import Fault
from ..engine.faults import FAULTS
from ..engine.together import together
from .address import Address
from .gauges import NodeFigures, of_node
from .lines import TRACKING
from .link import Link
from .listener import CHANNEL
from .node import Node
from .trouble import POLICY, REMEDIES

T = TypeVar("T")

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
MOST_APART = 1.0  # seconds between two clocks
PATIENCE = 10.0  # seconds that all servers together have to answer
PROBE = "manage.py cachecheck"  # a key that no site looks for
KEEPS_ALL = "noeviction"
FORGETFUL = "allkeys-"  # policies that may evict what lives for ever, such as a lock
NO_CLUSTER = "cluster mode is not enabled"  # what the client says of a node that is none


class Finding(NamedTuple):
    """Something wrong or risky.

    :param kind: what, in a word; of a server that cannot be used the kind of its fault
    :param text: what goes on after "The server"
    :param remedy: what to do about it, in sentences
    :param wrong: whether the cache does not work for it, or not rightly
    """

    kind: str
    text: str
    remedy: str
    wrong: bool = True


@dataclass(frozen=True)
class Condition:
    """How one server is.

    :param name: its address, as it may be shown
    :param figures: None where it did not tell
    :param trouble: why it cannot be used
    :param ahead: seconds that its clock is ahead of ours, as far as that can be told
    :param round_trip: seconds from a question to its answer
    :param unheard: why this user cannot listen to what changes; '' where he can
    :param unsaid: commands that this user may not call
    """

    name: str
    figures: NodeFigures | None = None
    trouble: Exception | None = None
    ahead: float = 0.0
    round_trip: float = 0.0
    unheard: str = ""
    unsaid: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What was looked at, for people; '' where it cannot be used."""
        if self.trouble is not None:
            return ""
        told = [self.name]
        if self.figures is not None:
            told += [self.figures.program, self.figures.policy]
        return ", ".join([*told, f"answers in {self.round_trip * 1000:.2f} ms"])

    @property
    def too_old(self) -> str:
        """The oldest version that will do, where it is older; else ''."""
        if self.figures is None:
            return ""
        program, _, version = self.figures.program.partition(" ")
        numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
        oldest = OLDEST[program]
        return "" if numbers[:2] >= oldest else ".".join(map(str, oldest))

    def findings(self, clustered: bool, remembers: bool) -> Iterator[Finding]:
        """What is wrong, and what is risky.

        :param clustered: whether LOCATION is a list of nodes
        :param remembers: whether there is a near cache
        """
        if self.trouble is not None:
            yield self._of_trouble(clustered)
            return
        if self.figures is not None:
            yield from self._of_figures(self.figures, clustered)
        if abs(self.ahead) > MOST_APART:
            way = "ahead of" if self.ahead > 0 else "behind"
            yield Finding(
                "clock",
                f"has a clock that is {abs(self.ahead):,.1f} seconds {way} that of this "
                "machine: what this process remembers may end so much too late or too early",
                "Let both go by NTP.",
            )
        if remembers and self.unheard:
            yield Finding(
                "unheard",
                f"does not let this user listen to what changes, so nothing is remembered in "
                f"this process: {self.unheard}",
                "Let the user have the channel and the commands: ACL SETUSER name "
                f"&{CHANNEL.decode()} +subscribe +client.",
                wrong=False,
            )
        if self.unsaid:
            yield Finding(
                "unsaid",
                f"does not let this user call {' and '.join(self.unsaid)}, so not all could "
                "be looked at",
                "The cache works without.",
                wrong=False,
            )

    def _of_trouble(self, clustered: bool) -> Finding:
        if clustered and NO_CLUSTER in str(self.trouble).lower():
            return Finding(
                "cluster",
                "is not in cluster mode, and LOCATION is a list, as of a cluster",
                "Give its address alone, such as valkey://host:6379/0.",
            )
        kind = self.trouble.kind if isinstance(self.trouble, Fault) else "slow"
        advice = "See whether it runs, and whether this machine and this user may reach it."
        if kind == "denied":
            advice = REMEDIES[kind]
        return Finding(
            kind,
            f"cannot be used from here: {self.trouble}",
            f"{advice} The site works without it, and computes everything anew.",
        )

    def _of_figures(self, figures: NodeFigures, clustered: bool) -> Iterator[Finding]:
        if self.too_old:
            yield Finding(
                "version",
                f"is {figures.program}, which lacks commands that are needed",
                f"Install {self.too_old} or a newer one.",
            )
        if figures.clustered and not clustered:
            yield Finding(
                "cluster",
                "is a node of a cluster: what belongs to other nodes is not stored",
                "Give LOCATION a list of nodes, from which the others are learned, such as "
                "['valkey://host:6379'].",
            )
        if not figures.primary:
            yield Finding(
                "readonly",
                "is a replica: nothing can be stored there",
                "LOCATION must lead to the primary, or to sentinels that know it: sentinel://.",
            )
        limit, policy = figures.memory_limit, figures.policy
        if not limit:
            yield Finding(
                "limit",
                "has no maxmemory: it takes what it can get, until the system ends it",
                f"Set maxmemory to less than the machine has. {POLICY}",
                wrong=False,
            )
        elif policy == KEEPS_ALL and figures.memory >= limit:
            yield Finding(
                "full",
                f"has used up its {limit:,} bytes, and maxmemory-policy {policy} lets nothing "
                "go: nothing more is stored",
                f"Raise maxmemory. {POLICY}",
            )
        elif policy == KEEPS_ALL:
            yield Finding(
                "keeps",
                f"has maxmemory-policy {policy}: when its {limit:,} bytes are in use, nothing "
                "more is stored",
                POLICY,
                wrong=False,
            )
        if policy.startswith(FORGETFUL):
            yield Finding(
                "forgets",
                f"has maxmemory-policy {policy}: when it is full, it may evict what entries "
                "with a tag are found by, and locks that are held",
                POLICY,
                wrong=False,
            )
        elif limit and policy != KEEPS_ALL:
            yield Finding(
                "evicts",
                f"has maxmemory-policy {policy}: when it is full, it may evict what entries "
                "with a tag are found by, and locks with a timeout",
                POLICY,
                wrong=False,
            )


def conditions(link: Link, clock: Clock, seconds: float = PATIENCE) -> list[Condition]:
    """Those of all servers of an address, in the order of their names.

    :param clock: ours, seconds since the epoch
    :param seconds: that are waited for who they are, and for what they say
    """
    where = link.address.text
    (nodes,) = together([partial(_nodes, link)], seconds)
    if not isinstance(nodes, list):
        return [nodes or _late(where, seconds)]
    nodes.sort(key=lambda node: node.name)
    found = together([partial(condition, node, clock) for node in nodes], seconds)
    return [each or _late(node.name, seconds) for node, each in zip(nodes, found, strict=True)]


def conditions_at(address: Address, patience: float, clock: Clock) -> list[Condition]:
    """Those of all servers of an address that is not in use; no connection is left open.

    :param patience: seconds for a connection, and for each answer
    """
    waits = {"socket_timeout": patience, "socket_connect_timeout": patience}
    link = Link(address._replace(arguments={**address.arguments, **waits}), patience)
    with closing(link):
        return conditions(link, clock, 3 * patience)


def condition(node: Node, clock: Clock) -> Condition:
    """That of one server."""
    own = Node(node.make, node.name, node.patience, lambda: None, node.clustered)
    with closing(own):
        try:
            return _condition(own, clock)
        except Exception as error:  # of the client as well: a look must not fail for it
            return Condition(node.name, trouble=_fault(error, node.name))


def takes_writes(face: Any) -> Finding | None:
    """What keeps a cache from being written to: an entry is stored, read and removed.

    :param face: one that raises its faults
    """
    try:
        face.set(PROBE, "x", expire=60)
        there = face.has(PROBE)  # which is counted as no hit
        face.delete(PROBE)
    except FAULTS as error:
        kind = error.kind if isinstance(error, Fault) else "slow"
        return Finding(kind, f"takes no writes: {error}", REMEDIES[kind])
    if there:
        return None
    return Finding("lost", "does not have what was just stored", "See who else removes it.")


def _condition(node: Node, clock: Clock) -> Condition:
    node.ask(b"PING")  # by which it is connected to: later, 'denied' is about a command
    begun = time.monotonic()
    node.ask(b"PING")
    round_trip = time.monotonic() - begun
    unsaid = []

    def allowed(name: str, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except Fault as error:
            if error.kind not in ("denied", "other"):
                raise
            unsaid.append(name)
            return None

    before = clock()
    answer = allowed("TIME", lambda: node.ask(b"TIME"))
    after = clock()
    ahead = 0.0
    if answer is not None:
        now = int(answer[0]) + int(answer[1]) / 1e6
        # Between the two looks at our clock it was made, and it is not known when.
        ahead = now - after if now > after else min(now - before, 0.0)
    figures = allowed("INFO", lambda: of_node(node))
    unheard = _unheard(node)
    return Condition(node.name, figures, None, ahead, round_trip, unheard, tuple(unsaid))


def _unheard(node: Node) -> str:
    """Why this user cannot be told of changes, as the listener is; '' where he can."""
    try:
        identity = b"%d" % node.ask(b"CLIENT", b"ID")
        node.ask(*TRACKING, identity, b"OPTOUT")
        node.ask(b"CLIENT", b"TRACKING", b"OFF")
        node.ask(b"SUBSCRIBE", CHANNEL)
    except Fault as error:
        if error.kind not in ("denied", "other"):
            raise
        return str(error)
    return ""


def _nodes(link: Link) -> list[Node] | Condition:
    try:
        return link.nodes()
    except Exception as error:
        where = link.address.text
        return Condition(where, trouble=_fault(error, where))


def _fault(error: Exception, where: str) -> Exception:
    if isinstance(error, FAULTS):
        return error
    return Fault("other", where, f"{type(error).__name__}: {error}")


def _late(name: str, seconds: float) -> Condition:
    fault = Fault("slow", name, f"no answer within {seconds:g} s")
    return Condition(name, trouble=fault)
