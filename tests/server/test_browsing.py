"""Looks at single entries: what is said of each kind of value, compressed or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_diskcache.server import ServerCache, browsing

from .servers import Server

Make = Callable[..., ServerCache]
TEXT = "a line of text\n" * 100
VALUES: list[Any] = [TEXT, TEXT.encode(), [TEXT]]


@pytest.mark.parametrize("secret", ["secret", None])
def test_a_compressed_value_is_shown_like_any_other(
    server: Server, make_cache: Make, secret: str | None
) -> None:
    plain = make_cache(server, secret=secret)
    packed = make_cache(server, secret=secret, compression="zlib", name="packed")
    for number, value in enumerate(VALUES):
        seen = []
        for cache, codec in ((plain, None), (packed, "zlib")):
            cache.set(f"{number}", value)
            found = browsing.find(cache.engine, f"{number}")
            assert found is not None
            entry, preview = found
            assert entry.codec == codec
            seen.append((preview.kind, preview.text))
        assert seen[0] == seen[1]
        assert seen[0][1]
