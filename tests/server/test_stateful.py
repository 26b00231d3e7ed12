"""Deques and indexes on a server against plain Python models, through random sequences.

The steps and their models are those of tests/engine/test_stateful.py, but for transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from shutil import rmtree
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from django_diskcache.engine import Deque, Index
from django_diskcache.server import ServerCache
from tests.engine import test_stateful as on_files

from .servers import Server

BOUNDS = settings(max_examples=25, stateful_step_count=40)
numbers = count()


class OnServer(on_files.Collection):
    """What is done to a collection on a server."""

    cache: ServerCache

    def begin_with(self, collection: Any) -> None:
        self.collection = collection

    @contextmanager
    def abandoned(self) -> Iterator[None]:
        """What is done in it is done to another collection: there are no transactions."""
        mine = self.collection
        name = f"other/{next(numbers)}"
        other: Any = (
            self.cache.deque(name) if isinstance(mine, Deque) else self.cache.index(name)
        )
        if isinstance(mine, Deque):
            other.extend(mine)
        else:
            other.update(mine)
        self.collection = other
        yield
        self.collection = mine

    def teardown(self) -> None:
        if hasattr(self, "collection"):
            self.collection.clear()
        rmtree(self.directory)


class DequeMachine(OnServer, on_files.DequeMachine):
    def make(self, start: list[Any], maxlen: int | None) -> Deque:
        queue = self.cache.deque(f"made/{next(numbers)}", maxlen)
        queue.extend(start)
        return queue


class IndexMachine(OnServer, on_files.IndexMachine):
    def make(self, start: dict[Any, Any]) -> Index:
        index = self.cache.index(f"made/{next(numbers)}")
        index.update(start)
        return index


@pytest.mark.parametrize("machine", [DequeMachine, IndexMachine])
def test_every_operation(machine: type[OnServer], server: Server) -> None:
    with ServerCache(server.url, timeout=10) as cache:
        machine.cache = cache
        run_state_machine_as_test(machine, settings=BOUNDS)
