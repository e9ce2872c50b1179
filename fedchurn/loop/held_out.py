"""Histograms of the release's own columns on test rows: churn probability, reconstruction error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN
from fedchurn.encoding.statistics import effective_rows, merge_small_cells
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums, add_sums
from fedchurn.federation.drift.dependence import Relation
from fedchurn.loop.trained_run import ClientSums

FloatArray = NDArray[np.float64]
Own = dict[str, dict[str, Any]]

NUM_SCORE_CELLS = 64


def own_histograms(
    test: ClientSums, relation: Relation | None, min_cell_rows: int
) -> tuple[dict[str, list[float]], dict[str, Own]]:
    """Edges by column, and by client what ``reference.json`` says of its test rows.

    Neighbouring cells below k are joined and spread evenly; a client with fewer than k test rows
    tells nothing.
    """
    inner = score_edges(add_sums(test.values()))
    edges = {SCORE_COLUMN: (inner / NUM_BINS).tolist()}
    own: dict[str, Own] = {client: {} for client in test}
    held_out = relation.held_out if relation else {}
    for client, sums in test.items():
        counts = sums.positive_counts + sums.negative_counts
        cells = merge_small_cells(np.add.reduceat(counts, [0, *inner]), min_cell_rows)
        known = held_out.get(client)
        squares = known.customer_squares if known and known.num_rows else float(sums.num_rows)
        own[client] |= _told(SCORE_COLUMN, cells, squares)
    if relation is not None and len(relation.error_edges):
        edges[RELATION_COLUMN] = relation.error_edges.tolist()
        for client, errors in held_out.items():
            told = _told(RELATION_COLUMN, errors.error_cells, errors.customer_squares)
            own.setdefault(client, {}).update(told)
    return edges, own


def score_edges(sums: ScoreSums) -> NDArray[np.intp]:
    """Bins (of 4096) at which a cell begins, the first cell left out: about equally many rows each.

    Most customers stay, so most cells of equal width would be empty.
    """
    running = np.cumsum(sums.positive_counts + sums.negative_counts)
    wanted = running[-1] * np.arange(1, NUM_SCORE_CELLS) / NUM_SCORE_CELLS
    starts = np.unique(np.searchsorted(running, wanted) + 1)
    return starts[starts < NUM_BINS]


def own_pooled(clients: Mapping[str, Own]) -> Own:
    """The sum over clients."""
    pooled: Own = {}
    for name in (SCORE_COLUMN, RELATION_COLUMN):
        parts = [own[name] for own in clients.values() if name in own]
        if not parts:
            continue
        cells: dict[float, float] = {}
        for part in parts:
            for place, rows in part["cells"]:
                cells[place] = cells.get(place, 0.0) + rows
        num_rows = sum(part["num_rows"] for part in parts)
        squares = sum(part["num_rows"] ** 2 / part["num_effective_rows"] for part in parts)
        pooled[name] = {
            "cells": [[place, cells[place]] for place in sorted(cells)],
            "num_rows": num_rows,
            "num_effective_rows": effective_rows(num_rows, squares),
        }
    return pooled


def _told(name: str, cells: FloatArray, customer_squares: float) -> Own:
    num_rows = float(cells.sum())
    if not num_rows:
        return {}
    return {
        name: {
            "cells": sparse_cells(cells),
            "num_rows": round(num_rows),
            "num_effective_rows": effective_rows(round(num_rows), customer_squares),
        }
    }


def sparse_cells(cells: FloatArray) -> list[list[float]]:
    """Pairs (place, rows) of the cells that hold something."""
    return [[float(place), float(cells[place])] for place in np.flatnonzero(cells)]
