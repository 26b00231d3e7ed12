"""The same of several servers at the same time: the nodes of a cluster.

What is done on one of them page by page has a thread for each. What is one exchange of messages
has none: it is sent to all of them, and then their answers are read; which is quicker, and
changes nothing where there is one server. But nobody may queue for a connection to one server,
or make one, while he keeps those to others from those who queue there. So where one has to be
made, a thread does that, which has no other; and who has to queue does so when the others have
answered, for one after the other.

A node that is away costs its own part. The others do theirs meanwhile, and all together wait no
longer than one call may. Faults are taken care of in the thread of the caller, when all are
done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ..engine.faults import FAULTS
from ..engine.together import at_once
from .following import MET, driven
from .grouped import NodeSteps
from .node import Node
from .single import SingleKey

S = TypeVar("S")
T = TypeVar("T")
SOON = 0.1  # of what a call may wait: so much later it is not too late
Groups: TypeAlias = "Mapping[Node, Sequence[int]]"


class Met(NamedTuple):
    """A fault, instead of a result."""

    error: Exception


class Abreast(SingleKey):
    """Mixed into the face."""

    def _on_each(self, nodes: Iterable[S], call: Callable[[S], T], otherwise: Any) -> list[T]:
        """What `call` returns of each node, or `otherwise` where a fault is absorbed.

        It is called in threads, and must leave to this one what a fault means to the caller.

        :param nodes: or whatever there is one of for each
        :raises Fault: the first that is not absorbed
        """
        outcomes = at_once([partial(_attempt, call, node) for node in nodes])
        return self._settled(outcomes, otherwise)

    def _on_groups(
        self, groups: Groups, otherwise: Any, make: Callable[[Sequence[int]], NodeSteps]
    ) -> list[tuple[Sequence[int], Any]]:
        """What an operation on each node returns, with the positions that it was made for.

        :param make: makes it for some positions
        :param otherwise: what it returns where a fault is absorbed
        :raises Fault: the first that is not absorbed
        """
        if len(groups) < 2:
            return [
                (positions, self._safely(otherwise, driven, make(positions), node.do))
                for node, positions in groups.items()
            ]
        halves = [Half(node, make(positions)) for node, positions in groups.items()]
        begun: list[Half] = []
        unconnected: list[Half] = []
        queued: list[Half] = []
        for half in halves:
            if half.begin():
                begun.append(half)
            else:
                (queued if half.node.busy else unconnected).append(half)
        outcomes: dict[Half, Any] = {}

        def finish(half: Half) -> None:
            outcomes[half] = _attempt(half.end, None)

        def read() -> None:
            patience = self._engine.link.patience
            since = time.monotonic()
            for half in begun:
                waited = time.monotonic() - since
                # To wait for less than a call may costs more than to wait as one.
                left = None if waited < patience * SOON else max(0.0, patience - waited)
                outcomes[half] = _attempt(half.end, left)

        calls: list[Callable[[], None]] = [partial(finish, half) for half in unconnected]
        if begun:
            calls.append(read)  # the last is done in this thread
        at_once(calls)
        for half in queued:  # threads for these would be more for a machine that has too many
            finish(half)
        results = self._settled([outcomes[half] for half in halves], otherwise)
        return list(zip(groups.values(), results, strict=True))

    def _settled(self, outcomes: Iterable[Any], otherwise: Any) -> list[Any]:
        """The same, with `otherwise` for each fault, of which care is taken."""
        results = []
        raised = None
        for outcome in outcomes:
            met = isinstance(outcome, Met)
            if met and not self._absorbed(outcome.error) and raised is None:
                raised = outcome.error
            results.append(otherwise if met else outcome)
        if raised is not None:
            raise raised
        return results


class Half:
    """An operation on one node, which is one call, in two halves: sending and reading."""

    def __init__(self, node: Node, steps: NodeSteps) -> None:
        self.node = node
        self._steps = steps
        self._call = next(steps)
        self._answers: Callable[[float | None], Any] | None = None
        self._error: Exception | None = None

    def begin(self) -> bool:
        """Send what is asked, if that can be done at once; otherwise all is left to the end."""
        try:
            self._answers = self.node.ahead(*self._call)
        except MET as error:
            self._error = error
        return self._answers is not None or self._error is not None

    def end(self, seconds: float | None) -> Any:
        """Its result.

        :param seconds: that it may wait for the first answer to what was sent; None is as long
            as a call may
        :raises Fault: when there is none
        """
        error = self._error
        try:
            if error is None:
                try:
                    if self._answers is None:
                        reply = self.node.do(*self._call)
                    else:
                        reply = self._answers(seconds)
                    self._steps.send(reply)
                except MET as late:
                    error = late
            if error is not None:
                self._steps.throw(error)
        except StopIteration as done:
            return done.value
        raise RuntimeError("an operation on one node is one call")


def _attempt(call: Callable[..., T], *arguments: Any) -> T | Met:
    try:
        return call(*arguments)
    except FAULTS as error:
        return Met(error)
