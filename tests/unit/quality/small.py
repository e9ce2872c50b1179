"""A small contract with every kind of check, rows that obey it, and copies made on purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sources import RawTable
from fedchurn.quality.content import hash_columns
from fedchurn.quality.copies import copy_groups
from fedchurn.quality.subject import Subject

CONTRACT = Contract.model_validate(
    {
        "contract": "shop",
        "version": "1.0.0",
        "id": {"column": "customer", "pattern": r"c\d+", "unique": True},
        "target": {"column": "left", "positive": "yes", "negative": "no", "rate_warn": [0.1, 0.6]},
        "columns": {
            "months": {"kind": "integer", "unit": "months", "hard": [0, 240], "usual": [0, 60]},
            "price": {"kind": "number", "hard": [0, 1000]},
            "total": {"kind": "number", "nullable": True, "null_fraction_warn": 0.2},
            "plan": {
                "kind": "category",
                "categories": ["basic", "plus", "pro"],
                "aliases": {"b": "basic"},
            },
            "gender": {"kind": "category", "categories": ["f", "m"], "sensitive": True},
            "extras": {"kind": "category", "categories": ["none", "some"]},
        },
        "rules": [
            {
                "op": "implies",
                "id": "basic_has_no_extras",
                "when": [{"column": "plan", "equals": "basic"}],
                "then": [{"column": "extras", "equals": "none"}],
                "description": "the basic plan has no extras",
            },
            {"op": "not_above", "id": "price_below_total", "low": "price", "high": "total"},
            {
                "op": "near_product",
                "id": "total_is_months_times_price",
                "column": "total",
                "factors": ["months", "price"],
                "relative": 0.5,
            },
        ],
        "dataset": {"min_rows": 20, "min_positives": 4},
    }
)


def good_rows(num_rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Rows in the source's own form that break no check."""
    rng = np.random.default_rng(seed)
    months = rng.integers(2, 60, num_rows)
    price = rng.integers(500, 9000, num_rows) / 100
    plan = rng.choice(["basic", "plus", "pro"], num_rows)
    return pd.DataFrame(
        {
            "customer": [f"c{i}" for i in range(num_rows)],
            "left": np.where(np.arange(num_rows) % 4 == 0, "yes", "no"),
            "months": months,
            "price": price,
            "total": np.round(months * price, 2),
            "plan": plan,
            "gender": rng.choice(["f", "m"], num_rows),
            "extras": np.where(plan == "basic", "none", rng.choice(["none", "some"], num_rows)),
        }
    ).astype(object)


def raw_table(frame: pd.DataFrame, client: str = "north", *, is_sample: bool = False) -> RawTable:
    numbers = np.arange(1, len(frame) + 1, dtype=np.int64)
    return RawTable(client, frame.reset_index(drop=True), numbers, "shop.csv", "ab" * 32, is_sample)


def subject_of(frame: pd.DataFrame, contract: Contract = CONTRACT) -> Subject:
    """Rows ready to be checked, with their copies."""
    table = canonical_table(raw_table(frame), contract)
    columns = frame_columns(table.frame, contract)
    own = {name: columns[name] for name in contract.columns}
    hashes = hash_columns(own)
    repeat = np.ones(len(hashes), dtype=bool)
    repeat[np.unique(hashes, return_index=True)[1]] = False
    target = np.nan_to_num(table.frame[contract.target.column].to_numpy(np.float64), nan=-1)
    copies = copy_groups(columns, target.astype(np.int8), contract)
    return Subject(table, contract, repeat, copies)


WIDE = Contract.model_validate(
    {
        "contract": "wide",
        "version": "1.0.0",
        "target": {"column": "left", "positive": "1", "negative": "0"},
        "columns": {
            **{f"n{i}": {"kind": "integer"} for i in range(5)},
            "amount": {"kind": "number", "nullable": True},
            **{f"k{i}": {"kind": "category", "categories": ["a", "b", "c", "d"]} for i in range(6)},
        },
    }
)


def independent_columns(num_rows: int, seed: int = 0) -> tuple[Columns, NDArray[np.int8]]:
    """Rows of the wide contract without any copies: every column drawn by itself."""
    rng = np.random.default_rng(seed)
    columns: Columns = {f"n{i}": rng.integers(0, 40, num_rows).astype(float) for i in range(5)}
    amount = rng.integers(0, 30_000, num_rows) / 100
    columns["amount"] = np.where(rng.random(num_rows) < 0.05, np.nan, amount)
    for i in range(6):
        columns[f"k{i}"] = rng.integers(-1, 4, num_rows).astype(np.int32)
    return columns, (rng.random(num_rows) < 0.3).astype(np.int8)


def rows_of(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def stacked(first: Columns, second: Columns) -> Columns:
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def same_partition(left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    """Whether two group numberings mean the same groups."""
    pairs = len(set(zip(left.tolist(), right.tolist(), strict=True)))
    return pairs == len(set(left.tolist())) == len(set(right.tolist()))
