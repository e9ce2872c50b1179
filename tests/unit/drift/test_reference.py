"""The reference is read as it was stored, and rows fall into its cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedchurn.contract.schema import Contract
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import ReferenceColumn, read_reference
from fedchurn.drift.relation.dependence import DependenceSums, fit_dependence
from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN, ColumnTest, Subject
from fedchurn.errors import IntegrityError
from tests.unit.drift import dependent_rows
from tests.unit.drift.references import CONTRACT, reference, rows, stored


def test_only_columns_with_a_test_are_read_in_contract_order() -> None:
    found = reference({0: 4, 2: 6}, [5, 3, 2])
    assert [one.name for one in found.columns] == ["Tenure", "Device"]
    assert found.num_rows == 10
    tenure, device = (one.histogram.cells.tolist() for one in found.columns)
    assert tenure == [0, 4, 0, 6, 0, 0]  # below 0, 0, 1, 2, 3, above 3
    assert device == [5, 3, 2, 0]  # the last cell is for unknown labels


def test_estimates_become_whole_rows_with_the_same_sum() -> None:
    found = reference({0: 2.5, 1: 2.5, 2: 1 / 3, 3: 2 / 3}, [5.2, 0.4, 0.4])
    tenure, device = (one.histogram.cells for one in found.columns)
    assert tenure.sum() == 6
    assert device.tolist() == [5, 1, 0, 0]


def test_rows_fall_into_the_same_cells() -> None:
    found = reference({0: 4}, [4, 0, 0])
    window = found.histograms_of(rows([0, 1, 1, 3, 9, -7, None], [0, 0, 1, 2, -1, -2, -2]))
    assert window["Tenure"].cells.tolist() == [1, 1, 2, 0, 1, 1]
    assert window["Tenure"].missing == 1
    assert window["Tenure"].missing_fraction == 1 / 7
    assert window["Device"].cells.tolist() == [2, 1, 1, 2]
    assert window["Device"].missing == 1


def test_the_reference_of_one_client_can_be_read() -> None:
    content = stored({0: 4}, [4, 0, 0])
    content["clients"]["a"] = stored({3: 9}, [0, 9, 0])["pooled"]
    assert read_reference(content, CONTRACT, client="a").num_rows == 9


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"Tenure": {"edges": [0, 30, 60], "counts": [5, 7]}},
        {**stored({0: 4}, [4, 0, 0]), "format": 3},
        {**stored({0: 4}, [4, 0, 0]), "edges": {}},
        {**stored({0: 4}, [4, 0, 0]), "pooled": {"num_rows": 4}},
        {**stored({9: 4}, [4, 0, 0])},
    ],
)
def test_other_content_is_no_reference(content: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match=r"reference\.json: no reference for drift"):
        read_reference(content, CONTRACT)


def test_errors_that_were_worked_out_before_are_counted_as_they_are() -> None:
    columns = {"a": np.array([0.0, 1.0, 2.0]), "b": np.array([0.0, 1.0, -2.0])}
    plain = dependent_rows.reference(columns)
    known = fit_dependence(
        dependent_rows.scored(columns), DependenceSums(0, np.zeros(3, int), np.zeros((3, 3), int))
    )
    error = ReferenceColumn(
        RELATION_COLUMN, Subject.RELATION, ColumnTest.KS, np.array([0.5, 1.0]), _cells(3)
    )
    found = replace(plain, columns=(*plain.columns, error), dependence=known)
    whole = found.with_errors(columns)
    assert whole[RELATION_COLUMN].tolist() == known.errors(columns).tolist()
    first = {name: values[:1] for name, values in whole.items()}
    there = found.histograms_of(first)[RELATION_COLUMN].cells
    assert (
        there.tolist()
        == found.histograms_of({n: columns[n][:1] for n in columns})[RELATION_COLUMN].cells.tolist()
    )
    assert there.sum() == 1
    # Not worked out anew: another value is believed.
    first[RELATION_COLUMN] = np.array([0.7])
    assert found.histograms_of(first)[RELATION_COLUMN].cells.tolist() == [0, 1, 0]


def test_a_contract_column_called_like_one_of_ours_is_the_contracts() -> None:
    data = CONTRACT.model_dump()
    data["columns"][SCORE_COLUMN] = data["columns"].pop("Tenure")
    content = stored({0: 4}, [4, 0, 0])
    content["edges"] = {SCORE_COLUMN: content["edges"].pop("Tenure")}
    content["pooled"]["numbers"][SCORE_COLUMN] = content["pooled"]["numbers"].pop("Tenure")
    content["own_edges"] = {SCORE_COLUMN: [0.5]}
    content["pooled"]["own"] = {SCORE_COLUMN: {"cells": [[0, 4]], "num_rows": 4}}
    found = read_reference(content, Contract.model_validate(data))
    assert {one.name: one.subject for one in found.columns} == {
        "Device": Subject.COVARIATE,
        SCORE_COLUMN: Subject.COVARIATE,
    }
    columns = {"Device": np.zeros(2, dtype=np.int32), SCORE_COLUMN: np.array([0.0, 3.0])}
    window = found.histograms_of(columns, np.array([0.1, 0.9]))
    assert window[SCORE_COLUMN].cells.tolist() == [0, 1, 0, 0, 1, 0]


def test_without_a_tested_relation_there_are_no_errors() -> None:
    columns = rows([0, 1], [0, 1])
    assert reference({0: 4}, [4, 0, 0]).with_errors(columns) is columns


def _cells(num_cells: int) -> Histogram:
    return Histogram(np.zeros(num_cells), 0.0)
