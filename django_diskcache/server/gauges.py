"""What a cache on a server has done, and what its servers say of themselves.

A directory is one cache's own; a server may have others on it. So hits and misses are ours, and
memory, keys and evictions are those of the server, whoever they belong to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeVar

from ..engine.errors import Fault
from ..engine.faults import FAULTS
from ..engine.statistics import NearFigures
from ..engine.together import together
from .node import Node
from .remote import Remote
from .traffic import HITS, MISSES, is_count
from .trouble import KINDS

T = TypeVar("T")

PATIENCE = 1.0  # seconds that all servers together have to answer, however long calls wait


@dataclass(frozen=True)
class NodeFigures:
    """Of one server, since it was started.

    :param name: its address
    :param program: what it is, such as 'redis' or 'valkey', and its version
    :param memory: bytes that its data takes
    :param memory_limit: bytes that it may take; 0 is no limit
    :param policy: what goes when the limit is reached
    :param keys: in the database of the cache
    :param evicted: keys that went for the limit
    :param expired: keys that went because their time was over
    :param hits: reads of all clients that found something
    :param clients: connections to it
    :param tracked: keys whose changes it will tell somebody of
    :param primary: whether it takes writes
    :param replicas: how many servers copy it
    :param round_trip: seconds from a question to its answer
    :param slots: of a cluster, which of its 16384 it has: (first, last) of each range
    :param clustered: whether it is in cluster mode
    """

    name: str
    program: str
    memory: int
    memory_limit: int
    policy: str
    keys: int
    evicted: int
    expired: int
    hits: int
    misses: int
    clients: int
    tracked: int
    primary: bool
    replicas: int = 0
    round_trip: float = 0.0
    slots: Sequence[tuple[int, int]] = ()
    clustered: bool = False

    @property
    def hit_ratio(self) -> float | None:
        """Hits of all clients as a part of all reads, from 0 to 1; None if there were none."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None

    @property
    def filled(self) -> float | None:
        """The part of its limit that its memory takes; None if there is no limit."""
        return self.memory / self.memory_limit if self.memory_limit else None

    @property
    def slot_count(self) -> int:
        """How many slots of a cluster it has."""
        return sum(last - first + 1 for first, last in self.slots)


class Away(NamedTuple):
    """A server that did not answer, and why."""

    name: str
    fault: Fault


@dataclass(frozen=True)
class ServerFigures:
    """Of a cache.

    :param hits: of all processes, as far as they have told
    :param errors: faults that became a miss, by kind; of all processes where `told`, else of
        this one
    :param near: what this process remembers
    :param listening: whether all servers tell this process of changes
    :param nodes: those servers that answered
    :param away: those that did not
    :param told: whether the server has told what was counted
    :param untold: why it has not, where that is not because it is away
    :param server_name: what the names of the cache's keys begin with
    """

    hits: int
    misses: int
    errors: Mapping[str, int]
    counting: bool
    near: NearFigures
    listening: bool
    nodes: Sequence[NodeFigures]
    away: Sequence[Away] = ()
    told: bool = True
    untold: Fault | None = None
    server_name: str = ""
    shards: ClassVar[Sequence[Any]] = ()  # not in files
    counts: ClassVar[tuple[str, str]] = ("key", "keys")  # what `held` is a number of

    @property
    def hit_ratio(self) -> float | None:
        """Hits as a part of all reads, from 0 to 1; None when there were none."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None

    @property
    def memory(self) -> int:
        """Bytes that the data of all servers takes."""
        return sum(node.memory for node in self.nodes)

    # As `Statistics` has them; all are those of the servers, whoever they belong to

    @property
    def held(self) -> int:
        """How many keys there are."""
        return sum(node.keys for node in self.nodes)

    @property
    def taken(self) -> int:
        """Bytes that they take."""
        return self.memory

    @property
    def gone(self) -> int:
        """Keys that were evicted or whose time was over."""
        return sum(node.evicted + node.expired for node in self.nodes)

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can have it; of who is away, why."""
        return {
            **asdict(self),
            "hit_ratio": self.hit_ratio,
            "memory": self.memory,
            "untold": None if self.untold is None else str(self.untold),
            "away": {each.name: str(each.fault) for each in self.away},
        }


