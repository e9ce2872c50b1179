"""The reference is read as it was stored, and rows fall into its cells."""

from __future__ import annotations

from typing import Any

import pytest

from fedchurn.drift.reference import read_reference
from fedchurn.errors import IntegrityError
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
