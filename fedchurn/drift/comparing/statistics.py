"""Two-sample statistics on cell counts, each on one scale, so that the largest may speak.

Every part is large when window and reference differ, and is brought to about minus the logarithm of
its own p-value: a statistic that is standard normal under no drift becomes z^2 / 2. So a column is
judged by its strongest part, and dealing rows anew (``deals``) turns that maximum
into one p-value; looking with two eyes costs little and is paid for exactly.

    ks           numbers: largest difference D of the distribution functions; 2 D^2 n m / (n + m)
    cuts         numbers: the strongest of the 2 x 2 tables that cutting the order in two makes, by
                 log-likelihood ratio (Berk and Jones 1979); sees stretching and tails, to which KS
                 is blind
    chi_squared  labels: Pearson's statistic, by the cube root of Wilson and Hilferty (1931)
    one_label    labels: the one whose share moved most for its noise, z^2 / 2
    missing      share of missing values, log-likelihood ratio of a 2 x 2 table
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedchurn.drift.verdict import ColumnTest

FloatArray = NDArray[np.float64]
Parts = dict[str, FloatArray]
Statistic = Callable[[FloatArray, FloatArray], Parts]

MAX_CELLS = 64
MIN_EXPECTED_ROWS = 5.0
# Groups of cells by share of rows below: the outer 2 % are kept finer, since drift begins there.
_GROUP_SHARES, _GROUP_PLACES = (0.0, 0.02, 0.98, 1.0), (0.0, 12.0, 52.0, 64.0)


def ks_distance(windows: FloatArray, both: FloatArray) -> FloatArray:
    """Largest difference of the two distribution functions (0-1); 0 where a side is empty.

    Args:
        windows: rows per cell of d windows, (d, c).
        both: rows per cell of window and reference together, (c,), or (d, c) where it is another
            for every window.

    Returns:
        Float64 (d,).
    """
    num_window, num_reference = _sizes(windows, both)
    running = np.cumsum(windows, axis=1)
    others = np.cumsum(both, axis=-1) - running
    differences = running / num_window[:, None] - others / num_reference[:, None]
    return np.maximum(differences.max(axis=1, initial=0.0), -differences.min(axis=1, initial=0.0))


def strongest_cut(windows: FloatArray, both: FloatArray) -> FloatArray:
    """Largest log-likelihood ratio over all cuts of the order, (d,); arguments as above."""
    below = np.cumsum(both, axis=-1)[..., :-1]
    hits = np.cumsum(windows, axis=1)[:, :-1]
    found = log_likelihood_ratio(hits, windows.sum(axis=1)[:, None], below, _total(both))
    largest: FloatArray = found.max(axis=1, initial=0.0)
    return largest


def strongest_label(windows: FloatArray, both: FloatArray) -> FloatArray:
    """Largest z^2 / 2 of one cell against all others, (d,); arguments as above.

    Not the likelihood ratio, which sees a rare label that grows less well.
    """
    num_window, num_reference = _sizes(windows, both)
    shares = np.broadcast_to(both / _total(both), windows.shape)
    # p - q = (p - s) (n + m) / m, and its variance is s (1 - s) (n + m) / (n m)
    squares = np.square(windows / num_window[:, None] - shares)
    scale = num_window * (num_window + num_reference) / (2 * num_reference)
    variances = shares * (1 - shares)
    found = np.divide(squares, variances, out=np.zeros_like(squares), where=variances > 0)
    largest: FloatArray = found.max(axis=1, initial=0.0) * scale
    return largest


def total_variation(windows: FloatArray, both: FloatArray) -> FloatArray:
    """Share of rows that would have to change their cell (0-1); arguments as above."""
    num_window, num_reference = _sizes(windows, both)
    differences = windows / num_window[:, None] - (both - windows) / num_reference[:, None]
    return np.abs(differences).sum(axis=1) / 2


def chi_squared(windows: FloatArray, both: FloatArray) -> FloatArray:
    """Pearson's statistic of homogeneity, window against reference; arguments as above."""
    num_window, num_reference = _sizes(windows, both)
    shares = np.broadcast_to(both / _total(both), windows.shape)
    squares = np.square(windows - num_window[:, None] * shares)
    scale = 1.0 / num_window + 1.0 / num_reference
    return np.divide(squares, shares, out=np.zeros_like(squares), where=shares > 0).sum(1) * scale


def _sizes(windows: FloatArray, both: FloatArray) -> tuple[FloatArray, FloatArray]:
    num_window = windows.sum(axis=1)
    return np.maximum(num_window, 1.0), np.maximum(both.sum(axis=-1) - num_window, 1.0)


def _total(both: FloatArray) -> FloatArray:
    """Rows of both sides, at least 1, (1,) or (d, 1)."""
    return np.maximum(both.sum(axis=-1, keepdims=True), 1.0)


def number_parts(windows: FloatArray, both: FloatArray) -> Parts:
    """Parts of a number column.

    Args:
        windows: rows per cell of d windows, (d, c + 1); the last cell holds missing values.
        both: the same of window and reference together, (c + 1,) or (d, c + 1).

    Returns:
        Float64 (d,) by part; each at least 0.
    """
    present, all_present = windows[:, :-1], both[..., :-1]
    num_window, num_reference = _sizes(present, all_present)
    size = num_window * num_reference / _total(all_present)[..., 0]
    parts = {
        "ks": 2 * size * np.square(ks_distance(present, all_present)),
        "cuts": strongest_cut(present, all_present),
    }
    return parts | _missing(windows, both)


