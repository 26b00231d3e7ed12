"""Figures in Prometheus's text format, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/ has the format, and
https://prometheus.io/docs/practices/naming/ how metrics are named. What is counted per shard is
given per shard: sums are for whoever asks. Bytes on disk are given for the cache as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ..engine.statistics import Figures, Statistics

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


def text(caches: Mapping[str, Statistics]) -> str:
    """The metrics of these caches, by alias; it ends with a newline, as the format asks."""
    return "".join(f"{line}\n" for line in _lines(caches))


def _lines(caches: Mapping[str, Statistics]) -> Iterator[str]:
    for name, explanation, values in OF_CACHES:
        yield from _head(name, "gauge", explanation)
        for alias, statistics in caches.items():
            for number in values(statistics).values():
                yield _sample(name, {"cache": alias}, number)
    for metric in METRICS:
        yield from _head(metric.name, metric.kind, metric.help)
        for alias, statistics in caches.items():
            for shard in statistics.shards:
                labels = {"cache": alias, "shard": str(shard.number)}
                for value, number in metric.values(shard).items():
                    more = {metric.label: value} if metric.label else {}
                    yield _sample(metric.name, {**labels, **more}, number)


def _head(name: str, kind: str, explanation: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}_{name} {explanation}"
    yield f"# TYPE {PREFIX}_{name} {kind}"


def _sample(name: str, labels: Mapping[str, str], number: int) -> str:
    listed = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{PREFIX}_{name}{{{listed}}} {number}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
