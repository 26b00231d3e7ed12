"""Which pickles of one shard may be loaded: those of somebody who knows a secret.

Signing and verifying go around `Disk`, whose methods do not know the key that a value belongs
to. Without secrets everything is trusted, signed or not. With them, a signature is bound to the
shard by its identity, random bytes that stand in its own database: a shard that is lost and
made anew does not make the others foreign.
"""

from __future__ import annotations

import re
import threading
import zlib
from secrets import token_hex
from typing import Any

from . import files, schema
from .compression import CODECS_MASK, PACKED, PLAIN, SHIFT, Missing, expanded
from .connection import Database
from .disk import (
    GARBAGE,
    MODE_BINARY,
    MODE_PICKLE,
    MODE_RAW,
    MODE_SIGNED,
    MODE_TEXT,
    NATIVE,
    PINNED,
    Disk,
    Place,
    Stored,
)
from .errors import Foreign, Unavailable, Unreadable
from .integrity import MODE_BITS, MODES, seal_of, seal_of_file
from .serializers import MODE_JSON, MODE_MSGPACK
from .signing import LENGTH, MODE_KEY, Secrets, Signer

WARN_EVERY = 60.0  # seconds between two warnings of foreign entries in one shard
IDENTITY = re.compile(r"[0-9a-f]{32}")
# To load these executes nothing, so they are no more in need of a signature than a text is.
UNSIGNED = frozenset({MODE_JSON, MODE_MSGPACK})
EXPANDED = UNSIGNED | {MODE_BINARY, MODE_PICKLE}  # what may come out of what is compressed


class Broken(bytes):
    """What SQLite has as a text, and is none: it is not UTF-8. No value or key is one."""


