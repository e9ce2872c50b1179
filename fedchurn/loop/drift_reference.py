"""What drift will be measured against: federated histograms, as they stood when training ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.encoding.statistics import Statistics, pool_statistics
from fedchurn.evaluation.curves import coarse_histogram
from fedchurn.evaluation.sums import add_sums
from fedchurn.loop.trained_run import ClientSums


def drift_reference(
    statistics: Mapping[str, Statistics], test: ClientSums, contract: Contract
) -> dict[str, Any]:
    """JSON-ready reference: training histograms pooled and per client, and test scores.

    Cells below k rows were merged or suppressed before they left a client, so cells are estimates.
    Number cells stand between consecutive ``edges``, with one more on either side.
    """
    edges = histogram_edges(contract)
    used = {f.name: edges[f.name].tolist() for f in features(contract) if f.is_number}
    return {
        "format": 1,
        "labels": {f.name: list(f.labels) for f in features(contract) if f.labels is not None},
        "edges": used,
        "pooled": _histograms(pool_statistics(list(statistics.values()))),
        "clients": {client: _histograms(part) for client, part in statistics.items()},
        "scores": _scores(test),
    }


def _histograms(statistics: Statistics) -> dict[str, Any]:
    return {
        "num_rows": statistics.num_rows,
        "num_positive": statistics.num_positive,
        "numbers": {
            name: {
                "count": sums.count,
                "missing": sums.missing,
                "total": sums.total,
                "total_squares": sums.total_squares,
                "cells": _sparse(sums.cells),
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


def _sparse(cells: NDArray[np.float64]) -> list[list[float]]:
    """Pairs (place, rows) of the cells that hold something."""
    return [[float(place), float(cells[place])] for place in np.flatnonzero(cells)]


def _scores(test: ClientSums) -> dict[str, Any]:
    edges, negatives, positives = coarse_histogram(add_sums(test.values()))
    pooled = add_sums(test.values())
    return {
        "edges": edges.tolist(),
        "negative_rows": (negatives * pooled.num_negative).tolist(),
        "positive_rows": (positives * pooled.num_positive).tolist(),
    }
