"""Tables, verdicts and curves of `benchmarks.eviction`, for terminal and documentation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .trials import Trial

EXACT = "exact "


def say(trial: Trial) -> None:
    """One line for a result that has just come."""
    print(
        f"{trial.trace} {trial.limit} {trial.capacity:,}: {trial.name} {trial.hit_ratio:.4f},"
        f" {trial.request:.1f} µs",
        file=sys.stderr,
        flush=True,
    )


def text(found: Sequence[Trial]) -> str:
    return "\n".join(
        f"{t.trace} {t.limit} {t.capacity} {t.name} {t.hit_ratio:.4f}" for t in found
    )


def write(directory: Path, found: Sequence[Trial]) -> None:
    pass
