"""The topology of a cluster, as one of its nodes tells it: who has which slots.

The client library would ask all nodes, one after the other, each with the whole deadline.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from redis.crc import key_slot
from redis.exceptions import RedisClusterException, TimeoutError

from .trouble import ERRORS

MOST_ASKED = 3  # nodes in one look: each has its part of the time that is left
Place: TypeAlias = "tuple[str, int]"


def owners(
    connect: Callable[..., Any], places: Sequence[Place], buckets: int, deadline: float
) -> list[Place]:
    """Host and port of the primary of each bucket.

    :param connect: makes a connection, unconnected, to a host and a port, which waits for so
        many seconds
    :param places: nodes, in the order in which they may be asked
    :param deadline: by `time.monotonic`
    :raises RedisClusterException: when none of some of them answers, or a slot has no node
    """
    asked = list(places)[:MOST_ASKED]
    last: Exception = TimeoutError("there was no time left to ask")
    for number, place in enumerate(asked):
        left = (deadline - time.monotonic()) / (len(asked) - number)
        if left <= 0:
            break
        connection = connect(*place, left)
        try:
            connection.connect()
            connection.send_command(b"CLUSTER", b"SLOTS")
            slots = connection.read_response()
        except ERRORS as error:
            last = error
            continue
        finally:
            connection.disconnect()
        return _by_bucket(slots, place[0], buckets)
    raise RedisClusterException(f"no node of the cluster tells who has what: {last}") from last


def _by_bucket(slots: Any, host: str, buckets: int) -> list[Place]:
    """Host and port, of what a node has answered.

    :param host: its own, which it may leave out
    """
    found: list[Place] = []
    for bucket in range(buckets):
        slot = key_slot(b"{%02x}" % bucket)
        for first, last, (name, port, *_), *_ in slots:
            if first <= slot <= last:
                found.append(((name or b"").decode() or host, port))
                break
        else:
            raise RedisClusterException(f"no node of the cluster has slot {slot}")
    return found


def shuffled(places: Sequence[Place]) -> list[Place]:
    """The same in another order: not all processes ask the same node."""
    return random.sample(list(dict.fromkeys(places)), len(set(places)))
