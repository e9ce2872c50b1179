"""Metrics of alerts that came in and of what waits for a decision about retraining."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from fedchurn.serving.metrics.prometheus_families import Families, show_all, show_unset

FIRING = "firing"
RESOLVED = "resolved"
DUPLICATE = "duplicate"


class AlertSeries:
    """Counts alerts, and shows how many triggers wait; safe from any thread."""

    def __init__(self, families: Families) -> None:
        self._read_waiting: Callable[[], int] | None = None
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

    def add(self, num_firing: int, num_resolved: int, num_duplicates: int) -> None:
        """Count the alerts of one message."""
        self._alerts.labels(FIRING).inc(num_firing)
        self._alerts.labels(RESOLVED).inc(num_resolved)
        self._alerts.labels(DUPLICATE).inc(num_duplicates)

    def watch_waiting(self, read: Callable[[], int]) -> None:
        """Ask ``read`` for the number of triggers that wait, whenever ``refresh`` is called."""
        self._read_waiting = read

    def refresh(self) -> None:
        """Bring the gauge up to date."""
        if self._read_waiting is not None:
            with suppress(OSError):  # a scrape without it is better than none
                self._waiting.set(self._read_waiting())
