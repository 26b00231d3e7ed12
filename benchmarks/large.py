"""Values of 1 kB to 8 MB: bytes that do not compress, overwritten and read again."""

from __future__ import annotations

from . import Refused, rounds, subjects, values
from .plan import Bench, Opened
from .tables import Measure, Table, latencies

NAME = "large"
TITLE = "Values of 1 kB to 8 MB"

SIZES = (2**10, 2**14, 2**16, 2**18, 2**20, 2**23)
KEYS = 4
CALLS = 100
MOST = 32 * 2**20  # bytes that a turn writes: else the disk is what is measured


def run(bench: Bench) -> list[Table]:
    plan = bench.plan
    table = Table(NAME, "large", "Values of 1 kB to 8 MB")
    stored: list[Measure] = []
    read: list[Measure] = []
    keys = [f"large:{n}" for n in range(KEYS)]
    with (
        bench.opened(*subjects.SUBJECTS, keys=1000) as caches,
        bench.progress(table.title, len(SIZES)) as progress,
    ):
        for place, length in enumerate(SIZES, start=1):
            calls = max(KEYS, min(plan.some(CALLS), MOST // length))
            different = [values.noise(length + n) for n in range(KEYS + 1)]

            def storing(
                opened: Opened, calls: int = calls, data: list[bytes] = different
            ) -> rounds.Turn:
                arguments = [(keys[n % KEYS], data[n % (KEYS + 1)]) for n in range(calls)]
                return lambda number: (opened.cache.set, arguments)

            def reading(
                opened: Opened, calls: int = calls, data: list[bytes] = different
            ) -> rounds.Turn:
                # A turn of sets may have ended after the first: the other keys would still
                # have the smaller values of before.
                for key, value in zip(keys, data, strict=False):
                    opened.cache.set(key, value)
                    if opened.cache.get(key) != value:
                        raise Refused(f"{opened.subject.name} did not keep {len(value)} bytes")
                arguments = [(keys[n % KEYS],) for n in range(calls)]
                return lambda number: (opened.cache.get, arguments)

            for into, verb, turn in ((stored, "set", storing), (read, "get", reading)):
                found = rounds.interleaved(
                    {name: turn(opened) for name, opened in caches.items()},
                    max(3, plan.rounds // 2),
                    plan.turn(0.05),
                )
                into.append(latencies(f"{verb} {_size(length)}", values=found))
            progress.update(place)
    table.measures = [each for pair in zip(stored, read, strict=True) for each in pair]
    table.notes.append(
        "Bytes that do not compress, in four keys. memcached runs with -I 16m: by default it"
        " refuses values above 1 MB."
    )
    return [table]


def _size(length: int) -> str:
    return f"{length // 2**20} MB" if length >= 2**20 else f"{length // 2**10} kB"
