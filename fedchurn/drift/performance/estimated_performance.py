"""What a window's figures should be, before any label has come: confidence-based estimation.

If a row's churn probability is right, it says how likely the decision about that row is right; the
mean over a window is its expected accuracy (CBPE, the idea behind NannyML). Probabilities are made
right first: per cell of the release's held-out score histogram the share of churners, made
monotone by pooling adjacent violators (isotonic regression, Ayer et al. 1955).

Assumption: the relation between score and churn is what it was on held-out rows. So it sees that
rows have moved to where the model is less sure, and cannot see that churn itself has changed
(concept drift): only labels can (``decay``). It warns and never says decay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedchurn.drift.performance.label_sums import histogram_auc
from fedchurn.errors import DataError, IntegrityError

Cells = NDArray[np.float64]

METRICS = ("accuracy", "f1", "roc_auc")
NONE, WARNING, TOO_FEW_ROWS = "none", "warning", "too_few_rows"


@dataclass(frozen=True)
class EstimateRule:
    """When an estimated drop deserves a word.

    Attributes:
        level: share of windows without change in which some figure may be warned of (0-1).
        min_drop: smallest drop worth a word (0-1).
        min_rows: a smaller window gets no estimate.
        num_draws: resampled pairs of held-out rows and window behind the bounds.
        seed: of the resampling; the same window gets the same bounds.
    """

    level: float = 0.01
    min_drop: float = 0.02
    min_rows: int = 100
    num_draws: int = 200
    seed: int = 0


@dataclass(frozen=True)
class EstimatedMetric:
    """One figure.

    Attributes:
        metric: one of ``METRICS``.
        verdict: none, warning or too_few_rows.
        estimated: what it should be in the window.
        held_out: what the same estimator says of the held-out rows.
        drop: ``held_out`` minus ``estimated``.
        drop_at_least, drop_at_most: bounds of the drop at the level of this figure.
    """

    metric: str
    verdict: str
    estimated: float | None
    held_out: float | None
    drop: float | None
    drop_at_least: float | None
    drop_at_most: float | None


@dataclass(frozen=True)
class EstimatedPerformance:
    """The result of one estimate.

    Attributes:
        verdict: the worst of the figures: none, warning or too_few_rows.
        num_rows: rows of the window.
        num_held_out_rows: rows that the calibration was learned from.
        expected_churn_rate: mean calibrated probability of the window, or None.
        held_out_churn_rate: share of churners among the held-out rows.
        metrics: in the order of ``METRICS``; empty with too few rows.
        rule: when a drop deserves a word.
    """

    verdict: str
    num_rows: int
    num_held_out_rows: int
    expected_churn_rate: float | None
    held_out_churn_rate: float | None
    metrics: tuple[EstimatedMetric, ...]
    rule: EstimateRule

    def to_dict(self) -> dict[str, Any]:
        """The whole record, JSON-ready."""
        return asdict(self)


def isotonic(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """The non-decreasing sequence nearest to ``values`` in weighted least squares.

    Pools adjacent violators (Ayer et al. 1955). Values without weight take those of the block
    before them, or of the first block with weight; all of no weight stay as they are.

    Args:
        values: (n,), in order.
        weights: (n,), 0 or more.

    >>> isotonic([1.0, 3.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0]).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    given, mass = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    used = np.flatnonzero(mass > 0)
    if not len(used):
        return given.copy()
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many values
    for place in used:
        mean, weight, num = float(given[place]), float(mass[place]), 1
        while blocks and blocks[-1][0] >= mean:
            before, heavy, many = blocks.pop()
            mean = (mean * weight + before * heavy) / (weight + heavy)
            weight, num = weight + heavy, num + many
        blocks.append((mean, weight, num))
    level = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
    nearest = np.maximum(np.searchsorted(used, np.arange(len(given)), side="right") - 1, 0)
    return np.asarray(level[nearest], dtype=np.float64)


def estimate_performance(
    scores: Mapping[str, Any],
    probabilities: ArrayLike,
    decisions: ArrayLike,
    *,
    threshold: float,
    rule: EstimateRule | None = None,
    effective_fraction: float = 1.0,
) -> EstimatedPerformance:
    """Expected accuracy, F1 and AUC of n unlabelled predictions of one release.

    Args:
        scores: ``reference["scores"]``: ``edges`` (c + 1,), ``negative_rows`` and ``positive_rows``
            (c,) of the release's test rows.
        probabilities: (n,), churn probabilities that the release gave (0-1); rows of different
            customers.
        decisions: (n,), 1 where a churner was called.
        threshold: of the release, for the decisions about its test rows.
        rule: when a drop deserves a word.
        effective_fraction: independent rows per test row (``held_out.effective_fraction``).

    Raises:
        IntegrityError: ``scores`` is no score histogram.
        DataError: the lengths differ, or a probability is not a number from 0 to 1.
    """
    rule = rule or EstimateRule()
    edges, negatives, positives = _read(scores)
    window = _window(edges, probabilities, decisions)
    num_rows, num_held_out = int(window.sum()), round(float((negatives + positives).sum()))
    rate = float(positives.sum() / num_held_out) if num_held_out else None
    if num_rows < max(rule.min_rows, 1) or not num_held_out:
        return EstimatedPerformance(TOO_FEW_ROWS, num_rows, num_held_out, None, rate, (), rule)
    called_share = _called_share(edges, threshold)
    calibrated = _calibrated(negatives, positives)
    held_out = (negatives + positives) * np.stack([1 - called_share, called_share])
    now, then = _figures(window, calibrated), _figures(held_out, calibrated)
    drops = _resampled_drops(negatives, positives, called_share, window, rule, effective_fraction)
    z = NormalDist().inv_cdf(1 - rule.level / len(METRICS))
    metrics = tuple(
        _metric(name, now[place], then[place], z * _spread(drops[:, place]), rule)
        for place, name in enumerate(METRICS)
    )
    warned = any(one.verdict == WARNING for one in metrics)
    expected = float((window.sum(axis=0) * calibrated).sum() / num_rows)
    verdict = WARNING if warned else NONE
    return EstimatedPerformance(verdict, num_rows, num_held_out, expected, rate, metrics, rule)


