"""A small contract and references of it, made by hand or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.drift.reference import DriftReference, read_reference

CONTRACT = Contract.model_validate(
    {
        "contract": "shop",
        "version": "1.0.0",
        "target": {"column": "Churn", "positive": 1, "negative": 0},
        "columns": {
            "Tenure": {"kind": "integer", "usual": [0, 3], "nullable": True, "drift": "ks"},
            "Device": {
                "kind": "category",
                "categories": ["Phone", "Computer", "Tablet"],
                "drift": "chi_squared",
            },
            "Untested": {"kind": "integer", "usual": [0, 9]},
        },
    }
)
TENURE_EDGES = [-0.5, 0.5, 1.5, 2.5, 3.5]


def stored(
    tenure: Mapping[int, float],
    device: Sequence[float],
    *,
    tenure_missing: float = 0.0,
    unknown: float = 0.0,
) -> dict[str, Any]:
    """A ``reference.json``: rows per value of Tenure (0 to 3) and per label of Device."""
    part = {
        "num_rows": sum(device) + unknown,
        "numbers": {
            "Tenure": {
                "missing": tenure_missing,
                "cells": [[value + 1.0, rows] for value, rows in tenure.items()],
            }
        },
        "categories": {"Device": {"cells": list(device), "missing": 0.0, "unknown": unknown}},
    }
    return {"format": 1, "edges": {"Tenure": TENURE_EDGES}, "pooled": part, "clients": {"a": part}}


def reference(
    tenure: Mapping[int, float], device: Sequence[float], **more: float
) -> DriftReference:
    return read_reference(stored(tenure, device, **more), CONTRACT)


def rows(tenure: Sequence[float | None], device: Sequence[int]) -> Columns:
    """Canonical columns; None is a missing number, -1 a missing label and -2 an unknown one."""
    return {
        "Tenure": np.array([np.nan if t is None else t for t in tenure], dtype=np.float64),
        "Device": np.array(device, dtype=np.int32),
        "Untested": np.zeros(len(device)),
    }
