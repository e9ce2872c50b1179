"""What drift will be measured against: federated histograms, as they stood when training ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.encoding.statistics import Statistics, pool_statistics
from fedchurn.evaluation.curves import coarse_histogram
from fedchurn.evaluation.sums import add_sums
from fedchurn.federation.drift.dependence import Relation
from fedchurn.loop.held_out import own_histograms, own_pooled, sparse_cells
from fedchurn.loop.trained_run import ClientSums


def drift_reference(
    statistics: Mapping[str, Statistics],
    test: ClientSums,
    contract: Contract,
    *,
    relation: Relation | None = None,
    min_cell_rows: int = 5,
) -> dict[str, Any]:
    """JSON-ready reference: training histograms pooled and per client, and held-out ones.

    Cells below k rows were merged or suppressed before they left a client, so cells are estimates.
    Number cells stand between consecutive ``edges``, with one more on either side.

    Args:
        statistics: per client, of its training rows.
        test: score sums per client, of its test rows; cells below k are joined here.
        contract: what the rows mean.
        relation: how columns go together, and reconstruction errors of test rows.
        min_cell_rows: k.

    Returns:
        ``calibration`` is null; the caller fills it in.
    """
    edges = histogram_edges(contract)
    used = {f.name: edges[f.name].tolist() for f in features(contract) if f.is_number}
    own_edges, own = own_histograms(test, relation, min_cell_rows)
    parts = {client: histograms_of(part) for client, part in statistics.items()}
    pooled = histograms_of(pool_statistics(list(statistics.values())))
    return {
        "format": 2,
        "min_cell_rows": min_cell_rows,
        "labels": {f.name: list(f.labels) for f in features(contract) if f.labels is not None},
        "edges": used,
        "pooled": {**pooled, "own": own_pooled(own)},
        "clients": {name: {**part, "own": own.get(name, {})} for name, part in parts.items()},
        "scores": _scores(test),
        "own_edges": own_edges,
        "dependence": dict(relation.dependence) if relation else None,
        "calibration": None,
    }


def histograms_of(statistics: Statistics) -> dict[str, Any]:
    """One part of ``reference.json``, JSON-ready."""
    return {
        "num_rows": statistics.num_rows,
        "num_positive": statistics.num_positive,
        "num_effective_rows": statistics.num_effective_rows,
        "numbers": {
            name: {
                "count": sums.count,
                "missing": sums.missing,
                "total": sums.total,
                "total_squares": sums.total_squares,
                "cells": sparse_cells(sums.cells),
            }
            for name, sums in statistics.numbers.items()
        },
        "categories": {
            name: {
                "cells": counts.cells.tolist(),
                "missing": counts.missing,
                "unknown": counts.unknown,
            }
            for name, counts in statistics.categories.items()
        },
    }


def _scores(test: ClientSums) -> dict[str, Any]:
    edges, negatives, positives = coarse_histogram(add_sums(test.values()))
    pooled = add_sums(test.values())
    return {
        "edges": edges.tolist(),
        "negative_rows": (negatives * pooled.num_negative).tolist(),
        "positive_rows": (positives * pooled.num_positive).tolist(),
    }
