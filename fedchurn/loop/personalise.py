"""Clients' own models after a training: who is asked, and why sometimes nobody is."""

from __future__ import annotations

from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.errors import QuorumError
from fedchurn.evaluation.personal import Personalisation
from fedchurn.evaluation.thresholds import ThresholdChoice
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.personal.question import PersonalQuestion, ask_to_personalise
from fedchurn.loop.federate import round_policy
from fedchurn.loop.reach import JoinedClients, on_clients
from fedchurn.loop.trained_run import TrainedRun
from fedchurn.loop.validate import client_files
from fedchurn.settings import Settings

SECURE = (
    "Clients were not asked for models of their own: their figures are told client by client, and"
    " secure aggregation (federation.secure.on) shows sums over clients only."
)
PRIVATE = (
    "Clients were not asked for models of their own: their figures on test rows would leave without"
    " noise, beside the promise of this private training."
)


def personalise(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    run: TrainedRun,
    choice: ThresholdChoice,
) -> Personalisation | None:
    """Models of the clients' own near the run's model, kept by them; their figures.

    None when settings do not ask for them. A federation in which too few answer loses no training:
    the note says why there are no figures.
    """
    own = settings.personalisation
    if not own.on:
        return None
    if settings.federation.secure.on:
        return Personalisation({}, {}, SECURE)
    if run.privacy is not None:
        return Personalisation({}, {}, PRIVATE)
    question = PersonalQuestion(
        model=run.model,
        selection_weights=run.selection_weights or run.model.weights,
        threshold=choice.threshold,
        objective=choice.objective,
        strengths=own.strengths,
        min_rows=own.min_rows,
        min_cell_rows=settings.federation.min_cell_rows,
    )
    policy = round_policy(settings.federation)

    def drive(exchange: Exchange) -> Personalisation:
        return ask_to_personalise(exchange, policy, question)

    files, joined = client_files(validated), JoinedClients.of(validated)
    try:
        return on_clients(settings, contract, files, joined, drive, summed=False)
    except QuorumError as error:
        return Personalisation({}, {}, f"Clients' own models are missing: {error.what}.")
