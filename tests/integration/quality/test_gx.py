"""The Great Expectations suite and the row numbers of the report never disagree."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.quality.checks import contract_checks
from fedchurn.quality.gx import suite_verdicts
from fedchurn.quality.subject import failing_rows
from tests.unit.quality.small import CONTRACT, good_rows, subject_of

CELLS = {
    "customer": ["c1", "x", None],
    "left": ["yes", "no", "maybe", None],
    "months": [-1, 0, 61, 240, 241, 2.5, "x", None],
    "price": [0, 1000, 1000.5, "x", None],
    "total": [0, 5, None, "x"],
    "plan": ["basic", "b", "gold", None],
    "gender": ["f", "m", "?", None],
    "extras": ["none", "some", "lots", None],
}
CELL = st.sampled_from([(column, value) for column in CELLS for value in CELLS[column]])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 29), CELL), max_size=15))
def test_a_check_of_rows_fails_exactly_where_rows_break_it(changes):
    frame = good_rows(30)
    for row, (column, value) in changes:
        frame.loc[row, column] = value
    subject = subject_of(frame)
    checks = [c for c in contract_checks(CONTRACT) if c.is_row_level or c.tolerated_fraction]
    verdicts = suite_verdicts(checks, subject, "shop")
    for check, verdict in zip(checks, verdicts, strict=True):
        rows = failing_rows(check, subject)
        assert verdict == (rows.mean() <= check.tolerated_fraction), check.name


def test_checks_of_the_table():
    frame = good_rows(30).rename(columns={"gender": "sex"})
    frame["left"] = np.where(np.arange(30) < 3, "yes", "no")
    frame["price"] = None
    subject = subject_of(frame)
    rules = {"column_present", "no_extra_columns", "row_count", "positives", "churn_rate"}
    checks = [c for c in contract_checks(CONTRACT) if c.rule in rules | {"both_classes"}]
    verdicts = suite_verdicts(checks, subject, "shop")
    failed = {(c.rule, c.column) for c, v in zip(checks, verdicts, strict=True) if not v}
    assert failed == {
        ("column_present", "gender"),
        ("no_extra_columns", ""),
        ("positives", "left"),
    }
