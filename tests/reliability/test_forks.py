"""Forks at any moment, servers that preload, threads by the thousand, ends, interrupts."""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from django_diskcache import FanoutCache, Timeout

from .faces import open_django
from .processes import PATIENCE, Board, Children, in_child, until
from .values import kind_of, make, version_of
from .workers import Interrupt, sweep

ROOT = Path(__file__).parents[2]
SCRIPT_SETTINGS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from tests.reliability.faces import open_django
"""


def run_script(code: str, *args: Any) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, from its start to its ordinary end."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT_SETTINGS + textwrap.dedent(code), *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        cwd=ROOT,
    )


# Forks while other threads are in the middle of something


THREADS = 3


def _busy(cache: Any, number: int, stop: threading.Event, counts: list[int]) -> None:
    while not stop.is_set():
        with suppress(Timeout), cache.transact(retry=True):
            cache.incr(f"thread {number}", retry=True)
            cache.set(f"list {number}", ["x" * 5000], retry=True)
        counts[number] += 1


def _forking(directory: Path, forks: int, seed: int) -> dict[str, Any]:
    """Fork at random moments while threads are inside transactions; children count."""
    random = Random(seed)
    cache: Any = FanoutCache(str(directory), shards=2, timeout=30, disk_min_file_size=4000)
    stop = threading.Event()
    counts = [0] * THREADS
    threads = [
        threading.Thread(target=_busy, args=(cache, number, stop, counts))
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    codes = []
    try:
        for _ in range(forks):
            time.sleep(random.random() * 0.005)
            pid = os.fork()
            if not pid:
                code = 1
                try:
                    signal.alarm(int(PATIENCE))  # a deadlock ends the child, and the test
                    cache.incr("children", retry=True)
                    cache.set("child", ["x"], retry=True)
                    code = 0 if cache.get("child", retry=True) == ["x"] else 2
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(code)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    found = [cache.get(f"thread {number}", retry=True) for number in range(THREADS)]
    return {
        "codes": codes,
        "children": cache.get("children", retry=True),
        "lost": [n for n in range(THREADS) if found[n] != counts[n]],
        "unsound": sweep(cache),
    }


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "forks",
    [
        12,
        pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
        pytest.param(2000, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_forks_while_threads_are_inside_transactions(tmp_path: Path, forks: int) -> None:
    patience = PATIENCE + forks / 4
    outcome = in_child(_forking, tmp_path / "cache", forks, 1, patience=patience)
    assert set(outcome["codes"]) == {0}
    assert outcome["children"] == forks
    assert (outcome["lost"], outcome["unsound"]) == ([], [])


# multiprocessing


def _count(directory: Path, times: int) -> int:
    cache = open_django(directory)
    for _ in range(times):
        cache.incr("count", default=0)
    return times


def _count_open(cache: Any, times: int) -> None:
    for _ in range(times):
        cache.incr("count", default=0)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    done = run_script(
        """
        import multiprocessing, pathlib
        from tests.reliability.test_forks import _count
        if __name__ == "__main__":
            directory, method = pathlib.Path(sys.argv[1]), sys.argv[2]
            cache = open_django(directory)
            cache.set("count", 0)
            context = multiprocessing.get_context(method)
            with context.Pool(3) as pool:
                assert pool.starmap(_count, [(directory, 40)] * 6) == [40] * 6
            assert cache.get("count") == 240, cache.get("count")
            print("fine")
        """,
        tmp_path / "cache",
        method,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


# A server that preloads


APPLICATION = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from tests.reliability.faces import open_django
cache = open_django(os.environ["RELIABILITY_CACHE"])
cache.set("preloaded", [os.getpid()])
assert cache.get("preloaded")

def application(environ, start_response):
    count = cache.incr("requests", 1, default=0)
    cache.set(f"of-{os.getpid()}", [count])
    answer = f"{os.getpid()} {count} {cache.get('preloaded')[0]}".encode()
    cache.close()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""
REQUESTS = 60


def _ask(address: str) -> str:
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_gunicorn_with_preload(tmp_path: Path) -> None:
    if importlib.util.find_spec("gunicorn") is None:
        pytest.skip("needs gunicorn, of the extra 'benchmark'")
    (tmp_path / "preloaded.py").write_text(APPLICATION)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3"]
    command += ["--bind", "127.0.0.1:0", "--chdir", str(tmp_path), "preloaded:application"]
    environment = {
        **os.environ,
        "RELIABILITY_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, cwd=ROOT
        )
    try:

        def address() -> str:
            assert server.poll() is None, log.read_text()
            lines = [line for line in log.read_text().splitlines() if "Listening at" in line]
            return lines[0].split("http://")[1].split()[0] if lines else ""

        where = until(address, "gunicorn listens")
        answers = [_ask(where).split() for _ in range(REQUESTS)]
        assert sorted(int(count) for _, count, _ in answers) == list(range(1, REQUESTS + 1))
        # A worker that is killed is replaced by a fork of the same master.
        victim = int(answers[-1][0])
        os.kill(victim, signal.SIGKILL)
        more = [_ask_again(where).split() for _ in range(REQUESTS)]
        counts = [int(count) for _, count, _ in more]
        assert counts == sorted(set(counts))
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    assert "Traceback" not in log.read_text()


def _ask_again(address: str) -> str:
    """An answer, of another worker where the one that had the connection was killed."""
    answers: list[str] = []

    def ask() -> bool:
        with suppress(OSError, http.client.HTTPException):
            answers.append(_ask(address))
        return bool(answers)

    until(ask, "an answer")
    return answers[0]


# Threads


def _many_threads(directory: Path, threads: int) -> dict[str, Any]:
    """Threads that start, use a backend object of their own as Django makes them, and end."""
    errors: list[str] = []

    def short_life(number: int) -> None:
        try:
            cache = open_django(directory)
            key = f"key-{number % 50}"
            cache.set(key, make(key, number, kind_of(number)))
            value = cache.get(key)
            if value is not None and version_of(key, value) is None:
                errors.append(f"wrong value {value!r}")
            cache.incr("threads", default=0)
            cache.close()
        except Exception as error:
            errors.append(repr(error))

    most = 0
    base = len(os.listdir("/proc/self/fd"))
    for start in range(0, threads, 25):
        batch = [
            threading.Thread(target=short_life, args=(start + number,)) for number in range(25)
        ]
        for thread in batch:
            thread.start()
        most = max(most, len(os.listdir("/proc/self/fd")))
        for thread in batch:
            thread.join()
    left = len(os.listdir("/proc/self/fd")) - base
    count = open_django(directory).get("threads")
    return {"errors": errors, "most": most - base, "left": left, "count": count}


@pytest.mark.parametrize(
    "threads", [1000, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_threads_that_start_and_end(tmp_path: Path, threads: int) -> None:
    patience = PATIENCE + threads / 100
    outcome = in_child(_many_threads, tmp_path / "cache", threads, patience=patience)
    assert outcome["errors"] == []
    assert outcome["count"] == threads
    # Three shards, up to eight connections each, up to three files each; and value files.
    assert outcome["left"] <= 3 * 8 * 3
    assert outcome["most"] <= 3 * 8 * 3 + 25


def _on_one_object(directory: Path, threads: int, rounds: int) -> dict[str, Any]:
    cache = open_django(directory)
    errors: list[str] = []
    ready = threading.Barrier(threads)

    def use(number: int) -> None:
        random = Random(number)
        ready.wait()
        try:
            for turn in range(rounds):
                key = f"key-{random.randrange(30)}"
                value = cache.get(key)
                if value is not None and version_of(key, value) is None:
                    errors.append(f"wrong value {value!r}")
                if random.random() < 0.4:
                    cache.set(key, make(key, turn, kind_of(turn)))
                own = f"own-{number}"
                if cache.set(own, [turn]) and cache.get(own) != [turn]:
                    errors.append(f"{own} is not {turn}")
                cache.incr("rounds", default=0)
                if turn % 7 == 0:
                    cache.close()
        except Exception as error:
            errors.append(repr(error))

    running = [threading.Thread(target=use, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return {
        "errors": errors,
        "rounds": cache.get("rounds"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "unsound": sweep(cache._cache),
    }


def test_64_threads_on_one_backend_object(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    outcome = in_child(_on_one_object, tmp_path / "cache", 64, 25)
    assert outcome["errors"] == []
    assert outcome["rounds"] == 64 * 25
    assert outcome["descriptors"] - before <= 3 * 8 * 3 + 5
    assert outcome["unsound"] == []


# The end of the interpreter


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("daemon", [True, False])
def test_the_end_of_the_interpreter_with_operations_in_flight(
    tmp_path: Path, daemon: bool, seed: int
) -> None:
    done = run_script(
        """
        import threading, time, random
        directory, daemon, seed = sys.argv[1], sys.argv[2] == "True", int(sys.argv[3])
        cache = open_django(directory)
        stop = time.monotonic() + (3600 if daemon else 0.2)

        def work(number):
            turn = 0
            while time.monotonic() < stop:
                turn += 1
                cache.set(f"key-{number}-{turn % 50}", ["x" * (turn % 9 * 1000)])
                cache.get(f"key-{number}-{turn % 37}")
                cache.incr("count", 1, default=0)

        for number in range(4):
            threading.Thread(target=work, args=(number,), daemon=daemon).start()
        while not cache.get("count"):
            time.sleep(0.001)
        time.sleep(random.Random(seed).random() * 0.05)
        """,
        tmp_path / "cache",
        daemon,
        seed,
    )
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr
    if not daemon:
        assert done.stderr == ""
    assert in_child(_sound, tmp_path / "cache") == []


def _sound(directory: Path) -> list[str]:
    cache = open_django(directory)
    assert cache.set("after", [1])
    assert cache.get("after") == [1]
    return sweep(cache._cache)


# Signals


def _interrupted(directory: Path, interrupts: int, seed: int) -> dict[str, Any]:
    """Interrupt calls again and again; what is acknowledged must be there."""
    random = Random(seed)
    cache: Any = FanoutCache(str(directory), shards=2, timeout=30, disk_min_file_size=4000)
    cache.set("count", 0)
    seen = acknowledged = begun = 0
    problems: list[str] = []

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupt

    signal.signal(signal.SIGALRM, interrupt)
    calls: list[Callable[[int], object]] = [
        lambda n: cache.set(f"key-{n % 20}", make(f"key-{n % 20}", n, kind_of(n)), retry=True),
        lambda n: cache.get(f"key-{n % 20}", retry=True),
        lambda n: cache.delete(f"key-{n % 20}", retry=True),
        lambda n: cache.pop(f"key-{n % 20}", retry=True),
        lambda n: cache.add(f"key-{n % 20}", make(f"key-{n % 20}", n, "list"), retry=True),
        lambda n: cache.set_many({f"key-{k}": make(f"key-{k}", n, "text") for k in range(5)}),
        lambda n: cache.touch(f"key-{n % 20}", 1000, retry=True),
        lambda n: cache.get_many([f"key-{k}" for k in range(20)]),
        lambda n: cache.close() if n % 50 == 0 else None,
    ]
    number = 0
    while seen < interrupts:
        number += 1
        try:
            signal.setitimer(signal.ITIMER_REAL, random.random() * 0.0006 + 0.00002)
            for _ in range(50):
                begun += 1
                cache.incr("count", retry=True)
                acknowledged += 1
                calls[random.randrange(len(calls))](number)
        except Interrupt:
            seen += 1
        finally:
            with suppress(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, 0)
        if seen % 50 == 0:
            problems += _after_interrupt(cache)
    count = cache.get("count", retry=True)
    if not acknowledged <= count <= begun:
        problems.append(f"{acknowledged} acknowledged, {begun} begun, the count is {count}")
    return {"problems": problems, "directory": str(directory), "unsound": sweep(cache)}


def _after_interrupt(cache: Any) -> list[str]:
    problems = []
    for key in (f"key-{number}" for number in range(20)):
        value = cache.get(key, retry=True)
        if value is not None and version_of(key, value) is None:
            problems.append(f"wrong value {value!r:.100} of {key}")
    return problems


def _other_process(directory: Path) -> bool:
    """Whether somebody else can write at once: no lock was left behind."""
    cache: Any = FanoutCache(str(directory), shards=2, timeout=5)
    return all(cache.set(f"other-{number}", number) for number in range(20))


@pytest.mark.parametrize(
    ("interrupts", "seed"),
    [
        (1500, 1),
        pytest.param(30_000, 2, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_interrupts_inside_calls(tmp_path: Path, interrupts: int, seed: int) -> None:
    board = Board(1)

    def live() -> dict[str, Any]:
        outcome = _interrupted(tmp_path / "cache", interrupts, seed)
        board[0] = 1
        until(lambda: board[0] == 2, "the others")
        return outcome

    with Children() as children:
        child = children.start(live)
        patience = PATIENCE + interrupts / 100
        until(lambda: board[0] == 1 or child.exitcode is not None, "the interrupts", patience)
        assert child.exitcode is None, child.result()
        assert in_child(_other_process, tmp_path / "cache")
        board[0] = 2
        outcome = child.result()
    assert outcome["problems"] == []
    assert outcome["unsound"] == []
