"""How good the answers were, by mature labels: one record, made by whoever watches, read by all.

It reads the log and the feedback of the last months, which takes seconds; so it is made by the
drift runner or the command line and left beside the log as ``performance.json``, from which the
service shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedchurn.drift.performance.decay import DecayRule, DecayVerdict, check_decay
from fedchurn.drift.performance.estimated_performance import (
    EstimatedPerformance,
    EstimateRule,
    estimate_performance,
)
from fedchurn.drift.performance.held_out import effective_fraction, held_out
from fedchurn.drift.performance.label_sums import LabelSums, add_label_sums, label_sums
from fedchurn.errors import IntegrityError
from fedchurn.release.load import Release
from fedchurn.serving.feedback.customers import Customers, Scored, one_per_customer
from fedchurn.serving.feedback.labelled_rows import mature
from fedchurn.serving.feedback.performance import DAY_SECONDS
from fedchurn.serving.feedback.reader import read_feedback
from fedchurn.serving.feedback.revenue import RevenueSums, add_revenue, at_risk, outcome
from fedchurn.serving.feedback.settling import Settled, SettledLabel, settle
from fedchurn.serving.log.log_reader import ReadCounts, read_predictions
from fedchurn.serving.records import CHALLENGER, CHAMPION
from fedchurn.serving.time_text import time_text

FORMAT = 1
MAX_CLIENTS = 200
_OWN_MODELS = (CHAMPION, CHALLENGER)


@dataclass(frozen=True)
class PerformanceRule:
    """Which labels count, and when figures are told.

    Attributes:
        maturity_days: a label counts when its prediction is at least this old.
        window_days: mature predictions of so many days count.
        min_figure_labels: fewer customers with a mature label get no figures.
    """

    maturity_days: float = 30.0
    window_days: float = 90.0
    min_figure_labels: int = 30


@dataclass(frozen=True)
class PerformanceRecord:
    """See the module docstring.

    Attributes:
        now_seconds: Unix time of the look.
        release_id: the release that decay and estimate are about.
        contract: its contract's name.
        rule: which labels count.
        has_values: whether the contract says what a customer is worth.
        settled: feedback about the predictions of the window and after it.
        num_mature, num_immature: labels of predictions in the window, and after it.
        num_unknown: customers with a mature prediction and without a label.
        num_torn: damaged log lines that were skipped.
        labels: sums over customers with a mature label, by client (None: no client is known),
            whichever release answered.
        revenue: the same of money, open customers included.
        decay: the release against its own held-out figures.
        estimated: what its figures should be for customers whose outcome is open; None without
            held-out scores.
    """

    now_seconds: float
    release_id: str
    contract: str
    rule: PerformanceRule
    has_values: bool
    settled: Settled
    num_mature: int
    num_immature: int
    num_unknown: int
    num_torn: int
    labels: Mapping[str | None, LabelSums]
    revenue: Mapping[str | None, RevenueSums]
    decay: DecayVerdict
    estimated: EstimatedPerformance | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what ``performance.json`` holds."""
        end = self.now_seconds - self.rule.maturity_days * DAY_SECONDS
        pooled = add_label_sums(self.labels.values())
        known = pooled.num_rows + self.num_unknown
        return {
            "format": FORMAT,
            "timestamp": time_text(self.now_seconds),
            "release": self.release_id,
            "contract": self.contract,
            **asdict(self.rule),
            "window_start": time_text(end - self.rule.window_days * DAY_SECONDS),
            "window_end": time_text(end),
            "feedback": {
                **self.settled.counts(),
                "contradicted": list(self.settled.contradicted),
                "mature": self.num_mature,
                "immature": self.num_immature,
                "torn": self.num_torn,
            },
            "num_unknown": self.num_unknown,
            "label_coverage": pooled.num_rows / known if known else None,
            "figures": self._figures(pooled),
            "reliability": pooled.reliability() if self._is_told(pooled) else [],
            "revenue": add_revenue(self.revenue.values()).figures(has_values=self.has_values),
            "clients": self._clients(),
            "decay": self.decay.to_dict(),
            "estimated": self.estimated.to_dict() if self.estimated else None,
        }

    def _clients(self) -> dict[str, Any]:
        """Figures of the largest clients, at most ``MAX_CLIENTS``."""
        names = {name for name in (*self.labels, *self.revenue) if name is not None}
        size = {n: self._labels(n).num_rows + self._revenue(n).num_at_risk for n in names}
        largest = sorted(names, key=lambda name: (-size[name], name))[:MAX_CLIENTS]
        return {
            name: {
                "figures": self._figures(self._labels(name)),
                "revenue": self._revenue(name).figures(has_values=self.has_values),
            }
            for name in sorted(largest)
        }

    def _labels(self, client: str) -> LabelSums:
        return self.labels.get(client, LabelSums.zero())

    def _revenue(self, client: str) -> RevenueSums:
        return self.revenue.get(client, RevenueSums())

    def _is_told(self, sums: LabelSums) -> bool:
        return sums.num_rows >= self.rule.min_figure_labels

    def _figures(self, sums: LabelSums) -> dict[str, Any]:
        figures = sums.figures()
        if self._is_told(sums):
            return figures
        return {n: v if n.startswith("num_") else None for n, v in figures.items()}


