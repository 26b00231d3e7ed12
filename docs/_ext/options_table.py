"""The directive ``options``: all options of a table, from those that the code itself reads.

Its argument is ``engine`` or ``backend``. It makes a table of them and then a heading for each.
Its content is paragraphs ``name: text``, which say more about an option than its line of help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective

from django_diskcache.engine.options import OPTIONS, Option
from django_diskcache.faceoptions import (
    DEFAULTS,
    FACE_OPTIONS,
    ON_A_SERVER,
    SERVER_TIMEOUT,
)

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TABLES = {"engine": OPTIONS, "backend": FACE_OPTIONS}
HEAD = ("| Option | Default | What it is for |", "|---|---|---|")
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


def default(option: Option) -> str:
    """The option's default, and where it is another."""
    result = shown(option, option.default)
    if option.name in DEFAULTS:
        result += f"; {shown(option, DEFAULTS[option.name])} in `DjangoCache`"
    if option.name == "database_timeout":
        result += f"; {SERVER_TIMEOUT} seconds on a server"
    return result


def row(option: Option) -> str:
    """The option's line of the table."""
    return f"| [`{option.name}`](#{option.name}) | {default(option)} | {option.help} |"


def entry(option: Option, more: str) -> str:
    """The option's heading and what stands below it."""
    facts = f"- Default: {default(option)}\n- Takes: {option.takes}"
    if option.name not in ON_A_SERVER:
        facts += "\n- On a server: does nothing"
    return "\n\n".join(filter(None, (f"### {option.name}", option.help, facts, more)))


def paragraphs(content: str) -> dict[str, str]:
    """What is said of each option beside its line of help.

    :raises ValueError: for a paragraph that does not begin with a name and a colon
    """
    result: dict[str, str] = {}
    for paragraph in filter(None, map(str.strip, content.split("\n\n"))):
        name, colon, text = paragraph.partition(":")
        if not colon or not name.isidentifier() or name in result:
            raise ValueError(f"expected the name of an option and a colon: {paragraph!r}")
        result[name] = text.strip()
    return result


def table(name: str, content: str = "") -> str:
    """All options of one table, in Markdown.

    :raises ValueError: when `content` is about an option that is not among them
    """
    options, more = TABLES[name], paragraphs(content)
    if unknown := more.keys() - options.keys():
        raise ValueError(f"no options of this table: {sorted(unknown)}")
    entries = (entry(option, more.get(option.name, "")) for option in options.values())
    return "\n\n".join(["\n".join([*HEAD, *map(row, options.values())]), *entries, ""])


class OptionsDirective(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[Any]:
        try:
            text = table(self.arguments[0], "\n".join(self.content))
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("options", OptionsDirective)
    return {"version": "1", "parallel_read_safe": True}
