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

import os
from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from redis import connection

from ..engine.logs import without_password

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
# What the engine decides, and what a caller of ours cannot give in a text.
DECIDED = {
    *("protocol", "decode_responses", "encoding", "encoding_errors", "encoder_class"),
    *("retry", "parser_class", "connection_class", "credential_provider", "command_packer"),
}
# What the client's connections of event loops do not take, or not those of its older versions.
OF_THREADS = {
    *("ssl_validate_ocsp", "ssl_validate_ocsp_stapled"),
    *("ssl_ocsp_context", "ssl_ocsp_expected_cert"),
    *("ssl_password", "ssl_ca_path"),
}
IN_WORDS = {"connection_class": "TLS", "username": "user"}
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
EXPECTED = "valkey://host:6379/0, valkeys://, redis://, rediss://, unix:///path, sentinel://"
IN_A_PASSWORD = "in a password, @ is %40, / is %2F, # is %23, ? is %3F and % is %25"
EXPECTED_OF_A_NODE = "expected the address of a node of a cluster, such as valkey://host:6379"

_parse: Any = connection.parse_url  # the client has types for some of its functions


class Address(NamedTuple):
    """A parsed LOCATION.

    :param kind: 'single', 'cluster' or 'sentinel'
    :param places: (host, port) of the nodes, or of the sentinels; none of a socket
    :param service: name of the primary, where there are sentinels
    :param arguments: of the client's connections, `connection_class` among them
    :param scheme: as it was written, which tells whether it is TLS
    """

    kind: str
    places: tuple[tuple[str, int], ...]
    service: str
    arguments: dict[str, Any]
    scheme: str

    def __repr__(self) -> str:
        return f"Address({self.text!r})"

    @property
    def text(self) -> str:
        """What may be shown and logged: no password."""
        if self.kind == "single" and "path" in self.arguments:
            return f"unix://{self.arguments['path']}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.places)
        if self.kind == SENTINEL:
            return f"sentinel://{hosts}/{self.service}"
        return f"{self.scheme}://{hosts}"


def read_address(location: Any) -> Address:
    """What a LOCATION says.

    :raises ValueError: which names the mistake and what is taken
    """
    if isinstance(location, Address):
        return location
    if isinstance(location, (list, tuple)):
        return _cluster(location)
    if not isinstance(location, str):  # it is not shown: there may be a password in it
        raise ValueError(
            f"LOCATION is of type {type(location).__name__}: expected {EXPECTED}, or a list of "
            "nodes"
        )
    if "://" not in location:
        shown = without_password(location)
        raise ValueError(f"LOCATION={shown!r}: expected {EXPECTED}, or a list of nodes")
    scheme = location.partition("://")[0].lower()
    if scheme == SENTINEL:
        return _sentinel(location)
    return _single(location)


def _single(location: str) -> Address:
    scheme, _, rest = location.partition("://")
    scheme = scheme.lower()
    known = SCHEMES.get(scheme)
    if known is None:
        raise ValueError(f"LOCATION={without_password(location)!r}: expected {EXPECTED}")
    shown = without_password(location)
    database = urlsplit(location).path.strip("/") if known != "unix" else ""
    if database and not database.isdigit():
        raise ValueError(
            f"LOCATION={shown!r}: expected the number of a database behind the /; "
            f"{IN_A_PASSWORD}"
        )
    if known == "unix" and (first := urlsplit(location).netloc.rpartition("@")[2]):
        path = f"/{first}{urlsplit(location).path}"
        raise ValueError(f"LOCATION={shown!r}: expected three slashes, as in unix://{path}")
    try:
        arguments: dict[str, Any] = dict(_parse(f"{known}://{rest}"))
    except ValueError as error:
        reason = str(error)
        if not reason.startswith("Invalid value for"):  # it has the text that is no port in it
            reason = f"expected a host and a number as its port; {IN_A_PASSWORD}"
        raise ValueError(f"LOCATION={shown!r}: {reason.rstrip('.')}") from None
    for name in arguments:
        if name in OF_THREADS and not _on_loops(name):
            raise ValueError(
                f"LOCATION={shown!r}: {name!r} is not taken by connections of event loops; "
                "leave it out"
            )
    if wrong := _not_taken(arguments):
        raise ValueError(
            f"LOCATION={shown!r}: {wrong!r} is no argument of a connection that may stand "
            "here: options of the cache stand in OPTIONS"
        )
    for name in FILES:
        file = arguments.get(name)
        if file and not os.access(file, os.R_OK):
            raise ValueError(f"LOCATION={shown!r}: {name}={file!r} is no file that can be read")
    places: tuple[tuple[str, int], ...] = ()
    if known == "unix":
        if not arguments.get("path"):
            raise ValueError(
                f"LOCATION={without_password(location)!r}: expected unix:///path/of/socket"
            )
    else:
        host = arguments.setdefault("host", "localhost")
        places = ((host, arguments.setdefault("port", PORT)),)
    return Address("single", places, "", arguments, scheme)


