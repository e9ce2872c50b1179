"""The scenarios of a contract applied to real rows; see ``fedchurn.data.sample`` for made-up ones.

A scenario says what the new shares are: labels move from rows that have too many to those that have
too few, so that as many rows as possible stay as they are, and values go missing until the named
share of all rows has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.populations import Population
from fedchurn.contract.columns import column_labels
from fedchurn.contract.schema import Column, Scenario

FloatArray = NDArray[np.float64]


def shift_rows(
    rows: FloatArray, population: Population, scenario: Scenario, generator: np.random.Generator
) -> FloatArray:
    """``rows`` (..., c), drawn from ``population``, after ``scenario``."""
    shifted = rows.copy()
    for place, name in enumerate(population.names):
        column = population.contract.columns[name]
        values = shifted[..., place]
        if name in scenario.ranges:
            low, high = scenario.ranges[name]
            drawn = generator.uniform(low, high, values.shape)
            values = _rounded(np.where(np.isnan(values), np.nan, drawn), column)
        if name in scenario.scale:
            values = _rounded(values * scenario.scale[name], column)
        if name in scenario.weights:
            labels = column_labels(population.contract, name)
            wanted = np.array([scenario.weights[name].get(label, 0.0) for label in labels])
            values = _reweighted(values, _shares(population, place), wanted, generator)
        if name in scenario.null_fraction:
            known = _missing_fraction(population, place)
            more = (scenario.null_fraction[name] - known) / (1.0 - known)
            values = np.where(generator.random(values.shape) < more, np.nan, values)
        shifted[..., place] = values
    return shifted


def _rounded(values: FloatArray, column: Column) -> FloatArray:
    low, high = column.hard or (-np.inf, np.inf)
    decimals = 0 if column.kind == "integer" else 2 if column.decimals is None else column.decimals
    return np.clip(np.round(values, decimals), low, high)


def _reweighted(
    codes: FloatArray, shares: FloatArray, wanted: FloatArray, generator: np.random.Generator
) -> FloatArray:
    wanted = wanted / wanted.sum()
    leaves = np.clip(1.0 - np.divide(wanted, shares, where=shares > 0, out=np.ones(len(shares))),
                     0.0, 1.0)  # fmt: skip
    gains = np.clip(wanted - shares, 0.0, None)
    taken = generator.choice(len(shares), size=codes.shape, p=gains / gains.sum())
    present = ~np.isnan(codes)
    old = np.where(present, codes, 0).astype(np.int64)
    moves = present & (generator.random(codes.shape) < leaves[old])
    return np.where(moves, taken, codes)


def _customer_weights(population: Population) -> FloatArray:
    """Chance of every row to be drawn."""
    counts = np.bincount(population.customers)
    return 1.0 / (len(counts) * counts[population.customers])


def _shares(population: Population, place: int) -> FloatArray:
    codes = population.rows[:, place]
    weights = _customer_weights(population)[~np.isnan(codes)]
    found = np.bincount(
        codes[~np.isnan(codes)].astype(np.int64),
        weights,
        minlength=population.num_labels[population.names[place]],
    )
    return np.asarray(found / found.sum())


def _missing_fraction(population: Population, place: int) -> float:
    return float(_customer_weights(population)[np.isnan(population.rows[:, place])].sum())
