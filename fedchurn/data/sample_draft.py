"""Draws of the sample generator: one column after another, each from its own random stream.

A scenario is drawn with the same streams, so that it differs from the undisturbed sample only where
it says so.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING
from fedchurn.contract.schema import Column, Contract, Range, SampleShape, Scenario

NUM_WORDS = 20  # distinct values of a generated text column

Values = NDArray[Any]  # float64 numbers or int32 codes


@dataclass
class Draft:
    """A sample in the making.

    Attributes:
        columns: numbers as float64 (missing NaN), labels as int32 codes (missing -1); n rows.
        labels: what the codes of a column stand for.
        spare: the same draws before values went missing, to fill cells in again.
    """

    columns: dict[str, Values]
    labels: dict[str, tuple[str, ...]]
    spare: dict[str, Values]

    def is_missing(self, name: str) -> NDArray[np.bool_]:
        return missing(self.columns[name])


def missing(values: Values) -> NDArray[np.bool_]:
    """Where a column has no value."""
    return np.isnan(values) if values.dtype.kind == "f" else values == MISSING


def stream(seed: int, *names: str) -> np.random.Generator:
    """A random stream of its own for each purpose: a new column does not disturb the others."""
    return np.random.default_rng([seed, zlib.crc32("|".join(names).encode())])


def draw(contract: Contract, num_rows: int, seed: int, scenario: Scenario | None) -> Draft:
    """Draw all columns independently, with silo shifts and missing cells, before any rule."""
    draft = Draft({}, {}, {})
    changes = scenario or Scenario()
    silo = _draw_silo(contract, num_rows, seed, changes)
    for name, column in contract.columns.items():
        if column.is_number:
            values: Values = _draw_number(name, column, num_rows, seed)
            values = _shifted(values, name, column, contract, silo)
            values = _disturbed(values, name, column, seed, changes)
        else:
            draft.labels[name] = words(name, column)
            values = _draw_codes(name, column, num_rows, seed, changes)
        draft.spare[name] = values
        draft.columns[name] = without(values, gaps(name, column, num_rows, seed, changes))
    return draft


def words(name: str, column: Column) -> tuple[str, ...]:
    """What a generated cell can hold: the categories, or made-up words of a text column."""
    return column.categories or tuple(f"{name} {i}" for i in range(1, NUM_WORDS + 1))


def shape_of(column: Column) -> SampleShape:
    return column.sample or SampleShape()


def limits(column: Column) -> Range:
    """Range of undisturbed draws: the usual one inside the hard one."""
    low, high = column.usual or column.hard or (-np.inf, np.inf)
    hard = column.hard or (-np.inf, np.inf)
    return max(low, hard[0]), min(high, hard[1])


def centre(column: Column) -> tuple[float, float]:
    """Mean and standard deviation that a number is drawn with; a sixth of the range by default."""
    low, high = limits(column)
    known = np.isfinite(low) and np.isfinite(high)
    shape = shape_of(column)
    mean = shape.mean if shape.mean is not None else ((low + high) / 2 if known else 0.0)
    spread = shape.spread if shape.spread is not None else ((high - low) / 6 if known else 1.0)
    return float(mean), float(spread)


def fitted(values: NDArray[np.float64], column: Column, within: Range) -> NDArray[np.float64]:
    """Rounded to the column's decimals and clipped."""
    decimals = 0 if column.kind == "integer" else 2 if column.decimals is None else column.decimals
    unit = 10.0**-decimals
    low, high = np.ceil(within[0] / unit - 1e-9) * unit, np.floor(within[1] / unit + 1e-9) * unit
    clipped = np.clip(np.round(values, decimals), low, high)
    return np.asarray(np.round(clipped, decimals), dtype=np.float64)


def silo_labels(contract: Contract) -> tuple[str, ...]:
    """Labels of the silo column, if it is a category of the contract."""
    column = contract.columns.get(contract.silo_column or "")
    return (column.categories or ()) if column is not None else ()


def _draw_silo(
    contract: Contract, num_rows: int, seed: int, scenario: Scenario
) -> NDArray[np.int32] | None:
    name = contract.silo_column
    if name is None or not silo_labels(contract) or not contract.sample.silo_effect:
        return None
    return _draw_codes(name, contract.columns[name], num_rows, seed, scenario)


