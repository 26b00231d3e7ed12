"""Tables, verdicts and curves of `benchmarks.eviction`, for terminal and documentation."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from .report import NOTHING
from .trials import Trial

EXACT = "exact "
DEFAULT = "s3-fifo"
TURNS = "4 processes"
AT_BYTES_OF = f"{DEFAULT} in the bytes of "
SMALLEST = 1e-9  # of a hit ratio: more than nothing
ABOVE_LRU = 0.02  # what hit ratios under a limit on bytes are to be above those of LRU
ALLOWED = 0.005  # what a hit ratio may be below its target
COLOURS = [
    "#0b7a4b",
    "#b54708",
    "#175cd3",
    "#7a271a",
    "#6941c6",
    "#475467",
    "#c11574",
    "#067647",
]
WIDTH, HEIGHT, LEFT, TOP = 460, 260, 56, 40


def say(trial: Trial) -> None:
    """One line for a result that has just come."""
    print(
        f"{trial.trace} {trial.limit} {trial.capacity:,}: {trial.name} {trial.hit_ratio:.4f},"
        f" {trial.request:.1f} µs",
        file=sys.stderr,
        flush=True,
    )


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _cell(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


def _grid(found: Sequence[Trial]) -> list[list[str]]:
    """Hit ratios: a row for each name, a column for each capacity."""
    columns = sorted({trial.capacity for trial in found})
    rows = [["hit ratio", *(f"{column:,}" for column in columns)]]
    for name in _unique(trial.name for trial in found):
        known = {trial.capacity: trial.hit_ratio for trial in found if trial.name == name}
        rows.append([name, *(_cell(known.get(column), ".4f") for column in columns)])
    return rows


def _costs(found: Sequence[Trial]) -> list[list[str]]:
    heads = "capacity,name,µs per request,set mean µs,set p99.9 µs,bytes written per request"
    rows = [[*heads.split(","), "most on disk, of the limit", "samples over it"]]
    for trial in found:
        if trial.name.startswith(EXACT):
            continue
        rows.append(
            [
                f"{trial.capacity:,}",
                trial.name,
                f"{trial.request:.1f}",
                _cell(trial.set_mean, ".1f"),
                _cell(trial.set_slowest, ",.0f"),
                _cell(trial.written, ",.0f"),
                _cell(trial.peak, ".1%"),
                _cell(trial.over, "d"),
            ]
        )
    return rows


def _by_part(found: Sequence[Trial]) -> list[tuple[str, list[Trial]]]:
    parts: dict[str, list[Trial]] = {}
    for trial in found:
        name = trial.trace.partition(".")[0]
        title = f"{name}: limit on {trial.limit}, {trial.requests:,} requests"
        parts.setdefault(title, []).append(trial)
    return list(parts.items())


def _pairs(found: Sequence[Trial], one: str, other: str) -> list[tuple[Trial, Trial]]:
    others = {(t.trace, t.limit, t.capacity, t.requests): t for t in found if t.name == other}
    mine = [t for t in found if t.name == one]
    keys = [(t, (t.trace, t.limit, t.capacity, t.requests)) for t in mine]
    return [(t, others[key]) for t, key in keys if key in others]


def verdicts(found: Sequence[Trial]) -> list[list[str]]:
    """The targets, and whether what was measured meets them."""
    rows = [["target", "measured", "verdict"]]

    def compare(
        what: str,
        one: str,
        other: str,
        least: float,
        mean: float | None,
        among: Sequence[Trial] = found,
    ) -> None:
        pairs = _pairs(among, one, other)
        if not pairs:
            rows.append([what, NOTHING, "not measured"])
            return
        gaps = [a.hit_ratio - b.hit_ratio for a, b in pairs]
        average = math.fsum(gaps) / len(gaps)
        met = min(gaps) >= least and (mean is None or average >= mean)
        text = f"least {min(gaps) * 100:+.2f}, mean {average * 100:+.2f} points"
        text += f", {len(gaps)} pairs"
        rows.append([what, text, "met" if met else "missed"])

    exact = EXACT + "S3-FIFO"
    compare(
        "s3-fifo: exact S3-FIFO - 0.5 points, mean at or above", DEFAULT, exact, -ALLOWED, 0
    )
    sieve = f"{exact}, SIEVE main"
    compare("stretch: the row with a SIEVE main queue", DEFAULT, sieve, 0, None)
    compare("4 processes in turns: one - 0.5 points", TURNS, DEFAULT, -ALLOWED, None)
    used = "least-recently-used"
    compare("least-recently-used: exact LRU - 0.5 points", used, EXACT + "LRU", -ALLOWED, None)
    for peer in ("diskcache least-recently-stored", "filebased"):
        what = f"as many bytes on disk as {peer}: more hits"
        compare(what, AT_BYTES_OF + peer, peer, SMALLEST, None)
    sized = [t for t in found if "sized" in t.trace and t.limit == "bytes"]
    compare(
        "limit on bytes, sizes differ: LRU + 2 points", DEFAULT, used, ABOVE_LRU, None, sized
    )
    watched = [t for t in found if t.over is not None and t.name == DEFAULT]
    over = sum(t.over or 0 for t in watched)
    measured, verdict = f"{over} samples", "missed" if over else "met"
    if not watched:
        measured, verdict = NOTHING, "not measured"
    rows.append(["du over size_limit: never", measured, verdict])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines)


def _plain(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def text(found: Sequence[Trial]) -> str:
    """All tables, for people."""
    parts = []
    for title, some in _by_part(found):
        parts += [title, _plain(_grid(some)), "", _plain(_costs(some)), ""]
    return "\n".join([*parts, _plain(verdicts(found))])


def curves(title: str, found: Sequence[Trial]) -> str:
    """An SVG of hit ratios over capacities, readable by itself; its table is beside it."""
    names = _unique(trial.name for trial in found)
    capacities = sorted({trial.capacity for trial in found})
    least = math.log(capacities[0])
    span = math.log(capacities[-1]) - least or 1.0
    low = math.floor(min(trial.hit_ratio for trial in found) * 10) / 10
    high = math.ceil(max(trial.hit_ratio for trial in found) * 10) / 10 or 1.0

    def place(trial: Trial) -> tuple[int, int]:
        across = (math.log(trial.capacity) - least) / span if len(capacities) > 1 else 0.5
        up = (trial.hit_ratio - low) / ((high - low) or 1)
        return round(LEFT + across * (WIDTH - LEFT - 20)), round(TOP + (1 - up) * HEIGHT)

    total = TOP + HEIGHT + 40 + 18 * len(names)
    words = "; ".join(
        f"{name}: "
        + ", ".join(f"{t.hit_ratio:.1%} at {t.capacity:,}" for t in found if t.name == name)
        for name in names
    )
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {total}"'
        f' width="{WIDTH}" height="{total}" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(words)}.</desc>',
        "<style>text{font:12px system-ui,sans-serif;fill:#1f2933}.g{stroke:#d0d5dd}"
        ".m{text-anchor:middle}.e{text-anchor:end}polyline{fill:none;stroke-width:2}</style>",
        f'<rect width="{WIDTH}" height="{total}" rx="6" fill="#ffffff"/>',
        f'<text x="16" y="22">{escape(title)}</text>',
    ]
    for step in range(5):
        ratio = low + (high - low) * step / 4
        y = round(TOP + (1 - step / 4) * HEIGHT)
        body.append(f'<path class="g" d="M{LEFT} {y}H{WIDTH - 20}"/>')
        body.append(f'<text class="e" x="{LEFT - 6}" y="{y + 4}">{ratio:.0%}</text>')
    for capacity in capacities:
        x = place(Trial("", 0, "", capacity, 0, "", low, 0))[0]
        body.append(f'<text class="m" x="{x}" y="{TOP + HEIGHT + 18}">{capacity:,}</text>')
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="4 3"' if name.startswith(EXACT) else ""
        points = sorted(place(trial) for trial in found if trial.name == name)
        line = " ".join(f"{x},{y}" for x, y in points)
        body.append(f'<polyline points="{line}" stroke="{colour}"{dash}/>')
        body += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points]
        y = TOP + HEIGHT + 44 + 18 * number
        body.append(f'<path d="M{LEFT} {y - 4}h24" stroke="{colour}" stroke-width="2"{dash}/>')
        body.append(f'<text x="{LEFT + 32}" y="{y}">{escape(name)}</text>')
    return "\n".join([*body, "</svg>", ""])


HEAD = """# Eviction: hit ratios on real traces

