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
from ..engine import inspection, statistics
from ..engine.history import DAY, HOUR, MINUTE, Traffic
from ..engine.inspection import Entry, Ranking
from ..entries import aliases, named_apart
from ..templatetags.cachefigures import clock, number, percent
from . import charts, servers
from .forms import BrowseForm, KeyForm, TagForm, quoted
from .inforce import configuration
from .listing import TROUBLE, Listed, listed

LISTED = 10  # entries in each ranking
TAGS = 20
FEW_TAGS = 5  # of an entry, that are shown at once
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
TOLD = ("hits", "misses", "evicted", "errors")  # of each part of the time
TOLD_ON_A_SERVER = ("hits", "misses", "errors")  # it evicts by itself


def traffic_rows(traffic: Sequence[Traffic], names: Sequence[str] = TOLD) -> SafeString:
    """The lines of the table with the same figures, the latest first.

    A day has a hundred lines; a template would take longer for them than for all else.
    """
    return format_html_join(
        "\n",
        f'<tr><th scope="row">{{}}</th>{FIGURE * (len(names) + 1)}</tr>',
        (
            (
                clock(part.start),
                percent(part.ratio),
                *(number(getattr(part, name)) for name in names),
            )
            for part in reversed(traffic)
            if part.reads or part.evicted or part.errors
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


OF_FILES = {"django_diskcache.W108"}  # those that name no alias, and are about SQLite


def complaints(cache: Listed) -> list[CheckMessage]:
    """What our system checks say of a cache, those of ``check --deploy`` too."""
    entries = repr(settings.CACHES)
    asked = time.monotonic() // CHECKED_FOR
    found = [each for each in _checked(entries, asked) if _concerns(each, cache.alias)]
    return found if cache.engine.in_files else [e for e in found if e.id not in OF_FILES]


@lru_cache(1)  # they look at thousands of files
def _checked(entries: str, asked: float) -> list[CheckMessage]:
    found = [*checks.check_settings(), *deployment.check_deployment()]
    return [each for each in found if not each.is_silenced()]


def _concerns(message: CheckMessage, alias: str) -> bool:
    """Whether a message names this alias, or none of ours at all."""
    named = [each for each in aliases() if repr(each) in str(message.msg)]
    return alias in named or not named


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


def rows(entries: Sequence[Any], now: float) -> list[dict[str, Any]]:
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
    chosen = RANGES[DEFAULT_RANGE]
    cards: dict[str, dict[str, Any]] = {}
    on_servers = []
    for alias in aliases():
        try:
            cache = listed(alias)
            if cache.engine.in_files:
                traffic = cache.engine.history.traffic(chosen.span, chosen.step)
                cards[alias] = figures(cache) | {
                    "plots": plots(alias, traffic, str(chosen.label))
                }
            else:
                cards[alias] = {}  # all servers are asked at the same time
                on_servers.append(cache)
        except TROUBLE as error:
            cards[alias] = {"trouble": str(error)}
    looks = servers.looks(on_servers, chosen.span, chosen.step)
    names = named_apart() if on_servers else {}
    for cache, look in zip(on_servers, looks, strict=True):
        cards[cache.alias] = servers.figures(cache, look, names) | _server_plots(
            cache, look, chosen
        )
    return {"cards": [{"alias": alias, **card} for alias, card in cards.items()]}


def _server_plots(cache: Listed, look: servers.Look | None, chosen: Range) -> dict[str, Any]:
    if look is None or look.traffic is None:
        return {}
    return {
        "plots": plots(cache.alias, look.traffic, str(chosen.label)),
        "traffic_rows": traffic_rows(look.traffic, TOLD_ON_A_SERVER),
    }


def cache_page(cache: Listed, chosen: Range) -> dict[str, Any]:
    """One cache with all that is known of it."""
    about = {
        "now": cache.engine.clock(),
        "range": chosen,
        "ranges": RANGES.values(),
        "complaints": complaints(cache),
        "configuration": configuration(cache),
        "key_form": KeyForm(cache.cache),
        "tag_form": TagForm(),
    }
    if cache.engine.in_files:
        return about | _in_files(cache, chosen, about["now"])
    (look,) = servers.looks([cache], chosen.span, chosen.step)
    known = servers.figures(cache, look, named_apart())
    return about | known | _server_plots(cache, look, chosen)


def _in_files(cache: Listed, chosen: Range, now: float) -> dict[str, Any]:
    """What the page of a cache in files has beside."""
    known = figures(cache)
    looked_at = inspection.sample(
        cache.engine.stores, [shard.entries for shard in known["figures"].shards]
    )
    traffic = cache.engine.history.traffic(chosen.span, chosen.step)
    return known | {
        "plots": plots(cache.alias, traffic, str(chosen.label)),
        "traffic_rows": traffic_rows(traffic),
        "shards": shards(known["figures"]),
        "looked_at": len(looked_at.entries),
        "whole": looked_at.whole,
        "tags": [(tag, TagForm.fields_of(tag.tag)) for tag in inspection.tags(looked_at, TAGS)],
        "rankings": rankings(cache, looked_at, now),
    }


def keys_page(cache: Listed, query: QueryDict) -> dict[str, Any]:
    """Keys by their beginning, a page of them."""
    now = cache.engine.clock()
    if not cache.engine.in_files:
        context = servers.keys_page(cache, query, _whole(cache, query))
        return context | {"now": now, "rows": rows(context["entries"], now)}
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
    if not cache.engine.in_files:
        # How many there are takes a look at every name on the server.
        count = servers.tagged(cache, target) if action == "evict" else None
        estimated = True
    elif action == "clear":
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
    context = {"form": form, "key": key, "now": now, "quoted": quoted(str(key))}
    if not cache.engine.in_files:
        context |= servers.entry(cache, key)
        if context["entry"] is not None:
            context |= _tags_of(context["entry"])
        return context
    store, place = cache.engine.place(key)
    entry = inspection.find(store, place)
    context["entry"] = entry
    if entry is not None:
        context |= _tags_of(entry) | {
            "dead": entry.expire is not None and entry.expire <= now,
            "preview": inspection.preview(store, entry),
            "access": inspection.access(store, entry),
            "path": inspection.path_of(store, entry),
        }
    return context


def _tags_of(entry: Any) -> dict[str, Any]:
    """The tags of an entry with the data of their forms: the first few, and the others."""
    tags = [(tag, TagForm.fields_of(tag)) for tag in entry.tags]
    return {"tags": tags[:FEW_TAGS], "more_tags": tags[FEW_TAGS:]}
