"""Queues inside a cache: the same on every face whose keys are of any type."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from django_diskcache.engine.queues import ORIGIN


def test_push_and_pull(typed_face: Any) -> None:
    queue = typed_face
    assert queue.push("a") == ORIGIN
    assert queue.push("b") == ORIGIN + 1
    assert queue.push("z", side="front") == ORIGIN - 1
    assert queue.peek() == (ORIGIN - 1, "z")
    assert queue.peek(side="back") == (ORIGIN + 1, "b")
    assert queue.pull() == (ORIGIN - 1, "z")
    assert queue.pull(side="back") == (ORIGIN + 1, "b")
    assert queue.pull() == (ORIGIN, "a")
    assert queue.pull() == queue.peek() == (None, None)
    assert queue.pull(default="default") == queue.peek(default="default") == "default"
    assert queue.push("again") == ORIGIN


def test_queues_have_names(typed_face: Any) -> None:
    queue = typed_face
    assert queue.push("a", prefix="one") == f"one-{ORIGIN}"
    assert queue.push("b", prefix="one", side="front") == f"one-{ORIGIN - 1}"
    assert queue.push("c", prefix="on") == f"on-{ORIGIN}"
    assert queue.push("d") == ORIGIN
    for key in ("one", "one-x", "other"):
        queue.set(key, "no entry of a queue")

    assert queue.pull(prefix="one", side="back") == (f"one-{ORIGIN}", "a")
    assert queue.pull(prefix="one") == (f"one-{ORIGIN - 1}", "b")
    assert queue.pull(prefix="one") == (None, None)
    assert queue.pull() == (ORIGIN, "d")
    assert queue.pull(prefix="on") == (f"on-{ORIGIN}", "c")


def test_queues_hold_files_tags_and_expiry(typed_face: Any) -> None:
    queue = typed_face
    due = typed_face.clock() + 60
    queue.push(b"x" * 2000, expire=60, tag="tag")
    pair = (ORIGIN, b"x" * 2000)

    for take in (queue.peek, queue.pull):
        assert take(expire_time=True, tag=True) == (pair, due, "tag")
        if take == queue.peek:
            assert take(tag=True) == (pair, "tag")
            assert take(expire_time=True) == (pair, due)
    assert len(queue) == 0
    assert queue.value_files() == []


def test_the_expired_are_skipped_and_removed(typed_face: Any) -> None:
    queue = typed_face
    queue.push("short", expire=1)
    queue.push("long")
    queue.push("short file" * 200, expire=1)
    typed_face.clock.advance(1)

    assert queue.peek(side="back")[1] == "long"
    assert queue.pull()[1] == "long"
    assert queue.pull() == (None, None)
    assert len(queue) == 0
    assert queue.value_files() == []


def test_an_unknown_side(typed_face: Any) -> None:
    queue = typed_face
    with pytest.raises(ValueError, match="'front' or 'back'"):
        queue.push(1, side="left")
    with pytest.raises(ValueError, match="'front' or 'back'"):
        queue.pull(side="left")
    assert len(queue) == 0


def test_each_entry_is_pulled_once(typed_face: Any) -> None:
    queue = typed_face
    pulled: list[Any] = []

    def push(side: str) -> None:
        for number in range(100):
            queue.push((side, number), "many", side)

    def pull() -> None:
        while len(pulled) < 200:
            key, value = queue.pull("many")
            if key is not None:
                pulled.append(value)

    threads = [
        threading.Thread(target=push, args=("back",)),
        threading.Thread(target=push, args=("front",)),
        threading.Thread(target=pull),
        threading.Thread(target=pull),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sides = ("back", "front")
    assert sorted(pulled) == [(side, number) for side in sides for number in range(100)]
    assert queue.pull("many") == (None, None)


def test_a_queue_after_clear(typed_face: Any) -> None:
    queue = typed_face
    for number in range(3):
        queue.push(number)
    assert queue.clear() == 3
    assert queue.push("again") == ORIGIN
    assert queue.clear() == 1
    assert queue.peek() == (None, None)


def test_what_has_a_key_of_a_queue_is_in_it(typed_face: Any) -> None:
    queue = typed_face
    queue.set(ORIGIN, "mine")
    assert queue.push("next") == ORIGIN + 1
    assert queue.pull() == (ORIGIN, "mine")


def test_peekitem_is_what_iteration_begins_or_ends_with(typed_face: Any) -> None:
    with pytest.raises(KeyError):
        typed_face.peekitem()
    for number in range(20):
        typed_face.set(number, -number, tag="tag")
    for last in (True, False):
        key, value = typed_face.peekitem(last)
        assert value == -key
        assert key == next(reversed(typed_face.cache) if last else iter(typed_face))
        assert typed_face.peekitem(last, True, True) == ((key, value), None, "tag")
