"""Which entries are kept when there is no room: hit ratios on real traces, through real caches.

    python -m benchmarks.eviction                 # what ../shared/traces has
    python -m benchmarks.eviction --quick path/to/trace.gz
    python -m benchmarks.eviction --docs docs/benchmarks

A request gets its key, and on a miss stores it. Every cache is on disk, in a directory of its
own, and starts empty. There are two kinds of limits: on entries, at three capacities of each
trace, with one in a hundred evicted at a time; and on bytes, at the same bytes for all. Where
`reference.csv` stands beside the trace, exact figures of known policies are printed too.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from django_diskcache.engine.eviction import EVICTION_POLICY

from . import Refused, contenders, evictionpage, formats, simulation, trials
from .contenders import DISKCACHE, FILEBASED, LOCMEM, OURS
from .traces import Trace
from .trials import Trial

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"
SHARES = (0.01, 0.05, 0.2)  # of the keys that a trace has
BATCHES = {"cull_frequency": 100}
DEFAULT = "s3-fifo"
POLICIES = tuple(name for name in EVICTION_POLICY if name != "none")
PEERS = ("diskcache", "filebased", "locmem")
QUICK = 50_000  # requests
LEAST_SIZE = 8_000_000  # bytes: limits on bytes are at least that
FILE_BLOCK = 4096  # bytes that Django's file backend takes for a small value
SIMULATED = "simulated "
TURNS = "4 processes"


def capacities(trace: Trace, shares: Sequence[float]) -> list[tuple[float, int]]:
    """How many entries each share of the keys is."""
    keys = trace.unique()
    return [(share, max(1, int(keys * share))) for share in shares]


def _bytes(trace: Trace, value: int) -> int:
    """Of all values together."""
    if trace.sizes is None:
        return trace.unique() * value
    return int(sum(dict(zip(trace.keys, trace.sizes, strict=True)).values()))


class Bench:
    """What is wanted, where, and what was found so far."""

    def __init__(self, wanted: argparse.Namespace, directory: Path) -> None:
        self.wanted = wanted
        self.directory = directory
        self._made = 0

    def place(self) -> Path:
        self._made += 1
        return self.directory / f"{self._made:03d}"

    def by_entries(self, trace: Trace) -> Iterator[Trial]:
        wanted = self.wanted
        for share, capacity in capacities(trace, wanted.share):
            same: dict[str, Any] = {"share": share, "entries": capacity}
            for policy in wanted.policy:
                if wanted.simulate:
                    yield self.simulated(policy, trace, share, capacity)
                if wanted.no_disk:
                    continue
                options = {**BATCHES, "eviction_policy": policy}
                yield trials.single(OURS, policy, trace, self.place(), options=options, **same)
            if wanted.turns and not wanted.no_disk:
                options = {**BATCHES, "eviction_policy": DEFAULT}
                place = self.place()
                yield trials.in_turns(
                    OURS, TURNS, trace, place, processes=4, options=options, **same
                )
            for peer in (LOCMEM, FILEBASED):
                if peer.name in wanted.peer and not wanted.no_disk:
                    yield trials.single(peer, peer.name, trace, self.place(), **same)

    def simulated(self, policy: str, trace: Trace, share: float, capacity: int) -> Trial:
        began = time.perf_counter()
        ratio = simulation.hit_ratio(EVICTION_POLICY[policy], trace, entries=capacity)
        taken = (time.perf_counter() - began) / len(trace) * 1e6
        return Trial(
            trace.name, len(trace), "entries", capacity, share, SIMULATED + policy, ratio, taken
        )

    def by_bytes(self, trace: Trace) -> Iterator[Trial]:
        wanted = self.wanted
        for share in wanted.size_share:
            size = max(LEAST_SIZE, int(_bytes(trace, wanted.value_size) * share))
            for policy in wanted.policy:
                yield self._ours(policy, trace, share, size)
            for trial in self._peers(trace, share, size):
                yield trial
                # What a limit means differs; what was on the disk does not.
                taken = int((trial.peak or 0) * size)
                if taken >= LEAST_SIZE // 2:  # a peer may stay below it
                    same = self._ours(DEFAULT, trace, share, taken)
                    name = evictionpage.AT_BYTES_OF + trial.name
                    yield replace(same, capacity=size, name=name)

    def _ours(self, policy: str, trace: Trace, share: float, size: int) -> Trial:
        options: dict[str, Any] = {"size_limit": size, "eviction_policy": policy}
        return self._within(OURS, policy, trace, share, size, options=options)

    def _peers(self, trace: Trace, share: float, size: int) -> Iterator[Trial]:
        wanted = self.wanted
        if "diskcache" in wanted.peer:
            for policy in wanted.diskcache_policy:
                options = {"size_limit": size, "eviction_policy": policy}
                name = f"diskcache {policy}"
                yield self._within(DISKCACHE, name, trace, share, size, options=options)
        if "filebased" in wanted.peer:
            mean = _bytes(trace, wanted.value_size) // trace.unique()
            each = -(-(mean + 100) // FILE_BLOCK) * FILE_BLOCK
            entries = max(1, size // each)
            yield self._within(FILEBASED, "filebased", trace, share, size, entries=entries)

    def _within(
        self,
        contender: contenders.Contender,
        name: str,
        trace: Trace,
        share: float,
        size: int,
        **more: Any,
    ) -> Trial:
        value = self.wanted.value_size
        return trials.single(
            contender, name, trace, self.place(),
            share=share, size=size, watch=True, value=value, **more,
        )  # fmt: skip


def reference(path: Path) -> list[Trial]:
    """The exact figures that stand beside a trace, if any do."""
    file = path.parent / "reference.csv"
    if not file.exists():
        return []
    name = path.name.partition(".")[0]
    with file.open(newline="") as rows:
        return [
            Trial(
                path.name,
                int(row["requests"]),
                "entries",
                int(row["capacity_entries"]),
                int(row["capacity_entries"]) / int(row["unique_keys"]),
                evictionpage.EXACT + row["policy"],
                float(row["hit_ratio"]),
                0.0,
            )
            for row in csv.DictReader(rows)
            if row["trace"] == name
        ]


def paths(given: Sequence[Path]) -> list[Path]:
    """The traces that are wanted.

    :raises Refused: when there are none
    """
    found: list[Path] = []
    for path in given or [TRACES]:
        if path.is_dir():
            found += sorted(each for each in path.iterdir() if each.suffix == ".gz")
        else:
            found.append(path)
    if not found:
        raise Refused(f"there are no traces in {', '.join(map(str, given or [TRACES]))}")
    return found


def run(wanted: argparse.Namespace) -> list[Trial]:
    """Measure, and print each result as it comes."""
    found: list[Trial] = []
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="eviction-", dir=wanted.directory)
            )
        )
        bench = Bench(wanted, directory)
        for path in paths(wanted.trace):
            trace = formats.read(path, QUICK if wanted.quick else wanted.limit)
            if not wanted.quick and wanted.limit is None:
                found += reference(path)
            parts = []
            if "entries" in wanted.limit_on and trace.sizes is None:
                parts.append(bench.by_entries(trace))
            if "bytes" in wanted.limit_on:
                parts.append(bench.by_bytes(trace))
            for part in parts:
                for trial in part:
                    found.append(trial)
                    evictionpage.say(trial)
    return found


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks.eviction",
        description="Replay traces through caches that are too small, and count the hits.",
    )
    add = arguments.add_argument
    add("trace", type=Path, nargs="*", help="files or directories (default: ../shared/traces)")
    add("--quick", action="store_true", help=f"only the first {QUICK:,} requests of each")
    add("--limit", type=int, metavar="N", help="only the first N requests of each")
    add("--policy", action="append", choices=POLICIES, help="of ours; may be repeated")
    add("--peer", action="append", choices=PEERS, help="may be repeated (default: all)")
    add("--no-peers", action="store_true", help="ours only")
    add(
        "--diskcache-policy", nargs="*", default=["least-recently-stored"],
        help="policies of python-diskcache (default: its own default)",
    )  # fmt: skip
    add("--share", type=float, nargs="*", default=list(SHARES), help="capacities, of the keys")
    add("--size-share", type=float, nargs="*", default=[0.05], help="of the bytes of all keys")
    add(
        "--value-size", type=int, default=1000, metavar="BYTES",
        help="of the values under a limit on bytes, where a trace has no sizes (default: 1000)",
    )  # fmt: skip
    add("--limit-on", nargs="*", choices=("entries", "bytes"), default=["entries", "bytes"])
    add("--turns", action="store_true", help="also 4 processes that take turns")
    add("--simulate", action="store_true", help="also our policies in memory alone")
    add("--no-disk", action="store_true", help="with --simulate: nothing else")
    add("--directory", type=Path, metavar="PATH", help="where caches are made, and removed")
    add("--json", type=Path, metavar="FILE", help="write the results there, or add to them")
    add("--docs", type=Path, metavar="DIRECTORY", help="write a page and its charts there")
    add("--render", type=Path, metavar="FILE", help="measure nothing: take this JSON")
    return arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status: 2 if it could not run."""
    wanted = parser().parse_args(arguments)
    wanted.policy = wanted.policy or list(POLICIES)
    wanted.peer = [] if wanted.no_peers else wanted.peer or list(PEERS)
    if not settings.configured:
        settings.configure(SECRET_KEY="eviction")
    try:
        if wanted.render is not None:
            found = [Trial(**each) for each in json.loads(wanted.render.read_text())]
        else:
            for name in wanted.peer:  # one that is missing is said before hours of replays
                contenders.find(name).backend()
            found = run(wanted)
    except Refused as error:
        print(f"eviction: {error}", file=sys.stderr)
        return 2
    if wanted.json is not None:
        before = json.loads(wanted.json.read_text()) if wanted.json.exists() else []
        new = [asdict(trial) for trial in found]
        kept = [each for each in before if not any(_same(each, other) for other in new)]
        wanted.json.write_text(json.dumps(kept + new, indent=1) + "\n")
    print(evictionpage.text(found))
    if wanted.docs is not None:
        evictionpage.write(wanted.docs, found)
    return 0


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    names = ("trace", "requests", "limit", "capacity", "name")
    return all(one[name] == other[name] for name in names)


if __name__ == "__main__":
    sys.exit(main())
