"""How evenly one model serves its clients: figures per client, the worst one, and the spread.

All from the clients' score sums on test rows. A client with few rows has figures that jump about,
so each comes with the interval that its rows leave open, and the spread with the part of it that
chance does not explain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fedchurn.evaluation.metrics import roc_auc, threshold_bin
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums

Z_95 = 1.959964  # two-sided 95 % of a normal

_MIDDLES = (np.arange(NUM_BINS) + 0.5) / NUM_BINS


@dataclass(frozen=True)
class Figure:
    """One metric of one client, with a 95 % interval from its rows.

    Attributes:
        value: the metric.
        low, high: the interval.
        error: standard error; half the interval's width over 1.96 where the interval is lopsided.
    """

    value: float
    low: float
    high: float
    error: float


@dataclass(frozen=True)
class Spread:
    """One metric over all clients.

    Attributes:
        clients: figure per client; a client for which it is not defined is left out.
        worst: the client that is served worst.
        range: largest minus smallest value.
        deviation: standard deviation over clients, all alike.
        beyond_chance: the standard deviation between clients that is left when the part that their
            few rows explain is taken away (DerSimonian and Laird 1986); 0 when all could be equal.
    """

    clients: Mapping[str, Figure]
    worst: str
    range: float
    deviation: float
    beyond_chance: float


@dataclass(frozen=True)
class Fairness:
    """See the module docstring.

    Attributes:
        threshold: at which recall was counted.
        num_rows: test rows per client.
        spreads: by metric: ``roc_auc``, ``log_loss``, ``calibration_gap`` (churn rate minus mean
            probability), ``recall``; a metric that fewer than two clients have is left out.
    """

    threshold: float
    num_rows: Mapping[str, int]
    spreads: Mapping[str, Spread]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    def summary(self) -> dict[str, dict[str, str | float]]:
        """Worst client and spread by metric, JSON-ready: for cards."""
        told: dict[str, dict[str, str | float]] = {}
        for name, spread in self.spreads.items():
            worst = spread.clients[spread.worst]
            told[name] = {
                "worst": spread.worst,
                "value": worst.value,
                "low": worst.low,
                "high": worst.high,
                "range": spread.range,
                "deviation": spread.deviation,
                "beyond_chance": spread.beyond_chance,
            }
        return told

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Fairness:
        """The record behind ``to_dict``."""
        spreads = {
            name: Spread(**{**one, "clients": {c: Figure(**f) for c, f in one["clients"].items()}})
            for name, one in stored["spreads"].items()
        }
        return cls(stored["threshold"], stored["num_rows"], spreads)


def fairness(
    test: Mapping[str, ScoreSums],
    threshold: float,
    rows_per_customer: Mapping[str, float] | None = None,
) -> Fairness:
    """The figures of every client and their spread.

    Args:
        test: score sums on test rows, per client.
        threshold: of the model, a multiple of 1/4096.
        rows_per_customer: per client, how many rows of the test set say the same: copies of a
            customer tell no more than one row, so errors grow by the root of it; 1 by default.
    """
    copies = rows_per_customer or {}
    spreads: dict[str, Spread] = {}
    for name, measure in _MEASURES.items():
        found = {
            client: one
            for client, sums in sorted(test.items())
            if (one := measure(sums, threshold, max(copies.get(client, 1.0), 1.0))) is not None
        }
        if len(found) >= 2:
            spreads[name] = _spread(found, _BADNESS[name])
    return Fairness(threshold, {c: s.num_rows for c, s in sorted(test.items())}, spreads)


def _spread(clients: Mapping[str, Figure], badness: Callable[[float], float]) -> Spread:
    values = [figure.value for figure in clients.values()]
    return Spread(
        clients=dict(clients),
        worst=max(clients, key=lambda client: badness(clients[client].value)),
        range=max(values) - min(values),
        deviation=float(np.std(values, ddof=1)),
        beyond_chance=between(values, [figure.error for figure in clients.values()]),
    )


def between(values: Sequence[float], errors: Sequence[float]) -> float:
    """Standard deviation of the true values behind noisy ones (DerSimonian and Laird 1986).

    Args:
        values: one per client.
        errors: their standard errors; values whose error is 0 are left out.

    >>> between([0.8, 0.9], [0.1, 0.1])
    0.0
    """
    known = np.array([(v, e) for v, e in zip(values, errors, strict=True) if e > 0]).reshape(-1, 2)
    if len(known) < 2:
        return 0.0
    value, weight = known[:, 0], 1 / known[:, 1] ** 2
    mean = float(weight @ value / weight.sum())
    excess = float(weight @ (value - mean) ** 2) - (len(value) - 1)
    scale = float(weight.sum() - (weight @ weight) / weight.sum())
    return math.sqrt(max(excess, 0.0) / scale)


def _symmetric(value: float, error: float, lowest: float, highest: float) -> Figure:
    low, high = value - Z_95 * error, value + Z_95 * error
    return Figure(value, max(low, lowest), min(high, highest), error)


def _auc(sums: ScoreSums, threshold: float, copies: float) -> Figure | None:  # noqa: ARG001
    """AUC with DeLong's variance (1988), which a histogram gives exactly, bins being ties."""
    if min(sums.num_positive, sums.num_negative) < 2:
        return None
    positive, negative = sums.positive_counts, sums.negative_counts
    win = (np.cumsum(negative) - negative / 2) / sums.num_negative
    lose = 1 - (np.cumsum(positive) - positive / 2) / sums.num_positive
    variance = sum(
        float(counts @ (scores - counts @ scores / total) ** 2) / (total - 1) / total
        for counts, scores, total in (
            (positive, win, sums.num_positive),
            (negative, lose, sums.num_negative),
        )
    )
    return _symmetric(roc_auc(sums), math.sqrt(variance * copies), 0.0, 1.0)


