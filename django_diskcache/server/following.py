"""Where a call goes while a cluster moves buckets, or loses nodes, for threads and for loops.

What is to be done is said by generators: they yield calls, are sent the answer or thrown the
fault, and return the result. Who drives them waits for answers in his own way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from redis.exceptions import AskError, MovedError, TryAgainError

from ..engine.errors import Fault

if TYPE_CHECKING:
    from .link import Link

MOST_MOVES = 5  # of one call, before it is given up
PAUSE = 0.005  # seconds before a bucket that is being moved is tried again
LOOK_EVERY = 0.5  # seconds between two looks at the topology of a cluster in trouble
MET = (Fault, AskError, TryAgainError)  # what a generator is thrown
UNSURE = ("once", "run")  # what must not be done twice

# Whose method, its name and its arguments; `time.sleep` for a pause.
Call: TypeAlias = "tuple[Any, str, Sequence[Any]]"


def driven(steps: Generator[Any, Any, Any], do: Callable[..., Any]) -> Any:
    """What a generator returns whose calls are done by `do`, in a thread."""
    try:
        call = next(steps)
        while True:
            try:
                reply = do(*call)
            except MET as error:
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration as done:
        return done.value


async def driven_on_loop(
    steps: Generator[Any, Any, Any], do: Callable[..., Awaitable[Any]]
) -> Any:
    """`driven` on an event loop."""
    try:
        call = next(steps)
        while True:
            try:
                reply = await do(*call)
            except MET as error:
                call = steps.throw(error)
            else:
                call = steps.send(reply)
    except StopIteration as done:
        return done.value
    finally:
        steps.close()


def following(
    link: Link, bucket: int, method: str, arguments: Sequence[Any]
) -> Generator[Call, Any, Any]:
    """What a method of the node of a bucket returns, wherever that is moved.

    :raises Fault: when there is no answer
    """
    deadline = time.monotonic() + link.patience
    moves = 0
    while True:
        try:
            while not (table := link.table):
                yield link, "look", (deadline,)
            return (yield table[bucket], method, arguments)
        except MovedError as error:
            moves += 1
            if moves > MOST_MOVES:
                raise Fault("down", link.address.text, error) from error
            yield link, "moved", (bucket, error)
        except AskError as error:  # it is just being moved
            moves += 1
            if moves > MOST_MOVES:
                raise Fault("down", link.address.text, error) from error
            try:
                return (yield from _asking(link, error, method, arguments))
            except TryAgainError:
                yield from _pause(link, deadline, error)
            moves = 0
        except TryAgainError as error:  # one key has moved, and another has not yet
            yield from _pause(link, deadline, error)
        except Fault as lost:
            # Perhaps another node has taken over. What must not be done twice may be done.
            again = lost.kind in ("lost", "down", "readonly") and method not in UNSURE
            if not again or time.monotonic() >= deadline:
                link.look_soon()
                raise
            if not link.may_look(LOOK_EVERY):
                raise
            yield link, "look", (deadline,)


def _pause(link: Link, deadline: float, error: Exception) -> Generator[Call, Any, None]:
    if time.monotonic() > deadline:
        raise Fault("down", link.address.text, error) from error
    yield time, "sleep", (PAUSE,)


def _asking(
    link: Link, ask: AskError, method: str, arguments: Sequence[Any]
) -> Generator[Call, Any, Any]:
    node = yield link, "named", (link.name_of(ask.host, ask.port),)
    if method in ("run", "rerun"):
        script, keys, *rest = arguments
        arguments = script.whole(keys, rest)
    reply = yield node, "asking", arguments
    return (reply, False) if method == "look" else reply
