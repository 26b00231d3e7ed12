"""Metrics in Prometheus's text format, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/ has the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..metrics import METRICS, NODE_METRICS, OF_CACHES, PREFIX, UNSHARDED


def text(caches: Mapping[str, Any]) -> str:
    """The metrics of these caches, by alias; it ends with a newline, as the format asks."""
    return "".join(f"{line}\n" for line in _lines(caches))


def _lines(caches: Mapping[str, Any]) -> Iterator[str]:
    sharded = {alias: each for alias, each in caches.items() if hasattr(each, "shards")}
    # One that is away tells no count: zero would be a counter that began anew.
    on_servers = {a: each for a, each in caches.items() if getattr(each, "nodes", ())}
    for name, explanation, values in OF_CACHES:
        yield from _head(name, "gauge", explanation)
        for alias, figures in sharded.items():
            yield from _samples(name, {"cache": alias}, "", values(figures))
    for metric in METRICS:
        yield from _head(metric.name, metric.kind, metric.help)
        for alias, figures in sharded.items():
            for shard in figures.shards:
                labels = {"cache": alias, "shard": str(shard.number)}
                yield from _samples(metric.name, labels, metric.label, metric.values(shard))
        for alias, figures in on_servers.items() if metric in UNSHARDED else ():
            labels = {"cache": alias}
            yield from _samples(metric.name, labels, metric.label, metric.values(figures))
    for each in NODE_METRICS if on_servers else ():
        yield from _head(each.name, each.kind, each.help)
        for alias, figures in on_servers.items():
            for node in figures.nodes:
                labels = {"cache": alias, "server": node.name}
                yield from _samples(each.name, labels, "", {"": each.value(node)})


def _samples(
    name: str, labels: Mapping[str, str], label: str, values: Mapping[str, int]
) -> Iterator[str]:
    for value, number in values.items():
        yield _sample(name, {**labels, label: value} if label else labels, number)


def _head(name: str, kind: str, explanation: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}_{name} {explanation}"
    yield f"# TYPE {PREFIX}_{name} {kind}"


def _sample(name: str, labels: Mapping[str, str], number: int) -> str:
    listed = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{PREFIX}_{name}{{{listed}}} {number}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
