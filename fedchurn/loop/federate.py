"""Second stage: federated statistics, rounds and score sums, over the chosen engine."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.encoding.fit import EncoderSettings
from fedchurn.federation.drift.dependence import collect_relation
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.privacy.terms import PrivateTerms, private_recipe
from fedchurn.federation.training.checkpoint import Checkpoints
from fedchurn.federation.training.checkpoint_folder import CheckpointFolder
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.state import RoundRecord, excluded_in
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import NewtonPhase, Recipe
from fedchurn.learning.spec import Weights
from fedchurn.loop.private_training import Booking, OnlyClients, book
from fedchurn.loop.reach import JoinedClients, on_clients
from fedchurn.loop.stage import StageResult, run_stage, stage_key
from fedchurn.loop.trained_run import ClientSums, TrainedRun, write_run
from fedchurn.loop.validate import client_files
from fedchurn.release.scorer import Scorer
from fedchurn.settings import FederationSettings, Settings

logger = logging.getLogger(__name__)

OnRound = Callable[[RoundRecord, int], None]

FALLBACK = Recipe(
    name="fallback",
    description="Logistic regression on scaled inputs, by federated Newton rounds",
    encoder=EncoderSettings(basis="linear", scaling="standard"),
    phases=(NewtonPhase(strategy="newton", num_rounds=8, ridges=(10.0, 1.0), refit_rounds=2),),
)


def round_policy(federation: FederationSettings) -> RoundPolicy:
    """Limits of a round, from settings."""
    return RoundPolicy(
        quorum_fraction=federation.quorum_fraction,
        deadline_seconds=federation.deadline_seconds,
        max_norm_ratio=federation.max_norm_ratio,
        max_rows_ratio=federation.max_rows_ratio,
        audit=federation.audit,
        summed=federation.secure.on,
    )


def federate_stage(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    on_round: OnRound = lambda _record, _total: None,
    facts: Mapping[str, Any] | None = None,
) -> StageResult:
    """A trained model, its fallback and their score sums in a stage folder.

    Args:
        settings: recipe, federation settings and seed.
        contract: what the rows mean.
        validated: result of ``validate_stage``.
        on_round: called after every round of the model, with the largest number of rounds.
        facts: JSON-ready facts to keep in the result.

    Returns:
        ``rounds``, ``best_round_num``, ``num_inputs``, ``participants``, ``absences`` and the usual
        stage facts; ``read_run`` reads the folder.
    """

    key = federate_key(settings, contract, validated)
    kept = progress_folder(settings.home, key)

    def work(folder: Path) -> StageResult:
        files, joined = client_files(validated), JoinedClients.of(validated)
        run = federate(files, contract, settings, on_round, kept, joined)
        write_run(run, folder)
        return {**_facts(run), **(facts or {})}

    result = run_stage(settings.home, "federate", key, work)
    forget_progress(settings.home, key)
    return result


def progress_folder(home: Path, key: str) -> Path:
    """Where an unfinished training keeps what it needs to go on."""
    return home.resolve() / "training" / key


def forget_progress(home: Path, key: str) -> None:
    """Remove what a finished training kept to go on, a private one's noise key among it."""
    folder = progress_folder(home, key)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning(
            "%s cannot be removed, and who has a noise key takes the noise away: remove it", folder
        )


def federate_key(settings: Settings, contract: Contract, validated: dict[str, Any]) -> str:
    """Key of the stage: rows, contract, recipe, federation settings, seed and the run's store."""
    return stage_key(
        validated["split_digests"],
        contract_digest(contract),
        settings.training.model_dump(mode="json"),
        # Where the link is does not change what is trained.
        {
            **settings.federation.model_dump(mode="json", exclude={"superlink"}),
            "engine": settings.engine,
        },
        settings.privacy.model_dump(mode="json"),
        settings.seed,
        settings.tracking_uri,
    )


def federate(
    files: dict[str, Path],
    contract: Contract,
    settings: Settings,
    on_round: OnRound,
    kept: Path,
    joined: JoinedClients | None = None,
) -> TrainedRun:
    """Train on the clients' files, or go on from what ``kept`` holds; see ``TrainedRun``.

    Where rows are remote there are no files, but clients that ``joined``. A private training is its
    own fallback: another model would spend more of the clients' privacy.
    """
    policy = round_policy(settings.federation)

    def drive(everybody: Exchange) -> TrainedRun:
        checkpoints = CheckpointFolder(kept / "model")
        booking = book(settings, contract.contract, everybody.clients(), kept.name, checkpoints)
        exchange = OnlyClients(everybody, booking.terms.clients) if booking else everybody
        train = partial(_train, exchange, contract, settings)
        if booking:
            recipe = private_recipe(settings.privacy, settings.training)
            model = fallback = train(recipe, on_round, checkpoints, booking.terms)
            booking.settle(model.records)
        else:
            model = train(settings.training, on_round, checkpoints)
            fallback = train(FALLBACK, _quietly, CheckpointFolder(kept / "fallback"))

        def sums(trained: TrainedModel, weights: Weights, split: str) -> ClientSums:
            encoder = trained.encoder.to_json()
            # Who was found to lie has no say in the threshold, nor in the figures.
            judges = policy.without(excluded_in(model.records))
            return evaluate(exchange, judges, trained.spec, [weights], encoder, split).sums[0]

        return TrainedRun(
            model=_scorer(model, contract),
            fallback=_scorer(fallback, contract),
            best_round_num=model.best_round_num,
            records=_told(model.records, joined, booking),
            statistics=model.client_statistics,
            validation=sums(model, model.selection_weights, "validation"),
            test=sums(model, model.weights, "test"),
            selection_weights=model.selection_weights,
            fallback_test=sums(fallback, fallback.weights, "test"),
            relation=None
            if booking
            else collect_relation(
                exchange, policy, model, contract, settings.federation.min_cell_rows
            ),
            privacy=booking.to_card() if booking else None,
        )

    return on_clients(settings, contract, files, joined, drive)


def _told(
    records: tuple[RoundRecord, ...], joined: JoinedClients | None, booking: Booking | None
) -> tuple[RoundRecord, ...]:
    """The records, with those who took no part at all."""
    for told_by in (joined, booking):
        records = told_by.told_in(records) if told_by else records
    return records


def _quietly(_record: RoundRecord, _total: int) -> None:
    """The fallback's rounds are nobody's concern."""


def _train(
    exchange: Exchange,
    contract: Contract,
    settings: Settings,
    recipe: Recipe,
    on_round: OnRound,
    checkpoints: Checkpoints,
    private: PrivateTerms | None = None,
) -> TrainedModel:
    return train_federated(
        exchange,
        contract,
        recipe,
        round_policy(settings.federation),
        seed=settings.seed,
        min_cell_rows=settings.federation.min_cell_rows,
        on_progress=on_round,
        checkpoints=checkpoints,
        private=private,
    )


def _scorer(trained: TrainedModel, contract: Contract) -> Scorer:
    return Scorer(contract, trained.encoder, trained.spec, trained.weights)


def _facts(run: TrainedRun) -> StageResult:
    return {
        "num_rounds": run.records[-1].round_num,
        "best_round_num": run.best_round_num,
        "num_inputs": run.model.spec.inputs,
        "participants": sorted(_participants(run.records)),
        "absences": {r.round_num: dict(r.absences) for r in run.records if r.absences},
        "quarantined": {r.round_num: dict(r.quarantined) for r in run.records if r.quarantined},
        "excluded": excluded_in(run.records),
    }


def _participants(records: Sequence[RoundRecord]) -> set[str]:
    return {client for record in records for client in record.participants}
