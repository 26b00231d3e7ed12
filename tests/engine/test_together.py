"""Several calls at once."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from django_diskcache.engine.together import at_once, together


def test_results_in_their_order() -> None:
    both = threading.Barrier(2, timeout=20)

    def call(number: int) -> int:
        both.wait()  # each waits for the other
        return number

    assert together([partial(call, 1), partial(call, 2)], 20) == [1, 2]
    assert together([], 1) == []


def test_who_is_late_is_left_behind() -> None:
    let = threading.Event()
    done = threading.Event()

    def late() -> int:
        let.wait(20)
        done.set()
        return 1

    found = together([late, lambda: 2], 0.05)
    assert found[0] is None
    let.set()
    assert done.wait(20)
    assert found[0] is None


def test_an_error_is_raised() -> None:
    def fail() -> int:
        raise KeyError("a mistake")

    with pytest.raises(KeyError, match="a mistake"):
        together([lambda: 1, fail], 20)


def test_all_at_once() -> None:
    both = threading.Barrier(3, timeout=20)
    threads = set()

    def call(number: int) -> int:
        both.wait()
        threads.add(threading.current_thread())
        return number

    assert at_once([partial(call, number) for number in range(3)]) == [0, 1, 2]
    assert threading.current_thread() in threads
    assert len(threads) == 3
    assert at_once([]) == []


def test_one_call_alone_needs_no_thread() -> None:
    assert at_once([threading.current_thread]) == [threading.current_thread()]


def test_an_error_is_raised_when_all_are_done() -> None:
    done = []

    def call(number: int) -> None:
        if number:
            raise KeyError(number)
        done.append(number)

    with pytest.raises(KeyError, match="1"):
        at_once([partial(call, number) for number in range(3)])
    assert done == [0]


def test_where_no_thread_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    assert at_once([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
