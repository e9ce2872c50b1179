"""Checks come from the contract, and name the rows that break them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.contract.conditions import rule_holds
from fedchurn.contract.load import load_contract
from fedchurn.quality.checks import contract_checks
from fedchurn.quality.subject import broken_rows, failing_rows
from tests.unit.quality.small import CONTRACT, good_rows, subject_of


def checks_of(contract=CONTRACT):
    return {(c.column, c.name): c for c in contract_checks(contract)}


def failing(frame, column, name, contract=CONTRACT):
    subject = subject_of(frame, contract)
    check = checks_of(contract)[column, name]
    return subject.table.row_numbers[failing_rows(check, subject)].tolist()


def test_every_column_is_asked_for_and_severities_follow_the_contract():
    checks = checks_of()
    for name in ("customer", "left", "months", "price", "total", "plan", "gender", "extras"):
        assert checks[name, "column_present"].severity == "error"
    assert checks["", "no_extra_columns"].severity == "warning"
    assert checks["months", "hard_range"].severity == "error"
    assert checks["months", "usual_range"].severity == "warning"
    assert checks["plan", "categories"].severity == "error"
    assert checks["plan", "not_null"].severity == "error"
    assert checks["total", "some_values"].severity == "warning"
    assert checks["total", "null_share"].tolerated_fraction == 0.2
    assert ("total", "not_null") not in checks
    assert checks["total, months, price", "total_is_months_times_price"].severity == "warning"


def test_a_contract_that_keeps_unknown_categories_only_warns_of_them():
    lenient = CONTRACT.model_copy(
        update={
            "dataset": CONTRACT.dataset.model_copy(
                update={"unknown_category": "keep_as_unknown", "extra_columns": "reject"}
            )
        }
    )
    checks = checks_of(lenient)
    assert checks["plan", "categories"].severity == "warning"
    assert checks["", "no_extra_columns"].severity == "error"


@pytest.mark.parametrize("name", ["ecommerce", "telco", "telecom"])
def test_shipped_contracts_have_checks_for_every_column(name):
    contract = load_contract(name)
    columns = {check.column for check in contract_checks(contract)}
    assert set(contract.columns) <= columns


def test_good_rows_break_nothing():
    subject = subject_of(good_rows())
    for check in contract_checks(CONTRACT):
        assert not failing_rows(check, subject).any(), check.name


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("months", 2.5, "whole_numbers"),
        ("months", -1, "hard_range"),
        ("months", 100, "usual_range"),
        ("months", "a year", "readable"),
        ("price", None, "not_null"),
        ("plan", "gold", "categories"),
        ("left", "maybe", "target_labels"),
        ("customer", "north-1", "id_pattern"),
        ("customer", None, "id_present"),
    ],
)
def test_a_bad_cell_is_named_by_its_row(column, value, rule):
    frame = good_rows()
    frame.loc[4, column] = value
    assert failing(frame, column, rule) == [5]


def test_limits_are_inclusive_and_aliases_are_known():
    frame = good_rows()
    frame.loc[0, ["months", "plan", "extras"]] = [240, "b", "none"]
    assert failing(frame, "months", "hard_range") == []
    assert failing(frame, "plan", "categories") == []


def test_all_rows_that_share_an_id_are_named():
    frame = good_rows()
    frame.loc[7, "customer"] = "c3"
    assert failing(frame, "customer", "id_unique") == [4, 8]


def test_cross_column_rules_name_their_rows():
    frame = good_rows()
    frame.loc[0, ["plan", "extras"]] = ["basic", "some"]
    frame.loc[1, ["price", "total"]] = [90.0, 10.0]
    assert failing(frame, "plan, extras", "basic_has_no_extras") == [1]
    assert failing(frame, "price, total", "price_below_total") == [2]
    assert 2 in failing(frame, "total, months, price", "total_is_months_times_price")


def test_repeats_and_their_rows():
    frame = good_rows()
    frame.loc[10] = frame.loc[9]
    frame.loc[10, "customer"] = "c10"
    assert failing(frame, "", "duplicates") == [11]
    assert failing(frame, "", "near_copies") == []


ROW = st.fixed_dictionaries(
    {
        "months": st.one_of(st.none(), st.integers(0, 3).map(float)),
        "price": st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.0])),
        "total": st.one_of(st.none(), st.sampled_from([0.0, 1.0, 3.0])),
        "plan": st.sampled_from([None, "basic", "plus"]),
        "extras": st.sampled_from([None, "none", "some"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_rules_on_tables_agree_with_rules_on_single_rows(rows):
    frame = pd.DataFrame(rows)
    for name in ("months", "price", "total"):
        frame[name] = np.asarray([math.nan if r[name] is None else r[name] for r in rows])
    for rule in CONTRACT.rules:
        assert broken_rows(rule, frame).tolist() == [not rule_holds(rule, row) for row in rows]
