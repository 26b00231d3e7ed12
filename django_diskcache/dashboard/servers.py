"""What the pages show of a cache on a server.

The package of the server's client is an extra: what needs it is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy, ngettext

from ..engine.errors import Fault
from ..engine.faults import FAULTS
from ..engine.history import Traffic
from ..engine.options import OPTIONS
from ..engine.patterns import beginning
from ..engine.together import together
from ..entries import entries
from ..faceoptions import ON_A_SERVER, SERVER_TIMEOUT
from ..templatetags.cachefigures import number
from .forms import ServerBrowseForm
from .listing import Listed

if TYPE_CHECKING:
    from ..server.browsing import Page, Place
    from ..server.gauges import ServerFigures

PAGE = 50  # keys on a page
DEFAULTS = {"database_timeout": SERVER_TIMEOUT}  # that differ from those in files
PATIENCE = 2.5  # seconds for all that a page asks of servers; each of these has less

ERRORS = {
    "slow": gettext_lazy("no answer in time"),
    "lost": gettext_lazy("no connection"),
    "loading": gettext_lazy("server is starting"),
    "readonly": gettext_lazy("a replica, asked to write"),
    "full": gettext_lazy("memory full"),
    "denied": gettext_lazy("access denied"),
    "down": gettext_lazy("cluster not complete"),
    "other": gettext_lazy("of another kind"),
}


class Look(NamedTuple):
    """What was asked of the servers of a cache."""

    figures: ServerFigures
    traffic: Sequence[Traffic] | None  # None where it is not known


def looks(caches: Sequence[Listed], span: int, step: int) -> list[Look | None]:
    """One at each of these caches, at the same time; None where it took too long."""
    return together([partial(_look, cache, span, step) for cache in caches], PATIENCE)


def _look(cache: Listed, span: int, step: int) -> Look:
    from ..server import gauges

    engine = cache.engine
    figures = gauges.figures(engine, *gauges.survey(engine))
    traffic = None
    if figures.told:
        with suppress(*FAULTS):
            traffic = engine.history.traffic(span, step)
    return Look(figures, traffic)


def figures(cache: Listed, look: Look | None, names: Mapping[str, str]) -> dict[str, Any]:
    """What a cache has done, and what its servers hold.

    :param names: by alias, those that caches are told apart by
    """
    context: dict[str, Any] = {
        "address": cache.engine.directory,
        "on_server": True,
        "server_name": names.get(cache.alias),
    }
    if look is None:
        return {**context, "state": gettext("no answer in time"), "reachable": False}
    found = look.figures
    nodes = len(found.nodes)
    away = [_trouble(each.name, each.fault) for each in found.away]
    untold = [] if found.untold is None else [_trouble(found.untold.path, found.untold)]
    limits = [node.memory_limit for node in found.nodes]
    limit = sum(limits) if all(limits) else 0
    return {
        **context,
        "figures": found,
        "reachable": bool(nodes),
        "state": _state(nodes, len(away)),
        "away": away,
        "troubles": away + untold,
        "reads": found.hits + found.misses,
        "limit": limit,
        "filled": found.memory / limit if limit else None,
        "keys": found.held,
        "evicted": sum(node.evicted for node in found.nodes),
        "expired": sum(node.expired for node in found.nodes),
        "error_count": sum(found.errors.values()),
        "errors": [(ERRORS.get(name, name), n) for name, n in found.errors.items() if n],
        "clustered": any(node.slots for node in found.nodes),
    }


def _trouble(name: str, fault: Fault) -> dict[str, Any]:
    kind = ERRORS.get(fault.kind, fault.kind)
    return {"name": name, "kind": kind, "why": fault.args[2]}


def _state(nodes: int, away: int) -> str:
    if not away:
        return gettext("reachable")
    if not nodes:
        return gettext("not reachable")
    text = gettext("%(answering)s of %(servers)s servers answer")
    return text % {"answering": nodes, "servers": nodes + away}


# Settings


def in_force(cache: Listed, common: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values in force, and the options that are given and mean nothing on a server.

    :param common: values that every cache has
    """
    engine = cache.engine
    known = {name: value for name, value in engine.settings.items() if _means_something(name)}
    values = {**common, "server_name": engine.name, **known}
    given = [e.configuration.ignored for e in entries() if e.alias == cache.alias]
    return values, given[0] if given else []


def _means_something(name: str) -> bool:
    return name in ON_A_SERVER or (name.startswith("disk_") and name not in OPTIONS)


# Entries


def keys_page(cache: Listed, query: QueryDict, whole: QueryDict) -> dict[str, Any]:
    """Keys like a pattern or with a tag, some at a time, in the order that the server has.

    :param query: as it was asked
    :param whole: the same with the cache's own version and prefix
    """
    from ..server import browsing

    form = ServerBrowseForm(cache.cache, whole)
    everything, by_tag = "all" in query, False
    after = browsing.Place.read(query.get("from", ""))
    found = browsing.Page([], None, 0, [])
    if everything:
        found = browsing.by_pattern(cache.engine, beginning(""), after, PAGE)
    elif form.is_valid():
        tag, pattern = form.cleaned_data["value"], form.pattern()
        if tag is None:
            found = browsing.by_pattern(cache.engine, pattern, after, PAGE)
        else:
            by_tag = True
            try:
                found = browsing.by_tag(cache.engine, tag, pattern, after, PAGE)
            except ValueError as error:  # it is too long
                form.add_error("tag", str(error))
    return {
        "form": form,
        "all": everything,
        "on_server": True,
        "entries": found.entries,
        "about": _looked(found, after, by_tag) if everything or form.is_valid() else "",
        "away": list(dict.fromkeys(map(str, found.away))),
        "first": _query(query) if after else None,
        "next": _query(query, found.next.token) if found.next else None,
    }


def _looked(found: Page, after: Place | None, by_tag: bool) -> str:
    """Among how many names the entries of a page were found."""
    if by_tag:
        text = ngettext(
            "%(number)s name with this tag was looked at",
            "%(number)s names with this tag were looked at",
            found.looked,
        )
    elif found.next is not None or found.away:
        text = ngettext(
            "about %(number)s name on the server was looked at",
            "about %(number)s names on the server were looked at",
            found.looked,
        )
    elif after:
        return gettext("the rest of the names on the server was looked at")
    else:  # a server looks at a thousand at least, and does not say how many there were
        return gettext("all names on the server were looked at")
    return text % {"number": number(found.looked)}


def _query(query: QueryDict, place: str | None = None) -> str:
    other = query.copy()
    other.pop("from", None)
    if place is not None:
        other["from"] = place
    return other.urlencode()


def entry(cache: Listed, key: str) -> dict[str, Any]:
    """One entry, by its stored key."""
    from ..server import browsing

    found = browsing.find(cache.engine, key)
    if found is None:
        return {"entry": None, "on_server": True}
    entry, preview = found
    return {
        "entry": entry,
        "preview": preview,
        "on_server": True,
        "name": entry.name.decode(errors="replace"),
    }


def tagged(cache: Listed, tag: Any) -> int:
    """How many entries have a tag, at most; some of these may be gone."""
    from ..server import browsing

    return browsing.tagged(cache.engine, tag)
