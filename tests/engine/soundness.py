"""Whether a directory is sound: what `check` cannot say while a set may be in progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django_diskcache.engine import schema


def assert_sound(cache: Any) -> None:
    """Nothing for `check` to find, and exactly the value files that rows name."""
    assert [str(warning.message) for warning in cache.check()] == []
    for store in cache.engine.stores:
        top = Path(store.directory)
        named = {name for (name,) in store.database.run(schema.FILENAMES)}
        assert {str(path.relative_to(top)) for path in top.rglob("*.val")} == named
