"""The options of an entry of CACHES that only the Django face has, and how they are read.

Those of the engine are in `engine.options`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string

from .engine import Disk
from .engine.options import Option, Refused, flag, integer, seconds


def imported(value: Any, expected: str) -> Any:
    """What a dotted path leads to; anything else is that itself."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except (ImportError, TypeError, ValueError) as error:
        raise Refused(f"the dotted path of {expected} ({error})") from None


def disk_class(value: Any) -> type[Disk]:
    """A `Disk` class, from itself or its dotted path."""
    value = imported(value, "a Disk class")
    if isinstance(value, type) and issubclass(value, Disk):
        return value
    raise Refused("Disk or a subclass of it, or its dotted path")


def error_handler(value: Any) -> Callable[[Exception], object] | None:
    """A callable, from itself or its dotted path, or None."""
    value = imported(value, "a callable")
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]
    raise Refused("a callable that takes an exception, or its dotted path")


def server_name(value: Any) -> str:
    """What the names of all entries on a server begin with."""
    if isinstance(value, str) and value and not set("{}") & set(value):
        return value
    raise Refused("a text without braces")


def fraction(value: Any) -> float:
    """A number from 0 to 1, also as a text."""
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise Refused("a number from 0 to 1")
    return number


def default_timeout(value: Any) -> int | None:
    """Seconds, which may be negative, or None; Django takes what it cannot read for 300."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused("a number of seconds, or None for ever") from None


def key_function(value: Any) -> Any:
    """A callable or its dotted path, or None."""
    found = imported(value, "a callable")
    if found is None or callable(found):
        return value
    raise Refused("a callable of a key, KEY_PREFIX and VERSION, or its dotted path")


# Those of Django's own settings, beside OPTIONS, that can be wrong.
TIMEOUT = Option("TIMEOUT", 300, default_timeout, "seconds", "How long an entry lives.")
KEY_FUNCTION = Option("KEY_FUNCTION", None, key_function, "", "Makes a key of the store.")
BESIDE = {TIMEOUT.name: TIMEOUT, KEY_FUNCTION.name: KEY_FUNCTION}

FACE_OPTIONS = {
    option.name: option
    for option in (
        Option(
            "shards", 8, integer(1, 999), "", "Number of databases that keys are spread over."
        ),
        Option(
            "database_timeout",
            0.010,
            seconds,
            "seconds",
            "How long a call without retry waits for a lock.",
        ),
        Option("disk", Disk, disk_class, "", "How keys and values are serialised."),
        Option(
            "signing",
            True,
            flag,
            "",
            "Sign what is pickled with SECRET_KEY; what is not signed is a miss.",
        ),
        Option(
            "error_handler",
            None,
            error_handler,
            "",
            "A callable that is told each `Fault` and `Timeout` that a call has met.",
        ),
        Option(
            "strict",
            False,
            flag,
            "",
            "Raise them instead of counting them as misses; for tests and debugging.",
        ),
        Option(
            "timeout_jitter",
            0.0,
            fraction,
            "",
            "Up to which fraction each timeout is shortened at random.",
        ),
        Option(
            "signals",
            False,
            flag,
            "",
            "Send Django signals of hits, misses, sets, deletions, evictions and errors.",
        ),
        Option(
            "server_name",
            "django_diskcache",
            server_name,
            "",
            "What the names of all entries on a server begin with.",
        ),
    )
}

# Those that mean something where LOCATION is a server, beside arguments of a Disk. The server
# itself decides on the rest: how much it keeps, and what goes first.
ON_A_SERVER = {
    *FACE_OPTIONS.keys() - {"shards"},
    "serializer",
    "compression",
    "compression_level",
    "compression_min_size",
    "statistics",
    "near_cache_size",
    "disk_pickle_protocol",
}
SERVER_TIMEOUT = 0.25  # seconds, by default: a call goes over a network

# What differs from the engine's own defaults: counting costs nothing, and a site wants to know.
DEFAULTS = {"statistics": 1}
