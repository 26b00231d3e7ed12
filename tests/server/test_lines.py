"""Threads that wait for a connection: all have their turn, and nothing is lost for good."""

from __future__ import annotations

import gc
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from django_diskcache.engine.errors import Fault
from django_diskcache.server import ServerCache, lines, turns
from django_diskcache.server.lines import MOST_LINES, Line
from django_diskcache.server.turns import Turn
from tests.conftest import FakeClock

from .servers import PATIENCE, Server, until

Make = Callable[..., ServerCache]
Start = Callable[..., Server]


def in_threads(number: int, work: Callable[[int], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    return threads


def joined(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def node_of(cache: ServerCache) -> Any:
    (node,) = cache.engine.link.nodes()
    return node


def all_borrowed(node: Any) -> list[Line]:
    """All connections of a node, which somebody uses."""
    return [node._borrow() for _ in range(MOST_LINES)]


def test_four_hundred_threads_at_once(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, timeout=PATIENCE, near_cache_size=0)
    refused: list[str] = []
    go = threading.Event()

    def work(number: int) -> None:
        go.wait()
        for each in range(30):
            if not cache.set(f"{number}:{each}", each):
                refused.append(f"{number}:{each}")

    threads = in_threads(400, work)
    go.set()
    joined(threads)
    assert refused == []
    node = node_of(cache)
    assert len(node._lines) == len(node._idle) <= MOST_LINES
    assert not node._waiting
    assert sum(cache.faults().values()) == 0


def test_first_come_first_served(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    served: list[int] = []

    def work(number: int) -> None:
        line = node._borrow()
        served.append(number)
        lines.append(line)

    threads = []
    for number in range(5):
        threads += [threading.Thread(target=work, args=(number,))]
        threads[-1].start()
        until(lambda number=number: len(node._waiting) == number + 1, "a thread in the queue")
    for number in range(5):
        node._give(lines.pop())
        until(lambda number=number: len(served) == number + 1, "a turn")
    joined(threads)
    assert served == list(range(5))
    for line in lines:
        node._give(line)
    assert len(node._idle) == MOST_LINES


def test_who_comes_later_does_not_push_in(server: Server, make_cache: Make) -> None:
    """What is given back is for the first in the queue, even if nobody has yet called him."""
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    first: Turn[Line | None] = Turn()
    node._waiting.append(first)

    line = lines.pop()
    node._idle.append(line)  # and who gives it back is about to look who waits
    (thread,) = in_threads(1, lambda n: lines.append(node._borrow()))
    until(lambda: not node._idle, "a hand")
    assert first.leave() == [line]
    node._give(line)
    joined([thread])
    assert lines.pop() is line


def test_a_connection_that_is_given_up_makes_room(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    (thread,) = in_threads(1, lambda n: lines.append(node._borrow()))
    until(lambda: len(node._waiting) == 1, "a thread in the queue")
    dropped = lines.pop()
    node._drop(dropped)
    joined([thread])
    assert len(lines) == len(node._lines) == MOST_LINES
    assert dropped not in lines


def test_connections_that_are_lost_make_room(server: Server, make_cache: Make) -> None:
    """Whoever is interrupted loses his, and tells nobody."""
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    found: list[Line] = []
    threads = in_threads(3, lambda n: found.append(node._borrow()))
    until(lambda: len(node._waiting) == 3, "threads in the queue")
    del lines[:3]
    gc.collect()
    joined(threads)
    assert len({*found}) == 3
    assert len(node._lines) == MOST_LINES


def test_who_is_called_for_nothing_queues_again(server: Server, make_cache: Make) -> None:
    """Whoever was to hand a connection on was interrupted, when he had called already."""
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    (thread,) = in_threads(1, lambda n: lines.append(node._borrow()))
    until(lambda: len(node._waiting) == 1, "a thread in the queue")
    turn = node._waiting.popleft()
    until(lambda: node._waiting and node._waiting[0] is not turn, "the next try")
    node._give(lines.pop(0))
    joined([thread])
    assert len(lines) == MOST_LINES


def test_nobody_waits_for_ever(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    node.patience = 0.2  # of who waits: these have connected in peace
    began = time.monotonic()
    with pytest.raises(Fault, match=f"all {MOST_LINES} connections are in use"):
        node._borrow()
    assert time.monotonic() - began >= 0.2
    assert not node._waiting
    assert cache.get("key", "default") == "default"
    node._give(lines.pop())
    assert cache.set("key", 1)


def test_those_before_one_may_take_longer_than_a_call(
    server: Server, make_cache: Make, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits does so for as long as others get their answers."""
    cache = make_cache(server, timeout=10, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    monkeypatch.setattr("django_diskcache.server.lines.monotonic", clock)
    served: list[Line] = []
    threads = in_threads(5, lambda n: served.append(node._borrow()))
    until(lambda: len(node._waiting) == 5, "threads in the queue")
    for number in range(5):
        clock.advance(8)  # the last one waits four times as long as a call may
        node._give(lines.pop())
        until(lambda number=number: len(served) == number + 1, "a turn")
        until(lambda: node._handed == clock(), "a note of it")
    joined(threads)


def test_a_server_that_ends_tells_all_who_wait(own_server: Start, make_cache: Make) -> None:
    server = own_server()
    cache = make_cache(server, timeout=PATIENCE, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    met: list[Fault] = []

    def work(number: int) -> None:
        try:
            node._borrow()
        except Fault as error:
            met.append(error)

    threads = in_threads(50, work)
    until(lambda: len(node._waiting) == 50, "threads in the queue")
    server.kill()
    node._drop(*lines)
    lines.clear()
    joined(threads)
    assert [error.kind for error in met] == ["lost"] * 50
    server.start()
    until(lambda: cache.set("key", 1), "recovery")


def test_a_child_waits_for_nobody_of_its_parent(server: Server, make_cache: Make) -> None:
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)
    lines = all_borrowed(node)
    threads = in_threads(3, lambda n: lines.append(node._borrow()))
    until(lambda: len(node._waiting) == 3, "threads in the queue")
    node.begin()  # as in a child
    assert cache.set("key", 1)
    assert (len(node._lines), len(node._waiting)) == (1, 0)
    node._give(lines.pop())  # those threads are the parent's: here they look for themselves
    joined(threads)


class Interrupt(Exception):
    """Raised by a signal handler, wherever the program is."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_at_any_moment_keeps_nobody_waiting(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the thread that waits, that gives back, and that hands on."""
    monkeypatch.setattr("django_diskcache.server.lines.MOST_LINES", 3)
    cache = make_cache(server, near_cache_size=0)
    assert cache.set("mine", 0)
    stop = threading.Event()
    refused: list[str] = []

    def work(number: int) -> None:
        while not stop.is_set():
            if not cache.set(f"{number}", number) or cache.get(f"{number}") != number:
                refused.append(f"{number}")

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupt

    threads = in_threads(6, work)
    interrupted = 0
    chance = random.Random(7)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(400):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 2e-3))
                    cache.set("mine", number)
                    cache.get("mine")
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                interrupted += 1
    finally:
        signal.signal(signal.SIGALRM, before)
        stop.set()
        joined(threads)
    assert interrupted > 0
    assert refused == []
    gc.collect()
    node = node_of(cache)
    assert cache.set("mine", -1)
    assert cache.get("mine") == -1
    assert len(node._lines) <= 3
    assert not node._waiting


class AtLine:
    """Raises at one of the lines of these modules that this thread comes to."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.raised = False

    def __enter__(self) -> AtLine:
        sys.settrace(self.enter)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def enter(self, frame: Any, event: str, argument: Any) -> Any:
        inside = frame.f_globals["__name__"] in (lines.__name__, turns.__name__)
        return self.line if inside else None

    def line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and not self.raised:
            self.left -= 1
            if self.left < 0:
                self.raised = True
                raise Interrupt
        return self.line


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_at_each_line_keeps_nobody_waiting(
    server: Server, make_cache: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_LINES", 2)
    monkeypatch.setattr(lines, "LOOK_EVERY", 0.01)
    cache = make_cache(server, near_cache_size=0)
    node = node_of(cache)

    served: list[int] = []

    def borrow_and_give(number: int) -> None:
        node._give(node._borrow())
        served.append(number)

    number, raised = 0, True
    while raised:
        served.clear()
        node.begin()
        held = [node._borrow(), node._borrow()]
        threads = in_threads(2, borrow_and_give)
        until(lambda: len(node._waiting) == 2, "threads in the queue")
        with suppress(Interrupt), AtLine(number) as at:
            node._give(held.pop())
            node._drop(held.pop())
            one = node._borrow()
            other = node._borrow()
            node._give(one)
            node._give(other)
        raised = at.raised
        held.clear()
        one = other = None
        joined(threads)
        assert sorted(served) == [0, 1]
        first, second = node._borrow(), node._borrow()
        assert first is not second
        assert len(node._lines) == 2
        assert not node._waiting
        first = second = None
        number += 1
    assert number > 50
