"""What a cache on a server has done, and what its servers say of themselves.

A directory is one cache's own; a server may have others on it. So hits and misses are ours, and
memory, keys and evictions are those of the server, whoever they belong to.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..engine.errors import Fault
from ..engine.statistics import NearFigures
from .node import Node
from .remote import Remote

NEARLY_FULL = 0.9  # of its limit: a server that may have begun to evict
POLICY_HOLDS = 10.0  # seconds: nobody changes it often

_keeping: weakref.WeakKeyDictionary[Node, float] = weakref.WeakKeyDictionary()


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


@dataclass(frozen=True)
class ServerFigures:
    """Of a cache.

    :param hits: of all processes, as far as they have told
    :param errors: faults that became a miss, of this process, by kind
    :param near: what this process remembers
    :param listening: whether all servers tell this process of changes
    :param nodes: those servers that answered
    """

    hits: int
    misses: int
    errors: Mapping[str, int]
    counting: bool
    near: NearFigures
    listening: bool
    nodes: Sequence[NodeFigures]

    @property
    def hit_ratio(self) -> float | None:
        """Hits as a part of all reads, from 0 to 1; None when there were none."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None

    @property
    def memory(self) -> int:
        """Bytes that the data of all servers takes."""
        return sum(node.memory for node in self.nodes)


def of_node(node: Node) -> NodeFigures:
    """What a server says of itself.

    :raises Fault: when it does not
    """
    told = _told(node)

    def number(name: str) -> int:
        return int(told.get(name, 0))

    program = "valkey" if "valkey_version" in told else "redis"
    return NodeFigures(
        name=node.name,
        program=f"{program} {told.get(f'{program}_version', '')}".strip(),
        memory=number("used_memory"),
        memory_limit=number("maxmemory"),
        policy=told.get("maxmemory_policy", ""),
        keys=node.ask(b"DBSIZE"),
        evicted=number("evicted_keys"),
        expired=number("expired_keys"),
        hits=number("keyspace_hits"),
        misses=number("keyspace_misses"),
        clients=number("connected_clients"),
        tracked=number("tracking_total_keys"),
        primary=told.get("role") == "master",
    )


def hints_may_be_gone(node: Node) -> bool:
    """Whether a server may have evicted hints, whose entries it still has (see `scripts`).

    All policies that evict take what they meet, hints among it. What was evicted before a
    failover the new primary has not counted; but then its memory is full, too.

    A server that evicts nothing is asked again after some seconds, not by each eviction, nor is
    one that may not be asked: then the hints must do.

    :raises Fault: when it does not answer
    """
    now = time.monotonic()
    if now < _keeping.get(node, 0.0):
        return False
    try:
        told = _told(node)
    except Fault as error:
        if error.kind not in ("denied", "other"):
            raise
        told = {"maxmemory_policy": "noeviction"}
    if told.get("maxmemory_policy", "") == "noeviction":
        _keeping[node] = now + POLICY_HOLDS
        return False
    limit, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    return int(told.get("evicted_keys", 0)) > 0 or used > limit * NEARLY_FULL > 0


def _told(node: Node) -> dict[str, str]:
    lines = node.ask(b"INFO").decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def figures(
    remote: Remote, counts: tuple[int, int], nodes: Sequence[NodeFigures]
) -> ServerFigures:
    """All that is known, with what the servers were asked for."""
    near = remote.near
    return ServerFigures(
        hits=counts[0],
        misses=counts[1],
        errors=remote.triage.counts(),
        counting=bool(remote.settings["statistics"]),
        near=NearFigures(len(near), near.size, remote.settings["near_cache_size"]),
        listening=remote.listening,
        nodes=nodes,
    )
