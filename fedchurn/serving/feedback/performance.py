"""How good the answers were: the newest predictions, and those whose truth has come back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.serving.feedback.entry import PredictedThen
from fedchurn.serving.feedback.performance_metrics import LabelledMetrics, labelled_metrics
from fedchurn.serving.feedback.reader import newest_feedback
from fedchurn.serving.feedback.settling import settle
from fedchurn.serving.log.log_reader import ReadCounts, newest
from fedchurn.serving.time_text import time_text

DAY_SECONDS = 86_400.0


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
        feedback: pieces of feedback: ``read``, ``unknown`` (which prediction is not known),
            ``duplicates`` and ``contradictions`` (a later one says the same, or the opposite).
        labelled: quality of labelled predictions, however young. Labels that come early are mostly
            churners, so this says too much churn until all have come.
        maturity_days: age from which a prediction's label counts.
        mature: quality of labelled predictions that are at least so old.
        rolling: the last performance record about the release that answers: customers each once,
            by client, revenue, decay against held-out figures, estimate without labels
            (``performance_record``); None before the drift runner has looked.
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
    maturity_days: float
    mature: LabelledMetrics
    rolling: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def performance(
    predictions_folder: Path,
    feedback_folder: Path,
    *,
    num_rows: int = 1000,
    num_feedback: int = 10_000,
    min_labels: int = 30,
    release: str | None = None,
    bands: Sequence[str] = (),
    maturity_days: float = 30.0,
    rolling: dict[str, Any] | None = None,
    now_seconds: float | None = None,
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
        bands: names of risk bands that are told even where no prediction is in them.
        maturity_days: age from which a prediction's label counts.
        rolling: told as it is.
        now_seconds: Unix time of the look; now by default.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts = ReadCounts()
    now_seconds = time.time() if now_seconds is None else now_seconds
    mature_before = now_seconds - maturity_days * DAY_SECONDS
    recent = newest(predictions_folder, num_rows, counts=counts)
    settled = settle(newest_feedback(feedback_folder, num_feedback, counts=counts), recent)
    meant = [p for p in recent if release in (None, p.release)]
    labels = [(then, label) for then, label in settled.labels if release in (None, then.release)]
    probabilities = np.array([p.probability for p in meant], dtype=np.float64)
    return Performance(
        timestamp=time_text(now_seconds),
        recent_predictions=len(meant),
        window_start=_iso(meant[0].time_seconds) if meant else None,
        window_end=_iso(meant[-1].time_seconds) if meant else None,
        risk_distribution=_distribution((p.risk_level for p in meant), bands),
        average_confidence=_mean(np.maximum(probabilities, 1 - probabilities)),
        average_probability=_mean(probabilities),
        predicted_churn_rate=_mean(np.array([p.prediction for p in meant], dtype=np.float64)),
        releases=dict(Counter(p.release for p in meant)),
        models_used=dict(Counter(p.model_used for p in meant)),
        num_torn=counts.num_torn,
        feedback=settled.counts(),
        labelled=_labelled(labels, min_labels),
        maturity_days=maturity_days,
        mature=_labelled(
            [pair for pair in labels if pair[0].time_seconds <= mature_before], min_labels
        ),
        rolling=rolling,
    )


def _labelled(labels: Sequence[tuple[PredictedThen, int]], min_labels: int) -> LabelledMetrics:
    return labelled_metrics(
        np.array([label for _, label in labels], dtype=np.float64),
        np.array([then.probability for then, _ in labels], dtype=np.float64),
        np.array([then.prediction for then, _ in labels], dtype=np.float64),
        min_labels=min_labels,
    )


def _distribution(found: Iterable[str], bands: Sequence[str]) -> dict[str, int]:
    return {**dict.fromkeys(bands, 0), **Counter(found)}


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _iso(time_seconds: float) -> str:
    return time_text(time_seconds)
