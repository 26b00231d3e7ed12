"""Forks of a process that uses a cache: beside threads, inside transactions, killed.

SQLite's locks belong to a process and its memory of them is copied by a fork, so this is where
acknowledged writes can be lost; see `django_diskcache.engine.connection`.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from django_diskcache.engine import Cache, FanoutCache, Timeout
from django_diskcache.engine.connection import Database
from django_diskcache.engine.locking import directory_lock
from django_diskcache.engine.sqlite import sqlite3
from tests.engine.processes import opened
from tests.engine.soundness import assert_sound

# Python warns of every fork beside threads, which is what some of these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
faces = pytest.mark.parametrize("face", [Cache, FanoutCache])


def in_child(work: Callable[[], object]) -> None:
    """Run `work` in a fork of this process, which ends without the interpreter's clean-up."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@faces
def test_a_child_leaves_its_parents_connections_alone(face: Any, tmp_path: Path) -> None:
    with opened(face, tmp_path) as cache:
        cache["key"] = "parent"

        def child() -> None:
            assert cache["key"] == "parent"
            cache["key"] = "child"
            cache.close()
            gc.collect()
            assert cache["key"] == "child"

        in_child(child)
        assert cache["key"] == "child"
        cache["key"] = "parent again"
        in_child(lambda: cache["key"] == "parent again" or pytest.fail("not seen"))
        assert_sound(cache)


@faces
def test_fork_inside_a_transaction(face: Any, tmp_path: Path) -> None:
    with opened(face, tmp_path) as cache:
        cache["old"] = "old"

        def child() -> None:
            # The transaction is the parent's, and SQLite's locks are inherited with it:
            # whatever the child did would hang or do harm, so it is told at once.
            with pytest.raises(Timeout, match="forked while"):
                cache["old"] = "child"
            with pytest.raises(Timeout, match="forked while"):
                cache["new"]
            if face is FanoutCache:
                assert cache.get("new", "default") == "default"
                assert cache.set("old", "child") is False

        with cache.transact():
            cache["new"] = "new"
            cache["old"] = "changed"
            in_child(child)
            assert cache["new"] == "new"

        assert cache["new"] == "new"
        assert cache["old"] == "changed"
        assert_sound(cache)


@faces
@pytest.mark.parametrize("error", [None, RuntimeError])
def test_a_child_that_leaves_its_parents_transaction(
    face: Any, error: type[Exception] | None, tmp_path: Path
) -> None:
    with opened(face, tmp_path) as cache:
        pid = -1
        try:
            with cache.transact():
                cache["key"] = "value" * 20_000
                pid = os.fork()
                if pid == 0 and error is not None:
                    raise error
        except RuntimeError:
            assert pid == 0
        if pid == 0:
            gc.collect()
            os._exit(0)  # it neither committed nor rolled back
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

        assert cache["key"] == "value" * 20_000
        assert_sound(cache)


def test_what_a_child_writes_outlives_its_parents_connections(tmp_path: Path) -> None:
    # Locks that the child only believes to have would let the parent, whose connections are
    # the last ones then, delete the log that the child goes on writing to.
    with opened(Cache, tmp_path) as cache:
        wait_child, tell_parent = os.pipe()
        wait_parent, tell_child = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                cache["before"] = 1
                os.write(tell_parent, b"x")
                os.read(wait_parent, 1)
                cache["after"] = 2
                os._exit(0)
            finally:
                os._exit(1)
        assert os.read(wait_child, 1) == b"x"
        cache.close()
        os.write(tell_child, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        for descriptor in (wait_child, tell_parent, wait_parent, tell_child):
            os.close(descriptor)

        assert sorted(cache) == ["after", "before"]


def test_fork_beside_threads_that_write(tmp_path: Path) -> None:
    stop = threading.Event()
    with opened(FanoutCache, tmp_path) as cache:

        def write(name: int) -> None:
            while not stop.is_set():
                cache.incr(name, retry=True)
                with cache.transact():
                    cache.incr(name, retry=True)

        threads = [threading.Thread(target=write, args=(name,)) for name in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                in_child(partial(cache.set, f"child-{number}", number, retry=True))
        finally:
            stop.set()
            for thread in threads:
                thread.join()

        assert [cache[f"child-{number}"] for number in range(10)] == list(range(10))
        assert_sound(cache)


def test_a_killed_writer_leaves_the_last_commit(tmp_path: Path) -> None:
    with opened(Cache, tmp_path) as cache:
        cache["key"] = "committed"
        pid = os.fork()
        if pid == 0:
            with cache.transact():
                cache["key"] = "never"
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

        assert cache["key"] == "committed"
        cache["key"] = "next"
        assert cache["key"] == "next"
        assert_sound(cache)


def test_a_child_drops_no_lock_of_its_parent(tmp_path: Path) -> None:
    # Had the child closed a copy of the parent's connection, its lock might be gone, and
    # this connection could write in the middle of the transaction.
    with opened(Cache, tmp_path) as cache, cache.transact():
        cache["key"] = "value"
        in_child(lambda: (cache.close(), gc.collect()))
        other = sqlite3.connect(tmp_path / "cache.sqlite3", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_a_fork_waits_for_connections_that_nobody_uses_any_more(tmp_path: Path) -> None:
    # Those of an engine that is gone, while another thread is closing them: the child would
    # inherit what SQLite has locked to do so.
    database = Database(str(tmp_path / "database"), lambda connection: None)
    connection = database.pool.borrow(None, lambda: True)
    del database
    gc.collect()
    begun = threading.Event()

    def close() -> None:
        begun.set()
        time.sleep(0.2)
        connection.close()

    thread = threading.Thread(target=close)
    thread.start()
    begun.wait()
    in_child(lambda: None)
    assert not connection.slot.taken
    thread.join()


def test_who_waits_for_a_fork_waits_no_longer_than_the_call_may(tmp_path: Path) -> None:
    # The fork itself waits for the transaction of another thread.
    with opened(Cache, tmp_path) as cache:
        (store,) = cache.engine.stores
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with store.database.transact():
                held.set()
                done.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)
        forker = threading.Thread(target=in_child, args=(lambda: None,))
        forker.start()
        while not store.database.pool._forking:
            time.sleep(0.001)
        began = time.monotonic()
        with pytest.raises(Timeout, match="another thread was about to fork"):
            store.database.run("SELECT 1", (), 0)
        assert time.monotonic() - began < 2  # it was 5
        done.set()
        holder.join()
        forker.join()
        assert store.database.run("SELECT 1", (), 60) == [(1,)]


def test_a_child_keeps_no_lock_of_the_directory(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with directory_lock(str(tmp_path)):
        pid = os.fork()
        if pid == 0:
            os.read(reading, 1)
            os._exit(0)
    try:
        directory_lock(str(tmp_path), 0).close()
    finally:
        os.write(writing, b"x")
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)


def test_a_child_does_not_inherit_the_lock_of_a_parent_that_dies(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        lock = directory_lock(str(tmp_path))
        if os.fork() == 0:
            os.close(writing)
            os.read(reading, 1)  # until the test is over
        os._exit(lock.closed)
    assert os.waitstatus_to_exitcode(os.waitpid(parent, 0)[1]) == 0
    try:
        directory_lock(str(tmp_path), 10).close()
    finally:
        os.close(writing)
        os.close(reading)
