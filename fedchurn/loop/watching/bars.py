"""Histograms of window and reference as bars of a page: few enough to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import ReferenceColumn

MAX_BARS = 24
MISSING = "missing"
OTHER = "other labels"
UNKNOWN = "unknown label"


@dataclass(frozen=True)
class Bar:
    """One place on the axis.

    Attributes:
        label: a label, or a range of numbers.
        reference, window: shares of all rows (0-1).
    """

    label: str
    reference: float
    window: float


def bars_of(
    column: ReferenceColumn, window: Histogram, labels: Sequence[str] | None
) -> tuple[Bar, ...]:
    """Bars of one column; missing values stand last, if there are any.

    Args:
        column: of the reference.
        window: over the same cells.
        labels: of a category, in the order of its cells.
    """
    theirs, ours = column.histogram, window
    if column.edges is None:
        names, groups = _labels(theirs.cells + ours.cells, labels or ())
    else:
        names, groups = _ranges(theirs.cells + ours.cells, column.edges)
    sides = [_shares(side, groups, len(names)) for side in (theirs, ours)]
    bars = [Bar(name, float(a), float(b)) for name, a, b in zip(names, *sides, strict=True)]
    if theirs.missing or ours.missing:
        bars.append(Bar(MISSING, theirs.missing_fraction, ours.missing_fraction))
    return tuple(bars)


def _shares(side: Histogram, groups: NDArray[np.intp], num_bars: int) -> NDArray[np.float64]:
    kept = groups >= 0
    rows = np.bincount(groups[kept], side.cells[kept], minlength=num_bars)
    return rows / max(side.num_rows, 1.0)


def _labels(rows: NDArray[np.float64], labels: Sequence[str]) -> tuple[list[str], NDArray[np.intp]]:
    """The commonest labels in their order, then all others; unknown ones where there are any."""
    named = [*map(str, labels)][: len(rows) - 1]
    named += [f"code {place}" for place in range(len(named), len(rows) - 1)]
    shown = set(np.argsort(-rows[:-1], kind="stable")[: MAX_BARS - 2].tolist())
    names: list[str] = []
    groups = np.full(len(rows), -1, dtype=np.intp)
    for place in sorted(shown):
        groups[place] = len(names)
        names.append(named[place])
    others = [place for place in range(len(rows) - 1) if place not in shown]
    if others:
        groups[others] = len(names)
        names.append(OTHER)
    if rows[-1]:
        groups[-1] = len(names)
        names.append(UNKNOWN)
    return names, groups


def _ranges(
    rows: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.intp]]:
    """Neighbouring cells together, from the first that holds something to the last."""
    held = np.flatnonzero(rows)
    groups = np.full(len(rows), -1, dtype=np.intp)
    if not len(held):
        return [], groups
    first, last = int(held[0]), int(held[-1])
    num_cells = last - first + 1
    per_bar = -(-num_cells // MAX_BARS)
    groups[first : last + 1] = np.arange(num_cells) // per_bar
    bounds = [-np.inf, *edges.tolist(), np.inf]
    begins = range(first, last + 1, per_bar)
    return [_range(bounds[b], bounds[min(b + per_bar, last + 1)]) for b in begins], groups


def _range(begin: float, end: float) -> str:
    if np.isinf(begin):
        return f"below {end:.4g}"
    return f"{begin:.4g} and above" if np.isinf(end) else f"{begin:.4g} to {end:.4g}"
