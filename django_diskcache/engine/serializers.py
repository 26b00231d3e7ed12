"""What may stand in for pickle: JSON and MessagePack, of which nothing is ever executed.

What comes back is what was stored, or it is refused: a tuple would return as a list, a number
that is a key of a JSON object as a text, a subclass of `str` as a plain one. A cache that
changes values works until the day it is cold.

MessagePack is that of msgspec, an optional package, which is imported with the first value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

MODE_JSON = 6
MODE_MSGPACK = 7

_TEXTS_AND_NUMBERS: frozenset[type] = frozenset({str, int, float, bool, type(None)})


class Serializer(NamedTuple):
    """One of them: its name as a setting, the mode of its entries, and what it can say.

    `scalars` are the types it returns as they were, apart from lists and dictionaries; `keys`
    those of the keys of dictionaries.
    """

    name: str
    mode: int
    dumps: Callable[[Any], bytes]
    scalars: frozenset[type]
    keys: frozenset[type]

    def encode(self, value: Any, key: Any) -> bytes:
        """The bytes of `value`, which is to be stored under `key`.

        :raises TypeError: when something else would come back
        """
        try:
            data = self.dumps(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._refusal(key, value, str(error)) from error
        # Now there is no circle in it.
        pending = [value]
        while pending:
            part = pending.pop()
            kind = type(part)
            if kind is dict:
                if not self.keys.issuperset(map(type, part)):
                    raise self._refusal(key, _other(part, self.keys), "as a key of a dict")
                part = part.values()
            elif kind is not list:
                if kind not in self.scalars:
                    raise self._refusal(key, part, "it would come back as something else")
                continue
            if not self.scalars.issuperset(map(type, part)):  # mostly there is nothing in it
                pending += [each for each in part if type(each) not in self.scalars]
        return data

    def _refusal(self, key: Any, part: Any, why: str) -> TypeError:
        kind = type(part)
        return TypeError(
            f"the value for {key!r}: serializer={self.name!r} cannot hold a "
            f"{kind.__module__}.{kind.__qualname__} ({why}); store what it can hold, such as "
            "lists and dicts of texts and numbers, or use serializer='pickle'"
        )


def _other(parts: Iterable[Any], kinds: frozenset[type]) -> Any:
    return next(part for part in parts if type(part) not in kinds)


_encode_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_escape_json = json.JSONEncoder(separators=(",", ":")).encode
_decode_json = json.JSONDecoder().decode


def _dumps_json(value: Any) -> bytes:
    try:
        return _encode_json(value).encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can say and UTF-8 cannot
        return _escape_json(value).encode()


def loads_json(data: bytes) -> Any:
    """What JSON says; ValueError or TypeError if it is none."""
    return _decode_json(str(data, "utf-8"))


@lru_cache(None)
def _msgpack() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    from msgspec import msgpack

    return msgpack.Encoder().encode, msgpack.Decoder().decode


def _dumps_msgpack(value: Any) -> bytes:
    return _msgpack()[0](value)


def loads_msgpack(data: bytes) -> Any:
    """What MessagePack says; ValueError or TypeError if it is none, or without msgspec."""
    try:
        decode = _msgpack()[1]
    except ImportError:
        raise ValueError("MessagePack cannot be read without the package msgspec") from None
    return decode(data)


SERIALIZERS = {
    each.name: each
    for each in (
        Serializer("json", MODE_JSON, _dumps_json, _TEXTS_AND_NUMBERS, keys=frozenset({str})),
        Serializer(
            "msgpack",
            MODE_MSGPACK,
            _dumps_msgpack,
            _TEXTS_AND_NUMBERS | {bytes},
            keys=_TEXTS_AND_NUMBERS | {bytes},
        ),
    )
}
