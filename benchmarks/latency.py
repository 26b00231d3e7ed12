"""Latencies in little memory: a histogram whose buckets are as wide as 1/128 of what they hold.

The buckets are those of HdrHistogram: below 256 ns one for each nanosecond, above that 128 for
each power of two. So a percentile is right to 0.4 %, the mean is exact, and recording costs the
same whether it is the first time or the hundred millionth.
"""

from __future__ import annotations

from array import array
from itertools import accumulate

_BITS = 7  # of a latency that its bucket keeps, after the leading one
_BUCKETS = 64 << _BITS


class Latencies:
    """Counts of latencies in nanoseconds."""

    def __init__(self) -> None:
        self._counts = array("q", bytes(8 * _BUCKETS))
        self._sum = 0

    def record(self, nanoseconds: int) -> None:
        """Count one latency, of at least 0."""
        shift = max(0, nanoseconds.bit_length() - _BITS - 1)
        self._counts[(shift << _BITS) + (nanoseconds >> shift)] += 1
        self._sum += nanoseconds

    def add(self, other: Latencies) -> None:
        """Count those of `other`, which another process may have recorded."""
        self._counts = array("q", map(int.__add__, self._counts, other._counts))
        self._sum += other._sum

    def __len__(self) -> int:
        return sum(self._counts)

    def mean(self) -> float | None:
        """Nanoseconds, or None when nothing was recorded."""
        count = len(self)
        return self._sum / count if count else None

    def percentile(self, percent: float) -> float | None:
        """Nanoseconds that `percent` of the latencies do not exceed, or None of none."""
        count = len(self)
        if not count:
            return None
        wanted = max(1.0, count * percent / 100)
        upto = enumerate(accumulate(self._counts))
        return _middle(next(bucket for bucket, reached in upto if reached >= wanted))


def _middle(bucket: int) -> float:
    shift = max(0, (bucket >> _BITS) - 1)
    low = (bucket - (shift << _BITS)) << shift
    return low + ((1 << shift) - 1) / 2
