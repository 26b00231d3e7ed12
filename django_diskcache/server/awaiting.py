"""The methods of a cache on a server as coroutines, for event loops; they mean the same.

What this process remembers is answered at once. The rest is awaited, on connections of the
loop. The first calls on a loop go to a thread: a loop that makes only a few calls, as the ones
that asgiref makes for synchronous callers, is not worth connections of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from ..engine.batches import shortened
from ..engine.computing import AwaitedResults
from ..engine.errors import ENOVAL, UNKNOWN
from ..engine.faults import FAULTS
from ..engine.guard import RAISE
from ..engine.keyed import shaped
from ..engine.lifetime import (
    milliseconds_from_now,
    milliseconds_since_epoch,
    seconds_from_now,
    seconds_since_epoch,
    slides,
)
from ..engine.once import Found
from ..engine.tagging import Match
from ..engine.updating import Change
from .abreast import Groups, Met
from .awaitedlink import NATIVE_FROM, AwaitedLink
from .claiming import Claim, LoopClaim, claiming
from .following import driven, driven_on_loop
from .grouped import NodeSteps
from .node import Node
from .searching import SearchedCache
from .steps import Steps


class AwaitingCache(SearchedCache):
    """Mixed into the face."""

    _results = AwaitedResults

    async def _link(self) -> AwaitedLink | None:
        """That of the running loop, or None for its first calls."""
        loops = self._engine.link.loops
        loop = asyncio.get_running_loop()
        found: AwaitedLink | None = loops.get(loop)
        if found is None:
            for reference in loops.keyrefs():  # of some that did not say that they end
                other = reference()
                if other is not None and other.is_closed():
                    loops.pop(other, None)
            found = loops[loop] = AwaitedLink(self._engine.link)
        found.calls += 1
        if found.calls < NATIVE_FROM:
            return None
        await found.begin()
        return found

    async def _awaited(self, otherwise: Any, steps: Steps) -> Any:
        """What an operation returns, or `otherwise` where a fault in it is absorbed."""
        try:
            link = await self._link()
            if link is None:
                return await asyncio.to_thread(driven, steps, self._answer)
            return await driven_on_loop(steps, link.answer)
        except FAULTS as error:
            if not self._absorbed(error) or otherwise is RAISE:
                raise
            return otherwise

    async def _awaited_on(self, node: Node, steps: NodeSteps) -> Any:
        """`_awaited` for an operation on one node; a fault is `Met`."""
        try:
            link = await self._link()
            if link is None:
                return await asyncio.to_thread(driven, steps, node.do)
            return await driven_on_loop(steps, link.of(node).do)
        except FAULTS as error:
            return Met(error)

    async def _awaited_on_groups(
        self, groups: Groups, otherwise: Any, make: Callable[[Sequence[int]], NodeSteps]
    ) -> list[tuple[Sequence[int], Any]]:
        """`_on_groups`."""
        calls = [self._awaited_on(node, make(positions)) for node, positions in groups.items()]
        if len(calls) > 1:
            outcomes = await asyncio.gather(*calls)
        else:  # it needs no task
            outcomes = [await call for call in calls]
        return list(zip(groups.values(), self._settled(outcomes, otherwise), strict=True))

    async def _agroups(self, numbers: Sequence[int]) -> Groups:
        if not self._engine.link.table:  # the nodes of a cluster must be asked for
            return await asyncio.to_thread(self._groups, numbers)
        return self._groups(numbers)

    # One key

    async def aget(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
        touch: float | bool | None = False,
    ) -> Any:
        """`get`."""
        operations = self._operations
        if touch is not False:
            return await self._asliding(key, default, read, expire_time, tag, touch)
        if not (read or expire_time or tag):
            value = self._engine.near.get(key) if type(key) is str else UNKNOWN
            if value is UNKNOWN:
                value = await self._awaited(ENOVAL, operations.look(key))
            return default if value is ENOVAL else value
        missing = (default, None, None)
        found = await self._awaited(missing, operations.get(key, default, read))
        return shaped(found, expire_time, tag)

    async def _asliding(
        self, key: Any, default: Any, read: bool, expire_time: bool, tag: bool, touch: Any
    ) -> Any:
        if not slides(touch):
            found = await self.aget(key, default, read, expire_time, tag)
            await self.atouch(key, touch)
            return found
        plain = not (read or expire_time or tag)
        value = self._fresh(key, touch) if plain else UNKNOWN
        if value is not UNKNOWN:
            return default if value is ENOVAL else value
        steps = self._operations.slide(key, default, read, touch, plain)
        found = await self._awaited((default, None, None), steps)
        return shaped(found, expire_time, tag)

    async def auntil(self, key: Any, retry: bool = False) -> Found:
        """`until`."""
        known: Any = self._engine.near.until(key) if type(key) is str else UNKNOWN
        if known is UNKNOWN:
            known = await self._awaited((ENOVAL, None), self._operations.until(key))
        found: Found = known
        return found

    async def ahas(self, key: Any, retry: bool = False) -> bool:
        """`has`."""
        known = self._engine.near.knows(key) if type(key) is str else None
        if known is not None:
            return known
        return bool(await self._awaited(False, self._operations.has(key)))

    async def aset(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """`set`."""
        steps = self._operations.set(key, value, expire, read, tag)
        return bool(await self._awaited(False, steps))

    async def aadd(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """`add`."""
        if type(key) is str and self._engine.near.knows(key):
            return False
        steps = self._operations.add(key, value, expire, read, tag)
        return bool(await self._awaited(False, steps))

    async def atouch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """`touch`."""
        return bool(await self._awaited(False, self._operations.touch(key, expire)))

    async def attl(self, key: Any, retry: bool = False) -> int | None:
        """`ttl`."""
        left = await self.apttl(key)
        return None if left is None else -(-left // 1000)

    async def apttl(self, key: Any, retry: bool = False) -> int | None:
        """`pttl`."""
        due = self._known_expiry(key)
        if due is UNKNOWN:
            due = await self._awaited(ENOVAL, self._operations.due(key))
        return self._left(due)

    async def aexpire_at(self, key: Any, when: datetime | float, retry: bool = False) -> bool:
        """`expire_at`."""
        due = seconds_since_epoch(when)
        if due <= self._engine.clock():
            return await self.adelete(key)
        return bool(await self._awaited(False, self._operations.expire_at(key, due)))

    async def aexpire_in(
        self, key: Any, timeout: float | timedelta, retry: bool = False
    ) -> bool:
        """`expire_in`."""
        return await self.aexpire_at(key, self._engine.clock() + seconds_from_now(timeout))

    async def apexpire(self, key: Any, timeout: float | timedelta, retry: bool = False) -> bool:
        """`pexpire`."""
        return await self.aexpire_in(key, milliseconds_from_now(timeout))

    async def apexpire_at(self, key: Any, when: datetime | float, retry: bool = False) -> bool:
        """`pexpire_at`."""
        return await self.aexpire_at(key, milliseconds_since_epoch(when))

    async def apersist(self, key: Any, retry: bool = False) -> bool:
        """`persist`."""
        return bool(await self._awaited(False, self._operations.persist(key)))

    async def atags(self, key: Any, retry: bool = False) -> tuple[Any, ...]:
        """`tags`."""
        found: tuple[Any, ...] = await self._awaited((), self._operations.tags(key))
        return found

    async def aincr(
        self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False
    ) -> Any:
        """`incr`."""
        return await self._awaited(RAISE, self._operations.incr(key, delta, default))

    async def adecr(
        self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False
    ) -> Any:
        """`decr`."""
        return await self.aincr(key, -delta, default)

    async def aupdate(
        self, key: Any, change: Change, tag: Any = None, looking: bool = False
    ) -> Any:
        """`update`."""
        return await self._awaited(RAISE, self._operations.update(key, change, tag))

    async def apop(
        self,
        key: Any,
        default: Any = None,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """`pop`."""
        missing = (default, None, None)
        found = await self._awaited(missing, self._operations.pop(key, default))
        return shaped(found, expire_time, tag)

    async def adelete(self, key: Any, retry: bool = False) -> bool:
        """`delete`."""
        return bool(await self._awaited(False, self._operations.delete(key)))

    # Many keys

    async def aget_many(self, keys: Iterable[Any], retry: bool = False) -> dict[Any, Any]:
        """`get_many`."""
        found, unknown = self._known(keys)
        operations = self._operations
        places = self._engine.places(unknown)
        groups = await self._agroups([number for _, number, _ in places])
        load = partial(operations.load, keys=unknown, places=places)
        for _, loaded in await self._awaited_on_groups(groups, ({}, (), ()), load):
            some, again, foreign = loaded
            found.update(some)
            for each in foreign:
                await self._awaited(None, operations.refuse(*each))
            for key in again:
                value = await self._awaited(ENOVAL, operations.look(key))
                if value is not ENOVAL:
                    found[key] = value
        return found

    async def aset_many(
        self,
        items: Mapping[Any, Any],
        expire: float | None = None,
        tag: Any = None,
        retry: bool = False,
        spread: float = 0,
    ) -> list[Any]:
        """`set_many`."""
        operations = self._operations
        keys = list(items)
        calls = operations.settings(items, expire, tag, spread)
        failed = set(range(len(keys)))
        groups = await self._agroups([number for number, _, _ in calls])
        store = partial(operations.store, calls=calls)
        for positions, again in await self._awaited_on_groups(groups, None, store):
            if again is None:  # a fault: none of them
                continue
            failed.difference_update(positions)
            for n in again:
                life = shortened(expire, spread)
                if not await self.aset(keys[n], items[keys[n]], life, tag=tag):
                    failed.add(n)
        return [keys[n] for n in sorted(failed)]

    async def adelete_many(self, keys: Iterable[Any], retry: bool = False) -> int:
        """`delete_many`."""
        keys = list(keys)
        names, numbers = self._engine.names(keys)
        removed = 0
        groups = await self._agroups(numbers)
        unlink = partial(self._operations.unlink, names=names, numbers=numbers)
        for _, unlinked in await self._awaited_on_groups(groups, (0, ()), unlink):
            some, again = unlinked
            removed += some
            for n in again:
                removed += await self.adelete(keys[n])
        return removed

    async def aclaim(self, key: Any) -> LoopClaim | None:
        """`claim`; what it returns is released in a thread."""
        made: Claim | None = await self._awaited(RAISE, claiming(self._engine, key))
        return None if made is None else LoopClaim(made)

    # The whole cache: what is long by nature is left to a thread

    async def aevict(self, tag: Any, retry: bool = False, match: Match = "any") -> int:
        """`evict`."""
        return await asyncio.to_thread(self.evict, tag, retry, match)

    async def aclear(self, retry: bool = False) -> int:
        """`clear`."""
        return await asyncio.to_thread(self.clear)

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of threads."""
        link = self._engine.link.loops.pop(asyncio.get_running_loop(), None)
        if link is not None:
            await link.close()
        await asyncio.to_thread(self.close)  # type: ignore[attr-defined]
