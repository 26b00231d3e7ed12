"""Fresh caches for unittest: a mixin that needs nothing to be called."""

from __future__ import annotations

import unittest
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from .clocks import CacheClock
from .fresh import fresh_caches

if TYPE_CHECKING:
    Case = unittest.TestCase
else:
    Case = object


class CacheTestMixin(Case):
    """Each test of the class has its own, empty caches, as `fresh_caches` makes them.

    It goes before the class of Django or unittest, as in
    ``class PageTest(CacheTestMixin, TestCase)``. What `setUpClass` and `setUpTestData` do has
    caches of its own too, which tests do not see.

    :raises TypeError: when a class has it behind that of Django or unittest
    """

    #: Names in CACHES that are to be fresh; None is all whose backend is `DjangoCache`.
    cache_aliases: ClassVar[Iterable[str] | None] = None
    #: Options for them, as in OPTIONS.
    cache_options: ClassVar[Mapping[str, Any]] = {}
    #: The clock that they go by.
    cache_clock: CacheClock

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Behind it, `run` would be that of unittest: nothing would be fresh, or say so.
        for base in cls.__mro__[: cls.__mro__.index(CacheTestMixin)]:
            if issubclass(base, unittest.TestCase) and not issubclass(base, CacheTestMixin):
                first = f"CacheTestMixin, {base.__name__}"
                raise TypeError(
                    f"{cls.__name__}: CacheTestMixin goes before {base.__name__}, as in "
                    f"class {cls.__name__}({first}), or the caches of the site are used"
                )

    @classmethod
    def setUpClass(cls) -> None:
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        stack.enter_context(fresh_caches(cls.cache_aliases, **cls.cache_options))
        super().setUpClass()

    # Around the whole of a test: no `setUp` that forgets to call its ancestor leaves it out.

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        with fresh_caches(self.cache_aliases, **self.cache_options) as self.cache_clock:
            return super().run(result)

    def debug(self) -> None:
        with fresh_caches(self.cache_aliases, **self.cache_options) as self.cache_clock:
            super().debug()
