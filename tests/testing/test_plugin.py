"""The fixtures, in a project of their own, alone and in processes beside one another."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import django
from django.conf import settings

pytest_plugins = ["django_diskcache.testing.plugin"]

settings.configure(
    SECRET_KEY="only for tests",
    INSTALLED_APPS=["django_diskcache"],
    CACHES={{
        "memory": {{"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        "default": {{"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        "pages": {{"BACKEND": "django_diskcache.DjangoCache", "LOCATION": {location!r}}},
    }},
)
django.setup()
"""
TESTS = """
import pytest
from django.core.cache import cache, caches


@pytest.mark.parametrize("number", range(6))
def test_each_has_its_own(fresh_cache, cache_clock, number):
    assert fresh_cache is caches["pages"]
    assert len(fresh_cache) == 0
    fresh_cache.set("key", number, timeout=60)
    assert fresh_cache.get("key") == number
    cache_clock.advance(60)
    assert fresh_cache.get("key") is None


class TestOptions:
    @pytest.fixture
    def cache_aliases(self):
        return ["default", "memory"]

    @pytest.fixture
    def cache_options(self):
        return {"max_entries": 7}

    def test_them(self, fresh_caches, fresh_cache):
        assert fresh_cache is caches["default"]
        assert fresh_cache._cache.max_entries == 7
        assert fresh_caches["memory"]._cache.max_entries == 7


def test_a_fixture_that_is_not_used():
    assert not hasattr(cache, "evict")
"""


@pytest.mark.long  # `tests/docs/test_tests.py` is the short one
@pytest.mark.parametrize("processes", [0, 2])
def test_the_fixtures(processes: int, tmp_path: Path) -> None:
    options = ["-p", "no:cacheprovider", "--basetemp", str(tmp_path / "inner")]
    if processes:
        if importlib.util.find_spec("xdist") is None:
            pytest.skip("needs pytest-xdist")
        options += ["-p", "xdist.plugin", "-n", str(processes)]
    location = tmp_path / "site"
    (tmp_path / "conftest.py").write_text(CONFTEST.format(location=str(location)))
    (tmp_path / "test_it.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "test_it.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "8 passed" in run.stdout
    assert not location.exists()
