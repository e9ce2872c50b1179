"""Round 0: what a client tells about its columns, so that one encoder fits all.

A client reports sums, counts and histograms over ranges that the contract fixes; no reported cell
stands for fewer than ``min_cell_rows`` rows (k), and none can be found by subtraction. Number
histograms merge neighbouring cells below k until each group reaches k and spread the group evenly;
fewer than k missing values are reported as the median. A label, an unknown or a missing category
held by fewer than k rows is counted with the most common label. ``low`` and ``high`` are means of
the k smallest and k largest values. k counts rows: copies of one customer count each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, UNKNOWN, Columns, features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.ranges import are_whole, histogram_edges

FloatArray = NDArray[np.float64]

_NO_LOW = float(np.finfo(np.float64).max)  # finite, so that a reply without values passes checks


@dataclass(frozen=True)
class NumberSums:
    """Addable sums of one number feature.

    Attributes:
        count: rows with a value.
        missing: rows without one.
        total: sum of values.
        total_squares: sum of squared values.
        low: mean of the k smallest values; the largest float when there are fewer than k rows.
        high: mean of the k largest values; its negative then.
        cells: rows per histogram cell, (number of edges + 1,): below, between, above.
    """

    count: float
    missing: float
    total: float
    total_squares: float
    low: float
    high: float
    cells: FloatArray

    def __add__(self, other: NumberSums) -> NumberSums:
        return NumberSums(
            self.count + other.count,
            self.missing + other.missing,
            self.total + other.total,
            self.total_squares + other.total_squares,
            min(self.low, other.low),
            max(self.high, other.high),
            self.cells + other.cells,
        )


@dataclass(frozen=True)
class CategoryCounts:
    """Addable counts of one category feature.

    Attributes:
        cells: rows per label, (number of labels,).
        missing: rows without a value.
        unknown: rows with a label that the contract does not know.
    """

    cells: FloatArray
    missing: float
    unknown: float

    def __add__(self, other: CategoryCounts) -> CategoryCounts:
        return CategoryCounts(
            self.cells + other.cells,
            self.missing + other.missing,
            self.unknown + other.unknown,
        )


@dataclass(frozen=True)
class Statistics:
    """Statistics of one client, or their sum over clients.

    Attributes:
        num_rows: rows described.
        num_positive: rows with churn.
        numbers: sums per number feature.
        categories: counts per category feature.
        customer_squares: sum over customers of the square of their rows.
    """

    num_rows: float
    num_positive: float
    numbers: Mapping[str, NumberSums]
    categories: Mapping[str, CategoryCounts]
    customer_squares: float

    @property
    def num_effective_rows(self) -> float:
        """Rows of different customers that tell as much; see ``effective_rows``."""
        return effective_rows(self.num_rows, self.customer_squares)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.num_rows + other.num_rows,
            self.num_positive + other.num_positive,
            {name: sums + other.numbers[name] for name, sums in self.numbers.items()},
            {name: counts + other.categories[name] for name, counts in self.categories.items()},
            self.customer_squares + other.customer_squares,
        )


def effective_rows(num_rows: float, customer_squares: float) -> float:
    """The square of the sum of m by the sum of m squared, for customers with m rows (Kish 1965).

    >>> effective_rows(3, 1**2 + 2**2)
    1.8
    """
    return num_rows**2 / customer_squares if customer_squares else 0.0


def customer_squares(customer_groups: NDArray[np.int64]) -> float:
    """Sum over customers of the square of their rows; rows of one customer share a number."""
    return float(np.square(np.unique(customer_groups, return_counts=True)[1]).sum())


def client_statistics(
    columns: Columns,
    target: NDArray[np.int8],
    contract: Contract,
    *,
    min_cell_rows: int = 5,
    customer_groups: NDArray[np.int64] | None = None,
) -> Statistics:
    """Statistics of one client's training rows; the only thing that round 0 sends.

    Args:
        columns: canonical columns with derived features, n rows.
        target: (n,), 1 = churn.
        contract: gives the features and histogram ranges.
        min_cell_rows: k, the smallest number of rows that a reported cell may stand for.
        customer_groups: (n,), equal for rows of one customer; by default each row is a customer.
    """
    edges = histogram_edges(contract)
    numbers: dict[str, NumberSums] = {}
    categories: dict[str, CategoryCounts] = {}
    for feature in features(contract):
        values = columns[feature.name]
        if feature.labels is None:
            numbers[feature.name] = _number_sums(
                np.asarray(values, dtype=np.float64), edges[feature.name], min_cell_rows
            )
        else:
            categories[feature.name] = _category_counts(values, len(feature.labels), min_cell_rows)
    squares = float(len(target)) if customer_groups is None else customer_squares(customer_groups)
    return Statistics(float(len(target)), float(np.sum(target)), numbers, categories, squares)


def _number_sums(values: FloatArray, edges: FloatArray, min_cell_rows: int) -> NumberSums:
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    if len(present) < min_cell_rows:
        empty = np.zeros(len(edges) + 1)
        return NumberSums(0.0, float(len(values)), 0.0, 0.0, _NO_LOW, -_NO_LOW, empty)
    if missing < min_cell_rows:
        present = np.concatenate([present, np.full(missing, np.median(present))])
        missing = 0
    counts = np.bincount(np.searchsorted(edges, present, side="right"), minlength=len(edges) + 1)
    lowest = np.partition(present, min_cell_rows - 1)[:min_cell_rows]
    highest = np.partition(present, -min_cell_rows)[-min_cell_rows:]
    return NumberSums(
        float(len(present)),
        float(missing),
        float(present.sum()),
        float(np.square(present).sum()),
        float(lowest.mean()),
        float(highest.mean()),
        merge_small_cells(counts, min_cell_rows),
    )


def merge_small_cells(counts: NDArray[np.integer], min_cell_rows: int) -> FloatArray:
    """Cells of which each stands for k rows or more, with the same total.

    Cells of k rows stay as they are. Between them, neighbours are grouped from the left until each
    group holds k rows, spread evenly over the group; where all of them together do not, they count
    in the cell before. The total is kept unless it is below k, when nothing is reported.

    >>> merge_small_cells(np.array([4, 1, 0, 9, 2]), 5).tolist()
    [2.5, 2.5, 0.0, 11.0, 0.0]
    """
    result = np.zeros(len(counts))
    for span, cells in merged_cells(counts, min_cell_rows):
        # Even spread over the span hides which of its cells held the few rows.
        result[span.start : span.stop] = counts[cells].sum() / len(span)
    return result


def merged_cells(counts: NDArray[np.integer], min_cell_rows: int) -> list[tuple[range, list[int]]]:
    """How ``merge_small_cells`` groups: the span of cells that each group of filled cells gets.

    >>> merged_cells(np.array([4, 1, 0, 9, 2]), 5)
    [(range(3, 4), [3, 4]), (range(0, 2), [0, 1])]
    """
    if counts.sum() < min_cell_rows:
        return []
    borders = np.flatnonzero(counts >= min_cell_rows).tolist()
    alone = {cell: [cell] for cell in borders}
    between: list[tuple[range, list[int]]] = []
    for begin, end in zip([-1, *borders], [*borders, len(counts)], strict=True):
        cells = (begin + 1 + np.flatnonzero(counts[begin + 1 : end])).tolist()
        groups = _groups(cells, counts, min_cell_rows)
        if cells and not groups:
            alone[begin if begin >= 0 else end] += cells
        between += [(range(group[0], group[-1] + 1), group) for group in groups]
    return [*((range(cell, cell + 1), cells) for cell, cells in alone.items()), *between]


def _groups(cells: list[int], counts: NDArray[np.integer], min_cell_rows: int) -> list[list[int]]:
    """Neighbours grouped from the left, the rest with the last group; none if all are below k."""
    groups: list[list[int]] = [[]]
    held = 0
    for cell in cells:
        groups[-1].append(cell)
        held += int(counts[cell])
        if held >= min_cell_rows:
            groups.append([])
            held = 0
    rest = groups.pop()
    if groups:
        groups[-1] += rest
    return groups


def _category_counts(
    codes: NDArray[np.generic], num_labels: int, min_cell_rows: int
) -> CategoryCounts:
    whole = codes.astype(np.int64)
    counts = np.bincount(whole[whole >= 0], minlength=num_labels)
    cells = np.concatenate([counts, [np.sum(whole == MISSING), np.sum(whole == UNKNOWN)]])
    small = cells < min_cell_rows
    common = int(np.argmax(cells))
    reported = np.where(small, 0, cells).astype(np.float64)
    if not small[common]:
        reported[common] += cells[small].sum()
    return CategoryCounts(reported[:-2], float(reported[-2]), float(reported[-1]))


def statistics_to_arrays(statistics: Statistics) -> dict[str, FloatArray]:
    """Flat named arrays, for a ``Reply``; ``statistics_from_arrays`` reads them."""
    rows = [statistics.num_rows, statistics.num_positive, statistics.customer_squares]
    arrays = {"rows": np.array(rows)}
    for name, sums in statistics.numbers.items():
        scalars = [
            sums.count, sums.missing, sums.total, sums.total_squares, sums.low, sums.high,
        ]  # fmt: skip
        arrays[f"number:{name}"] = np.concatenate([scalars, sums.cells])
    for name, counts in statistics.categories.items():
        arrays[f"category:{name}"] = np.concatenate(
            [[counts.missing, counts.unknown], counts.cells]
        )
    return arrays


def statistics_from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> Statistics:
    """The statistics behind ``statistics_to_arrays``."""
    numbers: dict[str, NumberSums] = {}
    categories: dict[str, CategoryCounts] = {}
    for key, raw in arrays.items():
        kind, _, name = key.partition(":")
        array = np.asarray(raw, dtype=np.float64)
        if kind == "number":
            count, missing, total, squares, low, high = (float(v) for v in array[:6])
            numbers[name] = NumberSums(count, missing, total, squares, low, high, array[6:])
        elif kind == "category":
            categories[name] = CategoryCounts(array[2:], float(array[0]), float(array[1]))
    num_rows, num_positive, squares = (
        float(value) for value in np.asarray(arrays["rows"], dtype=np.float64)
    )
    return Statistics(num_rows, num_positive, numbers, categories, squares)


def arrays_without_ranges(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, FloatArray]:
    """``statistics_to_arrays`` with zeros for ``low`` and ``high``: what is left adds up."""
    found = {name: np.array(array, dtype=np.float64) for name, array in arrays.items()}
    for name, array in found.items():
        if name.startswith("number:"):
            array[4:6] = 0.0
    return found


def with_ranges(statistics: Statistics, contract: Contract) -> Statistics:
    """Sums whose ``low`` and ``high`` are read off the outermost histogram cells in use.

    A cell around one whole number stands for that number, another one for its outer border. Cells
    beyond the contract's range have no border of their own; its first or last edge counts.
    """
    edges = histogram_edges(contract)
    ranged = {name: _with_range(sums, edges[name]) for name, sums in statistics.numbers.items()}
    return replace(statistics, numbers=ranged)


def _with_range(sums: NumberSums, edges: FloatArray) -> NumberSums:
    held = np.flatnonzero(sums.cells > 0)
    if not len(held):
        return replace(sums, low=_NO_LOW, high=-_NO_LOW)
    borders = np.concatenate([edges[:1], edges, edges[-1:]])
    inset = (
        np.where(np.diff(borders) > 0, 0.5, 0.0) if are_whole(edges) else np.zeros(len(edges) + 1)
    )
    low = float(borders[held[0]] + inset[held[0]])
    high = float(borders[held[-1] + 1] - inset[held[-1]])
    return replace(sums, low=low, high=high)


def pool_statistics(parts: Sequence[Statistics]) -> Statistics:
    """The sum over clients; ``parts`` must not be empty."""
    pooled, *rest = parts
    for part in rest:
        pooled = pooled + part
    return pooled
