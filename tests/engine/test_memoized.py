"""What a type checker knows of memoized functions; mypy reads this, and nothing of it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django_diskcache.engine.memoized import Memoized, MemoizedCoroutine

if TYPE_CHECKING:
    from typing_extensions import assert_type

    from django_diskcache import Cache, DjangoCache

    cache = cast("Cache", None)
    backend = cast("DjangoCache", None)

    @cache.memoize(expire=60)
    def double(x: int, *, loud: bool = False) -> str:
        return str(2 * x)

    assert_type(double(1, loud=True), str)
    assert_type(double.invalidate(1), bool)
    assert_type(double.refresh(x=1), str)
    assert_type(double.__wrapped__(1), str)
    double("1")  # type: ignore[arg-type]
    double.invalidate()  # type: ignore[call-arg]
    double.refresh(1, quiet=True)  # type: ignore[call-arg]

    @backend.memoize(timeout=60)
    async def fetch(x: int) -> bytes:
        return bytes(x)

    async def use() -> None:
        assert_type(await fetch(1), bytes)
        assert_type(await fetch.invalidate(1), bool)
        assert_type(await fetch.refresh(1), bytes)
        await fetch("1")  # type: ignore[arg-type]

    class Article:
        @cache.memoize()
        def html(self, theme: str) -> str:
            return theme

        @cache.memoize()
        async def summary(self, length: int) -> str:
            return "" * length

    assert_type(Article().html("dark"), str)
    assert_type(Article().html.invalidate("dark"), bool)
    Article().html(1)  # type: ignore[arg-type]
    Article().html.refresh()  # type: ignore[call-arg]
    Article.html(Article(), "dark")

    async def use_method() -> None:
        assert_type(await Article().summary(3), str)
        assert_type(await Article().summary.invalidate(3), bool)


def test_the_names_can_be_imported() -> None:
    assert Memoized.invalidate.__doc__ == MemoizedCoroutine.invalidate.__doc__
