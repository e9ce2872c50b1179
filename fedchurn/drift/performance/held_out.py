"""What a release was worth on rows that it had not seen: the figures that live ones fall from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class HeldOut:
    """Figures of one release on its test rows, pooled or of one client; None where unknown.

    Attributes:
        num_rows: test rows.
        num_positive: churners among them.
        effective_fraction: rows of different customers that tell as much, per row (0-1]: copies of
            one customer in the test rows make figures look better known than they are.
        accuracy, f1, roc_auc, brier: as on the release's card.
        squared_error_variance: of a row's squared error.
    """

    num_rows: int
    num_positive: int
    effective_fraction: float = 1.0
    accuracy: float | None = None
    f1: float | None = None
    roc_auc: float | None = None
    brier: float | None = None
    squared_error_variance: float | None = None


def held_out(
    metrics: Metrics, reference: Mapping[str, Any] | None = None, *, client: str | None = None
) -> HeldOut | None:
    """The held-out figures of a release; None when the card does not say on how many rows.

    Args:
        metrics: ``card.metrics``, or the client's in ``card.client_metrics``.
        reference: the release's ``reference.json``.
        client: whose figures these are; all clients together by default.
    """
    num_rows, num_positive = metrics.get("num_rows"), metrics.get("num_positive")
    if not num_rows or num_positive is None:
        return None
    stored = reference or {}
    return HeldOut(
        num_rows=int(num_rows),
        num_positive=int(num_positive),
        effective_fraction=effective_fraction(stored, client=client),
        accuracy=metrics.get("accuracy"),
        f1=metrics.get("f1"),
        roc_auc=metrics.get("roc_auc"),
        brier=metrics.get("brier"),
        squared_error_variance=_squared_error_variance(stored),
    )


def effective_fraction(reference: Mapping[str, Any], *, client: str | None = None) -> float:
    """Independent rows per test row (0-1]; 1 where the reference does not say (format 1)."""
    part = reference.get("pooled") if client is None else reference.get("clients", {}).get(client)
    part = part or {}
    for known in ((part.get("own") or {}).get("churn_probability") or {}, part):
        num_rows, num_effective = known.get("num_rows"), known.get("num_effective_rows")
        if num_rows and num_effective:
            return float(min(num_effective / num_rows, 1.0))
    return 1.0


def _squared_error_variance(reference: Mapping[str, Any]) -> float | None:
    """Of the squared error of all clients' test rows, by cell centres; clients borrow it."""
    scores = reference.get("scores")
    if not scores:
        return None
    edges = np.asarray(scores["edges"], dtype=np.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    rows = np.concatenate([scores["negative_rows"], scores["positive_rows"]])
    errors = np.concatenate([centres**2, (1 - centres) ** 2])
    if not rows.sum():
        return None
    mean = float((rows * errors).sum() / rows.sum())
    return max(float((rows * errors**2).sum() / rows.sum()) - mean**2, 0.0)
