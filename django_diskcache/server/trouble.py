"""What can go wrong with a server, as a closed list.

What the client library raises becomes a `Fault` of one of these kinds, or it is somebody's
mistake and stays what it is. What a fault means to the caller is decided in one place for all
engines (`engine.guard`).

- ``slow``: there was no answer within the deadline; whether it was done is not known
- ``lost``: no connection, or it broke; likewise
- ``loading``: the server has started and is not done with reading its data
- ``readonly``: it is a replica, and was asked to write
- ``full``: its memory is used up, and it may evict nothing
- ``denied``: the password, a certificate, or what the user may do
- ``down``: the cluster is not complete, or has no primary
- ``other``: any other error that it answered with
"""

from __future__ import annotations

import re
import ssl

from redis import exceptions

from ..engine.errors import Fault

KINDS = ("slow", "lost", "loading", "readonly", "full", "denied", "down", "other")

# In this order: some of these classes are subclasses of later ones.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.TimeoutError, "slow"),
    (exceptions.BusyLoadingError, "loading"),
    (exceptions.AuthenticationError, "denied"),
    (exceptions.NoPermissionError, "denied"),
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.OutOfMemoryError, "full"),
    (exceptions.ClusterDownError, "down"),
    (exceptions.MasterDownError, "down"),
    (exceptions.TryAgainError, "down"),
    (exceptions.ConnectionError, "lost"),
    (exceptions.RedisClusterException, "down"),
    (OSError, "lost"),
)
# By how the server's message begins, which is its code; the client has no classes for these.
_CODES = (("NOREPLICAS", "down"), ("MISCONF", "full"), ("MASTERDOWN", "down"))

# By what else its messages and those of the client say.
_NO_PRIMARY = "No master found for"
_PLACE = re.compile(r"\bhost=([^,()<>]+),port=(\d+)")
_NO_CLUSTER = ("Cluster mode is not enabled", "cluster support disabled")

ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)

# Which maxmemory-policy: one that evicts may take hints of tags, locks and sessions first.
POLICY = (
    "Where tags, locks or sessions are in it, set maxmemory-policy to noeviction, with room "
    "enough, and watch its memory; else to volatile-ttl or one of allkeys-*."
)

REMEDIES = {
    "slow": "See to the server and the network; the call counts as a miss.",
    "lost": "See whether the server runs; it is tried again by itself.",
    "loading": "It will answer when its data is read.",
    "readonly": "LOCATION must lead to the primary.",
    "full": f"Raise its maxmemory. {POLICY}",
    "denied": "See to user, password and certificates in LOCATION, and what that user may do.",
    "down": "See to the nodes of the cluster.",
    "other": "See to the server; the call counts as a miss.",
}


def kind_of(error: BaseException) -> str | None:
    """The kind of fault that an exception of the client is, or None if it is none."""
    if isinstance(error, Fault):
        return error.kind
    if _is_of_certificates(error):
        return "denied"
    if isinstance(error, exceptions.RedisClusterException) and error.__cause__ is not None:
        return "denied" if kind_of(error.__cause__) == "denied" else "down"
    for cls, kind in _KINDS:
        if isinstance(error, cls):
            return kind
    if isinstance(error, exceptions.ResponseError):
        for code, kind in _CODES:
            if str(error).startswith(code):
                return kind
        return "other"
    return None


def is_broken(error: BaseException) -> bool:
    """Whether it says that a connection broke, so that a call may be made on another."""
    if isinstance(error, (exceptions.BusyLoadingError, exceptions.TimeoutError)):
        return False
    return isinstance(error, (exceptions.ConnectionError, OSError))


def _is_of_certificates(error: BaseException) -> bool:
    """Whether one of the two sides does not trust the other, or does not speak TLS at all.

    The client makes a `ConnectionError` of it, as of all that ends a connection.
    """
    cause = error.__cause__ or error.__context__
    if not isinstance(error, exceptions.ConnectionError) or not isinstance(cause, ssl.SSLError):
        return False
    reason = cause.reason or ""
    return "CERT" in reason or "UNKNOWN_CA" in reason or reason == "WRONG_VERSION_NUMBER"


def fault(error: BaseException, where: str) -> BaseException:
    """The `Fault` that an exception is, or the exception itself if it is none.

    :param where: the server's address, as it may be shown
    """
    kind = kind_of(error)
    if kind is None or isinstance(error, Fault):
        return error
    return Fault(kind, where, reason(error))


def reason(error: BaseException) -> str:
    """What an exception of the client says, for people: short, and about LOCATION."""
    text = str(error) or type(error).__name__
    if text.startswith(_NO_PRIMARY):  # what follows are connections, with all their arguments
        text, _, rest = text.partition(" : ")
        away = [f"{host}:{port}" for host, port in _PLACE.findall(rest)]
        return f"{text}; sentinels that do not answer: {', '.join(away)}" if away else text
    if any(each in text for each in _NO_CLUSTER):
        return "cluster mode is not enabled there: LOCATION takes a text then, not a list"
    return text
