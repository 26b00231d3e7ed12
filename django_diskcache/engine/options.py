"""Every setting of the engine, declared once.

The table is what the constructors validate against, what `reset` accepts, and what the
Django face builds its own options, checks and documentation from. A wrong value is an error
that names the setting, what it got and what it takes; nothing is coerced silently.
"""

from __future__ import annotations

import difflib
import importlib.util
import pickle
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .compression import CODECS, Missing, loaded
from .policies import Policy

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("kmgt", start=1)}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|)", re.IGNORECASE)
_DURATION_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


MOST = 2**63 - 1  # the directory keeps settings as SQLite's integers


class Refused(ValueError):
    """A parser's answer to a value that it does not take; the text says what it takes."""


Parser = Callable[[Any], Any]


def flag(value: Any) -> int:
    """0 or 1, from a bool, 0, 1, or a word such as 'true' and 'off'."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE | _FALSE:
            return int(word in _TRUE)
    elif value in (0, 1):
        return int(value)
    raise Refused("true or false")


def integer(least: int, most: int = MOST) -> Parser:
    """A parser of whole numbers from `least` to `most`."""
    expected = f"a whole number of at least {least}"
    if most != MOST:
        expected = f"a whole number from {least} to {most}"

    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]+\s*", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused(expected)
        if not least <= value <= most:
            raise Refused(expected)
        return value

    return parse


def optional(parser: Parser) -> Parser:
    """A parser that takes None as well."""

    def parse(value: Any) -> Any:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "")):
            return None
        return parser(value)

    return parse


def is_number(value: Any) -> bool:
    """Whether it is an int or a float; bool is neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def size(value: Any) -> int:
    """Bytes, from a number or a text such as '64MB' (10**6) or '512MiB' (2**20)."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match:
            value = float(match[1]) * _UNITS[match[2].lower()]
    if is_number(value) and 0 <= value <= MOST:
        return int(value)
    raise Refused("a size in bytes of at least 0, as a number or a text such as '512MiB'")


def seconds(value: Any) -> float:
    """Seconds, from a number or a text such as '10ms' or '1.5s'."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match:
            return float(match[1]) * _DURATION_UNITS[match[2].lower()]
    elif is_number(value) and 0 <= value < float("inf"):
        return float(value)
    raise Refused("a time in seconds of at least 0, as a number or a text such as '10ms'")


def choice(*values: str) -> Parser:
    """A parser of one of these words."""

    def parse(value: Any) -> str:
        if isinstance(value, str) and value.strip().lower() in values:
            return value.strip().lower()
        hint = did_you_mean(value, values)
        raise Refused(f"one of {', '.join(values)}{hint}")

    return parse


class _Nothing:
    """A value that no option takes."""

    def __str__(self) -> str:
        return ""  # like no word that an option knows


_NOTHING = _Nothing()


def serializer(value: Any) -> str:
    """The name of a serializer that can be used here."""
    name: str = choice(*SERIALIZERS)(value)
    if name == "msgpack" and importlib.util.find_spec("msgspec") is None:
        raise Refused(
            "the package msgspec, which is not installed: "
            'pip install "django-diskcache[msgpack]"'
        )
    return name


def compression(value: Any) -> str | None:
    """The name of a codec that can be used here, or None."""
    name: str | None = optional(choice(*CODECS))(value)
    if name is not None:
        try:
            loaded(CODECS[name])
        except Missing as why:
            raise Refused(str(why)) from None
    return name


@dataclass(frozen=True)
class Option:
    """One setting: its name, its default, how a value is read, and what it is for."""

    name: str
    default: Any
    parse: Parser
    unit: str
    help: str

    def read(self, value: Any) -> Any:
        """The parsed value; ValueError names the setting, the value and what is taken."""
        try:
            return self.parse(value)
        except Refused as error:
            raise ValueError(f"{self.name}={value!r}: expected {error}") from None

    @property
    def takes(self) -> str:
        """What values it takes, and in which range, in its parser's words."""
        try:
            self.parse(_NOTHING)
        except Refused as refusal:
            return str(refusal)
        raise AssertionError(f"{self.name} takes anything")


