"""Federated training from statistics to the best model, over any exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import Encoder
from fedchurn.encoding.fit import fit_encoder
from fedchurn.encoding.statistics import Statistics, pool_statistics, statistics_from_arrays
from fedchurn.federation.algorithm import Algorithm
from fedchurn.federation.checks import RoundPolicy, accept
from fedchurn.federation.exchange import Exchange, Request
from fedchurn.federation.local_training import LocalTraining
from fedchurn.federation.newton import Newton
from fedchurn.federation.rounds import StopRule, mean_weights, play_rounds, train_round
from fedchurn.federation.state import BestRound, RoundRecord, RoundState
from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.recipe import LocalPhase, NewtonPhase, Phase, Recipe
from fedchurn.learning.spec import HiddenLayer, ModelSpec, Weights

OnProgress = Callable[[RoundRecord, int, RoundState], None]


@dataclass(frozen=True)
class TrainedModel:
    """The result of a federated training.

    Attributes:
        encoder: fitted on the sum of the clients' statistics.
        spec: shape of the model.
        weights: the model: the best round's, refitted if the recipe says so.
        selection_weights: the best round's weights, which have not seen validation rows; thresholds
            are chosen with them.
        best_round_num: the round (counted over all phases) that made them.
        statistics: the sum of the clients' statistics; the drift reference starts from it.
        client_statistics: the same per client.
        records: one per round, numbered over all phases.
    """

    encoder: Encoder
    spec: ModelSpec
    weights: Weights
    selection_weights: Weights
    best_round_num: int
    statistics: Statistics
    client_statistics: dict[str, Statistics]
    records: tuple[RoundRecord, ...]


def collect_statistics(
    exchange: Exchange, policy: RoundPolicy, min_cell_rows: int
) -> tuple[dict[str, Statistics], dict[str, str]]:
    """Round 0: statistics of the training rows per client, and why some clients gave none.

    Raises:
        QuorumError: too few clients answered.
    """
    request = Request("statistics", 0, config={"min_cell_rows": min_cell_rows})
    replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
    accepted = accept(replies, policy, what="round 0, statistics")
    statistics = {r.client: statistics_from_arrays(r.arrays) for r in accepted.replies}
    return statistics, {**accepted.absences, **accepted.quarantined}


def train_federated(
    exchange: Exchange,
    contract: Contract,
    recipe: Recipe,
    policy: RoundPolicy,
    *,
    seed: int = 0,
    min_cell_rows: int = 5,
    on_progress: OnProgress = lambda _record, _total, _state: None,
) -> TrainedModel:
    """Statistics, encoder and all phases of a recipe.

    Args:
        exchange: reaches the clients.
        contract: what the rows mean.
        recipe: encoder settings and phases.
        policy: quorum, deadline and norm limits.
        seed: seeds initial weights, shuffles and dropout.
        min_cell_rows: k of ``client_statistics``.
        on_progress: called after every round with its record, the largest number of rounds that may
            be played, and the state.

    Raises:
        QuorumError: a round had too few usable answers.
    """
    statistics, absences = collect_statistics(exchange, policy, min_cell_rows)
    pooled = pool_statistics(list(statistics.values()))
    encoder = fit_encoder(pooled, contract, recipe.encoder)
    course = _Course(exchange, policy, sum(map(_max_rounds, recipe.phases)), on_progress)
    algorithm = _algorithm(recipe.phases[0], encoder, None, seed, min_cell_rows)
    best = course.play(algorithm, recipe.phases[0])
    for phase in recipe.phases[1:]:
        algorithm = _algorithm(phase, encoder, (algorithm.spec, best.weights), seed, min_cell_rows)
        best = course.play(algorithm, phase)
    final = best.weights
    last = recipe.phases[-1]
    if isinstance(last, NewtonPhase) and last.refit_rounds:
        final = course.refit(encoder, last, best, min_cell_rows)
    return TrainedModel(
        encoder=encoder,
        spec=algorithm.spec,
        weights=final,
        selection_weights=best.weights,
        best_round_num=course.best_round_num,
        statistics=pooled,
        client_statistics=statistics,
        records=_with_absences(course.records, absences),
    )


def _with_absences(
    records: Sequence[RoundRecord], absences: Mapping[str, str]
) -> tuple[RoundRecord, ...]:
    """The records, round 0 naming who gave no statistics."""
    told = {client: f"statistics: {reason}" for client, reason in absences.items()}
    first = replace(records[0], absences={**records[0].absences, **told})
    return (first, *records[1:])


class _Course:
    """Plays phases one after another and numbers their rounds through."""

    def __init__(
        self, exchange: Exchange, policy: RoundPolicy, total: int, on_progress: OnProgress
    ) -> None:
        self._exchange = exchange
        self._policy = policy
        self._total = total
        self._on_progress = on_progress
        self.records: list[RoundRecord] = []
        self.best_round_num = 0

    def play(self, algorithm: Algorithm, phase: Phase) -> BestRound:
        offset = self._last_round_num()

        def keep(record: RoundRecord, state: RoundState) -> None:
            # Round 0 of a later phase is the model that the phase before ended with.
            if record.round_num or not offset:
                self._keep(record, offset + record.round_num, state)

        state, _ = play_rounds(algorithm, self._exchange, self._policy, _stop_rule(phase), keep)
        best = state.best
        assert best is not None  # the evaluation before round 1 sets it
        if best.round_num or not offset:
            self.best_round_num = offset + best.round_num
        return best

    def refit(
        self, encoder: Encoder, phase: NewtonPhase, best: BestRound, min_cell_rows: int
    ) -> Weights:
        """The chosen ridges on training and validation rows, each from its best weights."""
        ridges = tuple(phase.ridges[number] for number in best.near)
        algorithm = Newton(
            encoder.to_json(),
            encoder.num_inputs,
            ridges,
            split="train+validation",
            first_weights=best.candidates,
            min_cell_rows=min_cell_rows,
        )
        state = algorithm.start()
        for _ in range(phase.refit_rounds):
            state, record = train_round(state, algorithm, self._exchange, self._policy)
            named = replace(record, strategy="newton refit")
            self._keep(named, self._last_round_num() + 1, state)
        return mean_weights(state.candidates)

    def _last_round_num(self) -> int:
        return self.records[-1].round_num if self.records else 0

    def _keep(self, record: RoundRecord, round_num: int, state: RoundState) -> None:
        self.records.append(replace(record, round_num=round_num))
        self._on_progress(self.records[-1], self._total, state)


def _max_rounds(phase: Phase) -> int:
    return phase.num_rounds + (phase.refit_rounds if isinstance(phase, NewtonPhase) else 0)


def _stop_rule(phase: Phase) -> StopRule:
    average = phase.average_within if isinstance(phase, NewtonPhase) else 0.0
    return StopRule(phase.num_rounds, phase.patience_rounds, phase.metric, phase.min_gain, average)


def _algorithm(
    phase: Phase,
    encoder: Encoder,
    before: tuple[ModelSpec, Weights] | None,
    seed: int,
    min_cell_rows: int,
) -> Algorithm:
    if isinstance(phase, NewtonPhase):
        return Newton(
            encoder.to_json(), encoder.num_inputs, phase.ridges, min_cell_rows=min_cell_rows
        )
    return _local_training(phase, encoder, before, seed)


def _local_training(
    phase: LocalPhase, encoder: Encoder, before: tuple[ModelSpec, Weights] | None, seed: int
) -> LocalTraining:
    hidden = tuple(HiddenLayer(layer.units, layer.dropout) for layer in phase.hidden)
    spec = ModelSpec(encoder.num_inputs, linear=phase.linear, hidden=hidden)
    first = initial_weights(spec, seed)
    if before is not None and phase.linear and before[0].linear:
        first = (*before[1][:2], *first[2:])
    epochs: dict[str, Any] = {
        "batch_size": phase.batch_size,
        "epochs": phase.num_epochs,
        "optimizer": phase.optimizer,
        "learning_rate": phase.client_learning_rate,
        "proximal": phase.proximal_mu,
        "freeze_linear": phase.frozen_linear,
    }
    return LocalTraining(
        strategy=phase.strategy,
        spec=spec,
        encoder_json=encoder.to_json(),
        first_weights=first,
        epochs=epochs,
        hyper=_hyper(phase),
        seed=seed,
        frozen_linear=phase.frozen_linear,
    )


def _hyper(phase: LocalPhase) -> dict[str, float]:
    rate = phase.server_learning_rate
    return {} if rate is None else {"server_learning_rate": rate}
