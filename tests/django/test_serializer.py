"""The option `serializer` of the backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_diskcache import DjangoCache


@pytest.mark.parametrize("name", ["json", "JSON"])
def test_the_option(name: str, tmp_path: Path) -> None:
    cache = DjangoCache(str(tmp_path / "cache"), {"OPTIONS": {"SERIALIZER": name}})
    cache.set("key", {"a": [1]})
    assert cache.get("key") == {"a": [1]}
    with pytest.raises(TypeError, match="the value for ':1:key': serializer='json'"):
        cache.set("key", {1, 2})
    assert cache.get("key") == {"a": [1]}
    cache.shutdown()


def test_without_msgspec(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install .django-diskcache\[msgpack\]"):
        DjangoCache(str(tmp_path / "cache"), {"OPTIONS": {"serializer": "msgpack"}})
