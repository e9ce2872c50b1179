"""The gate with Great Expectations behind it: bad input, quarantine, the equation of the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.errors import ValidationFailed
from fedchurn.quality.gate import validate_client
from fedchurn.quality.report import raise_if_failed
from tests.unit.quality.small import CONTRACT, good_rows, raw_table, same_partition


def failure_of(frame, *, mode="block"):
    """The error that a run stops with, as one text."""
    report = validate_client(raw_table(frame), CONTRACT, mode=mode).report
    assert not report.passed
    with pytest.raises(ValidationFailed) as caught:
        raise_if_failed([report])
    assert "client north (shop.csv)" in caught.value.where
    return str(caught.value)


def test_good_rows_go_through_ready_to_split():
    validated = validate_client(raw_table(good_rows()), CONTRACT)
    assert validated.report.passed
    assert validated.report.failures() == ()
    table = validated.table
    assert table.num_rows == 60
    assert table.target.sum() == 15
    assert len(table.split) == 0
    assert table.row_numbers.tolist() == list(range(1, 61))
    assert len(set(table.group_keys.tolist())) == 60
    assert len(validated.quarantined) == 0


def test_missing_column():
    message = failure_of(good_rows().rename(columns={"months": "Months"}))
    assert "the source has no column 'months'; did you mean 'Months'?" in message
    assert "rename or add the column 'months' in the source" in message


def test_missing_target():
    assert "the source has no column 'left'" in failure_of(good_rows().drop(columns="left"))


def test_extra_column_is_a_warning_by_default_and_an_error_on_demand():
    frame = good_rows().assign(postcode="1")
    validated = validate_client(raw_table(frame), CONTRACT)
    assert validated.report.passed
    (warning,) = validated.report.failures()
    assert "'postcode'" in warning.detail
    strict = CONTRACT.model_copy(
        update={"dataset": CONTRACT.dataset.model_copy(update={"extra_columns": "reject"})}
    )
    report = validate_client(raw_table(frame), strict).report
    with pytest.raises(ValidationFailed, match="'postcode'"):
        raise_if_failed([report])


def test_text_in_a_number_column():
    frame = good_rows()
    frame.loc[4, "price"] = "twelve"
    message = failure_of(frame)
    assert "'twelve'" in message
    assert "price" in message
    assert "correct 'price' in the source" in message


def test_target_with_three_values():
    frame = good_rows()
    frame.loc[6, "left"] = "maybe"
    message = failure_of(frame)
    assert "'maybe'" in message
    assert "correct 'left' in the source" in message


def test_one_class_client():
    frame = good_rows()
    frame["left"] = "no"
    message = failure_of(frame)
    assert "the target holds only 'no' in 60 rows; 'yes' (churn) and 'no' are needed" in message
    assert "leave this client out" in message


def test_empty_client():
    message = failure_of(good_rows().iloc[:0])
    assert "0 rows; at least 20 are needed" in message
    assert "leave it out" in message


def test_all_rows_duplicate():
    once = good_rows().iloc[[0]]
    whole = pd.concat([once] * 40, ignore_index=True)
    message = failure_of(whole)
    assert "1 rows; at least 20 are needed" in message
    others = whole.assign(customer=[f"c{i}" for i in range(40)])
    others["left"] = ["yes", "no"] * 20
    message = failure_of(others)
    assert "1 different customers with churn and 1 without stand behind 40 rows" in message
    assert "remove duplicated rows at the source" in message


@pytest.mark.parametrize("mode", ["block", "quarantine"])
def test_nan_only_column_that_must_be_filled(mode):
    frame = good_rows()
    frame["price"] = np.nan
    message = failure_of(frame, mode=mode)
    assert "the column 'price' is empty in all 60 rows" in message
    assert "fill 'price' in the source" in message


def test_nan_only_column_that_may_be_missing_is_a_clear_warning():
    frame = good_rows()
    frame["total"] = None
    report = validate_client(raw_table(frame), CONTRACT).report
    assert report.passed
    assert "the column 'total' is empty in all 60 rows" in report.failures()[0].detail


def test_a_failed_client_hands_on_no_rows():
    frame = good_rows()
    frame.loc[4, "plan"] = "gold"
    validated = validate_client(raw_table(frame), CONTRACT)
    assert validated.table.num_rows == 0
    assert validated.report.rows_used == 60


def test_quarantine_sets_offending_rows_aside_with_reasons_and_goes_on():
    frame = good_rows()
    frame.loc[4, ["plan", "months"]] = ["gold", -3]
    frame.loc[9, "price"] = "twelve"
    validated = validate_client(raw_table(frame), CONTRACT, mode="quarantine")
    report, aside = validated.report, validated.quarantined
    assert report.passed
    assert (report.rows_used, report.rows_quarantined) == (58, 2)
    assert aside["row_number"].tolist() == [5, 10]
    assert aside["reason"].tolist() == [
        "months: hard_range; plan: categories",
        "price: readable; price: not_null",
    ]
    assert aside["plan"].tolist()[0] == "gold"
    assert 5 not in validated.table.row_numbers
    assert {r.rule for r in report.set_aside} == {
        "hard_range",
        "categories",
        "readable",
        "not_null",
    }


def test_quarantine_that_leaves_too_few_rows_blocks():
    frame = good_rows()
    frame.loc[:49, "plan"] = "gold"
    validated = validate_client(raw_table(frame), CONTRACT, mode="quarantine")
    assert not validated.report.passed
    assert validated.report.rows_quarantined == 50
    assert "10 rows; at least 20" in validated.report.failures()[0].detail


def test_a_source_column_named_reason_is_kept_beside_ours():
    frame = good_rows().assign(reason="moved")
    frame.loc[4, "plan"] = "gold"
    aside = validate_client(raw_table(frame), CONTRACT, mode="quarantine").quarantined
    assert aside["source_reason"].tolist() == ["moved"]
    assert aside["reason"].tolist() == ["plan: categories"]


def test_whole_duplicates_are_dropped_and_copies_with_other_ids_kept():
    frame = good_rows()
    again = pd.concat([frame, frame.iloc[[3, 3]], frame.iloc[[5]]], ignore_index=True)
    again.loc[62, "customer"] = "c999"
    validated = validate_client(raw_table(again), CONTRACT)
    assert validated.report.rows_dropped_duplicates == 2
    assert validated.report.rows_used == 61
    groups = validated.table.customer_groups
    assert groups[5] == groups[60]
    keep = validate_client(raw_table(again), CONTRACT, drop_exact_duplicates=False).report
    assert keep.rows_dropped_duplicates == 0
    assert any(r.rule == "id_unique" for r in keep.failures())


def test_groups_of_the_larger_table_are_taken_over():
    groups = np.repeat(np.arange(30) * 7, 2)
    table = validate_client(raw_table(good_rows()), CONTRACT, groups=groups).table
    assert same_partition(table.customer_groups, groups)
    assert same_partition(table.group_keys.view(np.int64), groups)


BAD_CELLS = st.lists(
    st.tuples(
        st.integers(0, 47),
        st.sampled_from(
            [
                ("months", -5),
                ("months", 1.5),
                ("plan", "gold"),
                ("plan", "b"),
                ("left", "maybe"),
                ("left", None),
                ("price", "x"),
                ("customer", "c0"),
                ("customer", "?"),
                ("total", None),
                ("gender", None),
            ]
        ),
    ),
    max_size=20,
)


@settings(max_examples=12, deadline=None)
@given(BAD_CELLS, st.lists(st.integers(0, 39), max_size=6), st.booleans())
def test_no_row_is_lost_and_none_counted_twice(bad, repeated, drop):
    frame = good_rows(48)
    for row, (column, value) in bad:
        frame.loc[row, column] = value
    frame = pd.concat([frame, frame.iloc[repeated]], ignore_index=True)
    raw = raw_table(frame)
    validated = validate_client(raw, CONTRACT, mode="quarantine", drop_exact_duplicates=drop)
    report = validated.report
    assert report.rows_in == len(frame)
    assert report.rows_used + report.rows_quarantined + report.rows_dropped_duplicates == len(frame)
    assert len(validated.quarantined) == report.rows_quarantined
    kept = set(validated.table.row_numbers.tolist())
    assert not kept & set(validated.quarantined["row_number"].tolist())
    if report.passed:
        assert len(kept) == validated.table.num_rows == report.rows_used
        assert not any(r.is_error for r in validate_again(raw, kept).results)


def validate_again(raw, row_numbers):
    """The report on the rows that were let through, checked as a table of their own."""
    kept = np.isin(raw.row_numbers, list(row_numbers))
    return validate_client(raw.take(kept), CONTRACT).report
