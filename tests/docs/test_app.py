"""Checks, commands and the environment in the documentation: each has its heading and works."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command, get_commands, load_command_class

from django_diskcache import DjangoCache, environment

from .test_docs import DOCS, PAGES, ROOT

APP = "django_diskcache"
SHELL = re.compile(r"^```(?:sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CALLED = re.compile(r"python\S*\s+\S*manage\.py ([a-z]+[^|>&\n]*)")


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#+ (.*)$", (DOCS / page).read_text(), re.MULTILINE))


def commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app == APP)


def test_every_check_has_its_heading() -> None:
    source = "".join(path.read_text() for path in (ROOT / APP).glob("*.py"))
    ids = set(re.findall(r'"(?:django_diskcache\.)?([EW][0-9]{3})"', source))
    assert len(ids) > 20
    documented = {name for name in headings("reference/checks.md") if name.startswith(APP)}
    assert documented == {f"{APP}.{each}" for each in ids}


def test_every_check_and_only_real_ones_are_tested() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "django").glob("test_*.py"))
    for heading in headings("reference/checks.md"):
        if heading.startswith(APP):
            assert f'"{heading}"' in tests or f'id="{heading}"' in tests, heading


@pytest.mark.parametrize("name", commands())
def test_every_command_and_each_of_its_options_has_its_heading(name: str) -> None:
    found = headings("reference/commands.md")
    assert name in found
    plain = argparse.ArgumentParser()
    command = load_command_class(APP, name)
    command.add_arguments(plain)  # type: ignore[arg-type]
    options = {
        next(each for each in action.option_strings if each.startswith("--"))
        for action in plain._actions
        if action.option_strings and action.dest != "help"
    }
    assert {h for h in found if h.startswith(f"{name} --")} == {f"{name} {o}" for o in options}
    assert all(action.help for action in plain._actions)


def test_there_are_eight_commands() -> None:
    assert len(commands()) == 8


def test_public_functions_of_the_environment_are_in_the_reference() -> None:
    text = (DOCS / "reference" / "environment.md").read_text()
    for name, each in vars(environment).items():
        if getattr(each, "__module__", "") == environment.__name__ and name[0] != "_":
            assert f".. autofunction:: {APP}.environment.{name}\n" in text


def lines() -> Iterator[tuple[str, str]]:
    """Each call of manage.py that the documentation has, with its page."""
    for page in PAGES:
        for block in SHELL.findall((DOCS / page).read_text()):
            for match in CALLED.finditer(block):
                yield page, match[1].strip()


@pytest.fixture
def _site(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.CACHES = {
        "default": {"BACKEND": f"{APP}.DjangoCache", "LOCATION": tmp_path / "cache"}
    }
    cache = caches["default"]
    assert isinstance(cache, DjangoCache)
    cache.set("page:1", 1, tag="posts")
    yield
    cache.shutdown()


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize(
    ("page", "line"), [pytest.param(*each, id=each[1]) for each in lines()]
)
def test_every_call_of_manage_py_is_understood(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *arguments = shlex.split(line)
    if name in ("createsuperuser", "demo", "migrate", "runserver", "shell"):
        pytest.skip("runs a site, or waits for somebody to type")

    def stop(self: Any, seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{APP}.management.commands.cachestats.Command.pause", stop)
    if name == "cacheimport":  # it is understood, but there is nothing to be taken
        with pytest.raises(CommandError, match=r"is no directory|Nothing to take over"):
            call_command(name, *arguments)
    elif name == "cachecopy":  # and here only one cache
        with pytest.raises(CommandError, match="is not a cache of this site"):
            call_command(name, *arguments)
    else:
        call_command(name, *arguments)


def test_calls_are_found() -> None:
    found = {line.split()[0] for _, line in lines()}
    assert {*commands(), "check"} <= found
