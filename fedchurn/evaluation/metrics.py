"""Metrics of scored rows, computed from addable sums: pooled metrics need no pooled rows.

Conventions: a share whose denominator is empty is 0 (precision when nobody is called a churner,
recall without churners), as in sklearn with ``zero_division=0``; ``mcc`` and ``kappa`` are 0 where
undefined; ``balanced_accuracy`` is the mean over the classes that are present; what needs both
classes (``roc_auc``), churners (``pr_auc``) or rows at all is NaN without them. Nothing raises.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from fedchurn.errors import SettingsError
from fedchurn.evaluation.curves import calibration_points, pr_points
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Metrics:
    """Metrics at one threshold; a row is called a churner when probability >= threshold.

    Attributes:
        threshold: the decision threshold, a multiple of 1/4096.
        churn_rate: share of churners.
        majority_accuracy: accuracy of always naming the more common class; an ``accuracy`` not
            above it has learned nothing.
        calibration_error: expected calibration error over 10 equal-mass groups of rows merged from
            the score histogram (Naeini et al. 2015, with equal mass instead of equal width).
        pr_auc: average precision, sum of precision x step of recall.
        log_loss: mean, natural logarithm, probabilities clipped at 1e-12.
        brier: mean squared error of the probability.
        num_true_positives, num_false_positives, num_false_negatives, num_true_negatives: the
            confusion matrix.
    """

    threshold: float
    num_rows: int
    num_positive: int
    churn_rate: float
    majority_accuracy: float
    accuracy: float
    balanced_accuracy: float
    precision: float
    recall: float
    specificity: float
    f1: float
    mcc: float
    kappa: float
    roc_auc: float
    pr_auc: float
    brier: float
    log_loss: float
    calibration_error: float
    num_true_positives: int
    num_false_positives: int
    num_false_negatives: int
    num_true_negatives: int

    def to_dict(self) -> dict[str, float | int | None]:
        """JSON-ready form; NaN becomes None."""
        values: dict[str, float | int] = asdict(self)
        return {name: None if math.isnan(value) else value for name, value in values.items()}


def metrics(sums: ScoreSums, threshold: float = DEFAULT_THRESHOLD) -> Metrics:
    """All metrics of the rows behind ``sums``; see the module docstring for conventions.

    Raises:
        SettingsError: ``threshold`` is not a multiple of 1/4096 from 0 to 4095/4096; see
            ``fedchurn.evaluation.thresholds.on_edge``.
    """
    first_bin = threshold_bin(threshold)
    tp = int(sums.positive_counts[first_bin:].sum())
    fp = int(sums.negative_counts[first_bin:].sum())
    fn, tn = sums.num_positive - tp, sums.num_negative - fp
    rows = sums.num_rows
    recall, specificity = _share(tp, tp + fn), _share(tn, tn + fp)
    return Metrics(
        threshold=threshold,
        num_rows=rows,
        num_positive=sums.num_positive,
        churn_rate=_mean(sums.num_positive, rows),
        majority_accuracy=_mean(max(sums.num_positive, sums.num_negative), rows),
        accuracy=_mean(tp + tn, rows),
        balanced_accuracy=_balanced(recall, specificity, tp + fn, tn + fp),
        precision=_share(tp, tp + fp),
        recall=recall,
        specificity=specificity,
        f1=_share(2 * tp, 2 * tp + fp + fn),
        mcc=_mcc(tp, fp, fn, tn),
        kappa=_kappa(tp, fp, fn, tn),
        roc_auc=roc_auc(sums),
        pr_auc=pr_auc(sums),
        brier=_mean(sums.squared_error_sum, rows),
        log_loss=_mean(sums.log_loss_sum, rows),
        calibration_error=calibration_error(sums),
        num_true_positives=tp,
        num_false_positives=fp,
        num_false_negatives=fn,
        num_true_negatives=tn,
    )


def threshold_bin(threshold: float) -> int:
    """First histogram bin at or above ``threshold``, so that counts from it on are exact.

    Raises:
        SettingsError: ``threshold`` is not a multiple of 1/4096 from 0 to 4095/4096.
    """
    position = threshold * NUM_BINS
    if not (math.isfinite(position) and position == int(position) and 0 <= position < NUM_BINS):
        raise SettingsError(
            f"threshold {threshold} does not lie on a histogram edge",
            next_step=f"use a multiple of 1/{NUM_BINS} from 0 to {(NUM_BINS - 1) / NUM_BINS:.4f}",
        )
    return int(position)


def roc_auc(sums: ScoreSums) -> float:
    """Area under the ROC curve, ties half (Mann-Whitney U); NaN with one class.

    Rows of one histogram bin count as tied, which moves the area by at most half the share of
    churner/other pairs that fall into one bin.
    """
    pairs = sums.num_positive * sums.num_negative
    if not pairs:
        return math.nan
    below = np.cumsum(sums.negative_counts) - sums.negative_counts
    halves = int(np.sum(sums.positive_counts * (2 * below + sums.negative_counts)))
    return halves / (2 * pairs)


def pr_auc(sums: ScoreSums) -> float:
    """Average precision (no interpolation); NaN without churners."""
    recall, precision = pr_points(sums)
    if not len(recall):
        return math.nan
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def calibration_error(sums: ScoreSums) -> float:
    """Row-weighted mean of |observed - predicted| over 10 equal-mass groups; NaN without rows."""
    if not sums.num_rows:
        return math.nan
    points = calibration_points(sums)
    gaps = np.abs(points.observed - points.predicted)
    return float(np.sum(points.num_rows * gaps) / sums.num_rows)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(total: float, rows: int) -> float:
    return total / rows if rows else math.nan


def _balanced(recall: float, specificity: float, positives: int, negatives: int) -> float:
    present = [rate for rate, n in ((recall, positives), (specificity, negatives)) if n]
    return sum(present) / len(present) if present else math.nan


def _mcc(tp: int, fp: int, fn: int, tn: int) -> float:
    """Matthews correlation coefficient, 0 where a margin of the confusion matrix is empty."""
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(margins) if margins else 0.0


def _kappa(tp: int, fp: int, fn: int, tn: int) -> float:
    """Cohen's kappa, 0 where chance alone would agree on every row."""
    above = 2 * (tp * tn - fn * fp)
    below = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    return above / below if below else 0.0
