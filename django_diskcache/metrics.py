"""The figures of caches as metrics, by the names and helps that monitoring knows them by.

https://prometheus.io/docs/practices/naming/ has how metrics are named. What is counted per
shard is given per shard: sums are for whoever asks. Bytes on disk are given for the cache as
well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

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