def _read(scores: Mapping[str, Any]) -> tuple[Cells, Cells, Cells]:
    try:
        found = [np.asarray(scores[n], dtype=np.float64) for n in ("edges", *_ROWS)]
        edges, negatives, positives = found
        if len(edges) - 1 != len(negatives) or negatives.shape != positives.shape:
            raise ValueError(f"{len(edges)} edges, {len(negatives)} and {len(positives)} cells")
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"no held-out scores in it: {type(error).__name__} {error}",
            where="reference.json",
            next_step="train again with this version of Fedchurn; predictions do not need it",
        ) from error
    return edges, negatives, positives


_ROWS = ("negative_rows", "positive_rows")


def _window(edges: Cells, probabilities: ArrayLike, decisions: ArrayLike) -> Cells:
    """Rows (2, c) that were not called and called, by cell."""
    given = np.asarray(probabilities, dtype=np.float64)
    called = np.asarray(decisions, dtype=np.float64) == 1
    if given.shape != called.shape or given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise DataError(
            f"{given.shape} probabilities and {called.shape} decisions do not belong together, "
            "or a probability is not a number from 0 to 1"
        )
    num_cells = len(edges) - 1
    cells = np.searchsorted(edges[1:-1], given, side="right")
    rows = [np.bincount(cells[which], minlength=num_cells) for which in (~called, called)]
    return np.stack(rows).astype(np.float64)


def _called_share(edges: Cells, threshold: float) -> Cells:
    """Share of each cell at or above the threshold, rows spread evenly within a cell."""
    return np.clip((edges[1:] - threshold) / np.diff(edges), 0.0, 1.0)


def _calibrated(negatives: Cells, positives: Cells) -> Cells:
    rows = negatives + positives
    shares = np.divide(positives, rows, out=np.zeros_like(rows), where=rows > 0)
    return isotonic(shares, rows)


def _figures(rows: Cells, calibrated: Cells) -> tuple[float, float, float]:
    """Accuracy, F1 and AUC that rows (2, c) are expected to have; NaN where there is none."""
    stay, called = rows
    true_positives = float((called * calibrated).sum())
    churners = true_positives + float((stay * calibrated).sum())
    right = true_positives + float((stay * (1 - calibrated)).sum())
    everybody = rows.sum(axis=0)
    both = float(called.sum()) + churners
    area = histogram_auc(everybody * calibrated, everybody * (1 - calibrated))
    return (
        right / float(everybody.sum()),
        2 * true_positives / both if both else np.nan,
        np.nan if area is None else area,
    )


def _resampled_drops(
    negatives: Cells,
    positives: Cells,
    called_share: Cells,
    window: Cells,
    rule: EstimateRule,
    effective_fraction: float,
) -> NDArray[np.float64]:
    """Drops (draws, 3) of held-out rows and windows drawn anew, calibration included."""
    generator = np.random.default_rng(rule.seed)
    held_out = np.concatenate([negatives, positives])
    num_held_out = max(round(float(held_out.sum()) * effective_fraction), 1)
    num_rows = int(window.sum())
    drawn = generator.multinomial(num_held_out, held_out / held_out.sum(), rule.num_draws)
    windows = generator.multinomial(num_rows, (window / num_rows).ravel(), rule.num_draws)
    drops = []
    for parts, rows in zip(drawn.astype(np.float64), windows.astype(np.float64), strict=True):
        negative, positive = np.split(parts, 2)
        calibrated = _calibrated(negative, positive)
        then = (negative + positive) * np.stack([1 - called_share, called_share])
        now = _figures(rows.reshape(window.shape), calibrated)
        drops.append(np.subtract(_figures(then, calibrated), now))
    return np.asarray(drops)


def _spread(drops: NDArray[np.float64]) -> float:
    """Standard deviation of the draws that have the figure; NaN if hardly one has."""
    known = drops[~np.isnan(drops)]
    return float(known.std()) if len(known) > 1 else np.nan


def _metric(name: str, now: float, then: float, half: float, rule: EstimateRule) -> EstimatedMetric:
    if np.isnan(now) or np.isnan(then) or np.isnan(half):
        return EstimatedMetric(name, NONE, _known(now), _known(then), None, None, None)
    drop = then - now
    verdict = WARNING if drop - half > rule.min_drop else NONE
    return EstimatedMetric(name, verdict, now, then, drop, drop - half, drop + half)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
