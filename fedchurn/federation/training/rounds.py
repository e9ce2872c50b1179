"""One federated round, and the loop over rounds.

``play_round`` is a function of the state and the clients' answers; it reads no file and draws no
randomness, and the clock that it is given only measures. ``play_rounds`` is the only loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedchurn.errors import FederationError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.exchange import (
    NOT_CONNECTED,
    ONE_SUM,
    TOGETHER,
    Exchange,
    Reply,
    Request,
    num_bytes,
)
from fedchurn.federation.secure.cost import SecureCost, cost_of
from fedchurn.federation.training.audit import answer_problem, remarks_of, sent_updates, suspects
from fedchurn.federation.training.checks import NOBODY, Accepted, RoundPolicy, accept
from fedchurn.federation.training.scoring import Evaluated, evaluate
from fedchurn.federation.training.state import BestRound, RoundRecord, RoundState
from fedchurn.learning.spec import Weights

OnRound = Callable[[RoundRecord, RoundState], None]
MANY_CLIENTS = 100
"""Where more are asked, records keep no figures per client, and an exchange may give sums alone."""

Clock = Callable[[], float]
"""Seconds, monotonic."""


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
        evaluate_every: rounds between evaluations; the last round is always evaluated.
        keep_last: the model that was evaluated last is kept, whatever the metric says.
    """

    num_rounds: int
    patience_rounds: int | None = None
    metric: str = "log_loss"
    min_gain: float = 0.0
    average_within: float = 0.0
    evaluate_every: int = 1
    keep_last: bool = False

    def evaluates(self, round_num: int) -> bool:
        """Whether a round is evaluated."""
        return round_num % self.evaluate_every == 0 or round_num >= self.num_rounds


def play_rounds(
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    on_round: OnRound,
    *,
    state: RoundState | None = None,
    clock: Clock = time.monotonic,
) -> RoundState:
    """Rounds until the stop rule ends them; ``on_round`` sees each record as it is made.

    Args:
        algorithm: what to ask and what to make of it.
        exchange: reaches the clients.
        policy: quorum, deadline and norm limits.
        stop: when to end.
        on_round: called with every record and the state after it, round 0 included.
        state: where an earlier call got to, to go on from there; None starts anew.
        clock: measures the phases.

    Returns:
        The last state, whose ``best`` is the model to keep.

    Raises:
        QuorumError: too few usable answers.
        FederationError: validation rows do not define the metric.
    """
    if state is None:
        state, record = evaluate_start(algorithm, exchange, policy, stop, clock=clock)
        on_round(record, state)
    while state.round_num < stop.num_rounds and not _stale(state, stop):
        state, record = play_round(state, algorithm, exchange, policy, stop, clock=clock)
        on_round(record, state)
    return state


def _stale(state: RoundState, stop: StopRule) -> bool:
    return stop.patience_rounds is not None and state.stale_rounds >= stop.patience_rounds


def evaluate_start(
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    *,
    clock: Clock = time.monotonic,
) -> tuple[RoundState, RoundRecord]:
    """The state before round 1, evaluated: a round that makes things worse is never kept."""
    state, record = algorithm.start(), _nothing_trained(algorithm)
    return _concluded(state, algorithm, exchange, policy, stop, record, clock)


def _nothing_trained(algorithm: Algorithm) -> RoundRecord:
    return RoundRecord(0, algorithm.strategy, ())


def play_round(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    *,
    clock: Clock = time.monotonic,
) -> tuple[RoundState, RoundRecord]:
    """One round: ask, check, combine, evaluate.

    Raises:
        QuorumError: too few usable answers; the state is unchanged.
    """
    moved, record = train_round(state, algorithm, exchange, policy, clock=clock)
    if not stop.evaluates(moved.round_num):
        return moved, record
    return _concluded(moved, algorithm, exchange, policy, stop, record, clock)


