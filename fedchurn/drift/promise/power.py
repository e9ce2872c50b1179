"""The smallest shift of each column that a calibrated rule finds: what the promise costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.histogram import Histogram
from fedchurn.drift.promise.calibration import SmallestShift
from fedchurn.drift.promise.persistence import needed_chance
from fedchurn.drift.promise.resampling import ColumnNull, strongest_part
from fedchurn.drift.reference import ReferenceColumn

FloatArray = NDArray[np.float64]

_NUM_WINDOWS = 200
_NUM_STEPS = 7  # halvings of the interval in which the smallest shift lies
_LARGEST = {"mean": 2.0, "share": 0.9, "missing": 0.9}


class Persistence(Protocol):
    """What of a promise power depends on; fields as in ``Promise``."""

    @property
    def power(self) -> float: ...
    @property
    def num_flagged(self) -> int: ...
    @property
    def num_windows(self) -> int: ...
    @property
    def seed(self) -> int: ...


def smallest_shifts(
    nulls: Sequence[ColumnNull], promise: Persistence, num_rows: int, warning_level: float
) -> tuple[SmallestShift, ...]:
    """Smallest shifts that are called drift within ``num_windows`` windows with ``power``.

    One column moves, the others do not; so its p-value must pass the flagging level divided by the
    number of columns, often enough for k of n windows.

    Args:
        nulls: columns without drift.
        promise: power and persistence.
        num_rows: customers in a window.
        warning_level: adjusted p-value at which a window is flagged.
    """
    chance = needed_chance(promise.power, promise.num_flagged, promise.num_windows)
    share = 1 - warning_level / max(len(nulls), 1)
    found = []
    for place, null in enumerate(nulls):
        critical = float(np.quantile(null.largest, share))
        generator = np.random.default_rng([promise.seed, num_rows, place])
        for change in _changes(null.column):
            size = _smallest(null, change, num_rows, critical, chance, generator)
            found.append(_shift(null.column, change, size))
    return tuple(found)


def _changes(column: ReferenceColumn) -> tuple[str, ...]:
    value = "share" if column.edges is None else "mean"
    return (value, "missing") if column.histogram.missing else (value,)


def _shift(column: ReferenceColumn, change: str, size: float | None) -> SmallestShift:
    is_mean = change == "mean" and size is not None and column.edges is not None
    units = size * _spread(column) if is_mean and size is not None else None
    return SmallestShift(column.name, change, size, units)


def _smallest(
    null: ColumnNull,
    change: str,
    num_rows: int,
    critical: float,
    chance: float,
    generator: np.random.Generator,
) -> float | None:
    """By halving an interval, as power grows with the shift; None when even the largest is lost."""
    changed = _CHANGED[change]

    def is_found(size: float) -> bool:
        shares = changed(null.column, size).with_missing()
        codes = np.append(null.groups, len(null.both) - 1)
        grouped = np.bincount(codes, shares, minlength=len(null.both))
        drawn = generator.multinomial(num_rows, grouped / grouped.sum(), size=_NUM_WINDOWS)
        windows = drawn.astype(np.float64)
        reference = null.both * max(1 - num_rows / null.both.sum(), 0.0)
        values = strongest_part(null.column, windows, reference + windows)
        return float(np.mean(values > critical)) >= chance

    low, high = 0.0, _LARGEST[change]
    if not is_found(high):
        return None
    for _ in range(_NUM_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def _middles(edges: FloatArray) -> FloatArray:
    if len(edges) == 1:
        return np.array([edges[0] - 0.5, edges[0] + 0.5])
    widths = np.diff(edges)
    inner = edges[:-1] + widths / 2
    return np.concatenate([[edges[0] - widths[0] / 2], inner, [edges[-1] + widths[-1] / 2]])


def _spread(column: ReferenceColumn) -> float:
    """Standard deviation of the column, from the middles of its cells."""
    assert column.edges is not None
    middles, cells = _middles(column.edges), column.histogram.cells
    shares = cells / max(cells.sum(), 1.0)
    mean = shares @ middles
    return float(np.sqrt(shares @ np.square(middles - mean)))


def _moved(column: ReferenceColumn, size: float) -> Histogram:
    """Every value ``size`` standard deviations higher; mass inside a cell is spread evenly."""
    assert column.edges is not None
    cells = column.histogram.cells
    middles = _middles(column.edges)
    inner = column.edges
    borders = np.concatenate([[2 * middles[0] - inner[0]], inner, [2 * middles[-1] - inner[-1]]])
    below = np.concatenate([[0.0], np.cumsum(cells)])
    moved = np.interp(borders - size * _spread(column), borders, below)
    moved[-1] = below[-1]
    return Histogram(np.diff(moved), column.histogram.missing)


def _less_common(column: ReferenceColumn, size: float) -> Histogram:
    cells = column.histogram.cells.copy()
    most = int(np.argmax(cells))
    others = cells.sum() - cells[most]
    taken = min(size * column.histogram.num_rows, cells[most])
    cells[most] -= taken
    if others:
        cells += taken * np.where(np.arange(len(cells)) == most, 0.0, cells / others)
    return Histogram(cells, column.histogram.missing)


def _more_missing(column: ReferenceColumn, size: float) -> Histogram:
    whole = column.histogram
    missing = min(whole.missing + size * whole.num_rows, whole.num_rows)
    left = (whole.num_rows - missing) / max(whole.num_present, 1.0)
    return Histogram(whole.cells * left, missing)


_CHANGED: dict[str, Callable[[ReferenceColumn, float], Histogram]] = {
    "mean": _moved,
    "share": _less_common,
    "missing": _more_missing,
}
