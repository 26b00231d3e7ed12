"""Commands as bytes: by hiredis, where that is there.

The client packs by it as well, and looks at each argument before, since it may be of other
types. Here all of them are bytes, and that look takes longer than the packing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

MOST = 2**18  # bytes that are sent at once: more would be there twice meanwhile

packed: Callable[[Any], bytes] | None
try:
    from hiredis import pack_command
except ImportError:  # the extra brings it, but the client does without
    packed = None
else:
    packed = pack_command


def together(connection: Any, commands: Sequence[Sequence[bytes]]) -> Sequence[bytes]:
    """Several commands, as `send_packed_command` of a connection takes them."""
    if packed is None:
        parts: Sequence[bytes] = connection.pack_commands(commands)
        return parts
    each = [packed(tuple(command)) for command in commands]
    return (b"".join(each),) if sum(map(len, each)) < MOST else each


def sender(connection: Any) -> Callable[..., Any]:
    """What sends a command, given as its parts."""
    if packed is None or connection.health_check_interval:  # which only that one looks at
        send: Callable[..., Any] = connection.send_command
        return send
    pack, send_packed = packed, connection.send_packed_command

    def send_one(*command: bytes) -> Any:
        return send_packed((pack(command),), False)

    return send_one
