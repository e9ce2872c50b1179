"""One federated round, and the loop over rounds.

``play_round`` is a function of the state and the clients' answers; it reads no clock, no file and
no randomness. ``play_rounds`` is the only loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.federation.algorithm import Algorithm
from fedchurn.federation.checks import Accepted, RoundPolicy, accept
from fedchurn.federation.exchange import Arrays, Exchange, Reply, Request
from fedchurn.federation.scoring import Evaluated, evaluate
from fedchurn.federation.state import BestRound, RoundRecord, RoundState
from fedchurn.learning.spec import Weights

OnRound = Callable[[RoundRecord, RoundState], None]


@dataclass(frozen=True)
class StopRule:
    """When training ends.

    Attributes:
        num_rounds: rounds at most.
        patience_rounds: rounds without a better validation metric before training stops; None
            plays all rounds.
        metric: validation metric that picks the best round: ``log_loss``, ``brier`` or ``roc_auc``.
        min_gain: gain below which a round does not count as better.
        average_within: candidates whose metric is within this share of the best one's are averaged;
            0 takes the best alone.
    """

    num_rounds: int
    patience_rounds: int | None = None
    metric: str = "log_loss"
    min_gain: float = 0.0
    average_within: float = 0.0


def play_rounds(
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    on_round: OnRound,
) -> tuple[RoundState, tuple[RoundRecord, ...]]:
    """Rounds until the stop rule ends them; ``on_round`` sees each record as it is made.

    Returns:
        The last state, whose ``best`` is the model to keep, and all records, round 0 included.
    """
    state, record = evaluate_start(algorithm, exchange, policy, stop)
    records = [record]
    on_round(record, state)
    while state.round_num < stop.num_rounds and not _stale(state, stop):
        state, record = play_round(state, algorithm, exchange, policy, stop)
        records.append(record)
        on_round(record, state)
    return state, tuple(records)


def _stale(state: RoundState, stop: StopRule) -> bool:
    return stop.patience_rounds is not None and state.stale_rounds >= stop.patience_rounds


def evaluate_start(
    algorithm: Algorithm, exchange: Exchange, policy: RoundPolicy, stop: StopRule
) -> tuple[RoundState, RoundRecord]:
    """The state before round 1, evaluated: a round that makes things worse is never kept."""
    state = algorithm.start()
    return _concluded(state, algorithm, exchange, policy, stop, _nothing_trained(algorithm))


def _nothing_trained(algorithm: Algorithm) -> RoundRecord:
    return RoundRecord(0, algorithm.strategy, ())


def play_round(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
) -> tuple[RoundState, RoundRecord]:
    """One round: ask, check, combine, evaluate.

    Raises:
        QuorumError: too few usable answers; the state is unchanged.
    """
    moved, record = train_round(state, algorithm, exchange, policy)
    return _concluded(moved, algorithm, exchange, policy, stop, record)


def train_round(
    state: RoundState, algorithm: Algorithm, exchange: Exchange, policy: RoundPolicy
) -> tuple[RoundState, RoundRecord]:
    """The training half of a round, without evaluation; see ``play_round``."""
    request = algorithm.request(state)
    replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
    accepted = accept(
        replies,
        policy,
        what=f"round {request.round_num}, training",
        norm=lambda reply: algorithm.update_norm(state, reply),
    )
    candidates, memory = algorithm.step(state, accepted.replies)
    moved = replace(state, round_num=state.round_num + 1, candidates=candidates, memory=memory)
    return moved, _trained(state, algorithm, request, replies, accepted)


def _trained(
    state: RoundState,
    algorithm: Algorithm,
    request: Request,
    replies: Sequence[Reply],
    accepted: Accepted,
) -> RoundRecord:
    per_client = {r.client: algorithm.client_numbers(state, r) for r in accepted.replies}
    return RoundRecord(
        round_num=request.round_num,
        strategy=algorithm.strategy,
        participants=tuple(r.client for r in accepted.replies),
        absences=accepted.absences,
        quarantined=accepted.quarantined,
        train=_weighted_means(per_client),
        per_client=per_client,
        bytes_up=sum(_num_bytes(r.arrays) for r in replies),
        bytes_down=_num_bytes(request.arrays) * len(replies),
    )


def _weighted_means(per_client: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    total = sum(n["num_rows"] for n in per_client.values())
    names = {name for numbers in per_client.values() for name in numbers} - {"num_rows"}
    means = {
        name: sum(n["num_rows"] * n[name] for n in per_client.values()) / max(total, 1.0)
        for name in sorted(names)
    }
    return {"num_rows": total, **means}


def _num_bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


def _concluded(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    record: RoundRecord,
) -> tuple[RoundState, RoundRecord]:
    asked = _Evaluation(algorithm, exchange, policy, state.round_num)
    each = asked.on("validation", state.candidates)
    losses = [_loss(add_sums(by_client.values()), stop.metric) for by_client in each.sums]
    near = _near(losses, stop.average_within)
    weights = mean_weights([state.candidates[number] for number in near])
    sums = each.sums[near[0]] if len(near) == 1 else asked.on("validation", (weights,)).sums[0]
    found = BestRound(
        state.round_num,
        near,
        _loss(add_sums(sums.values()), stop.metric),
        weights,
        tuple(state.candidates[number] for number in near),
        tuple(sorted(sums)),
    )
    is_best = _is_better(found, state.best, stop.min_gain)
    comparable = state.best is None or found.clients == state.best.clients
    train = asked.on("train", (weights,)).sums[0]
    finished = replace(
        record,
        train={**_metric_numbers(add_sums(train.values())), **record.train},
        validation=_metric_numbers(add_sums(sums.values())),
        per_client=_with_validation(record.per_client, sums),
        candidates=near,
        is_best=is_best,
        absences={**_in_evaluation(each.absences), **record.absences},
    )
    best = found if is_best else state.best
    stale = 0 if is_best else state.stale_rounds + comparable
    return replace(state, best=best, stale_rounds=stale), finished


def _near(losses: Sequence[float], within: float) -> tuple[int, ...]:
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


def _is_better(found: BestRound, best: BestRound | None, min_gain: float) -> bool:
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

    def on(self, split: str, candidates: Sequence[Weights]) -> Evaluated:
        return evaluate(
            self.exchange,
            self.policy,
            self.algorithm.spec,
            candidates,
            self.algorithm.encoder_json,
            split,
            round_num=self.round_num,
        )


def _loss(sums: ScoreSums, metric: str) -> float:
    value = float(getattr(metrics(sums), metric))
    return -value if metric == "roc_auc" else value


def _metric_numbers(sums: ScoreSums) -> dict[str, float]:
    all_metrics = metrics(sums)
    names = ("log_loss", "brier", "roc_auc", "accuracy", "precision", "recall", "f1")
    return {name: float(getattr(all_metrics, name)) for name in names}


def _with_validation(
    per_client: Mapping[str, Mapping[str, float]], sums: Mapping[str, ScoreSums]
) -> dict[str, dict[str, float]]:
    result = {client: dict(numbers) for client, numbers in per_client.items()}
    for client, part in sums.items():
        numbers = {f"validation_{n}": v for n, v in _metric_numbers(part).items()}
        result.setdefault(client, {}).update(numbers)
    return result
