"""A contract of one number and one category, for hand-computable cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract

CONTRACT = Contract.model_validate(
    {
        "contract": "small",
        "version": "1.0.0",
        "target": {"column": "churn", "positive": 1, "negative": 0},
        "columns": {
            "age": {"kind": "integer", "usual": [0, 100], "hard": [0, 150], "nullable": True},
            "plan": {"kind": "category", "categories": ["basic", "pro"], "nullable": True},
        },
    }
)


def columns_of(age: Sequence[float] | np.ndarray, plan: Sequence[int] | np.ndarray) -> Columns:
    """Canonical columns of the small contract."""
    return {
        "age": np.asarray(age, dtype=np.float64),
        "plan": np.asarray(plan, dtype=np.int32),
    }
