"""The reference that a release would hold, made from rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.populations import as_columns
from benchmarks.drift.stored import Meta
from fedchurn.contract.load import load_contract
from fedchurn.contract.schema import Contract
from fedchurn.drift.promise.calibrate import Promise, calibrate
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.drift.relation.dependence import fit_dependence
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.encoding.statistics import Statistics, client_statistics, pool_statistics
from fedchurn.federation.drift.dependence_messages import scored_columns
from fedchurn.federation.drift.dependence_sums import dependence_sums

MIN_CELL_ROWS = 5  # training joins cells below it, by default
NUM_CLIENTS = 3
MIN_CLIENT_ROWS = 100  # smaller references have fewer clients


def contract_of(meta: Meta) -> Contract:
    """The contract without derived features, which no drift test needs."""
    return load_contract(meta.contract).model_copy(update={"derived": {}})


def make_reference(
    rows: NDArray[np.float64],
    meta: Meta,
    contract: Contract,
    *,
    customers: NDArray[np.int64] | None = None,
    promise: Promise | None = None,
    min_cell_rows: int = MIN_CELL_ROWS,
    num_clients: int | None = None,
) -> DriftReference:
    """Histograms of rows (n, c), as training stores and the service reads them.

    Args:
        rows: of the reference.
        meta: what its columns are.
        contract: see ``contract_of``.
        customers: (n,), equal for copies of one customer.
        promise: calibrate to it, with the dependence between columns.
        min_cell_rows: k.
        num_clients: among which the customers are dealt; each suppresses its own cells. By
            default 3, or as many as have ``MIN_CLIENT_ROWS``.
    """
    num_clients = num_clients or max(1, min(NUM_CLIENTS, len(rows) // MIN_CLIENT_ROWS))
    groups = np.arange(len(rows)) if customers is None else customers
    _, dense = np.unique(groups, return_inverse=True)
    clients = [np.flatnonzero(dense % num_clients == number) for number in range(num_clients)]
    parts = [as_columns(rows[places], meta.names, meta.num_labels) for places in clients]
    statistics = pool_statistics(
        [
            client_statistics(
                columns,
                np.zeros(len(places), dtype=np.int8),
                contract,
                min_cell_rows=min_cell_rows,
                customer_groups=dense[places],
            )
            for columns, places in zip(parts, clients, strict=True)
        ]
    )
    stored: dict[str, Any] = {
        "format": 2,
        "min_cell_rows": min_cell_rows,
        "clients": {f"client-{number}": {} for number in range(num_clients)},
        "edges": {name: edges.tolist() for name, edges in histogram_edges(contract).items()},
        "pooled": _part(statistics),
        "dependence": None,
        "calibration": None,
    }
    if promise:
        scored = scored_columns(statistics, contract)
        first, *others = (
            dependence_sums(columns, np.full(len(places), 0.5), scored, min_cell_rows)
            for columns, places in zip(parts, clients, strict=True)
        )
        stored["dependence"] = fit_dependence(scored, sum(others, first)).to_json()
        found = calibrate(read_reference(stored, contract), promise)
        stored["calibration"] = found.to_dict()
    return read_reference(stored, contract)


def _part(statistics: Statistics) -> dict[str, Any]:
    return {
        "num_rows": statistics.num_rows,
        "num_effective_rows": statistics.num_effective_rows,
        "numbers": {
            name: {
                "cells": [[int(at), sums.cells[at]] for at in np.flatnonzero(sums.cells)],
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
