"""Patterns of keys: read as Redis reads them, and the same to SQLite."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_diskcache.engine import patterns
from django_diskcache.engine.patterns import read
from django_diskcache.engine.sqlite import sqlite3

SQLITE = sqlite3.connect(":memory:", check_same_thread=False)


def redis(pattern: str, text: str) -> bool:
    """Redis' rules written down once more, straight from their description."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    if first == "*":
        return any(redis(rest, text[n:]) for n in range(len(text) + 1))
    if not text:
        return False
    if first == "?":
        return redis(rest, text[1:])
    if first == "\\" and rest:
        return rest[0] == text[0] and redis(rest[1:], text[1:])
    if first == "[":
        negated = rest.startswith("^")
        rest = rest[1:] if negated else rest
        hit = False
        while rest:
            if rest[0] == "\\" and len(rest) > 1:
                hit |= rest[1] == text[0]
                rest = rest[2:]
            elif rest[0] == "]":
                rest = rest[1:]
                break
            elif len(rest) > 2 and rest[1] == "-":
                low, high = sorted((rest[0], rest[2]))
                hit |= low <= text[0] <= high
                rest = rest[3:]
            else:
                hit |= rest[0] == text[0]
                rest = rest[1:]
        return hit is not negated and redis(rest, text[1:])
    return first == text[0] and redis(rest, text[1:])


def glob(pattern: str, text: str) -> bool:
    ((found,),) = SQLITE.execute("SELECT ? GLOB ?", (text, read(pattern).glob))
    return bool(found)


CHARACTERS = r"ab[]^-*?\_.`é€" + "\U0001f600"
TEXTS = st.text(st.sampled_from(CHARACTERS), max_size=6)
PATTERNS = st.lists(
    st.one_of(
        st.sampled_from(["*", "?", "[ab]", "[^a]", "[a-]", "[", "]", "\\", "^", "-"]),
        st.sampled_from(CHARACTERS),
        TEXTS.map(lambda inner: f"[{inner}]"),
        TEXTS.map(lambda inner: f"[^{inner}]"),
    ),
    max_size=5,
).map("".join)


@given(PATTERNS, TEXTS)
@example("[^-a]", "^")
@example(r"[\^-a]", "_")
@example("[]-a]", "-")
@example(r"[a\]-]", "]")
@example(r"[\^]", "^")
@example(r"[^\^]", "a")
@example("[Z-a]", "]")
@example("*[*]*", "a*b")
def test_it_is_redis_pattern(pattern: str, text: str) -> None:
    expected = redis(pattern, text)
    assert read(pattern).matches(text) is expected
    assert glob(pattern, text) is expected
    if expected:
        assert text.startswith(read(pattern).head)


@given(PATTERNS, st.integers(0, 2**30))
def test_it_matches_a_text_that_it_should(pattern: str, choice: int) -> None:
    """The other test's texts seldom match: these are made to."""
    text = ""
    for number, token in enumerate(read(pattern).tokens):
        if token is patterns.STAR:
            text += CHARACTERS[: choice % 3]
        elif isinstance(token, str):
            text += token
        else:
            fitting = [each for each in CHARACTERS if token.has(each)]
            text += fitting[(choice >> number) % len(fitting)] if fitting else "a"
    expected = redis(pattern, text)
    assert read(pattern).matches(text) is glob(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "head", "is_open"),
    [
        ("user:7:*", "user:7:", True),
        ("user:*:name", "user:", False),
        (r"a\*b**", "a*b", True),
        ("*", "", True),
        ("", "", False),
        ("key", "key", False),
        ("k?*", "k", False),
    ],
)
def test_its_head(pattern: str, head: str, is_open: bool) -> None:
    assert (read(pattern).head, read(pattern).open) == (head, is_open)


def test_between_two_texts_all_is_literal() -> None:
    pattern = patterns.within("a*[", read("?"), "]\\")
    assert pattern.matches("a*[x]\\")
    assert not pattern.matches("aa[x]\\")
    assert not pattern.matches("a*[x]")


def test_many_stars_take_no_time() -> None:
    assert not read("*a" * 30).matches("a" * 2000 + "b")


@pytest.mark.parametrize("wrong", [None, 7, b"user:*"])
def test_what_is_no_text(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"pattern=.*expected a text, such as"):
        read(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"prefix=.*expected a text"):
        patterns.beginning(wrong)  # type: ignore[arg-type]
