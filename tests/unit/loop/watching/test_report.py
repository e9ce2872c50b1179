"""The report of a window: what a person sees, and what must not be in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import ReferenceColumn
from fedchurn.drift.verdict import ColumnTest, Subject
from fedchurn.loop.watching.bars import MAX_BARS, bars_of
from fedchurn.loop.watching.runner import check_drift
from tests.unit.loop.watching.watched_home import REFERENCE, WatchedHome

CALIBRATION: dict[str, Any] = {
    "promised_per_year": 1.0,
    "checks_per_year": 8766.0,
    "num_flagged": 2,
    "num_windows": 3,
    "min_rows": 50,
    "power": 0.8,
    "num_resampled": 4000,
    "windows": [
        {
            "num_rows": 200,
            "level": 1e-5,
            "warning_level": 1e-3,
            "warning_fraction": 0.004,
            "false_alarms_per_year": 0.875,
            "smallest_shifts": [
                {"column": "Tenure", "change": "mean", "size": 0.25, "in_units": 0.125}
            ],
        }
    ],
}


class _Text(HTMLParser):
    """Text of a page, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "rect"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def home(tmp_path: Path) -> WatchedHome:
    home = WatchedHome(tmp_path)
    home.promote(8, reference={**REFERENCE, "calibration": CALIBRATION})
    return home


def _report(home: WatchedHome) -> tuple[str, _Text]:
    window = check_drift(home.settings())["windows"][-1]
    page = Path(window["report_path"]).read_text(encoding="utf-8")
    return page, _Text(page)


def test_a_drift_is_told_with_its_columns_plots_clients_and_promise(home: WatchedHome) -> None:
    home.log_shifted(0, 200)
    _, text = _report(home)
    assert "Drift in 200 customers: Tenure differs from the training rows." in text.words
    assert "Generated sample" in text.words
    assert "Tenure drift covariate" in text.words
    assert "Device=Phone drift 100 Tenure" in text.words
    assert "At most 1.000 false alarms in a year with 8,766 checks" in text.words
    assert "0.875 were reached" in text.words
    assert "Tenure mean 0.250 0.125" in text.words
    assert (text.tags.count("svg"), text.open) == (2, [])  # Tenure and the score
    assert "0.5 to 1.5: 50.0 % of training rows, 90.0 % of the window" in text.words


def test_flags_of_windows_before_are_shown(home: WatchedHome) -> None:
    for begin in (0, 1000, 2000):
        home.log_like_reference(begin, 100)
        check_drift(home.settings())
    home.log_shifted(3000, 100)
    _, text = _report(home)
    assert ". . . x" in text.words
    assert "one window" in text.words


def test_nothing_outside_is_asked_for_and_no_row_is_in_it(home: WatchedHome) -> None:
    home.log(home.predictions(range(100), (1,), values=(1.0, 123.456, "Phone", "Castrop-Rauxel")))
    page, text = _report(home)
    assert not re.search(r"(src|href)\s*=|https?://|url\(|@import", page)
    assert not {"script", "img", "link"} & set(text.tags)
    for private in ("Castrop-Rauxel", "123.456", "C42", "00112233445566778899"):
        assert private not in page


def test_markup_in_a_label_is_text(home: WatchedHome) -> None:
    column = "<b>&"
    home.promote(9, reference={**REFERENCE, "labels": {"Device": [column, "Computer"]}})
    home.log(home.predictions(range(100), (0, 1), values=(1.0, 1.0, "Phone", "Graz")))
    page, text = _report(home)
    assert "&lt;b&gt;&amp;" in page
    assert "b" not in text.tags


def test_a_release_that_was_not_calibrated_promises_nothing(tmp_path: Path) -> None:
    home = WatchedHome(tmp_path)
    home.log_like_reference(0, 100)
    _, text = _report(home)
    assert "this release was not calibrated" in text.words
    assert "Nothing: this is the rule online" not in text.words


def test_the_rule_of_reference_systems_is_called_what_it_is(home: WatchedHome) -> None:
    home.log_like_reference(0, 50)
    window = check_drift(home.settings("drift.rule=online"))["windows"][0]
    assert "it alarms in 39 % of checks" in Path(window["report_path"]).read_text()


def _number(cells: list[float], edges: list[float], missing: float = 0.0) -> ReferenceColumn:
    histogram = Histogram(np.array(cells), missing)
    return ReferenceColumn("x", Subject.COVARIATE, ColumnTest.KS, np.array(edges), histogram)


def test_bars_of_a_number_are_shares_of_all_rows() -> None:
    column = _number([0, 4, 4, 0], [0, 1, 2], missing=2)
    found = bars_of(column, Histogram(np.array([1.0, 1, 1, 0]), 1.0), None)
    assert [(bar.label, bar.reference, bar.window) for bar in found] == [
        ("below 0", 0.0, 0.25),
        ("0 to 1", 0.4, 0.25),
        ("1 to 2", 0.4, 0.25),
        ("missing", 0.2, 0.25),
    ]


@pytest.mark.parametrize("num_cells", [2, 24, 25, 100, 1000])
def test_there_are_never_more_bars_than_can_be_seen(num_cells: int) -> None:
    column = _number([1.0] * num_cells, list(range(num_cells - 1)))
    found = bars_of(column, Histogram(np.ones(num_cells), 0.0), None)
    assert len(found) <= MAX_BARS
    assert sum(bar.reference for bar in found) == pytest.approx(1)
    assert found[0].label.startswith("below")
    assert found[-1].label.endswith("and above")


def test_bars_of_labels_keep_the_commonest() -> None:
    cells = np.arange(41.0)
    column = ReferenceColumn(
        "x", Subject.COVARIATE, ColumnTest.CHI_SQUARED, None, Histogram(cells, 0.0)
    )
    window = Histogram(np.where(np.arange(41) == 40, 3.0, 1.0), 0.0)
    found = bars_of(column, window, [f"label {n}" for n in range(40)])
    assert len(found) == MAX_BARS
    assert [bar.label for bar in found[-3:]] == ["label 39", "other labels", "unknown label"]
    assert sum(bar.window for bar in found) == pytest.approx(1)


def test_an_empty_window_has_no_bars() -> None:
    column = _number([0, 0, 0], [0, 1])
    assert bars_of(column, Histogram(np.zeros(3), 0.0), None) == ()
