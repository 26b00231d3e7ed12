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


class TooLarge(ValueError):
    """A value that cannot fit into the cache, however much is evicted for it."""


class Foreign(Exception):
    """A row's pickle has no signature of ours; it is a miss, so callers never see this."""


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
