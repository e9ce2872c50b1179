"""The decision threshold, chosen on validation sums by a named objective.

A row is called a churner when probability >= threshold. Thresholds are edges of the score
histogram (k / 4096, k = 0 .. 4095), so that counts at a threshold are exact, not approximate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import SettingsError, nearest
from fedchurn.evaluation.metrics import DEFAULT_THRESHOLD
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums

OBJECTIVES = ("f1", "cost", "top_share", "accuracy", "fixed")


@dataclass(frozen=True)
class Objective:
    """What the threshold is chosen for.

    Attributes:
        name: ``f1``; ``accuracy``; ``cost`` (least total cost); ``top_share`` (call at most
            ``fraction`` of the customers, those most at risk); ``fixed`` (``threshold`` as given).
        false_negative_cost: cost of a churner who was not called, in any unit of money.
        false_positive_cost: cost of calling a customer who would have stayed, same unit.
        fraction: share of customers who can be called (0-1).
        threshold: the threshold of ``fixed`` (0-1); rounded to the nearest histogram edge.
    """

    name: str = "f1"
    false_negative_cost: float = 5.0
    false_positive_cost: float = 1.0
    fraction: float = 0.2
    threshold: float = DEFAULT_THRESHOLD

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise SettingsError(
                f"unknown threshold objective {self.name!r}",
                next_step=nearest(self.name, OBJECTIVES),
            )
        costs = (self.false_negative_cost, self.false_positive_cost)
        if not (min(costs) >= 0 and 0 < sum(costs) < float("inf")):
            raise SettingsError(
                f"costs {costs} of the threshold objective must be 0 or more, one of them above 0"
            )
        for what in ("fraction", "threshold"):
            if not 0 <= getattr(self, what) <= 1:
                raise SettingsError(
                    f"{what} {getattr(self, what)} of the threshold objective is outside 0 to 1"
                )


@dataclass(frozen=True)
class ThresholdChoice:
    """A chosen threshold.

    Attributes:
        threshold: a multiple of 1/4096.
        objective: what it was chosen for.
        value: what the objective reaches on the validation rows: F1, accuracy, cost per customer,
            or share of customers called; NaN when it was not optimised.
        note: why the objective could not decide; empty when it did.
    """

    threshold: float
    objective: Objective
    value: float
    note: str = ""


def on_edge(threshold: float) -> float:
    """The histogram edge nearest to ``threshold``, at most 4095/4096."""
    return min(max(round(threshold * NUM_BINS), 0), NUM_BINS - 1) / NUM_BINS


def choose_threshold(sums: ScoreSums, objective: Objective) -> ThresholdChoice:
    """The threshold that serves ``objective`` best on the rows behind ``sums``.

    Among equally good neighbours the middle of the widest run is taken: scores of other rows fall
    into the same gap. With one class only, nothing can be optimised: the default of 0.5 is
    returned, with a ``note``.
    """
    if objective.name == "fixed":
        return ThresholdChoice(on_edge(objective.threshold), objective, float("nan"))
    needs_classes = objective.name != "top_share"
    if not sums.num_rows or (needs_classes and not (sums.num_positive and sums.num_negative)):
        note = (
            f"{sums.num_positive} churners among {sums.num_rows} validation rows: no threshold can "
            f"be chosen for {objective.name}, {DEFAULT_THRESHOLD} is used"
        )
        return ThresholdChoice(DEFAULT_THRESHOLD, objective, float("nan"), note)
    if objective.name == "top_share":
        return _top_share(sums, objective)
    value = _VALUES[objective.name](sums, objective)
    worth = -value if objective.name == "cost" else value
    edge = _middle_of_widest_run(worth >= worth.max())
    return ThresholdChoice(edge / NUM_BINS, objective, float(value[edge]))


def _at_or_above(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of rows called at each edge."""
    return np.cumsum(counts[::-1])[::-1]


def _f1(sums: ScoreSums, objective: Objective) -> NDArray[np.float64]:  # noqa: ARG001
    hits, false_alarms = _at_or_above(sums.positive_counts), _at_or_above(sums.negative_counts)
    return 2 * hits / (hits + false_alarms + sums.num_positive)


def _accuracy(sums: ScoreSums, objective: Objective) -> NDArray[np.float64]:  # noqa: ARG001
    hits, false_alarms = _at_or_above(sums.positive_counts), _at_or_above(sums.negative_counts)
    return (hits + sums.num_negative - false_alarms) / sums.num_rows


def _cost(sums: ScoreSums, objective: Objective) -> NDArray[np.float64]:
    missed = sums.num_positive - _at_or_above(sums.positive_counts)
    false_alarms = _at_or_above(sums.negative_counts)
    total = objective.false_negative_cost * missed + objective.false_positive_cost * false_alarms
    return np.asarray(total / sums.num_rows, dtype=np.float64)


_VALUES: dict[str, Callable[[ScoreSums, Objective], NDArray[np.float64]]] = {
    "f1": _f1,
    "accuracy": _accuracy,
    "cost": _cost,
}


def _middle_of_widest_run(best: NDArray[np.bool_]) -> int:
    steps = np.flatnonzero(np.diff(np.concatenate([[False], best, [False]]).astype(np.int8)))
    starts, ends = steps[::2], steps[1::2]
    widest = int(np.argmax(ends - starts))
    return int(starts[widest] + ends[widest] - 1) // 2


def _top_share(sums: ScoreSums, objective: Objective) -> ThresholdChoice:
    """The lowest edge that calls at most the wanted share; the highest edge when none does."""
    called = _at_or_above(sums.positive_counts + sums.negative_counts)
    fits = np.flatnonzero(called <= objective.fraction * sums.num_rows)
    edge = int(fits[0]) if len(fits) else NUM_BINS - 1
    note = "" if len(fits) else "more customers than wanted share the highest score"
    return ThresholdChoice(edge / NUM_BINS, objective, float(called[edge] / sums.num_rows), note)
