"""What the service answers about drift, alerts, feedback and performance."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bentos.churn.api.answers import Time

_Count = Annotated[int, Meta(ge=0)]
_Verdict = Annotated[dict[str, Any] | None, Meta(description="all that the check found")]


class DriftStatus(Struct, kw_only=True):
    """What drift is measured with, and what the last check found."""

    monitoring_active: bool
    reference_samples: _Count
    reference_size: _Count
    monitoring_samples: _Count
    monitoring_size: _Count
    analyzed_samples: _Count
    drift_threshold: Annotated[float | None, Meta(description="largest p-value that counts")]
    drift_detected: Annotated[bool | None, Meta(description="null before the first check")]
    drift_scores: Annotated[dict[str, float], Meta(description="statistic of each column")]
    features_with_drift: list[str]
    report_path: Annotated[
        str | None, Meta(description="report of the drift runner's window; null of other checks")
    ]
    last_check: str | None
    window_id: Annotated[str | None, Meta(description="of the drift runner's window")]
    made_by: Annotated[Literal["runner", "request"] | None, Meta(description="who checked last")]
    summary: Annotated[str | None, Meta(description="the runner's verdict in words")]
    overall: Annotated[str | None, Meta(description="verdict on all evidence together")]
    evidence: Annotated[list[str], Meta(description="what speaks for that verdict")]
    clients: Annotated[list[str], Meta(description="clients that are named")]
    performance: Annotated[
        dict[str, Any] | None, Meta(description="estimated figures, and decay by mature labels")
    ]
    num_alerts_received: Annotated[int, Meta(ge=0, description="beginnings and ends, each once")]
    verdict: _Verdict
    retraining: Annotated[
        dict[str, Any] | None, Meta(description="the newest decision about a retrain, and why")
    ]
    timestamp: Time


class DriftCheck(Struct, kw_only=True):
    """A check that has just been made."""

    status: Literal["drift_detected", "no_drift"]
    drift_detected: bool
    features_with_drift: Annotated[
        dict[str, Any], Meta(description="statistic and p-value of each column that drifted")
    ]
    drifted_features: list[str]
    total_features_checked: _Count
    analyzed_samples: _Count
    verdict: _Verdict
    timestamp: Time


class AlertReceipt(Struct, kw_only=True):
    """Alerts were kept. What follows from their triggers is decided elsewhere."""

    status: Literal["received"]
    num_alerts: Annotated[int, Meta(ge=0, description="in this call")]
    num_new: Annotated[int, Meta(ge=0, description="not kept before")]
    num_duplicates: Annotated[int, Meta(ge=0, description="kept before; told again")]
    num_triggers: Annotated[int, Meta(ge=0, description="new reasons to decide about a retrain")]
    timestamp: Time


class FeedbackEntry(Struct, kw_only=True):
    """One piece of ground truth, as it was kept."""

    prediction_id: str | None
    customer_id: str | None
    actual_churn: Literal[0, 1]
    predicted_churn: Literal[0, 1] | None
    feedback_date: str | None
    timestamp: str


class FeedbackReceipt(Struct, kw_only=True):
    """What became of the feedback."""

    status: Literal["received"]
    message: str
    is_known: Annotated[bool, Meta(description="whether the prediction was found in the log")]
    entry: FeedbackEntry