def performance_record(
    predictions_folder: Path,
    feedback_folder: Path,
    release: Release,
    *,
    now_seconds: float,
    rule: PerformanceRule | None = None,
    decay_rule: DecayRule | None = None,
    estimate_rule: EstimateRule | None = None,
) -> PerformanceRecord:
    """Read log and feedback once and judge; blocking, some 0.1 million log lines a second.

    Args:
        predictions_folder: where predictions are logged.
        feedback_folder: where feedback is kept.
        release: whose decay is looked for; its contract tells clients and values.
        now_seconds: Unix time of the look.
        rule, decay_rule, estimate_rule: which labels count, and when a drop deserves a word.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    rule = rule or PerformanceRule()
    mature_before = now_seconds - rule.maturity_days * DAY_SECONDS
    since = mature_before - rule.window_days * DAY_SECONDS
    contract, counts = release.contract, ReadCounts()
    customers = Customers(contract, mature_before)
    logged = read_predictions(
        predictions_folder, since_seconds=since, contract=contract.contract, counts=counts
    )
    entries = list(read_feedback(feedback_folder, since_seconds=since, counts=counts))
    settled = settle(entries, customers.passing(logged), contract)
    grown = mature(settled.found, mature_before, since)
    told = one_per_customer(grown)
    still_open = customers.open_ones(settled.found)
    return PerformanceRecord(
        now_seconds=now_seconds,
        release_id=release.release_id,
        contract=contract.contract,
        rule=rule,
        has_values=contract.value_column is not None,
        settled=settled,
        num_mature=len(grown),
        num_immature=sum(one.then.time_seconds > mature_before for one in settled.found),
        num_unknown=customers.num_unknown(grown),
        num_torn=counts.num_torn,
        labels=client_label_sums(told),
        revenue=_revenue(told, still_open),
        decay=release_decay(release, grown, decay_rule),
        estimated=_estimated(release, still_open, estimate_rule),
    )


def client_label_sums(labels: Sequence[SettledLabel]) -> dict[str | None, LabelSums]:
    """Sums by client: all that a client tells of its labels. They add up to those of all."""
    return {
        client: label_sums(
            [one.label for one in found],
            [one.then.probability for one in found],
            [one.then.prediction for one in found],
        )
        for client, found in _by_client(labels).items()
    }


def release_decay(
    release: Release, labels: Sequence[SettledLabel], rule: DecayRule | None = None
) -> DecayVerdict:
    """A release's own answers against its own held-out figures, pooled and by client.

    Args:
        release: fallback answers in its name are passed over.
        labels: mature ones, oldest prediction first; a customer counts once.
        rule: when a drop is called decay.
    """
    card, reference = release.card, release.reference
    own = [
        one
        for one in labels
        if one.then.release == release.release_id and one.then.model_used in _OWN_MODELS
    ]
    live = client_label_sums(one_per_customer(own))
    known = {
        client: held_out(metrics, reference, client=client)
        for client, metrics in card.client_metrics.items()
    }
    return check_decay(
        add_label_sums(live.values()),
        held_out(card.metrics, reference),
        rule,
        live_by_client={client: sums for client, sums in live.items() if client in known},
        reference_by_client={client: found for client, found in known.items() if found},
    )


def _by_client(labels: Sequence[SettledLabel]) -> dict[str | None, list[SettledLabel]]:
    found: dict[str | None, list[SettledLabel]] = {}
    for one in labels:
        found.setdefault(one.then.client, []).append(one)
    return found


def _revenue(
    told: Sequence[SettledLabel], still_open: Sequence[Scored]
) -> dict[str | None, RevenueSums]:
    parts: dict[str | None, list[RevenueSums]] = {}
    for one in told:
        then = one.then
        called, churned = then.prediction == 1, one.label == 1
        part = outcome(then.value, then.probability, called=called, churned=churned)
        parts.setdefault(then.client, []).append(part)
    for row in still_open:
        parts.setdefault(row.client, []).append(at_risk(row.value, row.probability))
    return {client: add_revenue(found) for client, found in parts.items()}


def _estimated(
    release: Release, still_open: Sequence[Scored], rule: EstimateRule | None
) -> EstimatedPerformance | None:
    own = [
        one
        for one in still_open
        if one.release == release.release_id and one.model_used in _OWN_MODELS
    ]
    try:
        return estimate_performance(
            release.reference.get("scores") or {},
            [one.probability for one in own],
            [one.prediction for one in own],
            threshold=release.card.threshold,
            rule=rule,
            effective_fraction=effective_fraction(release.reference),
        )
    except IntegrityError:
        return None
