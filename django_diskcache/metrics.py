"""The figures of caches as metrics, by the names and helps that monitoring knows them by.

https://prometheus.io/docs/practices/naming/ has how metrics are named. What is counted per
shard is given per shard: sums are for whoever asks. Bytes on disk are given for the cache as
well. A cache on a server has no shards; what its servers say of themselves is told apart by
their addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

PREFIX = "django_diskcache"


class Metric(NamedTuple):
    """One metric.

    :param figure: its name in the figures of a shard, a cache or a server
    :param label: what the figure, then a mapping, is told apart by beside cache and shard; ''
        if it is one number
    """

    name: str
    figure: str
    help: str
    label: str = ""

    @property
    def kind(self) -> str:
        """What it is to Prometheus, as its name has to tell."""
        return "counter" if self.name.endswith("_total") else "gauge"


class Family(NamedTuple):
    """A metric with its samples: (values of the labels, number) of each; '' is no label."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    samples: list[tuple[tuple[str, ...], int]]


# Of whole caches. More than the shards is on the disk: what they share.
OF_CACHES = (
    Metric("size_limit_bytes", "size_limit", "Bytes that the cache may take on disk."),
    Metric("volume_bytes", "volume", "Bytes that it takes."),
)

METRICS = (
    Metric("entries", "entries", "Entries, expired ones included."),
    Metric(
        "expired_pending_entries",
        "expired_pending",
        "Entries that have expired and are still on disk.",
    ),
    Metric("shard_volume_bytes", "volume", "Bytes on disk of each shard."),
    Metric("hits_total", "hits", "Reads that found their key."),
    Metric("misses_total", "misses", "Reads that did not."),
    Metric("evictions_total", "evictions", "Entries that are gone or were refused.", "reason"),
    Metric("freed_bytes_total", "freed", "Bytes of entries that are gone."),
    Metric("ghost_hits_total", "ghost_hits", "Writes of keys that had been evicted lately."),
    Metric("errors_total", "errors", "Faults that became a miss.", "kind"),
)
# Those that a cache on a server has as well, without the label of a shard.
UNSHARDED = ("hits_total", "misses_total", "errors_total")

OF_SERVERS = (
    Metric(
        "server_memory_bytes",
        "memory",
        "Bytes of memory that the data of each server takes, that of others included.",
    ),
    Metric(
        "server_memory_limit_bytes", "memory_limit", "Bytes that it may take; 0 is no limit."
    ),
    Metric("server_keys", "keys", "Keys in its database, of all who use it."),
    Metric("server_clients", "clients", "Connections to it."),
    Metric("server_tracked_keys", "tracked", "Keys whose changes it will tell somebody of."),
    Metric("server_primary", "primary", "Whether it takes writes."),
    Metric("server_evicted_total", "evicted", "Keys that it has evicted since it was started."),
    Metric("server_expired_total", "expired", "Keys whose time was over since it was started."),
)


def families(found: Mapping[str, Any]) -> Iterator[Family]:
    """All metrics of these figures of caches, by alias.

    Those of servers are left out where there is none; without any figures all come, as they
    are to be expected.
    """
    for metric in OF_CACHES:
        wholes = [((alias,), figures) for alias, figures in found.items() if figures.shards]
        yield _family(metric, ("cache",), wholes)
    for metric in METRICS:
        parts = [
            ((alias, str(shard.number)), shard)
            for alias, figures in found.items()
            for shard in figures.shards
        ]
        if metric.name in UNSHARDED:
            # Who is away tells no count: zero would be a counter that began anew.
            parts += [
                ((alias, ""), each) for alias, each in found.items() if each.nodes and each.told
            ]
        yield _family(metric, ("cache", "shard"), parts)
    nodes = [
        ((alias, node.name), node) for alias, figures in found.items() for node in figures.nodes
    ]
    for metric in OF_SERVERS if nodes or not found else ():
        yield _family(metric, ("cache", "server"), nodes)


def _family(
    metric: Metric, labels: tuple[str, ...], parts: Sequence[tuple[tuple[str, ...], Any]]
) -> Family:
    samples = []
    for place, figures in parts:
        value = getattr(figures, metric.figure)
        if metric.label:
            samples += [((*place, each), number) for each, number in value.items()]
        else:
            samples.append((place, int(value)))  # of a bool as well
    names = (*labels, metric.label) if metric.label else labels
    return Family(f"{PREFIX}_{metric.name}", metric.kind, metric.help, names, samples)
