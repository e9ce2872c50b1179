"""Quality of predictions whose truth is known, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_VALUES = (
    *("accuracy", "precision", "recall", "f1", "roc_auc"),
    *("brier", "mean_predicted", "observed_rate"),
)


@dataclass(frozen=True)
class LabelledMetrics:
    """Quality of labelled predictions.

    A value is None where it makes no sense; ``reasons`` says why.

    Attributes:
        num_labelled: predictions whose truth is known.
        num_positive: churners among them.
        accuracy, precision, recall, f1: of the decisions that were given.
        roc_auc: chance that a churner got a higher probability than another customer; ties count
            half (Mann-Whitney U).
        brier: mean squared error of the probability.
        mean_predicted: mean churn probability.
        observed_rate: share of churners; the service is calibrated when it is ``mean_predicted``.
        reasons: why a value is None, by name of the value.
    """

    num_labelled: int
    num_positive: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    brier: float | None
    mean_predicted: float | None
    observed_rate: float | None
    reasons: dict[str, str]


def labelled_metrics(
    labels: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    predictions: NDArray[np.float64],
    *,
    min_labels: int = 30,
) -> LabelledMetrics:
    """Metrics of n predictions.

    Args:
        labels: 1 for churn, else 0; shape (n,).
        probabilities: churn probabilities (0-1); shape (n,).
        predictions: 1 where churn was predicted, else 0; shape (n,).
        min_labels: below this nothing is told.
    """
    found: dict[str, float | None] = dict.fromkeys(_VALUES)
    num_labelled, num_positive = len(labels), int(labels.sum())
    if num_labelled < max(min_labels, 1):
        reason = f"{num_labelled} labelled predictions; at least {max(min_labels, 1)} are needed"
        reasons = dict.fromkeys(_VALUES, reason)
    else:
        true_positives = float((labels * predictions).sum())
        found["accuracy"] = float((labels == predictions).mean())
        found["precision"] = _share(true_positives, predictions.sum())
        found["recall"] = _share(true_positives, labels.sum())
        found["f1"] = _share(2 * true_positives, predictions.sum() + labels.sum())
        found["roc_auc"] = roc_auc(labels, probabilities)
        found["brier"] = float(((probabilities - labels) ** 2).mean())
        found["mean_predicted"] = float(probabilities.mean())
        found["observed_rate"] = float(labels.mean())
        why = _why_none(num_labelled, num_positive)
        reasons = {name: why[name] for name in _VALUES if found[name] is None}
    return LabelledMetrics(num_labelled, num_positive, **found, reasons=reasons)


def roc_auc(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve by mean ranks, ties half; None with one class only.

    >>> roc_auc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]))
    0.75
    """
    num_positive = float(labels.sum())
    num_pairs = num_positive * (len(labels) - num_positive)
    if not num_pairs:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = float(mean_ranks[group][labels == 1].sum())
    return (rank_sum - num_positive * (num_positive + 1) / 2) / num_pairs


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _why_none(num_labelled: int, num_positive: int) -> dict[str, str]:
    one_class = f"all {num_labelled} labels are {'churn' if num_positive else 'no churn'}"
    return {
        "precision": "no churn was predicted",
        "recall": "no label is churn",
        "f1": "churn was neither predicted nor observed",
        "roc_auc": one_class,
    }
