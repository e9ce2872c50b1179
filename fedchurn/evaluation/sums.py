"""Scores of many rows as sums that add up: what a client sends instead of its rows.

All parts are whole numbers (losses are counted in ticks of 2**-30), so adding is exact: the pooled
sums are the same bytes whatever the order of clients, and however rows are dealt to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import DataError

NUM_BINS = 4096
TICKS_PER_UNIT = 2**30
MIN_PROBABILITY = 1e-12


@dataclass(frozen=True, eq=False)
class ScoreSums:
    """Sums over scored rows; ``a + b`` is the sums of both sets of rows.

    Bin ``k`` of a histogram counts probabilities in ``[k / 4096, (k + 1) / 4096)``; 1.0 belongs to
    the last bin. An int64 holds the losses of 300 million rows.

    Attributes:
        num_rows: rows scored.
        num_positive: rows whose target is 1 (churn).
        log_loss_ticks: sum of log losses, natural logarithm, in ticks of 2**-30; probabilities are
            clipped to [1e-12, 1 - 1e-12], and each row is rounded to the nearest tick.
        squared_error_ticks: sum of (probability - target)**2, in ticks of 2**-30.
        positive_counts: int64 (4096,), churners per bin of probability.
        negative_counts: int64 (4096,), other rows per bin of probability.
    """

    num_rows: int
    num_positive: int
    log_loss_ticks: int
    squared_error_ticks: int
    positive_counts: NDArray[np.int64]
    negative_counts: NDArray[np.int64]

    @property
    def num_negative(self) -> int:
        return self.num_rows - self.num_positive

    @property
    def log_loss_sum(self) -> float:
        """Sum of log losses (nats), within 5e-10 per row."""
        return self.log_loss_ticks / TICKS_PER_UNIT

    @property
    def squared_error_sum(self) -> float:
        """Sum of squared errors of the probability, within 5e-10 per row."""
        return self.squared_error_ticks / TICKS_PER_UNIT

    @classmethod
    def zero(cls) -> ScoreSums:
        """Sums of no rows."""
        empty = np.zeros(NUM_BINS, dtype=np.int64)
        return cls(0, 0, 0, 0, empty, empty)

    def __add__(self, other: ScoreSums) -> ScoreSums:
        return ScoreSums(
            self.num_rows + other.num_rows,
            self.num_positive + other.num_positive,
            self.log_loss_ticks + other.log_loss_ticks,
            self.squared_error_ticks + other.squared_error_ticks,
            self.positive_counts + other.positive_counts,
            self.negative_counts + other.negative_counts,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScoreSums):
            return NotImplemented
        return bool(
            self._totals() == other._totals()
            and np.array_equal(self.positive_counts, other.positive_counts)
            and np.array_equal(self.negative_counts, other.negative_counts)
        )

    __hash__ = None  # type: ignore[assignment]

    def _totals(self) -> tuple[int, int, int, int]:
        return self.num_rows, self.num_positive, self.log_loss_ticks, self.squared_error_ticks

    def to_arrays(self) -> dict[str, NDArray[np.int64]]:
        """The sums as named int64 arrays, ready for a ``Reply``."""
        return {
            "score_totals": np.asarray(self._totals(), dtype=np.int64),
            "score_positive_counts": self.positive_counts,
            "score_negative_counts": self.negative_counts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> ScoreSums:
        """The sums behind ``to_arrays``; other names in ``arrays`` are ignored.

        Raises:
            DataError: a part is missing, has another shape, or contradicts the others.
        """
        try:
            totals = [int(v) for v in np.asarray(arrays["score_totals"]).tolist()]
            positive = np.asarray(arrays["score_positive_counts"], dtype=np.int64)
            negative = np.asarray(arrays["score_negative_counts"], dtype=np.int64)
            sums = cls(totals[0], totals[1], totals[2], totals[3], positive, negative)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(
                f"score sums cannot be read: {error!r}",
                next_step="use the same fedchurn everywhere",
            ) from error
        _check_consistent(sums)
        return sums


def _check_consistent(sums: ScoreSums) -> None:
    shapes = {sums.positive_counts.shape, sums.negative_counts.shape}
    counted = (int(sums.positive_counts.sum()), int(sums.negative_counts.sum()))
    lowest = min(sums.positive_counts.min(initial=0), sums.negative_counts.min(initial=0))
    if shapes != {(NUM_BINS,)} or counted != (sums.num_positive, sums.num_negative) or lowest < 0:
        raise DataError(
            f"score sums contradict themselves: shapes {sorted(shapes)}, counted {counted}, "
            f"stated {(sums.num_positive, sums.num_negative)}",
            next_step="ask the client to evaluate again with the same version of fedchurn",
        )


def add_sums(parts: Iterable[ScoreSums]) -> ScoreSums:
    """Sum of any number of sums, ``ScoreSums.zero()`` for none."""
    return sum(parts, start=ScoreSums.zero())


def score_sums(target: NDArray[np.generic], probability: NDArray[np.floating]) -> ScoreSums:
    """Sums of n scored rows.

    Args:
        target: (n,), 1 = churn, 0 = not.
        probability: (n,), churn probabilities, 0 to 1.

    Raises:
        DataError: the lengths differ, a target is neither 0 nor 1, or a probability is not a number
            from 0 to 1.
    """
    return score_sums_by_client(target, probability, np.array([0, len(target)]))[0]


def score_sums_by_client(
    target: NDArray[np.generic], probability: NDArray[np.floating], starts: NDArray[np.integer]
) -> list[ScoreSums]:
    """``score_sums`` of each client's rows, which lie one client after another.

    Args:
        target: (n,), 1 = churn, 0 = not.
        probability: (n,), churn probabilities, 0 to 1.
        starts: (clients + 1,), where each client's rows begin, and n.

    Raises:
        DataError: as ``score_sums``.
    """
    labels = np.asarray(target, dtype=np.float64)
    scores = np.asarray(probability, dtype=np.float64)
    _check_rows(labels, scores)
    is_positive = labels == 1
    clipped = np.clip(scores, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    losses = _ticks(-np.where(is_positive, np.log(clipped), np.log1p(-clipped)))
    errors = _ticks((scores - labels) ** 2)
    bins = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return [
        _added(is_positive[rows], losses[rows], errors[rows], bins[rows])
        for rows in map(slice, starts[:-1], starts[1:])
    ]


def _added(
    is_positive: NDArray[np.bool_],
    losses: NDArray[np.int64],
    errors: NDArray[np.int64],
    bins: NDArray[np.int64],
) -> ScoreSums:
    return ScoreSums(
        num_rows=len(bins),
        num_positive=int(is_positive.sum()),
        log_loss_ticks=int(losses.sum()),
        squared_error_ticks=int(errors.sum()),
        positive_counts=np.bincount(bins[is_positive], minlength=NUM_BINS).astype(
            np.int64, copy=False
        ),
        negative_counts=np.bincount(bins[~is_positive], minlength=NUM_BINS).astype(
            np.int64, copy=False
        ),
    )


def _ticks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Each value in whole ticks."""
    return np.rint(values * TICKS_PER_UNIT).astype(np.int64)


def _check_rows(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
    if labels.shape != scores.shape or labels.ndim != 1:
        raise DataError(f"{labels.shape} targets cannot be compared with {scores.shape} scores")
    strange = ~np.isin(labels, (0.0, 1.0))
    if strange.any():
        row = int(np.argmax(strange))
        raise DataError(f"target {labels[row]} is neither 0 nor 1", where=f"scored row {row}")
    outside = ~((scores >= 0) & (scores <= 1))
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"probability {scores[row]} is not a number from 0 to 1",
            where=f"scored row {row}",
            next_step="the model diverged: lower its learning rate, or raise its ridge",
        )
