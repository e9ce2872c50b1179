"""The cost sheet adds up, and its section shows it."""

from __future__ import annotations

import json

import pytest

from fedchurn.evaluation.costs import ClientCost, CostSheet, RoundCost
from fedchurn.evaluation.costs_page import cost_section

SHEET = CostSheet(
    (
        RoundCost(0, "newton", 0, 0, 0, {"evaluate": 0.5}),
        RoundCost(1, "newton", 2, 3000, 2000, {"train": 1.0, "combine": 0.25, "evaluate": 0.5}),
        RoundCost(2, "newton", 1, 1500, 1000, {"train": 2.0, "combine": 0.25}),
    ),
    {"a": ClientCost(2, 3000, 2000), "<b>": ClientCost(1, 1500, 1000)},
)


def test_totals_and_means_per_client_and_round() -> None:
    assert SHEET.summary() == {
        "num_rounds": 2.0,
        "bytes_up": 4500.0,
        "bytes_down": 3000.0,
        "bytes_up_per_client_round": 1500.0,
        "bytes_down_per_client_round": 1000.0,
        "seconds_evaluate": 1.0,
        "seconds_train": 3.0,
        "seconds_combine": 0.5,
    }


def test_the_record_survives_json() -> None:
    assert CostSheet.from_dict(json.loads(json.dumps(SHEET.to_dict()))) == SHEET


def test_the_section_shows_bytes_per_round_and_seconds_per_phase() -> None:
    page = " ".join(cost_section(SHEET).split())
    for words in ("4.4 KiB up", "2.9 KiB down", "train 3.0 s, combine 0.5 s, evaluate 1.0 s"):
        assert words in page
    assert "<td>a</td><td>2</td> <td>2.9 KiB</td><td>2.0 KiB</td><td>1.5 KiB</td>".replace(
        " ", ""
    ) in page.replace(" ", "")
    assert "&lt;b&gt;" in page
    assert "<td>2.00</td><td>0.25</td><td>–</td></tr>" in page


@pytest.mark.parametrize("sheet", [None, CostSheet((), {})], ids=["none", "empty"])
def test_nothing_to_show(sheet: CostSheet | None) -> None:
    assert cost_section(sheet) == ""
