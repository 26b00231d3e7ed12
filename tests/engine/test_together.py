"""Several calls at once."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from django_diskcache.engine.together import together


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
