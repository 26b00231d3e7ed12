"""What a run ran on: the machine, the versions of all that took part, and the command."""

from __future__ import annotations

import os
import platform
import shlex
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import django

import django_diskcache
from django_diskcache.filesystems import filesystem

from . import rounds
from .plan import Plan
from .report import microseconds

# What contenders and servers of pages are made of, by the name that pip has for it. Those
# without a value are part of Django or of Python.
PACKAGES = (
    "diskcache",
    "diskcache-community",
    "pysciqlop-cache",
    "redis",
    "hiredis",
    "pymemcache",
    "gunicorn",
    "uvicorn",
)
PROGRAMS = {"redis-server": "--version", "memcached": "--version"}


@dataclass(frozen=True)
class Machine:
    """What the run ran on."""

    command: str
    day: str
    plan: str
    processor: str
    cpus: int
    system: str
    load_average: float  # of the last minute, before the run
    clock: float  # nanoseconds that reading the clock adds to each call
    versions: Mapping[str, str]

    def busy(self) -> str:
        """A warning when others had the processors as well, or ''."""
        if self.load_average < self.cpus / 2:
            return ""
        return (
            f"The machine was busy with other things (load average {self.load_average:.1f} on"
            f" {self.cpus} CPUs before the run): these are figures of a noisy run."
        )

    def text(self) -> str:
        """Four lines, and a warning if the machine was busy."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.day}, {self.plan} plan: {self.command}\n"
            f"{self.processor}, {self.cpus} CPUs, {self.system}, load average"
            f" {self.load_average:.1f} before the run.\n"
            f"{versions}.\n"
            f"The clock adds {microseconds(self.clock)} to each call; nothing is subtracted."
            f"{' ' if self.busy() else ''}{self.busy()}"
        )


def machine(plan: Plan, arguments: Sequence[str]) -> Machine:
    """This one, now."""
    return Machine(
        command=shlex.join(["python", "-m", "benchmarks", *arguments]),
        day=time.strftime("%Y-%m-%d"),
        plan=("full" if plan.full else "quick")
        + (f", scaled by {plan.scale:g}" if plan.scale != 1 else ""),
        processor=_processor(),
        cpus=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}{_filesystem()}",
        load_average=round(os.getloadavg()[0], 1),
        clock=rounds.clock_cost(),
        versions=_versions(),
    )


def _filesystem() -> str:
    """Where the contenders have their directories."""
    found = filesystem(os.path.realpath(tempfile.gettempdir()))
    return f", directories on {found}" if found else ""


def _processor() -> str:
    """Its name as the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {
        "django_diskcache": django_diskcache.__version__,
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for program, option in PROGRAMS.items():
        if version := _told(program, option):
            found[program] = version
    return found


def _told(program: str, option: str) -> str:
    """The first word of an answer that begins with a digit, as in `memcached 1.6.18`."""
    try:
        done = subprocess.run(
            [program, option], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = done.stdout.replace("=", " ").split()
    return next((word for word in words if word[:1].isdigit()), "")
