"""One entry read, changed and written as one step."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from django_diskcache.engine.errors import ENOVAL, UNKNOWN

from .conftest import Face


def test_update_stores_leaves_and_removes(typed_face: Face) -> None:
    face = typed_face
    assert face.update("key", lambda value: (value, ENOVAL, None)) is ENOVAL
    assert face.update("key", lambda value: ("result", UNKNOWN, None)) == "result"
    assert "key" not in face
    assert face.update("key", lambda value: ("stored", 1, None)) == "stored"
    assert face.get("key", expire_time=True) == (1, None)
    assert face.update("key", lambda value: (value, value + 1, 60)) == 1
    assert face.get("key", expire_time=True) == (2, face.clock() + 60)
    assert face.update("key", lambda value: (value, UNKNOWN, None)) == 2
    assert face.get("key", expire_time=True) == (2, face.clock() + 60)
    assert face.update("key", lambda value: (value, ENOVAL, None)) == 2
    assert "key" not in face


def test_what_was_read_is_forgotten(typed_face: Face) -> None:
    typed_face.remembers()
    typed_face.set("key", 1)
    assert typed_face.get("key") == 1
    typed_face.update("key", lambda value: (None, value + 1, None))
    assert typed_face.get("key") == 2
    typed_face.update("key", lambda value: (None, ENOVAL, None))
    assert typed_face.get("key") is None


def test_update_of_a_change_that_fails_changes_nothing(typed_face: Face) -> None:
    typed_face.set("key", 1, tag="tag")

    with pytest.raises(ZeroDivisionError):
        typed_face.update("key", lambda value: (1 / 0, 1, None))

    assert typed_face.get("key", tag=True) == (1, "tag")


def test_update_stores_with_its_tags(typed_face: Face) -> None:
    typed_face.set("key", 1, tag="other")

    typed_face.update("key", lambda value: (None, value + 1, None), tag=("a", "b"))

    assert typed_face.get("key", tag=True) == (2, ("a", "b"))
    assert typed_face.evict("other") == 0
    assert typed_face.evict("b") == 1


def test_update_counts_nothing(typed_face: Face) -> None:
    typed_face.set("key", 1)
    before = typed_face.stats()

    for key in ("key", "missing"):
        typed_face.update(key, lambda value: (None, UNKNOWN, None), looking=True)
        typed_face.update(key, lambda value: (None, 7, None))

    assert typed_face.stats() == before


@pytest.mark.parametrize("looking", [False, True])
def test_update_is_one_step(typed_face: Face, looking: bool) -> None:
    """Threads that look and then change lose nothing, with and without an entry."""

    def add(name: int) -> None:
        for number in range(30):
            typed_face.update("list", partial(_added, (name, number)), looking=looking)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    value, due = typed_face.get("list", expire_time=True)
    assert sorted(value) == [(n, number) for n in range(3) for number in range(30)]
    assert due == typed_face.clock() + 1000


def _added(item: Any, value: Any) -> tuple[None, list[Any], int]:
    return None, [*(() if value is ENOVAL else value), item], 1000
