"""docs/reliability.md: each test that it names exists, and each test here is named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reliability.md"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
# Tests of the tests.
OWN = {"test_promises.py", "test_soak.py"}


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return {name for name in names if name.startswith("test_")}


def named() -> set[tuple[str, str]]:
    return {(match[1], match[2]) for match in NAMED.finditer(PAGE.read_text())}


def test_each_test_that_is_named_exists() -> None:
    existing = {path.name: names_in(path) for path in HERE.glob("test_*.py")}
    assert named()
    assert [each for each in sorted(named()) if each[1] not in existing.get(each[0], ())] == []


def test_each_test_is_named() -> None:
    existing = {
        (path.name, name)
        for path in HERE.glob("test_*.py")
        if path.name not in OWN
        for name in names_in(path)
    }
    assert sorted(existing - named()) == []


def test_each_line_of_a_table_names_one() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith("| promise ")]
    assert len(rows) > 30
    assert [line for line in rows if not NAMED.search(line)] == []
