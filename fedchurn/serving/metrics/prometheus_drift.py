"""Metrics of drift: scores and verdict of the newest check, and how often columns drifted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client import Counter

from fedchurn.contract.schema import Contract
from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN
from fedchurn.serving.metrics.prometheus_families import Families, show_all, show_unset


class Seen(Protocol):
    """What is known now (``fedchurn.serving.drift_watch.DriftSeen``)."""

    @property
    def scores(self) -> Mapping[str, float]: ...
    @property
    def level(self) -> int: ...
    @property
    def checked_seconds(self) -> float: ...
    @property
    def drifted(self) -> tuple[str, ...]: ...


def drift_features(contract: Contract) -> tuple[str, ...]:
    """Values of the label ``feature``: contract columns, then what releases add to them."""
    return (*contract.columns, SCORE_COLUMN, RELATION_COLUMN)


class DriftSeries:
    """Shows drift under our names and under those of earlier churn services; safe from any thread.

    Args:
        contract: names columns; nothing else becomes a label value.
        families: where metrics are made.
    """

    def __init__(self, contract: Contract, families: Families) -> None:
        self._features = drift_features(contract)
        self._look: Callable[[], Seen] | None = None
        self._shown: tuple[Mapping[str, float], int, float] | None = None
        self._drifts: tuple[Counter, ...] = (
            families.counter(
                "fedchurn_drift_detected_total", "Checks that found drift in a column", "feature"
            ),
            families.counter(
                "data_drift_detected_total", "As fedchurn_drift_detected_total", "feature"
            ),
        )
        self._scores = (
            families.gauge(
                "fedchurn_drift_score",
                "Newest drift score of a column (0-1); 0 before the release's first check",
                "feature",
                together="mostrecent",
            ),
            families.gauge(
                "data_drift_score", "As fedchurn_drift_score", "feature", together="mostrecent"
            ),
        )
        self._level = families.gauge(
            "fedchurn_drift_verdict",
            "Newest verdict about the release that answers: 0 none, 1 warning, 2 drift",
            together="mostrecent",
        )
        self._checked_at = families.gauge(
            "fedchurn_drift_last_check_timestamp_seconds",
            "Unix time at which somebody looked for drift, even at too few rows; 0 before that",
            together="mostrecent",
        )
        for family in self._drifts:
            show_all(family, [[feature] for feature in self._features])
        gauges = [gauge.labels(feature) for gauge in self._scores for feature in self._features]
        for one in (*gauges, self._level, self._checked_at):
            show_unset(one)

    def watch(self, look: Callable[[], Seen]) -> None:
        """Ask ``look`` for what is known whenever ``refresh`` is called."""
        self._look = look

    def refresh(self) -> None:
        """Bring the gauges up to date, and count what nobody has counted."""
        if self._look is None:
            return
        seen = self._look()
        self.detected(seen.drifted)
        now = (seen.scores, seen.level, seen.checked_seconds)
        if now == self._shown or (self._shown is None and not seen.checked_seconds):
            return
        self._shown = now
        self.scores({name: seen.scores.get(name, 0.0) for name in self._features})
        self._level.set(seen.level)
        self._checked_at.set(seen.checked_seconds)

    def scores(self, found: Mapping[str, float]) -> None:
        """Newest drift scores; higher is more drift."""
        for name in found.keys() & set(self._features):
            for gauge in self._scores:
                gauge.labels(name).set(found[name])

    def detected(self, columns: Iterable[str]) -> None:
        """A check found drift in these columns."""
        for name in columns:
            if name in self._features:
                for counter in self._drifts:
                    counter.labels(name).inc()
