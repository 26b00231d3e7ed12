"""`update` and locks of the database: what only looks takes none."""

from __future__ import annotations

import threading

import pytest

from django_diskcache.engine import Cache
from django_diskcache.engine.errors import Timeout
from django_diskcache.engine.impatient import impatient
from django_diskcache.engine.pinning import looked_at


def test_a_change_that_is_not_needed_takes_no_lock(cache: Cache) -> None:
    cache.set("key", 1)
    hasty = impatient(cache)
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        with cache.transact():
            begun.set()
            assert done.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(20)
        assert hasty.update("key", looked_at, looking=True) == 1
        with pytest.raises(Timeout):
            hasty.update("key", looked_at)
        with pytest.raises(Timeout):
            hasty.update("key", lambda value: (None, value + 1, None), looking=True)
    finally:
        done.set()
        writer.join()
    assert cache.get("key") == 1
