"""How good the answers were: the newest predictions, and those whose truth has come back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LabelledMetrics:
    """Quality of labelled predictions.

    A value is None where it makes no sense; ``reasons`` says why.

    Attributes:
        num_labelled: predictions whose truth is known.
        num_positive: churners among them.
        accuracy, precision, recall, f1: of the decisions that were given.
        roc_auc: chance that a churner got a higher probability than another; ties count half.
        brier: mean squared error of the probability.
        mean_predicted: mean churn probability.
        observed_rate: share of churners; calibrated when equal to ``mean_predicted``.
        reasons: why a value is None, by name of the value; ``all`` when it is the same for all.
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


@dataclass(frozen=True)
class Performance:
    """What a window of predictions and of feedback says.

    Attributes:
        timestamp: when it was computed, ISO 8601 in UTC.
        recent_predictions: predictions in the window.
        window_start, window_end: times of the first and last of them, ISO 8601, or None.
        risk_distribution: predictions per risk band.
        average_confidence: mean probability of the class that was chosen as more likely (0.5-1),
            or None without predictions.
        average_probability: mean churn probability, or None without predictions.
        predicted_churn_rate: share that was called churner, or None without predictions.
        releases: predictions per release.
        models_used: predictions per model that answered.
        num_torn: damaged log lines that were skipped.
        feedback: counts of feedback: read, matched, unknown, duplicates, contradictions.
        labelled: quality of labelled predictions.
    """

    timestamp: str
    recent_predictions: int
    window_start: str | None
    window_end: str | None
    risk_distribution: dict[str, int]
    average_confidence: float | None
    average_probability: float | None
    predicted_churn_rate: float | None
    releases: dict[str, int]
    models_used: dict[str, int]
    num_torn: int
    feedback: dict[str, int]
    labelled: LabelledMetrics

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        raise NotImplementedError


def performance(
    predictions_folder: Path,
    feedback_folder: Path,
    *,
    num_rows: int = 1000,
    num_feedback: int = 10_000,
    min_labels: int = 30,
    release: str | None = None,
) -> Performance:
    """Read both windows and judge; blocking, for a thread.

    Args:
        predictions_folder: where predictions are logged.
        feedback_folder: where feedback is kept.
        num_rows: newest predictions to describe, and to look through for feedback that knew no
            prediction when it came.
        num_feedback: newest pieces of feedback to judge by.
        min_labels: labelled predictions below which quality is not told.
        release: look at this release only; all by default.
    """
    raise NotImplementedError
