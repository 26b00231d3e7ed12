"""Metrics in Prometheus's text format, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/ has the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..metrics import families


def text(caches: Mapping[str, Any]) -> str:
    """The metrics of these caches, by alias; it ends with a newline, as the format asks."""
    return "".join(f"{line}\n" for line in _lines(caches))


def _lines(caches: Mapping[str, Any]) -> Iterator[str]:
    for family in families(caches):
        yield f"# HELP {family.name} {family.help}"
        yield f"# TYPE {family.name} {family.kind}"
        for values, number in family.samples:
            labels = zip(family.labels, values, strict=True)
            listed = ",".join(
                f'{label}="{_escaped(value)}"' for label, value in labels if value
            )
            yield f"{family.name}{{{listed}}} {number}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
