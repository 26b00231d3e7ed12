"""Real processes for tests: started together, each must end well, and what they returned."""

from __future__ import annotations

import mmap
import multiprocessing
import struct
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
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


class SharedClock:
    """Seconds since the epoch for every process that has this clock; only a test moves it.

    It can be pickled. Two of them on one file tell the same time, and are two clocks to
    `open_engine`: a cache with the one shares no near cache with a cache that has the other.

    :param path: of a file of its own, made if missing
    """

    SECONDS = struct.Struct("d")

    def __init__(self, path: Path, start: float = 1_700_000_000.0) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(self.SECONDS.pack(start))
        with path.open("r+b") as file:
            self._mmap = mmap.mmap(file.fileno(), self.SECONDS.size)
        self._now = memoryview(self._mmap).cast("d")

    def __call__(self) -> float:
        return self._now[0]

    def __reduce__(self) -> tuple[type[SharedClock], tuple[Path]]:
        return SharedClock, (self.path,)

    def advance(self, seconds: float) -> None:
        self._now[0] += seconds


def _accompany(orders: Any, make: Callable[..., Any], args: Any) -> None:
    """Make a thing, then call what arrives with it and answer, until the pipe is closed."""
    thing = None
    while True:
        try:
            function, arguments = orders.recv()
        except (EOFError, ConnectionResetError):  # the latter if an answer was not fetched
            return
        try:
            if thing is None:
                thing = make(*args)
            orders.send((True, function(thing, *arguments)))
        except BaseException:
            orders.send((False, traceback.format_exc()))


class Companion:
    """A process that has what `make(*args)` returns, and calls functions with it when told.

    Leave it by ``with``: it ends there, and must end well.
    """

    def __init__(self, make: Callable[..., Any], *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=_accompany, args=(theirs, make, args))
        self._process.start()
        theirs.close()

    def ask(self, function: Callable[..., Any], *args: Any) -> None:
        """Let it call `function(thing, *args)`; `answer` waits for what that returns."""
        self._orders.send((function, args))

    def answer(self) -> Any:
        """What the function returned that was asked for first of those not yet answered."""
        assert self._orders.poll(PATIENCE), "a process says nothing"
        fine, result = self._orders.recv()
        assert fine, result
        return result

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """`ask` and `answer`."""
        self.ask(function, *args)
        return self.answer()

    def __enter__(self) -> Companion:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._orders.close()
        self._process.join(PATIENCE if error is None else 0)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        self._process.close()
        assert error is not None or code == 0, f"a process ended with {code}"
