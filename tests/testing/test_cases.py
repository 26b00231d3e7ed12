"""The mixin under Django's own test runner, in processes beside one another."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.cache import cache, caches
from django.test import SimpleTestCase

from django_diskcache import FanoutCache
from django_diskcache.testing import CacheTestMixin, fresh

SITE = """
SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django_diskcache"]
CACHES = {{
    "default": {{"BACKEND": "django_diskcache.DjangoCache", "LOCATION": {location!r}}}
}}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
USE_TZ = True
"""
CASES = """
from django.core.cache import cache, caches
from django.test import SimpleTestCase, TestCase

from django_diskcache.testing import CacheTestMixin


class Cases(CacheTestMixin):
    def setUp(self):  # which forgets its ancestor
        cache.set("from setUp", 1, timeout=60)

    def check(self):
        self.assertEqual(len(caches["default"]), 1)
        self.cache_clock.advance(60)
        self.assertIsNone(cache.get("from setUp"))
        cache.set("key", 1)

    test_1 = test_2 = test_3 = check

    async def test_asynchronous(self):
        self.assertEqual(await cache.aget("from setUp"), 1)


class One(Cases, SimpleTestCase):
    pass


class Two(Cases, TestCase):
    @classmethod
    def setUpTestData(cls):
        cache.set("class", 1)


class Three(Two):
    pass
"""


def test_with_the_runner_of_django(tmp_path: Path) -> None:
    location = tmp_path / "site"
    (tmp_path / "site_settings.py").write_text(SITE.format(location=str(location)))
    (tmp_path / "test_it.py").write_text(CASES)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "django", "test", "--settings=site_settings"),
            *("--parallel=2", "--pythonpath=."),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "Ran 12 tests" in run.stderr
    # The runner makes an object of each cache; nothing is stored in it.
    with FanoutCache(location) as site:
        assert len(site) == 0


def test_attributes_and_failures(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Attributes(CacheTestMixin, SimpleTestCase):
        cache_aliases = ("default",)
        cache_options: ClassVar[dict[str, Any]] = {"max_entries": 7}

        def test_it(self) -> None:
            default: Any = caches["default"]
            assert default._cache.max_entries == 7
            assert list(tmp_path.iterdir())

        def test_failing(self) -> None:
            cache.set("key", 1)
            self.fail("as it should")

    monkeypatch.setattr(fresh, "_place", lambda: str(tmp_path))
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Attributes).run(result)
    assert (result.testsRun, len(result.failures), result.errors) == (2, 1, [])
    Attributes("test_it").debug()
    assert list(tmp_path.iterdir()) == []


def test_the_mixin_goes_first() -> None:
    with pytest.raises(
        TypeError, match=r"goes before SimpleTestCase, as in class Behind\(CacheTestMixin, Si"
    ):

        class Behind(SimpleTestCase, CacheTestMixin):
            pass

    class First(CacheTestMixin):
        pass

    class Mine(SimpleTestCase):
        pass

    class Fine(First, Mine):
        pass

    with pytest.raises(TypeError, match="CacheTestMixin goes before Mine"):
        type("Wrong", (Mine, First), {})
    assert type("Finer", (Fine, Mine), {})
    assert type("Alone", (First,), {})
