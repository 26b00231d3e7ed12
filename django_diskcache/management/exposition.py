"""Metrics in Prometheus's text format, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/ has the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..engine.statistics import Statistics
from ..metrics import METRICS, OF_CACHES, PREFIX


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