SERIALIZERS = ("pickle", "json", "msgpack")
POLICIES = (
    "s3-fifo",
    "least-recently-stored",
    "least-recently-used",
    "least-frequently-used",
    "none",
)


def policy(value: Any) -> str | type[Policy]:
    """The name of a policy, or a class of one's own, given by itself or by its dotted path."""
    if isinstance(value, str) and "." in value:
        module, _, name = value.strip().rpartition(".")
        try:
            value = getattr(import_module(module), name)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise Refused(f"the dotted path of a subclass of Policy ({error})") from None
    if isinstance(value, type):
        if issubclass(value, Policy):
            return value
        raise Refused("a subclass of Policy")
    known: str = choice(*POLICIES)(value)
    return known


JOURNAL_MODES = ("wal", "delete", "truncate", "persist", "memory", "off")

OPTIONS = {
    option.name: option
    for option in (
        Option(
            "serializer",
            "pickle",
            serializer,
            "",
            "What becomes of values other than texts, bytes and numbers.",
        ),
        Option("compression", None, compression, "", "What large values are compressed with."),
        Option(
            "compression_level",
            None,
            optional(integer(0, 22)),
            "",
            "How hard it tries; None leaves that to what compresses.",
        ),
        Option(
            "compression_min_size",
            2**10,
            size,
            "bytes",
            "Values from this size on are compressed.",
        ),
        Option("statistics", 0, flag, "", "Count hits and misses."),
        Option("tag_index", 0, flag, "", "Keep an index on tags, which makes evict() fast."),
        Option(
            "eviction_policy",
            "s3-fifo",
            policy,
            "",
            "What goes first when the cache is full.",
        ),
        Option("size_limit", 2**30, size, "bytes", "The most that the cache takes on disk."),
        Option(
            "cull_limit",
            10,
            integer(0),
            "entries",
            "The most entries that go for each that is stored; 0 leaves eviction to cull().",
        ),
        Option(
            "max_entries",
            None,
            optional(integer(1)),
            "entries",
            "The most entries that the cache holds; None is no limit.",
        ),
        Option(
            "cull_frequency",
            3,
            integer(0),
            "",
            "1/n of the entries go when max_entries is passed; 0 removes all of them.",
        ),
        Option(
            "near_cache_size",
            16 * 2**20,
            size,
            "bytes",
            "What each process keeps in its own memory; 0 keeps nothing.",
        ),
        Option(
            "sqlite_auto_vacuum",
            2,
            integer(0, 2),
            "",
            "0 keeps freed pages, 1 gives them back at each commit, 2 in steps.",
        ),
        Option("sqlite_cache_size", 2**10, integer(-(2**31), 2**31), "pages", "Page cache."),
        Option("sqlite_journal_mode", "wal", choice(*JOURNAL_MODES), "", "SQLite's journal."),
        Option("sqlite_mmap_size", 0, size, "bytes", "What SQLite reads by memory map."),
        Option(
            "sqlite_synchronous",
            1,
            integer(0, 3),
            "",
            "0 off, 1 normal, 2 full, 3 extra: when SQLite waits for the disk.",
        ),
        Option(
            "disk_min_file_size",
            2**16,
            size,
            "bytes",
            "Values from this size on are kept in files of their own.",
        ),
        Option(
            "disk_pickle_protocol",
            pickle.HIGHEST_PROTOCOL,
            integer(0, pickle.HIGHEST_PROTOCOL),
            "",
            "Protocol of pickled keys and values.",
        ),
    )
}

DEFAULT_SETTINGS = {name: option.default for name, option in OPTIONS.items()}


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """'; did you mean 'x'?' for the known name closest to this one, or ''."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def read_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings, parsed.

    Names that begin with ``disk_`` and are not in the table are passed on as they are: they
    are arguments of a `Disk` subclass.

    :raises TypeError: for a name that is no setting
    :raises ValueError: for a value that the setting does not take
    """
    settings: dict[str, Any] = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is not None:
            settings[name] = option.read(value)
        elif name.startswith("disk_"):
            settings[name] = value
        else:
            hint = did_you_mean(name, OPTIONS)
            raise TypeError(f"{name!r} is not a setting of this cache{hint}")
    return settings