def of_node(node: Node) -> NodeFigures:
    """What a server says of itself.

    :raises Fault: when it does not
    """
    node.ask(b"PING")  # it may have to be connected to
    begun = time.monotonic()
    node.ask(b"PING")
    round_trip = time.monotonic() - begun
    questions: list[tuple[bytes, ...]] = [(b"INFO",), (b"DBSIZE",)]
    if node.clustered:
        questions.append((b"CLUSTER", b"NODES"))
    info, keys, *nodes = node.ask_many(questions)
    if isinstance(info, Exception):
        raise info
    told = _told(info)
    number = partial(number_in, told)
    program = "valkey" if "valkey_version" in told else "redis"
    return NodeFigures(
        name=node.name,
        program=f"{program} {told.get(f'{program}_version', '')}".strip(),
        memory=number("used_memory"),
        memory_limit=number("maxmemory"),
        policy=told.get("maxmemory_policy", ""),
        keys=keys if isinstance(keys, int) else 0,
        evicted=number("evicted_keys"),
        expired=number("expired_keys"),
        hits=number("keyspace_hits"),
        misses=number("keyspace_misses"),
        clients=number("connected_clients"),
        tracked=number("tracking_total_keys"),
        primary=told.get("role") == "master",
        replicas=number("connected_slaves"),
        round_trip=round_trip,
        slots=_slots(nodes[0]) if nodes and isinstance(nodes[0], bytes) else (),
        clustered=number("cluster_enabled") == 1,
    )


def _slots(nodes: bytes) -> list[tuple[int, int]]:
    """The slots of the node that was asked, of what `CLUSTER NODES` answers.

    Its line has them from the ninth word on; what is in brackets is just being moved.
    """
    found = []
    for line in nodes.decode(errors="replace").splitlines():
        words = line.split()
        if len(words) > 8 and "myself" in words[2].split(","):
            for word in words[8:]:
                first, _, last = word.partition("-")
                with suppress(ValueError):
                    found.append((int(first), int(last or first)))
    return found


def survey(remote: Remote) -> tuple[list[NodeFigures], list[Away]]:
    """What all servers of a cache say, asked at the same time, and who did not answer."""
    link = remote.link
    where = remote.address.text
    (nodes,) = together([partial(_attempt, where, link.nodes)], PATIENCE)
    if nodes is None or isinstance(nodes, Away):
        return [], [nodes or _late(where)]
    nodes = sorted(nodes, key=lambda node: node.name)
    found = together(
        [partial(_attempt, node.name, partial(of_node, node)) for node in nodes], PATIENCE
    )
    answers = [each or _late(node.name) for node, each in zip(nodes, found, strict=True)]
    return (
        [each for each in answers if not isinstance(each, Away)],
        [each for each in answers if isinstance(each, Away)],
    )


def _attempt(name: str, call: Callable[[], T]) -> T | Away:
    try:
        return call()
    except FAULTS as error:
        return Away(name, _fault(name, error))


def _fault(name: str, error: Exception) -> Fault:
    return error if isinstance(error, Fault) else Fault("slow", name, error)


def _late(name: str) -> Away:
    return Away(name, Fault("slow", name, f"no answer within {PATIENCE:g} s"))


def info_of(node: Node) -> dict[str, str]:
    """What a server tells of itself; nothing if it may not be asked."""
    try:
        return _told(node.ask(b"INFO"))
    except Fault as error:
        if error.kind not in ("denied", "other"):
            raise
        return {}


def _told(info: bytes) -> dict[str, str]:
    """What `INFO` answers, by name."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def number_in(told: Mapping[str, str], name: str) -> int:
    """A number of these; 0 for what is not told, and for what is none."""
    text = told.get(name, "").encode()
    return int(text) if is_count(text) else 0


def figures(
    remote: Remote, nodes: Sequence[NodeFigures], away: Sequence[Away]
) -> ServerFigures:
    """All that is known now, with what a `survey` has found; who is away is not asked again."""
    counted: dict[bytes, int] = {}
    untold = None
    first = remote.link.table[:1]
    told = bool(nodes and first) and first[0].name not in [each.name for each in away]
    if told:
        try:
            counted = remote.counted()
        except FAULTS as error:
            told = False
            untold = _fault(first[0].name, error)
    near = remote.near
    errors = remote.triage.counts()
    return ServerFigures(
        hits=counted.get(HITS, 0),
        misses=counted.get(MISSES, 0),
        errors={kind: counted.get(kind.encode(), 0) for kind in KINDS} if told else errors,
        counting=bool(remote.settings["statistics"]),
        near=NearFigures(len(near), near.size, remote.settings["near_cache_size"]),
        listening=remote.listening,
        nodes=nodes,
        away=away,
        told=told,
        untold=untold,
        server_name=remote.name,
    )
