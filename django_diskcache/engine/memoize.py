"""Memoizing of function calls: one wrapper, whatever the cache behind it.

A coroutine function stays one. Its results are looked up and kept on the event loop, which
never waits there: where that would wait for a lock, it goes on in a thread.

What is decorated in the body of a class is a descriptor, so that a bound method has the
methods of the decorated function bound as well: ``article.html.invalidate()``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection
from functools import partial, wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias

from .calls import (
    Bind,
    Function,
    binder,
    check_ignored,
    check_names,
    full_name,
    signature_of,
)
from .errors import ENOVAL
from .once import Results, amissing, aobtain, arenew, missing, obtain, renew

if TYPE_CHECKING:
    from .memoized import Memoizer

Decorator: TypeAlias = Callable[[Function], Function]  # of the recipes
ToKey: TypeAlias = Callable[["tuple[Any, ...]"], Any]


def memoizer(
    results: Results,
    to_key: ToKey,
    name: str | None,
    typed: bool,
    ignore: Collection[int | str],
    key: Function | None,
    part: ToKey | None = None,
    identity: Callable[[Any], Any] | None = None,
    life: str = "expire",
) -> Memoizer:
    """The decorator that `memoize` of a face returns.

    :param to_key: makes a key in the store of the name of a function and its arguments
    :param key: makes what stands for the arguments; `part` makes of the name and that a key
    :param identity: what the object counts as that a method is bound to
    :param life: how the face calls the seconds that a result is kept
    :raises TypeError: when used without parentheses, for a name that is no text, an `ignore`
        that is no collection, a `key` that cannot be called and one beside `ignore` or `typed`
    """
    refuse_bare(name)
    _check_name(name, life)
    check_ignored(ignore)
    if key is not None and not callable(key):
        raise TypeError(f"key={key!r}: expected a function that takes those of the call")
    if key is not None and (typed or ignore):
        raise TypeError("key cannot be combined with typed and ignore: it sees all arguments")

    def decorator(function: Any) -> Any:
        kind = type(function)
        inner = function.__func__ if kind in (classmethod, staticmethod) else function
        refuse_generators(inner)
        check_names(inner, ignore)
        in_class = kind is classmethod or (kind is not staticmethod and _in_class(inner))
        base = (full_name(inner) if name is None else name,)
        bind = _by_key(inner, key, base) if key else binder(inner, base, typed, ignore)
        if in_class and key is None and identity is not None:
            bind = _identifying(bind, identity)
        made = _wrapper(inner, bind, part if key and part else to_key, results)
        if kind is staticmethod:
            return staticmethod(made)
        if kind is classmethod:
            return MemoizedMethod.of(made, True)
        return MemoizedMethod.of(made) if in_class else made

    return decorator


def _in_class(function: Function) -> bool:
    """Whether it was defined in the body of a class."""
    outer = getattr(function, "__qualname__", "").rpartition(".")[0]
    return inspect.isfunction(function) and bool(outer) and not outer.endswith("<locals>")


def _by_key(function: Function, key: Function, base: tuple[Any, ...]) -> Bind:
    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        return (*base, key(*args, **kwargs))

    return bind


def _identifying(bind: Bind, identity: Callable[[Any], Any]) -> Bind:
    def identified(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        if args:
            args = (identity(args[0]), *args[1:])
        return bind(args, kwargs)

    return identified


def _wrapper(function: Function, bind: Bind, to_key: ToKey, results: Results) -> Function:
    """`function`, called only for what `results` does not have."""
    signature = signature_of(function)
    plain, fetch, afetch = not results.renews, results.get, results.aget

    def cache_key(*args: Any, **kwargs: Any) -> Any:
        """The key of the result of a call with these arguments."""
        call = bind(args, kwargs)
        if call is None:
            assert signature is not None  # else anything can be bound
            signature.bind(*args, **kwargs)  # it says what is wrong with them
            raise TypeError(f"{function!r} does not take these arguments")
        return to_key(call)

    def calling(*args: Any, **kwargs: Any) -> Any:
        call = bind(args, kwargs)
        if call is None:
            return function(*args, **kwargs)  # it says itself what is wrong
        key = to_key(call)
        if not plain:
            return obtain(results, key, partial(function, *args, **kwargs))
        result = fetch(key)
        if result is ENOVAL:
            return missing(results, key, partial(function, *args, **kwargs))
        return result

    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        call = bind(args, kwargs)
        if call is None:
            return await function(*args, **kwargs)
        key = to_key(call)
        if not plain:
            return await aobtain(results, key, partial(function, *args, **kwargs))
        result = await afetch(key)
        if result is ENOVAL:
            return await amissing(results, key, partial(function, *args, **kwargs))
        return result

    def invalidate(*args: Any, **kwargs: Any) -> bool:
        """Forget the result of a call with these arguments; whether there was one."""
        return results.delete(cache_key(*args, **kwargs))

    async def ainvalidate(*args: Any, **kwargs: Any) -> bool:
        """Forget the result of a call with these arguments; whether there was one."""
        return await results.adelete(cache_key(*args, **kwargs))

    def refresh(*args: Any, **kwargs: Any) -> Any:
        """Call the function, whatever is kept, and keep what it returns; that."""
        key = cache_key(*args, **kwargs)
        return renew(results, key, partial(function, *args, **kwargs))

    async def arefresh(*args: Any, **kwargs: Any) -> Any:
        """Call the function, whatever is kept, and keep what it returns; that."""
        key = cache_key(*args, **kwargs)
        return await arenew(results, key, partial(function, *args, **kwargs))

    coroutines = is_coroutine_function(function)
    made: Any = wraps(function)(awaiting if coroutines else calling)
    made.__cache_key__ = made.key_for = cache_key
    made.invalidate = ainvalidate if coroutines else invalidate
    made.refresh = arefresh if coroutines else refresh
    return made  # type: ignore[no-any-return]


class MemoizedMethod(partial):  # type: ignore[type-arg]
    """A memoized function in a class: bound to an object it is one of these again.

    It is a `partial` because Python sees through these where it asks for coroutine functions,
    and calls them as quickly as a bound method.
    """

    _of_class = False  # whether it is bound to the class, as a class method

    @classmethod
    def of(cls, function: Function, of_class: bool = False) -> MemoizedMethod:
        """The method that `function` is."""
        made = cls(function)
        made.__dict__.update(function.__dict__)
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            made.__dict__[name] = getattr(function, name)
        made._of_class = of_class
        return made

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if self._of_class:
            return BoundMethod(self.func, type(instance) if owner is None else owner)
        return self.func if instance is None else BoundMethod(self.func, instance)


class BoundMethod(partial):  # type: ignore[type-arg]
    # A memoized method of an object; its documentation is the function's.

    __doc__ = property(lambda self: self.func.__doc__)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(MethodType(self.func, *self.args))

    def __getattr__(self, name: str) -> Any:
        if name == "__self__":
            return self.args[0]
        found = getattr(self.func, name)
        if name in ("__cache_key__", "key_for", "invalidate", "refresh"):
            return partial(found, *self.args)
        return found


def _either(test: Callable[[Any], bool], function: Function) -> bool:
    """What the test says of the function, or of an object's method that makes it callable."""
    return test(function) or test(type(function).__call__)


