"""Messages name the value, the place and the next step, and never show what must stay."""

from __future__ import annotations

import pytest

from fedchurn.quality.checks import contract_checks
from fedchurn.quality.findings import failed_result
from tests.unit.quality.small import CONTRACT, good_rows, subject_of


def finding(frame, column, name):
    subject = subject_of(frame)
    check = next(c for c in contract_checks(CONTRACT) if (c.column, c.name) == (column, name))
    return failed_result(check, subject)


def test_text_in_a_number_column():
    frame = good_rows()
    frame.loc[4, "months"] = "a year"
    result = finding(frame, "months", "readable")
    assert "'a year'" in result.detail
    assert result.first_rows == (5,)
    assert "null_tokens" in result.next_step
    assert "1 because the cell holds no number" in finding(frame, "months", "not_null").detail


def test_a_mistyped_category_gets_its_nearest_match():
    frame = good_rows()
    frame.loc[[1, 3], "plan"] = "plsu"
    result = finding(frame, "plan", "categories")
    assert "'plsu'" in result.detail
    assert "did you mean 'plus'?" in result.detail
    assert result.num_failed == 2
    assert result.fraction_failed == pytest.approx(2 / 60)


def test_only_the_first_values_and_rows_are_shown():
    frame = good_rows()
    frame.loc[:14, "plan"] = [f"odd{i}" for i in range(15)]
    result = finding(frame, "plan", "categories")
    assert "'odd0', 'odd1', 'odd2' and 12 more" in result.detail
    assert "odd3" not in result.detail
    assert result.first_rows == tuple(range(1, 11))


def test_values_of_sensitive_columns_ids_and_numbers_are_not_shown():
    frame = good_rows()
    frame.loc[0, "gender"] = "secret-gender"
    frame.loc[1, "customer"] = "secret-id"
    frame.loc[2, "months"] = 987654
    for column, rule in (
        ("gender", "categories"),
        ("customer", "id_pattern"),
        ("months", "hard_range"),
    ):
        result = finding(frame, column, rule)
        assert "secret" not in result.detail + result.next_step
        assert "987654" not in result.detail + result.next_step
        assert result.num_failed == 1


def test_a_third_target_value_is_named():
    frame = good_rows()
    frame.loc[6, "left"] = "maybe"
    result = finding(frame, "left", "target_labels")
    assert "values other than 'yes' (churn) and 'no': 'maybe'" in result.detail
    assert result.first_rows == (7,)
    assert "target.positive" in result.next_step


def test_a_missing_column_names_a_near_one():
    frame = good_rows().rename(columns={"months": "month"})
    result = finding(frame, "months", "column_present")
    assert result.detail == "the source has no column 'months'; did you mean 'month'?"
    assert "rename or add the column 'months'" in result.next_step


def test_an_extra_column_is_named():
    result = finding(good_rows().assign(postcode="1"), "", "no_extra_columns")
    assert "'postcode'" in result.detail
    assert "ignored" in result.detail


def test_one_class_and_few_positives():
    frame = good_rows()
    frame["left"] = "no"
    assert "only 'no' in 60 rows" in finding(frame, "left", "both_classes").detail
    assert "0 rows with 'yes'; at least 4" in finding(frame, "left", "positives").detail


def test_an_empty_column():
    frame = good_rows()
    frame["total"] = None
    assert "empty in all 60 rows" in finding(frame, "total", "some_values").detail


def test_too_few_customers():
    frame = good_rows(2)
    frame = frame.loc[[0, 1] * 20].assign(customer=[f"c{i}" for i in range(40)])
    detail = finding(frame.reset_index(drop=True), "left", "customers").detail
    assert detail.startswith("1 different customers with churn and 1 without stand behind 40 rows")
