"""Names on a server: patterns of it, and all names that are like one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .node import Node

PAGE = 1000  # names that the server looks at in one step of a scan
_SPECIAL = frozenset(b"*?[]\\^-")


def escaped(name: bytes) -> bytes:
    """A pattern of the server that only this name is like."""
    return b"".join(b"\\%c" % byte if byte in _SPECIAL else b"%c" % byte for byte in name)


def scanned(node: Node, pattern: bytes, page: int = PAGE) -> Iterator[list[bytes]]:
    """All names on a server like a pattern, page by page; some may come twice.

    :raises Fault: when it does not answer
    """
    cursor: Any = b"0"
    while True:
        cursor, names = node.ask(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % page)
        if names:
            yield names
        if int(cursor) == 0:
            return
