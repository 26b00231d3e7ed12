"""Many threads on one cache, and children that are forked from among them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from django_diskcache.server import ServerCache
from django_diskcache.server.lines import MOST_LINES

from .conftest import listening
from .servers import PATIENCE, Server

Make = Callable[..., ServerCache]
THREADS, ROUNDS, CHILDREN = 32, 30, 4


def use(cache: ServerCache, name: str, rounds: int = ROUNDS) -> list[str]:
    """What is wrong with the answers to somebody who has keys of his own, and some with all."""
    wrong = []
    for number in range(rounds):
        own, keys = f"{name}:{number % 5}", [f"{name}:{n}" for n in range(20)]
        if not cache.set(own, (own, number), tag=name if number % 2 else None):
            wrong.append(f"{own} was not stored")
        if cache.get(own) != (own, number):
            wrong.append(f"{own} is not {number}")
        cache.incr("count")
        found = cache.get_many(keys)
        if any(value[0] != key for key, value in found.items()):
            wrong.append(f"{found} is somebody else's")
        if (shared := cache.get("shared", (0, 0)))[0] != shared[1]:
            wrong.append(f"shared is {shared}")
        cache.set("shared", (number, number))
    return wrong


def test_many_threads_on_one_cache(server: Server, make_cache: Make) -> None:
    cache = listening(make_cache(server, timeout=PATIENCE))
    wrong: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: wrong.extend(use(cache, f"thread:{n}")))
        for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert cache.get("count") == THREADS * ROUNDS
    # One more is the listener's, who tells the server of hits.
    assert len(cache.engine.link.table[0]._idle) <= THREADS + 1 < MOST_LINES
    assert sum(cache.faults().values()) == 0


def test_forks_among_threads_at_work(server: Server, make_cache: Make) -> None:
    """A child may be made while others hold connections, and half of an answer has come."""
    cache = listening(make_cache(server, timeout=PATIENCE))
    wrong: list[str] = []
    stop = threading.Event()

    def work(name: str) -> None:
        while not stop.is_set():
            wrong.extend(use(cache, name, rounds=5))

    threads = [threading.Thread(target=work, args=(f"thread:{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        children = [forked(cache, f"child:{n}") for n in range(CHILDREN)]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert statuses == [0] * CHILDREN
    assert wrong == []
    assert sum(cache.faults().values()) == 0


def forked(cache: ServerCache, name: str) -> int:
    """A child that uses the cache of its parent; its status is 0 where all was right."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        listening(cache)
        wrong = use(cache, name)
        status = 0 if not wrong and sum(cache.faults().values()) == 0 else 2
    finally:
        os._exit(status)
