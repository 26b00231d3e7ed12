"""The configuration of a cache that is in force, as its page shows it."""

from __future__ import annotations

from typing import Any

from ..engine import Disk
from ..engine.options import OPTIONS
from ..faceoptions import DEFAULTS, FACE_OPTIONS
from . import servers
from .listing import Listed

OF_DJANGO = {"TIMEOUT": 300, "KEY_PREFIX": "", "VERSION": 1}  # the defaults of every cache


def configuration(cache: Listed) -> list[dict[str, Any]]:
    """Each setting in force, whether it is in bytes, and whether it is not the default.

    On a server those follow that are given and mean nothing there.
    """
    engine = cache.engine
    backend = cache.cache
    face = cache.face
    handler = getattr(face.error_handler, "given", face.error_handler)  # with signals
    values: dict[str, Any] = {
        "LOCATION": engine.directory,
        "TIMEOUT": backend.default_timeout,
        "KEY_PREFIX": backend.key_prefix,
        "VERSION": backend.version,
        **({"shards": len(engine.stores)} if engine.in_files else {}),
        "database_timeout": face.timeout,
        "disk": _path(engine.disk_type),
        "signing": bool(engine.secrets),
        "error_handler": None if handler is None else _path(handler),
        "strict": not face.absorbs,
        "timeout_jitter": backend._jitter,
        "signals": hasattr(type(backend), "sends"),
    }
    defaults = {name: each.default for name, each in (FACE_OPTIONS | OPTIONS).items()}
    defaults |= {**DEFAULTS, **OF_DJANGO, "disk": _path(Disk)}
    ignored: list[str] = []
    if engine.in_files:
        values |= engine.settings
    else:
        values, ignored = servers.in_force(cache, values)
        defaults |= servers.DEFAULTS
    rows = [
        {
            "name": name,
            "value": value,
            "bytes": name in OPTIONS and OPTIONS[name].unit == "bytes" and value is not None,
            "changed": name in defaults and defaults[name] != value,
        }
        for name, value in values.items()
    ]
    return rows + [{"name": name, "ignored": True} for name in ignored]


def _path(value: Any) -> str:
    """The dotted path of a class or a function; of another callable, what it says of itself."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else repr(value)
