"""Fedchurn's drift check on stored windows: p-values and effects of every column, per check.

``python -m benchmarks.drift.ours FOLDER INTO`` writes them as npz files, to try ideas on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.populations import as_columns
from benchmarks.drift.references import MIN_CELL_ROWS, contract_of, make_reference
from benchmarks.drift.stored import NONE, Check, Meta, folder_name, read_windows
from fedchurn.contract.schema import Contract
from fedchurn.drift.check import EarlierWindow, check_histograms
from fedchurn.drift.reference import DriftReference
from fedchurn.drift.verdict import ColumnDrift, DriftRule, DriftVerdict

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What n checks said of c columns; in streams n is (number of streams, windows in a row).

    Attributes:
        p_values: (n, c) unadjusted.
        adjusted: (n, c) for the number of columns.
        together: (n, c) the last windows taken as one, adjusted; 1 where there were none before.
        effects: (n, c) distance of values.
        missing_effects: (n, c) difference of missing shares.
        strongest: (n, c) which part of the test spoke loudest.
    """

    p_values: NDArray[np.float64]
    adjusted: NDArray[np.float64]
    together: NDArray[np.float64]
    effects: NDArray[np.float64]
    missing_effects: NDArray[np.float64]
    strongest: NDArray[np.str_]

    def smallest(self) -> NDArray[np.float64]:
        """Smallest adjusted p-value of every check (n,)."""
        return np.asarray(self.adjusted.min(axis=-1))


def check_all(
    checks: Iterable[Check],
    meta: Meta,
    contract: Contract,
    rule: DriftRule,
    min_cell_rows: int = MIN_CELL_ROWS,
) -> Found:
    """One check after another, each with its own reference."""
    verdicts = []
    for check in checks:
        reference = make_reference(check.reference, meta, contract, min_cell_rows=min_cell_rows)
        verdicts.append(check_stream(reference, [check.window], meta, rule)[0])
    return _found([verdicts], 1)


def check_streams(
    streams: Iterable[Sequence[Check]],
    meta: Meta,
    contract: Contract,
    rule: DriftRule,
) -> Found:
    """Windows in a row, each knowing those before it."""
    verdicts = []
    for stream in streams:
        reference = make_reference(stream[0].reference, meta, contract)
        verdicts.append(check_stream(reference, [c.window for c in stream], meta, rule))
    return _found(verdicts, 2)


def check_stream(
    reference: DriftReference, windows: Sequence[Rows], meta: Meta, rule: DriftRule | None
) -> list[DriftVerdict]:
    """Verdicts of windows in a row; by the reference's own rule if none is given."""
    earlier: list[EarlierWindow] = []
    verdicts = []
    for window in windows:
        columns = as_columns(window, meta.names, meta.num_labels)
        histograms = reference.histograms_of(columns)
        found = check_histograms(reference, histograms, len(window), rule, earlier=earlier)
        earlier.append(EarlierWindow(found.flagged, len(window), histograms))
        verdicts.append(found)
    return verdicts


def _found(verdicts: Sequence[Sequence[DriftVerdict]], dimensions: int) -> Found:
    records = [[[_cells(c) for c in v.columns] for v in stream] for stream in verdicts]
    fields = []
    for place in range(6):
        cells = np.array([[[c[place] for c in v] for v in stream] for stream in records])
        fields.append(cells if dimensions == 2 else cells[0])
    return Found(*fields)


def _cells(column: ColumnDrift) -> tuple[float, float, float, float, float, str]:
    together = column.together_p_value
    return (
        column.p_value,
        column.adjusted_p_value,
        1.0 if together is None else together,
        column.effects.distance,
        column.effects.missing,
        column.strongest,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Check all stored windows of a folder and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("into", type=Path)
    parser.add_argument("--most", type=int)
    parser.add_argument("--most-shifted", type=int)
    parser.add_argument("--min-cell-rows", type=int, default=MIN_CELL_ROWS)
    options = parser.parse_args(arguments)
    windows = read_windows(options.folder)
    contract = contract_of(windows.meta)
    options.into.mkdir(parents=True, exist_ok=True)
    for size in windows.meta.sizes:
        for shift in (NONE, *windows.meta.shifts):
            most = options.most if shift == NONE else options.most_shifted
            checks = windows.checks(size, shift, most)
            found = check_all(checks, windows.meta, contract, DriftRule(), options.min_cell_rows)
            np.savez(options.into / f"{folder_name(size)}-{shift}.npz", **vars(found))


if __name__ == "__main__":
    main()
