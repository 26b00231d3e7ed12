"""Filters of the dashboard's templates: figures, times, keys and values as people read them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from django import template
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext

from ..dashboard import charts

register = template.Library()
register.filter("bar", charts.bar)

NOTHING = "\N{EN DASH}"
UNIT = 1000
UNITS = ("kB", "MB", "GB", "TB")
SHORTEST = 60  # seconds; less is told in seconds


@register.filter
def number(value: Any) -> str:
    """A whole number with its thousands apart, as the language has it."""
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
    if part is None:
        return NOTHING
    return gettext("%(number)s %%") % {"number": _decimal(100 * part)}


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
    """A time span in words."""
    if abs(seconds) < SHORTEST:
        whole = int(abs(seconds))
        return ngettext("%(n)d second", "%(n)d seconds", whole) % {"n": whole}
    return timesince(_moment(0), _moment(abs(seconds)), depth=1)


@register.simple_tag
def moment(seconds: float | None, now: float) -> SafeString | str:
    """A time, in seconds since the epoch, told by its distance from `now`."""
    if seconds is None:
        return gettext("never")
    words = gettext("in %(time)s") if seconds > now else gettext("%(time)s ago")
    try:
        time = localtime(_moment(seconds))
        exact = date_format(time, "DATETIME_FORMAT")
        told = words % {"time": duration(seconds - now)}
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return gettext("in the far future") if seconds > now else gettext("long ago")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', time.isoformat(), exact, told
    )


@register.simple_tag(takes_context=True)
def nonce(context: Any) -> SafeString | str:
    """The attribute by which a strict Content-Security-Policy knows our file, if it asks."""
    given = context.get("csp_nonce")  # lazy: it is false until it is printed
    return "" if given is None else format_html('nonce="{}"', given)


@register.filter
def clock(seconds: int) -> str:
    """Seconds since the epoch as date and time."""
    return date_format(localtime(_moment(seconds)), "SHORT_DATETIME_FORMAT")


def _decimal(value: float) -> str:
    return number_format(round(value, 1), decimal_pos=1)  # which itself cuts off


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=timezone.utc)
