"""A template fragment that is cached with a tag, which Django's own `{% cache %}` cannot do."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from ..caching import DAY, cache

register = template.Library()


@register.simple_tag
def cached_include(name: str, tag: str, **values: Any) -> SafeString:
    """The template `name`, rendered with `values` alone and kept until `tag` is evicted.

    Lazy querysets among the values are run only when the fragment is rendered.
    """
    key = f"fragment:{name}:{tag}"
    html: str | None = cache.get(key)
    if html is None:
        html = render_to_string(name, values)
        cache.set(key, html, timeout=DAY, tag=tag)
    return mark_safe(html)