def _log_loss(sums: ScoreSums, threshold: float, copies: float) -> Figure | None:  # noqa: ARG001
    """Mean log loss; its spread over rows is read off the histogram."""
    if sums.num_rows < 2:
        return None
    mean = sums.log_loss_sum / sums.num_rows
    squares = float(
        sums.positive_counts @ np.log(_MIDDLES) ** 2
        + sums.negative_counts @ np.log1p(-_MIDDLES) ** 2
    )
    variance = max(squares / sums.num_rows - mean**2, 0.0)
    return _symmetric(mean, math.sqrt(variance * copies / sums.num_rows), 0.0, math.inf)


def _gap(sums: ScoreSums, threshold: float, copies: float) -> Figure | None:  # noqa: ARG001
    """Churn rate minus mean probability, within 1/8192; its error if probabilities were right."""
    if not sums.num_rows:
        return None
    counts = sums.positive_counts + sums.negative_counts
    gap = (sums.num_positive - float(counts @ _MIDDLES)) / sums.num_rows
    variance = float(counts @ (_MIDDLES * (1 - _MIDDLES))) / sums.num_rows**2
    return _symmetric(gap, math.sqrt(variance * copies), -1.0, 1.0)


def _recall(sums: ScoreSums, threshold: float, copies: float) -> Figure | None:
    """Recall with Wilson's interval (1927)."""
    if not sums.num_positive:
        return None
    share = float(sums.positive_counts[threshold_bin(threshold) :].sum()) / sums.num_positive
    rows = sums.num_positive / copies
    middle = (share + Z_95**2 / (2 * rows)) / (1 + Z_95**2 / rows)
    half = Z_95 * math.sqrt(share * (1 - share) / rows + Z_95**2 / (4 * rows**2))
    half = half / (1 + Z_95**2 / rows)
    return Figure(share, max(middle - half, 0.0), min(middle + half, 1.0), half / Z_95)


_MEASURES: dict[str, Callable[[ScoreSums, float, float], Figure | None]] = {
    "roc_auc": _auc,
    "log_loss": _log_loss,
    "calibration_gap": _gap,
    "recall": _recall,
}
_BADNESS: dict[str, Callable[[float], float]] = {
    "roc_auc": lambda value: -value,
    "log_loss": float,
    "calibration_gap": abs,
    "recall": lambda value: -value,
}
