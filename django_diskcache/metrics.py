"""The figures of caches as metrics, by the names and helps that monitoring knows them by.

https://prometheus.io/docs/practices/naming/ has how metrics are named. What is counted per
shard is given per shard: sums are for whoever asks. Bytes on disk are given for the cache as
well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .engine.statistics import Figures

PREFIX = "django_diskcache"


class Metric(NamedTuple):
    """One metric of a shard.

    :param label: what its values are told apart by, beside cache and shard; '' if they are not
    """

    name: str
    kind: str
    help: str
    values: Callable[[Figures], Mapping[str, int]]
    label: str = ""


def one(name: str) -> Callable[[Figures], Mapping[str, int]]:
    """A figure by its name."""
    return lambda figures: {"": getattr(figures, name)}


METRICS = (
    Metric("entries", "gauge", "Entries, expired ones included.", one("entries")),
    Metric(
        "expired_pending_entries",
        "gauge",
        "Entries that have expired and are still on disk.",
        one("expired_pending"),
    ),
    Metric("shard_volume_bytes", "gauge", "Bytes on disk of each shard.", one("volume")),
    Metric("hits_total", "counter", "Reads that found their key.", one("hits")),
    Metric("misses_total", "counter", "Reads that did not.", one("misses")),
    Metric(
        "evictions_total",
        "counter",
        "Entries that are gone or were refused.",
        lambda figures: figures.evictions,
        "reason",
    ),
    Metric("freed_bytes_total", "counter", "Bytes of entries that are gone.", one("freed")),
    Metric(
        "ghost_hits_total",
        "counter",
        "Writes of keys that had been evicted lately.",
        one("ghost_hits"),
    ),
    Metric(
        "errors_total",
        "counter",
        "Faults that became a miss.",
        lambda figures: figures.errors,
        "kind",
    ),
)
# Of whole caches. More than the shards is on the disk: what they share.
OF_CACHES = (
    ("size_limit_bytes", "Bytes that the cache may take on disk.", one("size_limit")),
    ("volume_bytes", "Bytes that it takes.", one("volume")),
)

# Of a cache on a server: it has no shards, and these are without their label.
UNSHARDED = tuple(
    each for each in METRICS if each.name in ("hits_total", "misses_total", "errors_total")
)


class NodeMetric(NamedTuple):
    """One metric of a server, `server.gauges.NodeFigures`, told apart by its address."""

    name: str
    kind: str
    help: str
    value: Callable[[Any], int]


NODE_METRICS = (
    NodeMetric(
        "server_memory_bytes",
        "gauge",
        "Bytes of memory that the data of each server takes, that of others included.",
        lambda node: int(node.memory),
    ),
    NodeMetric(
        "server_memory_limit_bytes",
        "gauge",
        "Bytes that it may take; 0 is no limit.",
        lambda node: int(node.memory_limit),
    ),
    NodeMetric(
        "server_keys",
        "gauge",
        "Keys in its database, of all who use it.",
        lambda node: int(node.keys),
    ),
    NodeMetric("server_clients", "gauge", "Connections to it.", lambda node: int(node.clients)),
    NodeMetric(
        "server_tracked_keys",
        "gauge",
        "Keys whose changes it will tell somebody of.",
        lambda node: int(node.tracked),
    ),
    NodeMetric(
        "server_primary", "gauge", "Whether it takes writes.", lambda node: int(node.primary)
    ),
    NodeMetric(
        "server_evicted_total",
        "counter",
        "Keys that it has evicted since it was started.",
        lambda node: int(node.evicted),
    ),
    NodeMetric(
        "server_expired_total",
        "counter",
        "Keys whose time was over since it was started.",
        lambda node: int(node.expired),
    ),
)
