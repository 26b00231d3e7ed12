"""Which calls are the same, held against Python's own binding of arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_diskcache.engine.calls import binder


def only(a: Any) -> Any:
    return dict(locals())


def one(a: Any, b: Any = 1) -> Any:
    return dict(locals())


def two(a: Any, b: Any = 1, c: Any = 2) -> Any:
    return dict(locals())


def by_place(a: Any, b: Any = 1, /, c: Any = 2) -> Any:
    return dict(locals())


def all_by_place(a: Any, b: Any = 1, c: Any = 2, /, **more: Any) -> Any:
    return dict(locals())


def rest(a: Any, b: Any = 1, *rest: Any) -> Any:
    return dict(locals())


def by_name(*, k: Any, m: Any = 1) -> Any:
    return dict(locals())


def both(a: Any = 0, *, k: Any = 3) -> Any:
    return dict(locals())


def everything(a: Any, b: Any = 1, c: Any = 2, *rest: Any, k: Any = 3, **more: Any) -> Any:
    return dict(locals())


def anything(*rest: Any, **more: Any) -> Any:
    return dict(locals())


FUNCTIONS = [
    only, one, two, by_place, all_by_place, rest, by_name, both, everything, anything
]  # fmt: skip
VALUES = st.sampled_from([0, 1, 2, 3, 1.0, True, [1], "a", None])
CALLS = st.lists(
    st.tuples(st.lists(VALUES, max_size=4), st.dictionaries(st.sampled_from("abckmz"), VALUES)),
    min_size=2,
    max_size=40,
)


def bound(function: Callable[..., Any], args: Any, kwargs: Any) -> str | None:
    """What each parameter gets, as Python does it; None if the function does not take it."""
    try:
        found = function(*args, **kwargs)
    except TypeError:
        return None
    if "more" in found:
        found["more"] = sorted(found["more"].items())
    return repr(found)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
@settings(max_examples=30)
@given(calls=CALLS)
def test_calls_are_the_same_if_their_parameters_are(
    function: Callable[..., Any], typed: bool, calls: Any
) -> None:
    bind = binder(function, ("name",), typed, ())
    keys: dict[str, str] = {}
    for args, kwargs in calls:
        parameters, key = bound(function, args, kwargs), bind(tuple(args), kwargs)
        assert (parameters is None) == (key is None)
        if parameters is not None:
            assert keys.setdefault(parameters, repr(key)) == repr(key)
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "key"),
    [
        (only, (7,), {}, ("f", 7, None)),
        (only, (), {"a": 7}, ("f", 7, None)),
        (two, (7,), {}, ("f", 7, None)),
        (two, (7, 8, 9), {}, ("f", 7, 8, 9, None)),
        (two, (7, 1, 9), {}, ("f", 7, None, "c", 9)),
        (two, (7,), {"c": 9}, ("f", 7, None, "c", 9)),
        (everything, (7,), {"z": 1, "k": 2}, ("f", 7, None, "k", 2, "z", 1)),
        (len, ("four",), {}, ("f", "four", None)),
        (dict, (), {"a": 1}, ("f", None, "a", 1)),  # it has no signature
    ],
)
def test_the_form_of_a_key(function: Any, args: Any, kwargs: Any, key: Any) -> None:
    assert binder(function, ("f",), False, ())(args, kwargs) == key


def test_types_are_part_of_a_key() -> None:
    bind = binder(two, ("f",), True, ())
    assert bind((7,), {"c": 9.0}) == ("f", 7, None, "c", 9.0, int, float)
    assert bind((7, 8), {}) == ("f", 7, 8, None, int, int)


def test_what_is_ignored_counts_for_nothing() -> None:
    bind = binder(everything, ("f",), False, {1, "k", "z", 4})
    forms = [
        bind((7, 8), {}),
        bind((7,), {"b": 9, "k": 1, "z": 2}),
        bind((7,), {}),
    ]
    assert forms == [("f", 7, None)] * 3
    assert bind((7, 8, 9, 10, 11), {}) == ("f", 7, 9, 10, None)
    assert bind((), {"b": 1}) is None  # but what is missing is missing


def test_a_wrapped_function_is_taken_for_what_it_takes_itself() -> None:
    def wrapper(*args: Any) -> Any:
        return two("injected", *args)

    wrapper.__wrapped__ = two  # type: ignore[attr-defined]
    assert str(inspect.signature(wrapper)) != str(
        inspect.signature(wrapper, follow_wrapped=False)
    )
    assert binder(wrapper, ("f",), False, ())((1,), {}) == ("f", 1, None)


class Odd:
    """Compares to something that is neither true nor false."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def __eq__(self, other: object) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("outcome", [ValueError("ambiguous"), [True], 1])
def test_a_value_that_does_not_say_whether_it_is_the_default(outcome: Any) -> None:
    odd = Odd(outcome)

    def function(x: Any = Odd(outcome)) -> Any:  # noqa: B008 (it is the point)
        return x

    key = binder(function, ("f",), False, ())((odd,), {})
    assert key is not None
    assert key[1] is odd
