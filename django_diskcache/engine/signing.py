"""Signatures: what is unpickled was pickled by somebody who knows the secret.

A signature is a keyed BLAKE2b of the shard's identity, the key, the mode and the pickle. Who
can write to the directory and does not know the secret can neither make a pickle that is
loaded, nor move one to another key, mode, shard or cache. What he can still do is remove
things, and put back what was once stored under the same key.

What is hashed is, in this order: the identity, 16 bytes; the mode, the kind of key and the
length of its bytes, of fixed size as well; the key's bytes; the pickle. So no two of these
give the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, TypeAlias

from .disk import key_bytes

LENGTH = 16  # bytes of a signature
MODE_KEY = 0  # stands for the mode when a key is signed and not a value

_PURPOSE = b"django_diskcache"  # nothing else derives the same key from the secret
_HEAD = struct.Struct(">BBI").pack
_NUMBER, _BYTES, _TEXT = range(3)
_KINDS = {int: _NUMBER, float: _NUMBER, str: _TEXT}
_PICKLED = 4  # added to the kind of a key that is not raw

Secret: TypeAlias = "bytes | str | None"


class Secrets(tuple[bytes, ...]):
    """The first one signs, all of them verify. Its repr does not tell them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


NO_SECRETS = Secrets()


def read_secrets(secret: Secret | Secrets, fallbacks: Iterable[bytes | str]) -> Secrets:
    """What a constructor was given.

    :raises TypeError: for what is neither bytes nor a text
    :raises ValueError: for an empty one, and for fallbacks of nothing
    """
    if isinstance(fallbacks, (str, bytes)):
        raise TypeError("secret_fallbacks: expected a list of secrets, not a single one")
    own = secret if isinstance(secret, Secrets) else [secret]
    given = [*own, *fallbacks]
    if given == [None]:
        return NO_SECRETS
    return Secrets(map(_read, given))


def _read(secret: Any) -> bytes:
    if secret is None:
        raise ValueError("secret_fallbacks without a secret: expected secret as well")
    if not isinstance(secret, (str, bytes)):
        raise TypeError(f"a secret is bytes or str, not {type(secret).__name__}")
    if not secret:
        raise ValueError("a secret is empty: anybody could sign with it")
    return secret.encode() if isinstance(secret, str) else secret


def refuse_pickling(thing: object, secrets: Secrets) -> None:
    """:raises TypeError: when `thing` has secrets, which do not belong into a pickle"""
    if secrets:
        raise TypeError(
            f"a {type(thing).__name__} with a secret cannot be pickled, for the secret would "
            "be in the pickle: pass on its directory, and open it there with the secret"
        )


class Signer:
    """Signs and verifies what is in one shard.

    :param secrets: the first signs, all of them verify
    :param identity: the shard's, 16 bytes
    """

    def __init__(self, secrets: Sequence[bytes], identity: bytes) -> None:
        # As far as they are the same for all messages; each message goes on with a copy.
        self._begun = [_begin(secret, identity) for secret in secrets]

    def sign(self, key: Any, raw: bool, mode: int, pickled: bytes) -> bytes:
        """The signature of a pickle under a key in its database form."""
        hasher = self._begun[0].copy()
        hasher.update(_head(key, raw, mode))
        hasher.update(pickled)
        return hasher.digest()

    def verify(self, signature: Any, key: Any, raw: bool, mode: int, pickled: bytes) -> bool:
        """Whether somebody who knows one of the secrets has signed this."""
        if type(signature) is not bytes:
            return False
        if type(key) is str and raw:  # the common key, at less cost, as in `_head`
            data = key.encode()
            head = _HEAD(mode, _TEXT, len(data)) + data
        else:
            head = _head(key, raw, mode)
        for begun in self._begun:
            hasher = begun.copy()
            hasher.update(head)
            hasher.update(pickled)
            if compare_digest(hasher.digest(), signature):
                return True
        return False


def _begin(secret: bytes, identity: bytes) -> blake2b:
    key = blake2b(secret, digest_size=32, person=_PURPOSE).digest()
    return blake2b(identity, digest_size=LENGTH, key=key)


def _head(key: Any, raw: bool, mode: int) -> bytes:
    if type(key) is str and raw:  # the common key, at less cost
        data = key.encode()
        return _HEAD(mode, _TEXT, len(data)) + data
    data = key_bytes(key)
    kind = _KINDS.get(type(key), _BYTES)
    return _HEAD(mode, kind if raw else kind + _PICKLED, len(data)) + data
