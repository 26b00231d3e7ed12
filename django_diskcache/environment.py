"""A cache in one variable of the environment, by a URL.

``CACHE_URL=diskcache:///var/cache/site?size_limit=4GB&shards=8`` is an entry of CACHES::

    from django_diskcache.environment import cache_url

    CACHES = {"default": cache_url(os.environ["CACHE_URL"])}

django-environ is taught the scheme by `register`: of schemes that it does not know it drops the
path, upper-cases the names of options and guesses the types of their values. Nothing here needs
django-environ. A value that its option does not take is passed on as it is: the system check
names it, in the same words as one in a settings file.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from .configuration import FACE_OPTIONS, TIMEOUT
from .engine.options import OPTIONS

SCHEME = "diskcache"
BACKEND = "django_diskcache.DjangoCache"
VARIABLE = "CACHE_URL"
TABLE = {TIMEOUT.name: TIMEOUT, **FACE_OPTIONS, **OPTIONS}
# Django's own settings, which stand beside OPTIONS.
BESIDE = ("TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION")


def cache_url(url: str, backend: str = BACKEND) -> dict[str, Any]:
    """The entry of CACHES that a URL stands for.

    ``diskcache:///absolute/path`` and ``diskcache://relative/path``; what comes after ``?`` are
    options and Django's TIMEOUT, KEY_PREFIX, VERSION and KEY_FUNCTION, in any case.

    :param backend: the dotted path of a subclass of `DjangoCache`
    :raises ImproperlyConfigured: for another scheme, a URL without a path, an option that is
        given twice, and a VERSION that is no whole number
    """
    parts = urlsplit(url)
    if parts.scheme != SCHEME:
        raise ImproperlyConfigured(
            f"{url!r} is not the URL of a cache: expected {SCHEME}:///path?option=value"
        )
    location = unquote(parts.netloc + parts.path)
    if not location.strip("/") or parts.fragment:
        raise ImproperlyConfigured(
            f"{url!r} has no path, or a # in it: expected {SCHEME}:///path?option=value"
        )
    entry: dict[str, Any] = {"BACKEND": backend, "LOCATION": location}
    options: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        upper = name.upper()
        if upper in BESIDE and upper not in entry:
            entry[upper] = _beside(upper, value)
        elif upper not in entry and name.lower() not in options:
            options[name.lower()] = _read(name.lower(), value)
        else:
            raise ImproperlyConfigured(f"{url!r} gives {name} twice; leave one of them out")
    if options:
        entry["OPTIONS"] = options
    return entry


def _beside(name: str, value: str) -> Any:
    if name == "TIMEOUT":
        return None if value.lower() in ("none", "") else _read(name, value)  # None: for ever
    if name == "VERSION":
        try:
            return int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name}={value!r}: expected a whole number") from None
    return value


def _read(name: str, value: str) -> Any:
    try:
        return TABLE[name].read(value)
    except (KeyError, ValueError):
        return value


def from_environment(
    variable: str = VARIABLE, default: str | None = None, backend: str = BACKEND
) -> dict[str, Any]:
    """`cache_url` of a variable of the environment.

    :param default: the URL if the variable is not set or empty
    :raises ImproperlyConfigured: when there is neither, and like `cache_url`
    """
    url = os.environ.get(variable) or default
    if not url:
        raise ImproperlyConfigured(
            f"Set {variable} to the URL of a cache, such as {SCHEME}:///var/cache/site"
        )
    return cache_url(url, backend)


def register(env: Any) -> None:
    """Teach django-environ the scheme: `env.cache()` then takes these URLs.

    :param env: django-environ's class `Env`, a subclass of it or an object
    """
    cls: Any = env if isinstance(env, type) else type(env)
    if SCHEME in cls.CACHE_SCHEMES:
        return
    others = cls.cache_url_config.__func__

    def cache_url_config(cls: type, url: Any, backend: str | None = None) -> Any:
        text = url if isinstance(url, str) else url.geturl()
        if text.startswith(f"{SCHEME}:"):
            return cache_url(text, backend or BACKEND)
        return others(cls, url, backend)

    cls.CACHE_SCHEMES = {**cls.CACHE_SCHEMES, SCHEME: BACKEND}
    cls.cache_url_config = classmethod(cache_url_config)
