from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from benchmarks import chart
from benchmarks.chart import Layout
from benchmarks.tables import LATENCY, Column, Measure, Table

SVG = "{http://www.w3.org/2000/svg}"


def example(values: dict[str, float], columns: Sequence[Column] = LATENCY) -> Table:
    rows = {name: {columns[0].name: value} for name, value in values.items()}
    return Table("suite", "table", "Some <operations>", [Measure("get, hot", columns, rows)])


def drawn(values: dict[str, float], columns: Sequence[Column] = LATENCY) -> ElementTree.Element:
    return ElementTree.fromstring(chart.svg(example(values, columns)))


def dots(root: ElementTree.Element) -> list[int]:
    return [int(dot.attrib["cx"]) for dot in root.iter(f"{SVG}circle")]


def bars(root: ElementTree.Element) -> list[int]:
    """Their lengths."""
    paths = [path.attrib["d"] for path in root.iter(f"{SVG}path")]
    ends = [path.partition("H")[2].partition("v")[0] for path in paths if "z" in path]
    return [int(end) - chart.NAME for end in ends]


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_it_says_in_words_what_it_shows() -> None:
    root = drawn({"ours": 1000, "peer": 7300})
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text == "Some <operations>"
    assert description is not None
    assert description.text == "get, hot, median: ours 1.00 µs, peer 7.30 µs."
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], "desc"]


def test_numbers_of_one_size_are_bars_from_zero() -> None:
    root = drawn({"ours": 1000, "peer": 4000})
    longest = Layout().longest
    assert bars(root) == [round(longest / 4), longest]
    assert dots(root) == []


def test_numbers_of_many_sizes_are_dots_on_a_logarithmic_scale() -> None:
    root = drawn({"ours": 1000, "peer": 10_000, "slow": 100_000})
    first, second, third = dots(root)
    assert bars(root) == []
    assert second - first == pytest.approx(third - second, abs=1)
    assert third <= chart.NAME + Layout().longest
    assert {"1 µs", "10 µs", "100 µs"} <= set(texts(root))


def test_a_line_of_the_scale_is_where_its_number_is() -> None:
    on = chart.scale([700.0, 50_000.0], 200)
    assert list(on.decades()) == [1000, 10_000]
    assert on.place(on.least) == 0
    assert on.place(on.most) == 200


def test_labels_of_the_scale_do_not_stand_on_each_other() -> None:
    root = drawn({"ours": 1000, "peer": 1e10})
    small = [text for text in root.iter(f"{SVG}text") if text.get("class") == "s m"]
    places = [int(text.attrib["x"]) for text in small]
    assert 1 < len(places) < 7
    assert all(after - before >= chart.LABEL for before, after in pairwise(places))


@pytest.mark.parametrize("values", [{"ours": 0.0, "peer": 5.0}, {"ours": 0.0}, {}])
def test_nothing_can_be_drawn(values: dict[str, float]) -> None:
    assert len(bars(drawn(values))) == len(values)


def test_ours_is_marked_and_others_have_their_ratio() -> None:
    root = drawn({"ours": 1000, "peer": 7300})
    kinds = [path.get("class") for path in root.iter(f"{SVG}path")]
    assert kinds == ["o", "x"]
    assert {"1.00 µs", "7.30 µs · 7.30x"} <= set(texts(root))


def test_of_a_rate_more_is_better() -> None:
    root = drawn({"ours": 10, "peer": 20}, (Column("pages per second", "rate"),))
    assert "get, hot: pages per second, more is better" in texts(root)


def test_panels_stand_side_by_side() -> None:
    table = example({"ours": 1})
    table.measures *= 3
    root = ElementTree.fromstring(chart.svg(table, Layout(across=2, panel=300)))
    places = [group.attrib["transform"] for group in root.iter(f"{SVG}g")]
    down = chart.HEAD + chart.TOP + chart.ROW + chart.FOOT + chart.GAP
    assert places == [
        f"translate({chart.GAP} {chart.HEAD})",
        f"translate({2 * chart.GAP + 300} {chart.HEAD})",
        f"translate({chart.GAP} {down})",
    ]
