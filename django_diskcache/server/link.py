"""Which server has which bucket: one for all, or the nodes of a cluster.

Keys are put into 256 buckets. The number of a key's bucket is in its name, in braces, which in
a cluster decides on the slot; so all of a bucket is on one node, and one script can change it
in one step. The client library asks sentinels for the primary.
"""

from __future__ import annotations

# Names of hosts are encoded by it, which the first connection would import: a child that is
# forked by another thread meanwhile would wait for the lock of that import for ever.
import encodings.idna  # noqa: F401
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from zlib import crc32

from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import MovedError
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from ..engine.errors import Fault
from .address import Address
from .board import BUCKETS, Board, present
from .breaker import Breaker
from .following import LOOK_EVERY, driven, following
from .listener import TICK, Listener
from .node import Node
from .punctual import punctual
from .topology import Place, owners, shuffled
from .trouble import ERRORS, fault, kind_of, reason

_sentinel: Any = Sentinel  # the client has types for some of its functions
TO_BE_MADE = 2**31  # connections that a pool of the client may make: bounded by `Lines`


class Asked(list[Any]):
    """Sentinels in the order in which they are asked: who has answered is put first.

    The client lets two change places for that. Where several threads or tasks do so at once,
    one would be there twice, and another never be asked again. Who is asking them goes by the
    order that he began with, or he would ask one twice and another not at all.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def __setitem__(self, position: Any, sentinel: Any) -> None:
        if position == 0:  # the other one moves on by itself
            others = [each for each in self if each is not sentinel]
            super().__setitem__(slice(None), [sentinel, *others])


class Link:
    """The servers of one address, for all caches of this process there; see `open_link`.

    :param patience: seconds that a call may wait
    """

    def __init__(self, address: Address, patience: float) -> None:
        self.address = address
        self.patience = patience
        self.board = Board()
        # Caches, each with a `tick`; and of event loops what they have of it (`awaitedlink`).
        self.remotes: weakref.WeakSet[Any] = weakref.WeakSet()
        self.loops: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._of_parent: list[Any] = []
        self._listeners: dict[Node, Listener] = {}
        self._arguments = {
            "socket_timeout": patience,
            "socket_connect_timeout": patience,
            "protocol": 2,  # an invalidation never comes between two answers
            "retry": Retry(NoBackoff(), 0),
            **address.arguments,
        }
        self._nodes: dict[str, Node] = {}
        self._lock = threading.Lock()
        self._looked = self._ticked = 0.0
        self._breaker = Breaker()
        self._refusal = "down", "nobody answered"
        self._looking: threading.Thread | None = None
        self.table: list[Node] = []  # by bucket; of a cluster it is filled by the first look
        if address.kind == "cluster":
            return
        make = self._of_sentinels() if address.kind == "sentinel" else self._of_one()
        self.table = [self._node(address.text, make)] * BUCKETS

    def _node(self, name: str, make: Callable[[], Any]) -> Node:
        if name not in self._nodes:
            clustered = self.address.kind == "cluster"
            forget = partial(_forget, weakref.ref(self), name)
            node = Node(make, name, self.patience, forget, clustered)
            self._nodes.setdefault(name, node)  # another thread may be as far
        return self._nodes[name]

    def _of_one(self) -> Callable[[], Any]:
        arguments = dict(self._arguments)
        cls = punctual(arguments.pop("connection_class", Connection))
        return lambda: cls(**arguments)

    def _of_sentinels(self) -> Callable[[], Any]:
        arguments = dict(self._arguments)
        plain = arguments.pop("connection_class", None) is None
        cls = SentinelManagedConnection if plain else SentinelManagedSSLConnection
        sentinels: Any = _sentinel(
            self.address.places,
            sentinel_kwargs=self._asked_with(Retry(NoBackoff(), 0)),
            connection_class=punctual(cls),
            **arguments,
        )
        sentinels.sentinels = Asked(sentinels.sentinels)
        for each in sentinels.sentinels:
            each.connection_pool.connection_class = punctual(Connection)
        pool: Any = sentinels.master_for(
            self.address.service, max_connections=TO_BE_MADE
        ).connection_pool
        make: Callable[[], Any] = pool.make_connection
        return make

    def _asked_with(self, retry: Any) -> dict[str, Any]:
        """Arguments for the connections to sentinels.

        :param retry: of the client; by default it pauses for seconds
        """
        part = self.patience / len(self.address.places)  # who is away leaves time for others
        return {"socket_timeout": part, "socket_connect_timeout": part, "retry": retry}

    # Who is told of changes

    def listen(self) -> None:
        """See to it that changes are told."""
        for node in self.known():
            listener = self._listeners.get(node)
            if listener is None:  # perhaps another thread is as far: one of them stays
                new = Listener(node, self._changed, self._tick, self._met)
                listener = self._listeners.setdefault(node, new)
            listener.start()

    def _changed(self, names: list[bytes]) -> None:
        """Entries have changed; a name ends in a brace, a sign and the key (`remote`)."""
        self.board.stamp_each([crc32(name.partition(b"}")[2][1:]) for name in names])

    def _tick(self) -> None:
        """Each listener calls it once a second; what is to be done is so for all of them."""
        now = time.monotonic()
        if now - self._ticked < TICK * 0.9:  # it is no clock
            return
        self._ticked = now
        for node in self.known():
            node.look_around()
        for reference in self.loops.keyrefs():  # other threads may just be adding to them
            loop = reference()
            if loop is not None and (awaited := self.loops.get(loop)) is not None:
                with suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(awaited.look_around)
        for remote in present(self.remotes):
            remote.tick()

    def _met(self, error: Fault) -> None:
        """Nothing is remembered because of it, in any of these caches."""
        for remote in present(self.remotes):
            remote.triage.met(error)

    # For event loops

    def awaited(self, node: Node) -> Callable[[], Any]:
        """What makes connections to a node for one event loop, unconnected."""
        # Not at start-up: it takes its time, and most sites have no event loop.
        from redis.asyncio import connection, retry, sentinel

        arguments = dict(self._arguments)
        arguments["socket_timeout"] = None  # one for sending and reading together
        arguments["retry"] = retry.Retry(NoBackoff(), 0)
        cls = arguments.pop("connection_class", Connection)
        if self.address.kind == "sentinel":
            if cls is not Connection:
                arguments["ssl"] = True
            sentinels: Any = sentinel.Sentinel  # without types, as above
            found = sentinels(
                self.address.places,
                sentinel_kwargs=self._asked_with(retry.Retry(NoBackoff(), 0)),
                **arguments,
            )
            found.sentinels = Asked(found.sentinels)
            pool: Any = found.master_for(self.address.service).connection_pool
            make: Callable[[], Any] = pool.make_connection
            return make
        if self.address.kind == "cluster":
            arguments["host"], arguments["port"] = _place(node.name)
        awaited_class: Any = getattr(connection, cls.__name__)
        return lambda: awaited_class(**arguments)

    # The topology of a cluster

    def begin(self) -> None:
        """In a child after a fork: connections and listeners are the parent's."""
        # What closed the parent's here would tell the system call that both wait in (`epoll`)
        # to look at these connections no more, and the parent would hear no answer.
        self._of_parent += self.loops.items()
        self.loops = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._breaker = Breaker()
        self._looking = None
        for node in self._nodes.values():
            node.begin()
        if self.address.kind == "cluster":
            self.table = []
        for listener in self._listeners.values():
            listener.begin()
        self.board.stamp_all()

    def look(self, deadline: float | None = None) -> None:
        """Ask the cluster who has what.

        :param deadline: by `time.monotonic`; by default, this takes as long as a call may
        :raises Fault: when nobody answers
        """
        if deadline is None:
            deadline = time.monotonic() + self.patience
        seen = self._looked
        with self._lock:
            if self._looked != seen and self.table:
                return  # another thread has, meanwhile
            if time.monotonic() >= deadline:  # others were before it, and found nothing
                raise Fault("slow", self.address.text, "there was no time left to look")
            if self._breaker.refuses():
                kind, why = self._refusal
                raise Fault(
                    kind, self.address.text, f"not tried again yet; the last time: {why}"
                )
            try:
                self._go_by(self._learned(deadline))
                self._forget_others()
                self._breaker.worked()
            except ERRORS as error:
                self._breaker.failed()
                self._refusal = kind_of(error) or "down", reason(error)
                raise fault(error, self.address.text) from error
            finally:
                self._looked = time.monotonic()

    def _go_by(self, table: list[Node]) -> None:
        """Ask these nodes from now on, and forget what was read where others were asked.

        Those that had a bucket tell of its changes no more. The stamps come last: who has noted
        one of these finds the new node.
        """
        before = self.table
        if table == before:
            return
        self.table = table
        if not before:
            self.board.stamp_all()
        else:
            pairs = enumerate(zip(before, table, strict=True))
            self.board.stamp_buckets([n for n, (old, new) in pairs if old is not new])

    def forget(self, name: str) -> None:
        """Trust nothing that was read of a node, which may have changes that are not told."""
        table = self.table
        buckets = [bucket for bucket, node in enumerate(table) if node.name == name]
        if len(buckets) == len(table):
            self.board.stamp_all()
        else:  # none, if it has left: then its buckets were stamped when they moved
            self.board.stamp_buckets(buckets)

    def _learned(self, deadline: float) -> list[Node]:
        places = shuffled([*map(_place, list(self._nodes)), *self.address.places])
        away = {_place(node.name) for node in self.known() if node.breaker.open}
        places.sort(key=lambda place: place in away)
        found = owners(self._connection, places, BUCKETS, deadline)
        return [self._named(self.name_of(*place)) for place in found]

    def name_of(self, host: str, port: int) -> str:
        """That of a node of a cluster."""
        return f"{self.address.scheme}://{host}:{port}"

    def _connection(self, host: str, port: int, patience: float | None = None) -> Any:
        """One to a node of a cluster, unconnected."""
        arguments = {**self._arguments, "host": host, "port": port}
        if patience is not None:
            arguments["socket_timeout"] = arguments["socket_connect_timeout"] = patience
        made = punctual(arguments.pop("connection_class", Connection))(**arguments)
        if patience is not None:  # for all that is done on it
            made.timed.begin()
        return made

    def _named(self, name: str) -> Node:
        return self._node(name, partial(self._connection, *_place(name)))

    def _forget_others(self) -> None:
        """Talk no more to nodes that have left, or have no buckets any more."""
        for name, node in list(self._nodes.items()):
            if node not in self.table:
                del self._nodes[name]
                node.close()
        for node in list(self._listeners):
            if node not in self.table:
                self._listeners.pop(node).stop()

    def at(self, bucket: int) -> Node:
        """The node that has a bucket.

        :raises Fault: when the topology cannot be asked for
        """
        return self._filled()[bucket]

    def _filled(self) -> list[Node]:
        while not (table := self.table):  # `close` may empty it at any moment
            self.look()
        return table

    def nodes(self) -> list[Node]:
        """All that have buckets."""
        return list(dict.fromkeys(self._filled()))

    @property
    def in_trouble(self) -> bool:
        """Whether one of them could not be connected to the last time."""
        return any(node.breaker.open for node in self.known())

    def known(self) -> list[Node]:
        """All that are talked to; nobody is asked."""
        return list(self._nodes.values())

    def moving(self, bucket: int, method: str, *arguments: Any) -> Any:
        """What a method of the node of a bucket returns, wherever a cluster moves that.

        :raises Fault: when there is no answer
        """
        if self.address.kind != "cluster":
            return getattr(self.table[0], method)(*arguments)
        return driven(following(self, bucket, method, arguments), _done)

    def look_soon(self) -> None:
        """Look at the topology beside the calls, if nobody has looked just now."""
        looking = self._looking
        if not self.may_look(LOOK_EVERY) or (looking is not None and looking.is_alive()):
            return
        self._looking = threading.Thread(
            target=self._look_quietly, name="django_diskcache topology", daemon=True
        )
        with suppress(RuntimeError):  # the interpreter ends
            self._looking.start()

    def _look_quietly(self) -> None:
        with suppress(Fault):  # the next call that needs it meets the same
            self.look()

    def may_look(self, every: float) -> bool:
        """Whether the last look at the topology is longer ago than so many seconds."""
        return time.monotonic() - self._looked >= every

    def moved(self, bucket: int, moved: MovedError) -> None:
        """Go by what a node said of where a bucket is now."""
        node = self._nodes.get(self.name_of(moved.host, moved.port))
        if node is None:
            self.look()  # it is new
        else:
            table = list(self.table)
            table[bucket] = node
            self._go_by(table)

    def named(self, name: str) -> Node:
        """The node with this name, which another has told of.

        :raises Fault: when nobody can be asked
        """
        if name not in self._nodes:
            self.look()  # it is new
        return self._named(name)  # perhaps it gets its first slot just now

    def each(self, buckets: Sequence[int]) -> dict[Node, list[int]]:
        """Positions in `buckets` by the node that has them."""
        found: dict[Node, list[int]] = {}
        for position, bucket in enumerate(buckets):
            found.setdefault(self.at(bucket), []).append(position)
        return found

    def close(self) -> None:
        """Close the connections that nobody uses, and listen no more until the next read."""
        for listener in self._listeners.values():
            listener.stop(wait=2.0)
        for node in self.known():
            node.close()
        if self.address.kind == "cluster":
            self.table = []


def _forget(reference: weakref.ref[Link], name: str) -> None:
    """`Link.forget`, if there is still somebody who remembers."""
    link = reference()
    if link is not None:
        link.forget(name)


def _done(whose: Any, method: str, arguments: Sequence[Any]) -> Any:
    return getattr(whose, method)(*arguments)


def _place(name: str) -> Place:
    host, _, port = name.partition("://")[2].rpartition(":")
    return host, int(port)


_links: weakref.WeakValueDictionary[str, Link] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_link(address: Address, patience: float) -> Link:
    """That of this process to an address; nothing is connected yet."""
    key = repr((*address._replace(scheme=""), patience))  # two may mean the same
    with _opening:
        found = _links.get(key)
        if found is None:
            found = _links[key] = Link(address, patience)
        return found


def begin_links() -> None:
    """In a child after a fork."""
    global _opening
    _opening = threading.Lock()
    for link in list(_links.values()):
        link.begin()