def _on_loops(name: str) -> bool:
    """Whether this client's connections of event loops take an argument of TLS."""
    from redis.asyncio import connection as loops  # it takes its time, and few sites ask

    classes = [each for each in loops.SSLConnection.__mro__ if "__init__" in vars(each)]
    return any(name in signature(vars(each)["__init__"]).parameters for each in classes)


def _not_taken(arguments: dict[str, Any]) -> str:
    """The first argument that connections do not take, or may not get; '' if there is none."""
    given = dict(arguments)
    cls = given.pop("connection_class", connection.Connection)
    for name in given:
        if name in DECIDED:
            return name
    for name, value in given.items():
        try:
            cls(**{name: value})  # it connects to nobody yet
        except TypeError:
            return name
        except Exception:  # of a value, or of what must be given with it
            continue
    return ""


def _cluster(locations: Sequence[Any]) -> Address:
    if not locations:
        raise ValueError("LOCATION=[]: expected the addresses of nodes of a cluster")
    nodes = [_node(number, location) for number, location in enumerate(locations)]
    arguments, *others = map(_shared, nodes)
    for number, other in enumerate(others, 1):
        differ = sorted(
            IN_WORDS.get(name, name)
            for name in {*arguments, *other}
            if arguments.get(name) != other.get(name)
        )
        if differ:
            shown = without_password(locations[number])
            raise ValueError(
                f"LOCATION[{number}]={shown!r}: expected the same as in LOCATION[0] but for "
                f"host and port, and these differ: {', '.join(differ)}"
            )
    places = tuple(place for node in nodes for place in node.places)
    return Address("cluster", places, "", arguments, nodes[0].scheme)


def _shared(node: Address) -> dict[str, Any]:
    """The arguments of a node that those of others must be as well."""
    own = ("host", "port", "db")
    return {name: value for name, value in node.arguments.items() if name not in own}


def _node(number: int, location: Any) -> Address:
    """What the element of a list says."""
    if not isinstance(location, str):  # perhaps one with a password in it
        shown = f"LOCATION[{number}] of type {type(location).__name__}"
        raise ValueError(f"{shown}: {EXPECTED_OF_A_NODE}")
    where = f"LOCATION[{number}]={without_password(location)!r}"
    scheme = location.partition("://")[0].lower()
    if "://" not in location or scheme not in SCHEMES or scheme == "unix":
        raise ValueError(f"{where}: {EXPECTED_OF_A_NODE}")
    try:
        node = _single(location)
    except ValueError as error:
        reason = str(error).partition("': ")[2]
        raise ValueError(f"{where}: {reason}") from None
    if node.arguments.get("db"):
        raise ValueError(f"{where}: a cluster has no databases but 0; leave the number out")
    return node


def _sentinel(location: str) -> Address:
    parts = urlsplit(location)
    hosts = parts.netloc.rpartition("@")[2]
    path = [part for part in parts.path.split("/") if part]
    if not hosts or not path or len(path) > 2 or (len(path) == 2 and not path[1].isdigit()):
        raise ValueError(
            f"LOCATION={without_password(location)!r}: expected sentinel://host:26379,host:26379/service"
            ", and perhaps /database behind it"
        )
    # The rest is what it is with a single server.
    credentials = parts.netloc[: -len(hosts)]
    query = f"?{parts.query}" if parts.query else ""
    rest = f"redis://{credentials}host/{''.join(path[1:])}{query}"
    try:
        arguments = dict(_single(rest).arguments)
    except ValueError as error:
        shown, reason = without_password(location), str(error).partition("': ")[2]
        raise ValueError(f"LOCATION={shown!r}: {reason}") from None
    del arguments["host"], arguments["port"]
    places = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        if not name or (port and not port.isdigit()):
            raise ValueError(
                f"LOCATION={without_password(location)!r}: {host!r} is no host:port"
            )
        places.append((name, int(port or SENTINEL_PORT)))
    return Address(SENTINEL, tuple(places), unquote(path[0]), arguments, SENTINEL)
