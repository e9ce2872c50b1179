"""The real files as populations to draw windows from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, UNKNOWN, Columns, features
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table, frame_columns
from fedchurn.data.sources import read_table
from fedchurn.quality.copies import copy_groups

FILES = {"ecommerce": "E_Commerce_Dataset.xlsx", "telco": "Telco-Customer-Churn.csv"}


@dataclass(frozen=True)
class Population:
    """Rows of a real file.

    Attributes:
        contract: of the file.
        names: columns with a drift test, in contract order.
        num_labels: of the category columns.
        rows: (p, c) values, labels as codes, NaN where missing.
        customers: (p,) equal numbers are copies of one customer, from 0 without gaps.
    """

    contract: Contract
    names: tuple[str, ...]
    num_labels: dict[str, int]
    rows: NDArray[np.float64]
    customers: NDArray[np.int64]

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Places of independent rows: any customer with equal chance, then any of the copies."""
        order = np.argsort(self.customers, kind="stable")
        counts = np.bincount(self.customers)
        begins = np.cumsum(counts) - counts
        chosen = generator.integers(len(counts), size=shape)
        copy = np.floor(generator.random(shape) * counts[chosen]).astype(np.int64)
        return np.asarray(order[begins[chosen] + copy], dtype=np.int32)


def default_folder() -> Path:
    """``FEDCHURN_DATA_DIR``, or the folder beside the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("FEDCHURN_DATA_DIR") or beside)


def read_population(name: str, folder: Path) -> Population:
    """Read a real file and find the customers behind its rows."""
    contract = load_contract(name)
    canonical = canonical_table(read_table(folder / FILES[name], contract), contract)
    columns = frame_columns(canonical.frame, contract)
    target = canonical.frame[contract.target.column].to_numpy(np.float64).astype(np.int8)
    groups = copy_groups(columns, target, contract).groups
    names = tuple(n for n, column in contract.columns.items() if column.drift)
    labels = {f.name: len(f.labels) for f in features(contract) if f.labels is not None}
    return Population(
        contract,
        names,
        {name: labels[name] for name in names if name in labels},
        as_matrix(columns, names),
        groups,
    )


def as_matrix(columns: Columns, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Canonical columns side by side, (n, c)."""
    return np.stack([_as_floats(columns[name]) for name in names], axis=1)


def _as_floats(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if np.any(values == UNKNOWN):
        raise ValueError("the file holds labels that the contract does not know")
    return np.where(values == MISSING, np.nan, values)


def as_columns(
    rows: NDArray[np.float64], names: tuple[str, ...], num_labels: dict[str, int]
) -> Columns:
    """A matrix as canonical columns."""
    return {
        name: np.where(np.isnan(values), MISSING, values).astype(np.int32)
        if name in num_labels
        else values
        for name, values in zip(names, rows.T, strict=True)
    }
