"""Has a release become worse than it was on its own held-out rows? Labels say so, with a bound.

A live figure (accuracy, AUC, Brier score) has *decayed* when the lower confidence bound of its drop
is above the smallest drop worth a word. Bounds of single figures:

- accuracy: Wilson's score interval (Wilson 1927);
- AUC: normal on the logit scale, with the variance of DeLong et al. 1988 or that of Hanley and
  McNeil 1982, whichever is larger (held-out rows: the latter, which needs no rows);
- Brier score: normal on the logit scale, with the variance of a row's squared error.

Two bounds become one of the difference by MOVER (Newcombe 1998, method 10; Zou and Donner 2008).
The level is shared out by Bonferroni: half to the figures of all clients together, half to those of
single clients. Rows must be of different customers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any, NamedTuple

from fedchurn.drift.performance.held_out import HeldOut
from fedchurn.drift.performance.label_sums import LabelSums

_MAX_TOLD = 3
METRICS = ("accuracy", "roc_auc", "brier")


class Decay(StrEnum):
    """What is said about a figure, or about all."""

    NONE = "none"
    WARNING = "warning"
    DECAY = "decay"
    TOO_FEW_LABELS = "too_few_labels"


_RANK = (Decay.TOO_FEW_LABELS, Decay.NONE, Decay.WARNING, Decay.DECAY)


@dataclass(frozen=True)
class DecayRule:
    """When a drop is called decay.

    Attributes:
        level: share of checks without any decay in which some figure may be said to have decayed
            (0-1); over all figures and clients of the check.
        warning_level: the same for warnings.
        min_drop: smallest drop worth a word, in the unit of the figures (0-1).
        min_labels: fewer customers with a mature label get no verdict.
        min_class_labels: fewer of either class get no verdict on AUC, and fewer customers who
            stayed none at all: where only churners are told of, accuracy is that of churners.
    """

    level: float = 0.001
    warning_level: float = 0.01
    min_drop: float = 0.02
    min_labels: int = 100
    min_class_labels: int = 10


@dataclass(frozen=True)
class MetricDecay:
    """One figure.

    Attributes:
        metric: one of ``METRICS``.
        verdict: what is said.
        live, held_out: its values; None where unknown.
        drop: how much worse it is live (negative: better); of the Brier score, how much higher.
        drop_at_least: lower confidence bound of the drop at the level of this figure.
        num_labels: customers behind ``live``.
        reason: why there is no verdict, or empty.
    """

    metric: str
    verdict: Decay
    live: float | None
    held_out: float | None
    drop: float | None
    drop_at_least: float | None
    num_labels: int
    reason: str = ""


@dataclass(frozen=True)
class DecayVerdict:
    """The result of one check.

    Attributes:
        verdict: the worst of all figures; ``too_few_labels`` when there is a verdict on none.
        rule: when a drop is called decay.
        num_labels: customers with a mature label.
        metrics: figures of all clients together, in the order of ``METRICS``.
        clients: the same by client.
    """

    verdict: Decay
    rule: DecayRule
    num_labels: int
    metrics: tuple[MetricDecay, ...]
    clients: Mapping[str, tuple[MetricDecay, ...]]

    @property
    def decayed_clients(self) -> tuple[str, ...]:
        """Clients with a figure that decayed, by name."""
        return tuple(
            client
            for client, found in sorted(self.clients.items())
            if any(one.verdict is Decay.DECAY for one in found)
        )

    def summary(self) -> str:
        """One sentence for people."""
        told = {"all clients": self.metrics, **self.clients}
        found = [
            _fallen(one, who)
            for who, figures in told.items()
            for one in figures
            if one.verdict is self.verdict
        ]
        if self.verdict in (Decay.DECAY, Decay.WARNING):
            return "; ".join(found[:_MAX_TOLD])
        if self.verdict is Decay.TOO_FEW_LABELS:
            return f"{self.num_labels} mature labels say nothing yet"
        return f"no figure fell, by {self.num_labels} mature labels"

    def to_dict(self) -> dict[str, Any]:
        """The whole record, JSON-ready."""
        return {
            **asdict(self),
            "decayed_clients": list(self.decayed_clients),
            "summary": self.summary(),
        }


def _fallen(one: MetricDecay, who: str) -> str:
    verb = "rose" if one.metric == "brier" else "fell"
    return f"{one.metric} of {who} {verb} from {_text(one.held_out)} to {_text(one.live)}"


def _text(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


class Estimate(NamedTuple):
    """A figure with its confidence bounds (0-1)."""

    value: float
    low: float
    high: float


def check_decay(
    live: LabelSums,
    reference: HeldOut | None,
    rule: DecayRule | None = None,
    *,
    live_by_client: Mapping[str, LabelSums] | None = None,
    reference_by_client: Mapping[str, HeldOut] | None = None,
) -> DecayVerdict:
    """Compare live figures with the release's own held-out ones.

    Args:
        live: sums over customers with a mature label, each once, as this release answered them.
        reference: held-out figures, or None when the card does not tell them.
        rule: when a drop is called decay.
        live_by_client, reference_by_client: the same by client; clients that are not in both are
            told without verdict.
    """
    rule = rule or DecayRule()
    by_client, known = dict(live_by_client or {}), dict(reference_by_client or {})
    enough = [c for c, sums in by_client.items() if c in known and sums.num_rows >= rule.min_labels]
    share = (0.5 if enough else 1.0) / len(METRICS)
    metrics = _figures(live, reference, rule, share)
    client_share = 0.5 / len(METRICS) / max(len(enough), 1)
    clients = {
        client: _figures(by_client[client], known.get(client), rule, client_share)
        for client in sorted(by_client)
    }
    told = [one.verdict for found in (metrics, *clients.values()) for one in found]
    return DecayVerdict(
        verdict=max(told, key=_RANK.index),
        rule=rule,
        num_labels=live.num_rows,
        metrics=metrics,
        clients=clients,
    )


def _figures(
    live: LabelSums, reference: HeldOut | None, rule: DecayRule, share: float
) -> tuple[MetricDecay, ...]:
    return tuple(_figure(metric, live, reference, rule, share) for metric in METRICS)


def _figure(
    metric: str, live: LabelSums, reference: HeldOut | None, rule: DecayRule, share: float
) -> MetricDecay:
    now = getattr(live, metric)
    then = getattr(reference, metric) if reference else None
    reason = _why_not(metric, live, then, rule)
    if reference is None or reason:
        return MetricDecay(
            metric, Decay.TOO_FEW_LABELS, now, then, None, None, live.num_rows, reason
        )
    bounds = [
        _drop_at_least(metric, live, reference, NormalDist().inv_cdf(1 - level * share))
        for level in (rule.level, rule.warning_level)
    ]
    verdict = Decay.NONE
    if bounds[0] > rule.min_drop:
        verdict = Decay.DECAY
    elif bounds[1] > rule.min_drop:
        verdict = Decay.WARNING
    drop = now - then if metric == "brier" else then - now
    return MetricDecay(metric, verdict, now, then, drop, bounds[0], live.num_rows)


def _why_not(metric: str, live: LabelSums, then: float | None, rule: DecayRule) -> str:
    if then is None:
        return "the release's card does not tell the held-out figure"
    if live.num_rows < max(rule.min_labels, 1):
        return f"{live.num_rows} customers with a mature label; {rule.min_labels} are needed"
    if live.num_negative < rule.min_class_labels:
        return f"{live.num_negative} labels of those who stayed; {rule.min_class_labels} are needed"
    fewest = min(live.num_positive, live.num_negative)
    if metric == "roc_auc" and fewest < max(rule.min_class_labels, 2):
        return f"{fewest} labels of the rarer class; {rule.min_class_labels} are needed"
    return ""


def _drop_at_least(metric: str, live: LabelSums, reference: HeldOut, z: float) -> float:
    now, then = _live(metric, live, z), _held_out(metric, reference, z)
    if metric == "brier":
        return now.value - then.value - math.hypot(now.value - now.low, then.high - then.value)
    return then.value - now.value - math.hypot(then.value - then.low, now.high - now.value)


def _live(metric: str, live: LabelSums, z: float) -> Estimate:
    if metric == "accuracy":
        return wilson(live.accuracy or 0.0, live.num_rows, z)
    if metric == "brier":
        variance = (live.squared_error_variance or 0.0) / live.num_rows
        return _on_logit_scale(live.brier or 0.0, variance, live.num_rows, z)
    area = live.roc_auc or 0.0
    counts = (float(live.num_positive), float(live.num_negative))
    variance = max(live.roc_auc_variance or 0.0, hanley_mcneil(area, *counts))
    return _on_logit_scale(area, variance, min(counts), z)


def _held_out(metric: str, reference: HeldOut, z: float) -> Estimate:
    value = float(getattr(reference, metric))
    num_rows = reference.num_rows * reference.effective_fraction
    if metric == "accuracy":
        return wilson(value, num_rows, z)
    if metric == "brier":
        spread = reference.squared_error_variance
        variance = (value * (1 - value) if spread is None else spread) / num_rows
        return _on_logit_scale(value, variance, num_rows, z)
    positive = reference.num_positive * reference.effective_fraction
    counts = (max(positive, 1.0), max(num_rows - positive, 1.0))
    return _on_logit_scale(value, hanley_mcneil(value, *counts), min(counts), z)


def wilson(share: float, num_rows: float, z: float) -> Estimate:
    """A share of n rows with Wilson's bounds (Wilson 1927).

    >>> tuple(round(x, 4) for x in wilson(0.5, 100, 1.959964))
    (0.5, 0.4038, 0.5962)
    """
    middle = (share + z * z / (2 * num_rows)) / (1 + z * z / num_rows)
    spread = share * (1 - share) / num_rows + z * z / (4 * num_rows**2)
    half = z * math.sqrt(spread) / (1 + z * z / num_rows)
    return Estimate(share, min(share, max(middle - half, 0.0)), max(share, min(middle + half, 1.0)))


def hanley_mcneil(area: float, num_positive: float, num_negative: float) -> float:
    """Variance of an area under the ROC curve from the area alone (Hanley and McNeil 1982).

    An area of 0 or 1 is taken half a pair inside, or it would have no variance.
    """
    pairs = num_positive * num_negative
    a = (area * pairs + 0.5) / (pairs + 1)
    both_positive, both_negative = a / (2 - a), 2 * a * a / (1 + a)
    return (
        a * (1 - a)
        + (num_positive - 1) * (both_positive - a * a)
        + (num_negative - 1) * (both_negative - a * a)
    ) / pairs


def _on_logit_scale(value: float, variance: float, num: float, z: float) -> Estimate:
    """Normal bounds of the logit, so that they stay inside 0-1."""
    inner = (value * num + 0.5) / (num + 1)
    centre = math.log(inner / (1 - inner))
    half = z * math.sqrt(variance) / (inner * (1 - inner))
    low, high = (1 / (1 + math.exp(-x)) for x in (centre - min(half, 700), centre + min(half, 700)))
    return Estimate(value, min(low, value), max(high, value))
