"""A contract small enough to work out by hand, and tables for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.data.sources import RawTable


def contract(**changes: Any) -> Contract:
    """Customers with an age, a plan with an alias, a city tier of whole numbers, and a note."""
    parts: dict[str, Any] = {
        "contract": "small",
        "version": "1.0.0",
        "id": {"column": "Id"},
        "target": {"column": "Churn", "positive": "Yes", "negative": "No"},
        "columns": {
            "Age": {"kind": "integer", "usual": (18, 80), "nullable": True, "null_tokens": ["?"]},
            "Plan": {
                "kind": "category",
                "categories": ["Basic", "Credit Card"],
                "aliases": {"CC": "Credit Card"},
            },
            "Tier": {"kind": "category", "categories": [1, 2, 3]},
            "Note": {"kind": "text", "buckets": 8, "nullable": True},
        },
    }
    return Contract.model_validate(parts | changes)


def raw(columns: dict[str, Any], *, first_row: int = 1) -> RawTable:
    frame = pd.DataFrame(columns)
    numbers = np.arange(first_row, first_row + len(frame), dtype=np.int64)
    return RawTable("north", frame, numbers, "small.csv", "0" * 64, is_sample=False)


def client_table(
    groups: Any, target: Any, *, client: str = "north", keys: Any = None, split: Any = ()
) -> ClientTable:
    """A client whose rows have no columns; group keys are scattered group numbers by default."""
    groups = np.asarray(groups, dtype=np.int64)
    scattered = groups.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ClientTable(
        client=client,
        columns={"row": np.arange(len(groups), dtype=np.float64)},
        target=np.asarray(target, dtype=np.int8),
        customer_groups=groups,
        group_keys=scattered if keys is None else np.asarray(keys, dtype=np.uint64),
        row_numbers=np.arange(1, len(groups) + 1, dtype=np.int64),
        split=np.asarray(split, dtype=np.int8),
    )
