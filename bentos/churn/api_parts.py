"""What the routes need of a worker that has started; the rest of the service stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fedchurn.contract.schema import Contract
from fedchurn.serving.alert_journal import AlertJournal
from fedchurn.serving.answering import Answering
from fedchurn.serving.feedback import FeedbackReceipt
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.performance import Performance
from fedchurn.serving.records import Refusal
from fedchurn.serving.serving_settings import ServingSettings


class Feedback(Protocol):
    """Takes ground truth (``fedchurn.serving.feedback.FeedbackStore``)."""

    def add(
        self,
        contract: Contract,
        *,
        label: object,
        prediction_id: object = None,
        customer_id: object = None,
        happened_at: object = None,
        predicted: object = None,
    ) -> FeedbackReceipt | Refusal: ...


@dataclass(frozen=True)
class FallbackCounts:
    """Predictions of all workers since they started.

    Attributes:
        by_model: predictions per model that answered (``records.MODELS_USED``).
        by_reason: fallbacks per reason (``records.FALLBACK_REASONS``).
        mean_latency_ms: of all predictions, or None before the first.
    """

    by_model: Mapping[str, int] = field(default_factory=dict)
    by_reason: Mapping[str, int] = field(default_factory=dict)
    mean_latency_ms: float | None = None


@dataclass(frozen=True)
class Reloaded:
    """What came of a reload.

    Attributes:
        before: what answered before.
        now: what answers now, in this worker.
        is_everywhere: whether all workers are known to answer with it.
    """

    before: Serving
    now: Serving
    is_everywhere: bool


class Reloader(Protocol):
    """Brings another release into all workers."""

    def reload(self, release_id: str | None) -> Reloaded:
        """Serve a release, or whatever is in production; blocking.

        Raises:
            FedchurnError: it cannot be served; what answered before still does.
        """

    def condition(self) -> Mapping[str, Any]:
        """JSON-ready: ``golden_rows``, ``last_reload_failure`` (None after a success), ``workers``
        (one object each)."""


class DriftMonitor(Protocol):
    """Compares recent predictions with the release's reference."""

    def status(self) -> Mapping[str, Any]:
        """JSON-ready: ``reference_samples``, ``monitoring_samples``, ``drift_threshold``,
        ``monitoring_active``, and of the last check (else None or empty) ``drift_detected``,
        ``drift_scores`` by field, ``features_with_drift`` (list), ``last_check`` (time)."""

    def check(self) -> Mapping[str, Any]:
        """Look now; blocking. JSON-ready: ``drift_detected``, ``features_with_drift`` (statistic
        and p-value by field), ``total_features_checked``, ``analyzed_samples``, ``timestamp``.

        Raises:
            FedchurnError: there is too little to look at.
        """


@dataclass(frozen=True)
class ApiParts:
    """What the routes call.

    A part that is None is not at work in this service; its endpoint answers 409 and says so.

    Attributes:
        settings: of the service.
        live: what answers.
        answering: rows to answers.
        started_seconds: Unix time at which the worker started.
        alerts: where alerts are kept.
        flush: hands predictions that wait to log and counters, so that a report has them.
        fallback_counts: predictions by model and reason, of all workers.
        feedback: ground truth.
        performance: newest predictions and those whose truth is known; blocking.
        reloader: other releases.
        drift: drift checks.
        experiment: report of shadow and A/B, JSON-ready; None while there is no challenger.
    """

    settings: ServingSettings
    live: Live
    answering: Answering
    started_seconds: float
    alerts: AlertJournal
    flush: Callable[[], None]
    fallback_counts: Callable[[], FallbackCounts]
    feedback: Feedback | None = None
    performance: Callable[[], Performance] | None = None
    reloader: Reloader | None = None
    drift: DriftMonitor | None = None
    experiment: Callable[[], Mapping[str, Any] | None] | None = None
