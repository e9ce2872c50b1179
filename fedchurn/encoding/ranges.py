"""Histogram edges that every client can compute from the contract alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.derived import Count, Product, Ratio
from fedchurn.contract.schema import Contract, Range

NUM_CELLS = 512


def histogram_edges(contract: Contract) -> dict[str, NDArray[np.float64]]:
    """Inner histogram edges per number feature, derived ones included.

    Integers whose range spans at most 512 values get one cell per value; other ranges get 512 equal
    cells. A column without any range gets cells that grow geometrically on both sides of zero.
    """
    return {
        name: _edges(limits, _is_whole(contract, name))
        for name, limits in number_ranges(contract).items()
    }


def number_ranges(contract: Contract) -> dict[str, Range | None]:
    """Usual range, else the hard one, per number feature, derived ones included; None has none."""
    ranges: dict[str, Range | None] = {}
    for name, column in contract.columns.items():
        if column.is_number:
            ranges[name] = column.usual or column.hard
    for name, op in contract.derived.items():
        if isinstance(op, Ratio | Product | Count):
            ranges[name] = _derived_range(op, ranges)
    return ranges


def _is_whole(contract: Contract, name: str) -> bool:
    if name in contract.columns:
        return contract.columns[name].kind == "integer"
    return isinstance(contract.derived[name], Count)


def are_whole(edges: NDArray[np.float64]) -> bool:
    """Whether each inner cell stands around one whole number."""
    return bool(np.isclose(np.diff(edges), 1.0).all() and np.isclose(edges[0] % 1, 0.5))


def _edges(limits: Range | None, whole: bool) -> NDArray[np.float64]:
    if limits is None:
        side = np.geomspace(1e-3, 1e9, NUM_CELLS // 2)
        return np.concatenate([-side[::-1], [0.0], side])
    low, high = limits
    if whole and high - low <= NUM_CELLS:
        return np.arange(math.floor(low), math.ceil(high) + 2, dtype=np.float64) - 0.5
    width = max(high - low, 1e-9)
    return np.linspace(low, low + width, NUM_CELLS + 1)


def _derived_range(op: Ratio | Product | Count, ranges: dict[str, Range | None]) -> Range | None:
    """Interval arithmetic over the columns' ranges; None when one of them has no range."""
    match op:
        case Count():
            return (0.0, float(len(op.columns)))
        case Product():
            return _product_range([ranges[c] for c in op.columns])
        case Ratio():
            return _ratio_range(op, ranges[op.numerator], ranges[op.denominator])


def _product_range(parts: list[Range | None]) -> Range | None:
    total: Range = (1.0, 1.0)
    for part in parts:
        if part is None:
            return None
        corners = [a * b for a in total for b in part]
        total = (min(corners), max(corners))
    return total


def _ratio_range(op: Ratio, above: Range | None, below: Range | None) -> Range | None:
    if above is None or below is None:
        return None
    floor = -math.inf if op.floor is None else op.floor
    divisors = [max(b, floor) + op.plus for b in below]
    if min(divisors) <= 0 <= max(divisors):
        return None
    corners = [op.scale * a / d for a in above for d in divisors]
    return (min(corners), max(corners))
