"""The cache on a server against other backends of Django on the same server, in one run:

    python -m benchmarks.server
    python -m benchmarks.server --scale 0.1

It starts a server of its own. All contenders are backends for Django and make their keys alike,
each in a database of its own. Ours signs what it pickles, and the others do not. Times are
those of a process that does nothing else; the server is another one on the same machine.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from . import Refused, machine, rounds, servers, subjects, tables, values
from .plan import Plan
from .tables import Column, Measure, Table, latencies

NAME = "server"
TITLE = "On a server"

ENTRIES = 20_000
HOT = 50  # keys that are read again and again
CALLS = 1_000  # of a turn
BATCH = 100
TAGGED = 10_000  # entries that are evicted
BESIDE = 40_000  # entries that are not
EVICTIONS = 5
PROCESSES = 16
COMPUTING = 0.05  # seconds that a value takes to compute
RACES = 8
SECRET = "benchmark"


@dataclass(frozen=True)
class Contender:
    """A backend for Django, by its dotted path."""

    name: str
    path: str
    scheme: str
    database: int

    def opened(self, port: int) -> Any:
        """Its cache."""
        module, _, name = self.path.rpartition(".")
        location = f"{self.scheme}://{servers.HOST}:{port}/{self.database}"
        return getattr(importlib.import_module(module), name)(
            location, {"TIMEOUT": subjects.TIMEOUT}
        )

    def missing(self) -> str:
        """What it needs and is not installed, or ''."""
        try:
            importlib.import_module(self.path.rpartition(".")[0])
        except ImportError as error:
            return str(error)
        return ""


OURS = Contender("django_diskcache", "django_diskcache.DjangoCache", "valkey", 1)
CONTENDERS = (
    OURS,
    Contender("Django's RedisCache", "django.core.cache.backends.redis.RedisCache", "redis", 2),
    Contender("django-redis", "django_redis.cache.RedisCache", "redis", 3),
    Contender("django-valkey", "django_valkey.cache.ValkeyCache", "valkey", 4),
)


class Calls:
    """The turns of one contender."""

    def __init__(self, cache: Any, plan: Plan) -> None:
        self.cache = cache
        self.calls = plan.some(CALLS, 2 * HOT)
        self.entries = plan.some(ENTRIES, 10 * BATCH)
        self.order = values.shuffled(self.entries)
        self.new = count(self.entries)
        self.place = 0
        for first in range(0, self.entries, 500):
            cache.set_many(dict(values.entries(first, min(500, self.entries - first))))
        cache.set_many({f"number:{n}": n for n in range(HOT)})

    def _next(self, number: int) -> list[int]:
        """Entries that this process has not read for a long time."""
        self.place += number
        return rounds.rotated(self.order, self.place - number)[:number]

    def hot(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        keys = [(values.key(n),) for n in self.order[:HOT]]
        for _ in range(10):
            for key in keys:
                self.cache.get(*key)
        return self.cache.get, keys * (self.calls // HOT)

    def first(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        forget(self.cache)
        return self.cache.get, [(values.key(n),) for n in self._next(self.calls)]

    def missing(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.get, [(f"missing:{next(self.new)}",) for _ in range(self.calls)]

    def store(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        some = self._next(self.calls)
        return self.cache.set, [(values.key(n), values.small(n)) for n in some]

    def add(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        some = [next(self.new) for _ in range(self.calls)]
        return self.cache.add, [(f"added:{n}", values.small(n)) for n in some]

    def incr(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.incr, [(f"number:{n}",) for n in range(HOT)] * (self.calls // HOT)

    def touch(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        return self.cache.touch, [(values.key(n),) for n in self._next(self.calls)]

    def delete(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        some = [next(self.new) for _ in range(self.calls)]
        self.cache.set_many({f"gone:{n}": values.small(n) for n in some})
        return self.cache.delete, [(f"gone:{n}",) for n in some]

    def get_many(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        forget(self.cache)
        parts = [self._next(BATCH) for _ in range(self.calls // BATCH)]
        return self.cache.get_many, [([values.key(n) for n in part],) for part in parts]

    def get_many_hot(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        keys = [values.key(n) for n in self.order[:BATCH]]
        for _ in range(10):
            self.cache.get_many(keys)
        return self.cache.get_many, [(keys,)] * (self.calls // BATCH)

    def set_many(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        parts = [self._next(BATCH) for _ in range(self.calls // BATCH)]
        return self.cache.set_many, [
            ({values.key(n): values.small(n) for n in part},) for part in parts
        ]

    def delete_many(self, number: int) -> tuple[rounds.Call, rounds.Arguments]:
        parts = []
        for _ in range(self.calls // BATCH):
            some = [next(self.new) for _ in range(BATCH)]
            self.cache.set_many({f"gone:{n}": values.small(n) for n in some})
            parts.append(([f"gone:{n}" for n in some],))
        return self.cache.delete_many, parts


MEASURES: Mapping[str, Callable[[Calls], rounds.Turn]] = {
    "get, near hit": lambda c: c.hot,
    "get, near miss": lambda c: c.first,
    "get, not there": lambda c: c.missing,
    "set": lambda c: c.store,
    "add": lambda c: c.add,
    "incr": lambda c: c.incr,
    "touch": lambda c: c.touch,
    "delete": lambda c: c.delete,
    "get_many of 100, near hits": lambda c: c.get_many_hot,
    "get_many of 100, near misses": lambda c: c.get_many,
    "set_many of 100": lambda c: c.set_many,
    "delete_many of 100": lambda c: c.delete_many,
}


def forget(cache: Any) -> None:
    """Let ours have nothing in its memory."""
    near = getattr(cache, "_near", None)
    if near is not None:
        near.clear()


def calls(caches: Mapping[str, Any], plan: Plan) -> Table:
    table = Table(NAME, "calls", f"One server, {plan.some(ENTRIES):,} entries")
    ready = {name: Calls(cache, plan) for name, cache in caches.items()}
    for label, turn in MEASURES.items():
        turns = {name: turn(each) for name, each in ready.items()}
        found = rounds.interleaved(turns, plan.rounds, plan.turn(0.05))
        table.measures.append(latencies(label, values=found))
    return table


def evictions(caches: Mapping[str, Any], plan: Plan, port: int) -> Table:
    """Removal of all that belongs together: by tag, by its keys, or by a pattern of them."""
    tagged, beside = plan.some(TAGGED), plan.some(BESIDE)
    table = Table(NAME, "tags", f"{tagged:,} of {tagged + beside:,} entries removed at once")

    def fill(cache: Any, **more: Any) -> None:
        for first in range(0, tagged, 500):
            some = range(first, min(first + 500, tagged))
            cache.set_many({f"tagged:{n}": values.small(n) for n in some}, **more)

    keys = [f"tagged:{n}" for n in range(tagged)]
    names = b"a set of keys"

    def from_set(cache: Any) -> None:
        """What a site does that keeps track of what belongs together."""
        client = cache.client.get_client()
        cache.delete_many([each.decode() for each in client.smembers(names)])
        client.delete(names)

    ways: dict[str, tuple[Any, Callable[[], Any]]] = {}
    for name, cache in caches.items():
        cache.clear()
        for begin in range(0, beside, 500):
            some = range(begin, min(begin + 500, beside))
            cache.set_many({f"beside:{n}": values.small(n) for n in some})
        if name == OURS.name:
            ways[f"{name}, evict"] = cache, partial(cache.evict, "tag")
        ways[f"{name}, delete_many"] = cache, partial(cache.delete_many, keys)
        if name == "django-redis":
            ways[f"{name}, keys from a set"] = cache, partial(from_set, cache)
        if hasattr(cache, "delete_pattern"):
            remove: Callable[[], Any] = partial(cache.delete_pattern, "tagged:*", itersize=1000)
            ways[f"{name}, delete_pattern"] = cache, remove
    found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    server = importlib.import_module("redis").Redis(servers.HOST, port)
    for _ in range(EVICTIONS):
        for way, (cache, remove) in ways.items():
            fill(cache, **({"tag": "tag"} if way.endswith("evict") else {}))
            if way.endswith("set"):
                cache.client.get_client().sadd(names, *keys)
            before = processor(server)
            began, worked = time.perf_counter_ns(), time.process_time_ns()
            remove()
            took, own = time.perf_counter_ns() - began, time.process_time_ns() - worked
            found[way].append((took, own, processor(server) - before))
            assert cache.get("tagged:0") is None
    server.close()
    columns = (Column("median"), Column("caller's CPU"), Column("server's CPU"))
    rows = {
        way: {
            column.name: float(sorted(numbers)[len(numbers) // 2])
            for column, numbers in zip(columns, zip(*several, strict=True), strict=True)
        }
        for way, several in found.items()
    }
    table.measures.append(Measure("all of them removed", columns, rows))
    table.notes.append(
        "delete_many is given the keys, which who evicts by tag need not know. To know them, a "
        "site can keep their names in a set, and must see to that at each change."
    )
    return table


def processor(server: Any) -> float:
    """Nanoseconds of processor time that a server has used."""
    told = server.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"]) * 1e9


def compute(
    orders: Connection, together: Barrier, computed: Any, contender: Contender, port: int
) -> None:
    """What a process does: get_or_set of the keys that it is told, until it is told None."""
    subjects.configure(Path("unused.sqlite3"))
    cache = contender.opened(port)
    cache.get("warm")

    def value() -> int:
        time.sleep(COMPUTING)
        with computed.get_lock():
            computed.value += 1
        return 1

    orders.send(True)
    while (key := orders.recv()) is not None:
        together.wait()
        began = time.perf_counter_ns()
        cache.get_or_set(key, value)
        orders.send(time.perf_counter_ns() - began)
    getattr(cache, "shutdown", cache.close)()


def stampedes(contenders: Sequence[Contender], port: int, plan: Plan) -> Table:
    """All processes want the same value at once, and nobody has it."""
    context = multiprocessing.get_context("spawn")
    races = plan.some(RACES)
    rows = {}
    for contender in contenders:
        computed = context.Value("i", 0)
        together = context.Barrier(PROCESSES)
        pipes = []
        processes = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=compute, args=(theirs, together, computed, contender, port)
            )
            process.start()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            pipe.recv()
        waited: list[int] = []
        for race in range(races):
            for pipe in pipes:
                pipe.send(f"race:{race}")
            waited += [pipe.recv() for pipe in pipes]
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join()
        rows[contender.name] = {
            "computations": computed.value / races,
            "median wait": float(sorted(waited)[len(waited) // 2]),
            "longest wait": float(max(waited)),
        }
    columns = (
        Column("computations", "count"),
        Column("median wait", "long"),
        Column("longest wait", "long"),
    )
    label = f"get_or_set of a value that takes {COMPUTING * 1000:.0f} ms"
    table = Table(NAME, "stampedes", f"{PROCESSES} processes want the same value")
    table.measures.append(Measure(label, columns, rows))
    return table


@contextmanager
def running() -> Iterator[int]:
    """The port of a server that keeps everything in memory."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as directory,
        servers.redis(Path(directory)) as url,
    ):
        yield int(url.rpartition(":")[2])


