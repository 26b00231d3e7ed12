"""How long entries live: to ask for it, to change it, and sliding expiry."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from django_diskcache import FanoutCache
from django_diskcache.server import ServerCache

from .conftest import Face

FILE = b"v" * 2000


def due(face: Face, key: str = "key") -> Any:
    """When the entry expires, as the store has it."""
    return face.get(key, expire_time=True)[1]


# ttl


@pytest.mark.parametrize("value", ["row", FILE], ids=["row", "file"])
@pytest.mark.parametrize("hot", [False, True], ids=["store", "near"])
def test_ttl(face: Face, value: Any, hot: bool) -> None:
    assert face.ttl("key") == face.pttl("key") == 0
    face.set("key", value, expire=60)
    face.set("ever", value)
    if hot:
        for key in ("key", "ever"):
            face.get(key)

    assert (face.ttl("key"), face.pttl("key")) == (60, 60_000)
    assert (face.ttl("ever"), face.pttl("ever")) == (None, None)

    face.clock.advance(0.25)
    assert (face.ttl("key"), face.pttl("key")) == (60, 59_750)
    face.clock.advance(59.5)
    assert (face.ttl("key"), face.pttl("key")) == (1, 250)
    face.clock.advance(0.25)
    assert (face.ttl("key"), face.pttl("key")) == (0, 0)


def test_ttl_of_what_is_known_here_and_changed_by_another(face: Face) -> None:
    face.set("key", 1, expire=3)
    assert (face.get("key"), face.ttl("key")) == (1, 3)
    face.touch("key", expire=30)
    assert face.ttl("key") == 30
    assert face.get("missing") is None
    assert face.ttl("missing") == 0
    face.set("missing", 1, expire=7)
    assert face.ttl("missing") == 7


def test_ttl_looks_into_the_store_only_for_what_is_not_known(face: Face) -> None:
    face.set("key", 1, expire=3)
    face.get("key")
    for store in face.engine.stores:
        store.database.run(f"UPDATE cache SET expire = {face.clock() + 2}")  # without a stamp
    assert face.ttl("key") == 3
    face.engine.near.clear()
    assert face.ttl("key") == 2


def test_ttl_counts_no_access(face: Face) -> None:
    face.set("key", 1, expire=60)
    face.stats(reset=True)
    face.ttl("key")
    face.pttl("missing")
    assert face.stats() == (0, 0)


def test_ttl_of_keys_that_are_no_texts(typed_face: Face) -> None:
    for key in (1, 2.5, b"bytes", ("a", 1)):
        typed_face.set(key, "value", expire=5)
        assert typed_face.ttl(key) == 5
        typed_face.get(key)
        assert typed_face.ttl(key) == 5
        assert typed_face.persist(key) is True
        assert typed_face.ttl(key) is None


def test_a_time_without_an_end(face: Face) -> None:
    for endless in (math.inf, 1e308):
        face.set("key", 1, expire=endless)
        assert (face.ttl("key"), face.pttl("key")) == (None, None)


def test_a_damaged_time_is_no_time(face: Face) -> None:
    face.set("key", 1, expire=5)
    for store in face.engine.stores:
        store.database.run("UPDATE cache SET expire = 'soon'")
    assert face.ttl("key") == 0


# expire_at, expire_in, persist


@pytest.mark.parametrize("value", ["row", FILE], ids=["row", "file"])
def test_expire_at(face: Face, value: Any) -> None:
    at = math.floor(face.clock()) + 90
    assert face.expire_at("key", at) is False
    face.set("key", value, tag="tag")

    assert face.expire_at("key", at) is True
    assert face.get("key", expire_time=True, tag=True) == (value, at, "tag")

    when = datetime.fromtimestamp(at + 5, timezone(timedelta(hours=5)))
    assert face.expire_at("key", when) is True
    assert due(face) == at + 5


@pytest.mark.parametrize("value", ["row", FILE], ids=["row", "file"])
def test_a_time_that_has_passed_removes(face: Face, value: Any) -> None:
    now = face.clock()
    passed: list[tuple[str, Any]] = [
        ("expire_at", now),
        ("expire_at", datetime.fromtimestamp(now - 1, timezone.utc)),
        ("expire_in", 0),
        ("expire_in", -5),
        ("expire_in", timedelta(0)),
    ]
    for name, when in passed:
        face.set("key", value)
        assert getattr(face, name)("key", when) is True
        assert len(face) == 0
        assert face.holds_files(0)
        assert getattr(face, name)("key", when) is False


def test_expire_in(face: Face) -> None:
    assert face.expire_in("key", 60) is False
    face.set("key", "value")
    face.get("key")

    assert face.expire_in("key", 60) is True
    assert due(face) == face.clock() + 60
    assert face.expire_in("key", timedelta(minutes=2)) is True
    assert face.ttl("key") == 120
    face.clock.advance(120)
    assert face.expire_in("key", 60) is False


def test_in_milliseconds(face: Face) -> None:
    assert face.pexpire("key", 1_500) is False
    face.set("key", "value")
    face.get("key")

    assert face.pexpire("key", 1_500) is True
    assert face.pttl("key") == 1_500
    assert face.pexpire("key", timedelta(minutes=2)) is True
    assert face.ttl("key") == 120
    assert face.pexpire_at("key", (face.clock() + 2.5) * 1000) is True
    assert face.pttl("key") == 2_500
    when = datetime.fromtimestamp(face.clock() + 60, timezone.utc)
    assert face.pexpire_at("key", when) is True
    assert face.ttl("key") == 60
    assert face.pexpire_at("key", face.clock()) is True  # of seconds: it is long ago
    assert face.pexpire("key", 0) is False
    assert len(face) == 0


def test_expire_is_not_for_a_key(face: Face) -> None:
    face.set("key", 1, expire=60)
    with pytest.raises(TypeError, match=r"expire_in\(key, seconds\)"):
        if isinstance(face.cache, (FanoutCache, ServerCache)):
            face.cache.expire(now="key")  # type: ignore[arg-type]
        else:
            face.cache.expire("key", 5)
    assert face.get("key") == 1


def test_what_is_no_time_is_a_type_error(face: Face) -> None:
    face.set("key", 1)
    for wrong in (None, "60", True, [60]):
        with pytest.raises(TypeError, match=r"when=.*expected a datetime, or seconds"):
            face.expire_at("key", wrong)
        with pytest.raises(TypeError, match=r"timeout=.*expected seconds or a timedelta"):
            face.expire_in("key", wrong)
        with pytest.raises(TypeError, match=r"when=.*expected a datetime, or milliseconds"):
            face.pexpire_at("key", wrong)
        with pytest.raises(TypeError, match=r"timeout=.*expected milliseconds or a timedelta"):
            face.pexpire("key", wrong)
        if wrong is not None and wrong is not True:  # which `get` takes
            with pytest.raises(TypeError, match=r"touch=.*expected seconds, or None"):
                face.get("key", touch=wrong)
    for endless in (math.nan, math.inf, -math.inf, 10**400, -(10**400)):
        for call in (face.expire_at, face.expire_in, face.pexpire_at, face.pexpire):
            with pytest.raises(ValueError, match="expected a finite number"):
                call("key", endless)
        with pytest.raises(ValueError, match=r"touch.*expected a finite number"):
            face.get("key", touch=endless)
    assert face.ttl("key") is None


def test_persist(face: Face) -> None:
    assert face.persist("key") is False
    face.set("key", 1, expire=60, tag="tag")
    face.get("key")

    assert face.persist("key") is True
    assert face.get("key", expire_time=True, tag=True) == (1, None, "tag")
    assert face.persist("key") is False
    face.set("key", 1, expire=60)
    face.clock.advance(60)
    assert face.persist("key") is False


# Sliding expiry


@pytest.mark.parametrize("value", ["row", ["pickled"], FILE], ids=["row", "pickled", "file"])
def test_a_read_slides_the_expiry(face: Face, value: Any) -> None:
    face.set("key", value, expire=60, tag="tag")
    for _ in range(10):
        face.clock.advance(50)
        assert face.get("key", touch=60) == value
    due = face.clock() + 110
    face.clock.advance(50)
    assert face.get("key", touch=60, expire_time=True) == (value, due)
    face.clock.advance(50)
    assert face.get("key", touch=60, tag=True) == (value, "tag")
    face.clock.advance(60)
    assert face.get("key", touch=60) is None
    assert face.get("key", "default", touch=60) == "default"
    assert face.ttl("key") == 0


def test_a_read_of_a_file_slides_the_expiry(face: Face) -> None:
    face.set("key", FILE, expire=60)
    face.clock.advance(50)
    with face.get("key", read=True, touch=60) as file:
        assert file.read() == FILE
    assert face.ttl("key") == 60


def test_reads_write_only_when_a_tenth_has_passed(face: Face) -> None:
    face.set("key", 1, expire=100)
    start = last = face.clock()
    renewed = []
    for _ in range(100):
        face.clock.advance(1)
        assert face.get("key", touch=100) == 1
        assert 90 < face.ttl("key") <= 100
        if due(face) != last + 100:
            last = face.clock()
            assert due(face) == last + 100
            renewed.append(last - start)
    assert renewed == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


def test_what_a_read_makes_of_other_expiries(face: Face) -> None:
    face.set("key", 1)
    assert face.get("key", touch=60) == 1
    assert face.ttl("key") == 60

    face.get("key", touch=600)
    assert face.ttl("key") == 600
    face.get("key", touch=60)  # as `touch` does
    assert face.ttl("key") == 60

    face.get("key", touch=None)
    assert face.ttl("key") is None
    face.get("key", touch=None)
    assert face.ttl("key") is None


@pytest.mark.parametrize("value", ["row", FILE], ids=["row", "file"])
@pytest.mark.parametrize("touch", [0, -5])
def test_the_last_read(face: Face, value: Any, touch: int) -> None:
    for more in ({}, {"expire_time": True, "tag": True}):
        face.set("key", value, expire=60, tag="tag")
        found = face.get("key", touch=touch, **more)
        assert (found[0] if more else found) == value
        assert face.get("key", "default", touch=touch) == "default"
        assert "key" not in face


def test_what_is_stored_meanwhile_keeps_its_expiry(face: Face) -> None:
    face.set("key", 1, expire=60)
    face.clock.advance(30)
    for store in face.engine.stores:
        expiry = store.expiry

        def overtaken(*args: Any, expiry: Any = expiry) -> Any:
            found = expiry(*args)
            face.set("key", 2, expire=5)
            return found

        store.expiry = overtaken

    assert face.get("key", touch=60) == 2
    assert due(face) == face.clock() + 5
