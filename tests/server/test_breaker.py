"""The breaker: who may try a server in trouble, and when."""

from __future__ import annotations

from django_diskcache.server.breaker import LONGEST, SHORTEST, Breaker
from tests.conftest import FakeClock


def test_it_lets_calls_through_until_one_fails(clock: FakeClock) -> None:
    breaker = Breaker(clock)
    assert not breaker.open
    assert not breaker.refuses()

    breaker.failed()
    assert breaker.open
    assert breaker.refuses()


def test_one_call_tries_after_the_pause(clock: FakeClock) -> None:
    breaker = Breaker(clock)
    breaker.failed()

    clock.advance(SHORTEST * 1.25)
    assert [breaker.refuses() for _ in range(3)] == [False, True, True]

    breaker.worked()
    assert not breaker.open
    assert not breaker.refuses()


def test_many_that_meet_one_failure_wait_as_long_as_one(clock: FakeClock) -> None:
    breaker = Breaker(clock)
    for _ in range(16):
        breaker.failed()
    clock.advance(SHORTEST * 1.25)
    assert [breaker.refuses() for _ in range(2)] == [False, True]

    for _ in range(16):  # the one that tries, and some that have begun long ago
        breaker.failed()
    clock.advance(SHORTEST * 2 * 0.75 - 0.001)
    assert breaker.refuses()
    clock.advance(SHORTEST * 2 * 0.5 + 0.002)
    assert not breaker.refuses()


def test_a_call_that_never_reports_is_followed_by_another(clock: FakeClock) -> None:
    breaker = Breaker(clock)
    breaker.failed()
    clock.advance(SHORTEST * 1.25)
    assert not breaker.refuses()

    clock.advance(1.0)
    assert [breaker.refuses() for _ in range(2)] == [False, True]


def test_pauses_grow_up_to_a_limit(clock: FakeClock) -> None:
    breaker = Breaker(clock)
    pauses = []
    for _ in range(10):
        breaker.failed()
        began = clock()
        while breaker.refuses():
            clock.advance(0.01)
        pauses.append(clock() - began)

    assert pauses[0] <= SHORTEST * 1.25 + 0.01
    assert LONGEST * 0.75 <= pauses[-1] <= LONGEST * 1.25 + 0.01
    assert pauses[0] < pauses[3] < pauses[9]

    breaker.worked()
    breaker.failed()
    clock.advance(SHORTEST * 1.25)
    assert not breaker.refuses()
