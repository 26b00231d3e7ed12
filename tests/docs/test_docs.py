"""The documentation against the code: what it says exists, what exists is said, examples run.

Blocks of a page run one after the other in one namespace. A line of its own that ends in a
comment ``# -> value`` must have that value. A block that begins with ``# settings.py`` is put
into Django's settings, with paths under ``/var`` moved to a temporary directory; there BASE_DIR
is what it is in a project. A block that begins with the path of another module becomes that
module. A block that cannot run by nature has ``no-run`` behind its language.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db.models import signals as model_signals
from django.dispatch import Signal
from django.test.utils import isolate_apps

import django_diskcache
from django_diskcache import DjangoCache
from django_diskcache.engine.options import OPTIONS, Option
from django_diskcache.faceoptions import FACE_OPTIONS, ON_A_SERVER

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "_build" not in path.parts
)
BLOCK = re.compile(r"^```python(?P<marks>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
EXPECTED = re.compile(r"#\s*->\s*(.*)$")
MODULE = re.compile(r"# ([a-z]+(?:/[a-z]+)+)\.py\n")
NOT_RUN = 1  # blocks marked no-run, in all pages
CLASSES = ("DjangoCache", "Cache", "FanoutCache", "Deque", "Index")


class Block(NamedTuple):
    """One block of Python on a page."""

    code: str
    line: int
    runs: bool


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text()
    return [
        Block(
            match["code"],
            text.count("\n", 0, match.start("code")),
            "no-run" not in match["marks"],
        )
        for match in BLOCK.finditer(text)
    ]


def run(block: Block, page: str, namespace: dict[str, Any], move: Callable[[str], str]) -> None:
    """Execute a block, and compare what it claims that its lines return."""
    source = move("\n" * block.line + block.code)
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        last = lines[(statement.end_lineno or 1) - 1]
        claim = EXPECTED.search(last, statement.end_col_offset or 0)
        if isinstance(statement, ast.Expr) and claim:
            code = compile(ast.Expression(statement.value), page, "eval")
            value = eval(code, namespace)
            assert repr(value) == claim[1], f"{page}, line {statement.end_lineno}"
        else:
            exec(compile(ast.Module([statement], []), page, "exec"), namespace)


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Close the caches that a page opens, forget its models, disconnect its receivers."""
    signals = [each for each in vars(model_signals).values() if isinstance(each, Signal)]
    receivers = [list(each.receivers) for each in signals]
    with isolate_apps("django.contrib.auth", "django.contrib.contenttypes"):
        yield
    for signal, before in zip(signals, receivers, strict=True):
        signal.receivers[:] = before
        signal.sender_receivers_cache.clear()
    for cache in caches.all(initialized_only=True):
        if isinstance(cache, DjangoCache):
            cache.shutdown()


@pytest.mark.django_db  # closing a response ends a request, which looks at the connections
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_the_examples_of_a_page_run(
    page: str, tmp_path: Path, settings: Any, nothing_left: None, monkeypatch: Any
) -> None:
    def move(code: str) -> str:
        return code.replace('"/var/', f'"{tmp_path}/')

    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")
    namespace = module.__dict__
    namespace["BASE_DIR"] = tmp_path
    for block in blocks(page):
        if path := MODULE.match(block.code):
            name = path[1].replace("/", ".")
            part = ModuleType(name)
            run(block, page, part.__dict__, move)
            monkeypatch.setitem(sys.modules, name, part)
        elif block.runs:
            run(block, page, namespace, move)
            if block.code.startswith("# settings.py"):
                for name in [name for name in namespace if name.isupper()]:
                    setattr(settings, name, namespace[name])


def test_blocks_that_do_not_run_are_counted() -> None:
    assert sum(not block.runs for page in PAGES for block in blocks(page)) == NOT_RUN


def test_the_links_of_the_readme_lead_to_files_and_headings() -> None:
    links = re.findall(r"\]\(([^)\s:]+)\)", (ROOT / "README.md").read_text())
    assert len(links) >= 10
    for link in links:
        name, _, anchor = link.partition("#")
        assert (ROOT / name).exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (ROOT / name).read_text(), re.MULTILINE)
            assert anchor in {h.lower().replace(" ", "-") for h in headings}, link


def test_ci_finds_the_test_line_of_the_readme() -> None:
    found = re.search(r"grep -m 1 -E '(.+)' README\.md", (ROOT / ".ci" / "run").read_text())
    assert found is not None
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len([line for line in lines if re.search(found[1], line)]) == 1


def test_a_false_claim_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="line 2"):
        run(Block("\n1 + 1  # -> 3\n", 0, True), "page", {}, str)


