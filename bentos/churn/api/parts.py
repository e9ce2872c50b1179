"""What the routes need of a worker that has started; the rest of the service stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fedchurn.serving.answering import Answering
from fedchurn.serving.feedback.performance import Performance
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.live import Live
from fedchurn.serving.reload.result import ReloadResult
from fedchurn.serving.serving_settings import ServingSettings

if TYPE_CHECKING:  # prometheus_client must not be imported before a worker has set its folder
    from fedchurn.serving.metrics.prometheus_reading import FallbackCounts


class Problem(Protocol):
    """Why a row was refused, as far as it is counted."""

    @property
    def field(self) -> str: ...
    @property
    def rule(self) -> str: ...


class Metrics(Protocol):
    """Counters (``fedchurn.serving.metrics.prometheus_service.ServiceMetrics``)."""

    def refused(self, problems: Iterable[Problem]) -> None:
        """Rows were refused for these reasons."""

    def feedback(self, predicted: int | None, actual: int) -> None:
        """Ground truth came back (1 is churn)."""

    def fallback_counts(self) -> FallbackCounts:
        """Who answered and why, over all workers since the service started."""


class Reloader(Protocol):
    """Brings another release into all workers."""

    def reload(self, release: str | None = None) -> ReloadResult:
        """Serve the release of this id, or whatever is in production; blocking, does not raise."""

    def condition(self) -> Mapping[str, Any]:
        """JSON-ready: ``golden_rows`` (whether they agree), ``last_reload_failure`` (None when the
        wanted release answers), ``num_workers``, ``num_serving``, ``workers`` (an object each)."""


class DriftMonitor(Protocol):
    """Compares recent predictions with the release's reference."""

    def status(self) -> Mapping[str, Any]:
        """JSON-ready: ``reference_samples``, ``monitoring_samples``, ``drift_threshold``,
        ``monitoring_active``, and of the last check, where there was one, ``drift_detected``,
        ``drift_scores`` by field, ``features_with_drift`` (iterable), ``last_check`` (time),
        ``verdict``."""

    def check(self) -> Mapping[str, Any]:
        """Look now; blocking. JSON-ready, as ``fedchurn.drift.documented_fields`` gives it.

        Raises:
            FedchurnError: there is too little to look at.
        """


@dataclass(frozen=True)
class AlertsTaken:
    """What became of one message of Alertmanager.

    Attributes:
        num_new: alerts that were not kept before, ends of alerts included.
        num_duplicates: alerts that were told before.
        num_triggers: new reasons to decide about a retrain.
    """

    num_new: int
    num_duplicates: int
    num_triggers: int


class Alerts(Protocol):
    """Where alerts go (``bentos.churn.worker.alerts.Alerts``)."""

    @property
    def num_received(self) -> int:
        """Alerts that were ever kept."""

    @property
    def newest_decision(self) -> Mapping[str, Any] | None:
        """What was decided last about a retrain; JSON-ready."""

    def take(self, message: Mapping[str, Any]) -> AlertsTaken:
        """Keep what is new, on disk, and make triggers of what asks for a retrain; blocking.

        Raises:
            FedchurnError: the disk does not take it.
        """


@dataclass(frozen=True)
class ApiParts:
    """What the routes call.

    A part that is None is not at work in this service; its endpoint answers 409 and says so.

    Attributes:
        settings: of the service.
        live: what answers.
        answering: rows to answers.
        metrics: counters.
        alerts: where alerts go.
        started_seconds: Unix time at which the worker started.
        flush: hands predictions that wait to log and counters, so that a report has them.
        feedback: ground truth.
        performance: newest predictions and those whose truth is known; blocking.
        reloader: other releases.
        drift: drift checks.
        experiment: report of shadow and A/B, JSON-ready; None while there is no challenger.
    """

    settings: ServingSettings
    live: Live
    answering: Answering
    metrics: Metrics
    alerts: Alerts
    started_seconds: float
    flush: Callable[[], None]
    feedback: FeedbackStore | None = None
    performance: Callable[[], Performance] | None = None
    reloader: Reloader | None = None
    drift: DriftMonitor | None = None
    experiment: Callable[[], Mapping[str, Any] | None] | None = None
