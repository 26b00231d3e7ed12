"""Where a collection is on the server, and what all kinds of them have in common.

All names of one collection lie in one slot of a cluster, so a script changes it in one step.
Its values are signed for the collection's own name: what was stored in one cannot be put into
another. Nothing of it is remembered in the process: each call asks the server. What fails
raises: what a collection acknowledges must not be lost unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ..engine.cache import part_of
from ..engine.disk import Disk
from ..engine.errors import Foreign, Timeout
from ..engine.fanout import parts_of
from ..engine.guard import RAISE, raising
from .envelope import Codec
from .orderscripts import CLEAR
from .remote import Remote
from .scripts import Script

if TYPE_CHECKING:
    from .face import ServerCache

SIGN = b"="  # after the brace, where a key of the cache has the sign of its sort
# A brace would begin or end what decides on the slot.
_ESCAPES = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D"})


def name_of(parent: str, kind: str, name: Any) -> str:
    """What the collection with this name is called on the server, in the cache `parent`.

    :raises ValueError: when it is no name for one
    """
    return f"{parent}/{kind}/" + "/".join(parts_of(kind, name)).translate(_ESCAPES)


class Collection:
    """What stands where a collection on files has its `Cache`.

    :param cache: whose collection it is
    :param kind: 'deque' or 'index'
    """

    kind: str
    parts: tuple[bytes, ...]  # of which it is made on the server, the values first
    size: bytes  # the command that counts these

    def __init__(self, cache: ServerCache, name: str) -> None:
        self.owner = cache
        self._given_name = name
        self.name = name_of(cache.engine.name, self.kind, name)
        self._bucket = crc32(self.name.encode()) & 255
        head = b"%s{%02x}%s" % (self.name.encode(), self._bucket, SIGN)
        self._names = tuple(head + part for part in self.parts)
        engine = cache.engine
        self._codec = Codec(engine.disk, engine.secrets, self.name)
        self.absorbs: tuple[type[Exception], ...] = ()

    @property
    def engine(self) -> Remote:
        """That of the cache."""
        return self.owner.engine

    @property
    def directory(self) -> str:
        """Where it is, as it may be shown: the address, and its name there."""
        return f"{self.owner.directory}#{self.name}"

    @property
    def error_handler(self) -> Any:
        """That of the cache."""
        return self.owner.error_handler

    @property
    def disk(self) -> Disk:
        """How keys and values are serialised."""
        return self.engine.disk

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.owner, self._given_name)

    def close(self) -> None:
        """Close the connections of the cache; the next call opens new ones."""
        self.owner.close()

    def clear(self, retry: bool = False) -> int:
        """Remove all; how many there were."""
        return int(self._run(CLEAR, self.size))

    def __len__(self) -> int:
        return int(self._ask(self.size, self._names[0]))

    # Calls

    def _wait(self, retry: bool) -> float | None:
        """Seconds that a call may wait; 0 on the twin for event loops (`impatient`)."""
        return None

    def _call(self, method: str, *arguments: Any) -> Any:
        if self._wait(False) == 0:
            raise Timeout
        cache = raising(self.owner)
        return cache._safely(RAISE, cache._ask, self._bucket, method, *arguments)

    def _ask(self, *command: Any) -> Any:
        """The answer to a command that may as well be done twice."""
        return self._call("ask", *command)

    def _run(self, script: Script, *arguments: bytes) -> Any:
        """What a script returns, which is not run twice."""
        return self._call("run", script, self._names, *arguments)

    def _look(self, script: Script, *arguments: bytes) -> Any:
        """What a script returns that changes nothing, or the same when it is run again."""
        return self._call("rerun", script, self._names, *arguments)

    def _foreign(self, why: Foreign) -> None:
        self.engine.triage.foreign(why)


def temporary(entries: Collection, make: Callable[..., Any], *args: Any) -> Any:
    """A collection in a temporary directory of this machine: what arithmetic makes.

    On the server nobody would ever remove it.
    """
    settings_of: Any = entries
    return make(part_of(settings_of, None, Disk, eviction_policy="none"), *args)
