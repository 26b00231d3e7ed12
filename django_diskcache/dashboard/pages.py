"""What the pages show: each function makes the context of one. Nothing is changed here.

A page costs as much at a million entries as at a thousand: figures and samples are bounded,
keys come by their index.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.http import QueryDict
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from .. import checks, deployment
from ..configuration import DEFAULTS, FACE_OPTIONS
from ..engine import Disk, inspection, statistics
from ..engine.history import DAY, HOUR, MINUTE, Traffic
from ..engine.inspection import Entry, Ranking
from ..engine.options import OPTIONS
from ..entries import aliases
from ..templatetags.cachefigures import clock, number, percent
from . import charts
from .forms import BrowseForm, KeyForm, TagForm, quoted
from .listing import TROUBLE, Listed, listed

LISTED = 10  # entries in each ranking
TAGS = 20
PAGE = 50  # keys on a page
MOST_COUNTED = 10_000  # entries of a tag; more are not worth the time
CHECKED_FOR = 60.0  # seconds that the result of the system checks is shown


@dataclass(frozen=True)
class Range:
    """A choice of the time that the charts show."""

    name: str
    label: Any
    span: int  # seconds
    step: int


RANGES = {
    each.name: each
    for each in (
        Range("hour", gettext_lazy("Last hour"), HOUR, MINUTE),
        Range("day", gettext_lazy("Last 24 hours"), DAY, 15 * MINUTE),
        Range("month", gettext_lazy("Last 30 days"), 30 * DAY, 6 * HOUR),
    )
}
DEFAULT_RANGE = "day"


# Parts of pages


def plots(alias: str, traffic: Sequence[Traffic], label: str) -> dict[str, Any]:
    """The two charts of a cache, and the labels around them."""
    hits = sum(part.hits for part in traffic)
    reads = sum(part.reads for part in traffic)
    ratio = hits / reads if reads else None
    top = max((part.reads for part in traffic), default=0)
    about = {
        "alias": alias,
        "range": label,
        "ratio": percent(ratio) if reads else gettext("no reads"),
        "reads": number(reads),
        "top": number(top),
    }
    return {
        "ratio": charts.ratio_plot(
            traffic,
            gettext("Hit ratio of %(alias)s") % about,
            gettext("%(range)s. Over the whole time: %(ratio)s.") % about,
        ),
        "traffic": charts.traffic_plot(
            traffic,
            gettext("Reads of %(alias)s") % about,
            gettext("%(range)s. %(reads)s reads; at most %(top)s in one part.") % about,
        ),
        "top": top,
        "reads": reads,
        "span_ratio": ratio,
        "start": traffic[0].start,
        "middle": traffic[len(traffic) // 2].start,
        "end": traffic[-1].start + traffic[-1].seconds,
    }


FIGURE = '<td class="dc-right">{}</td>'


def traffic_rows(traffic: Sequence[Traffic]) -> SafeString:
    """The lines of the table with the same figures, the latest first.

    A day has a hundred lines; a template would take longer for them than for all else.
    """
    return format_html_join(
        "\n",
        f'<tr><th scope="row">{{}}</th>{FIGURE * 5}</tr>',
        (
            (
                clock(part.start),
                percent(part.ratio),
                *map(number, (part.hits, part.misses, part.evicted, part.errors)),
            )
            for part in reversed(traffic)
            if part.reads or part.evicted
        ),
    )


def figures(cache: Listed) -> dict[str, Any]:
    """What a cache has done and holds."""
    found = cache.cache.figures()
    evicted = {name: n for name, n in found.evictions.items() if name != "expired"}
    limit = found.size_limit
    return {
        "figures": found,
        "reads": found.hits + found.misses,
        "evicted": sum(evicted.values()),
        "evictions": [(REASONS.get(name, name), n) for name, n in found.evictions.items() if n],
        "error_count": sum(found.errors.values()),
        "errors": [(ERRORS.get(name, name), n) for name, n in found.errors.items() if n],
        "filled": found.volume / limit if limit else 0.0,
    }


REASONS = {
    "size": gettext_lazy("by the size limit"),
    "entries": gettext_lazy("by the limit on entries"),
    "expired": gettext_lazy("expired and removed"),
    "refused": gettext_lazy("refused, being too large"),
}
ERRORS = {
    "locked": gettext_lazy("locked for too long"),
    "full": gettext_lazy("disk full"),
    "corrupt": gettext_lazy("damaged"),
    "denied": gettext_lazy("access denied"),
    "lost": gettext_lazy("lost"),
    "other": gettext_lazy("of another kind"),
}


def complaints(alias: str) -> list[CheckMessage]:
    """What our system checks say of this alias, those of ``check --deploy`` too."""
    entries = repr(settings.CACHES)
    asked = time.monotonic() // CHECKED_FOR
    return [each for each in _checked(entries, asked) if _concerns(each, alias)]


@lru_cache(1)  # they look at thousands of files
def _checked(entries: str, asked: float) -> list[CheckMessage]:
    found = [*checks.check_settings(), *deployment.check_deployment()]
    return [each for each in found if not each.is_silenced()]


def _concerns(message: CheckMessage, alias: str) -> bool:
    """Whether a message names this alias, or none of ours at all."""
    named = [each for each in aliases() if repr(each) in str(message.msg)]
    return alias in named or not named


OF_DJANGO = {"TIMEOUT": 300, "KEY_PREFIX": "", "VERSION": 1}  # the defaults of every cache


def configuration(cache: Listed) -> list[dict[str, Any]]:
    """Each setting in force, whether it is in bytes, and whether it is not the default."""
    engine = cache.engine
    backend = cache.cache
    face = backend._cache
    handler = getattr(face.error_handler, "given", face.error_handler)  # with signals
    values = {
        "LOCATION": engine.directory,
        "TIMEOUT": backend.default_timeout,
        "KEY_PREFIX": backend.key_prefix,
        "VERSION": backend.version,
        "shards": len(engine.stores),
        "database_timeout": face.timeout,
        "disk": _path(engine.disk_type),
        "signing": bool(engine.secrets),
        "error_handler": None if handler is None else _path(handler),
        "strict": not face.absorbs,
        "timeout_jitter": backend._jitter,
        "signals": hasattr(type(backend), "sends"),
        **engine.settings,
    }
    defaults = {name: each.default for name, each in (FACE_OPTIONS | OPTIONS).items()}
    defaults |= {**DEFAULTS, **OF_DJANGO, "disk": _path(Disk)}
    return [
        {
            "name": name,
            "value": value,
            "bytes": name in OPTIONS and OPTIONS[name].unit == "bytes" and value is not None,
            "changed": name in defaults and defaults[name] != value,
        }
        for name, value in values.items()
    ]


def _path(value: Any) -> str:
    """The dotted path of a class or a function; of another callable, what it says of itself."""
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if name else repr(value)


def shards(found: statistics.Statistics) -> list[dict[str, Any]]:
    """A line for each shard, with bars in proportion to the largest."""
    largest = max((shard.volume for shard in found.shards), default=0)
    return [
        {"shard": shard, "part": shard.volume / largest if largest else 0.0}
        for shard in found.shards
    ]


def rankings(cache: Listed, looked_at: inspection.Sample, now: float) -> list[dict[str, Any]]:
    """The largest, the oldest and the soonest to expire."""
    stores = cache.engine.stores
    front = inspection.front(stores)
    made: tuple[tuple[str, str, Ranking], ...] = (
        ("largest", gettext("Largest"), inspection.largest(stores, looked_at, LISTED)),
        ("oldest", gettext("Oldest"), inspection.oldest(front, LISTED)),
        (
            "soonest",
            gettext("Next to expire"),
            inspection.soonest(looked_at, front, now, LISTED),
        ),
    )
    return [
        {"name": name, "title": title, "ranking": ranking, "rows": rows(ranking.entries, now)}
        for name, title, ranking in made
    ]


def rows(entries: Sequence[Entry], now: float) -> list[dict[str, Any]]:
    """Entries as the tables of the templates take them."""
    return [
        {
            "entry": entry,
            "text": type(entry.key) is str and bool(entry.raw),
            "dead": entry.expire is not None and entry.expire <= now,
        }
        for entry in entries
    ]


# Pages


def overview() -> dict[str, Any]:
    """Each cache with its figures and its day."""
    cards = []
    for alias in aliases():
        try:
            cache = listed(alias)
            chosen = RANGES[DEFAULT_RANGE]
            traffic = cache.engine.history.traffic(chosen.span, chosen.step)
            card = figures(cache) | {"plots": plots(alias, traffic, str(chosen.label))}
        except TROUBLE as error:
            card = {"trouble": str(error)}
        cards.append({"alias": alias, **card})
    return {"cards": cards}


def cache_page(cache: Listed, chosen: Range) -> dict[str, Any]:
    """One cache with all that is known of it."""
    now = cache.engine.clock()
    known = figures(cache)
    looked_at = inspection.sample(
        cache.engine.stores, [shard.entries for shard in known["figures"].shards]
    )
    traffic = cache.engine.history.traffic(chosen.span, chosen.step)
    return known | {
        "now": now,
        "plots": plots(cache.alias, traffic, str(chosen.label)),
        "traffic_rows": traffic_rows(traffic),
        "range": chosen,
        "ranges": RANGES.values(),
        "complaints": complaints(cache.alias),
        "shards": shards(known["figures"]),
        "looked_at": len(looked_at.entries),
        "whole": looked_at.whole,
        "tags": [(tag, TagForm.fields_of(tag.tag)) for tag in inspection.tags(looked_at, TAGS)],
        "rankings": rankings(cache, looked_at, now),
        "configuration": configuration(cache),
        "key_form": KeyForm(cache.cache),
        "tag_form": TagForm(),
    }


def keys_page(cache: Listed, query: QueryDict) -> dict[str, Any]:
    """Keys by their beginning, a page of them."""
    form = BrowseForm(cache.cache, _whole(cache, query))
    everything = "all" in query
    after, before = query.get("after", ""), query.get("before", "")
    entries: list[Entry] = []
    head = ""
    if everything or form.is_valid():
        head = "" if everything else str(form.stored())
        stores = cache.engine.stores
        entries = inspection.keys(stores, head, PAGE + 1, after=after, before=before)
    more = len(entries) > PAGE
    entries = entries[-PAGE:] if before else entries[:PAGE]
    # Where all of a page was deleted meanwhile, the one before it ends where this began.
    first = entries[0].key if entries else f"{after}\0"
    now = cache.engine.clock()
    return {
        "form": form,
        "now": now,
        "all": everything,
        "head": head,
        "rows": rows(entries, now),
        "first": _query(query) if after or before else None,
        "previous": _query(query, before=first) if after or (before and more) else None,
        "next": _query(query, after=entries[-1].key) if entries and (before or more) else None,
    }


def _query(query: QueryDict, **place: str) -> str:
    """The query of another page of the same keys."""
    other = query.copy()
    for name in ("after", "before"):
        other.pop(name, None)
    other.update(place)
    return other.urlencode()


def _whole(cache: Listed, query: QueryDict) -> QueryDict:
    """The query with this cache's own version and prefix where it has none."""
    whole = query.copy()
    if not whole.get("version"):
        whole["version"] = str(cache.cache.version)
    whole.setdefault("key_prefix", cache.cache.key_prefix)
    return whole