def text(data: bytes) -> str | Broken:
    """How a connection makes texts; by itself it raises for what is no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Broken(data)


class Trust:
    """Signs what one shard stores, and verifies what it has.

    :param database: the shard's, in `directory`
    :param secrets: what is unpickled must be signed with one of these, if there are any
    """

    def __init__(
        self, database: Database, directory: str, disk: Disk, secrets: Secrets
    ) -> None:
        self.database = database
        self.directory = directory
        self.disk = disk
        self.secrets = secrets
        self.signer: Signer | None = None  # `begin` makes it, if there are secrets
        self._native = is_native(disk)
        self._identity = ""
        self._warned = -WARN_EVERY
        self._filed = disk.filed = threading.local()

    def begin(self) -> None:
        """Sign by the identity of the shard; the caller holds the directory's lock."""
        if self.secrets and not self._identify() and self._stored_identity() is None:
            self.make_identity()
            self._identify()

    def renew(self) -> None:
        """Sign by the identity that another process has given the shard."""
        if self.secrets:
            self._identify()

    def make_identity(self) -> None:
        """Give the shard an identity of its own."""
        with self.database.transact():
            self.database.run(schema.SAVE_SETTING, (schema.IDENTITY, token_hex(16)))

    def _stored_identity(self) -> str | None:
        for (identity,) in self.database.run(schema.LOAD_IDENTITY):
            if type(identity) is str and IDENTITY.fullmatch(identity):
                return identity
        return None

    def _identify(self) -> bool:
        """Sign by the identity that the file has; whether it is another than before."""
        identity = self._stored_identity()
        if identity is None or identity == self._identity:
            return False
        self.signer = Signer(self.secrets, bytes.fromhex(identity))
        self._identity = identity
        return True

    def sign(self, place: Place, stored: Stored) -> Stored:
        """What `Disk.store` returned, signed if it is a pickle, else sealed.

        :raises TypeError: when the pickle is in a file that the Disk did not let us see
        """
        signer = self.signer
        size, mode, filename, value = stored
        noted = vars(self._filed)  # taken in any case: the next file is none of these
        crc, pickled = noted.pop("crc", None), noted.pop("pickled", None)
        if signer is None or mode & PLAIN != MODE_PICKLE:
            if filename is not None:
                seal = 0 if crc is None else seal_of_file(crc, place[2])
            else:  # a Disk of one's own may have anything that SQLite takes
                seal = seal_of(value, place[2]) if type(value) in NATIVE else 0
            return size, mode | seal << MODE_BITS, filename, value
        packed = mode & CODECS_MASK
        signed = signed_mode(packed)
        if filename is None:
            signature = signer.sign(place[0], place[1], signed, value)
            return size, MODE_SIGNED | packed, None, signature + value
        if pickled is None:
            self.disk.remove(filename)
            raise TypeError(
                f"{type(self.disk).__name__} writes files of pickles itself, which cannot be "
                "signed: let it pass the value on to Disk.store"
            )
        signature = signer.sign(place[0], place[1], signed, pickled)
        return size, MODE_SIGNED | packed, filename, signature

    def sign_key(self, key: Any, raw: bool) -> bytes | None:
        """The signature of a pickled key; None for one that needs none."""
        if raw or self.signer is None:
            return None
        return self.signer.sign(key, False, MODE_KEY, b"")

    def verified(
        self, place: Place, mode: Any, filename: Any, value: Any, packed: int = 0
    ) -> tuple[Any, Any, Any]:
        """A row's mode, filename and value as `Disk.fetch` takes them.

        Every read comes by here, and nothing else tells what may be unpickled.

        :param packed: the bits of the codec, of a mode without them

        :raises Foreign: when it would be, and nobody who knows a secret has signed it; when
            its seal is not that of the value
        :raises OSError: when its file cannot be read
        """
        if type(mode) is int:
            seal, mode = mode >> MODE_BITS, mode & MODES & ~PINNED
            if filename is not None:
                self._filed.expected = seal_of_file(seal, place[2]) if seal else None
            elif seal and seal_of(value, place[2]) != seal:
                raise Unreadable
            if mode < MODE_PICKLE or mode in UNSIGNED:
                return mode, filename, value
            if mode >= PACKED:
                return self._expanded(place, mode, filename, value)
        known = mode in (MODE_PICKLE, MODE_SIGNED)
        if known and not self.disk.pickles:
            raise Foreign
        if self.signer is None:
            if mode != MODE_SIGNED or filename is not None:
                return MODE_PICKLE if known else mode, filename, value
            if type(value) is not bytes:
                raise Unreadable
            return MODE_PICKLE, None, value[LENGTH:]
        if mode != MODE_SIGNED:
            if known or self._native:
                raise Foreign
            return mode, filename, value  # a mode of a Disk of one's own
        if type(value) is not bytes:
            raise Foreign
        if filename is None:
            signature, pickled = value[:LENGTH], value[LENGTH:]
        else:
            signature, pickled = value, files.read(self.directory, filename)
        message = (signature, place[0], place[1], signed_mode(packed), pickled)
        if not self.signer.verify(*message) and not self._verifies_anew(message):
            raise Foreign
        return MODE_PICKLE, None, pickled

    def _expanded(
        self, place: Place, mode: int, filename: Any, value: Any
    ) -> tuple[int, None, Any]:
        """`verified` of what is compressed, which is expanded after that, in memory."""
        form, packed = mode & PLAIN, mode & CODECS_MASK
        if packed != mode - form:
            raise Unreadable
        crc = vars(self._filed).pop("expected", None)
        if form in (MODE_PICKLE, MODE_SIGNED):
            form, filename, value = self.verified(place, form, filename, value, packed)
        if filename is not None:
            value = files.read(self.directory, filename)
            if crc is not None and zlib.crc32(value) != crc:
                raise Unreadable
        try:
            data = expanded(packed, value)
            if form == MODE_TEXT:
                return MODE_RAW, None, data.decode()
        except Missing as why:  # nothing is wrong with the entry, so it stays
            what = f"there are values that cannot be read without {why}"
            raise Unavailable("other", self.database.path, what) from why
        except ValueError as error:
            raise Unreadable from error
        if form not in EXPANDED:
            raise Unreadable
        return (MODE_RAW if form == MODE_BINARY else form), None, data

    def _verifies_anew(self, message: tuple[Any, Any, bool, int, bytes]) -> bool:
        """Another process may have made the file anew, with another identity."""
        return self._identify() and self.signer is not None and self.signer.verify(*message)

    def trusts_key(self, key: Any, raw: int, signature: Any) -> bool:
        """Whether a database key is the key itself, or was pickled by one who may."""
        if raw or self.signer is None:
            return True
        message = (signature, key, False, MODE_KEY, b"")
        return self.signer.verify(*message) or self._verifies_anew(message)

    def key(self, key: Any, raw: Any, signature: Any) -> Any:
        """The key that is in a row.

        :raises Foreign: when it is none of ours
        """
        if type(key) is Broken or raw not in (0, 1):
            raise Unreadable
        if not self.trusts_key(key, raw, signature):
            raise Foreign
        try:
            return self.disk.get(key, bool(raw))
        except GARBAGE as error:
            raise Unreadable from error

    def warn(self, now: float, why: Foreign) -> None:
        """Log that there are foreign entries, once in a minute.

        :param now: seconds since the epoch
        """
        if abs(now - self._warned) >= WARN_EVERY:
            self._warned = now
            import logging  # at start-up it would cost some milliseconds

            logging.getLogger("django_diskcache").warning(
                "%s: %s", self.database.path, why.reason
            )


def signed_mode(packed: int) -> int:
    """What is signed as the mode of a pickle: another one for each codec, in one byte.

    :param packed: the bits of the codec in a mode
    """
    return MODE_SIGNED | packed >> SHIFT << 4


def is_native(disk: Disk) -> bool:
    """Whether a Disk stores and fetches as `Disk` itself does."""
    return type(disk).store is Disk.store and type(disk).fetch is Disk.fetch
