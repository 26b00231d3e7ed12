"""Pages per second of a Django view with ten gets, under gunicorn and uvicorn.

Each contender has a server of its own, as Django closes all caches of a process at the end of
a request. All servers run at once and take turns; those that wait do nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings

from . import Refused, load, rounds, servers, subjects
from .plan import Bench
from .tables import Column, Measure, Table

NAME = "requests"
TITLE = "Pages per second"

WITHOUT = "no cache"
ENVIRONMENT = "DJANGO_DISKCACHE_BENCHMARK"  # where `pages` looks
CONNECTIONS = 4
SECONDS = 0.15  # of a turn: short, so that what disturbs one disturbs all
ROUNDS = 9
QUICK = (
    subjects.OUR_BACKEND,
    subjects.PEER,
    subjects.LOCAL,
    subjects.REDIS,
    subjects.MEMCACHED,
)
FULL = (*QUICK, subjects.PEER_LRU, subjects.COMMUNITY, subjects.FILES, subjects.DATABASE)
COLUMNS = (
    Column("pages per second", "rate"),
    Column("median"),
    Column("mean"),
    Column("p99"),
)
# By module: its own arguments, with one process that serves.
SERVERS = {
    "gunicorn": ("wsgi", "--worker-class=gthread", "--workers=1", "--threads=4", "--bind={}"),
    "uvicorn": ("asgi", "--log-level=warning", "--no-access-log", "--port={}"),
}


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    table = Table(NAME, "requests", "Pages per second, with ten gets")
    for module in SERVERS:
        if importlib.util.find_spec(module) is None:
            table.notes.append(
                f"{module} is left out: pip install 'django-diskcache[benchmark]' brings it"
            )
            continue
        with bench.opened(*(FULL if plan.full else QUICK), keys=1000) as caches:
            told = {name: _cache(each.subject, each.directory) for name, each in caches.items()}
        # Closed here, but its directory or table is there for the servers.
        measure, lost = _measured(bench, module, told)
        table.measures.append(measure)
        for name, pages in lost.items():
            table.notes.append(
                f"Under {module}, {name} did not have all values for {pages:,} of its pages,"
                " though nothing removes them; what it lacked was made anew."
            )
    table.notes.append(
        "The rate is the median of the turns. gunicorn has one process of four threads, uvicorn"
        f" one process; one client with {CONNECTIONS} connections that stay open; no"
        " middleware, no template."
    )
    return [table]


def _cache(subject: subjects.Subject, directory: Path) -> dict[str, Any]:
    assert isinstance(subject, subjects.Backend)
    return {
        "BACKEND": subject.contender.path,
        "LOCATION": subject.place(directory) or str(directory),
        "OPTIONS": dict(subject.options),
    }


def _measured(
    bench: Bench, module: str, told: dict[str, dict[str, Any]]
) -> tuple[Measure, dict[str, int]]:
    """What was measured, and pages for which a cache did not have everything."""
    plan = bench.plan
    face = SERVERS[module][0]
    turns = ROUNDS * (1 + 2 * plan.full)
    shares = {name: subject.share for name, subject in bench.subjects.items()}
    dummy = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    with ExitStack() as stack:
        loads = {}
        for name, cache in {**told, WITHOUT: dummy}.items():
            port = servers.free_port()
            stack.enter_context(_server(module, port, cache))
            path = f"/{face}/{'uncached' if name == WITHOUT else 'cached'}"
            with _naming(name):
                if name != WITHOUT:
                    load.fetch(port, "/fill")
                page = load.fetch(port, path)
                loads[name] = load.Load(port, path, page, CONNECTIONS)
                loads[name].run(plan.turn(0.1))  # warm
        rates: dict[str, list[float]] = {name: [] for name in loads}
        for each in loads.values():
            each.forget()
        with bench.progress(f"pages under {module}", turns) as progress:
            for number in range(turns):
                for name in rounds.rotated(list(loads), number):
                    if rounds.has_turn(number, shares.get(name, 1)):
                        with _naming(name):
                            rates[name].append(loads[name].run(plan.turn(SECONDS)))
                progress.update(number)
    rows = {}
    for name, each in loads.items():
        found = rounds.summary(each.latencies)
        rows[name] = {"pages per second": median(rates[name]), **found}
    lost = {name: each.lost for name, each in loads.items() if each.lost}
    return Measure(f"{face.upper()}, {module}", COLUMNS, rows), lost


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say which contender was refused."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{name}: {error}") from error


def _server(module: str, port: int, cache: dict[str, Any]) -> Any:
    face, *arguments = SERVERS[module]
    address = f"{servers.HOST}:{port}" if module == "gunicorn" else str(port)
    given = [argument.format(address) for argument in arguments]
    told = {"cache": cache, "databases": _databases()}
    return servers.running(
        [sys.executable, "-m", module, *given, f"benchmarks.pages:{face}"],
        port,
        {
            ENVIRONMENT: json.dumps(told),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *_python_path()]),
        },
    )


def _python_path() -> list[str]:
    given = os.environ.get("PYTHONPATH", "")
    return [given] if given else []


def _databases() -> dict[str, Any]:
    default = settings.DATABASES["default"]
    return {
        "default": {
            name: default[name] for name in ("ENGINE", "NAME", "OPTIONS") if name in default
        }
    }