def verdicts(found: Table) -> list[str]:
    """What issue 8 wants, and what was measured."""
    lines = []
    for measure in found.measures:
        mine = measure.values[OURS.name]["median"]
        others = {n: row["median"] for n, row in measure.values.items() if n != OURS.name}
        best = min(others, key=lambda name: others[name])
        ratio = others[best] / mine
        wanted = 20 if "near hit" in measure.label and "many" not in measure.label else 1
        state = "met" if ratio >= wanted else "missed"
        lines.append(f"{measure.label:<30} {ratio:7.2f}x faster than {best}: {state}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server")
    parser.add_argument("--scale", type=float, default=1.0, help="less of everything")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--part", choices=("calls", "tags", "stampedes"), action="append")
    wanted = parser.parse_args(arguments)
    parts = wanted.part or ["calls", "tags", "stampedes"]
    plan = Plan(scale=wanted.scale, rounds=wanted.rounds)
    subjects.configure(Path("unused.sqlite3"))
    present = []
    for contender in CONTENDERS:
        if reason := contender.missing():
            print(f"{contender.name} is left out: {reason}", file=sys.stderr)
        else:
            present.append(contender)
    print(machine.machine(plan, sys.argv[1:]).text())
    with ExitStack() as stack:
        port = stack.enter_context(running())
        caches = {each.name: each.opened(port) for each in present}
        for cache in caches.values():
            stack.callback(getattr(cache, "shutdown", cache.close))
        caches[OURS.name].get("warm")
        time.sleep(0.5)  # the listener
        if "calls" in parts:
            table = calls(caches, plan)
            print(f"\n{tables.text(table)}\n")
            print("\n".join(verdicts(table)))
        if "tags" in parts:
            print(f"\n{tables.text(evictions(caches, plan, port))}")
        if "stampedes" in parts:
            print(f"\n{tables.text(stampedes(present, port, plan))}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as error:
        sys.exit(f"benchmarks: {error}")
