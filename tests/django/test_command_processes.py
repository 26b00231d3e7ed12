"""The commands as processes: from a shell, under cron, beside a site that writes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from django_diskcache.management.shared import held
from tests.server.servers import Server

ROOT = Path(__file__).parents[2]
SETTINGS = """
SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django_diskcache"]
USE_TZ = True
CACHES = {{
    "default": {{
        "BACKEND": "django_diskcache.DjangoCache",
        "LOCATION": {location!r},
        "OPTIONS": {{"size_limit": "20MB", "shards": 2}},
    }},
}}
"""
MANAGE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
sys.path.insert(0, {root!r})
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
WRITER = """
import os, sys, time
sys.path[:0] = [{root!r}, {site!r}]
os.environ["DJANGO_SETTINGS_MODULE"] = "website"
import django
django.setup()
from django.core.cache import cache
lost = wrong = number = 0
print("ready", flush=True)
while not os.path.exists({stop!r}):
    number += 1
    key = f"key-{{number % 500}}"
    timeout = -1 if number % 3 == 0 else 60
    tag = "a" if number % 2 else "b"
    if not cache.set(key, [number] * 20, timeout=timeout, tag=tag):
        lost += 1
    elif cache.get(key, [number])[0] != number:
        wrong += 1
print(number, lost, wrong, flush=True)
"""


class Done(NamedTuple):
    """A process that has ended."""

    status: int
    out: str
    err: str


class Site:
    """A project in a directory of its own, as an administrator finds it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cache = directory / "cache"
        self.bare = {"HOME": str(directory), "LOGNAME": "site", "PATH": "/usr/bin:/bin"}
        (directory / "website.py").write_text(SETTINGS.format(location=str(self.cache)))
        self.manage = directory / "manage.py"
        self.manage.write_text(MANAGE.format(root=str(ROOT)))

    def cron(self, line: str) -> Done:
        """What cron makes of a line: a shell with next to no environment, in HOME."""
        python = shlex.quote(sys.executable)
        line = line.replace("manage.py", f"{python} {shlex.quote(str(self.manage))}")
        done = subprocess.run(
            ["env", "-i", *(f"{n}={v}" for n, v in self.bare.items()), "/bin/sh", "-c", line],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def python(self, code: str) -> Done:
        """Run code in the project."""
        return self.cron(f"manage.py shell -v 0 -c {shlex.quote(code)}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


FILL = "from django.core.cache import cache\nfor n in range(20): cache.set(n, 'x', {}, tag='t')"


def test_cron_hears_nothing(site: Site) -> None:
    commands = ("cacheexpire", "cachecull", "cachecheck --fix", "cacheevict x")
    nightly = " && ".join(f"manage.py {each} -v 0" for each in commands)
    assert site.cron(nightly) == Done(0, "", "")  # before the first request
    assert not site.cache.exists()
    assert site.python(FILL.format("timeout=-1")) == Done(0, "", "")
    assert site.cron(nightly) == Done(0, "", "")
    found = json.loads(site.cron("manage.py cachestats --json").out)
    assert found["default"]["entries"] == 0
    assert found["default"]["evictions"]["expired"] == 20


def test_exit_codes(site: Site) -> None:
    assert site.python(FILL.format("timeout=60")).status == 0
    assert site.cron("manage.py cachecheck -v 0") == Done(0, "", "")
    (site.cache / "000" / "stray").touch()
    wrong = site.cron("manage.py cachecheck -v 0")
    assert wrong.status == 1
    assert wrong.out == f"default: unknown file: {site.cache / '000' / 'stray'}\n"
    assert wrong.err == "CommandError: Something is wrong: 1 in default\n"
    assert site.cron("manage.py cachecheck --fix").status == 0
    unknown = site.cron("manage.py cacheexpire nope")
    assert unknown.status == 1
    assert unknown.err.startswith("CommandError: 'nope' is not a cache of this site")
    assert site.cron("manage.py cachecull --to=much").status == 2
    nobody = site.cron("manage.py cacheclear")
    assert nobody.status == 1
    assert nobody.err == "CommandError: Nobody answered; --no-input does not ask\n"
    assert json.loads(site.cron("manage.py cachestats --json").out)["default"]["entries"] == 20
    assert site.cron("manage.py cacheclear --no-input -v 0") == Done(0, "", "")


def test_a_damaged_shard_is_told_and_mended(site: Site) -> None:
    assert site.python(FILL.format("timeout=60")).status == 0
    with (site.cache / "001" / "cache.sqlite3").open("r+b") as file:
        file.seek(3 * 2048)  # page 1 is looked at when it is opened
        file.write(b"damage" * 1000)
    wrong = site.cron("manage.py cachecheck -v 0")
    assert wrong.status == 1
    assert wrong.out.startswith("default: ")
    assert "CommandError: Something is wrong: " in wrong.err
    mended = site.cron("manage.py cachecheck --fix --json")
    assert mended.status == 0, mended
    assert json.loads(mended.out)["default"]["left"] == 0
    assert site.cron("manage.py cachecheck -v 0") == Done(0, "", "")
    for name in ("cachestats", "cacheexpire", "cacheevict t", "cachecull"):
        assert site.cron(f"manage.py {name} --json").status == 0


@pytest.mark.parametrize(("option", "status"), [("", 1), ("--fix", 0)])
def test_a_shard_that_cannot_be_opened_is_told(site: Site, option: str, status: int) -> None:
    assert site.python(FILL.format("timeout=60")).status == 0
    (site.cache / "001" / "cache.sqlite3").write_bytes(b"damage" * 1000)
    done = site.cron(f"manage.py cachecheck --json {option}")
    (kept,) = (site.cache / "quarantine").glob("*.sqlite3")
    text = f"damaged: put aside as {kept}, the shard begins anew, empty"
    assert json.loads(done.out) == {
        "default": {
            "problems": [{"kind": "Fault", "text": text}],
            "fixed": bool(option),
            "left": status,
        }
    }
    assert done.status == status
    assert site.cron("manage.py cachecheck -v 0") == Done(0, "", "")


def test_a_mistake_in_the_settings_is_one_line(site: Site) -> None:
    with (site.directory / "website.py").open("a") as file:
        file.write("CACHES['default']['OPTIONS']['size_limt'] = 1\n")
    site.cache.mkdir()
    done = site.cron("manage.py cacheexpire -v 0")
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(r"CommandError: .* did you mean 'size_limit'\?\n", done.err)


def test_runs_that_overlap(site: Site) -> None:
    assert site.python(FILL.format("timeout=-1")).status == 0
    with held(str(site.cache)) as free:  # this process is the first run
        assert free
        assert site.cron("manage.py cacheexpire -v 0") == Done(0, "", "")
        skipped = Done(0, "default: skipped, another run is at it\n", "")
        assert site.cron("manage.py cacheexpire") == skipped
    assert site.cron("manage.py cacheexpire").out.startswith("default: 20 entries expired, ")


@pytest.fixture
def writer(site: Site) -> Iterator[subprocess.Popen[str]]:
    stop = site.directory / "stop"
    code = WRITER.format(root=str(ROOT), site=str(site.directory), stop=str(stop))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    stop.touch()
    process.communicate(timeout=60)


def test_beside_a_site_that_writes(site: Site, writer: subprocess.Popen[str]) -> None:
    for name in (
        *("cachestats", "cacheexpire", "cacheevict a", "cachecull --to 1%", "cacheexpire"),
        *("cacheclear --no-input --prefix key-1", "cacheclear --no-input", "cachestats"),
    ):
        done = site.cron(f"manage.py {name} --json")
        assert (done.status, done.err) == (0, ""), name
        assert list(json.loads(done.out)) == ["default"]
    (site.directory / "stop").touch()
    out, err = writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert "Traceback" not in err
    written, lost, wrong = map(int, out.split())
    assert written > 100
    assert (lost, wrong) == (0, 0)
    assert site.cron("manage.py cachecheck -v 0") == Done(0, "", "")


def test_watch_ends_with_ctrl_c_and_with_its_reader(site: Site) -> None:
    assert site.python(FILL.format("timeout=60")).status == 0
    process = subprocess.Popen(
        [sys.executable, str(site.manage), "cachestats", "--watch", "50ms"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=site.bare,
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline().startswith("default: ")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    done = site.cron("manage.py cachestats --watch 50ms --json | head -n 2")
    assert (done.status, done.err) == (0, "")
    assert [json.loads(line)["default"]["entries"] for line in done.out.splitlines()] == [
        20,
        20,
    ]


def test_a_terminal_has_a_bar_and_a_pipe_has_none(site: Site) -> None:
    code = (
        "from django.core.cache import caches\n"
        "cache = caches['default']\n"
        "with cache._cache.transact():\n"
        "    for n in range(20_000): cache.set(n, 'x', tag='t')"
    )
    assert site.python(code) == Done(0, "", "")
    leader, follower = os.openpty()
    slow = (
        "from django_diskcache.management import shared\n"
        "from django.core.management import call_command\n"
        "shared.DRAW_EVERY = 0\n"
        "call_command('cacheevict', 't')"
    )
    command = [sys.executable, str(site.manage), "shell", "-v", "0", "-c", slow]
    process = subprocess.Popen(
        command, stdout=follower, stdin=subprocess.DEVNULL, env=site.bare
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 10_000)
        except OSError:  # the other side is closed
            break
    os.close(leader)
    assert process.wait(60) == 0
    text = shown.decode()
    assert "█░" in text
    assert text.endswith(" freed\r\n")
    assert "\r\x1b[Kdefault: 20,000 entries tagged 't' removed, " in text


@pytest.mark.long
def test_a_run_that_is_killed_leaves_the_lock(site: Site) -> None:
    assert site.python(FILL.format("timeout=-1")).status == 0
    code = (
        "import sys, time\n"
        "from django_diskcache.management.shared import held\n"
        f"with held({str(site.cache)!r}) as free:\n"
        "    print(free, flush=True)\n"
        "    time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert "skipped" in site.cron("manage.py cacheexpire").out
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while "skipped" in (out := site.cron("manage.py cacheexpire").out):
        assert time.monotonic() < deadline
    assert out.startswith("default: 20 entries expired, ")


# A cache on a server


OTHERS = """
from website import *
CACHES["copy"] = {{**CACHES["default"], "LOCATION": {copy!r}}}
waits = {{**CACHES["default"].get("OPTIONS", {{}}), "database_timeout": 30}}
CACHES["remote"] = {{**CACHES["default"], "LOCATION": {remote!r}, "OPTIONS": waits}}
"""


def with_others(site: Site, remote: str) -> None:
    """Give the site a second directory, and a cache on a server."""
    text = OTHERS.format(copy=str(site.directory / "copy"), remote=remote)
    (site.directory / "others.py").write_text(text)
    site.bare["DJANGO_SETTINGS_MODULE"] = "others"


def test_there_and_back_between_processes(site: Site, server: Server) -> None:
    with_others(site, server.url)
    assert site.python(FILL.format("timeout=60")) == Done(0, "", "")
    there = site.cron("manage.py cachecopy default remote && manage.py cachecopy remote copy")
    assert there.err == ""
    assert re.fullmatch(
        r"remote: 20 entries of default copied, \d+ bytes\n"
        r"copy: 20 entries of remote copied, \d+ bytes\n",
        there.out,
    )
    look = "from django.core.cache import caches; print(caches['copy'].evict('t'))"
    assert site.python(look) == Done(0, "20\n", "")


FILL_DEQUE = (
    "from django.core.cache import caches\n"
    "caches[{alias!r}].deque('tasks').extend(range(2000))\n"
    "caches[{alias!r}].deque('large').extend(bytes(50_000) for _ in range(40))\n"
)
ENDED = """
import os, signal
from django.core.management import call_command
from django_diskcache.moving import ordered
real = ordered._pages
def pages(source):
    for number, page in enumerate(real(source)):
        if number == 2:
            os.kill(os.getpid(), signal.{signal})
        yield page
ordered._pages = pages
call_command("cachecopy", {source!r}, {target!r})
"""
LOOK = (
    "from django.core.cache import caches\n"
    "tasks, large = (caches[{alias!r}].deque(name) for name in ('tasks', 'large'))\n"
    "print(list(tasks) == list(range(2000)), len(tasks), len(large))"
)


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
@pytest.mark.parametrize(
    ("source", "target"),
    [("remote", "copy"), pytest.param("default", "remote", marks=pytest.mark.long)],
)
def test_a_run_that_is_ended_doubles_nothing(
    site: Site, server: Server, source: str, target: str, how: str
) -> None:
    with_others(site, server.url)
    assert site.python(FILL_DEQUE.format(alias=source)) == Done(0, "", "")
    done = site.python(ENDED.format(source=source, target=target, signal=how))
    assert done.status != 0
    assert site.python(LOOK.format(alias=target)).out == "False 0 40\n"
    # A run that was killed has its claim on a server for some seconds.
    deadline = time.monotonic() + 60
    again = f"manage.py cachecopy {source} {target} --no-overwrite"
    while "skipped" in (done := site.cron(again)).out:
        assert time.monotonic() < deadline
    assert (done.status, done.err) == (0, "")
    assert f"{target}: 2,000 values of deque 'tasks' copied, " in done.out
    assert site.cron(again.removesuffix(" --no-overwrite")).status == 0
    assert site.python(LOOK.format(alias=target)) == Done(0, "True 2000 40\n", "")


@pytest.mark.parametrize("command", ["cachestats remote", "cachecopy remote default"])
def test_a_server_that_is_away_is_one_line(site: Site, command: str) -> None:
    with_others(site, "valkey://user:secret@127.0.0.1:1/0")
    done = site.cron(f"manage.py {command}")
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(
        r"CommandError: \w+: valkey://127\.0\.0\.1:1: .* refused\. \(lost\)\n", done.err
    )


def test_directories_are_copied_without_the_client_of_servers(site: Site) -> None:
    with_others(site, "")
    (site.directory / "redis.py").write_text("raise ImportError('it is an extra')")
    assert site.python(FILL.format("timeout=60")) == Done(0, "", "")
    done = site.cron(
        "manage.py cachecopy default copy -v 0 && manage.py cachecheck default copy"
    )
    assert done == Done(0, "default: nothing is wrong\ncopy: nothing is wrong\n", "")
