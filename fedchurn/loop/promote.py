"""Last stage: judge a registered release against the champion, and carry the verdict out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.errors import FedchurnError, PromotionRefused
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.federation.checks import accept
from fedchurn.federation.engines import run_on_engine
from fedchurn.federation.exchange import Exchange, Request
from fedchurn.federation.model_messages import models_to_arrays, of_candidate
from fedchurn.loop.federate import round_policy
from fedchurn.loop.production import (
    acting,
    open_journal,
    open_registry,
    point_service,
    releases_folder,
)
from fedchurn.loop.validate import client_files
from fedchurn.registry.comparison import (
    ClientComparison,
    PairedComparison,
    combine_comparisons,
)
from fedchurn.registry.decision import Decision, decide
from fedchurn.registry.policy import ModelEvidence, Reason
from fedchurn.registry.port import PRODUCTION
from fedchurn.registry.promoter import promote, refuse, stage
from fedchurn.registry.recovery import recover
from fedchurn.release.load import Release, load_release
from fedchurn.release.weights import weights_digest
from fedchurn.settings import Settings


def judge_and_promote(
    settings: Settings, contract: Contract, validated: dict[str, Any], registered: dict[str, Any]
) -> dict[str, Any]:
    """Compare with the champion on the same held-out rows, decide, promote or refuse.

    Returns:
        ``outcome`` (``promoted``, ``refused`` or ``unchanged``), ``exit_code``, ``version``,
        ``release_id``, ``champion_before``, ``reasons``, ``summary`` and ``next_step``.

    Raises:
        PromotionConflict: another promoter changed the champion meanwhile.
        TrackingError: MLflow is away.
    """
    registry, journal = open_registry(settings), open_journal(settings)
    act = acting()
    recover(registry, journal, act)
    version = str(registered["version"])
    champion_version = registry.aliases().get(PRODUCTION)
    challenger = load_release(registry.fetch_release(version, releases_folder(settings)))
    if champion_version == version:
        point_service(settings, registry)
        return _unchanged(version, challenger.release_id)
    champion = None
    if champion_version is not None:
        champion = load_release(registry.fetch_release(champion_version, releases_folder(settings)))
    stage(registry, version)
    decision = judge(settings, contract, validated, challenger, version, champion, champion_version)
    if decision.promoted:
        promote(registry, journal, version, champion_version, decision, act)
    else:
        refuse(registry, journal, version, decision, act)
    point_service(settings, registry)
    return _outcome(decision, version, champion_version)


def _unchanged(version: str, release_id: str) -> dict[str, Any]:
    sentence = "This release is in production already: rows, settings and code are unchanged."
    reason = Reason("unchanged", True, None, None, sentence)
    return {
        "outcome": "unchanged",
        "exit_code": 0,
        "version": version,
        "release_id": release_id,
        "champion_before": version,
        "reasons": [dict(reason.__dict__)],
        "summary": sentence,
        "next_step": "",
    }


def _outcome(decision: Decision, version: str, champion: str | None) -> dict[str, Any]:
    # A model equal to the champion is refused in the journal, but nothing is wrong with the run.
    is_same = any(reason.check == "same_model" for reason in decision.failures)
    outcome = "unchanged" if is_same else decision.outcome
    return {
        "outcome": outcome,
        "exit_code": PromotionRefused.exit_code if outcome == "refused" else 0,
        "version": version,
        "release_id": decision.release_id,
        "champion_before": champion,
        "reasons": [dict(reason.__dict__) for reason in decision.reasons],
        "summary": decision.summary(),
        "next_step": decision.next_step,
    }


def judge(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    challenger: Release,
    version: str,
    champion: Release | None,
    champion_version: str | None,
) -> Decision:
    """The decision about a challenger; see ``fedchurn.registry.decision``."""
    mine = _evidence(challenger, version, challenger.card.metrics)
    if champion is None or champion_version is None:
        return decide(mine, None, None, settings.promotion)
    comparison, sums = _compared(settings, contract, validated, challenger, champion)
    theirs = _evidence(
        champion,
        champion_version,
        metrics(sums, champion.card.threshold).to_dict() if sums else champion.card.metrics,
    )
    decision = decide(mine, theirs, comparison, settings.promotion)
    return _keep_real_champion(decision, challenger, champion)


def _keep_real_champion(decision: Decision, challenger: Release, champion: Release) -> Decision:
    if not challenger.card.is_sample or champion.card.is_sample:
        return decision
    reason = Reason(
        "real_rows",
        False,
        None,
        None,
        "It was trained on a generated sample, the champion on real rows.",
    )
    return replace(
        decision,
        outcome="refused",
        reasons=(*decision.reasons, reason),
        next_step="train on real rows (--data), or use another home or model name for the sample",
    )


def _evidence(release: Release, version: str, figures: Any) -> ModelEvidence:
    return ModelEvidence(
        release_id=release.release_id,
        version=version,
        accuracy=_figure(figures, "peak_accuracy" if "peak_accuracy" in figures else "accuracy"),
        majority_accuracy=_figure(figures, "majority_accuracy"),
        roc_auc=_figure(figures, "roc_auc"),
        data_digest=release.card.data_digest,
        weights_digest=weights_digest(release.model.weights),
    )


def _figure(figures: Any, name: str) -> float:
    """A metric that could not be computed (one class only) passes no floor."""
    value = figures.get(name)
    return float(value) if value is not None else 0.0


def _compared(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    challenger: Release,
    champion: Release,
) -> tuple[PairedComparison | None, ScoreSums | None]:
    """Both models on the clients' test rows; (None, None) where the champion cannot score them."""
    request = _request(challenger, champion)
    policy = round_policy(settings.federation)

    def drive(exchange: Exchange) -> tuple[PairedComparison, ScoreSums]:
        replies = exchange.ask(request, timeout_seconds=policy.deadline_seconds)
        accepted = accept(replies, policy, what="comparison with the champion", finite=False)
        parts = [ClientComparison.from_numbers(r.client, r.numbers) for r in accepted.replies]
        sums = [ScoreSums.from_arrays(of_candidate(r.arrays, 1)) for r in accepted.replies]
        return combine_comparisons(parts), add_sums(sums)

    files: dict[str, Path] = client_files(validated)
    try:
        return run_on_engine(
            settings.federation.engine, files, contract, settings.home.resolve(), drive
        )
    except FedchurnError:
        # The champion's contract may ask for columns that these rows lack: then nobody can tell.
        return None, None


def _request(challenger: Release, champion: Release) -> Request:
    config = {
        side: json.dumps(
            {
                "encoder": release.model.encoder.to_dict(),
                "spec": release.model.spec.to_dict(),
            }
        )
        for side, release in (("challenger", challenger), ("champion", champion))
    }
    models = [(r.model.spec, r.model.weights) for r in (challenger, champion)]
    return Request(task="compare", round_num=0, arrays=models_to_arrays(models), config=config)
