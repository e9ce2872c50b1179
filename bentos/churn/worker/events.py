"""What happens to releases and experiments in a worker, told to its metrics."""

from __future__ import annotations

from collections.abc import Sequence

from fedchurn.serving.live import Serving
from fedchurn.serving.metrics.prometheus_service import ServiceMetrics
from fedchurn.serving.records import CHAMPION
from fedchurn.serving.reload.result import ReloadResult


class MetricsEvents:
    """``ServingEvents`` that end in counters and gauges."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        self._metrics = metrics

    def serving_changed(self, state: Serving) -> None:
        """Something else answers from now on."""
        self._metrics.release(state.champion)
        if state.challenger is not None:
            self._metrics.release(state.challenger)
        else:
            self._metrics.without_challenger()

    def reload_ended(self, result: ReloadResult) -> None:
        """A reload was tried."""
        self._metrics.reload(result.status)

    def golden_checked(self, role: str, passed: bool) -> None:
        """Golden rows were computed again; the gauge speaks of the champion."""
        if role == CHAMPION:
            self._metrics.golden(passed)

    def shadow_compared(self, differences: Sequence[float], num_decisions_differ: int) -> None:
        """Answers that the challenger gave silently."""
        self._metrics.shadow(differences, num_decisions_differ)

    def shadow_failed(self, num_rows: int) -> None:
        """Rows that the challenger could not score."""
        self._metrics.shadow_failed(num_rows)
