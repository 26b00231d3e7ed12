"""The reference of the dashboard against the code."""

from __future__ import annotations

import re
from pathlib import Path

from django.contrib import admin

from django_diskcache.admin import CacheAdmin
from django_diskcache.dashboard.actions import ACTIONS
from django_diskcache.dashboard.forms import TagForm
from django_diskcache.dashboard.pages import RANGES
from django_diskcache.models import Cache

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "reference" / "dashboard.md").read_text()


def named(column: str) -> list[str]:
    """The first words in code style of the rows whose table begins with this column."""
    table = TEXT.partition(f"\n| {column} |")[2].partition("\n\n")[0]
    return [re.findall(r"`([^`]+)`", row)[0] for row in table.splitlines()[2:]]


def test_every_action() -> None:
    assert named("action") == list(ACTIONS)
    for action in ACTIONS.values():
        row = re.findall(rf"^\| `{action.name}` .*$", TEXT, re.MULTILINE)[0]
        for field in action.form.base_fields if action.form else ():
            assert f"`{field}`" in row
    for kind, _ in TagForm.KINDS:
        assert f"`{kind}`" in TEXT


def test_every_permission() -> None:
    permissions = {f"{name}_cache" for name in Cache._meta.default_permissions}
    permissions |= {name for name, _ in Cache._meta.permissions}
    assert set(named("permission")) == {f"django_diskcache.{name}" for name in permissions}


def test_every_address() -> None:
    patterns = CacheAdmin(Cache, admin.site).get_urls()
    rows = re.findall(r"^\| (?:`(?:ALIAS/)?([^`]*)` )?\| `admin:(\w+)` \|", TEXT, re.MULTILINE)
    assert [name for _, name in rows] == [pattern.name for pattern in patterns]
    for (path, _), pattern in zip(rows, patterns, strict=True):
        route = str(pattern.pattern).replace("<str:object_id>/", "")
        assert path.partition("?")[0].replace("ACTION", "<slug:action>") == route
    for name in RANGES:
        assert f"`{name}`" in TEXT
