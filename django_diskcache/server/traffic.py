"""Traffic over time on a server: sums of minutes and hours, which all processes add to.

There is one hash for the minutes of an hour, kept for a little more than a day, and one for
the hours of a day, kept for a month. Each process adds what it has counted since the last time,
once a second or in a cluster every five, in the step that adds the same to the counts; where
nothing happened it adds nothing. What is added belongs to the minute in which it is told: that
much later, or when the server is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..engine.clock import Clock
from ..engine.history import DAY, HOUR, KEPT, MINUTE, Traffic
from .scripts import HISTORY

HITS, MISSES, ERRORS = b"hits", b"misses", b"errors"
MOST_DIGITS = 20
TOGETHER = {MINUTE: HOUR, HOUR: DAY}  # seconds of a part: seconds of a hash of them


class SumsOverTime:
    """Those of one cache.

    :param head: what the names of the hashes begin with, which decides on where they are
    :param ask: `Link.moving`
    """

    def __init__(self, head: bytes, clock: Clock, ask: Callable[..., Any]) -> None:
        self._head = head
        self._clock = clock
        self._ask = ask

    def _name(self, step: int, at: int) -> bytes:
        """The hash that has the part of so many seconds which `at` is in."""
        whole = TOGETHER[step]
        return b"%s*history:%d:%d" % (self._head, step, at - at % whole)

    def places(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Where to add what happens now: hash, number of the part, seconds to keep the hash."""
        now = int(self._clock())
        for step, whole in TOGETHER.items():
            part = now % whole // step
            yield self._name(step, now), b"%d" % part, b"%d" % (KEPT[step] + whole)

    def traffic(self, span: int, step: int) -> list[Traffic]:
        """What happened in the last `span` seconds, in parts of `step` seconds, oldest first.

        The arguments are those of `engine.history.History.traffic`.

        :raises Fault: when the server does not tell
        """
        now = int(self._clock())
        start = now - now % step - span + step
        unit = MINUTE if step % HOUR else HOUR
        whole = TOGETHER[unit]
        begins = range(start - start % whole, now + 1, whole)
        names = [self._name(unit, begin) for begin in begins]
        found = self._ask(0, "rerun", HISTORY, names)
        parts: list[dict[bytes, int]] = [{} for _ in range(start, now + 1, step)]
        for begin, pairs in zip(begins, found, strict=True):
            for (part, name), number in _read(pairs).items():
                at = begin + part * unit
                if start <= at <= now:
                    sums = parts[(at - start) // step]
                    sums[name] = sums.get(name, 0) + number
        return [
            Traffic(
                start + step * n,
                step,
                sums.get(HITS, 0),
                sums.get(MISSES, 0),
                errors=sums.get(ERRORS, 0),
            )
            for n, sums in enumerate(parts)
        ]


def _read(pairs: list[bytes]) -> Mapping[tuple[int, bytes], int]:
    """Numbers by the part and by what they count; what is none of ours is left out."""
    found = {}
    for field, number in zip(pairs[::2], pairs[1::2], strict=True):
        part, _, name = field.partition(b":")
        if is_count(part) and is_count(number):
            found[int(part), name] = int(number)
    return found


def is_count(digits: bytes) -> bool:
    """Whether it is a number that we may have counted; others can write there as well."""
    return len(digits) < MOST_DIGITS and digits.isdigit()
