"""Last stage: judge a registered release against the champion, and carry the verdict out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.errors import DataError, FederationError, PromotionRefused, QuorumError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.possible_sums import impossibility
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.model_messages import models_to_arrays, of_candidate
from fedchurn.federation.training.checks import RoundPolicy, accept
from fedchurn.loop.federate import round_policy
from fedchurn.loop.production import (
    acting,
    open_journal,
    open_registry,
    point_service,
    releases_folder,
)
from fedchurn.loop.reach import JoinedClients, on_clients
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
    objections = list(_objections(validated, challenger, champion))
    if champion is None or champion_version is None:
        return _with_objections(decide(mine, None, None, settings.promotion), objections)
    comparison, sums, missed = _compared(settings, contract, validated, challenger, champion)
    if missed:
        objections.append(missed)
    theirs = _evidence(
        champion,
        champion_version,
        metrics(sums, champion.card.threshold).to_dict() if sums else champion.card.metrics,
    )
    return _with_objections(decide(mine, theirs, comparison, settings.promotion), objections)


@dataclass(frozen=True)
class Objection:
    """Why a judgement on these rows would not be a fair one."""

    check: str
    sentence: str
    next_step: str


BY_HAND = "look at both models, then promote by hand: fedchurn promote VERSION --note WHY"
COME_BACK = (
    "mend the named clients or bring them back, then give the same command again: finished stages "
    "are kept, only the comparison is made anew"
)


def _objections(
    validated: dict[str, Any], challenger: Release, champion: Release | None
) -> Iterator[Objection]:
    cards = [release.card for release in (challenger, champion) if release is not None]
    if validated["is_sample"] and not all(card.is_sample for card in cards):
        yield Objection(
            "real_rows",
            "The rows to judge on are a generated sample, but not both models are of it.",
            "name the real rows (data)",
        )
    if dict(validated["data_digests"]) != dict(challenger.card.data_digests):
        yield Objection(
            "own_rows",
            "The rows to judge on are not those that the challenger was trained and tested with.",
            "name the rows of its training (data), or train again on these",
        )
    if champion is None:
        return
    if challenger.card.is_sample and not champion.card.is_sample:
        yield Objection(
            "real_model",
            "It was trained on a generated sample, the champion on real rows.",
            "train on real rows (--data), or use another home for the sample",
        )
    if dealing(challenger.card.settings) != dealing(champion.card.settings):
        yield Objection(
            "split",
            "The champion was trained with another split, so it may know these test rows.",
            f"train with the champion's split and data settings; or {BY_HAND}",
        )


def dealing(published: Mapping[str, Any]) -> Any:
    """Of published settings those that say who is a test row."""
    return published.get("split"), published.get("data")


def _with_objections(decision: Decision, objections: list[Objection]) -> Decision:
    if not objections:
        return decision
    reasons = [Reason(o.check, False, None, None, o.sentence) for o in objections]
    return replace(
        decision,
        outcome="refused",
        reasons=(*decision.reasons, *reasons),
        next_step="; ".join(dict.fromkeys(o.next_step for o in objections)),
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
) -> tuple[PairedComparison | None, ScoreSums | None, Objection | None]:
    """Both models on all clients' test rows; else why that could not be done."""
    request = _request(challenger, champion)
    # A client that is absent here could be the one that is left worse.
    policy = replace(round_policy(settings.federation), quorum_fraction=1.0)

    def drive(exchange: Exchange) -> tuple[PairedComparison, ScoreSums]:
        return combined(exchange.ask(request, timeout_seconds=policy.deadline_seconds), policy)

    files, joined = client_files(validated), JoinedClients.of(validated)
    try:
        comparison, sums = on_clients(settings, contract, files, joined, drive)
    except FederationError as error:  # for example columns that the champion wants and rows lack
        return None, None, not_scored(error)
    return comparison, sums, None


def not_scored(error: FederationError) -> Objection:
    """The champion was not scored by all clients: why, and what to do."""
    sentence = f"The champion could not be scored on these rows: {error.what}."
    is_absence = isinstance(error, QuorumError)
    return Objection("rows", sentence, f"{COME_BACK}; or {BY_HAND}" if is_absence else BY_HAND)


def combined(replies: Sequence[Reply], policy: RoundPolicy) -> tuple[PairedComparison, ScoreSums]:
    """Both models on the rows of all clients whose answers can be true, and the champion's sums.

    Raises:
        QuorumError: too few such answers.
    """
    read: dict[str, tuple[ClientComparison, ScoreSums]] = {}

    def problem(reply: Reply) -> str:
        try:
            found = _comparison(reply), ScoreSums.from_arrays(of_candidate(reply.arrays, 1))
        except (DataError, KeyError, OverflowError, ValueError) as error:
            return f"a comparison that cannot be read: {error}"
        read[reply.client] = found
        return impossibility(found[1]) or ("" if reply.members else _contradiction(*found))

    accepted = accept(
        replies, policy, what="comparison with the champion", problem=problem, finite=False
    )
    parts, sums = zip(*(read[reply.client] for reply in accepted.replies), strict=True)
    return combine_comparisons(parts), add_sums(sums)


def _contradiction(told: ClientComparison, sums: ScoreSums) -> str:
    """Why one client's figures cannot be those of the rows that its sums count."""
    if (told.num_positive, told.num_negative) != (sums.num_positive, sums.num_negative):
        return (
            f"compared on {told.num_positive} and {told.num_negative} rows, its sums count"
            f" {sums.num_positive} and {sums.num_negative}"
        )
    for name in ("auc_challenger", "auc_champion"):
        if not (math.isnan(area := getattr(told, name)) or 0 <= area <= 1):
            return f"{name} is {area:g}"
    for name in ("variance_challenger", "variance_champion"):
        if not (math.isnan(variance := getattr(told, name)) or 0 <= variance <= 1):
            return f"{name} is {variance:g}"
    most = math.sqrt(told.variance_challenger * told.variance_champion)
    if abs(told.covariance) > most * (1 + _ROUNDING) + _ROUNDING:
        return f"covariance is {told.covariance:g}, at most {most:g} is possible"
    return ""


_ROUNDING = 1e-9


def _comparison(reply: Reply) -> ClientComparison:
    read = ClientComparison.from_sums if reply.members else ClientComparison.from_numbers
    return read(reply.client, reply.numbers)


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
