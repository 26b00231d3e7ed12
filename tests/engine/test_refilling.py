"""A deque gets other values at once, or keeps what it has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import FanoutCache
from django_diskcache.engine.errors import Fault
from django_diskcache.engine.outgoing import Whole
from django_diskcache.engine.refilling import refilling
from tests.conftest import FakeClock

ODD = (TypeError, AttributeError)


def wholes(values: Iterable[Any]) -> list[Whole]:
    return [Whole(None, value, None, None, 0) for value in values]


def test_it_is_one_step_for_others(fanout: FanoutCache) -> None:
    deque = fanout.deque("tasks")
    deque.extend("ab")
    seen: list[list[Any]] = []

    def look() -> None:
        seen.append(list(deque))

    with refilling(deque.cache.engine, ODD) as filling:
        assert filling.there == 2
        for some in ("cd", "e"):
            assert filling.add(wholes(some)) == [True] * len(some)
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        assert filling.keep()
    assert seen == [["a", "b"]] * 2
    assert list(deque) == ["c", "d", "e"]
    deque.append("f")
    deque.appendleft("b")
    assert list(deque) == list("bcdef")


def test_what_is_not_kept_changes_nothing(fanout: FanoutCache, tmp_path: Path) -> None:
    deque = fanout.deque("tasks")
    deque.append(b"a" * 100_000)
    files = set(tmp_path.rglob("*.val"))
    with refilling(deque.cache.engine, ODD) as filling:
        filling.add(wholes([b"b" * 100_000]))
        assert set(tmp_path.rglob("*.val")) > files
    assert list(deque) == [b"a" * 100_000]
    assert set(tmp_path.rglob("*.val")) == files
    with pytest.raises(KeyError), refilling(deque.cache.engine, ODD) as filling:
        filling.add(wholes([b"b" * 100_000]))
        raise KeyError
    assert list(deque) == [b"a" * 100_000]
    assert set(tmp_path.rglob("*.val")) == files


def test_files_of_what_was_there_go(fanout: FanoutCache, tmp_path: Path) -> None:
    deque = fanout.deque("tasks")
    deque.append(b"a" * 100_000)
    (old,) = tmp_path.rglob("*.val")
    with refilling(deque.cache.engine, ODD) as filling:
        filling.add(wholes([b"b" * 100_000, 1]))
        filling.keep()
    (new,) = tmp_path.rglob("*.val")
    assert new != old
    assert list(deque) == [b"b" * 100_000, 1]
    assert deque.cache.check() == []


def test_what_cannot_be_stored_is_passed_over(fanout: FanoutCache, clock: FakeClock) -> None:
    deque = fanout.deque("tasks")
    deque.append("a")
    entries = [*wholes([lambda: None, 1]), Whole(None, 2, clock() - 1, None, 0)]
    with refilling(deque.cache.engine, ODD) as filling:
        (why, *others) = filling.add(entries)
        assert isinstance(why, ODD)
        assert others == [True, None]
        assert filling.keep()
    assert list(deque) == [1]
    with refilling(deque.cache.engine, ODD) as filling:
        filling.add(entries[:1])
        assert not filling.keep()  # nothing to have
    assert list(deque) == [1]


def test_it_is_signed_and_counted(make_fanout: Callable[..., FanoutCache]) -> None:
    cache = make_fanout(secret="one")
    deque = cache.deque("tasks")
    with refilling(deque.cache.engine, ODD) as filling:
        filling.add(wholes([[n] for n in range(100)]))
        filling.keep()
    assert len(deque) == 100
    assert deque[99] == [99]
    cache.close()
    other = make_fanout(secret="another").deque("tasks")
    assert list(other) == []


def test_a_fault_is_raised(fanout: FanoutCache, tmp_path: Path) -> None:
    deque = fanout.deque("tasks")
    deque.extend(range(1000))
    deque.cache.close()
    (path,) = tmp_path.rglob("deque/tasks/*.sqlite3")
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 100_000)
    with pytest.raises(Fault), refilling(deque.cache.engine, ODD) as filling:
        filling.add(wholes("ab"))
        filling.keep()
