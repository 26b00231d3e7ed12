"""The directive ``options``: a table of options, from the tables that the code itself reads.

Its argument is ``engine`` or ``backend``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

from django_diskcache.configuration import DEFAULTS, FACE_OPTIONS
from django_diskcache.engine.options import OPTIONS, Option

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TABLES = {"engine": OPTIONS, "backend": FACE_OPTIONS}
HEAD = ("| Option | Default | Takes | What it is for |", "|---|---|---|---|")
UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def shown(option: Option, value: Any) -> str:
    """A default as somebody would write it."""
    if isinstance(value, type):
        return value.__name__
    if option.unit == "bytes":
        for size, unit in UNITS:
            if value >= size and value % size == 0:
                return f"{value // size} {unit}"
    return f"{value} {option.unit}".strip() if value is not None else "None"


def row(option: Option) -> str:
    """The option's line of the table."""
    default = shown(option, option.default)
    if option.name in DEFAULTS:
        default += f"; {shown(option, DEFAULTS[option.name])} in `DjangoCache`"
    return f"| `{option.name}` | {default} | {option.takes} | {option.help} |"


def table(name: str) -> str:
    """All options of one table, in Markdown."""
    return "\n".join([*HEAD, *map(row, TABLES[name].values())])


class OptionsDirective(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[Any]:
        return self.parse_text_to_nodes(table(self.arguments[0]))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("options", OptionsDirective)
    return {"version": "1", "parallel_read_safe": True}