def train_round(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    *,
    clock: Clock = time.monotonic,
) -> tuple[RoundState, RoundRecord]:
    """The training half of a round, without evaluation; see ``play_round``."""
    policy = policy.without(state.excluded)
    request = algorithm.request(state)
    cohort = algorithm.cohort(state, exchange.clients())
    if _are_many(cohort, exchange):
        request = replace(request, config={**request.config, ONE_SUM: True})
    ticks = [clock()]
    nobody = cohort is not None and not cohort  # independent draws may draw none
    replies = () if nobody else exchange.ask(request, cohort, policy.deadline_seconds)
    ticks.append(clock())
    accepted = NOBODY if nobody else _accepted(algorithm, state, replies, policy)
    found = suspects(algorithm, state, accepted.replies, exchange, policy)
    if found:
        accepted = _accepted(algorithm, state, replies, policy.without(found))
    candidates, memory = algorithm.step(state, accepted.replies)
    ticks.append(clock())
    moved = replace(
        state,
        round_num=state.round_num + 1,
        candidates=candidates,
        memory=memory,
        excluded={**state.excluded, **found},
        # What was measured with the help of such a client is not compared with what follows.
        best=None if found else state.best,
        sent={**state.sent, **sent_updates(algorithm, replies)}
        if len(replies) <= MANY_CLIENTS
        else {},
    )
    record = _trained(state, algorithm, request, replies, accepted)
    record = replace(record, excluded=found)
    seconds = {"train": ticks[1] - ticks[0], "combine": ticks[2] - ticks[1]}
    record = replace(record, seconds=seconds, cohort=cohort or ())
    return moved, _with_protocol(record, None if nobody else cost_of(exchange))


def _accepted(
    algorithm: Algorithm, state: RoundState, replies: Sequence[Reply], policy: RoundPolicy
) -> Accepted:
    return accept(
        replies,
        policy,
        what=f"round {state.round_num + 1}, training",
        norm=lambda reply: algorithm.update_norm(state, reply),
        problem=lambda reply: (
            algorithm.problem(state, reply) or answer_problem(algorithm, state, reply, policy)
        ),
    )


def _are_many(asked: Sequence[str] | None, exchange: Exchange) -> bool:
    return len(exchange.clients() if asked is None else asked) > MANY_CLIENTS


def _trained(
    state: RoundState,
    algorithm: Algorithm,
    request: Request,
    replies: Sequence[Reply],
    accepted: Accepted,
) -> RoundRecord:
    per_client = {r.client: algorithm.client_numbers(state, r) for r in accepted.replies}
    told = remarks_of(algorithm, accepted.replies)
    many = sum(len(reply.clients) for reply in replies) > MANY_CLIENTS
    # Behind one sum every client has an answer of its size.
    up = {client: num_bytes(r.arrays) for r in replies for client in r.clients}
    reached = [c for r in replies if r.error != NOT_CONNECTED for c in r.clients]
    down = {client: request.num_bytes_for(client) for client in reached}
    return RoundRecord(
        round_num=request.round_num,
        strategy=algorithm.strategy,
        participants=tuple(c for c in accepted.clients if c not in told.left_out),
        absences=accepted.absences,
        quarantined=accepted.quarantined,
        train=_weighted_means(per_client),
        per_client={} if many else per_client,
        bytes_up=sum(up.values()),
        bytes_down=sum(down.values()),
        client_bytes_up={} if many else up,
        client_bytes_down={} if many else down,
        notes={**algorithm.notes(state), **told.notes},
        set_aside={**told.left_out, **told.changed},
    )


def _with_protocol(record: RoundRecord, cost: SecureCost | None) -> RoundRecord:
    """The record with the bytes of all messages, where one question takes several."""
    if cost is None:
        return record
    many = len(cost.bytes_up) > MANY_CLIENTS
    return replace(
        record,
        bytes_up=sum(cost.bytes_up.values()),
        bytes_down=sum(cost.bytes_down.values()),
        client_bytes_up={} if many else dict(cost.bytes_up),
        client_bytes_down={} if many else dict(cost.bytes_down),
        seconds={**record.seconds, **cost.seconds},
    )


def _weighted_means(per_client: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    total = sum(n["num_rows"] for n in per_client.values())
    names = {name for numbers in per_client.values() for name in numbers} - {"num_rows"}
    means = {
        name: sum(n["num_rows"] * n[name] for n in per_client.values()) / max(total, 1.0)
        for name in sorted(names)
    }
    return {"num_rows": total, **means}


def _concluded(
    state: RoundState,
    algorithm: Algorithm,
    exchange: Exchange,
    policy: RoundPolicy,
    stop: StopRule,
    record: RoundRecord,
    clock: Clock,
) -> tuple[RoundState, RoundRecord]:
    begun = clock()
    policy = policy.without(state.excluded)
    panel = algorithm.panel(exchange.clients())
    asked = _Evaluation(algorithm, exchange, policy, state.round_num, panel, state.rows)
    each = asked.on("validation", state.candidates)
    claimed = {client: one.num_rows for client, one in each.sums[0].items()}
    losses = [_loss(add_sums(by_client.values()), stop.metric) for by_client in each.sums]
    if not stop.keep_last:
        _check_defined(losses, each.sums[0], stop.metric)
    near = _near(losses, stop.average_within)
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
    is_best = stop.keep_last or _is_better(found, best, stop.min_gain)
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
            one_sum=_are_many(self.clients, self.exchange),
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
