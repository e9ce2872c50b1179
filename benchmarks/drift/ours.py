"""Fedchurn's drift check on stored windows: p-values and effects of every column, per check."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.populations import as_columns
from benchmarks.drift.references import contract_of, make_reference
from benchmarks.drift.stored import Check, Meta, folder_name, read_windows
from fedchurn.contract.schema import Contract
from fedchurn.drift.check import check_rows
from fedchurn.drift.verdict import ColumnDrift, DriftRule


@dataclass(frozen=True)
class Found:
    """What n checks said of c columns.

    Attributes:
        p_values: (n, c) unadjusted.
        adjusted: (n, c) for the number of columns.
        effects: (n, c) distance of values.
        missing_effects: (n, c) difference of missing shares.
        strongest: (n, c) which part of the test spoke loudest.
    """

    p_values: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    effects: NDArray[np.float64]
    missing_effects: NDArray[np.float64]
    strongest: NDArray[np.str_]

    def smallest(self) -> NDArray[np.float64]:
        """Smallest adjusted p-value of every check (n,)."""
        return np.asarray(self.adjusted.min(axis=1))


def check_all(
    checks: Iterable[Check], meta: Meta, contract: Contract, rule: DriftRule, min_cell_rows: int
) -> Found:
    """One check after another, each with its own reference."""
    records = []
    for check in checks:
        reference = make_reference(check.reference, meta, contract, min_cell_rows=min_cell_rows)
        columns = as_columns(check.window, meta.names, meta.num_labels)
        records.append([_cells(column) for column in check_rows(reference, columns, rule).columns])
    parts = list(zip(*(zip(*record, strict=True) for record in records), strict=True))
    return Found(*(np.array(part) for part in parts))


def _cells(column: ColumnDrift) -> tuple[float, float, float, float, str]:
    effects = column.effects
    adjusted = column.adjusted_p_value
    return column.p_value, adjusted, effects.distance, effects.missing, column.strongest


def main(arguments: Sequence[str] | None = None) -> None:
    """Check all stored windows of a folder and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--most", type=int)
    parser.add_argument("--most-shifted", type=int)
    parser.add_argument("--min-cell-rows", type=int, default=5)
    options = parser.parse_args(arguments)
    windows = read_windows(options.folder)
    contract = contract_of(windows.meta)
    options.into.mkdir(parents=True, exist_ok=True)
    for size in windows.meta.sizes:
        for shift in ("none", *windows.meta.shifts):
            most = options.most if shift == "none" else options.most_shifted
            checks = windows.checks(size, shift, most)
            found = check_all(checks, windows.meta, contract, DriftRule(), options.min_cell_rows)
            np.savez(options.into / f"{folder_name(size)}-{shift}.npz", **vars(found))


if __name__ == "__main__":
    main()
