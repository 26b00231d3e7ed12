"""What an entry of CACHES says, read and checked before the first request uses it.

Options are the engine's settings plus the few that only the Django face has. Names may be in
any case, because settings that come from the environment are upper-cased; values may be texts
('true', '4GB', '10ms'). All of them may stand beside OPTIONS or inside.

LOCATION is the path of a directory, or the address of a server. An entry that moves from one to
the other keeps its options: those that mean nothing on a server are read and left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings as site
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import force_bytes

from .elsewhere import remedy
from .engine import Disk
from .engine.compression import compressor_of
from .engine.options import (
    DEFAULT_SETTINGS,
    OPTIONS,
    Option,
    Refused,
    did_you_mean,
    flag,
)
from .engine.signing import NO_SECRETS, Secrets
from .faceoptions import (
    BESIDE,
    DEFAULTS,
    FACE_OPTIONS,
    KEY_FUNCTION,
    ON_A_SERVER,
    SERVER_TIMEOUT,
    TIMEOUT,
)

if TYPE_CHECKING:
    from .server.address import Address


OF_LOCATION = ("location", "address", "extra")  # kinds of mistakes: there is no place to name
# With a typo as well: it is no address then, and must not become a directory.
_ADDRESS = re.compile(r"[^/]*://|\s*(?:valkeys?|rediss?|unix|sentinel)(?::|//)", re.IGNORECASE)


class Configuration(NamedTuple):
    """A parsed entry of CACHES.

    :param directory: '' where it is on a server
    :param address: of the server, or None
    :param ignored: options that are given and mean nothing there
    """

    directory: str
    address: Address | None
    server_name: str
    ignored: list[str]
    shards: int
    timeout: float
    disk: type[Disk]
    secrets: Secrets
    error_handler: Callable[[Exception], object] | None
    strict: bool
    jitter: float
    signals: bool
    settings: dict[str, Any]

    @property
    def place(self) -> str:
        """Where it is, as it may be shown: without a password."""
        return self.directory if self.address is None else self.address.text


def site_secrets() -> Secrets:
    """SECRET_KEY and SECRET_KEY_FALLBACKS; none if there is no SECRET_KEY."""
    try:
        key = site.SECRET_KEY
    except ImproperlyConfigured:  # it is empty, or there are no settings at all
        return NO_SECRETS
    return _secrets(key, *site.SECRET_KEY_FALLBACKS)


@lru_cache(16)  # asked for with each backend object that is made
def _secrets(*given: Any) -> Secrets:
    return Secrets(map(force_bytes, given))


class Mistake(NamedTuple):
    """Something in an entry of CACHES that keeps its cache from working.

    :param kind: of what there is a system check for, by the same word
    :param text: what is wrong, and what is taken instead
    :param fault: what is wrong, alone
    :param remedy: what to do about it
    """

    kind: str
    text: str
    fault: str
    remedy: str


def read(location: Any, params: Mapping[str, Any], secrets: Secrets) -> Configuration:
    """What to open.

    :param location: LOCATION, a str or a path
    :param params: the rest of the entry
    :param secrets: the site's
    :raises ImproperlyConfigured: which names the mistake and what is taken instead
    """
    found, mistakes = examine(location, params, secrets)
    if mistakes:
        mistake = mistakes[0]
        where = "" if mistake.kind in OF_LOCATION else f"The cache at {found.place!r}: "
        raise ImproperlyConfigured(where + mistake.text)
    return found


def wants_signals(params: Mapping[str, Any]) -> bool:
    """Whether an entry that is not yet read has the option `signals`."""
    value = _given(params)[0].get("signals", False)
    with suppress(Refused):
        return bool(flag(value))
    return False


def examine(
    location: Any, params: Mapping[str, Any], secrets: Secrets
) -> tuple[Configuration, list[Mistake]]:
    """What to open, and all mistakes; with one it has defaults in their place.

    The arguments are those of `read`.
    """
    directory, address, mistakes = _of_location(location)
    on_server = is_address(location)
    given, repeated = _given(params)
    mistakes += repeated
    given[TIMEOUT.name] = params.get("timeout", params.get(TIMEOUT.name, 300))
    given[KEY_FUNCTION.name] = params.get(KEY_FUNCTION.name)
    face = {name: option.default for name, option in FACE_OPTIONS.items()}
    if on_server:
        face["database_timeout"] = SERVER_TIMEOUT
    settings: dict[str, Any] = dict(DEFAULTS)
    ignored: list[str] = []
    for name, value in given.items():
        option = BESIDE.get(name) or FACE_OPTIONS.get(name) or OPTIONS.get(name)
        if option is None and name.startswith("disk_"):
            settings[name] = value  # an argument of a Disk subclass, which checks it
        elif option is None:
            mistakes.append(_unknown(name, on_server))
        else:
            try:
                parsed = option.read(value)
            except ValueError as error:
                mistakes.append(_wrong(option, value, str(error)))
                continue
            if on_server and name not in ON_A_SERVER and name not in BESIDE:
                ignored.append(name)
            elif name in FACE_OPTIONS:
                face[name] = parsed
            elif name in OPTIONS:
                settings[name] = parsed
    if on_server and not face["database_timeout"]:  # there, each call has to wait for an answer
        face["database_timeout"] = SERVER_TIMEOUT
    mistakes += _of_disk(face["disk"], directory, settings)
    if not face["signing"]:
        secrets = NO_SECRETS
    else:
        mistakes += _of_secrets(secrets)
    configuration = Configuration(
        directory,
        address,
        face["server_name"],
        ignored,
        face["shards"],
        face["database_timeout"],
        face["disk"],
        secrets,
        face["error_handler"],
        bool(face["strict"]),
        face["timeout_jitter"],
        bool(face["signals"]),
        settings,
    )
    return configuration, mistakes


def is_address(location: Any) -> bool:
    """Whether LOCATION is meant to be a server, or nodes of a cluster, well written or not."""
    if isinstance(location, (list, tuple)):
        return True
    return isinstance(location, str) and bool(_ADDRESS.match(location))


def _of_location(location: Any) -> tuple[str, Address | None, list[Mistake]]:
    """The directory or the server that LOCATION says, and what is wrong with it."""
    if is_address(location):
        try:
            from .server.address import read_address  # an extra, which a directory does without
        except ImportError as error:
            text = (
                f"LOCATION is the address of a server, which takes the extra valkey ({error}): "
                "pip install 'django-diskcache[valkey]'"
            )
            fault = f"is on a server, for which a package is missing: {error}"
            advice = "Install the extra: pip install 'django-diskcache[valkey]'."
            return "", None, [Mistake("extra", text, fault, advice)]
        try:
            return "", read_address(location), []
        except ValueError as error:
            fault, _, expected = str(error).partition(": ")
            advice = f"{expected[:1].upper()}{expected[1:]}."
            return "", None, [Mistake("address", str(error), f"has {fault}", advice)]
    if isinstance(location, (str, os.PathLike)) and os.fspath(location):
        return str(os.fspath(location)), None, []
    expected = "the path of a directory, or the address of a server"
    shown = f"LOCATION={location!r}"
    if isinstance(location, Mapping):  # perhaps there is a password in it
        shown = f"LOCATION of type {type(location).__name__}"
    text = f"{shown} of a DjangoCache: expected {expected}"
    fault = f"has {shown}"
    return "", None, [Mistake("location", text, fault, f"It takes {expected}.")]


def _unknown(name: str, on_server: bool) -> Mistake:
    if on_server and (elsewhere := remedy(name)):
        text = f"{name!r} is not an option of DjangoCache. {elsewhere}"
        return Mistake("unknown", text, f"has the option {name!r}", elsewhere)
    known = [*FACE_OPTIONS, *OPTIONS]
    hint = did_you_mean(name, known)
    fault = f"{name!r} is not an option of DjangoCache"
    advice = "It is not one of DjangoCache"
    advice += f". D{hint[3:]}" if hint else f", which are {', '.join(known)}."
    return Mistake("unknown", fault + hint, f"has the option {name!r}", advice)


def _wrong(option: Option, value: Any, text: str) -> Mistake:
    kind = option.name if option.name in ("eviction_policy", "shards") else "value"
    fault = f"has {option.name}={value!r}"
    # What the parser said of this value: it may know which was meant.
    taken = text.partition(": expected ")[2]
    advice = f"It takes {taken}" + ("" if taken.endswith("?") else ".")
    return Mistake(kind, text, fault, advice)


def _of_disk(
    disk: type[Disk], directory: str, settings: Mapping[str, Any]
) -> Iterator[Mistake]:
    """What the Disk says of its arguments, which only it knows."""
    prefix = "disk_"
    values = {n: option.default for n, option in OPTIONS.items() if n.startswith(prefix)}
    values.update((n, value) for n, value in settings.items() if n.startswith(prefix))
    try:
        disk(directory, **{name[len(prefix) :]: value for name, value in values.items()})
    except (TypeError, ValueError) as error:
        yield Mistake(
            "value",
            str(error),
            f"has options that its Disk refuses: {error}",
            f"Those that begin with disk_ are arguments of {disk.__name__}.",
        )
    try:
        compressor_of({**DEFAULT_SETTINGS, **settings}, disk)
    except ValueError as error:
        fault = f"cannot compress: {error}"
        yield Mistake("value", str(error), fault, "Change one of the two, or leave it out.")


def _of_secrets(secrets: Secrets) -> Iterator[Mistake]:
    """What keeps the site's secrets from signing."""
    if not secrets:
        yield Mistake(
            "signing",
            "signing takes SECRET_KEY, which is empty; set it, or "
            "turn signing off by OPTIONS={'signing': False}",
            "signs what it pickles with SECRET_KEY, which is empty",
            "Set SECRET_KEY, or turn signing off by OPTIONS={'signing': False}.",
        )
    elif not all(secrets):
        yield Mistake(
            "signing",
            "there is an empty one among SECRET_KEY_FALLBACKS, "
            "with which anybody could sign; remove it",
            "verifies what it unpickles with an empty one of SECRET_KEY_FALLBACKS, with which "
            "anybody could sign",
            "Remove it.",
        )


def _given(params: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """Options by their names in lower case, and what is wrong with how they are given."""
    mistakes = []
    options = params.get("OPTIONS") or {}
    if not isinstance(options, Mapping):
        text = f"OPTIONS={options!r}: expected a dictionary"
        fault = f"has OPTIONS={options!r}"
        mistakes.append(Mistake("options", text, fault, "It takes a dictionary."))
        options = {}
    known = {*FACE_OPTIONS, *OPTIONS}
    beside = {n: v for n, v in params.items() if str(n).lower() in known}
    given: dict[str, Any] = {}
    for name, value in [*beside.items(), *options.items()]:
        lower = str(name).lower()
        if lower in given:
            text = f"{name} is given twice; leave one of them out"
            fault = f"has the option {name} twice"
            mistakes.append(
                Mistake(
                    "twice", text, fault, "Leave one of them out; case makes no difference."
                )
            )
        given.setdefault(lower, value)
    return given, mistakes