def is_coroutine_function(function: Function) -> bool:
    """Whether a call returns a coroutine, as far as the function says so."""
    if _either(inspect.iscoroutinefunction, function):
        return True
    if sys.version_info < (3, 12) and hasattr(function, "_is_coroutine"):
        import asyncio  # loaded already, by whoever marked it

        return asyncio.iscoroutinefunction(function)
    return False


def refuse_generators(function: Function) -> None:
    """:raises TypeError: for a function whose results are generators, sync or async"""
    for kind, test in (
        ("a generator function", inspect.isgeneratorfunction),
        ("an async generator function", inspect.isasyncgenfunction),
    ):
        if _either(test, function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"{name} is {kind}, and generators cannot be kept: memoize a function that "
                "returns a list"
            )


def _check_name(name: object, life: str) -> None:
    """:raises TypeError: for a name of a function that is no text"""
    if name is not None and not isinstance(name, str):
        seconds = isinstance(name, (int, float))
        remedy = f"; seconds that a result is kept are {life}={name!r}" if seconds else ""
        raise TypeError(f"name={name!r}: expected a text or None{remedy}")


def refuse_bare(first: object, name: str = "name", call: str = "memoize()") -> None:
    """:raises TypeError: when a decorator was put on without being called

    :param first: its first argument, of this `name`
    :param call: how it is to be written
    """
    if callable(first):
        raise TypeError(f"{name} cannot be callable: write @cache.{call} with parentheses")
