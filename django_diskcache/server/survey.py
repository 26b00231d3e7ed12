"""What a server says of itself when a site is about to rely on it: for `check --deploy`.

It is asked once, on a connection of its own, and not waited for longer than the patience.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ..engine.clock import Clock
from ..engine.errors import Fault
from .address import Address
from .condition import OLDEST
from .gauges import NodeFigures, of_node
from .link import Link


@dataclass(frozen=True)
class Survey:
    """Of the server at an address; of a cluster, of one node that has slots.

    :param figures: None where it did not answer
    :param trouble: why it did not
    :param ahead: seconds that its clock is ahead of ours, as far as that can be told
    """

    figures: NodeFigures | None
    trouble: str = ""
    ahead: float = 0.0

    @property
    def too_old(self) -> str:
        """The oldest version that will do, where it is older; else ''."""
        if self.figures is None:
            return ""
        program, _, version = self.figures.program.partition(" ")
        oldest = OLDEST[program]
        numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
        return "" if numbers[:2] >= oldest else ".".join(map(str, oldest))


def survey(address: Address, patience: float, clock: Clock) -> Survey:
    """Ask the server, on a connection that is closed again.

    :param patience: seconds for a connection, and for each of three answers
    :param clock: ours, seconds since the epoch
    """
    waits = {"socket_timeout": patience, "socket_connect_timeout": patience}
    try:
        link = Link(address._replace(arguments={**address.arguments, **waits}), patience)
        with closing(link):
            node = link.at(0)
            before = clock()
            seconds, millionths = node.ask(b"TIME")
            after = clock()
            figures = of_node(node)
    except Fault as error:
        return Survey(None, str(error))
    except Exception as error:  # of the client: a check must not fail for it
        return Survey(None, f"{address.text}: {type(error).__name__}: {error}")
    now = int(seconds) + int(millionths) / 1e6
    # Between the two looks at our clock the answer was made, and it is not known when.
    ahead = now - after if now > after else min(now - before, 0.0)
    return Survey(figures, "", ahead)


def told_in_clear(address: Address) -> str:
    """The host to which a password goes as clear text over a network, or ''."""
    arguments: dict[str, Any] = address.arguments
    if not arguments.get("password") or "connection_class" in arguments:
        return ""  # TLS, or a socket of this machine
    return next((host for host, _ in address.places if not is_loopback(host)), "")


def is_loopback(host: str) -> bool:
    """Whether it is this machine, by how it is called."""
    return host in ("localhost", "::1") or host.startswith("127.")
