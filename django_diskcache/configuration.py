"""What an entry of CACHES says, read and checked before the first request uses it.

Options are the engine's settings plus the few that only the Django face has. Names may be in
any case, because settings that come from the environment are upper-cased; values may be texts
('true', '4GB', '10ms'). All of them may stand beside OPTIONS or inside.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as site
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import force_bytes
from django.utils.module_loading import import_string

from .engine import Disk
from .engine.options import OPTIONS, Option, Refused, did_you_mean, flag, integer, seconds
from .engine.signing import NO_SECRETS, Secrets


def disk_class(value: Any) -> type[Disk]:
    """A `Disk` class, from itself or its dotted path."""
    if isinstance(value, str):
        try:
            value = import_string(value)
        except (ImportError, TypeError, ValueError) as error:
            raise Refused(f"the dotted path of a Disk class ({error})") from None
    if isinstance(value, type) and issubclass(value, Disk):
        return value
    raise Refused("Disk or a subclass of it, or its dotted path")


def error_handler(value: Any) -> Callable[[Exception], object] | None:
    """A callable, from itself or its dotted path, or None."""
    if isinstance(value, str):
        try:
            value = import_string(value)
        except (ImportError, TypeError, ValueError) as error:
            raise Refused(f"the dotted path of a callable ({error})") from None
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]
    raise Refused("a callable that takes an exception, or its dotted path")


def default_timeout(value: Any) -> int | None:
    """Seconds, which may be negative, or None; Django takes what it cannot read for 300."""
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused("a number of seconds, or None for ever") from None


TIMEOUT = Option("TIMEOUT", 300, default_timeout, "seconds", "How long an entry lives.")

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
    )
}

# What differs from the engine's own defaults: counting costs nothing, and a site wants to know.
DEFAULTS = {"statistics": 1}


class Configuration(NamedTuple):
    """A parsed entry of CACHES."""

    directory: str
    shards: int
    timeout: float
    disk: type[Disk]
    secrets: Secrets
    error_handler: Callable[[Exception], object] | None
    strict: bool
    settings: dict[str, Any]


def site_secrets() -> Secrets:
    """SECRET_KEY and SECRET_KEY_FALLBACKS; none if there is no SECRET_KEY."""
    try:
        key = site.SECRET_KEY
    except ImproperlyConfigured:  # it is empty, or there are no settings at all
        return NO_SECRETS
    return _secrets(key, *site.SECRET_KEY_FALLBACKS)


@lru_cache(16)  # asked for with each backend object that is made
def _secrets(*given: Any) -> Secrets:
    return Secrets(map(force_bytes, given))


def read(location: Any, params: Mapping[str, Any], secrets: Secrets) -> Configuration:
    """What to open.

    :param location: LOCATION, a str or a path
    :param params: the rest of the entry
    :param secrets: the site's
    :raises ImproperlyConfigured: which names the mistake and what is taken instead
    """
    if not isinstance(location, (str, os.PathLike)) or not os.fspath(location):
        raise ImproperlyConfigured(
            f"LOCATION={location!r} of a DjangoCache: expected the path of a directory"
        )
    directory = str(os.fspath(location))
    given = _given(directory, params)
    try:
        TIMEOUT.read(params.get("timeout", params.get("TIMEOUT", TIMEOUT.default)))
    except ValueError as error:
        raise ImproperlyConfigured(f"The cache at {directory!r}: {error}") from None
    face = {name: option.default for name, option in FACE_OPTIONS.items()}
    settings: dict[str, Any] = dict(DEFAULTS)
    for name, value in given.items():
        try:
            if name in FACE_OPTIONS:
                face[name] = FACE_OPTIONS[name].read(value)
            elif name in OPTIONS:
                settings[name] = OPTIONS[name].read(value)
            elif name.startswith("disk_"):
                settings[name] = value  # an argument of a Disk subclass, which checks it
            else:
                hint = did_you_mean(name, [*FACE_OPTIONS, *OPTIONS])
                raise ValueError(f"{name!r} is not an option of DjangoCache{hint}")
        except ValueError as error:
            raise ImproperlyConfigured(f"The cache at {directory!r}: {error}") from None
    if not face["signing"]:
        secrets = NO_SECRETS
    elif not secrets:
        raise ImproperlyConfigured(
            f"The cache at {directory!r}: signing takes SECRET_KEY, which is empty; set it, or "
            "turn signing off by OPTIONS={'signing': False}"
        )
    elif not all(secrets):
        raise ImproperlyConfigured(
            f"The cache at {directory!r}: there is an empty one among SECRET_KEY_FALLBACKS, "
            "with which anybody could sign; remove it"
        )
    return Configuration(
        directory,
        face["shards"],
        face["database_timeout"],
        face["disk"],
        secrets,
        face["error_handler"],
        bool(face["strict"]),
        settings,
    )


def _given(directory: str, params: Mapping[str, Any]) -> dict[str, Any]:
    options = params.get("OPTIONS") or {}
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(
            f"The cache at {directory!r}: OPTIONS={options!r}: expected a dictionary"
        )
    known = {*FACE_OPTIONS, *OPTIONS}
    beside = {n: v for n, v in params.items() if str(n).lower() in known}
    given: dict[str, Any] = {}
    for name, value in [*beside.items(), *options.items()]:
        lower = str(name).lower()
        if lower in given:
            raise ImproperlyConfigured(
                f"The cache at {directory!r}: {name} is given twice; leave one of them out"
            )
        given[lower] = value
    return given
