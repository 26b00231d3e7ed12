"""How keys and values become what SQLite and files hold, and back.

Strings, bytes, floats and integers of 64 bits are stored as they are; SQLite compares them as
Python does, so 1, 1.0 and True are one key. Everything else is pickled, and a pickled key is
found by its bytes. Values may be put into JSON or MessagePack instead (`serializers`); the mode
of an entry says which it is, so entries of all kinds may lie side by side. Subclasses of `Disk`
may override every method; modes of their own are from 16 to 255.

Three values that a database would silently change are pickled as well: NaN (SQLite stores
NULL), strings with lone surrogates (no UTF-8), integers of more than 64 bits.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from . import files
from .compression import Compressor
from .errors import UNKNOWN
from .serializers import MODE_JSON, MODE_MSGPACK, SERIALIZERS, loads_json, loads_msgpack

MODE_RAW = 1
MODE_BINARY = 2
MODE_TEXT = 3
MODE_PICKLE = 4
MODE_SIGNED = 5  # a signature and a pickle: the store's, no Disk is asked for it
PINNED = 1 << 8  # added to the mode of an entry that is not evicted

# How values of these modes are loaded, from a row or a file.
LOADS: dict[int, Callable[[bytes], Any]] = {
    MODE_PICKLE: pickle.loads,
    MODE_JSON: loads_json,
    MODE_MSGPACK: loads_msgpack,
}
NATIVE = frozenset({str, bytes, int, float})  # what SQLite holds as it is
# What a row or a file raises that was not written by us, or is damaged. Not so a class that a
# pickle refers to and that is not there: that is for the site to see.
GARBAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RecursionError,
    struct.error,
    zlib.error,
)

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

Place: TypeAlias = "tuple[Any, bool, int]"  # of a key: its database form, raw, hash
Stored: TypeAlias = "tuple[int, int, str | None, Any]"  # size, mode, filename, value


class Pinned(NamedTuple):
    """A value to be stored as an entry that is not evicted."""

    value: Any


def is_text(value: str) -> bool:
    """Whether UTF-8 can say it: no lone surrogates."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_bytes(key: Any) -> bytes:
    """A database key as bytes, which tell it from all others of its kind: text, number, bytes.

    1, 1.0 and True are one key. Other floats take 9 bytes, so that none looks like an integer.
    """
    if type(key) is str:
        return key.encode()
    if type(key) is float:
        if not key.is_integer() or not INT64_MIN <= key <= INT64_MAX:
            return struct.pack("!dx", key)
        key = int(key)
    if type(key) is int:
        return key.to_bytes(8, "big", signed=True)
    data: bytes = key
    return data


def portable_hash(key: Any) -> int:
    """32 bits of a database key, the same in every process; equal keys have equal hashes."""
    return zlib.crc32(key.encode() if type(key) is str else key_bytes(key))


def pickle_key(key: Any, protocol: int) -> bytes:
    """Equal tuples of texts, bytes and numbers of one type give equal bytes.

    An ordinary pickle refers back to objects that it has seen, so its bytes would depend on
    whether two equal parts of a tuple are one object. The `fast` mode writes each in full.
    """
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol)
    pickler.fast = True
    pickler.dump(key)
    return buffer.getvalue()


