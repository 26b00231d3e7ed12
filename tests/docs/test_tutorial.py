"""The tutorial, followed to the letter in a project that `startproject` makes.

What somebody does by hand is done here in processes of their own: settings and modules are
written as the page has them, commands are run, blocks of Python are typed into the shell. Only
what makes the environment is left out: this one is used.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from configparser import ConfigParser
from pathlib import Path

import pytest

from .test_docs import DOCS, EXPECTED, MODULE, ROOT

BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MADE_BY_HAND = ("python3 -m venv", ". .venv/bin/activate", "pip install")
PASSWORD = "correct horse"
PATIENCE = 120.0  # seconds, for a machine that is busy with something else


def test_all_that_is_no_module_is_in_the_package() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    globs = setup["options.package_data"]["django_diskcache"].split()
    package = ROOT / "django_diskcache"
    names = [
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    ]
    assert {Path(name).suffix for name in names} >= {".html", ".css", ".js", ".po", ".mo"}
    for name in names:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in globs), name


class Project:
    """The project of the tutorial, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            **{name: value for name, value in os.environ.items() if "DJANGO" not in name},
            "PYTHONPATH": str(ROOT),
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }

    def start(self, line: str, typed: str | None = None) -> subprocess.Popen[str]:
        """A line of the page, as a process; `typed` goes to its terminal."""
        words = shlex.split(line)
        words[:1] = {
            "python": [sys.executable],
            "django-admin": [sys.executable, "-m", "django"],
        }[words[0]]
        return subprocess.Popen(
            words,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.PIPE if typed is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, line: str, code: int = 0, typed: str | None = None) -> str:
        """What a line of the page prints; it must end with this exit code."""
        process = self.start(line, typed)
        output, _ = process.communicate(typed, PATIENCE)
        assert process.returncode == code, f"{line}\n{output}"
        return output

    def write(self, code: str) -> None:
        """Do what the page says of a block that goes into a file."""
        settings = self.directory / "mysite" / "settings.py"
        code = code.removeprefix("# settings.py\n")
        if match := MODULE.match(code):
            (self.directory / f"{match[1]}.py").write_text(code)
        elif code.startswith("INSTALLED_APPS"):
            pattern = r"^INSTALLED_APPS = \[.*?^\]\n"
            text = settings.read_text()
            found = re.findall(pattern, text, re.DOTALL | re.MULTILINE)
            before, after = (ast.literal_eval(each[17:]) for each in (found[0], code))
            assert after == [*before, "django_diskcache"]
            settings.write_text(text.replace(found[0], code))
        else:
            settings.write_text(settings.read_text() + "\n" + code)

    def type(self, code: str) -> None:
        """Type a block into the shell, and compare what it prints with what the page says."""
        claims = [match[1] for line in code.splitlines() if (match := EXPECTED.search(line))]
        output = self.run("python manage.py shell", typed=_printing(code))
        printed = [line[2:] for line in output.splitlines() if line.startswith("= ")]
        assert printed == claims, output

    def get(self, url: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE) as response:
                    return str(response.read().decode())
            except urllib.error.URLError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def _printing(code: str) -> str:
    """The code, with lines that claim a value made to print it behind a mark."""
    lines = []
    for line in code.splitlines():
        claim = EXPECTED.search(line)
        expression = line[: claim.start()].rstrip() if claim else ""
        lines.append(f'print("=", repr({expression}))' if claim else line)
    return "\n".join(lines) + "\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.long
def test_every_step(project: Project) -> None:
    typed = ""  # blocks of the shell share what they define
    texts: list[str] = []
    outputs: list[str] = []
    for language, block in BLOCK.findall((DOCS / "tutorial.md").read_text()):
        if language == "text":
            texts.append(block)
        elif language == "python":
            if MODULE.match(block) or block.startswith("# settings.py\n"):
                project.write(block)
            else:
                typed += block + "\n"
        for line in block.splitlines() if language == "sh" else ():
            if typed and "manage.py" in line:
                project.type(typed)
                typed = ""
            if line.startswith(MADE_BY_HAND) or line.endswith(" shell"):
                continue
            if line.endswith("createsuperuser"):
                project.run(f"{line} --noinput --username ada --email ada@example.com")
            elif line.endswith("runserver"):
                serve(project, line)
            else:
                outputs.append(project.run(line))
    project.type(typed)
    assert "no issues" in outputs[1]
    everything = "".join(outputs)
    mistake, figures, cron = texts
    assert figures.strip() in everything
    assert "W107" in outputs[-1]
    settings = project.directory / "mysite" / "settings.py"
    settings.write_text(settings.read_text().replace("size_limit", "size_limt"))
    said = project.run("python manage.py check --tag caches", code=1).expandtabs()
    assert mistake.expandtabs() in said
    settings.write_text(settings.read_text().replace("size_limt", "size_limit"))
    command = cron.split("*")[-1].replace("/srv/mysite/.venv/bin/", "")
    assert project.run(command.replace("/srv/mysite/", "").strip()) == ""


def serve(project: Project, line: str) -> None:
    """Start the site as the page says, on a free port, and visit it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = project.start(f"{line} --noreload {port}")
    try:
        url = f"http://127.0.0.1:{port}"
        first, second = (project.get(f"{url}/square/7/").split() for _ in range(2))
        assert first[0] == second[0] == "49,"
        assert float(first[2]) >= 1 > float(second[2])
        assert "Django administration" in project.get(f"{url}/admin/")
    finally:
        site.terminate()
        site.communicate(timeout=PATIENCE)