def concerned(cache: Listed, action: str, target: Any) -> dict[str, Any]:
    """How many entries an action would remove, as far as that is known at little cost."""
    count = None
    estimated = False
    if action == "clear":
        found = cache.cache.figures()
        count, estimated = found.entries, found.estimated
    elif action == "evict" and cache.engine.settings["tag_index"]:
        count = inspection.tagged(cache.engine.stores, target, MOST_COUNTED)
    return {"count": count, "estimated": estimated, "most": MOST_COUNTED}


def entry_page(cache: Listed, query: QueryDict) -> dict[str, Any]:
    """One entry, by its stored key or by what the site's code calls it."""
    form = KeyForm(cache.cache, None if "stored" in query else _whole(cache, query))
    if "stored" in query:
        key: Any = query["stored"]
    elif form.is_valid():
        key = form.stored()
    else:
        return {"form": form, "invalid": True}
    now = cache.engine.clock()
    store, place = cache.engine.place(key)
    entry = inspection.find(store, place)
    context = {"form": form, "key": key, "now": now, "entry": entry}
    if entry is not None:
        context |= {
            "dead": entry.expire is not None and entry.expire <= now,
            "preview": inspection.preview(store, entry),
            "access": inspection.access(store, entry),
            "path": inspection.path_of(store, entry),
            "quoted": quoted(str(key)),
            "tags": [(tag, TagForm.fields_of(tag)) for tag in entry.tags],
        }
    return context
