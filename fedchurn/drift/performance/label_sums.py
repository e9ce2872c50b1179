"""Labelled predictions as sums that add up: what a client gives instead of its rows.

All parts are whole numbers (squares are counted in ticks of 2**-30), so adding is exact: the pooled
sums are the same whatever the order of clients. Bins are those of ``fedchurn.evaluation.sums``, so
that live and held-out figures treat ties alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedchurn.errors import DataError

NUM_BINS = 4096
TICKS_PER_UNIT = 2**30
NUM_GROUPS = 10


@dataclass(frozen=True, eq=False)
class LabelSums:
    """Sums over labelled predictions; ``a + b`` is the sums of both.

    Attributes:
        num_true_positives: churners who had been called churners.
        num_false_positives: loyal customers who had.
        num_false_negatives: churners who had not.
        num_true_negatives: loyal customers who had not.
        probability_ticks: sum of churn probabilities, in ticks of 2**-30.
        squared_error_ticks: sum of (probability - label)**2, in ticks.
        fourth_power_ticks: sum of (probability - label)**4, in ticks.
        positive_counts: int64 (4096,), churners per bin of probability; bin k holds
            ``[k / 4096, (k + 1) / 4096)``, the last one 1.0 too.
        negative_counts: int64 (4096,), loyal customers per bin.
    """

    num_true_positives: int
    num_false_positives: int
    num_false_negatives: int
    num_true_negatives: int
    probability_ticks: int
    squared_error_ticks: int
    fourth_power_ticks: int
    positive_counts: NDArray[np.int64]
    negative_counts: NDArray[np.int64]

    @classmethod
    def zero(cls) -> LabelSums:
        """Sums of nothing."""
        empty = np.zeros(NUM_BINS, dtype=np.int64)
        return cls(0, 0, 0, 0, 0, 0, 0, empty, empty)

    def __add__(self, other: LabelSums) -> LabelSums:
        mine, theirs = vars(self), vars(other)
        return LabelSums(**{name: mine[name] + theirs[name] for name in mine})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelSums):
            return NotImplemented
        mine, theirs = vars(self), vars(other)
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]

    @property
    def num_rows(self) -> int:
        return self.num_positive + self.num_negative

    @property
    def num_positive(self) -> int:
        return self.num_true_positives + self.num_false_negatives

    @property
    def num_negative(self) -> int:
        return self.num_true_negatives + self.num_false_positives

    @property
    def accuracy(self) -> float | None:
        return _share(self.num_true_positives + self.num_true_negatives, self.num_rows)

    @property
    def precision(self) -> float | None:
        return _share(self.num_true_positives, self.num_true_positives + self.num_false_positives)

    @property
    def recall(self) -> float | None:
        return _share(self.num_true_positives, self.num_positive)

    @property
    def f1(self) -> float | None:
        wrong = self.num_false_positives + self.num_false_negatives
        return _share(2 * self.num_true_positives, 2 * self.num_true_positives + wrong)

    @property
    def brier(self) -> float | None:
        """Mean squared error of the probability."""
        return _share(self.squared_error_ticks / TICKS_PER_UNIT, self.num_rows)

    @property
    def squared_error_variance(self) -> float | None:
        """Variance of a row's squared error; None below two rows."""
        if self.num_rows < 2:
            return None
        mean = self.squared_error_ticks / TICKS_PER_UNIT / self.num_rows
        mean_square = self.fourth_power_ticks / TICKS_PER_UNIT / self.num_rows
        return max(mean_square - mean**2, 0.0) * self.num_rows / (self.num_rows - 1)

    @property
    def roc_auc(self) -> float | None:
        """Area under the ROC curve, ties of a bin half; None with one class."""
        return histogram_auc(self.positive_counts, self.negative_counts)

    @property
    def roc_auc_variance(self) -> float | None:
        """Variance of ``roc_auc`` by placements; None with fewer than two of either class.

        DeLong, DeLong and Clarke-Pearson 1988: the spread, over the rows of either class, of the
        share of the other class that stands on the right side.
        """
        area = self.roc_auc
        if area is None or min(self.num_positive, self.num_negative) < 2:
            return None
        loyal_below = np.cumsum(self.negative_counts) - self.negative_counts / 2
        churners_here = self.positive_counts
        churners_above = self.num_positive - np.cumsum(churners_here) + churners_here / 2
        return sum(
            float((counts * (placements / num_others - area) ** 2).sum()) / (num - 1) / num
            for counts, placements, num, num_others in (
                (self.positive_counts, loyal_below, self.num_positive, self.num_negative),
                (self.negative_counts, churners_above, self.num_negative, self.num_positive),
            )
        )

    def reliability(self) -> list[dict[str, float | int]]:
        """At most 10 groups of about equal size by rising probability: ``predicted`` (mean of bin
        centres, within 1/8192), ``observed`` (share of churners), ``num_rows``."""
        counts = self.positive_counts + self.negative_counts
        bins = np.flatnonzero(counts)
        mass = counts[bins]
        group = (np.cumsum(mass) - mass) * NUM_GROUPS // max(self.num_rows, 1)
        found = []
        for one in np.unique(group):
            here = bins[group == one]
            rows = counts[here].sum()
            found.append(
                {
                    "predicted": float((counts[here] * (here + 0.5)).sum() / NUM_BINS / rows),
                    "observed": float(self.positive_counts[here].sum() / rows),
                    "num_rows": int(rows),
                }
            )
        return found

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error: row-weighted mean of |observed - predicted| over the groups
        of ``reliability`` (Naeini et al. 2015, with groups of equal size)."""
        gaps = (g["num_rows"] * abs(g["observed"] - g["predicted"]) for g in self.reliability())
        return _share(sum(gaps), self.num_rows)

    def to_arrays(self) -> dict[str, NDArray[np.int64]]:
        """The sums as named int64 arrays, ready for a ``Reply``."""
        totals = [getattr(self, name) for name in _TOTALS]
        return {
            "label_totals": np.asarray(totals, dtype=np.int64),
            "label_positive_counts": self.positive_counts,
            "label_negative_counts": self.negative_counts,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> LabelSums:
        """The sums behind ``to_arrays``; other names in ``arrays`` are ignored.

        Raises:
            DataError: a part is missing, has another shape, or contradicts the others.
        """
        try:
            totals = [int(v) for v in np.asarray(arrays["label_totals"]).tolist()]
            parts: dict[str, Any] = dict(zip(_TOTALS, totals, strict=True))
            for name in _COUNTS:
                parts[name] = np.asarray(arrays[f"label_{name}"], dtype=np.int64)
            sums = cls(**parts)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"label sums cannot be read: {error!r}",
                next_step="use the same fedchurn everywhere",
            ) from error
        _check_consistent(sums)
        return sums

    def figures(self) -> dict[str, Any]:
        """All figures, JSON-ready; None where a figure makes no sense."""
        return {
            "num_labelled": self.num_rows,
            "num_positive": self.num_positive,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "roc_auc": self.roc_auc,
            "brier": self.brier,
            "calibration_error": self.calibration_error,
            "mean_predicted": _share(self.probability_ticks / TICKS_PER_UNIT, self.num_rows),
            "observed_rate": _share(self.num_positive, self.num_rows),
        }


_COUNTS = ("positive_counts", "negative_counts")
_TOTALS = tuple(one.name for one in fields(LabelSums) if one.name not in _COUNTS)


def _check_consistent(sums: LabelSums) -> None:
    counts = (sums.positive_counts, sums.negative_counts)
    counted = tuple(int(one.sum()) for one in counts)
    stated = (sums.num_positive, sums.num_negative)
    lowest = min(*(one.min(initial=0) for one in counts), *stated)
    totals = [getattr(sums, name) for name in _TOTALS]
    largest = sums.num_rows * TICKS_PER_UNIT
    if (
        {one.shape for one in counts} != {(NUM_BINS,)}
        or counted != stated
        or min(lowest, *totals) < 0
        or max(sums.squared_error_ticks, sums.probability_ticks) > largest
        or sums.fourth_power_ticks > sums.squared_error_ticks + sums.num_rows
    ):
        raise DataError(
            f"label sums contradict themselves: counted {counted}, stated {stated}",
            next_step="ask the client again with the same version of fedchurn",
        )


def label_sums(labels: ArrayLike, probabilities: ArrayLike, decisions: ArrayLike) -> LabelSums:
    """Sums of n labelled predictions.

    Args:
        labels: (n,), 1 for churn, else 0.
        probabilities: (n,), churn probabilities (0-1).
        decisions: (n,), 1 where a churner was called, else 0.

    Raises:
        DataError: the lengths differ, or a value is none of these.
    """
    truth, scores, called = (
        np.asarray(values, dtype=np.float64) for values in (labels, probabilities, decisions)
    )
    _check(truth, scores, called)
    churned, is_called = truth == 1, called == 1
    errors = (scores - truth) ** 2
    bins = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return LabelSums(
        num_true_positives=int((churned & is_called).sum()),
        num_false_positives=int((~churned & is_called).sum()),
        num_false_negatives=int((churned & ~is_called).sum()),
        num_true_negatives=int((~churned & ~is_called).sum()),
        probability_ticks=_ticks(scores),
        squared_error_ticks=_ticks(errors),
        fourth_power_ticks=_ticks(errors**2),
        positive_counts=np.bincount(bins[churned], minlength=NUM_BINS).astype(np.int64),
        negative_counts=np.bincount(bins[~churned], minlength=NUM_BINS).astype(np.int64),
    )


def add_label_sums(parts: Iterable[LabelSums]) -> LabelSums:
    """Sum of any number of sums, ``LabelSums.zero()`` for none."""
    return sum(parts, start=LabelSums.zero())


def histogram_auc(positives: NDArray[Any], negatives: NDArray[Any]) -> float | None:
    """Area under the ROC curve of two histograms over the same cells, ties half (Mann-Whitney U).

    >>> histogram_auc(np.array([0, 1, 1]), np.array([0, 1, 0]))
    0.75
    """
    pairs = float(positives.sum()) * float(negatives.sum())
    if not pairs:
        return None
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum()) / pairs


def _check(
    truth: NDArray[np.float64], scores: NDArray[np.float64], called: NDArray[np.float64]
) -> None:
    if not truth.shape == scores.shape == called.shape or truth.ndim != 1:
        raise DataError(
            f"{truth.shape} labels, {scores.shape} probabilities and {called.shape} decisions do "
            "not belong together"
        )
    for what, values in (("label", truth), ("decision", called)):
        strange = ~np.isin(values, (0.0, 1.0))
        if strange.any():
            row = int(np.argmax(strange))
            raise DataError(f"{what} {values[row]} is neither 0 nor 1", where=f"prediction {row}")
    outside = ~((scores >= 0) & (scores <= 1))
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"probability {scores[row]} is not a number from 0 to 1", where=f"prediction {row}"
        )


def _ticks(values: NDArray[np.float64]) -> int:
    return int(np.rint(values * TICKS_PER_UNIT).astype(np.int64).sum())


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
