"""The request cycle: what Django does with cache objects, and what of it is real here.

Django builds a backend object for each thread, and under ASGI for each request. At the end of
each request it calls `close` on all of them. Taken literally, every request would open SQLite
anew. So:

- An entry of CACHES is read and opened once in a process (`opened`). Every backend object made
  for it later shares that, and is made in microseconds.
- The engine behind it, with its connections, stays for the life of the process: the last object
  of a thread must not take it along.
- `close` is housekeeping (`Engine.tidy`): the counts of hits go to the segment, and once in a
  second there is a look whether the directory is still the one that was opened. Django closes
  what the thread of the request has made. A function that was memoized when its module was
  imported has the object of another thread; so the end of a request tidies all engines in use.
- While apps are loaded and while Django's system checks run, which make an object of every
  cache, nothing is opened or refused: checks change nothing on the disk, and ours tell what is
  wrong with an entry. What is left is done at the first use.
- A fork closes the connections before it happens, and both sides open new ones when they need
  them (see `engine.connection`).
- The hard close is `shutdown` for connections, and `forget` for tests that are done with a
  directory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from traceback import walk_stack
from typing import Any, NamedTuple

from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished

from . import configuration
from .engine import FanoutCache
from .engine.clock import Clock, wall_clock
from .engine.faults import FAULTS
from .engine.files import has_predecessor
from .engine.impatient import impatient
from .engine.interface import AnyEngine, AnyFace
from .engine.signing import Secrets


class Opened(NamedTuple):
    """What an entry in CACHES stands for, its twin for event loops, and what it was made of.

    :param jitter: by which fraction timeouts are shortened at most
    """

    cache: AnyFace
    impatient: AnyFace
    params: dict[str, Any]
    secrets: Secrets
    jitter: float
    signals: bool


clock: Clock = wall_clock  # of what is opened from now on; tests put theirs here

_opened: dict[str, list[Opened]] = {}  # by LOCATION
# Else an engine would go with the last backend object of a thread.
_in_use: set[AnyEngine] = set()


def opened(location: Any, params: Mapping[str, Any]) -> Opened:
    """The open cache of an entry; opened now if it is the first time.

    :raises ImproperlyConfigured: like `opened_unless_checked`
    """
    entry = opened_unless_checked(location, params, lambda: False)
    assert entry is not None
    return entry


def checks_are_to_tell() -> bool:
    """Whether this is before or in a run of system checks, ours among them."""
    if all(app.name != __package__ for app in apps.app_configs.values()):
        return False
    if not apps.ready:  # modules are imported, with `cache.memoize` in some of them
        return True
    return any(frame.f_code is run_checks.__code__ for frame, _ in walk_stack(None))


def opened_unless_checked(
    location: Any,
    params: Mapping[str, Any],
    checked: Callable[[], bool] = checks_are_to_tell,
) -> Opened | None:
    """The open cache of an entry, or None if that is not to be opened now.

    :raises ImproperlyConfigured: for an option that is not known or has a wrong value, and a
        directory that cannot be made
    """
    path = os.fspath(location) if isinstance(location, (str, os.PathLike)) else str(location)
    # A relative path, a home or a variable may mean something else the next time.
    fixed = type(path) is str and path[:1] == os.sep and "$" not in path
    fixed = fixed or configuration.is_address(location)
    secrets = configuration.site_secrets()
    if fixed:
        for known in _opened.get(path, ()):
            if known.params == params and known.secrets == secrets:
                known.cache.engine.look()
                return known
    if checked():
        return None
    read = configuration.read(location, params, secrets)
    cache = _open(location, read)
    _in_use.add(cache.engine)
    # A copy: settings may be changed in place.
    entry = {n: dict(v) if isinstance(v, dict) else v for n, v in params.items()}
    new = Opened(cache, impatient(cache), entry, secrets, read.jitter, read.signals)
    if fixed:
        _opened.setdefault(path, []).append(new)
    return new


def tidy(**kwargs: Any) -> None:
    """The end of a request: `Engine.tidy` of all engines in use, but for those shut down."""
    for engine in tuple(_in_use):
        if engine.in_use:
            engine.tidy()


request_finished.connect(tidy)


def engines() -> set[AnyEngine]:
    """Those that are open for entries in CACHES."""
    return set(_in_use)


def forget(engine: AnyEngine) -> None:
    """Close an engine and let go of it, when a test is done with its directory."""
    engine.close()
    _in_use.discard(engine)
    for location, known in list(_opened.items()):
        _opened[location] = [each for each in known if each.cache.engine is not engine]


def _open(location: Any, read: configuration.Configuration) -> AnyFace:
    name = read.place
    handler = read.error_handler
    if read.signals:
        from .observing import Handler, Teller  # for the few that ask for it

        teller = Teller(location, name)
        handler = Handler(teller, handler)
    common = {
        "timeout": read.timeout,
        "disk": read.disk,
        "secret": read.secrets,
        "error_handler": handler,
        "strict": read.strict,
        "clock": clock,
        **read.settings,
    }
    try:
        if read.address is None:
            cache: AnyFace = FanoutCache(name, read.shards, stored=False, **common)
        else:
            from .server import ServerCache  # an extra

            cache = ServerCache(read.address, name=read.server_name, **common)
    except (OSError, *FAULTS) as error:
        raise ImproperlyConfigured(
            f"The cache at {name!r}: {error}; LOCATION takes a directory that this "
            "process may make and write in, or the address of a server"
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise ImproperlyConfigured(f"The cache at {name!r}: {error}") from error
    if read.signals:
        cache.on_removal(teller)
    if read.directory and has_predecessor(cache.directory):
        logging.getLogger(__package__).warning(
            "%s: python-diskcache has left its entries here. They are not read, and stay; "
            "`manage.py cacheimport` takes them over",
            cache.directory,
        )
    return cache
