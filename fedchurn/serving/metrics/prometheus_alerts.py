"""Metrics of alerts that came in and of what was decided about retraining."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from fedchurn.serving.metrics.prometheus_families import Families, show_all, show_unset

FIRING = "firing"
RESOLVED = "resolved"
DUPLICATE = "duplicate"
DECISIONS = ("retrain", "skip")
RUN_OUTCOMES = ("promoted", "refused", "unchanged", "failed")


class Retraining(Protocol):
    """The retraining journal in short (``fedchurn.retraining.journal_watch.RetrainingSeen``)."""

    @property
    def num_decisions(self) -> Mapping[str, int]: ...
    @property
    def num_runs(self) -> Mapping[str, int]: ...
    @property
    def newest(self) -> Mapping[str, Any] | None: ...


class AlertSeries:
    """Counts alerts, and shows what became of them; safe from any thread."""

    def __init__(self, families: Families) -> None:
        self._waiting_now: Callable[[], int] | None = None
        self._decided_now: Callable[[], Retraining] | None = None
        self._alerts = families.counter(
            "fedchurn_alerts_total",
            "Alerts that came to the webhook: new ones, ends of them, or told before",
            "outcome",
        )
        show_all(self._alerts, [[FIRING], [RESOLVED], [DUPLICATE]])
        self._waiting = families.gauge(
            "fedchurn_retraining_triggers_waiting",
            "Reasons to decide about a retrain that nobody has looked at yet",
            together="mostrecent",
        )
        show_unset(self._waiting)
        self._decisions = families.gauge(
            "fedchurn_retraining_decisions",
            "Decisions about retrains in the journal, by outcome",
            "outcome",
            together="mostrecent",
        )
        self._runs = families.gauge(
            "fedchurn_retraining_runs",
            "Retrains in the journal that have ended, by outcome",
            "outcome",
            together="mostrecent",
        )
        for family, outcomes in ((self._decisions, DECISIONS), (self._runs, RUN_OUTCOMES)):
            for outcome in outcomes:
                show_unset(family.labels(outcome))
        self._decided_at = families.gauge(
            "fedchurn_retraining_last_decision_timestamp_seconds",
            "Unix time of the newest decision about a retrain; 0 before the first",
            together="mostrecent",
        )
        show_unset(self._decided_at)

    def add(self, num_firing: int, num_resolved: int, num_duplicates: int) -> None:
        """Count the alerts of one message."""
        self._alerts.labels(FIRING).inc(num_firing)
        self._alerts.labels(RESOLVED).inc(num_resolved)
        self._alerts.labels(DUPLICATE).inc(num_duplicates)

    def watch(self, waiting: Callable[[], int], decided: Callable[[], Retraining]) -> None:
        """Ask for triggers that wait and for what was decided, whenever ``refresh`` is called."""
        self._waiting_now, self._decided_now = waiting, decided
        self.refresh()

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        if self._waiting_now is not None:
            with suppress(OSError):  # a scrape without it is better than none
                self._waiting.set(self._waiting_now())
        if self._decided_now is not None:
            self._show(self._decided_now())

    def _show(self, decided: Retraining) -> None:
        for outcome in DECISIONS:
            self._decisions.labels(outcome).set(decided.num_decisions.get(outcome, 0))
        for outcome in RUN_OUTCOMES:
            self._runs.labels(outcome).set(decided.num_runs.get(outcome, 0))
        if decided.newest is not None:
            self._decided_at.set(datetime.fromisoformat(decided.newest["time"]).timestamp())
