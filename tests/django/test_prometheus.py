"""The collector, registered with the real prometheus_client and scraped through its server."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command

pytest.importorskip("prometheus_client", reason="needs the extra 'prometheus'")

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from django_diskcache.prometheus import CacheCollector
from tests.server.servers import Server, free_port

BACKEND = "django_diskcache.DjangoCache"


@pytest.fixture
def site(settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {
        "default": {"BACKEND": BACKEND, "LOCATION": tmp_path / "default", "SHARDS": 2},
        'odd"name\\': {"BACKEND": BACKEND, "LOCATION": tmp_path / "odd", "SHARDS": 1},
        "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }


@pytest.fixture
def registry(site: None) -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def url(registry: CollectorRegistry) -> Iterator[str]:
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


def samples(text: str) -> dict[tuple[Any, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        return str(response.read().decode())


def test_one_scrape_has_the_figures_of_all_processes(
    registry: CollectorRegistry, url: str
) -> None:
    caches["default"].set("key", 1)
    child = os.fork()
    if not child:
        try:
            for _ in range(5):
                caches["default"].get("key")
            caches["default"].close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    caches["default"].get("missing")
    registry.register(CacheCollector(["default"]))
    found = samples(scraped(url))
    named = {
        name: sum(value for key, value in found.items() if key[0] == f"django_diskcache_{name}")
        for name in ("entries", "hits_total", "misses_total", "size_limit_bytes")
    }
    assert named == {
        "entries": 1,
        "hits_total": 5,
        "misses_total": 1,
        "size_limit_bytes": 2**30,
    }
    assert {("cache", "default")} == {key[1] for key in found}


def test_it_is_what_the_command_prints(
    registry: CollectorRegistry, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for alias in ("default", 'odd"name\\'):
        caches[alias].set("key", "value", timeout=0.001)
        caches[alias].get("key")
    time.sleep(0.002)  # it has expired by the time of both looks
    registry.register(CacheCollector())
    call_command("cachestats", "--format", "prometheus")
    printed = capsys.readouterr().out
    text = scraped(url)
    assert samples(text) == samples(printed)
    helps = [line for line in printed.splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == helps
    assert len(helps) > 20


def test_a_cache_on_a_server(
    registry: CollectorRegistry,
    url: str,
    settings: Any,
    server: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.CACHES["default"] |= {"LOCATION": server.url, "DATABASE_TIMEOUT": 30}
    cache: Any = caches["default"]
    cache.set("key", 1)
    for _ in range(3):
        cache.get("key")
    cache.get("missing")
    registry.register(CacheCollector(["default"]))
    text = scraped(url)
    found = samples(text)
    alias, where = ("cache", "default"), ("server", cache.directory)
    assert found["django_diskcache_hits_total", alias, ("shard", "")] == 3
    assert found["django_diskcache_misses_total", alias, ("shard", "")] == 1
    assert found["django_diskcache_server_memory_bytes", alias, where] > 100_000
    assert found["django_diskcache_server_primary", alias, where] == 1
    call_command("cachestats", "default", "--format", "prometheus")
    printed = capsys.readouterr().out
    unlabelled = {tuple(part for part in key if part != ("shard", "")) for key in found}
    assert unlabelled == samples(printed).keys()
    helps = [line for line in printed.splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == helps


def test_a_server_that_is_away_has_no_counts(
    registry: CollectorRegistry, url: str, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.CACHES["default"]["LOCATION"] = f"valkey://127.0.0.1:{free_port()}"
    registry.register(CacheCollector())
    labels = {dict(key[1:])["cache"] for key in samples(scraped(url))}
    assert labels == {'odd"name\\'}


def test_registering_looks_at_no_cache(registry: CollectorRegistry, tmp_path: Path) -> None:
    registry.register(CacheCollector())
    assert not (tmp_path / "default").exists()
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(CacheCollector())


def test_names_that_are_not_there(registry: CollectorRegistry) -> None:
    with pytest.raises(ValueError, match=r"'defualt' is not .* did you mean 'default'"):
        CacheCollector(["defualt"])
    with pytest.raises(ValueError, match="'memory' is not a cache of CACHES with DjangoCache"):
        CacheCollector(["memory"])


def test_a_cache_that_cannot_be_opened_is_left_out(
    registry: CollectorRegistry, url: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES["default"]["SHARDS"] = "many"
    registry.register(CacheCollector())
    labels = {dict(key[1:])["cache"] for key in samples(scraped(url))}
    assert labels == {'odd"name\\'}
    assert "the cache 'default' has no metrics" in caplog.text


def test_a_cluster_whose_counts_are_away_has_none() -> None:
    """A server answers, and the one that holds the counts does not: zero would be a reset."""
    from django_diskcache import metrics
    from django_diskcache.engine.statistics import NearFigures
    from django_diskcache.server.gauges import NodeFigures, ServerFigures

    numbers = (1, 0, "noeviction", 5, 0, 0, 0, 0, 1, 0, True)
    node = NodeFigures("valkey://there:1/0", "valkey 9", *numbers)
    near = NearFigures(0, 0, 0)

    def told(told: bool) -> dict[str, list[tuple[tuple[str, ...], int]]]:
        figures = ServerFigures(0, 0, {"slow": 0}, True, near, True, [node], (), told)
        return {each.name: each.samples for each in metrics.families({"a": figures})}

    assert told(True)["django_diskcache_hits_total"] == [(("a", ""), 0)]
    found = told(False)
    assert [found[f"django_diskcache_{name}"] for name in metrics.UNSHARDED] == [[]] * 3
    assert found["django_diskcache_server_keys"] == [(("a", "valkey://there:1/0"), 5)]
