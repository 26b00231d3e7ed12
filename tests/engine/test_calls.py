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


@st.composite
def signatures(draw: st.DrawFn) -> inspect.Signature:
    """Parameters a to d by position, k and m by name, and those that take the rest."""
    kind = inspect.Parameter
    by_place = draw(st.integers(0, 4))
    without, only = (draw(st.integers(0, by_place)) for _ in range(2))
    made = []
    for place, name in enumerate("abcd"[:by_place]):
        default = kind.empty if place < without else draw(LIKE_NAMES)
        how = kind.POSITIONAL_ONLY if place < only else kind.POSITIONAL_OR_KEYWORD
        made.append(kind(name, how, default=default))
    if draw(st.booleans()):
        made.append(kind("rest", kind.VAR_POSITIONAL))
    for name in "km"[: draw(st.integers(0, 2))]:
        default = draw(LIKE_NAMES | st.just(kind.empty))
        made.append(kind(name, kind.KEYWORD_ONLY, default=default))
    if draw(st.booleans()):
        made.append(kind("more", kind.VAR_KEYWORD))
    return inspect.Signature(made)


# Values that look like the other parts of a key: the None in it, and names.
LIKE_NAMES: st.SearchStrategy[Any] = st.sampled_from([None, None, "a", "b", "k", "z", 1])


def readings(form: list[Any]) -> list[tuple[list[Any], dict[str, Any]]]:
    """The calls that a list is the form of: positions, None, and then names and values."""
    return [
        (form[:place], dict(zip(form[place + 1 :: 2], form[place + 2 :: 2], strict=True)))
        for place, value in enumerate(form)
        if value is None
        and (len(form) - place) % 2
        and all(isinstance(name, str) for name in form[place + 1 :: 2])
    ]


@pytest.mark.parametrize("typed", [False, True])
@settings(max_examples=100)
@given(
    signature=signatures(),
    forms=st.lists(st.lists(LIKE_NAMES, min_size=2, max_size=7), min_size=20, max_size=40),
)
def test_no_two_calls_have_one_key(
    signature: inspect.Signature, typed: bool, forms: Any
) -> None:
    def function() -> None:
        raise AssertionError("it is not called")

    function.__signature__ = signature  # type: ignore[attr-defined]
    bind = binder(function, ("name",), typed, ())
    by_key: dict[str, str] = {}
    for args, kwargs in [call for form in forms for call in readings([*form, None])]:
        try:
            found = signature.bind(*args, **kwargs)
        except TypeError:
            continue
        found.apply_defaults()
        more = found.arguments.get("more", {})
        parameters = repr({**found.arguments, "more": sorted(more.items())})
        key = repr(bind(tuple(args), kwargs))
        assert by_key.setdefault(key, parameters) == parameters
    assert len(set(by_key.values())) == len(by_key)


def test_none_is_a_value_too() -> None:
    def search(text: Any = "", order: Any = "date") -> Any: ...

    bind = binder(search, ("f",), False, ())
    assert bind((), {"order": None}) == ("f", None, "order", None)
    assert bind((None, "order"), {}) == ("f", (None, "order"), ())
    assert bind((None,), {"order": "order"}) == ("f", (None, "order"), ())
    assert bind((None,), {}) == ("f", None, None)  # it can be read in one way only
    assert bind((None, 7), {}) == ("f", None, 7, None)
    typed = binder(search, ("f",), True, ())
    assert typed((None,), {}) == ("f", None, None, type(None))


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
