"""What the dashboard's forms take: keys to look up and browse, and the tag to evict."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from ..backend import DjangoCache
from ..engine.patterns import Pattern, beginning, read, within


class KeyForm(forms.Form):
    """A key as the site's code writes it, with the version and prefix that go before it."""

    key = forms.CharField(label=_("Key"), strip=False, max_length=10_000)
    version = forms.IntegerField(label=_("Version"), required=False)
    key_prefix = forms.CharField(label=_("Key prefix"), required=False, strip=False)

    def __init__(self, cache: DjangoCache, data: Any = None, **kwargs: Any) -> None:
        self.cache = cache
        kwargs.setdefault("initial", {"version": cache.version, "key_prefix": cache.key_prefix})
        super().__init__(data, **kwargs)

    def stored(self) -> Any:
        """The key as it is stored; the form must be valid."""
        data = self.cleaned_data
        version = self.cache.version if data["version"] is None else data["version"]
        return self.cache.key_func(data["key"], data["key_prefix"], version)


class BrowseForm(KeyForm):
    """The beginning of keys; none is the beginning of all."""

    key = forms.CharField(
        label=_("Keys that begin with"), required=False, strip=False, max_length=10_000
    )


class ServerBrowseForm(BrowseForm):
    """Keys on a server: their beginning or a pattern, and a tag; no tag is any or none."""

    tag = forms.CharField(label=_("Tag"), required=False, strip=False, max_length=100_000)
    kind = forms.ChoiceField(label=_("Type"), required=False, initial="text")

    def __init__(self, cache: DjangoCache, data: Any = None, **kwargs: Any) -> None:
        super().__init__(cache, data, **kwargs)
        kind: Any = self.fields["kind"]
        kind.choices = TagForm.KINDS

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        given = {"tag": data.get("tag", ""), "kind": data.get("kind") or "text"}
        chosen = TagForm(given)
        if not given["tag"]:
            return {**data, "value": None}
        if not chosen.is_valid():
            self.add_error("tag", _("This is no tag of that type."))
            return data
        return {**data, "value": chosen.cleaned_data["value"]}

    def pattern(self) -> Pattern:
        """What stored keys are to be like; the form must be valid.

        A key with `*`, `?` or `[` is a pattern of all of it, any other a beginning.
        """
        data = self.cleaned_data
        version = self.cache.version if data["version"] is None else data["version"]
        key = data["key"]
        if not set("*?[") & set(key):
            return beginning(str(self.stored()))
        mark = "\x1f"  # no key that is typed has it
        made = str(self.cache.key_func(mark, data["key_prefix"], version))
        head, found, tail = made.partition(mark)
        return within(head, read(key), tail) if found else beginning(str(self.stored()))


def quoted(text: str) -> str:
    """A text as a JSON string of ASCII: a form would change line ends and the like."""
    return json.dumps(text)


def unquoted(given: str) -> str:
    """What `quoted` was given.

    :raises ValueError: when it was not
    """
    text = json.loads(given)
    if not isinstance(text, str):
        raise ValueError(f"{given:.80} is not a string")
    text.encode()  # a lone surrogate is no text
    return text


READERS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": int,
    "float": float,
    "bytes": bytes.fromhex,
    "quoted": unquoted,
}


class TagForm(forms.Form):
    """A tag; those that are no texts have a type of their own."""

    KINDS = (
        ("text", _("text")),
        ("integer", _("whole number")),
        ("float", _("decimal number")),
        ("bytes", _("bytes, as hexadecimal digits")),
        ("quoted", _("text, as a JSON string")),
    )

    tag = forms.CharField(label=_("Tag"), strip=False, required=False, max_length=100_000)
    kind = forms.ChoiceField(label=_("Type"), choices=KINDS, initial="text")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        try:
            data["value"] = READERS[data["kind"]](data.get("tag", ""))
        except KeyError:
            pass  # the kind has its own error
        except ValueError:
            raise ValidationError(_("This is no tag of that type.")) from None
        return data

    @classmethod
    def fields_of(cls, tag: Any) -> dict[str, str]:
        """The data that stands for this tag."""
        if isinstance(tag, bytes):
            return {"tag": tag.hex(), "kind": "bytes"}
        if isinstance(tag, str):
            if tag.isprintable():
                return {"tag": tag, "kind": "text"}
            return {"tag": quoted(tag), "kind": "quoted"}
        return {"tag": repr(tag), "kind": "integer" if isinstance(tag, int) else "float"}


class StoredKeyForm(forms.Form):
    """A key as it is stored, `quoted`."""

    stored = forms.CharField(max_length=100_000)

    def clean_stored(self) -> str:
        try:
            return unquoted(self.cleaned_data["stored"])
        except ValueError:
            raise ValidationError(_("This is no key.")) from None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        return {**data, "value": data.get("stored")}
