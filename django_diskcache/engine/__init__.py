"""The storage engine, usable without Django: persistent caches and collections on SQLite."""

from .cache import Cache
from .deque import Deque
from .disk import Disk, JSONDisk
from .errors import (
    ENOVAL,
    UNKNOWN,
    EmptyDirWarning,
    Fault,
    LockError,
    LockLost,
    Timeout,
    UnknownFileWarning,
)
from .eviction import EVICTION_POLICY
from .fanout import FanoutCache
from .index import Index
from .options import DEFAULT_SETTINGS
from .recipes import (
    Averager,
    BoundedSemaphore,
    Lock,
    RLock,
    barrier,
    throttle,
)
from .stampede import memoize_stampede

__all__ = [
    "DEFAULT_SETTINGS",
    "ENOVAL",
    "EVICTION_POLICY",
    "UNKNOWN",
    "Averager",
    "BoundedSemaphore",
    "Cache",
    "Deque",
    "Disk",
    "EmptyDirWarning",
    "FanoutCache",
    "Fault",
    "Index",
    "JSONDisk",
    "Lock",
    "LockError",
    "LockLost",
    "RLock",
    "Timeout",
    "UnknownFileWarning",
    "barrier",
    "memoize_stampede",
    "throttle",
]
