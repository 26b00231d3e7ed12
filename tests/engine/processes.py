"""Real processes for tests: started together, each must end well, and what they returned."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from typing import Any

PATIENCE = 60  # seconds, for a machine that is busy with something else


def _work(start: Any, results: Any, number: int, work: Callable[..., Any], args: Any) -> None:
    try:
        start.wait(PATIENCE)
        result = work(*args)
    except BaseException:
        results.send((number, False, traceback.format_exc()))
        raise
    results.send((number, True, result))
    results.close()


def run_all(method: str, work: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    """`work(*args)` for each of the calls, all at once, in processes of their own.

    :param method: 'spawn' or 'fork'
    """
    context: Any = multiprocessing.get_context(method)
    start = context.Barrier(len(calls))
    running = []
    for number, args in enumerate(calls):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(start, theirs, number, work, args))
        process.start()
        theirs.close()
        running.append((process, ours))
    results = []
    for process, ours in running:
        with ours:
            assert ours.poll(PATIENCE), "a process says nothing"
            _, fine, result = ours.recv()
        process.join(PATIENCE)
        assert fine, result
        assert process.exitcode == 0
        process.close()
        results.append(result)
    return results


def opened(face: Callable[..., Any], directory: Any, **settings: Any) -> Any:
    """A cache whose connections have been used in this process."""
    cache = face(str(directory), timeout=60, **settings)
    cache.set("warm", "warm")
    assert cache.get("warm") == "warm"
    with cache.transact():
        cache.delete("warm")
    return cache