# The reference


def public_methods(name: str) -> set[str]:
    """The public methods of a class, properties included."""
    cls = getattr(django_diskcache, name)
    names = (each for each in dir(cls) if not each.startswith("_"))
    return {
        each
        for each in names
        if callable(getattr(cls, each)) or isinstance(getattr(cls, each), property)
    }


def extension() -> ModuleType:
    """The Sphinx extension that makes the tables of options."""
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("needs the extra 'docs'")
    specification = importlib.util.spec_from_file_location(
        "options_table", DOCS / "_ext" / "options_table.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_says_what_it_does(name: str) -> None:
    cls = getattr(django_diskcache, name)
    methods = public_methods(name)
    twins = {f"a{each}" for each in methods}  # the reference says of all what they do
    for each in methods - twins:
        assert inspect.getdoc(getattr(cls, each)) or hasattr(BaseCache, each), each


@pytest.mark.parametrize("name", [*CLASSES, *django_diskcache.__all__])
def test_every_public_name_is_in_the_reference(name: str) -> None:
    text = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    assert f":: django_diskcache.{name}\n" in text or f"\n`{name}`\n: " in text


OPTION_TABLES = [("engine", OPTIONS), ("backend", FACE_OPTIONS)]


def options_content(table: str) -> str:
    """What the reference says of the options of a table, beside what is generated."""
    text = (DOCS / "reference" / "options.md").read_text()
    match = re.search(rf"^```{{options}} {table}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert match
    return match[1]


@pytest.mark.parametrize(("table", "options"), OPTION_TABLES)
def test_every_option_has_its_row_and_its_heading(
    table: str, options: dict[str, Option]
) -> None:
    text = extension().table(table, options_content(table))
    rows = text.partition("\n\n")[0].splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == [f"[`{n}`](#{n})" for n in options]
    for row, option in zip(rows, options.values(), strict=True):
        assert row.count("|") == 4
        assert option.help in row
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == list(options)
    for option in options.values():
        section = text.partition(f"\n### {option.name}\n")[2].partition("\n### ")[0]
        assert option.help in section
        assert f"- Takes: {option.takes}" in section
        assert "- Default: " in section


def test_the_reference_says_which_options_count_on_a_server() -> None:
    page = (DOCS / "reference" / "options.md").read_text()
    table = page.partition("\n## On a server\n")[2].partition("\n\n`SHARDS`")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert set(re.findall(r"`([a-z_]+)`", "".join(rows))) == ON_A_SERVER
    for name, options in OPTION_TABLES:
        text = extension().table(name, options_content(name))
        for option in options:
            section = text.partition(f"\n### {option}\n")[2].partition("\n### ")[0]
            assert ("- On a server: does nothing" in section) == (option not in ON_A_SERVER)


def test_the_reference_says_nothing_of_options_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="size_limt"):
        extension().table("engine", "size_limt: A misspelling.")
    with pytest.raises(ValueError, match="colon"):
        extension().table("engine", "Text of no option.")


# The layers


def imported(path: Path) -> set[str]:
    """The modules of this package that a module imports to run, not only for its types."""
    tree = ast.parse(path.read_text())
    for statement in tree.body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            statement.body.clear()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            names.update([node.module] if node.module else [each.name for each in node.names])
    return {name.split(".")[-1] for name in names}


def test_imports_go_down_the_table_of_layers() -> None:
    page = (DOCS / "explanation" / "design.md").read_text()
    rows = re.findall(r"^\|[^|]*\|((?: `[a-z]+`,?)+) \|", page, re.MULTILINE)
    layers = [re.findall(r"`([a-z]+)`", row) for row in rows]
    package = ROOT / "django_diskcache"
    modules = {path.stem: path for path in package.rglob("*.py") if path.stem != "__init__"}
    assert sorted(module for layer in layers for module in layer) == sorted(modules)
    above: set[str] = set()
    for layer in layers:
        for module in layer:
            assert not imported(modules[module]) & above, module
        above.update(layer)


@pytest.mark.long
def test_the_documentation_is_built_without_warnings(tmp_path: Path) -> None:
    extension()
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    inventory = (tmp_path / "html" / "objects.inv").read_bytes()
    listed = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    documented = {line.split()[0] for line in listed.splitlines()}
    source = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    for name in CLASSES:
        for each in public_methods(name):
            assert f"django_diskcache.{name}.{each}" in documented or f"`{each}`" in source
    page = (tmp_path / "html" / "reference" / "options.html").read_text()
    for option in [*OPTIONS, *FACE_OPTIONS]:
        assert f"<h3>{option}<" in page
