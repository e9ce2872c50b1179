"""Derived features of one row are those of tables, for every operation."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.columns import Columns, add_derived
from fedchurn.contract.derived_values import derived_functions
from fedchurn.contract.schema import Contract

CONTRACT = Contract.model_validate(
    {
        "contract": "all_operations",
        "version": "1.0.0",
        "target": {"column": "left", "positive": 1, "negative": 0},
        "columns": {
            "months": {"kind": "number", "nullable": True},
            "total": {"kind": "number", "nullable": True},
            "plan": {"kind": "category", "categories": ["a", "b"]},
            "phone": {"kind": "category", "categories": ["no", "yes"]},
            "note": {"kind": "text", "buckets": 3},
        },
        "derived": {
            "rate": {
                "op": "ratio",
                "numerator": "total",
                "denominator": "months",
                "floor": 1,
                "plus": 0.5,
                "scale": 2,
                "decimals": 2,
            },
            "bare": {"op": "ratio", "numerator": "total", "denominator": "months"},
            "spent": {"op": "product", "columns": ["months", "total"], "decimals": 1},
            "old": {"op": "threshold", "column": "months", "at_least": 12},
            "age": {"op": "bins", "column": "months", "edges": [12, 24], "labels": ["n", "m", "o"]},
            "services": {"op": "count", "columns": ["plan", "phone"], "labels": ["b", "yes"]},
            "pair": {"op": "cross", "columns": ["plan", "phone"]},
            "trio": {"op": "cross", "columns": ["old", "age", "plan"]},
            "mixed": {"op": "hash", "columns": ["plan", "note"], "buckets": 5},
        },
    }
)

numbers = st.one_of(st.just(math.nan), st.floats(-1e6, 1e6), st.sampled_from([0.0, 12.0, 24.0]))


def rows() -> st.SearchStrategy[dict[str, float]]:
    return st.fixed_dictionaries(
        {
            "months": numbers,
            "total": numbers,
            "plan": st.integers(-2, 1),
            "phone": st.integers(-2, 1),
            "note": st.integers(-1, 2),
        }
    )


@given(rows())
def test_one_row_gives_what_a_table_of_one_row_gives(row: dict[str, float]) -> None:
    columns: Columns = {
        name: np.array([value], dtype=np.float64 if CONTRACT.columns[name].is_number else np.int32)
        for name, value in row.items()
    }
    expected = add_derived(columns, CONTRACT)
    found = dict(row)
    for name, derive in derived_functions(CONTRACT):
        found[name] = derive(found)
    for name in CONTRACT.derived:
        np.testing.assert_array_equal(np.array([found[name]]), expected[name], err_msg=name)


def test_a_ratio_by_hand() -> None:
    functions = dict(derived_functions(CONTRACT))
    assert functions["rate"]({"total": 10.0, "months": 0.0}) == 13.33  # 2 * 10 / (1 + 0.5)
    assert math.isnan(functions["bare"]({"total": 10.0, "months": 0.0}))