class Disk:
    """Serialisation of keys and values; the default one.

    :param directory: where value files go
    :param min_file_size: bytes from which on a value gets a file of its own
    :param pickle_protocol: protocol of pickled keys and values
    """

    serializer = "pickle"  # or the name of one of SERIALIZERS
    pickles = True  # else a pickle in a row is none of its own, and is not loaded
    # Whether values may be compressed: `store` keeps the mode that `Disk.store` returns. A
    # subclass with a `store` or `fetch` of its own has to say so.
    compresses = True
    compressor: Compressor | None = None  # set by the engine
    # What the store and `Disk` tell one another of a value in a file: `pickled` is the pickle
    # that was just put into one, for the store signs that, and not what a file in the directory
    # says a moment later; `crc` is the CRC-32 of what was put there, `expected` what is due.
    filed: threading.local

    # Set by the store and the limits: what is told of each part of a value file before it is
    # written, and how many directories files are spread over.
    admit: Callable[[int], object] | None = None
    directories = 256

    def __init__(
        self, directory: str, min_file_size: int = 0, pickle_protocol: int = 0, **kwargs: Any
    ) -> None:
        if kwargs:
            names = ", ".join(sorted(f"disk_{name}" for name in kwargs))
            raise TypeError(f"{type(self).__name__} takes no setting {names}")
        self._directory = directory
        self.filed = threading.local()
        self.min_file_size = min_file_size
        self.pickle_protocol = pickle_protocol

    def hash(self, key: Any) -> int:
        """A hash of `key` that is the same in every process."""
        return portable_hash(self.put(key)[0])

    def put(self, key: Any) -> tuple[Any, bool]:
        """The database's form of `key`, and whether it is the key itself.

        :raises TypeError: when `key` is not hashable
        """
        kind = type(key)
        if kind is str:
            if is_text(key):
                return key, True
        elif kind is int or kind is bool:
            if INT64_MIN <= key <= INT64_MAX:
                return int(key), True
        elif kind is bytes or (kind is float and key == key):
            return key, True
        hash(key)
        return pickle_key(key, self.pickle_protocol), False

    def get(self, key: Any, raw: bool) -> Any:
        """The key that `put` turned into `key` and `raw`."""
        return key if raw else pickle.loads(key)

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Stored:
        """Write `value` to a file if that is where it belongs.

        :param read: `value` is a binary file to be copied, or bytes, and goes into a file
        :return: size of the file in bytes or 0, mode, name of the file or None, the value
            for the row or None
        """
        kind = type(value)
        if read:
            return self._store_file(MODE_BINARY, chunks_of(value), key, value)
        if kind is str and is_text(value):
            if self.compressor is not None and len(value) >= self.compressor.least:
                return self._packed(MODE_TEXT, value.encode(), key, value)
            if len(value) < self.min_file_size:
                return 0, MODE_RAW, None, value
            return self._store_file(MODE_TEXT, iter((value.encode(),)), key, value)
        if kind is bytes:
            if self.compressor is not None and len(value) >= self.compressor.least:
                return self._packed(MODE_BINARY, value, key, value)
            if len(value) < self.min_file_size:
                return 0, MODE_RAW, None, value
            return self._store_file(MODE_BINARY, iter((value,)), key, value)
        if kind is int and INT64_MIN <= value <= INT64_MAX:
            return 0, MODE_RAW, None, value
        if kind is float and value == value:
            return 0, MODE_RAW, None, value
        if self.serializer != "pickle":
            return self._serialise(value, key)
        mode, data = MODE_PICKLE, pickle.dumps(value, protocol=self.pickle_protocol)
        if self.compressor is not None:
            mode, data = self.compressor.pack(mode, data)
        if len(data) < self.min_file_size:
            return 0, mode, None, data
        stored = self._store_file(mode, iter((data,)), key, value)
        self.filed.pickled = data
        return stored

    def _serialise(self, value: Any, key: Any) -> Stored:
        serializer = SERIALIZERS[self.serializer]
        mode, data = serializer.mode, serializer.encode(value, key)
        if self.compressor is not None:
            mode, data = self.compressor.pack(mode, data)
        if len(data) < self.min_file_size:
            return 0, mode, None, data
        return self._store_file(mode, iter((data,)), key, value)

    def _packed(self, kind: int, data: bytes, key: Any, value: Any) -> Stored:
        """A text or bytes, compressed if that is worth it."""
        assert self.compressor is not None
        mode, packed = self.compressor.pack(kind, data)
        if len(packed) < self.min_file_size:
            # As it is, it stands in the row as the text that it is.
            return (0, MODE_RAW, None, value) if mode == kind else (0, mode, None, packed)
        return self._store_file(mode, iter((packed,)), key, value)

    def _store_file(self, mode: int, chunks: Iterator[bytes], key: Any, value: Any) -> Stored:
        filename, path = self.filename(key, value)
        if self.admit is not None:
            chunks = self._admitted(self.admit, chunks)
        size, self.filed.crc = files.write(path, chunks)
        return size, mode, filename, None

    @staticmethod
    def _admitted(admit: Callable[[int], object], chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            admit(len(chunk))
            yield chunk

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        """The value that `store` put away.

        :param read: return an open binary file where the value has one
        :raises FileNotFoundError: when there is no such file in the directory
        :raises OSError: when it cannot be read
        :raises Exception: one of GARBAGE, when there is none of ours in it
        """
        if mode == MODE_RAW:
            if type(value) not in NATIVE:
                raise ValueError(f"a {type(value).__name__} is no value")
            return io.BytesIO(value) if read and type(value) is bytes else value
        loads = LOADS.get(mode)
        if filename is None and loads is not None:
            return loads(value)
        if filename is None:
            raise ValueError(f"an entry of mode {mode} has no file")
        if mode == MODE_BINARY and read:
            return files.opened(self._directory, filename)
        data = files.read(self._directory, filename)
        crc = vars(self.filed).pop("expected", None)
        if crc is not None and zlib.crc32(data) != crc:
            raise ValueError(f"{filename} is damaged")
        if mode == MODE_BINARY:
            return data
        if mode == MODE_TEXT:
            return data.decode()
        if loads is not None:
            return loads(data)
        raise ValueError(f"mode {mode} of an entry is not known")

    def filename(self, key: Any = UNKNOWN, value: Any = UNKNOWN) -> tuple[str, str]:
        """A new name for a value file, relative to the directory, and its full path."""
        name = files.new_name(self.directories)
        return name, os.path.join(self._directory, name)

    def remove(self, file_path: str) -> None:
        """Remove a value file, given by its relative name; it may be gone already."""
        files.remove(self._directory, file_path)


class JSONDisk(Disk):
    """Keys and values as compressed JSON: readable elsewhere, and nothing is unpickled.

    JSON decides what comes back: tuples return as lists, keys of dicts as strings.

    :param compress_level: zlib's, from 0 (none) to 9 (smallest)
    """

    pickles = False
    compresses = False  # it does so by itself

    def __init__(self, directory: str, compress_level: int = 1, **kwargs: Any) -> None:
        if type(compress_level) is not int or not -1 <= compress_level <= 9:
            raise ValueError(
                f"compress_level={compress_level!r}: expected a number from 0 to 9"
            )
        self.compress_level = compress_level
        super().__init__(directory, **kwargs)

    def put(self, key: Any) -> tuple[Any, bool]:
        # What SQLite holds as JSON would is left readable, and in the order that queues need.
        if type(key) in (str, int, float):
            stored = super().put(key)
            if stored[1]:
                return stored
        return self._dump(key), True

    def get(self, key: Any, raw: bool) -> Any:
        return self._load(key) if isinstance(key, bytes) else key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Stored:
        return super().store(value if read else self._dump(value), read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        data = super().fetch(mode, filename, value, read)
        return data if read else self._load(data)

    def _dump(self, value: Any) -> bytes:
        return zlib.compress(json.dumps(value).encode(), self.compress_level)

    def _load(self, data: bytes) -> Any:
        return json.loads(zlib.decompress(data))


def chunks_of(source: Any) -> Iterator[bytes]:
    """The bytes of a binary file or of bytes, in pieces.

    :raises TypeError: when it is neither
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return iter((bytes(source),))
    reader: Callable[..., Any] | None = getattr(source, "read", None)
    if reader is None:
        raise TypeError(f"read=True takes a binary file or bytes, not {type(source).__name__}")
    return _checked(iter(partial(reader, files.CHUNK), b""))


def _checked(chunks: Iterator[Any]) -> Iterator[bytes]:
    for chunk in chunks:
        if not isinstance(chunk, (bytes, bytearray)):
            raise TypeError(
                "read=True takes a file opened in binary mode ('rb'); this one gave "
                f"{type(chunk).__name__}"
            )
        yield bytes(chunk)
