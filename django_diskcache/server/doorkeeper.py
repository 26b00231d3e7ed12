"""Which of many keys are worth remembering: those that were asked for not long ago.

To be told of a key's changes costs the server 0.9 µs, and to remember its value costs this
process half as much again. That is lost on what nobody reads a second time before its age is
over (`engine.nearcache`), and long lists are often of that sort: the lines of a report, the
results of a search. So what a read of many keys asks for the first time is not remembered, and
nobody is told of its changes; from the second time on it is. What a read of one key finds, or
of a few, is remembered at once.

Keys are known by their hashes here: of two with the same one is remembered too early, which
does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.nearcache import MAX_AGE

LONG = 16  # keys that are many
MOST = 2**14  # hashes of one period: when there are more, the next one begins


class Doorkeeper:
    """That of one near cache."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._before: set[int] = set()  # those of the period that ended
        self._since = 0.0

    def known(self, numbers: Sequence[int], now: float) -> set[int]:
        """Those of these hashes that were asked for; from now on all of them were."""
        age = now - self._since
        if not 0 <= age < MAX_AGE or len(self._recent) > MOST:
            self._before = self._recent if 0 <= age < 2 * MAX_AGE else set()
            self._recent = set()
            self._since = now
        asked = set(numbers)
        found = asked & self._recent
        if self._before:
            found |= asked & self._before
        self._recent |= asked
        return found
