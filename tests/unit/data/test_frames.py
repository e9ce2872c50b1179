"""Cells become canonical by the contract: aliases, null tokens, whole numbers, nothing else."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.columns import MISSING, UNKNOWN, text_code
from fedchurn.data.frames import CanonicalTable, Unreadable, canonical_table, frame_columns
from tests.unit.data.small import contract, raw


def canonical(**columns: Any) -> CanonicalTable:
    return canonical_table(raw(columns), contract())


def cells(name: str, values: Any) -> list[Any]:
    return canonical(**{name: values}).frame[name].tolist()


def test_numbers_from_text() -> None:
    assert cells("Age", ["18", " 19 ", "2e1", "-1.5"]) == [18.0, 19.0, 20.0, -1.5]


def test_numbers_are_correctly_rounded() -> None:
    assert cells("Age", ["0.1", "8.41", "1e23", "9007199254740993"]) == [
        0.1,
        8.41,
        1e23,
        9007199254740993.0,
    ]


@pytest.mark.parametrize("missing", ["", "  ", "?", None, np.nan, pd.NA, pd.NaT, "nan"])
def test_missing_number(missing: object) -> None:
    table = canonical(Age=pd.Series([18, missing], dtype=object))
    assert np.isnan(table.frame["Age"][1])
    assert table.unreadable == ()


@pytest.mark.parametrize("text", ["abc", "1,5", "1_000", "NA", "inf", "-Infinity", "12 months"])
def test_text_in_a_number_column_is_listed(text: str) -> None:
    table = canonical_table(raw({"Age": ["18", text, "20"]}, first_row=101), contract())
    assert table.unreadable == (Unreadable("Age", 102, text),)
    assert table.frame["Age"].isna().tolist() == [False, True, False]


def test_infinite_number_is_unreadable() -> None:
    table = canonical(Age=[18.0, np.inf, -np.inf, np.nan])
    assert table.unreadable == (Unreadable("Age", 2, "inf"), Unreadable("Age", 3, "-inf"))
    assert table.frame["Age"].isna().sum() == 3


def test_truth_value_in_a_number_column_is_unreadable() -> None:
    assert canonical(Age=[True, False]).unreadable[0] == Unreadable("Age", 1, "True")
    mixed = canonical(Age=pd.Series([1, True], dtype=object))
    assert mixed.unreadable == (Unreadable("Age", 2, "True"),)


@pytest.mark.parametrize("one", [1, 1.0, "1", "1.0", " 1 ", np.int8(1), decimal.Decimal("1.0")])
def test_whole_number_category(one: object) -> None:
    assert cells("Tier", pd.Series([one], dtype=object)) == ["1"]


def test_whole_number_category_with_gaps_read_as_float() -> None:
    assert cells("Tier", [1.0, np.nan, 3.0]) == ["1", None, "3"]


def test_aliases_are_applied_and_counted() -> None:
    table = canonical(Plan=["CC", " CC ", "Basic", "Credit Card"])
    assert table.frame["Plan"].tolist() == ["Credit Card", "Credit Card", "Basic", "Credit Card"]
    assert table.aliased == {"Plan": 2}


def test_unknown_categories_keep_their_text() -> None:
    assert cells("Plan", ["Gold", "basic"]) == ["Gold", "basic"]
    assert cells("Tier", [7, 1.5]) == ["7", "1.5"]


def test_truth_values_are_the_labels_1_and_0() -> None:
    assert cells("Tier", [True, True]) == ["1", "1"]


def test_missing_label_is_none() -> None:
    assert cells("Plan", ["Basic", "", None, np.nan]) == ["Basic", None, None, None]


def test_labels_are_plain_strings() -> None:
    table = canonical(Plan=["Basic"], Note=["x"], Id=[50001.0])
    assert {str(t) for t in table.frame[["Plan", "Note", "Id"]].dtypes} == {"object"}
    assert table.frame["Id"].tolist() == ["50001"]


def test_ids_keep_leading_zeros_and_length() -> None:
    assert cells("Id", ["007", "08"]) == ["007", "08"]
    assert cells("Id", pd.Series([2**60 + 1], dtype=object)) == [str(2**60 + 1)]


def test_target() -> None:
    table = canonical(Churn=["Yes", "No", "Maybe", "", "maybe", "Maybe"])
    np.testing.assert_array_equal(table.frame["Churn"], [1, 0, np.nan, np.nan, np.nan, np.nan])
    assert table.unknown_targets == {"Maybe": 2, "maybe": 1, "": 1}


@pytest.mark.parametrize("values", [[1, 0], [1.0, 0.0], ["1", "0.0"], [True, False]])
def test_target_of_ones_and_zeros(values: list[object]) -> None:
    labels = {"column": "Churn", "positive": 1, "negative": 0}
    table = canonical_table(raw({"Churn": values}), contract(target=labels))
    assert table.frame["Churn"].tolist() == [1.0, 0.0]


def test_missing_and_extra_columns_are_recorded() -> None:
    table = canonical(Age=[18], Colour=["red"], Churn=["No"])
    assert table.missing_columns == ("Id", "Plan", "Tier", "Note")
    assert table.extra_columns == ("Colour",)
    assert list(table.frame.columns) == ["Id", "Churn", "Age", "Plan", "Tier", "Note"]
    assert table.frame["Plan"].tolist() == [None]


def test_blanks_around_a_source_name_do_not_matter() -> None:
    table = canonical(**{" Age ": [18]})
    assert table.frame["Age"].tolist() == [18.0]
    assert "Age" not in table.missing_columns


def test_facts_of_the_source_are_carried() -> None:
    table = canonical_table(raw({"Age": [18, 19]}, first_row=5), contract())
    assert (table.client, table.source, table.sha256) == ("north", "small.csv", "0" * 64)
    assert table.row_numbers.tolist() == [5, 6]


def test_columns_are_numbers_and_codes() -> None:
    table = canonical(
        Age=["18", "", "20"],
        Plan=["CC", "Gold", ""],
        Tier=[3, 9, np.nan],
        Note=["late", "", "late"],
    )
    columns = frame_columns(table.frame, contract())
    np.testing.assert_array_equal(columns["Age"], [18, np.nan, 20])
    assert columns["Plan"].tolist() == [1, UNKNOWN, MISSING]
    assert columns["Tier"].tolist() == [2, UNKNOWN, MISSING]
    assert columns["Note"].tolist() == [text_code("late", 8), MISSING, text_code("late", 8)]
    assert {columns[n].dtype for n in ("Plan", "Tier", "Note")} == {np.dtype(np.int32)}


def test_derived_features_are_added() -> None:
    derived = {"Old": {"op": "threshold", "column": "Age", "at_least": 65}}
    columns = frame_columns(canonical(Age=[64, 65, ""]).frame, contract(derived=derived))
    assert columns["Old"].tolist() == [0, 1, MISSING]


CELL = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-5, 5, allow_subnormal=False),
    st.sampled_from(["1", "1.0", " CC", "Basic", "", "?", "nan", "x", "2e0"]),
)


@given(st.lists(CELL, min_size=1, max_size=12))
def test_a_cell_does_not_depend_on_its_neighbours(values: list[object]) -> None:
    together = canonical_table(_columns_of(values), contract())
    for i, value in enumerate(values):
        alone = canonical_table(_columns_of([value]), contract())
        pd.testing.assert_frame_equal(
            together.frame.iloc[[i]].reset_index(drop=True), alone.frame, check_exact=True
        )


def _columns_of(values: list[object]) -> Any:
    column = pd.Series(values, dtype=object)
    return raw(dict.fromkeys(("Id", "Age", "Plan", "Tier", "Note", "Churn"), column))


@given(st.lists(st.sampled_from(["1", "2.0", "CC", "Basic", "", "x", "?"]), min_size=1))
def test_text_and_object_cells_mean_the_same(values: list[str]) -> None:
    names = ("Id", "Age", "Plan", "Tier", "Note", "Churn")
    as_object = raw({n: pd.Series(values, dtype=object) for n in names})
    as_text = raw({n: pd.Series(values, dtype="str") for n in names})
    one, other = canonical_table(as_object, contract()), canonical_table(as_text, contract())
    pd.testing.assert_frame_equal(one.frame, other.frame)
    assert one.unreadable == other.unreadable
