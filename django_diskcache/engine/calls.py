"""What makes two calls of a function the same call: its arguments, however they are given.

f(1, 2), f(1, y=2) and, where 2 is the default of y, f(1) are one call. Its form is the shortest
one: what a parameter has by default is left out, and so is what is ignored. Up to the first
such gap arguments stand by position, and after it by name. So the form of a call whose
arguments are all given by position is what was given; and a default that cannot be pickled
is in nobody's way.

A key is the name, what stands by position, None, and then names with values, as in
python-diskcache. None can be a value too: what would read as another call's key gets another
form, of two tuples, which no key of the first form is (see `args_to_key`).

`inspect.Signature.bind` does as much in tens of microseconds. So a call is bound by hand, and
the common ones, without names and gaps, hardly cost anything.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

Function: TypeAlias = Callable[..., Any]
Bind: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], "tuple[Any, ...] | None"]

EMPTY = inspect.Parameter.empty


def full_name(function: Function) -> str:
    """Module and qualified name."""
    return f"{function.__module__}.{function.__qualname__}"


def check_ignored(ignore: Any) -> None:
    """:raises TypeError: for what is no collection of positions and names"""
    wrong = not isinstance(ignore, Collection) or isinstance(ignore, (str, bytes))
    if wrong or not all(isinstance(each, (int, str)) for each in ignore):
        remedy = f"; of one name it is {{{ignore!r}}}" if isinstance(ignore, str) else ""
        raise TypeError(
            f"ignore={ignore!r}: expected a tuple, list or set of positions and names{remedy}"
        )


def check_names(function: Function, ignore: Collection[int | str]) -> None:
    """:raises ValueError: when a name is to be ignored that the function never takes"""
    signature = signature_of(function)
    if signature is None:
        return
    taken = signature.parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in taken):
        return
    names = [each.name for each in taken if each.kind is not each.VAR_POSITIONAL]
    for each in ignore:
        if isinstance(each, str) and each not in names:
            known = ", ".join(names) or "none"
            raise ValueError(f"ignore: {function!r} has no argument {each!r}, but {known}")


def args_to_key(
    base: tuple[Any, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    typed: bool,
    ignore: Collection[int | str],
) -> tuple[Any, ...]:
    """The key of a call: `base`, the arguments and, if `typed`, their types.

    :param ignore: positions and names of arguments that do not matter
    """
    args = tuple(value for position, value in enumerate(args) if position not in ignore)
    named = sorted((name, value) for name, value in kwargs.items() if name not in ignore)
    key = (*base, *args, None)
    for pair in named:
        key += pair
    types: tuple[Any, ...] = ()
    if typed:
        types = (*map(type, args), *(type(value) for _, value in named))
    key += types
    if _misleading(key[len(base) :], len(args), typed):
        return (*base, args, tuple(named), *types)
    return key


def _misleading(form: tuple[Any, ...], given: int, typed: bool) -> bool:
    """Whether what follows one of the `given` arguments could be the end of a key.

    A key is read by the first None that pairs of a name and a value may follow, and types, if
    `typed`: so no two calls have the same.
    """
    each = 3 if typed else 2  # what a named argument takes in a key
    for place in range(given):
        if form[place] is None:
            rest = len(form) - place - 1 - (place if typed else 0)
            if rest < 0 or rest % each:
                continue
            names = form[place + 1 : place + 1 + rest // each * 2 : 2]
            if all(isinstance(name, str) for name in names):
                return True
    return False


def hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """`key`, or where an argument is not hashable the name and the pickled arguments."""
    try:
        hash(key)
    except TypeError:
        return (key[0], pickle.dumps(key[1:]))
    return key


def signature_of(function: Function) -> inspect.Signature | None:
    """What the function itself takes, not what it wraps; None if it does not say."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):  # of some that are written in C
        return None


