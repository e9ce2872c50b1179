"""The second half of a round: clients judge its candidates, and the best model so far is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedchurn.errors import FederationError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.exchange import TOGETHER, Exchange
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.scoring import Evaluated, evaluate
from fedchurn.federation.training.state import BestRound, RoundRecord, RoundState
from fedchurn.federation.training.stop_rule import StopRule
from fedchurn.federation.training.train_half import Clock, are_many
from fedchurn.learning.spec import Weights


def concluded(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    record: RoundRecord,
    clock: Clock,
) -> tuple[RoundState, RoundRecord]:
    """State and record with what validation rows say of the state's candidates.

    Raises:
        QuorumError: too few clients evaluated.
        FederationError: the metric is not defined on the clients' validation rows.
    """
    begun = clock()
    policy = policy.without(state.excluded)
    panel = algorithm.panel(exchange.clients())
    asked = _Evaluation(algorithm, exchange, policy, state.round_num, panel, state.rows)
    each = asked.on("validation", state.candidates)
    claimed = {client: one.num_rows for client, one in each.sums[0].items()}
    losses = [_loss(add_sums(by_client.values()), stop.metric) for by_client in each.sums]
    if not stop.keep_last:
        _check_defined(losses, each.sums[0], stop.metric)
    near = near_best(losses, stop.average_within)
    weights = mean_weights([state.candidates[number] for number in near])
    mean = each if len(near) == 1 else asked.on("validation", (weights,))
    sums = mean.sums[near[0] if len(near) == 1 else 0]
    found = BestRound(
        state.round_num,
        near,
        _loss(add_sums(sums.values()), stop.metric),
        weights,
        tuple(state.candidates[number] for number in near),
        mean.clients,
    )
    best = state.best
    if best is not None and best.clients != found.clients and not stop.keep_last:
        best = asked.again(best, stop.metric)  # on the rows of those who are here now
    is_best = stop.keep_last or is_better(found, best, stop.min_gain)
    comparable = best is None or found.clients == best.clients
    train = asked.on("train", (weights,))
    absences = {**train.absences, **mean.absences, **each.absences}
    finished = replace(
        record,
        train={**_metric_numbers(add_sums(train.sums[0].values())), **record.train},
        validation=_metric_numbers(add_sums(sums.values())),
        per_client=_with_validation(record.per_client, sums),
        candidates=near,
        is_best=is_best,
        absences={**_in_evaluation(absences), **record.absences},
        seconds={**record.seconds, "evaluate": clock() - begun},
    )
    best = found if is_best else best
    # Rounds that nobody evaluated found nothing better either.
    stale = 0 if is_best else state.stale_rounds + comparable * stop.evaluate_every
    rows = {**claimed, **state.rows}
    return replace(state, best=best, stale_rounds=stale, rows=rows), finished


def near_best(losses: Sequence[float], within: float) -> tuple[int, ...]:
    """The best candidate first, then those whose loss is within a share of the best one's."""
    best = int(np.argmin(losses))
    limit = losses[best] + within * abs(losses[best])
    others = [n for n, loss in enumerate(losses) if within > 0 and loss <= limit and n != best]
    return (best, *others)


def mean_weights(models: Sequence[Weights]) -> Weights:
    """The mean of models of one shape, array by array, in float32."""
    if len(models) == 1:
        return models[0]
    return tuple(
        np.mean([array.astype(np.float64) for array in arrays], axis=0).astype(np.float32)
        for arrays in zip(*models, strict=True)
    )


def _in_evaluation(absences: Mapping[str, str]) -> dict[str, str]:
    return {client: f"evaluation: {reason}" for client, reason in absences.items()}


def is_better(found: BestRound, best: BestRound | None, min_gain: float) -> bool:
    """More clients beat fewer; among the same clients the smaller value wins."""
    if best is None or set(found.clients) > set(best.clients):
        return True
    return found.clients == best.clients and found.value < best.value - min_gain


@dataclass(frozen=True)
class _Evaluation:
    """Asks clients to evaluate an algorithm's models after one round."""

    algorithm: Algorithm
    exchange: Exchange
    policy: RoundPolicy
    round_num: int
    clients: tuple[str, ...] | None
    rows: Mapping[str, int]

    def on(self, split: str, candidates: Sequence[Weights]) -> Evaluated:
        return evaluate(
            self.exchange,
            self.policy,
            self.algorithm.spec,
            candidates,
            self.algorithm.encoder_json,
            split,
            round_num=self.round_num,
            clients=self.clients,
            one_sum=are_many(self.clients, self.exchange),
            known_rows=self.rows if split == "validation" else None,
        )

    def again(self, best: BestRound, metric: str) -> BestRound:
        """The best model by those who evaluate now: values of different clients say nothing."""
        found = self.on("validation", (best.weights,))
        value = _loss(add_sums(found.sums[0].values()), metric)
        return replace(best, value=value, clients=found.clients)


def _loss(sums: ScoreSums, metric: str) -> float:
    value = float(getattr(metrics(sums), metric))
    return -value if metric == "roc_auc" else value


def _check_defined(
    losses: Sequence[float], by_client: Mapping[str, ScoreSums], metric: str
) -> None:
    """Raise ``FederationError`` for NaN: no round would ever be better than the untrained model."""
    if not np.isnan(losses).any():
        return
    sums = add_sums(by_client.values())
    raise FederationError(
        f"{metric} of {sums.num_rows} validation rows, {sums.num_positive} of them with churn,"
        " is not defined, so no round can be chosen by it",
        where="training.phases, metric",
        next_step="choose metric log_loss, or more evaluation_clients or validation rows",
    )


def _metric_numbers(sums: ScoreSums) -> dict[str, float]:
    all_metrics = metrics(sums)
    names = ("log_loss", "brier", "roc_auc", "accuracy", "precision", "recall", "f1")
    return {name: float(getattr(all_metrics, name)) for name in names}


def _with_validation(
    per_client: Mapping[str, Mapping[str, float]], sums: Mapping[str, ScoreSums]
) -> dict[str, dict[str, float]]:
    result = {client: dict(numbers) for client, numbers in per_client.items()}
    for client, part in sums.items():
        if client == TOGETHER:
            continue
        numbers = {f"validation_{n}": v for n, v in _metric_numbers(part).items()}
        result.setdefault(client, {}).update(numbers)
    return result
