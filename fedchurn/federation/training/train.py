"""Federated training from statistics to the best model, over any exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import Encoder
from fedchurn.encoding.fit import fit_encoder
from fedchurn.encoding.from_contract import contract_encoder, no_statistics
from fedchurn.encoding.statistics import (
    Statistics,
    pool_statistics,
    statistics_from_arrays,
    with_ranges,
)
from fedchurn.federation.algorithms.of_phase import check_recipe
from fedchurn.federation.exchange import TOGETHER, Exchange, Request
from fedchurn.federation.privacy.terms import PrivateTerms, private_policy
from fedchurn.federation.training.checkpoint import Checkpoints, NoCheckpoints, Progress
from fedchurn.federation.training.checks import RoundPolicy, accept
from fedchurn.federation.training.course import Course, OnProgress
from fedchurn.federation.training.state import RoundRecord
from fedchurn.federation.training.statistics_check import statistics_problem
from fedchurn.learning.recipe import Recipe
from fedchurn.learning.spec import ModelSpec, Weights

NO_CHECKPOINTS = NoCheckpoints()


@dataclass(frozen=True)
class TrainedModel:
    """The result of a federated training.

    Attributes:
        encoder: fitted on the sum of the clients' statistics; in a private training made from the
            contract alone, and statistics are empty.
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
    exchange: Exchange, policy: RoundPolicy, contract: Contract, min_cell_rows: int
) -> tuple[dict[str, Statistics], dict[str, str]]:
    """Round 0: statistics of the training rows per client, and why some clients gave none.

    Ranges are read off histograms: a smallest value is no sum, and masked or not, equal rows must
    give equal encoders.

    Raises:
        QuorumError: too few clients answered.
    """
    request = Request("statistics", 0, config={"min_cell_rows": min_cell_rows})
    replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
    accepted = accept(
        replies,
        policy,
        what="round 0, statistics",
        problem=lambda reply: statistics_problem(reply, contract),
    )
    statistics = {r.client: statistics_from_arrays(r.arrays) for r in accepted.replies}
    statistics = {c: with_ranges(part, contract) for c, part in statistics.items()}
    return statistics, {**accepted.absences, **accepted.quarantined}


def train_federated(
    exchange: Exchange,
    contract: Contract,
    recipe: Recipe,
    policy: RoundPolicy,
    *,
    seed: int = 0,
    min_cell_rows: int = 5,
    on_progress: OnProgress = lambda _record, _total: None,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    private: PrivateTerms | None = None,
) -> TrainedModel:
    """Statistics, encoder and all phases of a recipe.

    Args:
        exchange: reaches the clients.
        contract: what the rows mean.
        recipe: encoder settings and phases.
        policy: quorum, deadline and norm limits.
        seed: seeds initial weights, shuffles and dropout.
        min_cell_rows: k of ``client_statistics``.
        on_progress: called after every round with its record and the largest number of rounds that
            may be played; the rounds of an interrupted training are told again.
        checkpoints: where progress is kept after every round, and found again: a training that was
            killed goes on, and ends with the weights that it would have had.
        private: terms of a private training: no statistics are asked for, updates are clipped and
            noise is added; see ``agree_terms`` and ``private_recipe``.

    Raises:
        QuorumError: a round had too few usable answers.
        SettingsError: a phase of the recipe cannot be played.
    """
    check_recipe(recipe, summed=policy.summed)
    progress = checkpoints.newest()
    if progress is None:
        asked = private is None
        found = collect_statistics(exchange, policy, contract, min_cell_rows) if asked else ({}, {})
        progress = Progress(*found)
        checkpoints.keep(progress)
    if private is None:
        pooled = pool_statistics(list(progress.statistics.values()))
        encoder = fit_encoder(pooled, contract, recipe.encoder)
    else:
        pooled = no_statistics(contract)
        encoder = contract_encoder(contract, recipe.encoder)
        policy = private_policy(policy)
    policy = replace(policy, rows=_claimed(progress.statistics))
    course = Course(exchange, policy, recipe, encoder, progress, on_progress, checkpoints, private)
    spec, best, final = course.play(seed, min_cell_rows)
    return TrainedModel(
        encoder=encoder,
        spec=spec,
        weights=final,
        selection_weights=best.weights,
        best_round_num=course.progress.best_round_num,
        statistics=pooled,
        client_statistics=dict(progress.statistics),
        records=_with_absences(course.progress.records, progress.absences),
    )


def _claimed(statistics: Mapping[str, Statistics]) -> dict[str, tuple[float, float]]:
    """Rows and churners of training per client; of a sum over clients nobody's."""
    return {
        client: (part.num_rows, part.num_positive)
        for client, part in statistics.items()
        if client != TOGETHER
    }


def _with_absences(
    records: Sequence[RoundRecord], absences: Mapping[str, str]
) -> tuple[RoundRecord, ...]:
    """The records, round 0 naming who gave no statistics."""
    told = {client: f"statistics: {reason}" for client, reason in absences.items()}
    first = replace(records[0], absences={**records[0].absences, **told})
    return (first, *records[1:])
