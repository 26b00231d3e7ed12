"""The magazine as its users run it: processes of manage.py, and pages over HTTP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-X", "dev", "-W", "error")

# A job in the background ignores Ctrl-C, and whatever it starts would do so as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def environment(data: Path, **more: str) -> dict[str, str]:
    """Variables of a process whose magazine lives in `data`."""
    kept = {name: value for name, value in os.environ.items() if "EXAMPLE_" not in name}
    kept.pop("COVERAGE_PROCESS_START", None)
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "EXAMPLE_DATA": str(data),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


class Done(NamedTuple):
    """A process that has ended."""

    status: int
    out: str
    err: str


def run(*arguments: str, data: Path, **more: str) -> Done:
    """Python with these arguments, to its end."""
    done = subprocess.run(
        [*PYTHON, *arguments],
        cwd=ROOT,
        env=environment(data, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Demo:
    """A running `manage.py demo`, to be interrupted in the end."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PYTHON, "manage.py", "demo", *arguments],
            cwd=ROOT,
            env=environment(data),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = ""

    def read_until(self, text: str) -> None:
        """Collect output up to the line with `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.out += line
            if text in line:
                return
        raise AssertionError(f"ended after {self.out!r} and {self.process.communicate()[1]!r}")

    def found(self, pattern: str) -> str:
        """What the group of `pattern` matches in the output."""
        match = re.search(pattern, self.out)
        assert match, self.out
        return match[1]

    def interrupt(self) -> Done:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        return Done(self.process.returncode, out, err)


class Visitor:
    """A browser with cookies."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.cookies = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.cookies))

    def get(self, path: str, form: dict[str, str] | None = None) -> str:
        """The text at `path`, where redirections lead."""
        data = None if form is None else urlencode(form).encode()
        with self._opener.open(self.url + path, data, timeout=30) as response:
            text: str = response.read().decode()
        return text

    def status(self, path: str) -> int:
        """The status at `path`."""
        try:
            with self._opener.open(self.url + path, timeout=30) as response:
                return int(response.status)
        except HTTPError as error:
            error.close()
            return error.code


class Site(NamedTuple):
    """A magazine in its second life: stopped, started again, and running."""

    first: Demo
    second: Demo
    url: str
    code: Callable[[str], str]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A demo that ran before and serves again; at the end Ctrl-C stops it without a trace."""
    data = tmp_path_factory.mktemp("magazine") / "var"
    size = ("--articles", "30", "--requests", "150")
    demos = []
    try:
        for seed in ("1", "2"):
            demo = Demo(data, *size, "--seed", seed)
            demos.append(demo)
            demo.read_until("Ctrl-C stops it.")
            if seed == "1":
                assert demo.interrupt() == (0, "\nStopped.\n", "")
        first, second = demos

        def code(lines: str) -> str:
            """What these lines print in another process of the same site."""
            head = (
                "import django; django.setup(); from example_project.magazine.models import *"
            )
            done = run("-c", f"{head}\n{lines}", data=data)
            assert (done.status, done.err) == (0, "")
            return done.out.strip()

        yield Site(first, second, second.found(r"Serving at (\S+)"), code)
        ended = second.interrupt()
        assert (ended.status, ended.out) == (0, "\nStopped.\n")
        assert "Traceback" not in ended.err
    finally:
        for demo in demos:
            if demo.process.poll() is None:
                demo.process.kill()
                demo.process.communicate()
