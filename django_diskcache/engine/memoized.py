"""What a type checker knows of memoized functions: their arguments and results stay.

The decorator of `memoize` is a `Memoizer`. It returns a `Memoized` function, or for a coroutine
function a `MemoizedCoroutine`, of which everything but `key_for` is awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class _Keyed(Protocol[P]):
    __name__: str
    __qualname__: str

    def __cache_key__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The same as `key_for`."""

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The key of the result of a call with these arguments."""


class Memoized(_Keyed[P], Protocol[P, R_co]):
    """A function whose results are kept."""

    @property
    def __wrapped__(self) -> Callable[P, R_co]:
        """The function itself."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result that is kept, or that of the function."""

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of a call with these arguments; whether there was one."""

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, whatever is kept, and keep what it returns; that."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Memoized[P, R_co]: ...
    @overload
    def __get__(
        self: Memoized[Concatenate[Any, Q], T], instance: object, owner: Any = None
    ) -> Memoized[Q, T]: ...


class MemoizedCoroutine(_Keyed[P], Protocol[P, R_co]):
    """A coroutine function of which is kept what it returns when awaited."""

    @property
    def __wrapped__(self) -> Callable[P, Coroutine[Any, Any, R_co]]:
        """The function itself."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result that is kept, or that of the function."""

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of a call with these arguments; whether there was one."""

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, whatever is kept, and keep what it returns; that."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> MemoizedCoroutine[P, R_co]: ...
    @overload
    def __get__(
        self: MemoizedCoroutine[Concatenate[Any, Q], T], instance: object, owner: Any = None
    ) -> MemoizedCoroutine[Q, T]: ...


class Memoizer(Protocol):
    """The decorator that `memoize` returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the first that fits is the right one
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> MemoizedCoroutine[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Memoized[P, T]: ...
