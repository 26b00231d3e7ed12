"""The engines of this process: one for each directory, which all caches on it share.

An engine lives as long as one of them does.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from .clock import Clock
from .disk import Disk
from .engine import Engine
from .errors import ENOVAL
from .options import read_settings
from .signing import NO_SECRETS, Secrets

_engines: weakref.WeakValueDictionary[tuple[Any, ...], Engine] = weakref.WeakValueDictionary()
_opening = threading.RLock()


def open_engine(
    directory: str | None,
    shards: int,
    sharded: bool,
    disk: type[Disk],
    settings: Mapping[str, Any],
    clock: Clock,
    stored: bool = True,
    secrets: Secrets = NO_SECRETS,
) -> Engine:
    """This process's engine for a directory; a temporary one if `directory` is None.

    :param stored: begin with the settings that the directory has; otherwise the given ones
        and the defaults are all there is, and engines with other settings are others
    :param secrets: sign and verify what is pickled; engines with other secrets are others
    :raises TypeError: for a name that is no setting
    :raises ValueError: for a value that a setting does not take
    :raises OSError: when the directory cannot be made
    """
    parsed = read_settings(settings)
    if directory is None:
        directory = tempfile.mkdtemp(prefix="diskcache-")
    directory = os.path.abspath(os.path.expanduser(os.path.expandvars(directory)))
    profile = None if stored else tuple(sorted(parsed.items(), key=lambda item: item[0]))
    identity = (os.path.realpath(directory), sharded, disk, clock, profile, secrets)
    with _opening:
        engine = _engines.get(identity)
        if engine is None:
            engine = Engine(directory, shards, sharded, disk, parsed, stored, clock, secrets)
            _engines[identity] = engine
        else:
            engine.refresh()
            known = engine.settings
            changed = {n: v for n, v in parsed.items() if known.get(n, ENOVAL) != v}
            if changed:
                engine.configure(changed)
        return engine


def _after_fork() -> None:
    global _opening
    _opening = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
