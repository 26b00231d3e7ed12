"""What can go wrong with the store itself, as a closed list.

Whatever SQLite or the file system raises becomes a `Fault` of one of these kinds where it
happens, or it is somebody's mistake and stays what it is. Above, one place decides what a
fault means for the caller (`guard`), and one for the store (`triage`).

- ``locked``: another held a lock for longer than the call was to wait (`Timeout`)
- ``full``: the disk, a quota, or the address space of a file is used up
- ``corrupt``: what is in a database is not what SQLite wrote there
- ``denied``: permissions, a read-only file system, too many open files
- ``lost``: the directory or a database is gone
- ``other``: an input or output error, and what SQLite says of no known cause
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from .errors import Fault, Timeout
from .sqlite import sqlite3

KINDS = ("locked", "full", "corrupt", "denied", "lost", "other")
EVERY_KIND = (*KINDS, "slow", "loading", "readonly", "down")  # those of servers as well
FAULTS = (Timeout, Fault)
# What a call of SQLite raises. Its messages may quote damaged bytes of a schema, which Python
# cannot decode; what is in rows does not come by there (see `trust.text`).
ERRORS = (sqlite3.Error, UnicodeDecodeError)

# SQLite's texts, which are fixed; codes exist only from Python 3.11 on.
_TEXTS = (
    ("is full", "full"),
    ("malformed", "corrupt"),
    ("not a database", "corrupt"),
    ("no such", "corrupt"),  # a table or a column: it is another's database, or was emptied
    ("has no column", "corrupt"),
    ("is locked", "locked"),
    ("locking protocol", "locked"),
    ("access permission denied", "denied"),
    ("authorization denied", "denied"),
)
# Extended codes of "disk I/O error", known from Python 3.11 on: the log's index cannot grow;
# there is less in a file than its header says.
_CODES = {4874: "full", 522: "corrupt"}
_ERRNO = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "full"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE), "denied"
    ),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ESTALE), "lost"),
}
PROBE = 2**16  # bytes


def of_every_kind(counts: Mapping[str, int]) -> dict[str, int]:
    """The same counts, and 0 for what is no fault of this engine.

    So nobody need ask which engine it is.
    """
    return {kind: counts.get(kind, 0) for kind in EVERY_KIND}


def kind_of(error: BaseException, path: str) -> str | None:
    """The kind of fault that an exception is, or None: it is a mistake of a caller.

    :param path: of the file that it is about
    """
    if isinstance(error, Fault):
        return error.kind
    if isinstance(error, Timeout):
        return "locked"
    if isinstance(error, OSError):
        return _ERRNO.get(error.errno or 0, "other")
    # An interface was misused, or a value is of a type that SQLite does not take.
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
        return None
    if isinstance(error, sqlite3.OperationalError):
        text = str(error)
        for part, kind in _TEXTS:
            if part in text:
                return kind
        if "unable to open" in text or "readonly" in text:
            return _kind_of_refusal(path)
        if _displaced(path):
            return "corrupt"
        code = getattr(error, "sqlite_errorcode", 0)
        return _CODES.get(code) or ("full" if _takes_no_more(path) else "other")
    if isinstance(error, ERRORS):
        return "corrupt"  # a broken constraint, say: our statements keep all of them
    return None


def _kind_of_refusal(path: str) -> str:
    """SQLite was not let, and does not say why."""
    if not os.path.exists(path):
        return "lost"
    if _displaced(path):
        return "corrupt"
    return "full" if _takes_no_more(path) else "denied"


def _takes_no_more(path: str) -> bool:
    """Whether there is no space beside a file: SQLite names a full disk, and not a quota."""
    probe = f"{path}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return _ERRNO.get(error.errno or 0) == "full"
    try:
        return os.write(descriptor, bytes(PROBE)) < PROBE
    except OSError as error:
        return _ERRNO.get(error.errno or 0) == "full"
    finally:
        with suppress(OSError):
            os.close(descriptor)
        with suppress(OSError):
            os.remove(probe)


def _displaced(path: str) -> bool:
    """Whether a directory, a link or a pipe stands where SQLite has a file."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(OSError):
            if not stat.S_ISREG(os.lstat(path + suffix).st_mode):
                return True
    return False


def fault(error: BaseException, path: str, epoch: int | None = None) -> BaseException:
    """The `Fault` that an exception is, or the exception itself if it is none.

    :param epoch: of the connection that it comes from
    """
    kind = kind_of(error, path)
    if kind is None or isinstance(error, FAULTS):
        return error
    return Fault(kind, path, error, epoch)


@contextmanager
def named(path: str, epoch: int | None = None) -> Iterator[None]:
    """A context that turns what is raised in it about the file at `path` into faults."""
    try:
        yield
    except (OSError, *ERRORS) as error:
        raise fault(error, path, epoch) from error
