"""An unpickler for pickles of which nobody knows who wrote them.

A pickle names functions and classes and has them called, so loading one can run anything that
is installed. Here it may name what is on a closed list and nothing else: types that hold data,
and do nothing when they are made but hold it. What needs more is not loaded, and says by which
name.

That alone is not enough. A pickle can also set attributes of whatever it has been given, so of
a class that the whole process uses. So it is given only types of which Python lets nobody
change anything; in place of others, and of functions, it gets a *stand-in*, a type made for
this one pickle that makes the real thing. And none of what is on the list takes a number and
makes that many bytes or items of it: `list(range(10**12))` would fill the memory, so there is
no `range`. What a pickle can ask for by its own instructions is bounded by `scanning`.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import io
import pathlib
import pickle
import re
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from ..engine.disk import GARBAGE
from .scanning import scan

FRACTION = re.compile(r"-?[0-9]{1,4000}(/[0-9]{1,4000})?")
IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE, of types that are not Python's to change


class NotTrusted(Exception):
    """A pickle needs what is not on the list, or not there; `name` says what, and of what."""

    def __init__(self, name: str) -> None:
        super().__init__(f"needs {name}")
        self.name = name


def _uuid() -> uuid.UUID:
    return object.__new__(uuid.UUID)  # its number follows, by its own `__setstate__`


def _fraction(*parts: Any) -> fractions.Fraction:
    # Of a text such as "1e999999999" it would make a number of as many digits.
    if not all(type(part) is int or FRACTION.fullmatch(str(part)) for part in parts):
        raise ValueError("not a fraction of two numbers")
    return fractions.Fraction(*parts)


def _bytes(*parts: Any) -> bytes:
    if parts:
        raise ValueError("bytes are not made like this")
    return b""


def _bytearray(*parts: Any) -> bytearray:
    if parts and type(parts[0]) is not bytes and parts[1:] != ("latin-1",):
        raise ValueError("not the bytes of a bytearray")
    return bytearray(*parts)


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":  # how the older protocols write bytes
        raise ValueError("not how bytes are written")
    return text.encode("latin1")


def _getattr(thing: Any, name: str) -> Callable[..., Any]:
    if thing is not zoneinfo.ZoneInfo or name != "_unpickle":
        raise NotTrusted(f"builtins.getattr of {name!r}")
    found: Callable[..., Any] = zoneinfo.ZoneInfo._unpickle  # type: ignore[attr-defined]
    return found


def _safe_string(text: str = "") -> str:
    from django.utils.safestring import SafeString

    if not isinstance(text, str):  # of anything else it would make a text, of any length
        raise ValueError("not the text of a safe string")
    return SafeString(text)


# What is given as it is, if nobody can change it.
TYPES = {
    f"{cls.__module__}.{cls.__qualname__}": cls
    for cls in (
        bool,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        set,
        str,
        tuple,
        collections.OrderedDict,
        collections.defaultdict,
        collections.deque,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        zoneinfo.ZoneInfo,
    )
}
# What makes the rest, from the arguments that its pickles have.
MAKERS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _encode,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "builtins.getattr": _getattr,
    "collections.Counter": collections.Counter,
    "django.utils.safestring.SafeString": _safe_string,
    "django.utils.safestring.SafeText": _safe_string,
    "fractions.Fraction": _fraction,
    "pathlib.PosixPath": pathlib.PosixPath,
    "pathlib.PurePosixPath": pathlib.PurePosixPath,
    "pathlib._local.PosixPath": pathlib.PosixPath,  # so Python 3.13 calls them
    "pathlib._local.PurePosixPath": pathlib.PurePosixPath,
    "uuid.UUID": _uuid,
}


def stand_in(name: str, make: Callable[..., Any]) -> type:
    """A new type which, called or made anew, gives what `make` makes."""
    return type(name, (), {"__new__": lambda cls, *args: make(*args), "__slots__": ()})


class Unpickler(pickle.Unpickler):
    """Loads one pickle from a binary file."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle gets for a name.

        :raises NotTrusted: for one that is not on the list
        """
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        cls = TYPES.get(full)
        if cls is not None and cls.__flags__ & IMMUTABLE:
            return cls
        make = MAKERS.get(full, cls)
        if make is None:
            raise NotTrusted(full)
        return stand_in(name, make)


def load(file: Any) -> Any:
    """The next object that is pickled in a seekable binary file.

    :raises NotTrusted: when it needs what is not on the list
    :raises Excessive: when it would take more time or memory than its length allows for
    :raises Exception: when it is no pickle
    """
    scan(file)
    return Unpickler(file).load()


def loads(data: bytes) -> Any:
    """The object that is pickled in `data`; otherwise like `load`."""
    return load(io.BytesIO(data))


def loads_trusted(data: bytes) -> Any:
    """The object that is pickled in `data`, whatever is executed for it.

    :raises NotTrusted: when it fails by what it needs, as by a class that is not there any more
    :raises Exception: one of GARBAGE, when it is no pickle
    """
    try:
        return pickle.loads(data)
    except GARBAGE:
        raise
    except Exception as error:
        raise NotTrusted(str(error)) from error
