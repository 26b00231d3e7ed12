"""The exceptions, warnings and marker constants that every layer shares."""

from __future__ import annotations


class Timeout(Exception):
    """The database stayed locked for longer than the call was allowed to wait.

    When a removal in batches gives up half-way, ``args[0]`` is the number of entries
    it had removed by then.
    """

    @property
    def removed(self) -> int:
        """Entries removed before the wait was given up."""
        return self.args[0] if self.args and type(self.args[0]) is int else 0


class Fault(Exception):
    """Something is wrong with the store: with its disk, its permissions or its files.

    Caches turn it into a miss or False. Collections, locks and `incr` raise it: what they were
    asked to do was not done. The exception that it came from is its ``__cause__``.
    """

    def __init__(self, kind: str, path: str, error: object, epoch: int | None = None) -> None:
        super().__init__(kind, path, str(error))
        self.kind = kind  # one of `faults.KINDS`
        self.path = path  # of the database or file it was met in
        self.epoch = epoch  # of the connection it was met on, see `connection.Database`
        self.removed = 0  # entries that a removal in batches had removed by then

    def __str__(self) -> str:
        return f"{self.args[1]}: {self.args[2]} ({self.kind})"

    def to_keep(self) -> Fault:
        """The same without the frames that it went through, which would be kept with it."""
        return Fault(self.kind, self.path, self.args[2])


class Unavailable(Fault):
    """A value is whole, but nothing that is installed here can read it."""


class LockError(AssertionError):
    """A lock was not acquired in time, or something was done to one that is not held.

    It is an AssertionError, as releasing what was not acquired is in python-diskcache.
    """


class LockLost(LockError):
    """A lock was released or extended that its holder had no more.

    Meanwhile it expired, was cleared, or was freed by somebody else, and perhaps another has it
    now. What was done under it may have been done by two at once.
    """


class TooLarge(ValueError):
    """A value that cannot fit into the cache, however much is evicted for it."""


class Foreign(Exception):
    """A row's pickle has no signature of ours; it is a miss, so callers never see this."""

    reason = (
        "what is pickled there was not signed with a secret of ours, or not for this key; it "
        "counts as missing and is removed"
    )


class Unreadable(Foreign):
    """A row is none that this cache could have written; it is a miss like a foreign one."""

    reason = (
        "there is an entry that is damaged, or of a kind that cannot be read here; it counts "
        "as missing and is removed"
    )


class UnknownFileWarning(UserWarning):
    """`check` found a file in the cache directory that no entry refers to."""


class EmptyDirWarning(UserWarning):
    """`check` found a directory in the cache directory with nothing in it."""


class Constant(tuple[str]):
    """A named marker, equal to itself across pickling and processes."""

    def __new__(cls, name: str) -> Constant:
        return tuple.__new__(cls, (name,))

    def __getnewargs__(self) -> tuple[str]:
        return (self[0],)

    def __repr__(self) -> str:
        return self[0]


ENOVAL = Constant("ENOVAL")  # "no value was given", where None is a value
UNKNOWN = Constant("UNKNOWN")  # the key or value is not known at this point
