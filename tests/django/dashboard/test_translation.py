"""The German translation, which is the proof that the pages can be translated."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.test import Client
from django.utils.translation.template import templatize

import django_diskcache
from django_diskcache import DjangoCache
from tests.django.dashboard.conftest import BASE, DEFAULT, page

PACKAGE = Path(django_diskcache.__file__).parent
CATALOGUE = PACKAGE / "locale" / "de" / "LC_MESSAGES"
FUNCTIONS = ("_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy")
LITERAL = r'"((?:[^"\\]|\\.)*)"'


def source_texts() -> set[str]:
    """Every text that the modules and templates give to be translated."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in FUNCTIONS:
                text = node.args[0]
                assert isinstance(text, ast.Constant), path
                assert isinstance(text.value, str)
                found.add(text.value)
    for path in PACKAGE.rglob("*.html"):
        calls = re.findall(
            r"n?gettext\(u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")",
            templatize(path.read_text()),
        )
        found.update(str(ast.literal_eval(text)) for text in calls)
    return found


def po_texts() -> dict[str, list[str]]:
    """The texts of the .po file, with their translations."""
    found = {}
    for block in (CATALOGUE / "django.po").read_text().split("\n\n")[1:]:
        assert "fuzzy" not in block
        (text,) = re.findall(rf"^msgid {LITERAL}$", block, re.MULTILINE)
        translated = re.findall(rf"^msgstr(?:\[\d\])? {LITERAL}$", block, re.MULTILINE)
        found[ast.literal_eval(f'"{text}"')] = [ast.literal_eval(f'"{t}"') for t in translated]
    return found


def test_it_is_complete() -> None:
    translated = po_texts()
    assert source_texts() == set(translated)
    for text, translations in translated.items():
        assert translations, text
        for each in translations:
            assert each, text
            named = set(re.findall(r"%\(\w+\)[sd]", text))
            # A singular may say its number in a word.
            assert set(re.findall(r"%\(\w+\)[sd]", each)) >= named, text


def test_what_is_shipped_is_what_is_written() -> None:
    with (CATALOGUE / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for text, translations in po_texts().items():
        if len(translations) == 1:
            assert compiled.gettext(text) == translations[0]
        else:
            assert [compiled.ngettext(text, "", n) for n in (1, 2)] == translations


@pytest.mark.parametrize("path", ["", "default/change/", "default/keys/", "default/key/?key=k"])
def test_pages_are_german(viewer: Client, cache: DjangoCache, path: str) -> None:
    cache.set("k", 1, 90)
    viewer.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    html = page(viewer, BASE + path)
    assert '<html lang="de"' in html
    content = html.partition('id="diskcache-page"')[2]
    for text, (translated, *_) in po_texts().items():
        if len(text) > 12 and text != translated:  # short ones may be part of something else
            assert text not in content


def test_messages_are_german(manager: Client, cache: DjangoCache) -> None:
    manager.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    html = manager.post(f"{DEFAULT}expire/", follow=True).content.decode()
    assert "0 Einträge wurden entfernt." in html


def test_settings_are_written_as_in_the_settings(viewer: Client, cache: DjangoCache) -> None:
    viewer.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    assert ">0.01</td>" in page(viewer, f"{DEFAULT}change/")
