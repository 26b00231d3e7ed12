from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_diskcache.engine import Cache
from django_diskcache.engine.disk import INT64_MAX, INT64_MIN
from django_diskcache.engine.integrity import MODE_BITS, SUM, seal_of
from django_diskcache.engine.sqlite import sqlite3
from tests.engine.soundness import assert_sound

INTEGERS = st.integers(INT64_MIN, INT64_MAX)
HASHES = st.integers(0, 2**32 - 1)


@given(INTEGERS, HASHES)
def test_sql_seals_integers_as_python_does(value: int, number: int) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        sql = f"SELECT {SUM.format('?', '?')}"
        row = connection.execute(sql, (value, value, number)).fetchone()
        assert row == (seal_of(value, number),)
    finally:
        connection.close()


@given(st.binary(min_size=1), HASHES, st.data())
def test_a_changed_byte_changes_the_seal(value: bytes, number: int, data: Any) -> None:
    place = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != value[place]))
    changed = value[:place] + bytes([other]) + value[place + 1 :]
    assert seal_of(changed, number) != seal_of(value, number)


@given(INTEGERS, HASHES, st.integers(0, 63))
def test_a_changed_bit_of_an_integer_changes_the_seal(
    value: int, number: int, bit: int
) -> None:
    changed = (value + 2**63 ^ 1 << bit) - 2**63
    assert seal_of(changed, number) != seal_of(value, number)


VALUES = ["text", "täxt", b"bytes", 5, -(2**40), 2.5, "x" * 5000, b"x" * 5000]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("secret", [None, "secret"])
def test_a_value_under_another_key_is_a_miss(
    make_cache: Callable[..., Cache], value: Any, secret: Any
) -> None:
    cache = make_cache(secret=secret, disk_min_file_size=1000)
    cache["one"], cache["two"] = value, "another"
    database = cache.engine.stores[0].database
    database.run("DELETE FROM cache WHERE key = 'two'")
    database.run("UPDATE cache SET key = 'two'")
    cache.engine.near.clear()
    assert cache.get("two") is None
    assert cache.add("two", "new")
    assert cache["two"] == "new"
    assert_sound(cache)


DAMAGE = {
    "text": ("kept", "value = 'kepu'"),
    "bytes": (b"kept", "value = x'00'"),
    "integer": (5, "value = 6"),
    "float": (2.5, "value = 2.25"),
    "a text that was a number": (5, "value = '5'"),
    "pickle": ([1, 2], "value = substr(value, 1, 5) || x'4b03' || substr(value, 8)"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_changed_value_is_a_miss(cache: Cache, name: str) -> None:
    value, change = DAMAGE[name]
    cache["key"] = value
    database = cache.engine.stores[0].database
    database.run(f"UPDATE cache SET {change}")
    assert cache.get("key", "missing") == "missing"
    assert len(cache) == 0


def test_incr_seals_anew_and_adds_to_nothing_damaged(cache: Cache) -> None:
    database = cache.engine.stores[0].database
    for start, delta in ((0, 1), (-5, 3), (2**40, -1), (INT64_MAX - 1, 1), (INT64_MIN, 7)):
        cache["count"] = start
        assert cache.incr("count", delta) == start + delta
        cache.engine.near.clear()
        assert cache["count"] == start + delta
        ((mode,),) = database.run("SELECT mode FROM cache")
        place = cache.engine.place("count")[1]
        assert mode == 1 | seal_of(start + delta, place[2]) << MODE_BITS
    cache["count"] = 5
    database.run("UPDATE cache SET value = 7")
    assert cache.incr("count", 1, default=100) == 101


def files_of(cache: Cache) -> list[Path]:
    return list(Path(cache.directory).glob("??/*.val"))


@pytest.mark.parametrize("value", ["text" * 500, b"bytes" * 500, list(range(1000))])
@pytest.mark.parametrize("secret", [None, "secret"])
def test_damaged_files_are_misses(
    make_cache: Callable[..., Cache], value: Any, secret: Any
) -> None:
    cache = make_cache(secret=secret, disk_min_file_size=100)
    for damage in (b"", b"another", None):
        cache["key"] = value
        (path,) = files_of(cache)
        whole = path.read_bytes()
        changed = whole[:7] + bytes([whole[7] ^ 4]) + whole[8:] if damage is None else damage
        path.write_bytes(changed)
        assert cache.get("key", "missing") == "missing"
        assert files_of(cache) == []


def test_an_open_file_has_the_size_that_was_stored(cache: Cache) -> None:
    cache.set("key", b"x" * 1000, read=True)
    with cache.read("key") as file:
        assert file.read() == b"x" * 1000
    (path,) = files_of(cache)
    path.write_bytes(b"x" * 999)
    with pytest.raises(KeyError):
        cache.read("key")
