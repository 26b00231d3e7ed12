"""A collector of all caches' figures for `prometheus_client` (extra ``prometheus``).

Figures are those of all processes that use a cache: they are summed on its shared segment, or
on its server. So any one worker can be scraped, and gives the same figures as another; nothing
is to be set up for several processes, and nothing is written between two scrapes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .engine.options import did_you_mean
from .entries import aliases as our_aliases
from .metrics import METRICS, NODE_METRICS, OF_CACHES, PREFIX, UNSHARDED

FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class CacheCollector(Collector):
    """Collects the figures of caches whenever it is asked: ``REGISTRY.register(...)`` it.

    The metrics are those of ``manage.py cachestats --format prometheus``. A cache that cannot
    be opened is logged and left out; a server that is away has none.

    :param aliases: names in CACHES; without any, all whose backend is `DjangoCache`
    :raises ValueError: for a name that is not one of those
    """

    def __init__(self, aliases: Iterable[str] = ()) -> None:
        known = our_aliases()
        self._aliases = list(aliases)
        for alias in self._aliases:
            if alias not in known:
                hint = did_you_mean(alias, known)
                hint = hint or f"; those that are: {', '.join(known) or 'none'}"
                raise ValueError(f"{alias!r} is not a cache of CACHES with DjangoCache{hint}")

    def collect(self) -> Iterator[Metric]:
        """All metrics, by cache and shard."""
        yield from _families(self._statistics())

    def describe(self) -> Iterator[Metric]:
        """Their names, for the registry: no cache is looked at for that."""
        yield from _families({})

    def _statistics(self) -> dict[str, Any]:
        found = {}
        for alias in self._aliases or our_aliases():
            try:
                cache: Any = caches[alias]
                found[alias] = cache.figures()
            except ImproperlyConfigured:
                logging.getLogger("django_diskcache").exception(
                    "the cache %r has no metrics", alias
                )
        return found


def _families(found: Mapping[str, Any]) -> Iterator[Metric]:
    sharded = {alias: each for alias, each in found.items() if hasattr(each, "shards")}
    # One that is away tells no count: zero would be a counter that began anew.
    on_servers = {a: each for a, each in found.items() if getattr(each, "nodes", ())}
    for name, explanation, values in OF_CACHES:
        family = GaugeMetricFamily(f"{PREFIX}_{name}", explanation, labels=("cache",))
        for alias, figures in sharded.items():
            _add(family, (alias,), values(figures))
        yield family
    for metric in METRICS:
        labels = ("cache", "shard", *((metric.label,) if metric.label else ()))
        family = FAMILIES[metric.kind](f"{PREFIX}_{metric.name}", metric.help, labels=labels)
        for alias, figures in sharded.items():
            for shard in figures.shards:
                _add(family, (alias, str(shard.number)), metric.values(shard))
        for alias, figures in on_servers.items() if metric in UNSHARDED else ():
            _add(family, (alias, ""), metric.values(figures))  # as if without the label
        yield family
    for each in NODE_METRICS if on_servers or not found else ():
        labels = ("cache", "server")
        family = FAMILIES[each.kind](f"{PREFIX}_{each.name}", each.help, labels=labels)
        for alias, figures in on_servers.items():
            for node in figures.nodes:
                _add(family, (alias, node.name), {"": each.value(node)})
        yield family


def _add(
    family: CounterMetricFamily | GaugeMetricFamily,
    labels: tuple[str, ...],
    values: Mapping[str, int],
) -> None:
    for value, number in values.items():
        family.add_metric((*labels, value) if value else labels, number)
