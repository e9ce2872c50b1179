"""Dependence inside requests and replies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.drift.relation.dependence import DependenceSums
from fedchurn.drift.relation.normal_scores import ScoredColumn, scored_column
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.encoding.statistics import Statistics
from fedchurn.errors import DataError
from fedchurn.federation.exchange import Arrays, Request


def scored_columns(statistics: Statistics, contract: Contract) -> tuple[ScoredColumn, ...]:
    """The contract's tested columns, scored by the sum of the clients' statistics."""
    edges = histogram_edges(contract)
    found = []
    for name, column in contract.columns.items():
        if column.drift and name in statistics.numbers:
            sums = statistics.numbers[name]
            found.append(scored_column(name, edges[name], sums.cells, sums.missing))
        elif column.drift:
            counts = statistics.categories[name]
            cells = np.append(counts.cells, counts.unknown)
            found.append(scored_column(name, None, cells, counts.missing))
    return tuple(found)


def scored_to_arrays(scored: Sequence[ScoredColumn]) -> dict[str, NDArray[np.generic]]:
    """Histograms of the columns, from which a client makes their scores."""
    cells = {f"cells_{number}": one.cells for number, one in enumerate(scored)}
    return {**cells, "missing": np.array([one.missing for one in scored])}


def scored_config(scored: Sequence[ScoredColumn]) -> dict[str, str]:
    """The columns' names, in the order of ``scored_to_arrays``."""
    return {"columns": json.dumps([one.name for one in scored])}


def scored_columns_of(request: Request, contract: Contract) -> tuple[ScoredColumn, ...]:
    """The columns that a request speaks of; edges are the contract's.

    Raises:
        DataError: a histogram does not fit the contract.
    """
    edges = histogram_edges(contract)
    labels = {feature.name: feature.labels for feature in features(contract)}
    missing = np.asarray(request.arrays["missing"], dtype=np.float64)
    found = []
    for number, name in enumerate(json.loads(str(request.config["columns"]))):
        cells = np.asarray(request.arrays[f"cells_{number}"], dtype=np.float64)
        expected = len(labels[name] or edges[name]) + 1
        if len(cells) != expected:
            raise DataError(
                f"{len(cells)} cells of {name!r} were sent, the contract has {expected}",
                next_step="use the same contract everywhere",
            )
        found.append(scored_column(name, edges.get(name), cells, float(missing[number])))
    return tuple(found)


def dependence_to_arrays(sums: DependenceSums) -> dict[str, NDArray[np.generic]]:
    """The sums as int64 arrays, for a ``Reply``."""
    return {
        "dependence_rows": np.array([sums.num_rows], dtype=np.int64),
        "dependence_sums": sums.sums,
        "dependence_products": sums.products,
    }


def dependence_from_arrays(arrays: Arrays, size: int) -> DependenceSums:
    """The sums behind ``dependence_to_arrays``.

    Raises:
        ValueError: they are not sums of ``size`` coordinates of any rows.
    """
    num_rows = int(_whole(arrays, "dependence_rows", (1,))[0])
    sums = _whole(arrays, "dependence_sums", (size,))
    products = _whole(arrays, "dependence_products", (size, size))
    squares = np.diag(products).astype(np.float64)
    # By Cauchy and Schwarz, and a square each is what it would be at ten deviations.
    possible = np.square(sums.astype(np.float64)) <= num_rows * squares * (1 + 1e-9)
    if num_rows < 0 or not possible.all() or (squares > num_rows * (10.0 * 4096) ** 2).any():
        raise ValueError("sums and products contradict each other")
    return DependenceSums(num_rows, sums, products)


def _whole(
    arrays: Mapping[str, NDArray[np.generic]], name: str, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    sent = np.asarray(arrays[name])
    if sent.dtype.kind not in "iu" and not (np.abs(sent) < 2.0**62).all():
        raise ValueError(f"{name} holds numbers that count nothing")
    array = sent.astype(np.int64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
    return array