def _draw_number(name: str, column: Column, num_rows: int, seed: int) -> NDArray[np.float64]:
    rng = stream(seed, name, "value")
    mean, spread = centre(column)
    low, _ = limits(column)
    floor = low if np.isfinite(low) and low < mean else 0.0
    match shape_of(column).distribution:
        case "lognormal":
            sigma = np.sqrt(np.log1p((spread / mean) ** 2)) if mean > 0 else 1.0
            values = mean * np.exp(sigma * rng.standard_normal(num_rows) - sigma**2 / 2)
        case "uniform":
            values = mean + np.sqrt(3.0) * spread * rng.uniform(-1, 1, num_rows)
        case "exponential":
            values = floor + max(mean - floor, 0.0) * rng.standard_exponential(num_rows)
        case "poisson":
            values = floor + _counts(rng, max(mean - floor, 0.0), spread, num_rows)
        case _:
            values = mean + spread * rng.standard_normal(num_rows)
    return fitted(_reflected(values, limits(column)), column, limits(column))


def _reflected(values: NDArray[np.float64], within: Range) -> NDArray[np.float64]:
    """Draws beyond a limit thrown back inside, so that they do not heap up on it."""
    low, high = within
    return np.where(
        values < low, 2 * low - values, np.where(values > high, 2 * high - values, values)
    )


def _counts(
    rng: np.random.Generator, mean: float, spread: float, num_rows: int
) -> NDArray[np.float64]:
    """Poisson, or gamma-mixed Poisson where the spread is larger than a Poisson's."""
    excess = spread**2 - mean
    if excess <= 0 or mean <= 0:
        return rng.poisson(mean, num_rows).astype(np.float64)
    rates = rng.gamma(mean**2 / excess, excess / mean, num_rows)
    return rng.poisson(rates).astype(np.float64)


def _shifted(
    values: NDArray[np.float64],
    name: str,
    column: Column,
    contract: Contract,
    silo: NDArray[np.int32] | None,
) -> NDArray[np.float64]:
    """Silos differ: each moves a number by up to half of ``silo_effect`` standard deviations.

    The direction hangs on the names alone, so that all seeds share it; the overall mean stays.
    """
    if silo is None:
        return values
    labels = silo_labels(contract)
    tilt = np.asarray([zlib.crc32(f"{name}|{label}".encode()) / 2**32 - 0.5 for label in labels])
    tilt -= tilt[silo].mean()
    moved = values + contract.sample.silo_effect * centre(column)[1] * tilt[silo]
    return fitted(_reflected(moved, limits(column)), column, limits(column))


def _disturbed(
    values: NDArray[np.float64], name: str, column: Column, seed: int, scenario: Scenario
) -> NDArray[np.float64]:
    """The scenario's range or scale; it may leave the usual range, never the hard one."""
    hard = column.hard or (-np.inf, np.inf)
    if name in scenario.ranges:
        low, high = scenario.ranges[name]
        values = stream(seed, name, "range").uniform(low, high, len(values))
    if name in scenario.scale:
        values = values * scenario.scale[name]
    named = name in scenario.ranges or name in scenario.scale
    return fitted(values, column, hard) if named else values


def _draw_codes(
    name: str, column: Column, num_rows: int, seed: int, scenario: Scenario
) -> NDArray[np.int32]:
    labels = words(name, column)
    weights = np.asarray(shape_of(column).weights or np.ones(len(labels)), dtype=np.float64)
    if name in scenario.weights:
        weights = np.asarray([scenario.weights[name].get(label, 0.0) for label in labels])
    ends = np.cumsum(weights) / weights.sum()
    places = stream(seed, name, "value").random(num_rows)
    codes = np.searchsorted(ends, places, side="right")
    return np.minimum(codes, np.flatnonzero(weights)[-1]).astype(np.int32)


def gaps(
    name: str, column: Column, num_rows: int, seed: int, scenario: Scenario
) -> NDArray[np.bool_]:
    """Rows whose value goes missing; a larger share takes the same rows and more."""
    share = (column.null_fraction or 0.0) if column.nullable else 0.0
    share = scenario.null_fraction.get(name, share)
    return stream(seed, name, "missing").random(num_rows) < share


def without(values: Values, rows: NDArray[np.bool_]) -> Values:
    """``values`` with some rows missing."""
    gap = np.nan if values.dtype.kind == "f" else MISSING
    return np.where(rows, gap, values).astype(values.dtype)