def binder(
    function: Function, base: tuple[Any, ...], typed: bool, ignore: Collection[int | str]
) -> Bind:
    """What makes a key of arguments, or None where the function would not take them.

    :param ignore: positions and names of parameters that make no difference
    """
    signature = signature_of(function)
    if signature is None:
        return lambda args, kwargs: args_to_key(base, args, kwargs, typed, ignore)
    binding = _Binding(signature, base, typed, ignore)
    if ignore or any(binding.defaults[name] is EMPTY for name in binding.named):
        return binding.key
    required, optional, defaults = binding.required, binding.optional, binding.defaults
    positional, slow = binding.positional, binding.key
    by_place_only = binding.only > 0

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        given = len(args)
        more = given - required
        if more > len(optional) or (more > 0 and any(map(_same, args[required:], optional))):
            return slow(args, kwargs)
        if not kwargs:
            if more < 0:
                return None
            form = (*args, None, *(map(type, args) if typed else ()))
            for value in args:
                if value is None:  # it could be taken for the one that ends the positions
                    if _misleading(form, given, typed):
                        return slow(args, kwargs)
                    break
            return base + form
        if typed or by_place_only:
            return slow(args, kwargs)
        places = list(args)
        for name in positional[given:]:
            if name not in kwargs or _same(kwargs[name], defaults[name]):
                break
            places.append(kwargs[name])
        given = len(places)
        if given < required:
            return slow(args, kwargs)
        if any(value is None for value in places):
            return slow(args, kwargs)
        key = (*base, *places, None)
        if len(kwargs) > given - len(args):  # some are left, which stand by name
            taken = positional[:given]
            for name, value in sorted(kwargs.items()):
                if name in taken[len(args) :]:
                    continue
                if name not in defaults or name in taken or _same(value, defaults[name]):
                    return slow(args, kwargs)
                key += (name, value)
        return key

    return bind


class _Binding:
    """The parameters of a function, sorted by how they take arguments."""

    def __init__(
        self,
        signature: inspect.Signature,
        base: tuple[Any, ...],
        typed: bool,
        ignore: Collection[int | str],
    ) -> None:
        self._base, self._typed, self._ignore = base, typed, ignore
        self.defaults: dict[str, Any] = {}
        self.positional: list[str] = []  # those that may be given by position, in order
        self.only = 0  # how many of these may not be given by name
        self.named: set[str] = set()  # those that may not be given by position
        self._rest = self._others = False  # whether there are *args, and **kwargs
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = True
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._others = True
            else:
                self.defaults[parameter.name] = parameter.default
                if parameter.kind is parameter.KEYWORD_ONLY:
                    self.named.add(parameter.name)
                else:
                    self.positional.append(parameter.name)
                    self.only += parameter.kind is parameter.POSITIONAL_ONLY
        positional = [self.defaults[name] for name in self.positional]
        self.required = sum(default is EMPTY for default in positional)
        self.optional = positional[self.required :]  # the others' defaults

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """The key of a call, or None for one that the function does not take."""
        positional, defaults = self.positional, self.defaults
        rest = args[len(positional) :]
        if rest and not self._rest:
            return None
        given = dict(zip(positional, args, strict=False))
        others: dict[str, Any] = {}
        by_name = {*positional[self.only :], *self.named}
        for name, value in kwargs.items():
            if name not in by_name:
                if not self._others:
                    return None
                others[name] = value
            elif name in given:
                return None
            else:
                given[name] = value
        for name, default in defaults.items():
            if name not in given:
                if default is EMPTY:
                    return None
                given[name] = default
        return self._form(given, rest, others)

    def _form(
        self, given: dict[str, Any], rest: tuple[Any, ...], others: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The key, of the values of all parameters."""
        ignore, defaults = self._ignore, self.defaults
        matters = [
            place not in ignore
            and name not in ignore
            and not _same(given[name], defaults[name])
            for place, name in enumerate(self.positional)
        ]
        gaps = [
            place
            for place, name in enumerate(self.positional)
            if not matters[place] and place not in ignore and name not in ignore
        ]
        # What cannot be given by name stands by position, and everything before *args does.
        first = max((p + 1 for p in range(self.only) if matters[p]), default=0)
        end = next((gap for gap in gaps if gap >= first), len(matters))
        if rest:
            end = len(matters)
        by_place = [
            given[name]
            for place, name in enumerate(self.positional)
            if place < end and place not in ignore and name not in ignore
        ]
        by_place += [
            value for place, value in enumerate(rest, len(matters)) if place not in ignore
        ]
        named = {
            name: given[name]
            for place, name in enumerate(self.positional)
            if place >= end and matters[place]
        }
        for name in self.named:
            if name not in ignore and not _same(given[name], defaults[name]):
                named[name] = given[name]
        named.update((name, value) for name, value in others.items() if name not in ignore)
        return args_to_key(self._base, tuple(by_place), named, self._typed, ())


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the default, or as good as that."""
    if value is default:
        return True
    try:  # arrays compare element by element: what is not plainly True is not the same
        return type(value) is type(default) and (value == default) is True
    except Exception:
        return False