Printed by `python -m benchmarks.eviction`. A request gets its key, and on a miss stores it. All
of ours went through the backend on disk, with one in a hundred entries evicted at a time; what
is called exact are the figures of a validated simulator. What is called simulated are our
policy objects in memory alone. What a peer's limit means is not what its directory takes: "in
the bytes of" a peer is a cache of ours whose `size_limit` is the most that the peer had on the
disk in the row before. Times were taken on a busy machine, and most on a file system in memory:
read the ratios of hits.

[How eviction works](../explanation/eviction.md) says which traces these are, and where to
find them.
"""


def write(directory: Path, found: Sequence[Trial]) -> None:
    """The page `eviction.md` and its charts."""
    page = [HEAD, "## Targets\n", _markdown(verdicts(found)), ""]
    for title, some in _by_part(found):
        page += [f"## {title}\n"]
        if len({trial.capacity for trial in some}) > 1:
            name = (
                "eviction-"
                + "-".join(title.replace(":", "").replace(",", "").split()[:4]).lower()
            )
            (directory / f"{name}.svg").write_text(curves(title, some))
            page += [f"![{title}]({name}.svg)\n"]
        page += [_markdown(_grid(some)), "", _markdown(_costs(some)), ""]
    (directory / "eviction.md").write_text("\n".join(page))
