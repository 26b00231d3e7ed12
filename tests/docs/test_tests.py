"""The page about caches in tests: its examples as the tests of a site, by pytest."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from django_diskcache import FanoutCache
from tests.docs.test_docs import blocks


def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    files: dict[str, str] = defaultdict(str)
    for block in blocks("howto/tests.md"):
        first, _, _ = block.code.partition("\n")
        if first.startswith("# ") and first.endswith(".py"):
            files[first[2:]] += block.code
    assert sorted(files) == [
        *("conftest.py", "settings.py", "test_disks.py", "test_eviction.py"),
        *("test_pages.py", "test_ranking.py"),
    ]
    files["settings.py"] += 'SECRET_KEY = "only for tests"\nUSE_TZ = True\n'
    for name, code in files.items():
        (tmp_path / name).write_text(code.replace('"/var/', f'"{tmp_path}/'))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--ds=settings", "-p", "no:cacheprovider"),
            *("--basetemp", str(tmp_path / "inner")),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "21 passed" in run.stdout
    # pytest looks at what modules import, such as `cache`, which makes one; it stays empty.
    with FanoutCache(tmp_path / "cache" / "mysite") as site:
        assert len(site) == 0
