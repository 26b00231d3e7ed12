"""Filters of the dashboard's templates: figures, times, keys and values as people read them.

A page has hundreds of them, and most are those of the page before: what is told in the same
words again is remembered, for each language.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone, get_current_timezone_name
from django.utils.translation import get_language, gettext, ngettext, ngettext_lazy

from ..dashboard import charts

register = template.Library()
register.filter("bar", charts.bar)

NOTHING = "\N{EN DASH}"
UNIT = 1000
UNITS = ("kB", "MB", "GB", "TB")
DAY = 86_400
YEAR = 365.2425 * DAY
# Seconds of each unit, the largest first.
SPANS = (
    (YEAR, ngettext_lazy("%(num)d year", "%(num)d years", "num")),
    (YEAR / 12, ngettext_lazy("%(num)d month", "%(num)d months", "num")),
    (7 * DAY, ngettext_lazy("%(num)d week", "%(num)d weeks", "num")),
    (DAY, ngettext_lazy("%(num)d day", "%(num)d days", "num")),
    (3600, ngettext_lazy("%(num)d hour", "%(num)d hours", "num")),
    (60, ngettext_lazy("%(num)d minute", "%(num)d minutes", "num")),
    (1, ngettext_lazy("%(num)d second", "%(num)d seconds", "num")),
)
REMEMBERED = 4096


@register.filter
def number(value: Any) -> str:
    """A whole number with its thousands apart, as the language has it."""
    if type(value) is int and 0 <= value < UNIT:  # alike in every language
        return str(value)
    return _number(value, get_language())


@lru_cache(REMEMBERED)
def _number(value: Any, language: str | None) -> str:
    return number_format(value, decimal_pos=0, force_grouping=True)


@register.filter
def size(count: float) -> str:
    """Bytes in a unit that fits: powers of 1000, as ``"64MB"`` among the options is."""
    whole = round(count)
    if whole < UNIT:
        return ngettext("%(n)s byte", "%(n)s bytes", whole) % {"n": whole}
    amount = float(whole)
    for unit in UNITS:
        amount /= UNIT
        if amount < UNIT - 0.05 or unit == UNITS[-1]:  # else it would be rounded up to 1000
            break
    return f"{_decimal(amount)} {unit}"


@register.filter
def percent(part: float | None) -> str:
    """A part of 1 in per cent, with one decimal; a dash for None."""
    return NOTHING if part is None else _percent(round(1000 * part), get_language())


@lru_cache(REMEMBERED)
def _percent(thousandths: int, language: str | None) -> str:
    return gettext("%(number)s %%") % {"number": _decimal(thousandths / 10)}


@register.filter
def milliseconds(seconds: float) -> str:
    """A short time span, with two decimals."""
    return gettext("%(number)s ms") % {"number": number_format(1000 * seconds, decimal_pos=2)}


@register.filter
def text(value: Any) -> str:
    """A key or tag on one line, whatever characters it has; other types than text as code."""
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in value)
    return repr(value)


@register.filter
def duration(seconds: float) -> str:
    """A time span in words, in the largest unit of which it has one."""
    span = abs(seconds)
    unit, words = next((each for each in SPANS if span >= each[0]), SPANS[-1])
    return str(words % {"num": int(span // unit)}).replace(" ", "\N{NO-BREAK SPACE}")


@register.simple_tag
def moment(seconds: float | None, now: float) -> SafeString | str:
    """A time, in seconds since the epoch, told by its distance from `now`."""
    if seconds is None:
        return gettext("never")
    try:
        time = datetime.fromtimestamp(seconds, get_current_timezone())
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return gettext("in the far future") if seconds > now else gettext("long ago")
    words = gettext("in %(time)s") if seconds > now else gettext("%(time)s ago")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        time.isoformat(),
        time.isoformat(" ", "seconds"),
        words % {"time": duration(seconds - now)},
    )


@register.simple_tag(takes_context=True)
def nonce(context: Any) -> SafeString | str:
    """The attribute by which a strict Content-Security-Policy knows our file, if it asks."""
    given = context.get("csp_nonce")  # lazy: it is false until it is printed
    return "" if given is None else format_html('nonce="{}"', given)


@register.filter
def clock(seconds: int) -> str:
    """Seconds since the epoch as date and time."""
    return _clock(seconds, get_language(), get_current_timezone_name())


@lru_cache(REMEMBERED)
def _clock(seconds: int, language: str | None, zone: str) -> str:
    time = datetime.fromtimestamp(seconds, get_current_timezone())
    return date_format(time, "SHORT_DATETIME_FORMAT")


def _decimal(value: float) -> str:
    return number_format(round(value, 1), decimal_pos=1)  # which itself cuts off
