"""Processes that use a cache as a site does, for the soak: requests, and a look at its health.

What they see they put on the board and into their ledgers. A *probe* sets and gets one key
after the other, enough of them for every shard, to the time at which it began. Then it reads
those of all other servers, and puts the oldest time that it has *seen* on the board. So it can
be told when, after a fault, all servers are well again and serve from one directory.

A server is sent signals: to be interrupted wherever it is, to fork, and to say where it is. It
is started with these held back, since one that comes before its handler would kill it. And no
handler takes a lock, which the next signal's would wait for in vain: a thread waits for those
that ask for a fork.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured

from .faces import KEYS, kind, open_django
from .processes import Board, Ledger
from .values import make, version_of
from .workers import Interrupt

INTERRUPT, FORK, TELL = signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT
SIGNALS = frozenset({INTERRUPT, FORK, TELL})
SERVERS = 4
PROBES = 12  # keys: with three shards each has some
# What is on the board, beside the beats of the workers at its beginning.
CELLS = ("stop", "fault", "clock")
PER_SERVER = ("operations", "hits", "seen", "ended")


class Bulletin:
    """The soak's board: numbers by name.

    :param first: how many cells belong to others
    """

    def __init__(self, first: int) -> None:
        self.board = Board(first + len(CELLS) + SERVERS * len(PER_SERVER))
        self._cells = {name: first + index for index, name in enumerate(CELLS)}
        self._servers = first + len(CELLS)

    def get(self, name: str) -> int:
        return self.board[self._cells[name]]

    def put(self, name: str, value: int) -> None:
        self.board[self._cells[name]] = value

    def _cell(self, server: int, name: str) -> int:
        return self._servers + server * len(PER_SERVER) + PER_SERVER.index(name)

    def of(self, server: int, name: str) -> int:
        return self.board[self._cell(server, name)]

    def note(self, server: int, name: str, value: int) -> None:
        self.board[self._cell(server, name)] = value


class Server:
    """One process of the site.

    :param number: it has keys of its own for probes
    """

    def __init__(self, directory: Path, ledger: Path, number: int, bulletin: Bulletin) -> None:
        self.directory = directory
        self.number = number
        self.bulletin = bulletin
        self.ledger = Ledger(ledger)
        self.random = Random(f"{number} {os.getpid()}")
        self.version = self.random.randrange(1000)
        self._interruptible = False
        self._trace = trace_of(ledger).open("w")
        faulthandler.register(TELL, self._trace)
        signal.signal(INTERRUPT, self._interrupt)
        signal.pthread_sigmask(signal.SIG_BLOCK, {FORK})
        threading.Thread(target=self._fork_when_told, daemon=True).start()
        real = time.time
        time.time = lambda: real() + bulletin.get("clock")

    def serve(self) -> None:
        """Answer requests until the board says stop."""
        cache: Any = None
        stopped = False
        while not stopped:
            try:
                while not self.bulletin.get("stop"):
                    self._interruptible = True
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {INTERRUPT, TELL})
                    if cache is None:
                        cache = self._opened()
                    else:
                        self._request(cache)
                        self._probe(cache)
                self._interruptible = False
                stopped = True
            except Interrupt:
                pass

    def _interrupt(self, number: int, frame: Any) -> None:
        if self._interruptible:  # else it would fall beside the handler of the one before
            self._interruptible = False
            raise Interrupt

    def _opened(self) -> Any:
        try:
            return open_django(self.directory, size_limit=2**24)
        except ImproperlyConfigured:  # a clear error, as on a full disk
            time.sleep(0.02)
            return None

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What it returns; an exception is noted."""
        cell = self.bulletin.of(self.number, "operations")
        self.bulletin.note(self.number, "operations", cell + 1)
        try:
            return function(*args, **kwargs)
        except Exception:
            fault = self.bulletin.get("fault")
            self.ledger.note("raised", fault, function.__name__, traceback.format_exc())
            return None

    def saw(self, key: str, value: Any) -> None:
        if value is None:
            return
        hits = self.bulletin.of(self.number, "hits")
        self.bulletin.note(self.number, "hits", hits + 1)
        if version_of(key, value) is None:
            fault = self.bulletin.get("fault")
            self.ledger.note("wrong", fault, key, repr(value)[:200])

    def _request(self, cache: Any) -> None:
        random = self.random
        for _ in range(10):
            key = random.choice(KEYS)
            self.saw(key, self.call(cache.get, key))
        for key, value in (self.call(cache.get_many, random.sample(KEYS, 10)) or {}).items():
            self.saw(key, value)
        self.version += 1
        for _ in range(4):
            key = random.choice(KEYS)
            value = make(key, self.version, kind(key))
            match random.randrange(9):
                case 0:
                    self.call(cache.add, key, value)
                case 1:
                    self.call(cache.delete, key)
                case 2:
                    self.call(cache.touch, key, 3600)
                case 3:
                    self.saw(key, self.call(cache.pop, key))
                case 4:
                    self.call(cache.set_many, {key: value})
                case _:
                    self.call(cache.set, key, value, tag=random.choice((None, "some")))
        match random.randrange(400):
            case 0:
                self.call(cache.evict, "some")
            case 1:
                self.call(cache.cull)
            case 2:
                self.call(cache.expire)
        self.call(cache.close)

    def _probe(self, cache: Any) -> None:
        began = time.monotonic_ns()
        for number in range(PROBES):
            key, value = _probe_key(self.number, number), [began]
            if not self.call(cache.set, key, value) or self.call(cache.get, key) != value:
                return
        others = [
            _probe_key(server, number)
            for server in range(SERVERS)
            for number in range(PROBES)
            if server != self.number
        ]
        found = self.call(cache.get_many, others) or {}
        if len(found) == len(others):
            self.bulletin.note(self.number, "ended", time.monotonic_ns())
            self.bulletin.note(self.number, "seen", min(value[0] for value in found.values()))

    def _fork_when_told(self) -> None:
        while True:
            signal.sigwait({FORK})
            pid = os.fork()  # whatever the other thread is in
            if not pid:
                self._live_as_child()
            with suppress(ChildProcessError):
                _, status = os.waitpid(pid, 0)
                if status:
                    code = os.waitstatus_to_exitcode(status)
                    self.ledger.note("raised", self.bulletin.get("fault"), "fork", str(code))

    def _live_as_child(self) -> NoReturn:
        code = 1
        try:
            faulthandler.dump_traceback_later(30, file=self._trace)
            signal.alarm(60)
            cache = open_django(self.directory, size_limit=2**24)
            for key in KEYS[:20]:
                self.saw(key, self.call(cache.get, key))
            self.call(cache.set, KEYS[0], make(KEYS[0], 1, kind(KEYS[0])))
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)


def _probe_key(server: int, number: int) -> str:
    return f"probe-{server}-{number}"


def seen_anew(directory: Path) -> int:
    """The oldest time of all probes that a process finds which opens the cache now."""
    keys = [_probe_key(server, n) for server in range(SERVERS) for n in range(PROBES)]
    found = open_django(directory, size_limit=2**24).get_many(keys)
    return min(value[0] for value in found.values()) if len(found) == len(keys) else 0


def trace_of(ledger: Path) -> Path:
    """Where a server with this ledger writes what it was doing when asked by `TELL`."""
    return ledger.with_suffix(".trace")


def serve(directory: Path, ledger: Path, number: int, bulletin: Bulletin) -> None:
    """The life of one server."""
    Server(directory, ledger, number, bulletin).serve()
