"""One row, judged and made canonical."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fedchurn.contract.customer_rows import canonical_row, row_columns
from fedchurn.contract.load import parse_contract
from tests.unit.contract.texts import SMALL

CONTRACT = parse_contract(SMALL, "small.yaml")
ROW: dict[str, object] = {"tenure": 5, "charges": 20.5, "plan": "std", "stars": 2, "city": " Bonn "}


def problem_of(field: str, value: object) -> Any:
    row = canonical_row({**ROW, field: value}, CONTRACT)
    assert len(row.problems) == 1, row.problems
    assert row.values[field] is None
    return row.problems[0]


def test_a_sound_row_becomes_canonical():
    row = canonical_row(ROW, CONTRACT)
    assert row.problems == row.warnings == ()
    assert row.values == {
        "tenure": 5.0,
        "charges": 20.5,
        "plan": "basic",
        "stars": "2",
        "city": "Bonn",
    }
    assert type(row.values["tenure"]) is float


def test_hard_limits_include_their_ends_and_refuse_beyond():
    assert canonical_row({**ROW, "tenure": 240}, CONTRACT).problems == ()
    problem = problem_of("tenure", 241)
    assert (problem.field, problem.value, problem.rule) == ("tenure", 241, "hard_limit")
    assert problem.limit == "0 to 240 months"
    assert problem.message == "tenure is 241, which is impossible; accepted: 0 to 240 months"


def test_outside_the_usual_is_served_with_a_warning():
    row = canonical_row({**ROW, "tenure": 61, "charges": 500}, CONTRACT)
    assert row.problems == ()
    assert row.values["tenure"] == 61
    assert [w.rule for w in row.warnings] == ["usual_range", "usual_range"]
    assert row.warnings[0].message == "tenure is 61, outside the usual 0 to 60 months"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, False, "many", "1_0", [1]])
def test_what_is_no_finite_number_is_refused(value: object):
    assert problem_of("charges", value).rule == "not_a_number"


@pytest.mark.parametrize("value", [10**400, {"a": 1}, (1, 2), b"1", np.bool_(True), object()])
def test_nothing_makes_a_reader_raise(value: object):
    assert problem_of("charges", value).rule == "not_a_number"
    assert canonical_row({**ROW, "stars": value, "city": value}, CONTRACT) is not None


@pytest.mark.parametrize("value", [20, 20.0, "20", " 20.0 ", np.float32(20), np.int64(20)])
def test_numbers_of_any_type_are_read(value: object):
    assert canonical_row({**ROW, "charges": value}, CONTRACT).values["charges"] == 20.0


def test_integers_must_be_whole():
    assert problem_of("tenure", 5.5).rule == "not_whole"
    assert canonical_row({**ROW, "tenure": 5.0}, CONTRACT).problems == ()


@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_is_fine_where_nullable_and_refused_where_required(value: object):
    row = canonical_row({**ROW, "tenure": value, "city": value}, CONTRACT)
    assert row.problems == ()
    assert row.values["tenure"] is None
    assert row.values["city"] is None
    for field in ("charges", "plan"):
        assert problem_of(field, value).rule == "missing"


def test_an_absent_field_is_missing():
    row = canonical_row({k: v for k, v in ROW.items() if k not in ("tenure", "plan")}, CONTRACT)
    assert row.values["tenure"] is None
    assert [(p.field, p.limit) for p in row.problems] == [("plan", "basic, plus, max")]


def test_an_unknown_field_gets_the_nearest_name():
    row = canonical_row({**ROW, "tenur": 5}, CONTRACT)
    assert [p.rule for p in row.problems] == ["unknown_field"]
    assert "did you mean 'tenure'?" in row.problems[0].message


def test_id_and_target_may_be_in_the_row():
    assert canonical_row({**ROW, "customer": "C-1", "left": "Yes"}, CONTRACT).problems == ()


def test_an_unknown_label_is_kept_with_a_warning():
    row = canonical_row({**ROW, "plan": "Plus", "stars": 4.0}, CONTRACT)
    assert row.problems == ()
    assert row.values["plan"] == "Plus"
    assert row.values["stars"] == "4"
    assert [w.rule for w in row.warnings] == ["unknown_category"] * 2
    assert "did you mean 'plus'?" in row.warnings[0].message
    columns = row_columns(row.values, CONTRACT)
    assert columns["plan"].tolist() == [-2]


@pytest.mark.parametrize("value", [1, 1.0, "1", " 1 ", "1.0", np.int64(1), True, "true"])
def test_whole_labels_are_read_however_they_are_written(value: object):
    row = canonical_row({**ROW, "stars": value}, CONTRACT)
    assert row.values["stars"] == "1"
    assert row.warnings == ()


@pytest.mark.parametrize("value", [[1], {}, math.nan, object()])
def test_what_cannot_be_a_label_is_refused(value: object):
    assert problem_of("plan", value).rule == "not_a_label"


def test_a_broken_rule_between_columns_is_a_warning():
    row = canonical_row({**ROW, "plan": "max", "charges": 10}, CONTRACT)
    assert row.problems == ()
    assert [(w.rule, w.field) for w in row.warnings] == [("cross_rule", "maxed")]


def test_columns_of_a_row_hold_codes_and_derived_features():
    columns = row_columns(canonical_row(ROW, CONTRACT).values, CONTRACT)
    assert set(columns) == {*CONTRACT.columns, *CONTRACT.derived}
    assert {values.shape for values in columns.values()} == {(1,)}
    assert columns["plan"].dtype == np.int32
    assert columns["plan"][0] == 0
    assert columns["rate"][0] == pytest.approx(4.1)
    assert columns["age_of_contract"][0] == 0


def test_missing_values_are_nan_and_minus_one():
    row = canonical_row({**ROW, "tenure": None, "city": None}, CONTRACT)
    columns = row_columns(row.values, CONTRACT)
    assert np.isnan(columns["tenure"][0])
    assert np.isnan(columns["rate"][0])
    assert columns["city"][0] == -1
    assert columns["age_of_contract"][0] == -1


def test_two_contracts_do_not_get_in_each_other_s_way():
    other = parse_contract(SMALL.replace("[0, 240]", "[0, 60]"), "other.yaml")
    for _ in range(3):
        assert canonical_row({**ROW, "tenure": 100}, CONTRACT).problems == ()
        assert canonical_row({**ROW, "tenure": 100}, other).problems != ()
