"""Metrics of what the service is and does besides answering rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from prometheus_client import Counter

from fedchurn.release.card import Card
from fedchurn.serving.metrics.prometheus_buckets import PROBABILITIES
from fedchurn.serving.metrics.prometheus_bulk import observe_many
from fedchurn.serving.metrics.prometheus_families import Families, show_all, show_unset
from fedchurn.serving.metrics.prometheus_features import OTHER
from fedchurn.serving.metrics.prometheus_reference_names import ReferenceNames
from fedchurn.serving.records import CHALLENGER, CHAMPION
from fedchurn.serving.reload.result import FAILED, RELOADED, UNCHANGED
from fedchurn.serving.served_release import ServedRelease

RELOAD_OUTCOMES = (RELOADED, FAILED, UNCHANGED)
RECORDER = "recorder"
LOG = "log"
DROP_STAGES = (RECORDER, LOG, "shadow")
_LABELS = ("0", "1")
_UNKNOWN = "unknown"


class StateSeries:
    """Release, reloads, golden rows, drops, feedback and shadow; safe from any thread."""

    def __init__(self, families: Families, names: ReferenceNames) -> None:
        self._names = names
        self._releases: dict[str, tuple[str, ...]] = {}
        self._drop_sources: dict[str, Callable[[], int]] = {}
        self._drops_told: dict[str, int] = {}
        self._make_release(families)
        self._make_rest(families)

    def release(self, served: ServedRelease) -> None:
        """``served``, whose golden rows are right, works from now on instead of its role's last."""
        card = served.release.card
        facts = (served.release_id, served.version or _UNKNOWN, served.contract.contract)
        now = (*facts, served.contract.version, card.recipe, served.role)
        if self._releases.get(served.role) != now:
            self._retire(served.role)
            self._release_info.labels(*now).set(1)
            self._releases[served.role] = now
            if served.role == CHAMPION:
                self._golden_ok.set(1)
        if served.role == CHAMPION:
            self._names.release(served.version, card.recipe, _f1_score(card))
            self.loaded(True)

    def without_challenger(self) -> None:
        """No second release is at work any more."""
        self._retire(CHALLENGER)

    def loaded(self, is_loaded: bool) -> None:
        """Whether this worker has a release that can answer."""
        self._names.loaded(is_loaded)

    def reload(self, outcome: str) -> None:
        """One attempt to load a release ended with one of ``RELOAD_OUTCOMES``."""
        self._reloads.labels(outcome if outcome in RELOAD_OUTCOMES else OTHER).inc()
        self._reload_failing.set(outcome == FAILED)
        if outcome == RELOADED:  # which nothing is without right golden rows
            self._golden_ok.set(1)
            self._swapped_at.set(time.time())

    def golden(self, is_right: bool) -> None:
        """Golden rows were recomputed."""
        self._golden_ok.set(is_right)
        self._golden_checks.labels("ok" if is_right else "failed").inc()

    def feedback(self, predicted: int | None, actual: int) -> None:
        """Ground truth came back (1 is churn); ``predicted`` is None where nobody knows it."""
        self._feedback.labels(_UNKNOWN if predicted is None else predicted, actual).inc()

    def shadow(self, differences: Sequence[float], num_disagreed: int) -> None:
        """The challenger scored rows silently.

        Args:
            differences: absolute differences of the two churn probabilities (0-1), one per row.
            num_disagreed: rows for which the predictions differ.
        """
        self._shadow_rows.inc(len(differences))
        self._shadow_disagreements.inc(num_disagreed)
        observe_many([self._shadow_difference], np.asarray(differences, dtype=np.float64))

    def shadow_failed(self, num_rows: int) -> None:
        """The challenger could not score rows."""
        self._shadow_failed.inc(num_rows)

    def watch_drops(self, stage: str, num_dropped: Callable[[], int]) -> None:
        """Read how many records a stage of ``DROP_STAGES`` has dropped since it started."""
        self._drop_sources[stage] = num_dropped

    def read_drops(self) -> None:
        """Bring the counts of ``watch_drops`` up to date."""
        for stage, num_dropped in self._drop_sources.items():
            self._count_drops(stage, num_dropped())

    def _count_drops(self, stage: str, total: int) -> None:
        more = total - self._drops_told.get(stage, 0)
        self._drops_told[stage] = total
        if more > 0:
            self._drops.labels(stage).inc(more)

    def _retire(self, role: str) -> None:
        before = self._releases.pop(role, None)
        if before is not None:
            self._release_info.labels(*before).set(0)

    def _make_release(self, families: Families) -> None:
        self._release_info = families.gauge(
            "fedchurn_release_info",
            "1 for each release at work, 0 for those that were",
            "release",
            "version",
            "contract",
            "contract_version",
            "recipe",
            "role",
            together="livemax",
        )
        self._reloads = families.counter(
            "fedchurn_reloads_total", "Attempts to load a release, per worker", "outcome"
        )
        show_all(self._reloads, [[outcome] for outcome in RELOAD_OUTCOMES])
        self._reload_failing = families.gauge(
            "fedchurn_reload_failing",
            "1 when the last attempt of any worker to load a release failed",
            together="livemax",
        )
        self._swapped_at = families.gauge(
            "fedchurn_last_swap_timestamp_seconds",
            "Unix time of the last swap of releases; 0 before the first",
            together="mostrecent",
        )
        show_unset(self._swapped_at)
        self._golden_ok = families.gauge(
            "fedchurn_golden_rows_ok",
            "1 when the golden rows of the release came out right in every worker",
            together="livemin",
        )
        self._golden_checks = families.counter(
            "fedchurn_golden_checks_total", "Times the golden rows were recomputed", "result"
        )
        show_all(self._golden_checks, [["ok"], ["failed"]])

    def _make_rest(self, families: Families) -> None:
        self._feedback = families.counter(
            "fedchurn_feedback_total",
            "Ground truth that came back, by prediction and what happened (1 is churn)",
            "predicted",
            "actual",
        )
        show_all(self._feedback, product((*_LABELS, _UNKNOWN), _LABELS))
        self._shadow_rows: Counter = families.counter(
            "fedchurn_shadow_rows_total", "Rows that the challenger scored silently"
        )
        self._shadow_disagreements: Counter = families.counter(
            "fedchurn_shadow_disagreements_total", "Those whose prediction differs"
        )
        self._shadow_failed: Counter = families.counter(
            "fedchurn_shadow_failed_rows_total", "Rows that the challenger could not score"
        )
        self._shadow_difference = families.histogram(
            "fedchurn_shadow_difference",
            "Absolute difference of champion's and challenger's churn probability",
            (0.001, 0.01, 0.05, *PROBABILITIES),
        )
        self._drops = families.counter(
            "fedchurn_dropped_records_total",
            "Records of predictions that were lost, by who had no room for them",
            "stage",
        )
        show_all(self._drops, [[stage] for stage in DROP_STAGES])


def _f1_score(card: Card) -> str:
    value = card.metrics.get("f1")
    return _UNKNOWN if value is None else f"{value:.4f}"
