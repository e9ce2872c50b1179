"""The reference that a release would hold, made from rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.populations import as_columns
from benchmarks.drift.stored import Meta
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.encoding.statistics import Statistics, client_statistics

MIN_CELL_ROWS = 5  # as training suppresses by default


def contract_of(meta: Meta) -> Contract:
    """The contract without derived features, which no drift test needs."""
    return load_contract(meta.contract).model_copy(update={"derived": {}})


def make_reference(
    rows: NDArray[np.float64],
    meta: Meta,
    contract: Contract,
    *,
    min_cell_rows: int = MIN_CELL_ROWS,
    num_effective_rows: float | None = None,
) -> DriftReference:
    """Histograms of one client's rows (n, c), as training stores and the service reads them."""
    columns = as_columns(rows, meta.names, meta.num_labels)
    target = np.zeros(len(rows), dtype=np.int8)
    statistics = client_statistics(columns, target, contract, min_cell_rows=min_cell_rows)
    stored = {
        "format": 1,
        "edges": {name: edges.tolist() for name, edges in histogram_edges(contract).items()},
        "pooled": _part(statistics, num_effective_rows or float(len(rows))),
    }
    return read_reference(stored, contract)


def _part(statistics: Statistics, num_effective_rows: float) -> dict[str, Any]:
    return {
        "num_rows": statistics.num_rows,
        "num_effective_rows": num_effective_rows,
        "numbers": {
            name: {
                "cells": [[place, sums.cells[place]] for place in np.flatnonzero(sums.cells)],
                "missing": sums.missing,
            }
            for name, sums in statistics.numbers.items()
        },
        "categories": {
            name: {
                "cells": counts.cells.tolist(),
                "unknown": counts.unknown,
                "missing": counts.missing,
            }
            for name, counts in statistics.categories.items()
        },
    }
