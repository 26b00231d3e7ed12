"""How figures are told, and the charts."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import pytest
from django.utils import translation

from django_diskcache.dashboard import charts
from django_diskcache.engine.history import Traffic
from django_diskcache.templatetags import cachefigures

DASH = "\N{EN DASH}"
NOW = 1_800_000_000.0
DAY = 86_400


@pytest.mark.parametrize(
    ("count", "english", "german"),
    [
        (0, "0 bytes", "0 Bytes"),
        (1, "1 byte", "1 Byte"),
        (999, "999 bytes", "999 Bytes"),
        (1000, "1.0 kB", "1,0 kB"),
        (999_949, "999.9 kB", "999,9 kB"),
        (999_951, "1.0 MB", "1,0 MB"),
        (64_000_000, "64.0 MB", "64,0 MB"),
        (4.2e9, "4.2 GB", "4,2 GB"),
        (5e15, "5000.0 TB", "5000,0 TB"),
    ],
)
def test_sizes(count: float, english: str, german: str) -> None:
    assert cachefigures.size(count) == english
    with translation.override("de"):
        assert cachefigures.size(count) == german


def test_numbers() -> None:
    assert cachefigures.number(1234567) == "1,234,567"
    assert cachefigures.percent(0.98765) == "98.8 %"
    assert cachefigures.percent(None) == DASH
    with translation.override("de"):
        assert cachefigures.number(1234567) == "1.234.567"
        assert cachefigures.percent(1) == "100,0\xa0%"


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (None, "never", "nie"),
        (NOW, "0 seconds ago", "0 Sekunden her"),
        (NOW - 1, "1 second ago", "1 Sekunde her"),
        (NOW - 3 * DAY, "3 days ago", "3 Tage her"),
        (NOW + 90, "in 1 minute", "noch 1 Minute"),
        (1e300, "in the far future", "in ferner Zukunft"),
        (-1e300, "long ago", "vor langer Zeit"),
        (float("inf"), "in the far future", "in ferner Zukunft"),
    ],
)
def test_moments(seconds: float | None, english: str, german: str) -> None:
    def told() -> str:
        html = str(cachefigures.moment(seconds, NOW))
        return re.sub("<[^>]*>", "", html).replace("\xa0", " ")

    assert told() == english
    with translation.override("de"):
        assert told() == german


def test_a_moment_is_exact_for_machines() -> None:
    (exact,) = re.findall(r'datetime="([^"]+)"', str(cachefigures.moment(NOW, NOW)))
    assert datetime.fromisoformat(exact).timestamp() == NOW


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("plain ü", "plain ü"),
        ("a\nb\x00\u202ec", r"a\nb\x00\u202ec"),
        (5, "5"),
        (b"\xff", r"b'\xff'"),
        (-1.5, "-1.5"),
    ],
)
def test_keys_and_tags_on_one_line(value: Any, told: str) -> None:
    assert cachefigures.text(value) == told


def test_the_nonce_is_there_only_where_it_is_asked_for() -> None:
    assert cachefigures.nonce({}) == ""
    assert cachefigures.nonce({"csp_nonce": "abc"}) == 'nonce="abc"'


# Charts


def drawn(svg: Any) -> ElementTree.Element:
    """The parsed SVG, which names its title and its description."""
    element = ElementTree.fromstring(str(svg))
    ids = [child.get("id") for child in element if child.tag in ("title", "desc")]
    assert element.get("aria-labelledby") == " ".join(map(str, ids))
    return element


def parts(*counts: tuple[int, int]) -> list[Traffic]:
    return [Traffic(60 * n, 60, hits, misses) for n, (hits, misses) in enumerate(counts)]


def test_a_ratio_has_gaps_where_nothing_was_read() -> None:
    svg = drawn(charts.ratio_plot(parts((3, 1), (1, 1), (0, 0), (0, 4)), "Title", "About"))
    line = svg.find("path[@class='dc-line']")
    assert line is not None
    assert line.get("d") == "M0 25.0H1L1 50.0H2M3 100.0H4"
    assert [child.text for child in svg][:2] == ["Title", "About"]
    assert svg.get("viewBox") == "0 0 4 100"


def test_bars_of_traffic_fill_the_height() -> None:
    svg = drawn(charts.traffic_plot(parts((6, 2), (0, 0), (0, 4)), "Title", "About"))
    bars = [
        (bar.get("class"), bar.get("x"), bar.get("y"), bar.get("height"))
        for bar in svg.findall("rect")
    ]
    assert bars == [
        ("dc-hits", "0.1", "25.0", "75.0"),
        ("dc-misses", "0.1", "0.0", "25.0"),
        ("dc-misses", "2.1", "50.0", "50.0"),
    ]


def test_an_empty_plot_is_one() -> None:
    for plot in (charts.ratio_plot, charts.traffic_plot):
        drawn(plot(parts((0, 0), (0, 0)), "Title", "About"))


def test_titles_are_escaped() -> None:
    svg = drawn(charts.traffic_plot(parts((1, 1)), "<script>", '"&'))
    assert [child.text for child in svg][:2] == ["<script>", '"&']


@pytest.mark.parametrize(
    ("part", "width"), [(None, "0.0"), (0.123456, "12.35"), (7, "100.0"), (-1, "0.0")]
)
def test_a_bar_stays_in_its_track(part: float | None, width: str) -> None:
    svg = ElementTree.fromstring(str(charts.bar(part)))
    assert svg.get("aria-hidden") == "true"
    assert [rect.get("width") for rect in svg] == ["100", width]
