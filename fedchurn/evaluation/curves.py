"""Points of every curve that is drawn, computed from addable sums; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedchurn.evaluation.sums import NUM_BINS, ScoreSums

Points = NDArray[np.float64]

NUM_CALIBRATION_BINS = 10
SMOOTHING_WINDOW_ROUNDS = 3
BAND_Z = 1.96


def roc_points(sums: ScoreSums) -> tuple[Points, Points]:
    """False and true positive rate per threshold, from (0, 0) to (1, 1).

    One point per occupied histogram bin, so the area under straight lines between the points is
    ``Metrics.roc_auc`` (ties count half). Both are empty when only one class is present.
    """
    if not sums.num_positive or not sums.num_negative:
        return np.empty(0), np.empty(0)
    true_positives, false_positives = _cumulated(sums)
    true_rate = np.concatenate([[0.0], true_positives / sums.num_positive])
    false_rate = np.concatenate([[0.0], false_positives / sums.num_negative])
    return false_rate, true_rate


def pr_points(sums: ScoreSums) -> tuple[Points, Points]:
    """Recall and precision per threshold, recall ascending; empty without churners.

    ``Metrics.pr_auc`` is the area under these points as a step function (average precision), which
    starts at recall 0 with the first point's precision.
    """
    if not sums.num_positive:
        return np.empty(0), np.empty(0)
    true_positives, false_positives = _cumulated(sums)
    return true_positives / sums.num_positive, true_positives / (true_positives + false_positives)


def _cumulated(sums: ScoreSums) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts at or above each occupied bin, from the highest bin to the lowest."""
    occupied = np.flatnonzero(sums.positive_counts + sums.negative_counts)[::-1]
    return np.cumsum(sums.positive_counts[occupied]), np.cumsum(sums.negative_counts[occupied])


@dataclass(frozen=True)
class CalibrationPoints:
    """Groups of rows of about equal size, ordered by predicted probability.

    Attributes:
        predicted: mean predicted probability per group, from bin centres (within 1/8192).
        observed: share of churners per group.
        num_rows: rows per group.
    """

    predicted: Points
    observed: Points
    num_rows: NDArray[np.int64]


def calibration_points(sums: ScoreSums, num_bins: int = NUM_CALIBRATION_BINS) -> CalibrationPoints:
    """At most ``num_bins`` equal-mass groups, merged from the score histogram.

    Rows of one histogram bin stay together, so groups are equal up to the largest bin.
    """
    counts = sums.positive_counts + sums.negative_counts
    occupied = np.flatnonzero(counts)
    mass = counts[occupied]
    before = np.cumsum(mass) - mass
    group = (before * num_bins) // max(sums.num_rows, 1)
    rows = np.bincount(group, weights=mass, minlength=num_bins)
    positives = np.bincount(group, weights=sums.positive_counts[occupied], minlength=num_bins)
    centre_mass = np.bincount(group, weights=mass * (occupied + 0.5) / NUM_BINS, minlength=num_bins)
    used = rows > 0
    return CalibrationPoints(
        centre_mass[used] / rows[used], positives[used] / rows[used], rows[used].astype(np.int64)
    )


@dataclass(frozen=True)
class SmoothedCurve:
    """A series per round, smoothed: centre line and band, all (num_rounds,)."""

    centre: Points
    low: Points
    high: Points


def smoothed(values: ArrayLike, window: int = SMOOTHING_WINDOW_ROUNDS) -> SmoothedCurve:
    """Centred moving average with a band of 1.96 rolling standard deviations.

    Args:
        values: one value per round; NaN is left out of its windows.
        window: odd number of rounds; at both ends the window holds what there is.
    """
    series = np.asarray(values, dtype=np.float64)
    windows = [_present(series, at, window // 2) for at in range(len(series))]
    centre = np.asarray([w.mean() if len(w) else np.nan for w in windows], dtype=np.float64)
    spread = np.asarray([w.std(ddof=1) if len(w) > 1 else 0.0 for w in windows], dtype=np.float64)
    return SmoothedCurve(centre, centre - BAND_Z * spread, centre + BAND_Z * spread)


def _present(series: Points, at: int, reach: int) -> Points:
    near = series[max(0, at - reach) : at + reach + 1]
    return near[~np.isnan(near)]


def coarse_histogram(sums: ScoreSums, num_bins: int = 32) -> tuple[Points, Points, Points]:
    """Share of each class per wide bin of probability: (edges, negatives, positives).

    ``num_bins`` must divide 4096. Each class sums to 1, so a rare class stays visible.
    """
    negatives = sums.negative_counts.reshape(num_bins, -1).sum(axis=1) / max(sums.num_negative, 1)
    positives = sums.positive_counts.reshape(num_bins, -1).sum(axis=1) / max(sums.num_positive, 1)
    return np.linspace(0, 1, num_bins + 1), negatives, positives


@dataclass(frozen=True)
class FeatureCurve:
    """What one feature adds to the churn logit of the additive model.

    Attributes:
        feature: name.
        contribution: logit added at each grid point, centred on the typical customer (mean 0 over
            the grid unless the caller centres it better).
        grid: values of a number, in its unit; empty for a category.
        labels: labels of a category, one per contribution; empty for a number.
        missing: logit added where the value is missing; None when it cannot be missing.
        unit: unit of the number, for the axis.
    """

    feature: str
    contribution: Points
    grid: Points
    labels: tuple[str, ...] = ()
    missing: float | None = None
    unit: str = ""

    @property
    def effect(self) -> float:
        """Largest minus smallest contribution: how much the feature can move a customer."""
        return float(np.ptp(self.contribution)) if len(self.contribution) else 0.0


def strongest_first(curves: Sequence[FeatureCurve]) -> tuple[FeatureCurve, ...]:
    """Curves by falling effect, ties by name."""
    return tuple(sorted(curves, key=lambda c: (-c.effect, c.feature)))
