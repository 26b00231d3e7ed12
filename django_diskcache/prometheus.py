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
from .metrics import families

KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


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
    for each in families(found):
        family = KINDS[each.kind](each.name, each.help, labels=each.labels)
        for values, number in each.samples:
            family.add_metric(values, number)
        yield family
