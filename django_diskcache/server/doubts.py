"""Whether hints of tags may be gone, since a server has evicted some.

An eviction by tag goes by hints (see `scripts`). All policies that evict take what they meet,
hints among it, and an entry without its hint would be missed; so where some may be gone, every
entry is looked at.

What is known is noted on the server, in the first bucket: under the name of a server's run, how
many keys it had evicted when all hints were there, and how many commands it had answered. A
server that may evict and of which that is not noted, or no longer so, is doubted: one that was
restarted, that has taken over, whose counts were told to begin anew, or that has evicted the
note. The doubt ends when all its entries were looked at, and have their hints again, or when
all is cleared.

Where the notes cannot be read, a server that may evict, or has, is doubted, and nothing is
noted: perhaps the notes say that all is well.

A server that may evict nothing is doubted only for what it says that it has evicted. As another
policy brings nothing back, that is noted as well, and then all are doubted.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from ..engine.errors import Fault
from .gauges import info_of, number_in
from .node import Node
from .remote import Remote

NEARLY_FULL = 0.9  # of its limit: a server that evicts all the time, or soon will
HOLDS = 10.0  # seconds: nobody changes a policy often
KEEPS_ALL = "noeviction"
LOST = b"lost"  # noted where a server has told that it has evicted
COMMANDS = b":commands"  # after the name of a run: what it had answered

# Until when the servers of a cache are known to evict nothing.
_keeping: weakref.WeakKeyDictionary[Remote, float] = weakref.WeakKeyDictionary()


class Told(NamedTuple):
    """What a server tells of itself; nothing if it may not be asked: then the hints must do.

    :param run: what names this run of it
    :param evicted: keys that went for want of memory, in this run or since it was told to count
        anew
    :param commands: that it has answered, likewise
    :param evicts: whether it may evict
    """

    node: Node
    run: bytes
    evicted: int
    commands: int
    evicts: bool
    nearly_full: bool

    @property
    def counted(self) -> dict[bytes, int]:
        """What is noted of it when all hints are there."""
        if not self.evicts and not self.evicted:
            return {}
        return {self.run: self.evicted, self.run + COMMANDS: self.commands}

    def is_noted(self, noted: Mapping[bytes, int]) -> bool:
        """Whether it is what it was when all hints were there.

        Counts that began anew are less than what was noted, at first.
        """
        known = noted.get(self.run) == self.evicted
        return known and self.commands >= noted.get(self.run + COMMANDS, 0)


def ask(node: Node) -> Told:
    """What a server tells.

    :raises Fault: when it does not answer
    """
    told = info_of(node)
    limit = number_in(told, "maxmemory")
    return Told(
        node,
        told.get("run_id", "").encode(),
        number_in(told, "evicted_keys"),
        number_in(told, "total_commands_processed"),
        limit > 0 and told.get("maxmemory_policy", KEEPS_ALL) != KEEPS_ALL,
        number_in(told, "used_memory") > limit * NEARLY_FULL > 0,
    )


def keeping(remote: Remote) -> bool:
    """Whether all servers evict nothing, by what they told some seconds ago."""
    return time.monotonic() < _keeping.get(remote, 0.0)


def doubted(
    remote: Remote, told: Sequence[Told], noted: Mapping[bytes, int] | None, every: bool
) -> Sequence[Told]:
    """Those of some servers whose hints may be gone; what is new is noted.

    :param noted: by `Remote.noted`; None where that is not known, and then nothing is noted
    :param every: these are all servers of the cache
    """
    if noted is None:
        seen = any(each.evicted for each in told)
        return told if seen else [each for each in told if each.evicts]
    seen = any(each.evicted not in (0, noted.get(each.run, 0)) for each in told)
    new = {LOST: 1} if seen and LOST not in noted else {}
    if not seen and LOST not in noted:
        found = [each for each in told if each.evicts and not each.is_noted(noted)]
        if every and not any(each.evicts for each in told):
            _keeping[remote] = time.monotonic() + HOLDS
        # The more is noted, the longer it takes until counts that began anew are as high.
        for each in told:
            name = each.run + COMMANDS
            if each not in found and each.commands > 2 * noted.get(name, each.commands):
                new[name] = each.commands
        told = found
    if new:
        with suppress(Fault):  # it is full, say: then it is seen again
            remote.note(new)
    return told


def note(remote: Remote, told: Sequence[Told], every: bool) -> None:
    """Note that all hints are there that were stored before these told of themselves.

    :param every: these are all servers of the cache
    :raises Fault: when it cannot be noted
    """
    notes = {name: number for each in told for name, number in each.counted.items()}
    remote.note(notes, alone=every)