def label_parts(windows: FloatArray, both: FloatArray) -> Parts:
    """Parts of a category column; arguments and result as of ``number_parts``."""
    present, all_present = windows[:, :-1], both[..., :-1]
    used = (all_present > 0).reshape(-1, present.shape[1]).any(axis=0)
    degrees = max(int(np.count_nonzero(used)) - 1, 1)
    parts = {"chi_squared": _half_square(chi_squared(present, all_present), degrees)}
    if degrees > 1:
        parts["one_label"] = strongest_label(present, all_present)
    return parts | _missing(windows, both)


PARTS: dict[ColumnTest, Statistic] = {
    ColumnTest.KS: number_parts,
    ColumnTest.CHI_SQUARED: label_parts,
}


def exponent(window: FloatArray, both: FloatArray, test: ColumnTest) -> float:
    """What bounds the chance of such a window: it is at most about exp(-exponent).

    For numbers it is that of D, by Hoeffding (1963). For labels the log-likelihood ratio of the
    whole table limits it, since Pearson's statistic overstates what is rare.

    Args:
        window: rows per cell, missing ones last, (c + 1,).
        both: the same of window and reference together.
        test: of the column.
    """
    parts = PARTS[test](window[np.newaxis], both)
    bounding = [float(part[0]) for name, part in parts.items() if name != "cuts"]
    largest = max(bounding)
    if test is ColumnTest.KS:
        return largest
    expected = both * (window.sum() / max(both.sum(), 1.0))
    ratio = _x_log(window, expected) + _x_log(both - window, both - expected)
    return min(largest, float(ratio.sum()))


def _missing(windows: FloatArray, both: FloatArray) -> Parts:
    if not both[..., -1].any() or not both[..., :-1].any():
        return {}
    totals = windows.sum(axis=1)
    ratio = log_likelihood_ratio(windows[:, -1], totals, both[..., -1], both.sum(axis=-1))
    return {"missing": ratio}


def log_likelihood_ratio(
    hits: FloatArray,
    rows: FloatArray,
    all_hits: FloatArray | np.float64 | float,
    all_rows: FloatArray | np.float64 | float,
) -> FloatArray:
    """Half of G of a 2 x 2 table (nats): ``hits`` of ``rows``, and the rest of ``all_hits``.

    Unlike a normal z^2 / 2 it stays honest for rare values: the chance of more is at most about
    exp(-value) (Chernoff 1952), however few rows are expected.
    """
    share = np.asarray(all_hits / all_rows)
    rest = _divergence(all_hits - hits, all_rows - rows, share)
    return np.maximum(_divergence(hits, rows, share) + rest, 0.0)


def _divergence(hits: FloatArray, rows: FloatArray, share: FloatArray) -> FloatArray:
    return _x_log(hits, rows * share) + _x_log(rows - hits, rows * (1 - share))


def _x_log(observed: FloatArray, expected: FloatArray) -> FloatArray:
    usable = (observed > 0) & (expected > 0)
    ratio = np.divide(observed, expected, out=np.ones_like(observed), where=usable)
    return observed * np.log(ratio)


def _half_square(statistic: FloatArray, degrees: int) -> FloatArray:
    """z^2 / 2 of the normal deviate behind a chi-squared statistic; 0 below its median."""
    if degrees == 1:
        return statistic / 2
    width = 2 / (9 * degrees)
    deviate = (np.cbrt(statistic / degrees) - (1 - width)) / np.sqrt(width)
    return np.square(np.maximum(deviate, 0.0)) / 2


def group_cells(both: FloatArray, test: ColumnTest, num_window: float) -> NDArray[np.intp]:
    """Group of every cell, (c,), from 0; from both sides together, so that deals share it.

    KS: neighbours are joined until at most about ``MAX_CELLS`` are left; below that, none are.
    Chi-squared: cells in which a window is expected to have fewer than 5 rows are one group, which
    takes the next smallest cell in if it is still as small (Cochran's rule).
    """
    if test is ColumnTest.KS:
        return _neighbours(both)
    expected = both * (num_window / both.sum())
    order = np.argsort(expected, kind="stable")
    running = np.cumsum(expected[order])
    num_small = int(np.count_nonzero(expected < MIN_EXPECTED_ROWS))
    while 0 < num_small < len(both) and running[num_small - 1] < MIN_EXPECTED_ROWS:
        num_small += 1
    groups = np.empty(len(both), dtype=np.intp)
    groups[order[:num_small]] = 0
    groups[order[num_small:]] = np.arange(len(both) - num_small) + (num_small > 0)
    return groups


def _neighbours(both: FloatArray) -> NDArray[np.intp]:
    used = both > 0
    if np.count_nonzero(used) <= MAX_CELLS:
        return np.maximum(np.cumsum(used) - 1, 0)  # empty cells join the one before
    begins = (np.cumsum(both) - both) / both.sum()
    places = np.floor(np.interp(begins, _GROUP_SHARES, _GROUP_PLACES))
    places = places.clip(max=MAX_CELLS - 1)  # empty cells begin at the end
    return np.unique(places, return_inverse=True)[1]
