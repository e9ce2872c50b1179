"""One federated round, and the loop over rounds.

``play_round`` is a function of the state and the clients' answers; it reads no clock, no file and
no randomness. ``play_rounds`` is the only loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.federation.algorithm import Algorithm
from fedchurn.federation.checks import Accepted, RoundPolicy, accept
from fedchurn.federation.exchange import Arrays, Exchange, Reply, Request
from fedchurn.federation.model_messages import of_candidate, weights_to_arrays
from fedchurn.federation.state import BestRound, RoundRecord, RoundState
from fedchurn.learning.spec import ModelSpec, Weights

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
    """

    num_rounds: int
    patience_rounds: int | None = None
    metric: str = "log_loss"
    min_gain: float = 0.0


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
    sums = asked.on("validation", state.candidates)
    pooled = [add_sums(by_client.values()) for by_client in sums]
    losses = [_loss(part, stop.metric) for part in pooled]
    chosen = int(np.argmin(losses))
    is_best = state.best is None or losses[chosen] < state.best.value - stop.min_gain
    best = state.best
    if is_best:
        best = BestRound(state.round_num, chosen, losses[chosen], state.candidates[chosen])
    stale = 0 if is_best else state.stale_rounds + 1
    (train,) = asked.on("train", (state.candidates[chosen],))
    finished = replace(
        record,
        train={**_metric_numbers(add_sums(train.values())), **record.train},
        validation=_metric_numbers(pooled[chosen]),
        per_client=_with_validation(record.per_client, sums[chosen]),
        candidate=chosen,
        is_best=is_best,
    )
    return replace(state, best=best, stale_rounds=stale), finished


@dataclass(frozen=True)
class _Evaluation:
    """Asks clients to evaluate an algorithm's models after one round."""

    algorithm: Algorithm
    exchange: Exchange
    policy: RoundPolicy
    round_num: int

    def on(self, split: str, candidates: Sequence[Weights]) -> list[dict[str, ScoreSums]]:
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


def evaluate(
    exchange: Exchange,
    policy: RoundPolicy,
    spec: ModelSpec,
    candidates: Sequence[Weights],
    encoder_json: str,
    split: str,
    *,
    round_num: int = 0,
) -> list[dict[str, ScoreSums]]:
    """Score sums per candidate and client on one split.

    Args:
        exchange: reaches the clients.
        policy: quorum and deadline.
        spec: shape of the candidates.
        candidates: models to evaluate.
        encoder_json: the encoder.
        split: ``train``, ``validation`` or ``test``.
        round_num: the round that asks.

    Raises:
        QuorumError: too few clients answered.
    """
    request = Request(
        task="evaluate",
        round_num=round_num,
        arrays=weights_to_arrays(spec, candidates),
        config={
            "encoder": encoder_json,
            "spec": json.dumps(spec.to_dict()),
            "split": split,
            "num_candidates": len(candidates),
        },
    )
    replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
    accepted = accept(replies, policy, what=f"round {round_num}, evaluation on {split} rows")
    return [
        {
            reply.client: ScoreSums.from_arrays(of_candidate(reply.arrays, number))
            for reply in accepted.replies
        }
        for number in range(len(candidates))
    ]
