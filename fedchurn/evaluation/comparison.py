"""What the federated model is shown beside: every model as sums, compared by the same rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fedchurn.data.client_table import TRAIN, VALIDATION, ClientTable
from fedchurn.evaluation.metrics import Metrics, metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums, score_sums
from fedchurn.evaluation.thresholds import Objective, choose_threshold

MetricValues = Mapping[str, float | int | None]
Setting = str | int | float


@dataclass(frozen=True)
class Scored:
    """A model as the sums of its scores.

    Attributes:
        name: for tables.
        explanation: one sentence: which rows it saw, and what was chosen how.
        validation: sums over rows that chose nothing but threshold and settings.
        test: sums over test rows, by client.
        settings: what was chosen, for example the ridge.
        objective: of its threshold, where it is not the run's.
    """

    name: str
    explanation: str
    validation: ScoreSums
    test: Mapping[str, ScoreSums]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    objective: Objective | None = None

    @property
    def pooled_test(self) -> ScoreSums:
        """Sums over the test rows of all clients."""
        return add_sums(self.test.values())


@dataclass(frozen=True)
class Comparison:
    """One row of the table "the price of privacy"; an undefined metric is None."""

    name: str
    explanation: str
    metrics: MetricValues
    settings: Mapping[str, Setting] = field(default_factory=dict)


TrainAndScore = Callable[[ClientTable, Sequence[ClientTable]], Scored]


def compare(scored: Scored, objective: Objective) -> Comparison:
    """Metrics of pooled test rows, at the threshold that the model's validation rows choose."""
    threshold = choose_threshold(scored.validation, scored.objective or objective).threshold
    values = metrics(scored.pooled_test, threshold).to_dict()
    return Comparison(scored.name, scored.explanation, values, scored.settings)


def majority(tables: Sequence[ClientTable]) -> Scored:
    """Everybody gets the churn rate of all training rows: below half, nobody is called."""
    training = np.concatenate([t.target[t.split == TRAIN] for t in tables])
    rate = float(training.mean()) if len(training) else 0.0
    return constant_scores(
        "majority", "Always names the more common class; has learned nothing.", rate, tables
    )


def constant_scores(
    name: str, explanation: str, probability: float, tables: Sequence[ClientTable]
) -> Scored:
    """The same probability for every row of ``tables``, at a threshold of 0.5."""

    def sums(target: np.ndarray) -> ScoreSums:
        return score_sums(target, np.full(len(target), probability))

    return Scored(
        name,
        explanation,
        add_sums(sums(t.target[t.split == VALIDATION]) for t in tables),
        {t.client: sums(t.target[t.split > VALIDATION]) for t in tables},
        {"probability": probability},
        Objective("fixed"),
    )


def each_client_alone(
    train_and_score: TrainAndScore, tables: Sequence[ClientTable]
) -> dict[str, Scored]:
    """One model per client, trained on that client's rows only.

    Args:
        train_and_score: given one client's table and all tables, trains on the first one's training
            (and validation) rows, and scores the test rows of all.
        tables: all clients, split.
    """
    return {table.client: train_and_score(table, tables) for table in tables}


def compare_alone(
    alone: Mapping[str, Scored], objective: Objective
) -> tuple[Comparison, Comparison]:
    """Two views of "each client alone", as means over clients.

    The first scores every client's model on the test rows of all clients: comparable with the
    federated model row by row. The second scores it on the client's own test rows, weighted by
    rows: what the client would live with today. A client for which a metric is undefined (one
    class) is left out of that metric.
    """
    chosen = {c: choose_threshold(s.validation, objective).threshold for c, s in alone.items()}
    everywhere = [metrics(s.pooled_test, chosen[c]) for c, s in alone.items()]
    at_home = [metrics(s.test[c], chosen[c]) for c, s in alone.items()]
    return (
        Comparison(
            "each client alone, all test rows",
            "Mean over clients of a model of the client's own rows, tested on every client's rows.",
            _mean_metrics(everywhere, [1.0] * len(everywhere)),
        ),
        Comparison(
            "each client alone, own test rows",
            "The same models, each tested on its own client's rows; mean weighted by rows.",
            _mean_metrics(at_home, [float(m.num_rows) for m in at_home]),
        ),
    )


_NO_MEAN = ("threshold", "num_rows", "num_positive")


def _mean_metrics(results: Sequence[Metrics], weights: Sequence[float]) -> MetricValues:
    """Weighted means of shares and losses; counts and thresholds have no meaningful mean."""
    values: dict[str, float | int | None] = {}
    for name in results[0].to_dict() if results else ():
        known = [
            (float(value), weight)
            for value, weight in (
                (getattr(r, name), w) for r, w in zip(results, weights, strict=True)
            )
            if not math.isnan(value)
        ]
        total = sum(weight for _, weight in known)
        skip = not total or name in _NO_MEAN or name.startswith("num_")
        values[name] = None if skip else sum(v * w for v, w in known) / total
    return values
