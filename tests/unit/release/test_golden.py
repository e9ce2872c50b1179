"""Golden rows catch code, weights or encoders that are not those that were judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedchurn.contract.columns import MISSING, UNKNOWN, text_code
from fedchurn.contract.customer_rows import canonical_row, row_columns
from fedchurn.contract.load import load_contract
from fedchurn.encoding.encoder import Encoder
from fedchurn.errors import IntegrityError, ValidationFailed
from fedchurn.release.canonical import rows_to_columns
from fedchurn.release.golden import GoldenRows, choose_golden_rows
from fedchurn.release.golden import check_golden as check_rows
from fedchurn.release.load import check_golden, load_release
from fedchurn.release.write import write_release
from tests.unit.release.releases import CONTRACT, parts, scorer


def test_rows_reach_every_label_both_ends_and_missing_values() -> None:
    rows = choose_golden_rows(CONTRACT, seed=3, num_rows=16)
    assert len(rows) == 16
    assert {row["Device"] for row in rows} == {"Phone", "Computer"}
    tenures = [row["Tenure"] for row in rows]
    assert None in tenures
    assert all(isinstance(t, int) for t in tenures if t is not None)
    cashback = [row["Cashback"] for row in rows]
    assert (min(cashback), max(cashback)) == (0.0, 320.0)
    assert all(row["Device"] is not None for row in rows)


def test_rows_depend_on_the_seed_alone() -> None:
    assert choose_golden_rows(CONTRACT, seed=3) == choose_golden_rows(CONTRACT, seed=3)
    assert choose_golden_rows(CONTRACT, seed=3) != choose_golden_rows(CONTRACT, seed=4)


def test_canonical_rows_become_columns_by_hand() -> None:
    rows = [
        {"Tenure": 4, "Cashback": 20.0, "Device": "Computer", "City": "Turin"},
        {"Tenure": None, "Cashback": float("nan"), "Device": "Tablet", "City": None},
    ]
    columns = rows_to_columns(rows, CONTRACT)
    assert columns["Device"].tolist() == [1, UNKNOWN]
    assert columns["City"].tolist() == [text_code("Turin", 4), MISSING]
    assert columns["PerMonth"][0] == 5.0
    assert np.isnan([columns["Tenure"][1], columns["Cashback"][1], columns["PerMonth"][1]]).all()
    with pytest.raises(ValidationFailed, match="'Tenure' holds numbers"):
        rows_to_columns([{**rows[0], "Tenure": "four"}], CONTRACT)


def test_another_weight_names_the_worst_row(tmp_path: Path) -> None:
    release = load_release(write_release(parts(), tmp_path))
    release.model.weights[0][0, 0] += 0.5
    with pytest.raises(
        IntegrityError, match=r"golden row \d+ of 12: the model answers .*difference"
    ):
        check_golden(release)


def test_another_fallback_is_noticed(tmp_path: Path) -> None:
    release = load_release(write_release(parts(), tmp_path))
    with pytest.raises(IntegrityError, match="the fallback model answers"):
        check_golden(replace(release, fallback=scorer(seed=99)))


def test_two_swapped_features_are_noticed(tmp_path: Path) -> None:
    release = load_release(write_release(parts(), tmp_path))
    one, two, *rest = release.model.encoder.encodings
    swapped = Encoder((two, one, *rest))
    with pytest.raises(IntegrityError, match="golden row"):
        check_golden(replace(release, model=replace(release.model, encoder=swapped)))


def test_a_difference_of_rounding_is_allowed() -> None:
    model = scorer()
    rows = choose_golden_rows(CONTRACT, seed=1)
    answers = model.probabilities(rows)
    worst = check_rows(GoldenRows(rows, tuple(answers + 5e-7)), model)
    assert worst == pytest.approx(5e-7)
    with pytest.raises(IntegrityError, match="allowed 1e-06"):
        check_rows(GoldenRows(rows, tuple(answers + 2e-6)), model)


def test_not_a_number_never_passes() -> None:
    model = scorer()
    rows = choose_golden_rows(CONTRACT, seed=1)
    answers = model.probabilities(rows)
    answers[3] = np.nan
    with pytest.raises(IntegrityError, match="golden row 4"):
        check_rows(GoldenRows(rows, tuple(answers)), model)
    with pytest.raises(IntegrityError, match="0 rows"):
        check_rows(GoldenRows((), ()), model)


@pytest.mark.parametrize("name", ["ecommerce", "telco", "telecom"])
def test_a_service_would_accept_the_golden_rows_of_shipped_contracts(name: str) -> None:
    contract = load_contract(name)
    for row in choose_golden_rows(contract, seed=5):
        assert canonical_row(row, contract).problems == ()
        one, same = rows_to_columns([row], contract), row_columns(dict(row), contract)
        assert one.keys() == same.keys()
        assert all(np.array_equal(one[n], same[n], equal_nan=one[n].dtype == float) for n in one)
