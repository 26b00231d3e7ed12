"""LOCATION of a server: what it says, as the client library takes it.

- ``valkey://``, ``redis://``: one server, ``[user:password@]host[:port][/database]``
- ``valkeys://``, ``rediss://``: the same over TLS
- ``unix://``: a socket of this machine, ``/path?db=0``
- ``sentinel://host[:port],host[:port]/service[/database]``: whoever is primary now
- a list of such addresses of single servers: some nodes of a cluster, from which the others
  are learned

What stands behind ``?`` are arguments of the client's connections, such as ``ssl_ca_certs``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from redis import connection

SCHEMES = {
    "valkey": "redis",
    "redis": "redis",
    "valkeys": "rediss",
    "rediss": "rediss",
    "unix": "unix",
}
SENTINEL = "sentinel"
SENTINEL_PORT = 26379
PORT = 6379
EXPECTED = "valkey://host:6379/0, valkeys://, redis://, rediss://, unix:///path, sentinel://"

_parse: Any = connection.parse_url  # the client has types for some of its functions


class Address(NamedTuple):
    """A parsed LOCATION.

    :param kind: 'single', 'cluster' or 'sentinel'
    :param places: (host, port) of the nodes, or of the sentinels; none of a socket
    :param service: name of the primary, where there are sentinels
    :param arguments: of the client's connections, `connection_class` among them
    """

    kind: str
    places: tuple[tuple[str, int], ...]
    service: str
    arguments: dict[str, Any]

    @property
    def text(self) -> str:
        """What may be shown and logged: no password."""
        if self.kind == "single" and "path" in self.arguments:
            return f"unix://{self.arguments['path']}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.places)
        if self.kind == SENTINEL:
            return f"sentinel://{hosts}/{self.service}"
        return f"valkey://{hosts}"


def read_address(location: Any) -> Address:
    """What a LOCATION says.

    :raises ValueError: which names the mistake and what is taken
    """
    if isinstance(location, Address):
        return location
    if isinstance(location, (list, tuple)):
        return _cluster(location)
    if not isinstance(location, str) or "://" not in location:
        raise ValueError(f"LOCATION={location!r}: expected {EXPECTED}, or a list of nodes")
    scheme = location.partition("://")[0].lower()
    if scheme == SENTINEL:
        return _sentinel(location)
    return _single(location)


def _single(location: str) -> Address:
    scheme, _, rest = location.partition("://")
    known = SCHEMES.get(scheme.lower())
    if known is None:
        raise ValueError(f"LOCATION={_hidden(location)!r}: expected {EXPECTED}")
    try:
        arguments: dict[str, Any] = dict(_parse(f"{known}://{rest}"))
    except ValueError as error:
        raise ValueError(f"LOCATION={_hidden(location)!r}: {error}") from None
    places: tuple[tuple[str, int], ...] = ()
    if known == "unix":
        if not arguments.get("path"):
            raise ValueError(f"LOCATION={_hidden(location)!r}: expected unix:///path/of/socket")
    else:
        host = arguments.setdefault("host", "localhost")
        places = ((host, arguments.setdefault("port", PORT)),)
    return Address("single", places, "", arguments)


def _cluster(locations: Sequence[Any]) -> Address:
    if not locations:
        raise ValueError("LOCATION=[]: expected the addresses of nodes of a cluster")
    nodes = []
    for location in locations:
        node = read_address(location) if isinstance(location, str) else None
        if node is None or node.kind != "single" or not node.places:
            shown = _hidden(location) if isinstance(location, str) else location
            raise ValueError(
                f"LOCATION has {shown!r} in its list: expected the address of a node of a "
                "cluster, such as valkey://host:6379"
            )
        if node.arguments.get("db"):
            raise ValueError(
                f"LOCATION has {_hidden(location)!r} in its list: a cluster has no databases "
                "but 0; leave the number out"
            )
        nodes.append(node)
    arguments = {
        name: value
        for name, value in nodes[0].arguments.items()
        if name not in ("host", "port", "db")
    }
    places = tuple(place for node in nodes for place in node.places)
    return Address("cluster", places, "", arguments)


def _sentinel(location: str) -> Address:
    parts = urlsplit(location)
    hosts = parts.netloc.rpartition("@")[2]
    path = [part for part in parts.path.split("/") if part]
    if not hosts or not path or len(path) > 2 or (len(path) == 2 and not path[1].isdigit()):
        raise ValueError(
            f"LOCATION={_hidden(location)!r}: expected sentinel://host:26379,host:26379/service"
            ", and perhaps /database behind it"
        )
    # The rest is what it is with a single server.
    credentials = parts.netloc[: -len(hosts)]
    query = f"?{parts.query}" if parts.query else ""
    arguments = dict(_single(f"redis://{credentials}host/{''.join(path[1:])}{query}").arguments)
    del arguments["host"], arguments["port"]
    places = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        if not name or (port and not port.isdigit()):
            raise ValueError(f"LOCATION={_hidden(location)!r}: {host!r} is no host:port")
        places.append((name, int(port or SENTINEL_PORT)))
    return Address(SENTINEL, tuple(places), unquote(path[0]), arguments)


def _hidden(location: str) -> str:
    """The text without its password."""
    return re.sub(r"://([^/@:]*):[^@]*@", r"://\1:***@", location)
