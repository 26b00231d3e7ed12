"""What can be done to a cache from the dashboard, each thing declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy, ngettext

from ..templatetags.cachefigures import text
from .forms import StoredKeyForm, TagForm
from .listing import Listed


@dataclass(frozen=True)
class Action:
    """One thing to do.

    :param run: does it, and returns what to say of it
    :param question: asked before what cannot be undone
    :param in_files: whether there is something to do only where entries are in files
    :param form: of what it is done to, if not to the whole cache; its value is `run`'s second
        argument and stands in the question
    """

    name: str
    label: Any
    run: Callable[[Listed, Any], str]
    help: Any = ""
    question: Any = ""
    form: type[forms.Form] | None = None
    in_files: bool = False

    def offered(self, listed: Listed) -> bool:
        """Whether it means something for this cache."""
        return bool(listed.engine.in_files) or not self.in_files


def _expire(listed: Listed, target: Any) -> str:
    return _removed(listed.cache.expire())


def _cull(listed: Listed, target: Any) -> str:
    return _removed(listed.cache.cull())


def _clear(listed: Listed, target: Any) -> str:
    return _removed(listed.acting.clear())


def _evict(listed: Listed, tag: Any) -> str:
    count = listed.acting.evict(tag)
    message = ngettext(
        "%(count)s entry with the tag %(tag)s was removed.",
        "%(count)s entries with the tag %(tag)s were removed.",
        count,
    )
    return message % {"count": count, "tag": text(tag)}


def _delete(listed: Listed, key: Any) -> str:
    if listed.acting.delete(key, retry=True):
        return gettext("The entry %(key)s was removed.") % {"key": text(key)}
    return gettext("There was no entry %(key)s any more.") % {"key": text(key)}


def _reset(listed: Listed, target: Any) -> str:
    listed.acting.figures(reset=True)
    return gettext("The statistics begin again at zero.")


def _removed(count: int) -> str:
    message = ngettext("%(count)s entry was removed.", "%(count)s entries were removed.", count)
    return message % {"count": count}


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "expire",
            gettext_lazy("Remove expired entries"),
            _expire,
            gettext_lazy("They are misses already; this frees their space now."),
            in_files=True,
        ),
        Action(
            "cull",
            gettext_lazy("Cull"),
            _cull,
            gettext_lazy(
                "Removes expired entries, then evicts by the policy until the size limit holds."
            ),
            gettext_lazy("Evict entries of this cache until its size limit holds?"),
            in_files=True,
        ),
        Action(
            "evict",
            gettext_lazy("Evict a tag"),
            _evict,
            gettext_lazy("Removes all entries with this tag."),
            gettext_lazy("Remove all entries with this tag?"),
            TagForm,
        ),
        Action(
            "delete",
            gettext_lazy("Delete the entry"),
            _delete,
            "",
            gettext_lazy("Delete this entry?"),
            StoredKeyForm,
        ),
        Action(
            "reset",
            gettext_lazy("Reset statistics"),
            _reset,
            gettext_lazy("What this cache has counted begins again at zero."),
            gettext_lazy("Begin again at zero with all counts of this cache?"),
        ),
        Action(
            "clear",
            gettext_lazy("Clear"),
            _clear,
            gettext_lazy("Removes every entry, of all versions and prefixes."),
            gettext_lazy("Remove every entry of this cache, of all versions and prefixes?"),
        ),
    )
}


def offered(listed: Listed) -> list[Action]:
    """Those that mean something for a cache."""
    return [action for action in ACTIONS.values() if action.offered(listed)]
