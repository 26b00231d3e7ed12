"""Pickles of nobody knows whom: what holds data is loaded, and nothing is ever executed."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import os
import pathlib
import pickle
import subprocess
import uuid
import zoneinfo
from typing import Any

import pytest
from django.utils.safestring import SafeString, mark_safe

from django_diskcache.moving import harmless
from django_diskcache.moving.harmless import NotTrusted

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HARMLESS = [
    None,
    True,
    1.5,
    2**100,
    "ä\ud800",
    b"",
    b"\xff" * 300,
    bytearray(b"\xff"),
    {1: {2}, "a": [frozenset({1}), (1, [2])]},
    1j,
    collections.OrderedDict(a=1, b=2),
    collections.defaultdict(list, a=[1]),
    collections.deque([1, 2], 3),
    collections.Counter("aab"),
    datetime.datetime(2026, 11, 28, 7, tzinfo=BERLIN),
    datetime.datetime(2026, 11, 28, 7, tzinfo=datetime.timezone.utc),
    [datetime.date(2026, 11, 28), datetime.time(7), datetime.timedelta(1, 2, 3)],
    decimal.Decimal("1.20"),
    uuid.UUID(int=7),
    fractions.Fraction(-1, 3),
    fractions.Fraction(7),
    pathlib.PosixPath("/a/b"),
    pathlib.PurePosixPath("a"),
    mark_safe("<b>"),
]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_holds_data_is_loaded(protocol: int) -> None:
    for value in HARMLESS:
        found = harmless.loads(pickle.dumps(value, protocol))
        assert found == value
        assert type(found) is type(value)


def test_a_safe_string_stays_safe() -> None:
    assert type(harmless.loads(pickle.dumps(mark_safe("<b>")))) is SafeString


class Calling:
    """Pickled as a call."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Calling(os.system, "exit 1"), f"{os.name}.system"),
        (Calling(eval, "1"), "builtins.eval"),
        (Calling(subprocess.Popen, "true"), "subprocess.Popen"),
        (Calling(getattr, [], "append"), "builtins.getattr of 'append'"),
        (
            Calling(getattr, zoneinfo.ZoneInfo, "clear_cache"),
            "builtins.getattr of 'clear_cache'",
        ),
        (range(10**12), "builtins.range"),
        (Calling, f"{__name__}.Calling"),
        ([1, {"deep": (NotTrusted,)}], "django_diskcache.moving.harmless.NotTrusted"),
    ],
)
def test_what_needs_more_is_named(value: Any, name: str) -> None:
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):  # 2 has the names of Python 2
        with pytest.raises(NotTrusted) as caught:
            harmless.loads(pickle.dumps(value, protocol))
        assert caught.value.name == name


@pytest.mark.parametrize(
    "value",
    [
        Calling(bytes, 10**12),
        Calling(bytearray, 10**12),
        Calling(fractions.Fraction, "1e999999999"),
        Calling(SafeString, ["\\"]),
        Calling(str, ["\\"]),
    ],
)
def test_few_bytes_do_not_become_many(value: Any) -> None:
    with pytest.raises(ValueError, match="not "):
        harmless.loads(pickle.dumps(value))


def test_a_dotted_name_leads_nowhere() -> None:
    # The protocols from 4 on take paths of attributes.
    data = pickle.PROTO + b"\x04" + b"\x8c\x08builtins" + b"\x8c\x0cdict.__new__" + b"\x93."
    with pytest.raises(NotTrusted, match=r"builtins\.dict\.__new__"):
        harmless.loads(data)


@pytest.mark.parametrize(
    "cls", [uuid.UUID, collections.Counter, SafeString, fractions.Fraction]
)
def test_nothing_of_this_process_is_changed(cls: type) -> None:
    """A pickle that sets an attribute of a class that it may name."""
    data = (
        pickle.dumps(cls, 2)[:-1]  # the class, without the end
        + b"(N}U\x06poisonK\x01s"  # a mark, None, and {"poison": 1}: in a tuple, it is
        + b"t"  # the state of slots, which is set attribute by attribute
        + pickle.BUILD
        + pickle.STOP
    )
    assert pickle.loads(pickle.dumps(cls, 2)) is cls
    harmless.loads(data)
    assert not hasattr(cls, "poison")
    with pytest.raises(TypeError):
        harmless.loads(data.replace(pickle.dumps(cls, 2)[2:-1], b"cbuiltins\nset\nq\x00"))


def test_all_that_is_given_as_it_is_cannot_be_changed() -> None:
    for cls in harmless.TYPES.values():
        if cls.__flags__ & harmless.IMMUTABLE:
            with pytest.raises(TypeError):
                setattr(cls, "poison", 1)  # noqa: B010


def test_what_fails_with_trust_says_so() -> None:
    class_of_nobody = pickle.dumps(Calling).replace(b"Calling", b"Missing")
    with pytest.raises(NotTrusted, match="Missing"):
        harmless.loads_trusted(class_of_nobody)
    with pytest.raises(pickle.UnpicklingError):
        harmless.loads_trusted(b"garbage")
    assert harmless.loads_trusted(pickle.dumps(range(3))) == range(3)


FEW = {
    "bytes": b"\x8e" + (2**40).to_bytes(8, "little") + b".",
    "a text": b"\x8d" + (2**40).to_bytes(8, "little") + b".",
    "a bytearray": b"\x96" + (2**40).to_bytes(8, "little") + b".",
    "a frame": b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"N.",
    "the memo": b"Nr" + (2**28).to_bytes(4, "little") + b".",
    "the memo, in digits": b"Np268435456\n.",
    "a deep key": b"})" + b"\x85" * 100_000 + b"Ns.",
    "a deep member": b"\x8f()" + b"\x85" * 100_000 + b"\x90.",
    "a deep frozenset": b"()" + b"\x85" * 100_000 + b"\x91.",
    "a key of pairs of pairs": b"})" + b"2\x86" * 40 + b"Ns.",
    "an argument of pairs of pairs": b"cbuiltins\nset\n)" + b"2\x86" * 40 + b"\x85\x85R.",
    "a list copied": b"(]q\x00(" + b"N" * 9000 + b"ecbuiltins\nlist\nq\x01"
    + b"h\x01h\x00\x85R" * 9000 + b"l.",
    "a text of a text": b"X\x01\x00\x00\x00\\q\x00" + b"cbuiltins\nstr\n"
    + b"h\x00\x85\x85R.",
}  # fmt: skip


@pytest.mark.parametrize("what", FEW)
def test_what_asks_for_more_than_its_length_allows_is_not_loaded(what: str) -> None:
    with pytest.raises(ValueError, match=r"too |expected|not |memo"):
        harmless.loads(FEW[what])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_is_large_is_loaded(protocol: int) -> None:
    shared = tuple(range(1000))
    rows: Any = [
        {"a rather long name of a column": n, ("a", 1): decimal.Decimal(n), "all": shared}
        for n in range(3000)
    ]
    deep: Any = []
    for _ in range(100):
        ids: Any = collections.defaultdict(list)
        ids["a"] = uuid.UUID(int=7)
        deep = [(deep, {frozenset({1, (2, 3)})}, ids)]
    value = [rows, deep, b"x" * 100_000, 2**10_000]
    if protocol < 2:  # they name a function that makes any class
        value = [[{"a": n, (1, "b"): [n, None, True, 1.5]} for n in range(3000)], "ä" * 100]
    assert harmless.loads(pickle.dumps(value, protocol)) == value
