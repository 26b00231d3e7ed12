"""A cache in one variable of the environment, by a URL.

``CACHE_URL=diskcache:///var/cache/site?size_limit=4GB&shards=8`` is an entry of CACHES::

    from django_diskcache.environment import cache_url

    CACHES = {"default": cache_url(os.environ["CACHE_URL"])}

So is ``valkey://cache.internal:6379/0?near_cache_size=64MB``: the address of a server, with
options of ours behind the ``?``. What is none of ours there is left in LOCATION, for the
connection.

django-environ is taught the scheme by `register`: of schemes that it does not know it drops the
path, upper-cases the names of options and guesses the types of their values. Nothing here needs
django-environ. A value that its option does not take is passed on as it is: the system check
names it, in the same words as one in a settings file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from django.core.exceptions import ImproperlyConfigured

from .engine.logs import without_password
from .engine.options import OPTIONS
from .faceoptions import FACE_OPTIONS, TIMEOUT

SCHEME = "diskcache"
# Of servers, with or without our own in front of them, as in diskcache+redis://host.
SERVERS = ("valkey", "valkeys", "redis", "rediss", "unix", "sentinel")
OURS = f"{SCHEME}+"
BACKEND = "django_diskcache.DjangoCache"
VARIABLE = "CACHE_URL"
TABLE = {TIMEOUT.name: TIMEOUT, **FACE_OPTIONS, **OPTIONS}
# Django's own settings, which stand beside OPTIONS.
BESIDE = ("TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION")
EXPECTED = f"{SCHEME}:///path?option=value, or {', '.join(f'{name}://' for name in SERVERS)}"


def cache_url(url: str, backend: str = BACKEND) -> dict[str, Any]:
    """The entry of CACHES that a URL stands for.

    ``diskcache:///absolute/path`` and ``diskcache://relative/path``; what comes after ``?`` are
    options and Django's TIMEOUT, KEY_PREFIX, VERSION and KEY_FUNCTION, in any case.

    The address of a server, as LOCATION takes it, may have ``diskcache+`` before it. After its
    ``?``, what is an option or one of Django's four is taken out; the rest stays in LOCATION.
    ``valkey://host:7000,host:7001`` are nodes of a cluster.

    :param backend: the dotted path of a subclass of `DjangoCache`
    :raises ImproperlyConfigured: for another scheme, a URL without a path, an option that is
        given twice, and a VERSION that is no whole number
    """
    scheme = url.partition(":")[0].lower().removeprefix(OURS)
    if scheme in SERVERS and "://" in url:
        return _on_server(scheme, url, backend)
    parts = urlsplit(url)
    shown = without_password(url)
    if parts.scheme != SCHEME:
        raise ImproperlyConfigured(f"{shown!r} is not the URL of a cache: expected {EXPECTED}")
    location = unquote(parts.netloc + parts.path)
    if not location.strip("/") or parts.fragment:
        raise ImproperlyConfigured(
            f"{shown!r} has no path, or a # in it: expected {SCHEME}:///path?option=value"
        )
    given = parse_qsl(parts.query, keep_blank_values=True)
    return _entry(url, backend, location, given)


def _on_server(scheme: str, url: str, backend: str) -> dict[str, Any]:
    where, _, query = url.partition("://")[2].partition("?")
    of_client, ours = [], []
    for part in filter(None, query.split("&")):  # as it is: the client reads the rest
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name.upper() in BESIDE or name.lower() in TABLE or _is_of_a_disk(name):
            ours.append((name, unquote_plus(value)))
        else:
            of_client.append(part)
    behind = f"?{'&'.join(of_client)}" if of_client else ""
    location: Any = f"{scheme}://{where}{behind}"
    if scheme not in ("unix", "sentinel") and "," in where.rpartition("@")[2]:
        location = list(_nodes(scheme, where, behind))
    return _entry(url, backend, location, ours)


def _nodes(scheme: str, where: str, behind: str) -> Iterator[str]:
    """The addresses of nodes of a cluster, each with the user and the password."""
    user, at, hosts = where.rpartition("@")
    hosts, slash, path = hosts.partition("/")
    for host in hosts.split(","):
        yield f"{scheme}://{user}{at}{host}{slash}{path}{behind}"


def _is_of_a_disk(name: str) -> bool:
    return name.lower().startswith("disk_")


def _entry(
    url: str, backend: str, location: Any, given: list[tuple[str, str]]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"BACKEND": backend, "LOCATION": location}
    options: dict[str, Any] = {}
    for name, value in given:
        upper = name.upper()
        if upper in BESIDE and upper not in entry:
            entry[upper] = _beside(upper, value)
        elif upper not in entry and name.lower() not in options:
            options[name.lower()] = _read(name.lower(), value)
        else:
            shown = without_password(url)
            raise ImproperlyConfigured(f"{shown!r} gives {name} twice; leave one of them out")
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
            f"Set {variable} to the URL of a cache, such as {SCHEME}:///var/cache/site or "
            "valkey://host:6379/0"
        )
    return cache_url(url, backend)


def register(env: Any) -> None:
    """Teach django-environ our schemes: `env.cache()` then takes these URLs.

    They are ``diskcache:`` and, for servers, those with our name before theirs, such as
    ``diskcache+valkey:``. ``valkey:`` and ``redis:`` alone stay what they are there.

    :param env: django-environ's class `Env`, a subclass of it or an object
    """
    cls: Any = env if isinstance(env, type) else type(env)
    if SCHEME in cls.CACHE_SCHEMES:
        return
    others = cls.cache_url_config.__func__
    ours = (SCHEME, *(f"{OURS}{name}" for name in SERVERS))

    def cache_url_config(cls: type, url: Any, backend: str | None = None) -> Any:
        text = url if isinstance(url, str) else url.geturl()
        if text.partition(":")[0] in ours:
            return cache_url(text, backend or BACKEND)
        return others(cls, url, backend)

    cls.CACHE_SCHEMES = {**cls.CACHE_SCHEMES, **dict.fromkeys(ours, BACKEND)}
    cls.cache_url_config = classmethod(cache_url_config)
