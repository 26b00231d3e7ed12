"""The conformance mixins find what is wrong, under unittest and without pytest or Django."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from django_diskcache.engine import UNKNOWN, Disk
from django_diskcache.engine.fifo import S3FIFO
from django_diskcache.engine.policies import Policy
from django_diskcache.testing.conformance import DiskConformance, PolicyConformance


class Salted(Disk):
    def hash(self, key: Any) -> int:
        return hash(key) & 0xFFFFFFFF


class Wide(Disk):
    def hash(self, key: Any) -> int:
        return super().hash(key) << 1


class Lower(Disk):
    def put(self, key: Any) -> tuple[Any, bool]:
        return super().put(key.lower() if isinstance(key, str) else key)


class Stringly(Disk):
    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        return super().store(value if read else str(value), read, key=key)


class Litter(Disk):
    def remove(self, file_path: str) -> None:
        pass


class Careless(Disk):
    def __init__(self, directory: str, **kwargs: Any) -> None:
        super().__init__(directory, kwargs["min_file_size"], kwargs["pickle_protocol"])


class Idle(S3FIFO):
    def victims(self, *args: Any) -> Iterable[Any]:
        return ()


class Generous(S3FIFO):
    def victims(self, queues: Any, count: int, weigh: bool, now: float) -> Iterable[Any]:
        return list(super().victims(queues, count, weigh, now))[: count // 2]


def failing(mixin: type, **attributes: Any) -> set[str]:
    """Names of the tests of a mixin that fail for a class, by unittest."""
    case = type("Case", (mixin, unittest.TestCase), attributes)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun
    return {test.id().rpartition(".")[2] for test, _ in result.failures + result.errors}


@pytest.mark.parametrize(
    ("disk", "test"),
    [
        (Salted, "test_hashes_are_the_same_in_every_process"),
        (Wide, "test_hashes_are_of_32_bits_and_the_same_for_equal_keys"),
        (Lower, "test_put_and_get_are_inverse"),
        (Stringly, "test_store_and_fetch_are_inverse"),
        (Litter, "test_store_and_fetch_are_inverse"),
        (Careless, "test_arguments_that_it_does_not_take"),
    ],
)
def test_what_is_wrong_with_a_disk_is_found(disk: type[Disk], test: str) -> None:
    class Some(DiskConformance):
        keys: ClassVar[Any] = ("Text", "", 1, 2**70)
        values: ClassVar[Any] = ("text" * 10, 7)

    assert test in failing(Some, disk=disk)


@pytest.mark.parametrize("policy", [Policy, Idle, Generous])
def test_what_is_wrong_with_a_policy_is_found(policy: type[Policy]) -> None:
    assert "test_all_but_one_can_go" in failing(PolicyConformance, policy=policy)


def test_it_runs_without_pytest_and_without_django(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys, unittest\n"
        "from django_diskcache import Disk\n"
        "from django_diskcache.testing.conformance import DiskConformance, PolicyConformance\n"
        "class TestDisk(DiskConformance, unittest.TestCase):\n"
        "    disk = Disk\n"
        "class TestPolicy(PolicyConformance, unittest.TestCase):\n"
        "    policy = 's3-fifo'\n"
        "class TestModules(unittest.TestCase):\n"
        "    def test_them(self):\n"
        "        self.assertFalse({'pytest', 'django'} & set(sys.modules))\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "unittest", "test_own"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "Ran 17 tests" in run.stderr


def test_pytest_with_the_plugin_says_what_was_compared(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "from django_diskcache.testing.conformance import PolicyConformance\n"
        "from django_diskcache.engine.policies import Policy\n"
        "class TestIdle(PolicyConformance):\n"
        "    policy = Policy\n"
    )
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-k", "test_all_but_one_can_go"),
            *("-p", "django_diskcache.testing.plugin", "-p", "no:cacheprovider"),
            *("--basetemp", str(tmp_path / "inner")),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "AssertionError: assert [0, 1, 2" in run.stdout


def test_the_package_loads_no_testing_code() -> None:
    program = (
        "import sys, django\n"
        "from django.conf import settings\n"
        "settings.configure(SECRET_KEY='x', INSTALLED_APPS=['django_diskcache'])\n"
        "django.setup()\n"
        "import django_diskcache.backend, django_diskcache.checks\n"
        "print([name for name in sys.modules if name.startswith('django_diskcache.testing')])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert run.stdout == "[]\n"
