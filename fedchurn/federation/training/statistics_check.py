"""Whether a client's statistics can be those of any rows under the contract."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.federation.exchange import Arrays, Reply

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-6
_MOST_ROWS = 2.0**53  # whole numbers up to there are exact in float64


def statistics_problem(reply: Reply, contract: Contract) -> str:
    """Why a reply to ``statistics`` cannot be used; empty if it can.

    Of a sum over clients only the shapes are looked at: it is rounded, and nobody's own.
    """
    sizes = _sizes(contract)
    for name, size in sizes.items():
        array = reply.arrays.get(name)
        if array is None or array.shape != (size,):
            told = "is missing" if array is None else f"has shape {array.shape}"
            return f"{name} {told}, expected {(size,)}"
    if unknown := sorted(set(reply.arrays) - set(sizes)):
        return f"{unknown[0]} is not in the contract"
    if reply.members:
        return ""
    told_rows = float(reply.numbers.get("num_rows", np.nan))
    rows = np.asarray(reply.arrays["rows"], dtype=np.float64).tolist()
    if told_rows != rows[0]:
        return f"num_rows is {told_rows:g}, its sums are of {rows[0]:g} rows"
    return _rows_problem(*rows) or _columns_problem(reply.arrays, rows[0], contract)


def _sizes(contract: Contract) -> Mapping[str, int]:
    """Numbers in each array of the reply; see ``statistics_to_arrays``."""
    edges = histogram_edges(contract)
    sizes = {"rows": 3}
    for feature in features(contract):
        if feature.labels is None:
            sizes[f"number:{feature.name}"] = 6 + len(edges[feature.name]) + 1
        else:
            sizes[f"category:{feature.name}"] = 2 + len(feature.labels)
    return sizes


def _rows_problem(num_rows: float, num_positive: float, squares: float) -> str:
    if not 0 < num_rows <= _MOST_ROWS or num_rows != int(num_rows):
        return f"statistics of {num_rows:g} rows"
    if not 0 <= num_positive <= num_rows or num_positive != int(num_positive):
        return f"{num_positive:g} of {num_rows:g} rows with churn"
    if not num_rows * (1 - _ROUNDING) <= squares <= num_rows**2 * (1 + _ROUNDING):
        return f"customers' rows squared are {squares:g}, which {num_rows:g} rows cannot give"
    return ""


def _columns_problem(arrays: Arrays, num_rows: float, contract: Contract) -> str:
    for name, raw in arrays.items():
        kind, _, column = name.partition(":")
        array = np.asarray(raw, dtype=np.float64)
        why = ""
        if kind == "number":
            known = contract.columns.get(column)
            why = _number_problem(array, num_rows, known.hard if known is not None else None)
        elif kind == "category":
            why = _counts_problem(array, num_rows)
        if why:
            return f"{name}: {why}"
    return ""


def _number_problem(
    array: FloatArray, num_rows: float, hard: tuple[float | None, float | None] | None
) -> str:
    count, missing, total, squares, low, high = array[:6].tolist()
    cells = array[6:]
    if count < 0 or missing < 0 or count + missing != num_rows:
        return f"{count:g} values and {missing:g} missing are not {num_rows:g} rows"
    why = _counts_problem(cells, count)
    if why or not count:
        return why
    mean = total / count
    slack = _ROUNDING * (abs(low) + abs(high) + 1)
    if not low - slack <= mean <= high + slack:
        return f"mean {mean:g} is not between {low:g} and {high:g}"
    if not mean * mean * (1 - _ROUNDING) - slack <= squares / count:
        return f"squares add up to {squares:g}, too few for a sum of {total:g}"
    largest = max(low * low, high * high)
    if hard is not None:
        least, most = hard
        below = least is not None and low < least - slack
        if below or (most is not None and high > most + slack):
            return f"values from {low:g} to {high:g}, the contract allows {least} to {most}"
        if None not in hard:
            largest = max(abs(least or 0.0), abs(most or 0.0)) ** 2
            if squares / count > largest * (1 + _ROUNDING) + slack:
                return f"squares add up to {squares:g}, too many for {count:g} values"
    return ""


def _counts_problem(cells: FloatArray, num_rows: float) -> str:
    if cells.size and cells.min() < 0:
        return f"a count of {cells.min():g}"
    held = float(cells.sum())
    if held > num_rows * (1 + _ROUNDING) + _ROUNDING:
        return f"counts of {held:g} in {num_rows:g} rows"
    return ""
